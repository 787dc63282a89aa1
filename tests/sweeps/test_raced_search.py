"""A search that races seeds, from end to end: what it runs, goes on with, says and records."""

import json

import pytest
from real_runs import SMALL, Running

from mnist_exp.tracking import names

pytestmark = pytest.mark.slow
SEARCH = ["--json", "-m", *SMALL, "data.limit=300", "data.validation=0.2", "data.reporting=0.2", "trainer.epochs=1",
          "model.dropout=interval(0.1,0.4)", "sweep.sampler=random", "seed=3", "sweep.seeds=3"]  # fmt: skip


def done(*words):
    running = Running("mnist_exp.run", *SEARCH, *words)
    running.end_with(0, seconds=400)
    return json.loads("".join(running.out))


def test_search_races_seeds_goes_on_and_tells_its_luck(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = done("sweep.n_trials=6")
    assert first["counts"]["done"] == 6
    document = done("sweep.n_trials=10")
    assert document["run_id"] == first["run_id"], "it is the same search"
    assert (document["counts"]["done"], sum(job["reused"] for job in document["jobs"])) == (10, 6)
    pairs = [(job["options"]["model.dropout"], job["options"]["seed"]) for job in document["jobs"]]
    assert len(set(pairs)) == 10
    assert sum(seed == 3 for _, seed in pairs) >= 5
    best, second, *others = document["configurations"]
    assert best["seeds"] == second["seeds"] == 3
    assert all(one["seeds"] < 3 for one in others)
    selected, tags = document["selected"], document["tags"]
    assert selected["value"] == best["mean"]
    assert selected["report_images"] == 60
    assert selected["interval"][0] < selected["reported"] < selected["interval"][1]
    assert tags[names.RACED_FROM] == "3"
    assert "compared on the seeds after the first (3)" in tags[names.VERDICT]
    assert document["metrics"][names.BEST_REPORTED] == pytest.approx(selected["reported"])
    report = Running("mnist_exp.report", "--sweep", document["run_id"])
    report.end_with(0)
    said = "".join(report.out)
    assert "in the final of the race" in said
    assert "images that nothing was selected on" in said
