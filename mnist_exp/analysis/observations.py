"""The results of a sweep as its analysis takes them: points, each with the objective of its runs."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mnist_exp.search.space import number

Floats = npt.NDArray[np.float64]
_WIDE = 8  # From the smallest to the largest value: below, a logarithmic scale is much like a linear one.


@dataclass(frozen=True)
class Observation:
    """One run that is done.

    Args:
        values: of the swept options without the seed, as written; an option that does not apply is absent.
        objective: finite.
    """

    values: Mapping[str, str]
    objective: float


@dataclass(frozen=True)
class Observations:
    """The runs of a sweep that are done, in the order in which they began.

    Args:
        runs: at least one.
        keys: the options to look at; each run has a value of each.
        logarithmic: those that were drawn on a logarithmic scale; None finds out by their values.
        drawn: those that were drawn from intervals.
    """

    runs: Sequence[Observation]
    keys: tuple[str, ...]
    logarithmic: Collection[str] | None = None
    drawn: Collection[str] = ()

    @cached_property
    def objectives(self) -> Floats:
        """Of each run."""
        return np.array([run.objective for run in self.runs])

    @cached_property
    def points(self) -> dict[tuple[str, ...], list[float]]:
        """The objectives of each point, whose values are in the order of the keys."""
        found: dict[tuple[str, ...], list[float]] = {}
        for run in self.runs:
            found.setdefault(tuple(run.values[key] for key in self.keys), []).append(run.objective)
        return found

    def levels(self, key: str) -> tuple[str, ...]:
        """Return the values of an option that occur: numbers by size, others in their order."""
        values = tuple(dict.fromkeys(run.values[key] for run in self.runs))
        return tuple(sorted(values, key=float)) if is_numeric(values) else values

    @property
    def is_full(self) -> bool:
        """Whether every combination of the values was tried, as a grid does."""
        if any(key in self.drawn for key in self.keys):
            return False
        return len(self.points) == math.prod(len(self.levels(key)) for key in self.keys)

    def covers(self, key: str, value: str) -> bool:
        """Tell whether a value was tried, or, in a search, is a number between those that were."""
        levels = self.levels(key)
        if value in levels or self.is_full or not is_numeric([*levels, value]):
            return value in levels
        return float(levels[0]) <= float(value) <= float(levels[-1])

    def best(self, *, maximize: bool) -> tuple[str, ...]:
        """Return the point with the best mean."""
        sign = 1 if maximize else -1
        return max(self.points, key=lambda point: sign * float(np.mean(self.points[point])))


def varied(runs: Sequence[Observation]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the options that differ between runs: those that every run has, and those that only some have."""
    keys = dict.fromkeys(key for run in runs for key in run.values)
    differing = [key for key in keys if len({run.values.get(key) for run in runs}) > 1]
    common = tuple(key for key in differing if all(key in run.values for run in runs))
    return common, tuple(key for key in differing if key not in common)


def is_numeric(values: Sequence[str]) -> bool:
    """Tell whether all values are numbers."""
    return all(number(value) is not None for value in values)


def is_logarithmic(values: Sequence[float]) -> bool:
    """Tell whether numbers lie evenly on a logarithmic scale rather than on a linear one."""
    low, high, middle = min(values), max(values), float(np.median(values))
    if low <= 0 or high < _WIDE * low:
        return False
    linear, logarithmic = (middle - low) / (high - low), math.log(middle / low) / math.log(high / low)
    return abs(logarithmic - 0.5) < abs(linear - 0.5)
