"""Axes on a canvas: ranges, ticks, grid, and where a value is."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

from mnist_exp.evaluation.canvas import GRID, Canvas, Colour, Entry, legend_size, text_width

# Where a legend is: the shares of the free space on its left and above it.
Place = tuple[float, float]

UPPER_LEFT: Place = (0.0, 0.0)
_PLACES: tuple[Place, ...] = ((1, 0), (0, 0), (0, 1), (1, 1), (1, 0.5), (0, 0.5), (0.5, 0), (0.5, 1), (0.5, 0.5))
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_MARGIN = 0.05  # share of the range that is left free at both ends
_BETWEEN, _MANY = 8, 50  # points between two of a curve, where it has no more than so many
_LARGEST = 1e300  # A range of larger values is no number.
_TICK = 5  # pixels
_TICKS_APART = (70, 27)  # pixels, along x and along y


class Axes:
    """A pair of axes in a box of a canvas.

    Args:
        canvas: to draw on.
        box: left, upper, right and lower end, in pixels.
        x_range: of the values.
        y_range: of the values.
        is_log: whether y is drawn by its logarithm; its range must be above 0.
    """

    def __init__(
        self, canvas: Canvas, box: tuple[float, float, float, float], x_range: tuple[float, float],
        y_range: tuple[float, float], *, is_log: bool = False,
    ) -> None:  # fmt: skip
        self.canvas = canvas
        self.left, self.top, self.right, self.bottom = (round(side) for side in box)
        self._x, self._y, self._is_log = x_range, y_range, is_log

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a pair of values is, in pixels."""
        return self.x(x), self.y(y)

    def x(self, value: Any) -> Any:
        """Return the column of a value, or of an array of values."""
        low, high = self._x
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: Any) -> Any:
        """Return the row of a value, or of an array of values where y is no logarithm."""
        low, high = self._y
        if self._is_log:
            value, low, high = (math.log10(max(each, 1e-300)) for each in (value, low, high))
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)

    def grid(self, *, whole_x: bool = False) -> None:
        """Draw the lines of all ticks; before what is drawn in the axes."""
        xs, ys = self._ticks(whole_x)
        for value in xs:
            self.canvas.rectangle(self.x(value), self.top, self.x(value), self.bottom, GRID)
        for value in ys:
            self.canvas.rectangle(self.left, self.y(value), self.right, self.y(value), GRID)

    def frame(self, *, whole_x: bool = False, y_ticks: bool = True) -> None:
        """Draw the frame, and the ticks with their values; after what is drawn in the axes.

        Args:
            whole_x: whether x has ticks at whole numbers only.
            y_ticks: whether y has any.
        """
        xs, ys = self._ticks(whole_x)
        self.mark_x(xs, words(xs))
        if y_ticks:
            self.mark_y(ys, [f"{value:g}" for value in ys] if self._is_log else words(ys))

    def scale(self, text: str) -> None:
        """Draw the frame, with ticks and what they mean on the right, as a scale of colours has them."""
        self._edge()
        values = ticks(*self._y, max(2, (self.bottom - self.top) // _TICKS_APART[1]), 1.0)
        labels = words(values)
        for value, label in zip(values, labels, strict=True):
            y = self.y(value)
            self.canvas.rectangle(self.right, y, self.right + _TICK, y, "black")
            self.canvas.text(self.right + _TICK + 4, y, label, anchor="lm")
        beside = max(map(text_width, labels), default=0.0)
        self.canvas.text(self.right + beside + 22, (self.top + self.bottom) / 2, text, turned=90)

    def mark_x(self, values: Sequence[float], labels: Sequence[str], *, turned: int = 0, points: float = 10) -> None:
        """Draw the frame, and ticks of x with given labels; turned by less than 90 degrees, they end at the tick."""
        self._edge()
        for value, label in zip(values, labels, strict=True):
            x = self.x(value)
            self.canvas.rectangle(x, self.bottom, x, self.bottom + _TICK, "black")
            anchor = "ra" if 0 < turned < 90 else "ma"
            self.canvas.text(x, self.bottom + _TICK + 4, label, points=points, anchor=anchor, turned=turned)

    def mark_y(self, values: Sequence[float], labels: Sequence[str], *, points: float = 10) -> None:
        """Draw the frame, and ticks of y with given labels."""
        self._edge()
        for value, label in zip(values, labels, strict=True):
            y = self.y(value)
            self.canvas.rectangle(self.left - _TICK, y, self.left, y, "black")
            self.canvas.text(self.left - _TICK - 4, y, label, points=points, anchor="rm")

    def title(self, text: str, points: float = 12) -> None:
        """Write the title."""
        self.canvas.text((self.left + self.right) / 2, self.top - 8, text, points=points, anchor="md")

    def label_x(self, text: str, below: float = 36) -> None:
        """Write what x is, so many pixels below the axes."""
        self.canvas.text((self.left + self.right) / 2, self.bottom + below, text)

    def label_y(self, text: str, beside: float) -> None:
        """Write what y is, so many pixels to the left of the axes."""
        self.canvas.text(self.left - beside, (self.top + self.bottom) / 2, text, turned=90)

    def curve(self, xs: Sequence[float], ys: Sequence[float], colour: Colour, radius: float = 2.2) -> None:
        """Draw values as points with a line through them; what is not finite interrupts it."""
        parts: list[list[tuple[float, float]]] = [[]]
        for x, y in zip(xs, ys, strict=True):
            if math.isfinite(y):
                parts[-1].append(self.place(x, y))
            elif parts[-1]:
                parts.append([])
        for part in parts:
            self.canvas.line(part, colour)
            self.canvas.dots(part, colour, radius)

    def free_place(self, labels: Sequence[str], curves: Sequence[Sequence[tuple[float, float]]]) -> Place:
        """Return where a legend covers least of curves, which are given as positions."""
        width, height = legend_size(labels)
        points = [point for curve in curves for point in _along(curve)]

        def covered(place: Place) -> int:
            left, top = self._put(place, width, height)
            return sum(left - 4 <= x <= left + width + 4 and top - 4 <= y <= top + height + 4 for x, y in points)

        return min(_PLACES, key=covered)

    def legend(self, entries: Sequence[Entry], place: Place, points: float = 10) -> None:
        """Draw a legend; its entries are those of `Canvas.legend`."""
        width, height = legend_size([label for label, _, _ in entries], points)
        self.canvas.legend(entries, *self._put(place, width, height), points)

    def _put(self, place: Place, width: float, height: float) -> tuple[float, float]:
        """Return the upper left corner of a box in the axes."""
        across, down = place
        free = (self.right - self.left - 14 - width, self.bottom - self.top - 14 - height)
        return self.left + 7 + across * free[0], self.top + 7 + down * free[1]

    def _edge(self) -> None:
        self.canvas.rectangle(self.left, self.top, self.right, self.bottom, outline="black")

    def _ticks(self, whole_x: bool) -> tuple[list[float], list[float]]:
        xs = ticks(*self._x, max(2, (self.right - self.left) // _TICKS_APART[0]), 1.0 if whole_x else 0.0)
        if self._is_log:
            low, high = (math.log10(value) for value in self._y)
            return xs, [10.0**power for power in range(math.ceil(low), math.floor(high) + 1)]
        return xs, ticks(*self._y, max(2, (self.bottom - self.top) // _TICKS_APART[1]))


def _along(curve: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points of a curve, and some between each two."""
    if len(curve) > _MANY:
        return list(curve)
    shares = [number / _BETWEEN for number in range(_BETWEEN)]
    between = [(x + (u - x) * s, y + (v - y) * s) for (x, y), (u, v) in itertools.pairwise(curve) for s in shares]
    return [*between, *curve[-1:]]


def around(values: Sequence[float]) -> tuple[float, float]:
    """Return a range in which all finite values lie, with a margin; from 0 to 1 where there is none."""
    finite = [min(max(value, -_LARGEST), _LARGEST) for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    margin = _MARGIN * (high - low)
    if margin <= 1e-9 * max(abs(low), abs(high)):  # Also where they are all the same.
        margin = _MARGIN * abs(low) or _MARGIN
    return low - margin, high + margin


def ticks(low: float, high: float, most: int, least_step: float = 0.0) -> list[float]:
    """Return round values in a range.

    Args:
        low: end of the range.
        high: end of the range.
        most: how many at the most.
        least_step: between two of them; 1 for whole numbers.
    """
    raw = max((high - low) / most, least_step, 1e-300)
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(each * size for each in _STEPS if each * size >= raw * (1 - 1e-9))
    if least_step:
        step = float(math.ceil(step - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def words(values: Sequence[float]) -> list[str]:
    """Return the values of ticks as texts, all with as many decimals as the step between them has."""
    if len(values) < 2:
        return [f"{value:.4g}" for value in values]
    step, largest = values[1] - values[0], max(map(abs, values))
    if largest >= 1e6 or step < 1e-5:
        return [f"{value:.4g}" for value in values]
    decimals = next(count for count in range(8) if abs(round(step, count) - step) < 1e-6 * step)
    return [f"{round(value, decimals) + 0.0:.{decimals}f}" for value in values]
