"""Are repeated trainings the same, and what do threads change? Reads sweeps over seeds, each number of threads twice.

    python experiments/findings/reproducibility.py PARENT PARENT PARENT PARENT

The arguments are the ids of the parent runs. Writes reproducibility.png into the working folder, prints the numbers.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.tracking import references, runs
from mnist_exp.tracking.runs import StoredRun

Point = tuple[int, int]


def main(*parents: str) -> None:
    """Read the sweeps, compare weights and accuracies, draw them."""
    by_point = runs_of(parents)
    equal = [len({weights(run) for run in each}) == 1 for each in by_point.values() if len(each) > 1]
    print(f"the same seed and threads again: {sum(equal)} of {len(equal)} have equal weights, to the last bit")

    seeds, threads = (sorted({point[i] for point in by_point}) for i in (0, 1))
    fewest, most = threads[0], threads[-1]
    values = np.array([[accuracy(by_point[seed, count][0]) for count in threads] for seed in seeds])  # (seeds, threads)
    across = [weights(by_point[seed, fewest][0]) == weights(by_point[seed, most][0]) for seed in seeds]
    changes = np.abs(values[:, 0] - values[:, -1])
    print(f"{fewest} and {most} threads: {sum(across)} of {len(across)} pairs have equal weights")
    print(f"accuracy changes by {100 * changes.mean():.3f} points on average, {100 * changes.max():.3f} at most")
    deviation = values.std(axis=0, ddof=1).mean()
    expected = 2 * deviation / np.sqrt(np.pi)  # Mean distance of two draws of a normal distribution.
    print(f"two seeds differ by {100 * expected:.3f} points on average (std over seeds {100 * deviation:.3f})")

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    for place, count in enumerate(threads):
        offset = 0.12 * (place - (len(threads) - 1) / 2)
        (dots,) = axes.plot(np.array(seeds) + offset, values[:, place], "o", label=f"{count} thread{'s'[: count > 1]}")
        again = [accuracy(by_point[seed, count][-1]) for seed in seeds]
        axes.plot(np.array(seeds) + offset, again, "x", color="black", label="the same again" if place == 0 else None)
        axes.axhline(values[:, place].mean(), color=dots.get_color(), alpha=0.4)
    axes.set(xlabel="seed", ylabel="val_accuracy", xticks=seeds)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(Path("reproducibility.png"), dpi=90)


def runs_of(parents: Sequence[str]) -> dict[Point, list[StoredRun]]:
    """Return the jobs of sweeps by (seed, threads), in the order of the sweeps."""
    by_point: dict[Point, list[StoredRun]] = {}
    for parent in parents:
        for run in runs.of_sweep(references.find(TrackingSettings(), parent)):
            point = int(run.params["seed"]), int(run.params["trainer.threads"])
            by_point.setdefault(point, []).append(run)
    return by_point


def weights(run: StoredRun) -> str:
    """Return the digest of a run's weights."""
    return str(run.tags["mnist_exp.weights_sha256"])


def accuracy(run: StoredRun) -> float:
    """Return what a run came to on its hold-out."""
    return float(run.metrics["val_accuracy"])


if __name__ == "__main__":
    main(*sys.argv[1:])
