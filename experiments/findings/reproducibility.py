"""Are repeated trainings the same, and what do threads change? Reads two sweeps over the same seeds and threads.

    python experiments/findings/reproducibility.py PARENT PARENT_OF_THE_REPETITION

The arguments are the ids of the parent runs. Writes reproducibility.png into the working folder, prints the numbers.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.entities import Run

Point = tuple[int, int]


def main(first_parent: str, second_parent: str) -> None:
    """Read both sweeps, compare weights and accuracies, draw them."""
    first, second = runs_of(first_parent), runs_of(second_parent)
    equal = [weights(first[point]) == weights(second[point]) for point in sorted(first)]
    print(f"the same seed and threads again: {sum(equal)} of {len(equal)} pairs have equal weights, to the last bit")

    seeds, threads = (sorted({point[i] for point in first}) for i in (0, 1))
    values = np.array([[accuracy(first[seed, count]) for count in threads] for seed in seeds])  # (seeds, threads)
    across = [weights(first[seed, threads[0]]) == weights(first[seed, threads[-1]]) for seed in seeds]
    changes = np.abs(values[:, 0] - values[:, -1])
    print(f"{threads[0]} and {threads[-1]} threads: {sum(across)} of {len(across)} pairs have equal weights")
    print(f"accuracy changes by {100 * changes.mean():.3f} points on average, {100 * changes.max():.3f} at most")
    deviation = values.std(axis=0, ddof=1).mean()
    expected = 2 * deviation / np.sqrt(np.pi)  # Mean distance of two draws of a normal distribution.
    print(f"two seeds differ by {100 * expected:.3f} points on average (std over seeds {100 * deviation:.3f})")

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    for place, count in enumerate(threads):
        offset = 0.12 * (place - (len(threads) - 1) / 2)
        again = [accuracy(second[seed, count]) for seed in seeds]
        (dots,) = axes.plot(np.array(seeds) + offset, values[:, place], "o", label=f"{count} thread{'s'[: count > 1]}")
        axes.plot(np.array(seeds) + offset, again, "x", color="black", label="the same again" if place == 0 else None)
        axes.axhline(values[:, place].mean(), color=dots.get_color(), alpha=0.4)
    axes.set(xlabel="seed", ylabel="val_accuracy", xticks=seeds)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(Path("reproducibility.png"), dpi=90)


def runs_of(parent: str) -> dict[Point, Run]:
    """Return the jobs of a sweep by (seed, threads)."""
    client = MlflowClient()
    experiment = client.get_run(parent).info.experiment_id
    found = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'", max_results=1000)
    return {(int(run.data.params["seed"]), int(run.data.params["trainer.threads"])): run for run in found}


def weights(run: Run) -> str:
    """Return the digest of a run's weights."""
    return str(run.data.tags["mnist_exp.weights_sha256"])


def accuracy(run: Run) -> float:
    """Return what a run came to on its hold-out."""
    return float(run.data.metrics["val_accuracy"])


if __name__ == "__main__":
    main(*sys.argv[1:])
