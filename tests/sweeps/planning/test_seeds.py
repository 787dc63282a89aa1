"""`sweep.seeds`: the axis of a grid, and the race of a search."""

import pytest

from mnist_exp.config.schema import SweepSettings
from mnist_exp.errors import SettingsError
from mnist_exp.search.parsing import parse
from mnist_exp.sweeps.planning import seeds


def space(*arguments):
    return parse({}, arguments, SweepSettings())


def test_grid_runs_each_combination_with_all_seeds():
    grid = seeds.added(space("model.filters=2,4", "seed=3"), 2, 3, is_search=False).grid()
    combinations = [["model.filters=2", "seed=3"], ["model.filters=2", "seed=4"]]
    assert [*grid] == [*combinations, ["model.filters=4", "seed=3"], ["model.filters=4", "seed=4"]]


def test_search_is_checked_with_the_first_seed_and_races_the_others():
    found = seeds.added(space("model.filters=2,4", "seed=3"), 3, 3, is_search=True)
    assert found.seeds == (3, 4, 5)
    assert found.keys == ("model.filters", "seed")
    assert all(corner[-1] == "seed=3" for corner in found.corners())
    assert "seed" not in {axis.key for axis in found.axes}


def test_one_seed_changes_nothing():
    plain = space("model.filters=2,4", "seed=3")
    assert seeds.added(plain, 1, 3, is_search=True) is plain


def test_seed_that_is_swept_over_too_is_refused():
    with pytest.raises(SettingsError, match=r"sweep\.seeds=5 tries the seeds 7, 8, … and seed is swept over"):
        seeds.added(space("seed=1,2"), 5, 7, is_search=False)
