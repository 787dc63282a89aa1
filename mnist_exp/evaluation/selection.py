"""What the choice of the best does to its value: how much of that is expected to be luck; an interval without luck."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from mnist_exp.evaluation.statistical_tests import CONFIDENCE, half_width

_PLACES, _STEPS = 200, 300
_NO_SPREAD = 1e-6  # relative to the largest value: equal accuracies differ by their rounding


def expected_optimism(values: Sequence[float], errors: Sequence[float], chosen: int) -> float:
    """Return how far the best of several measured values is expected to lie above the true value behind it.

    The true values are taken for draws from one distribution, of any form: a few very poor ones say nothing of how
    alike the good ones are. It is estimated from the measured ones. The answer is the best value minus the mean of what
    may be behind it, 0 at least.

    Args:
        values: measured, more is better, two at least.
        errors: the standard error of each, above 0.
        chosen: position of the best.
    Source: Efron 2011, Tweedie's Formula and Selection Bias, JASA 106, 1602–1614; the distribution by maximum
        likelihood (Kiefer & Wolfowitz 1956), by the EM algorithm as in Jiang & Zhang 2009, Annals of Statistics 37,
        1647–1684.
    """
    y, error = np.asarray(values, float)[:, np.newaxis], np.asarray(errors, float)[:, np.newaxis]
    places = np.linspace(y.min(), y.max(), _PLACES)
    logarithm = -0.5 * ((y - places) / error) ** 2
    likelihood = np.exp(logarithm - logarithm.max(axis=1, keepdims=True))
    share = np.full(_PLACES, 1 / _PLACES)
    for _ in range(_STEPS):
        of_each = likelihood * share
        share = (of_each / of_each.sum(axis=1, keepdims=True)).mean(axis=0)
    behind = likelihood[chosen] * share
    return max(float(y[chosen, 0] - behind @ places / behind.sum()), 0.0)


def errors_of_shares(shares: Sequence[float], images: int) -> list[float]:
    """Return the standard errors of shares of so many images; of none and of all as if half an image were different."""
    least = 0.5 / images
    inside = (min(max(share, least), 1 - least) for share in shares)
    return [math.sqrt(share * (1 - share) / images) for share in inside]


def means_and_errors(groups: Sequence[Mapping[str, float]]) -> tuple[list[float], list[float]]:
    """Return the mean of each group and its standard error; no errors where there is no spread to tell them.

    What a seed does to all groups alike, as by its hold-out, is taken out by least squares, for not all groups need
    have the same seeds. The spread within all groups is pooled: a group of one has the spread of the others.

    Args:
        groups: the values of each, by seed.
    Source: the additive model of a randomized block design, Fisher 1935, The Design of Experiments.
    """
    plain = [fmean(group.values()) for group in groups]
    seeds = {seed: place for place, seed in enumerate(dict.fromkeys(seed for group in groups for seed in group))}
    cells = [(place, seeds[seed], value) for place, group in enumerate(groups) for seed, value in group.items()]
    design = np.zeros((len(cells), len(groups) + len(seeds)))
    values = np.array([value for _, _, value in cells])
    for row, (place, seed, _) in enumerate(cells):
        design[row, place] = design[row, len(groups) + seed] = 1
    fitted, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    if rank < len(groups) + len(seeds) - 1 or rank >= len(cells):  # They do not share enough seeds.
        design[:, len(groups) :] = 0
        fitted, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    free = len(cells) - rank
    squares = float(((values - design @ fitted) ** 2).sum())
    if free < 1 or squares <= len(cells) * (_NO_SPREAD * float(np.abs(values).max())) ** 2:
        return plain, []
    effects = fitted[: len(groups)]
    means = effects - effects[0] + plain[0]
    return means.tolist(), [math.sqrt(squares / free / len(group)) for group in groups]


def interval_of_shares(shares: Sequence[float], images: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean share of images, each one of a model of another seed, on the same images.

    Both the images and the seeds are a sample. The two halves of the interval are the roots of the sums of squares of
    what each contributes.

    Args:
        shares: one for each seed.
        images: how many they are shares of.
    Source: Wilson 1927, JASA 22, 209–212; Zou & Donner 2008, Statistics in Medicine 27, 1693–1702.
    """
    from scipy import stats

    mean = fmean(shares)
    of_images = stats.binomtest(round(mean * images), images).proportion_ci(CONFIDENCE, method="wilson")
    of_seeds = half_width(shares) if len(shares) > 1 else 0.0
    low, high = (math.hypot(mean - end, of_seeds) for end in (of_images.low, of_images.high))
    return max(mean - low, 0.0), min(mean + high, 1.0)
