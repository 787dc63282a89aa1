"""The largest jobs of a grid begin first where there are several workers, so that none is left over at the end."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp.sweeps import order
from mnist_exp.sweeps.outcome.leaderboard import Row


def rows(**options):
    keys = [name.replace("__", ".") for name in options]
    return [Row("", dict(zip(keys, values, strict=True))) for values in itertools.product(*options.values())]


def test_largest_come_first_and_equal_ones_keep_their_order():
    jobs = rows(model__filters=["8", "64", "16"], model__dropout=["0.1", "0.5"], seed=["1", "2"])
    found = [tuple(job.values.values()) for job in order.largest_first(jobs)]
    assert found[:4] == [("64", "0.1", "1"), ("64", "0.1", "2"), ("64", "0.5", "1"), ("64", "0.5", "2")]
    assert [filters for filters, _, _ in found[::4]] == ["64", "16", "8"]


@pytest.mark.parametrize(
    ("larger", "smaller"),
    [
        ({"trainer.epochs": "10"}, {"trainer.epochs": "9"}),
        ({"data.limit": "2000"}, {"data.limit": "1000"}),
        ({"model.filters": "[16, 32]"}, {"model.filters": "[16,16]"}),
        ({"model.filters": "8", "trainer.epochs": "5"}, {"model.filters": "16", "trainer.epochs": "2"}),
        ({"model.hidden_units": "[64,64]"}, {"model.hidden_units": "[64]"}),
    ],
)
def test_cost_grows_with_what_decides_it(larger, smaller):
    assert order.cost(larger) > order.cost(smaller)


@pytest.mark.parametrize("values", [{"seed": "7"}, {"model": "cnn"}, {"model.dropout": "0.5"}, {"model.x": "null"}, {}])
def test_other_options_decide_nothing(values):
    assert order.cost(values) == 1


@given(st.lists(st.dictionaries(st.sampled_from(["model.a", "trainer.epochs", "seed"]), st.text(max_size=8))))
def test_no_job_is_lost(values):
    jobs = [Row("", each) for each in values]
    found = order.largest_first(jobs)
    assert sorted(map(id, found)) == sorted(map(id, jobs))
