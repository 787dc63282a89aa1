"""How many parameters do digits need? Draws a search by two objectives, and its best with five seeds.

    python experiments/findings/parameters.py SEARCH SEEDS

The arguments are the ids of parent runs: the search, and the sweep over seeds. Writes parameters.png into the working
folder, prints the numbers.
"""

import sys
from pathlib import Path
from statistics import fmean, stdev

from matplotlib.figure import Figure

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.sweeps.outcome import leaderboard
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.tracking import references, runs
from mnist_exp.tracking.runs import StoredRun

PUBLISHED = [(575, 98.0), (3888, 99.0)]


def main(search: str, seeds: str) -> None:
    """Read the sweeps, print the front and the means, draw them."""
    rows = [
        Row(run.name, {}, outcome="done", objective=percent(run, "val_accuracy"), metrics=run.metrics)
        for run in trained(search)
    ]
    best_of_size = leaderboard.pareto(rows, "maximize", "parameters")
    tried, front = ([(int(row.metrics["parameters"]), row.objective) for row in some] for some in (rows, best_of_size))
    print("front  " + "   ".join(f"{count:,}: {value:.2f}" for count, value in front))

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*tried, strict=True), ".", color="gray", alpha=0.6, label="trial of the search: hold-out")
    axes.plot(*zip(*front, strict=True), drawstyle="steps-post", color="gray", linewidth=1, label="its front")
    values: dict[int, list[float]] = {}
    for run in trained(seeds):
        values.setdefault(parameters(run), []).append(percent(run, "test_accuracy"))
    for count, each in sorted(values.items()):
        print(f"{count:,} parameters, {len(each)} seeds: {fmean(each):.2f} ± {stdev(each):.2f}, from {min(each):.2f}")
    means, deviations = [fmean(each) for each in values.values()], [stdev(each) for each in values.values()]
    axes.errorbar(list(values), means, deviations, fmt="o", color="C0", capsize=4, label="five seeds: test, mean ± std")
    axes.plot(*zip(*PUBLISHED, strict=True), "x", color="C3", markersize=8, label="published: test")
    axes.set(xscale="log", xlabel="parameters", ylabel="accuracy, %")
    axes.set_xticks([300, 500, 1000, 2000, 4000], labels=["300", "500", "1,000", "2,000", "4,000"])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(Path("parameters.png"), dpi=90)


def trained(parent: str) -> list[StoredRun]:
    """Return the runs of a sweep that have ended."""
    return [run for run in runs.of_sweep(references.find(TrackingSettings(), parent)) if run.status == "FINISHED"]


def parameters(run: StoredRun) -> int:
    """Return how many parameters the model of a run has."""
    return int(run.metrics["parameters"])


def percent(run: StoredRun, name: str) -> float:
    """Return a metric of a run in percent."""
    return 100 * float(run.metrics[name])


if __name__ == "__main__":
    main(*sys.argv[1:])
