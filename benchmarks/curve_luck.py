"""How much of a best value is luck, on the recorded curves: how far seeds differ, and by which epoch to choose.

    python benchmarks/curve_luck.py

Points of accuracy. Among the best 60 points of a table by true mean: the standard deviation between seeds, that of the
true means, and the rank correlation (Spearman) of two seeds, mean of the pairs. What the best value of all points of
one seed lacks in true mean, seed by seed. And of 60 points at random, one seed each, 4,000 times: the mean regret of
who has the best value by its best epoch, by its last, and by the mean of its last three.
"""

import itertools
import statistics
import sys

import curve_tables
import numpy as np
from curve_tables import METRICS
from scipy.stats import spearmanr

_TOP, _DRAWS = 60, 4000


def main() -> int:
    head = ["table", "between seeds", "true means", "ranks of two seeds", "best of one seed lacks"]
    print(f"| {' | '.join([*head, 'by the best epoch', 'by the last', 'by the last three'])} |")
    print("| --- |" + " ---: |" * 7)
    for path in sorted(curve_tables.FOLDER.glob("*.npz")):
        table = curve_tables.load(path.stem)
        values = 100 * np.asarray(table.curves[METRICS.index("val_accuracy")], float)
        true = 100 * np.asarray(table.true_means, float)
        last, top = values[..., -1], np.argsort(-true)[:_TOP]
        ranks = [spearmanr(one, other).statistic for one, other in itertools.combinations(last[:, top], 2)]
        lacks = [true.max() - true[seed.argmax()] for seed in last]
        cells = [
            f"{np.sqrt(last[:, top].var(axis=0, ddof=1).mean()):.2f}",
            f"{true[top].std(ddof=1):.2f}",
            f"{statistics.fmean(ranks):.2f}",
            " ".join(f"{each:.2f}" for each in lacks),
            *(f"{each:.2f}" for each in _regrets(values, true)),
        ]
        print(f"| {path.stem} | {' | '.join(cells)} |")
    return 0


def _regrets(values: np.ndarray, true: np.ndarray) -> tuple[float, float, float]:
    """Return the mean regret of choosing by the best epoch, by the last and by the mean of the last three."""
    drawn, found = np.random.default_rng(0), np.empty((_DRAWS, 3))
    for number in range(_DRAWS):
        cells = drawn.choice(len(true), _TOP, replace=False)
        curves = values[drawn.integers(len(values), size=_TOP), cells]
        scores = (curves.max(axis=1), curves[:, -1], curves[:, -3:].mean(axis=1))
        found[number] = [true.max() - true[cells[score.argmax()]] for score in scores]
    best, last, three = found.mean(axis=0)
    return best, last, three


if __name__ == "__main__":
    sys.exit(main())
