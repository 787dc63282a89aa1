"""Searches whose trials are paused and promoted, and whose best go on: as their user sees them, to the last bit."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import killed_searches
import pytest

pytestmark = pytest.mark.slow


def search(folder, *words, code=0):
    command = [sys.executable, "-m", "mnist_exp.run", "-m", *killed_searches.SEARCH, *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search of two workers at its end: its folder, and its JSON."""
    folder = tmp_path_factory.mktemp("search")
    return folder, json.loads(search(folder, "sweep.n_trials=9", "trainer.epochs=3", "--json"))


def test_promoted_trials_equal_those_trained_without_a_stop(searched, tmp_path):
    folder, document = searched
    promoted = [job for job in document["jobs"] if job["promoted_at"]]
    assert promoted and all(job["promoted_at"] == [1] and job["epochs"] == 3 for job in promoted)
    assert document["counts"]["done"] + document["counts"]["pruned"] == 9
    assert killed_searches.differences(folder, tmp_path / "whole", 9) == []
    (parent,) = (run for run in killed_searches.every_run(folder) if "mnist_exp.sweep" in run.data.tags)
    board = Path(killed_searches.client(folder).download_artifacts(parent.info.run_id, "leaderboard.csv")).read_text()
    listed = {row["run_id"]: row["promoted_at"] for row in csv.DictReader(io.StringIO(board))}
    assert {run_id for run_id, at in listed.items() if at == "1"} == {job["run_id"] for job in promoted}


def test_after_the_search_the_checkpoints_of_its_best_stay_and_the_best_go_on(searched, tmp_path):
    folder, document = searched
    values = {job["run_id"]: job["objective"] for job in document["jobs"]}  # Stopped or not.
    best = sorted(values.values(), reverse=True)
    stay = [path.name for path in (folder / "unfinished").iterdir() if path.name != "sweeps"]
    assert sorted((values[run_id] for run_id in stay), reverse=True) == best[:3]
    words = ("sweep.n_trials=9", "trainer.epochs=5", "sweep.finish_best=2")
    announced = "the best 2 trials of the search of trainer.epochs=3 go on to epoch 5"
    planned = search(folder, *words, "sweep.dry_run=true")
    assert announced in planned
    assert "2 jobs, 4 epochs" in planned
    told = search(folder, *words)
    assert announced in told
    longer = [run for run in killed_searches.jobs(folder) if "mnist_exp.started_from" in run.data.tags]
    sources = [run.data.tags["mnist_exp.started_from"] for run in longer]
    assert set(sources) <= set(stay)
    assert sorted((values[run_id] for run_id in sources), reverse=True) == best[:2]
    others = killed_searches.alone(tmp_path / "whole", longer)
    for run in longer:
        other = others[run.data.tags["mnist_exp.job_key"]]
        assert killed_searches.curves(folder, run) == killed_searches.curves(tmp_path / "whole", other)
        assert run.data.tags["mnist_exp.weights_sha256"] == other.data.tags["mnist_exp.weights_sha256"]
    assert len(killed_searches.jobs(folder)) == 11, "no other trial is run"
    assert "2 of them done before" in search(folder, *words)
    assert len(killed_searches.jobs(folder)) == 11
