"""How much worse a second model is than a first one, on the same examples."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mnist_exp.evaluation import statistical_tests

MCNEMAR = "McNemar's exact test"
LEVEL = 0.95


@dataclass(frozen=True)
class Drop:
    """The loss of the second model against the first.

    Args:
        value: what is lost: of the share of right examples, or added to the mean absolute error; below 0 is a gain.
        low: lower end of its 95 % interval.
        high: upper end.
        test: name of the test of "nothing is lost or gained".
        p: its p value; 1 where no example differs.
        only_before: examples that only the first model gets right; None for numbers.
        only_after: examples that only the second gets right; None for numbers.
    """

    value: float
    low: float
    high: float
    test: str
    p: float
    only_before: int | None = None
    only_after: int | None = None

    @property
    def is_significant(self) -> bool:
        """Whether the second model is worse beyond chance."""
        return self.value > 0 and self.p < statistical_tests.LEVEL


def of_right(before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> Drop:
    """Return the drop in accuracy, with McNemar's exact test and Tango's score interval.

    The interval has a width also where no example differs, as a bootstrap has not.

    Args:
        before: whether the first model gets each example right, (n,).
        after: the same for the second.
    Source: McNemar 1947, Psychometrika 12, 153-157; Tango 1998, Statistics in Medicine 17, 891-908, equation 12.
    """
    from scipy import stats

    lost, won, n = int((before & ~after).sum()), int((~before & after).sum()), len(before)
    p = float(stats.binomtest(lost, lost + won).pvalue) if lost + won else 1.0
    low, high = score_interval(lost, won, n)
    return Drop((lost - won) / n, low, high, MCNEMAR, p, lost, won)


def score_interval(lost: int, won: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two shares of the same n examples, by Tango's score.

    Args:
        lost: examples that count for the first share only.
        won: for the second only.
        n: of all.
    """
    from scipy import optimize, stats

    z = float(stats.norm.ppf((1 + LEVEL) / 2))

    def score(difference: float) -> float:
        b = -lost - won + (2 * n - lost + won) * difference
        share = (math.sqrt(max(b * b + 8 * n * won * difference * (1 - difference), 0.0)) - b) / (4 * n)
        variance = max(n * (2 * share + difference * (1 - difference)), 1e-300)
        return (lost - won - n * difference) / math.sqrt(variance)

    found = (lost - won) / n

    def end(sign: int) -> float:
        if found == sign:
            return found
        return float(optimize.brentq(lambda d: score(d) + sign * z, found, sign))  # The score falls with d.

    return end(-1), end(1)


def of_errors(before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]) -> Drop:
    """Return what is added to the mean of absolute errors, with the paired t-test.

    Args:
        before: error of the first model for each example, (n,).
        after: the same for the second.
    """
    compared: Any = statistical_tests.paired(after, before)
    if compared.p is None:  # Without spread there is no test: as good as equal, or all shifted alike.
        return Drop(compared.difference, compared.difference, compared.difference, compared.test, 1.0)
    return Drop(compared.difference, compared.low, compared.high, compared.test, compared.p)
