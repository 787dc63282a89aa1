"""Statistical tests between configurations and between models, on top of scipy and statsmodels.

All pairs of configurations are tested, and Holm's correction counts all of them, even if a page shows only the pairs
with the best configuration. The best one is chosen by the same values that are tested. A correction for its own pairs
alone would let too many false differences through.
"""

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

LEVEL = 0.05
POWER = 0.8
CONFIDENCE = 0.95
MOST_SEEDS = 1000
PAIRED, WELCH, NONE = "paired t-test", "Welch's t-test", "none"
# Relative to the largest value. Equal accuracies differ by float32 rounding, less than 1e-7. One image more or less
# changes an accuracy by more than 1e-5.
_NO_SPREAD = 1e-6
_FEW_DISCORDANT = 25  # below this number McNemar's test is the exact one
# Imported where it is used: it takes most of a second.
LIBRARIES = ("scipy.stats",)

Values = Mapping[str, float]  # the metric of one configuration, by seed


@dataclass(frozen=True)
class Comparison:
    """The result of comparing two configurations.

    Args:
        test: name of the test: paired t-test, Welch's t-test or none.
        n: number of seeds of the first and of the second; for a paired test the number of pairs, twice.
        difference: mean of the first minus mean of the second; for a paired test over the common seeds only.
        effect: difference divided by the standard deviation; 0 if there was no test.
        low: lower end of the difference's 95 % interval, not corrected for other comparisons; NaN if there was no test.
        high: upper end of that interval.
        p: p value of the hypothesis "no difference"; None if there was no test.
        reason: why there was no test; empty if there was one.
        p_corrected: p value after Holm's correction for all comparisons made together; None if there was no test.
        family: number of comparisons made together.
    """

    test: str
    n: tuple[int, int]
    difference: float
    effect: float = 0.0
    low: float = math.nan
    high: float = math.nan
    p: float | None = None
    reason: str = ""
    p_corrected: float | None = None
    family: int = 1

    @property
    def is_significant(self) -> bool:
        """Whether the difference is significant after the correction."""
        return self.p_corrected is not None and self.p_corrected < LEVEL

    def reversed(self) -> "Comparison":
        """Return the comparison of the second configuration with the first."""
        return replace(self, n=self.n[::-1], difference=-self.difference, low=-self.high, high=-self.low)

    def seeds_needed(self) -> int | None:
        """Return how many seeds per configuration would show a difference of this size with a power of 80 %.

        The level is the strictest of Holm's steps: 0.05 divided by the number of comparisons. If the present seeds show
        no difference, the answer is always more than there are now: the estimate assumes equal spreads, and is too low
        if the spreads are very unequal.

        Returns: number of seeds; None if there was no test, or if more than 1,000 seeds would be needed.
        """
        if self.p is None:
            return None
        needed = seeds_needed(self.effect, self.test, LEVEL / self.family)
        if needed is None or self.is_significant:
            return needed
        return max(needed, min(self.n) + 1)


