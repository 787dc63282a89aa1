"""A search ends when its budget is spent, says so, and goes on with more."""

import pytest
from sweeps_as_data import sweep_as_data

SMALL = ["data=mnist_5k", "data.limit=300", "data.validation=0.2", "model.dense_units=8", "trainer.epochs=2"]
SEARCH = ["model.dropout=interval(0,0.7)", "sweep.sampler=random", "sweep.n_trials=9"]


def sweep(*words, code=0):
    return sweep_as_data(*SMALL, *words, code=code)


@pytest.mark.slow
def test_budget_of_epochs_ends_a_search_and_more_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    document, told = sweep(*SEARCH, "sweep.budget_epochs=5")
    assert document["status"] == "FINISHED"
    assert document["budget"]["epochs"] == {"spent": 6, "of": 5}  # One epoch less than a trial beyond it.
    assert document["budget"]["ended"]
    done = [job for job in document["jobs"] if job["outcome"] == "done"]
    assert sum(job["epochs"] for job in done if not job["reused"]) == 6
    assert document["counts"]["left"] == 6
    assert "budget  6 of 5 epochs spent" in told
    assert "sweep.budget_epochs=5 ended the search: to go on, run the same command again with more" in told
    again, told = sweep(*SEARCH, "sweep.budget_epochs=5")
    assert again["budget"] == document["budget"] | {"seconds": again["budget"]["seconds"]}
    assert again["run_id"] == document["run_id"]
    more, told = sweep(*SEARCH, "sweep.budget_s=1000")
    assert not more["budget"]["ended"]
    assert more["counts"]["left"] == 0
    assert more["budget"]["seconds"]["spent"] > document["budget"]["seconds"]["spent"] > 0
    assert sum(job["outcome"] in ("done", "repeated") for job in more["jobs"]) == 9


def test_budget_of_a_grid_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    document, told = sweep("seed=1,2", "sweep.budget_epochs=5", code=2)
    assert "sweep.budget_epochs=5 needs a search, and this is a grid, which runs all its jobs" in told
    assert document["budget"] is None
