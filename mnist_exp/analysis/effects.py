"""Effects of options on the objective, and of pairs of them: their share of the variance, and their size."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Effect:
    """The effect of an option, or of the interaction of two.

    Args:
        options: one or two.
        share: of the variance of the objective over the space.
        low: lower end of the 90 % interval of the share.
        high: upper end.
        size: the difference between the highest and the lowest mean of the objective that the options lead to.
        is_noise: whether chance alone may do as much; None if that is not known.
        applies_to: number of runs that have these options, where not all do; else None.
    """

    options: tuple[str, ...]
    share: float
    low: float
    high: float
    size: float
    is_noise: bool | None
    applies_to: int | None = None


@dataclass(frozen=True)
class Dependence:
    """The mean of the objective for each value of an option, over all values of the others.

    Args:
        option: its name.
        values: of the option, as written; numbers between those that were tried, too.
        mean: of the objective.
        low: lower end of its interval: 95 % where it is measured, 90 % of the trees where it is a model's.
        high: upper end.
    """

    option: str
    values: Sequence[str]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True)
class Step:
    """One step of a path from the defaults to the best point.

    Args:
        option: that is changed; empty at the beginning.
        value: that it gets.
        objective: after that.
    """

    option: str
    value: str
    objective: float
