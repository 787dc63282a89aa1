"""One picture within a figure: the objective of jobs against one option."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from mnist_exp.analysis.effects import Dependence
from mnist_exp.search.space import number
from mnist_exp.sweeps.outcome.leaderboard import Row, in_order

LONGEST_TICK = 20
_LONGEST_NUMBER = 8
_MOST_TICKS = 8
_MOST_TEXTS = 12
_WIDE = 8  # From the smallest to the largest value: then the axis is logarithmic.
_FEW_DECADES = 100  # From the smallest to the largest value: then there is room for 2 and 5 between 1 and 10.


def against(axes: Axes, rows: Sequence[Row], key: str, dependence: Dependence | None = None) -> None:
    """Draw the objective of jobs against one option, and its mean.

    Args:
        axes: to draw on.
        rows: jobs that are done.
        key: the option.
        dependence: the mean over all values of the other options; None draws the mean of the jobs of each value.
    """
    values = in_order([row.values[key] for row in rows if key in row.values])
    numbers = [n for n in map(number, values) if n is not None]
    are_numbers = len(numbers) == len(values)
    place = dict(zip(values, numbers if are_numbers else map(float, range(len(values))), strict=True))
    x = [place[row.values[key]] for row in rows if key in row.values]
    y = [row.objective for row in rows if key in row.values]
    axes.scatter(x, y, s=16, alpha=0.6)
    if dependence is not None:
        _mean(axes, dependence, place, are_numbers=are_numbers)
    elif len(values) < len(x):
        means = [np.mean([b for a, b in zip(x, y, strict=True) if a == place[value]]) for value in values]
        axes.plot(list(place.values()), means, color="C1", linewidth=1.2, label="mean")
        axes.legend(fontsize=8)
    if are_numbers and min(numbers) > 0 and max(numbers) >= _WIDE * min(numbers):
        logarithmic(axes, min(numbers), max(numbers))
    # A search's numbers, 0.005057020226496487, would write over each other.
    if not are_numbers or (len(values) <= _MOST_TICKS and all(len(value) <= _LONGEST_NUMBER for value in values)):
        every = math.ceil(len(values) / _MOST_TEXTS)
        name_ticks(axes, list(place.values())[::every], values[::every])
        axes.minorticks_off()


def logarithmic(axes: Axes, low: float, high: float) -> None:
    """Make the x axis logarithmic, with numbers as people write them: 500, 1,000; 0.005, 0.01.

    Args:
        axes: whose x axis it is.
        low: least of its values, more than 0.
        high: greatest of its values.
    """
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < _FEW_DECADES * low else (1,)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _mean(axes: Axes, dependence: Dependence, place: dict[str, float], *, are_numbers: bool) -> None:
    """Draw the mean over all values of the other options, with its band."""
    values = dependence.values
    x = np.array([float(value) if are_numbers else place[value] for value in values])
    order = np.argsort(x)
    mean, low, high = (np.asarray(each)[order] for each in (dependence.mean, dependence.low, dependence.high))
    axes.plot(x[order], mean, color="C1", linewidth=1.2, label="mean over all others")
    axes.fill_between(x[order], low, high, color="C1", alpha=0.2)
    axes.legend(fontsize=8)


def name_ticks(axes: Axes, places: Sequence[float], names: Sequence[str]) -> None:
    """Write names at places of the horizontal axis; long ones slanted."""
    shown = [shorten(name, LONGEST_TICK) for name in names]
    axes.set_xticks(places, shown, parse_math=False)
    if max(map(len, shown)) > LONGEST_TICK // 2:
        for label in axes.get_xticklabels():
            label.set(rotation=35, ha="right", rotation_mode="anchor")


def shorten(text: str, longest: int) -> str:
    """Return a text with dots in its middle if it is longer."""
    return text if len(text) <= longest else f"{text[: longest // 2 - 1]}…{text[-(longest // 2) :]}"
