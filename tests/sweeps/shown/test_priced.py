"""A sweep tells its price before it starts: epochs, time, disk, and the smallest difference that it could tell."""

from pathlib import Path

import pytest
from sweeps_as_data import sweep_as_data

pytestmark = pytest.mark.slow

SMALL = ["data=mnist_5k", "data.limit=600", "data.validation=0.2", "model.dense_units=8", "trainer.epochs=2"]


def sweep(*words, code=0):
    return sweep_as_data(*SMALL, *words, code=code)


def test_price_is_measured_at_first_and_then_known_of_earlier_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    grid = ["model.filters=2,8", "seed=1,2"]
    planned, told = sweep(*grid, "sweep.dry_run=true")
    price = planned["price"]
    assert not Path("mlflow.db").exists()
    assert (price["jobs"], price["epochs"], price["likely_epochs"]) == (4, 8, 8)
    assert price["time"]["runs"] == 0
    assert "measured now" in price["time"]["basis"]
    assert "a few steps are measured now" in told
    assert 0 < price["time"]["low_s"] < price["time"]["seconds"] < price["time"]["high_s"] < 3600
    assert price["disk"]["fits"]
    assert (price["smallest_difference"]["seeds"], price["smallest_difference"]["comparisons"]) == (2, 1)

    done, _ = sweep(*grid)
    assert done["price"] is None
    written = sum(path.stat().st_size for path in Path("mlartifacts").rglob("*") if path.is_file())
    assert price["disk"]["bytes"] / 1.5 < written < price["disk"]["bytes"] * 1.5

    planned, told = sweep("model.filters=2,8", "seed=1,2,3", "sweep.dry_run=true")
    price = planned["price"]
    assert price["jobs"] == 2  # The others are done.
    assert price["time"]["runs"] == 4
    assert "4 earlier runs of the kind here" in price["time"]["basis"]
    assert "measured" not in told
    assert "a spread of" in price["smallest_difference"]["words"]
    planned, _ = sweep(*grid, "sweep.dry_run=true")
    assert planned["price"] is None  # Nothing is left to do.
    planned, told = sweep("model.filters=2,8", "seed=1,2,3", "sweep.dry_run=jobs")
    assert planned["price"] is None
    assert "2 to do; nothing was run (sweep.dry_run=jobs)" in told


def test_price_of_a_search_reckons_with_its_pruner(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    search = ["model.filters=range(2,8)", "sweep.sampler=random", "sweep.n_trials=6", "sweep.pruner=asha"]
    planned, told = sweep(*search, "trainer.epochs=9", "sweep.dry_run=true")
    price = planned["price"]
    assert (price["jobs"], price["epochs"]) == (6, 54)
    assert 6 < price["likely_epochs"] < 54
    assert f"at most 54 epochs; about {price['likely_epochs']} with asha" in told
    assert price["smallest_difference"]["comparisons"] == 15


@pytest.mark.parametrize("kept", ["study.journal", "sqlite:///study.db"])
def test_price_of_what_is_left_of_a_budget(tmp_path, monkeypatch, kept):
    monkeypatch.chdir(tmp_path)
    search = ["model.filters=range(2,8)", "sweep.sampler=random", "sweep.n_trials=6", "trainer.epochs=1"]
    limits = [f"sweep.storage={kept}", "sweep.budget_epochs=3"]
    planned, _ = sweep(*search, *limits, "sweep.dry_run=true")
    assert planned["price"]["epochs"] == 3
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith("study")] == []
    sweep(*search, *limits)
    more, told = sweep(*search, limits[0], "sweep.budget_epochs=5", "sweep.dry_run=true")
    assert (more["price"]["jobs"], more["price"]["epochs"]) == (3, 2), told
