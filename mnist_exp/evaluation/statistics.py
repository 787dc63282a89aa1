"""Whether configurations differ by more than their seeds do: the tests of scipy and statsmodels, and when not to test.

All pairs are compared and corrected together, also where only those with the best one are shown. The best one is picked
by the very values that are tested: corrected for the comparisons with it alone, too many differences would be claimed.
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
# Of the largest value. Equal accuracies differ by the rounding of 32 bits, less than 1e-7; one image more or less is
# above 1e-5.
_NO_SPREAD = 1e-6
_FEW_DISCORDANT = 25

Values = Mapping[str, float]


@dataclass(frozen=True)
class Comparison:
    """The values of one configuration against those of another.

    Args:
        test: paired t-test, Welch's t-test or none.
        n: seeds of each; of the pairs, where they are paired.
        difference: mean of the first less that of the second; over the common seeds, where they are paired.
        effect: the difference in standard deviations; 0 where there is no test.
        low: lower end of the 95 % interval of the difference, of this comparison alone; NaN where there is no test.
        high: upper end.
        p: of a difference of zero; None where there is no test.
        reason: why there is none.
        p_corrected: after Holm's correction for all comparisons that were made together.
        family: how many these were.
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
        """Whether a difference is claimed."""
        return self.p_corrected is not None and self.p_corrected < LEVEL

    def reversed(self) -> "Comparison":
        """Return the second against the first."""
        return replace(self, n=self.n[::-1], difference=-self.difference, low=-self.high, high=-self.low)

    def seeds_needed(self) -> int | None:
        """Return how many seeds each would show a difference of this size with a power of 80 %, by this page's rule.

        The rule is the strictest of Holm's steps, 0.05 over the number of comparisons. More than there are, where these
        show none: where the spreads of the two are most unequal, what is reckoned for equal ones would be too few. None
        where there is no test, or where it would be more than 1,000.
        """
        needed = seeds_needed(self.effect, self.test, LEVEL / self.family) if self.p is not None else None
        return needed if needed is None or self.is_significant else max(needed, min(self.n) + 1)


@dataclass(frozen=True)
class Discordance:
    """How two models differ on the same images.

    Args:
        images: how many there are.
        only_first: images that only the first model reads right.
        only_second: those that only the second one does.
        p: of McNemar's test.
        is_exact: whether that is the binomial one.
        low: lower end of the 95 % interval of the difference of the accuracies, given which images count.
        high: upper end.
        p_corrected: after Holm's correction for all comparisons that were made together.
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
        """Accuracy of the first less that of the second."""
        return (self.only_first - self.only_second) / self.images

    @property
    def is_significant(self) -> bool:
        """Whether a difference is claimed, of the two models."""
        return self.p_corrected is not None and self.p_corrected < LEVEL


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % t-interval of the mean; None for one value, or where all are equal."""
    from scipy import stats

    if not _has_spread(np.asarray(values, float)):
        return None
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval(CONFIDENCE)
    return float(low), float(high)


def compare(first: Values, second: Values) -> Comparison:
    """Compare two configurations by their values, each named by its seed.

    Seed by seed, if at least two seeds, and at least half of those of either, are common to both: the seed decides the
    hold-out and the first weights, so that such values belong together. Otherwise by Welch's test. The values do not
    decide which.
    """
    common = [seed for seed in first if seed in second]
    if len(common) >= max(2, max(len(first), len(second)) / 2):
        return _paired(np.array([first[s] for s in common]), np.array([second[s] for s in common]))
    return _welch(np.array([*first.values()]), np.array([*second.values()]))


def compare_all(groups: Sequence[Values], against: int | None = None) -> dict[tuple[int, int], Comparison]:
    """Compare configurations in pairs, with Holm's correction for all of the comparisons.

    Args:
        groups: the values of each, by their seeds.
        against: the one, chosen before the values were seen, with which alone the others are compared.
    Returns: a comparison for each pair of positions, the first the smaller one.
    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65–70.
    """
    pairs = [pair for pair in itertools.combinations(range(len(groups)), 2) if against is None or against in pair]
    return dict(zip(pairs, corrected([compare(groups[i], groups[j]) for i, j in pairs]), strict=True))


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return comparisons with Holm's correction.

    One that has seeds enough but no spread to judge by counts as one that shows nothing (p = 1): that it cannot be
    tested hangs on the values, and leaving it out would make the others look surer.
    """
    counted = [c for c in comparisons if min(c.n) > 1]
    adjusted = iter(holm([1.0 if c.p is None else c.p for c in counted]))
    found = []
    for comparison in comparisons:
        p = next(adjusted) if min(comparison.n) > 1 else None
        family = max(len(counted), 1)
        found.append(replace(comparison, p_corrected=None if comparison.p is None else p, family=family))
    return found


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values with Holm's correction."""
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(p_values, method="holm")[1]] if len(p_values) else []


def seeds_needed(effect: float, test: str, level: float = LEVEL) -> int | None:
    """Return the fewest seeds each with which a test has a power of 80 %; None if it would be more than 1,000.

    Args:
        effect: difference in standard deviations: of the pairs' differences, or within the groups.
        test: paired t-test or Welch's t-test.
        level: at which it is significant.
    Source: Cohen 1988, Statistical Power Analysis for the Behavioral Sciences, chapter 2.
    """
    from statsmodels.stats.power import TTestIndPower, TTestPower

    power = TTestPower().power if test == PAIRED else TTestIndPower().power

    def is_enough(n: int) -> bool:
        reached = power(min(abs(effect), 100.0), n, level)
        return bool(reached >= POWER)

    few, many = 1, 2
    while not is_enough(many):
        few, many = many, many * 2
        if few >= MOST_SEEDS:
            return None
    while many - few > 1:  # statsmodels' own search does not always end well where few are enough.
        middle = (few + many) // 2
        few, many = (few, middle) if is_enough(middle) else (middle, many)
    return many if many <= MOST_SEEDS else None


def mcnemar(first_right: npt.NDArray[np.bool_], second_right: npt.NDArray[np.bool_]) -> Discordance:
    """Compare two models on the same images.

    Args:
        first_right: whether the first model reads each image right, shape (n,).
        second_right: whether the second one does.
    Source: McNemar 1947, Psychometrika 12, 153–157; exact below 25 discordant images, else with continuity correction.
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


def _paired(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> Comparison:
    from scipy import stats

    differences = first - second
    mean, n = float(differences.mean()), (len(first), len(first))
    if not _has_spread(differences, float(np.abs([first, second]).max())):
        what = "no difference on any of" if abs(mean) <= _NO_SPREAD * np.abs(first).max() else "the same difference on"
        return Comparison(NONE, n, mean, reason=f"{what} the {len(first)} seeds: there is no spread to judge by")
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
        return Comparison(NONE, n, mean, reason="all values of each are equal: there is no spread to judge by")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Precision loss")  # Where all values of one are equal.
        tested = stats.ttest_ind(first, second, equal_var=False)
        low, high = tested.confidence_interval(CONFIDENCE)
    effect = mean / math.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2)
    return Comparison(WELCH, n, mean, effect, float(low), float(high), float(tested.pvalue))


def _has_spread(values: npt.NDArray[np.float64], scale: float | None = None) -> bool:
    """Tell whether values differ by more than rounding does."""
    if len(values) < 2:
        return False
    return bool(np.ptp(values) > _NO_SPREAD * (float(np.abs(values).max()) if scale is None else scale))
