import math

import pytest

from mnist_exp.evaluation.axes import UPPER_LEFT, Axes, around, ticks, words
from mnist_exp.evaluation.canvas import Canvas


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0.09, 0.52, 10, ["0.10", "0.15", "0.20", "0.25", "0.30", "0.35", "0.40", "0.45", "0.50"]),
        (-1.05, 1.05, 5, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
        (0, 7, 8, ["0", "1", "2", "3", "4", "5", "6", "7"]),
        (0, 1e9, 4, ["0", "2.5e+08", "5e+08", "7.5e+08", "1e+09"]),
        (2e-9, 8e-9, 3, ["2e-09", "4e-09", "6e-09", "8e-09"]),
        (0.9712, 0.9716, 4, ["0.9712", "0.9713", "0.9714", "0.9715", "0.9716"]),
    ],
)
def test_ticks_are_round_and_have_as_many_decimals_as_they_need(low, high, most, expected):
    values = ticks(low, high, most)
    assert words(values) == expected
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in values)


@pytest.mark.parametrize("epochs", [1, 2, 3, 10, 77, 1000])
def test_ticks_of_epochs_are_whole_numbers(epochs):
    values = ticks(*around(range(1, epochs + 1)), 5, 1.0)
    assert values and all(value == round(value) for value in values)
    assert len(values) <= 6


@pytest.mark.parametrize("values", [[], [math.nan], [0.5], [0.0, 0.0], [1e308, -1e308], [math.inf, 2.0], [-3.0, 1e-12]])
def test_any_values_have_a_range(values):
    low, high = around(values)
    assert math.isfinite(high - low) and low < high
    finite = [min(max(value, -1e300), 1e300) for value in values if math.isfinite(value)]
    assert all(low <= value <= high for value in finite)
    assert words(ticks(low, high, 6))


def test_values_are_placed_where_their_range_says():
    axes = Axes(Canvas(200, 100), (10, 20, 110, 80), (0, 1), (0, 2))
    assert axes.place(0.5, 1) == (60, 50)
    upside_down = Axes(Canvas(200, 100), (10, 20, 110, 80), (0, 1), (2, 0))
    assert upside_down.place(0, 0) == (10, 20)
    logarithm = Axes(Canvas(200, 100), (10, 20, 110, 80), (0, 1), (1, 100), is_log=True)
    assert logarithm.y(10) == 50


def test_legend_goes_where_it_covers_nothing():
    axes = Axes(Canvas(900, 360), (64, 36, 432, 310), (0, 1), (0, 1))
    falling = [axes.place(x, 1 - x) for x in (0, 1)]
    rising = [axes.place(x, x) for x in (0, 1)]
    names = ["training", "validation"]
    assert axes.free_place(names, [falling]) == (1, 0)
    assert axes.free_place(names, [rising]) == UPPER_LEFT
    assert axes.free_place(names, [falling, rising]) == (1, 0.5)
    assert axes.free_place(names, [[], []]) == (1, 0)
