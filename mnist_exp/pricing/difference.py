"""The smallest difference between configurations that a sweep could tell apart, by the tests that it itself uses."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mnist_exp.config.schema import Settings
from mnist_exp.evaluation import statistical_tests
from mnist_exp.evaluation.statistical_tests import LEVEL, PAIRED, POWER
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

_ACCURACIES = (names.VAL_ACCURACY, "val_balanced_accuracy", "val_top_5_accuracy")
_SUPPOSED = 0.98  # an accuracy, where no earlier run tells one
_NOT_COMPARED = ("seed", "tags.", "tracking.", "sweep.", "trusted_modules")


@dataclass(frozen=True)
class Distinguishable:
    """The smallest difference that could be told apart.

    Args:
        difference: of the objective, found with a power of 80 % at the level of 5 % after the correction for all
            comparisons; None where nothing tells it.
        words: it, and by what, for people.
        seeds: of each configuration.
        comparisons: that are made together.
    """

    difference: float | None
    words: str
    seeds: int
    comparisons: int


@dataclass(frozen=True)
class _Spread:
    """The standard deviation over seeds, and of how many runs it is known."""

    std: float
    runs: int


def smallest(
    settings: Settings, configurations: int, seeds: int, val_images: int, runs: Sequence[StoredRun]
) -> Distinguishable:
    """Return the smallest difference that could be told apart.

    Args:
        settings: of a job.
        configurations: how many are compared.
        seeds: of each.
        val_images: that each is validated on.
        runs: earlier ones of the same kind, of any seeds.
    """
    comparisons = max(configurations * (configurations - 1) // 2, 1)
    level, objective = LEVEL / comparisons, settings.objective
    of_all = f", of all {comparisons:,} comparisons" if comparisons > 1 else ""
    found, spread = None, _spread(runs, objective)
    usual, supposed = _usual(runs, objective)
    if seeds > 1:
        if spread is not None:
            std, by = spread.std, f"a spread of {spread.std:.4f} over the seeds of {spread.runs} earlier runs"
        elif objective in _ACCURACIES:
            std = math.sqrt(usual * (1 - usual) / val_images)
            by = f"{val_images:,} validation images at an accuracy of {usual:.3g}{supposed}, if seeds add nothing"
        else:
            return _unknown(objective, seeds, comparisons)
        # The values of one seed belong together; what they have in common makes the difference smaller, not known yet.
        found = math.sqrt(2) * std * least_effect(seeds, level)
        words = f"{found:.2g} in {objective} between means over {seeds} seeds ({PAIRED}{of_all}; {by})"
    elif objective in _ACCURACIES:
        found = of_one_seed(usual, val_images, level)
        more = "; only seeds tell whether configurations differ and not only these models: 'seed=range(1,6)'"
        by = f"{val_images:,} validation images at an accuracy of {usual:.3g}{supposed}"
        words = f"{found:.2g} in {objective} between two models of one seed (McNemar's test{of_all}; {by}{more})"
    else:
        return _unknown(objective, seeds, comparisons)
    return Distinguishable(found, words, seeds, comparisons)


def least_effect(seeds: int, level: float) -> float:
    """Return the smallest difference that the paired t-test finds, by the standard deviation of the pairs' differences.

    Args:
        seeds: how many pairs there are, at least 2.
        level: of the test.
    Source: Cohen 1988, Statistical Power Analysis for the Behavioral Sciences, chapter 2.
    """
    low, high = 0.0, 1.0
    while statistical_tests.power(high, seeds, PAIRED, level) < POWER:
        low, high = high, high * 2
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if statistical_tests.power(middle, seeds, PAIRED, level) < POWER else (low, middle)
    return high


def of_one_seed(accuracy: float, images: int, level: float) -> float:
    """Return the smallest difference of two models' accuracies on the same images that McNemar's test finds.

    As if they erred independently of each other: models that err alike differ on fewer images, and the test finds less.

    Args:
        accuracy: of either, about.
        images: how many.
        level: of the test, two-sided.
    Source: Connor 1987, Biometrics 43, 207–211.
    """
    from scipy import special

    z, beta = -float(special.ndtri(level / 2)), float(special.ndtri(POWER))
    discordant = 2 * accuracy * (1 - accuracy)
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        share = max(discordant, middle)
        needed = (z * math.sqrt(share) + beta * math.sqrt(max(share - middle**2, 0.0))) ** 2 / max(middle**2, 1e-18)
        low, high = (middle, high) if needed > images else (low, middle)
    return high


def _unknown(objective: str, seeds: int, comparisons: int) -> Distinguishable:
    how = (
        "not known before earlier runs of these data have several seeds"
        if seeds > 1
        else ("not known with one seed: 'seed=range(1,6)'")
    )
    return Distinguishable(None, f"{how}: nothing else tells the spread of {objective}", seeds, comparisons)


def _usual(runs: Sequence[StoredRun], objective: str) -> tuple[float, str]:
    """Return the accuracy to reckon with, and a word where it is only supposed."""
    known = [value for run in runs if (value := _objective_of(run, objective)) is not None and 0 < value < 1]
    return (statistics.median(known), "") if known else (_SUPPOSED, " (supposed)")


def _spread(runs: Sequence[StoredRun], objective: str) -> _Spread | None:
    """Return the pooled standard deviation of runs that differ by their seeds only."""
    groups: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for run in runs:
        if (value := _objective_of(run, objective)) is not None:
            groups.setdefault(_configuration(run.params), {}).setdefault(run.params.get("seed", ""), value)
    several = [list(values.values()) for values in groups.values() if len(values) > 1]
    freedom = sum(len(values) - 1 for values in several)
    if freedom < 2:
        return None
    variance = sum(statistics.variance(values) * (len(values) - 1) for values in several) / freedom
    return _Spread(math.sqrt(variance), sum(map(len, several))) if variance > 0 else None


def _objective_of(run: StoredRun, objective: str) -> float | None:
    """Return the objective of a run that is done; None where it was another one."""
    return run.metrics[names.OBJECTIVE] if run.is_done and run.params.get("objective") == objective else None


def _configuration(params: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, value) for key, value in params.items() if not key.startswith(_NOT_COMPARED)))
