"""Do short trainings rank configurations as long ones do? Reads two recorded sweeps over the same values.

    python experiments/findings/short_trainings.py LONG_PARENT SHORT_PARENT

The arguments are the ids of the parent runs. Writes short-trainings.png into the working folder, prints the numbers.
"""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.tracking import references, runs

Array = npt.NDArray[np.float64]
Point = tuple[int, float]


def main(long_parent: str, short_parent: str) -> None:
    """Read both sweeps, print the correlations, draw them."""
    grid, short = curves_of(long_parent), curves_of(short_parent)
    points = sorted(grid)
    if sorted(short) != points:
        raise SystemExit("the two sweeps are not over the same values of model.filters and model.dropout")
    by_epoch = np.array([grid[point] for point in points])  # (points, epochs)
    ended = np.array([short[point][-1] for point in points])
    final = by_epoch[:, -1]
    upper = final >= np.median(final)

    print(f"{'trained for':22} rank correlation   of the better half   final rank of the chosen, of {len(points)}")
    everywhere, above = [], []
    for epoch in range(by_epoch.shape[1] - 1):
        everywhere.append(correlation(by_epoch[:, epoch], final))
        above.append(correlation(by_epoch[upper, epoch], final[upper]))
        tell(f"{epoch + 1} epochs", everywhere[-1], above[-1], rank(final, int(by_epoch[:, epoch].argmax())))
    cycle = len(short[points[0]])
    whole, half = correlation(ended, final), correlation(ended[upper], final[upper])
    tell(f"{cycle} epochs, one cycle", whole, half, rank(final, int(ended.argmax())))

    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = range(1, by_epoch.shape[1])
    left.plot(epochs, everywhere, marker="o", label=f"all {len(points)}")
    left.plot(epochs, above, marker="o", label="the better half")
    left.plot([cycle] * 2, [whole, half], "D", color="black", label=f"a one-cycle training of {cycle} epochs")
    left.set(xlabel="epoch", ylabel="rank correlation with the last epoch", ylim=(0, 1))
    left.legend(loc="lower right")
    dropouts = sorted({dropout for _, dropout in points})
    for values, name in (
        (by_epoch[:, 0], "after 1 epoch"),
        (by_epoch[:, 2], "after 3 epochs"),
        (ended, f"one cycle of {cycle} epochs"),
        (final, f"after {by_epoch.shape[1]} epochs"),
    ):
        means = np.array([100 * mean_of(points, values, dropout) for dropout in dropouts])
        right.plot(dropouts, means - means.max(), marker="o", label=name)
        print(f"{name:25} best dropout, mean of 24 filters and more: {dropouts[int(means.argmax())]}")
    right.set(xlabel="dropout", ylabel="accuracy below the best dropout, points", ylim=(-0.6, 0.02))
    right.legend(loc="lower center")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(Path("short-trainings.png"), dpi=90)


def curves_of(parent: str) -> dict[Point, list[float]]:
    """Return val_accuracy epoch by epoch of each job of a sweep, by (filters, dropout)."""
    curves = {}
    for run in runs.of_sweep(references.find(TrackingSettings(), parent)):
        point = int(run.params["model.filters"]), float(run.params["model.dropout"])
        curves[point] = [value for _, value in sorted(run.history("val_accuracy").items())]
    return curves


def correlation(some: Array, others: Array) -> float:
    """Return Spearman's rank correlation."""
    return float(spearmanr(some, others).statistic)


def rank(values: Array, index: int) -> int:
    """Return the rank of a value, 1 for the largest."""
    return int((values > values[index]).sum()) + 1


def mean_of(points: list[Point], values: Array, dropout: float) -> float:
    """Return the mean over the networks of 24 filters and more with that dropout."""
    chosen = [filters >= 24 and share == dropout for filters, share in points]
    return float(values[chosen].mean())


def tell(name: str, whole: float, half: float, chosen: int) -> None:
    """Print a line of the table."""
    print(f"{name:22} {whole:16.2f} {half:20.2f} {chosen:30}")


if __name__ == "__main__":
    main(*sys.argv[1:])
