"""The best of so many trials: as it was, and for trials drawn at random with a band, and what more of them would bring.

Source: Lourie, Cho & He 2024, Show Your Work with Confidence: Confidence Bands for Tuning Curves. Its bands hold for
all numbers of trials at once, for trials that are drawn independently: of a random search, and of no other. Here they
have equal tails. Their program, opda, computes the level of the band exactly, for 300 trials in minutes; here it is
simulated.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnist_exp.analysis.observations import Floats

_LEAST_DRAWS, _MOST_DRAWS, _NUMBERS = 500, 4000, 600_000
_CONFIDENCE = 0.95
_MOST_SHOWN = 300


@dataclass(frozen=True)
class Curve:
    """The best objective after some numbers of trials.

    Args:
        trials: how many.
        best: as it was.
        median: of the best of as many trials, drawn at random; empty if the trials were not.
        low: lower end of its 95 % band; None where that has no end.
        high: upper end.
    """

    trials: Sequence[int]
    best: Sequence[float]
    median: Sequence[float] = ()
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()


@dataclass(frozen=True)
class More:
    """What more trials would bring.

    Args:
        trials: how many more.
        chance: probability of a new best, for trials drawn at random; None for others.
        gain: of the best: for trials drawn at random the most to expect, which is what as many of these have brought;
            for others what the second half of them has brought.
    """

    trials: int
    chance: float | None
    gain: float


def curve(objectives: Sequence[float], *, maximize: bool, is_random: bool) -> Curve:
    """Return the curve of trials, in their order."""
    y = np.asarray(objectives) if maximize else -np.asarray(objectives)
    sign = 1 if maximize else -1
    places = np.unique(np.linspace(0, len(y) - 1, _MOST_SHOWN).round().astype(int))
    trials, best = [int(place) + 1 for place in places], [*map(float, sign * np.maximum.accumulate(y)[places])]
    if not is_random:
        return Curve(trials, best)
    median, low, high = (sign * values[places] for values in _of_best(y))
    ends = (low, high) if maximize else (high, low)
    finite = ([float(value) if math.isfinite(value) else None for value in end] for end in ends)
    return Curve(trials, best, [*map(float, median)], *finite)


def more(objectives: Sequence[float], trials: int, *, maximize: bool, is_random: bool) -> More:
    """Return what more trials would bring.

    Args:
        objectives: of the trials, in their order; more than `trials`.
        trials: how many more.
        maximize: whether more of the objective is better.
        is_random: whether the trials were drawn independently of each other.
    """
    y = np.asarray(objectives) if maximize else -np.asarray(objectives)
    if is_random:
        # A mean of the best grows ever slower with the number of trials: the next bring no more than the last did.
        return More(trials, trials / (len(y) + trials), float(y.max() - _mean_best(y, len(y) - trials)))
    return More(trials, None, float(y.max() - y[: len(y) // 2].max()))


def _mean_best(y: Floats, count: int) -> float:
    """Return the mean of the best of so many of the values, over all choices of them."""
    n = len(y)
    # Of the values by size, the j-th is the best of a choice with probability C(j-1, count-1) / C(n, count).
    j = np.arange(count, n + 1)
    logs = [math.lgamma(each) - math.lgamma(each - count + 1) for each in j]
    total = math.lgamma(n + 1) - math.lgamma(n - count + 1) - math.log(count)
    return float(np.sort(y)[count - 1 :] @ np.exp(np.array(logs) - total))


def _of_best(y: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the median of the best of 1, 2, … of the values' distribution, and the ends of its band."""
    from scipy import special

    n = len(y)
    values = np.sort(y)
    tail, i = _level(n) / 2, np.arange(1, n + 1)
    # With 95 % probability the share below the i-th smallest value is between these, for every i.
    least, most = special.betaincinv(i, n - i + 1, tail), special.betaincinv(i, n - i + 1, 1 - tail)
    wanted = 0.5 ** (1 / i)  # The best of k is below the q-th quantile with probability q^k.

    def quantile(reached: Floats, beyond: float) -> Floats:
        place = np.searchsorted(reached, wanted - 1e-12)
        return np.append(values, beyond)[place]

    low = np.append(-math.inf, values)[np.searchsorted(most, wanted, side="left")]
    return quantile(i / n, values[-1]), low, quantile(least, math.inf)


@functools.lru_cache(maxsize=8)
def _level(n: int) -> float:
    """Return the level of each interval with which all n of them hold together in 95 % of samples."""
    from scipy import special

    draws = max(_LEAST_DRAWS, min(_MOST_DRAWS, _NUMBERS // n))
    drawn = np.sort(np.random.default_rng(0).random((draws, n)), axis=1)
    i = np.arange(1, n + 1)
    below = special.betainc(i, n - i + 1, drawn)
    return float(np.quantile(2 * np.minimum(below, 1 - below).min(axis=1), 1 - _CONFIDENCE))
