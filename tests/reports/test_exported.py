"""What a quantized model costs, in words."""

import pytest

from mnist_exp.evaluation.metrics import Interval
from mnist_exp.evaluation.paired_drop import Drop
from mnist_exp.inference.exporting.cost import Cost, Side
from mnist_exp.reports import exported


def cost(metric, value, low, high):
    side = Side(1000, 0.9, Interval(0.8, 0.95, ""), (1.0, 2.0))
    return Cost(1000, metric, side, side, Drop(value, low, high, "a test", 0.5), [], 0.0, [], 0.0, 200, False, 0)


@pytest.mark.parametrize(
    ("metric", "value", "does", "words"),
    [
        ("accuracy", 0.002, "drops", "a drop of 0.0020, 95 % interval from a gain of 0.0010 to a drop of 0.0050; "),
        ("accuracy", -0.0005, "rises", "a gain of 0.0005, 95 % interval from a gain of 0.0010 to a drop of 0.0050; "),
        ("accuracy", 0.0, "drops", "none, 95 % interval from a gain of 0.0010 to a drop of 0.0050; "),
        ("mae", 0.002, "rises", "a rise of 0.002, 95 % interval from a fall of 0.001 to a rise of 0.005; "),
        ("mae", -0.0005, "drops", "a fall of 0.0005, 95 % interval from a fall of 0.001 to a rise of 0.005; "),
    ],
)
def test_a_gain_is_called_a_gain(metric, value, does, words):
    found = cost(metric, value, -0.001, 0.005)
    assert exported.drop(found, None) == f"{words}a test: p = 0.5"
    assert found.change == does
