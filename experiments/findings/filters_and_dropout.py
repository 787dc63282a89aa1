"""Does one option matter, all values of the other taken together? Reads a sweep over filters, dropout and seeds.

    python experiments/findings/filters_and_dropout.py PARENT

The argument is the id of the parent run. Each pair of values of one option is compared by a paired t-test over the
seeds, of the means over the values of the other option; p is corrected for all of these comparisons together (Holm).
"""

import itertools
import sys

import numpy as np
from scipy.stats import ttest_rel
from statsmodels.stats.multitest import multipletests

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.tracking import references, runs

OPTIONS = ("model.filters", "model.dropout")


def main(parent: str) -> None:
    """Read the sweep, print the means and the comparisons."""
    found = runs.of_sweep(references.find(TrackingSettings(), parent))
    lines, values = [], []
    for option in OPTIONS:
        by_level: dict[float, dict[str, list[float]]] = {}
        for run in found:
            seeds = by_level.setdefault(float(run.params[option]), {})
            seeds.setdefault(run.params["seed"], []).append(run.metrics["val_accuracy"])
        means = {
            level: 100 * np.array([np.mean(each) for _, each in sorted(seeds.items())])
            for level, seeds in sorted(by_level.items())
        }
        for level, each in means.items():
            print(f"{option}={level:g}: {each.mean():.3f} ± {each.std(ddof=1):.3f} over {len(each)} seeds")
        for first, second in itertools.combinations(means, 2):
            lines.append(f"{option}={first:g} and {second:g}: {(means[second] - means[first]).mean():+.3f} points")
            values.append(ttest_rel(means[second], means[first]).pvalue)
    for line, p in zip(lines, multipletests(values, method="holm")[1], strict=True):
        print(f"{line}, p = {p:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
