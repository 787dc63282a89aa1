"""A search that promotes paused trials, its workers and its launching process killed at random: nothing is lost."""

import random

import killed_searches
import pytest


@pytest.mark.slow
def test_trials_of_a_search_that_is_killed_equal_those_trained_alone(tmp_path):
    cut = tmp_path / "cut"
    cut.mkdir()
    told = killed_searches.killed(cut, 6, random.Random(3), "sweep.n_trials=9")
    assert {"worker", "search"} <= set(told)
    assert "promoted" in killed_searches.said(cut)
    assert killed_searches.differences(cut, tmp_path / "whole", 9) == []
