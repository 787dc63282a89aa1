"""The configurations of a sweep over seeds."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp.sweeps.outcome import configurations
from mnist_exp.sweeps.outcome.leaderboard import Row

KEYS = ["model.filters", "seed"]


def job(filters, seed, score, **metrics):
    values = {"model.filters": filters, "seed": seed}
    return Row(f"filters={filters}", values, outcome="done", objective=score, metrics=metrics, seconds=2.0)


def test_a_lucky_seed_does_not_make_its_configuration_the_best():
    rows = [job("4", "1", 0.99), job("4", "2", 0.80), job("8", "1", 0.93), job("8", "10", 0.91), job("8", "2", 0.92)]
    best, other = configurations.by_mean(rows, KEYS, "maximize")
    assert best.values == {"model.filters": "8"}
    assert [each.values["seed"] for each in best.jobs] == ["1", "2", "10"]
    assert best.words("val_accuracy") == "filters=8: mean val_accuracy 0.9200 ± 0.0100 over 3 seeds"
    low, high = best.interval
    assert low == pytest.approx(0.8952, abs=1e-4) and high == pytest.approx(0.9448, abs=1e-4)
    assert other.mean == pytest.approx(0.895)


def test_smaller_means_come_first_where_the_objective_is_minimized():
    rows = [job("4", "1", 0.2), job("4", "2", 0.4), job("8", "1", 0.1), job("8", "2", 0.3)]
    assert [one.values["model.filters"] for one in configurations.by_mean(rows, KEYS, "minimize")] == ["8", "4"]


def test_the_final_of_a_race_comes_before_luckier_points_with_fewer_seeds():
    rows = [job("4", "1", 0.99), *(job("8", seed, 0.9) for seed in "123"), *(job("2", seed, 0.91) for seed in "123")]
    raced = configurations.by_mean(rows, KEYS, "maximize", is_raced=True)
    assert [one.values["model.filters"] for one in raced] == ["2", "8", "4"]
    assert configurations.by_mean(rows, KEYS, "maximize")[0].values["model.filters"] == "4", "a grid: by mean alone"


def test_race_without_a_final_compares_on_the_seed_that_all_have():
    alone = job("4", "1", 0.93)
    rows = [alone, job("8", "1", 0.94), job("8", "2", 0.9), job("8", "3", 0.91)]
    raced = configurations.by_mean(rows, KEYS, "maximize", is_raced=True)
    assert [one.values["model.filters"] for one in raced] == ["8", "4"]
    assert raced[0].mean < raced[1].mean, "a lucky single value is no reason to come first"
    rows[1] = job("8", "1", 0.92)
    assert configurations.by_mean(rows, KEYS, "maximize", is_raced=True)[0].jobs == [alone]


@pytest.mark.parametrize(
    ("keys", "rows"),
    [
        (["model.filters"], [job("4", "1", 0.9), job("8", "1", 0.8)]),
        (KEYS, [job("4", "1", 0.9), job("8", "1", 0.8)]),
        (KEYS, [job("4", "1", 0.9), job("4", "2", 0.8)]),
        (KEYS, []),
    ],
    ids=["no seeds swept", "one seed each", "one configuration", "nothing done"],
)
def test_jobs_are_ranked_where_there_is_nothing_to_average(keys, rows):
    assert configurations.by_mean(rows, keys, "maximize") == []


def test_table_has_a_line_for_each_configuration():
    rows = [job("4", "1", 0.9, test_accuracy=0.8), job("4", "2", 0.7, test_accuracy=0.6), job("8", "1", 0.5)]
    head, lines = configurations.table(configurations.by_mean(rows, KEYS, "maximize"), KEYS, "val_accuracy")
    assert head == ["rank", "filters", "seeds", "val_accuracy", "± std", "95 % interval", "test_accuracy", "time"]
    assert lines[0][:5] == ["1", "4", "2", "0.8000", "0.1414"]
    assert lines[0][6:] == ["0.7000", "2.0 s"]
    assert lines[1] == ["2", "8", "1", "0.5000", "-", "-", "nan", "2.0 s"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.floats(0, 1)), unique_by=lambda e: e[:2]))
def test_every_job_is_counted_once_and_means_descend(scores):
    found = configurations.by_mean([job(name, str(seed), score) for name, seed, score in scores], KEYS, "maximize")
    if found:
        assert sum(len(one.jobs) for one in found) == len(scores)
        means = [one.mean for one in found]
        assert means == sorted(means, reverse=True)
        for one in found:
            expected = [score for name, _, score in scores if name == one.values["model.filters"]]
            assert one.mean == pytest.approx(statistics.fmean(expected))