@dataclass(frozen=True)
class Discordance:
    """The result of comparing two models on the same images, by McNemar's test.

    Args:
        images: number of images.
        only_first: images that only the first model predicts correctly.
        only_second: images that only the second model predicts correctly.
        p: p value of McNemar's test.
        is_exact: whether the exact binomial version of the test was used.
        low: lower end of the 95 % interval of the difference in accuracy, given the number of discordant images.
        high: upper end of that interval.
        p_corrected: p value after Holm's correction for all comparisons made together.
    """

    images: int
    only_first: int
    only_second: int
    p: float
    is_exact: bool
    low: float
    high: float
    p_corrected: float | None = None

    @property
    def difference(self) -> float:
        """Accuracy of the first model minus that of the second."""
        return (self.only_first - self.only_second) / self.images

    @property
    def is_significant(self) -> bool:
        """Whether the two models differ significantly after the correction."""
        return self.p_corrected is not None and self.p_corrected < LEVEL


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % t-interval of the mean; None if there is one value only or if all are equal."""
    if not _has_spread(np.asarray(values, float)):
        return None
    mean, half = float(np.mean(values)), half_width(values)
    return mean - half, mean + half


def half_width(values: Sequence[float]) -> float:
    """Return half of the width of the 95 % t-interval of the mean of two values or more."""
    from scipy import special  # Of scipy.stats the import alone takes most of a second.

    quantile = special.stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2)
    return float(quantile * np.std(values, ddof=1) / math.sqrt(len(values)))


def compare(first: Values, second: Values) -> Comparison:
    """Compare two configurations by a metric.

    The paired t-test is used if the two share at least two seeds and at least half of the seeds of either. The seed
    decides the hold-out set and the initial weights, so values of the same seed belong together. In all other cases it
    is Welch's t-test. The choice depends on the seeds alone, never on the values.

    Args:
        first: metric of the first configuration, by seed.
        second: metric of the second configuration, by seed.
    """
    common = [seed for seed in first if seed in second]
    if len(common) >= max(2, max(len(first), len(second)) / 2):
        return paired(np.array([first[s] for s in common]), np.array([second[s] for s in common]))
    return _welch(np.array([*first.values()]), np.array([*second.values()]))


def compare_all(groups: Sequence[Values], against: int | None = None) -> dict[tuple[int, int], Comparison]:
    """Compare configurations in pairs, with Holm's correction for all comparisons.

    Args:
        groups: for each configuration, its metric by seed.
        against: position of a baseline. If given, only the pairs with it are compared. It must be chosen before the
            values are seen.
    Returns: the comparison for each pair of positions (i, j), i < j.
    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65–70.
    """
    pairs = [pair for pair in itertools.combinations(range(len(groups)), 2) if against is None or against in pair]
    return dict(zip(pairs, corrected([compare(groups[i], groups[j]) for i, j in pairs]), strict=True))


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons with Holm's correction.

    A comparison with enough seeds but without spread cannot be tested. It counts with p = 1. Whether there is spread
    depends on the values, so leaving it out would make the other p values too small.
    """
    counted = [c for c in comparisons if min(c.n) > 1]
    adjusted = iter(holm([1.0 if c.p is None else c.p for c in counted]))
    family = max(len(counted), 1)
    results = []
    for comparison in comparisons:
        p = next(adjusted) if min(comparison.n) > 1 else None
        results.append(replace(comparison, p_corrected=None if comparison.p is None else p, family=family))
    return results


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values after Holm's correction, in the same order.

    Bit for bit those of `multipletests` of statsmodels, which brings pandas along, a tenth of the time of a report, and
    collects garbage at each call, 0.03 to 0.3 s.
    """
    p = np.asarray(p_values, float)
    order = np.argsort(p)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return corrected.tolist()  # type: ignore[no-any-return]


def seeds_needed(effect: float, test: str, level: float = LEVEL) -> int | None:
    """Return the smallest number of seeds per configuration that gives a test a power of 80 %.

    Args:
        effect: difference divided by the standard deviation of the pairs' differences (paired) or within the groups.
        test: name of the test: paired t-test or Welch's t-test.
        level: significance level.
    Returns: number of seeds; None if more than 1,000 would be needed.
    Source: Cohen 1988, Statistical Power Analysis for the Behavioral Sciences, chapter 2.
    """

    def is_enough(n: int) -> bool:
        return power(min(abs(effect), 100.0), n, test, level) >= POWER

    few, many = 1, 2
    while not is_enough(many):
        few, many = many, many * 2
        if few >= MOST_SEEDS:
            return None
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if is_enough(middle) else (middle, many)
    return many if many <= MOST_SEEDS else None


def power(effect: float, seeds: int, test: str, level: float = LEVEL) -> float:
    """Return the power of a test: the probability that it finds a difference of this size.

    By the noncentral F distribution of t²: statsmodels asks scipy for both tails of the noncentral t distribution, of
    which the far one is NaN in places (findings/scipy-noncentral-t-has-holes.sh).

    Args:
        effect: difference divided by the standard deviation, as in `seeds_needed`.
        seeds: per configuration, at least 2.
        test: name of the test: paired t-test or Welch's t-test.
        level: significance level, two-sided.
    Source: Cohen 1988, Statistical Power Analysis for the Behavioral Sciences, chapter 2.
    """
    from scipy import stats

    freedom, pairs = (seeds - 1, seeds) if test == PAIRED else (2 * seeds - 2, seeds / 2)
    critical = stats.t.isf(level / 2, freedom)
    return float(stats.ncf.sf(critical**2, 1, freedom, effect**2 * pairs))


def mcnemar(first_right: npt.NDArray[np.bool_], second_right: npt.NDArray[np.bool_]) -> Discordance:
    """Compare two models on the same images by McNemar's test.

    The test is exact below 25 discordant images, and has a continuity correction from there on.

    Args:
        first_right: whether the first model predicts each image correctly, shape (n,).
        second_right: the same for the second model, shape (n,).
    Source: McNemar 1947, Psychometrika 12, 153–157.
    """
    from scipy import stats
    from statsmodels.stats import contingency_tables

    both, neither = int((first_right & second_right).sum()), int((~first_right & ~second_right).sum())
    first, second = int((first_right & ~second_right).sum()), int((~first_right & second_right).sum())
    discordant, images = first + second, len(first_right)
    is_exact = discordant < _FEW_DISCORDANT
    tested = contingency_tables.mcnemar([[both, first], [second, neither]], exact=is_exact, correction=True)
    low = high = math.nan
    if discordant:
        share = stats.binomtest(first, discordant).proportion_ci(CONFIDENCE)
        low, high = ((2 * end - 1) * discordant / images for end in (share.low, share.high))
    return Discordance(images, first, second, float(tested.pvalue), is_exact, low, high)


def paired(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> Comparison:
    """Compare two sets of values, pair by pair, by the paired t-test."""
    from scipy import stats

    differences = first - second
    mean, n = float(differences.mean()), (len(first), len(first))
    if not _has_spread(differences, float(np.abs([first, second]).max())):
        what = "no difference on any of" if abs(mean) <= _NO_SPREAD * np.abs(first).max() else "the same difference on"
        return Comparison(NONE, n, mean, reason=f"{what} the {len(first)} seeds: without spread there is no test")
    tested = stats.ttest_rel(first, second)
    low, high = tested.confidence_interval(CONFIDENCE)
    effect = mean / float(differences.std(ddof=1))
    return Comparison(PAIRED, n, mean, effect, float(low), float(high), float(tested.pvalue))


def _welch(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> Comparison:
    from scipy import stats

    mean, n = float(first.mean() - second.mean()), (len(first), len(second))
    if min(n) < 2:
        return Comparison(NONE, n, mean, reason="one seed only")
    if not (_has_spread(first) or _has_spread(second)):
        return Comparison(NONE, n, mean, reason="all values of each are equal: without spread there is no test")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Precision loss")  # Comes if all values of one are equal.
        tested = stats.ttest_ind(first, second, equal_var=False)
        low, high = tested.confidence_interval(CONFIDENCE)
    effect = mean / math.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2)
    return Comparison(WELCH, n, mean, effect, float(low), float(high), float(tested.pvalue))


def _has_spread(values: npt.NDArray[np.float64], scale: float | None = None) -> bool:
    """Return whether values differ by more than rounding, relative to `scale` (default: the largest of them)."""
    if len(values) < 2:
        return False
    if scale is None:
        scale = float(np.abs(values).max())
    return bool(np.ptp(values) > _NO_SPREAD * scale)
