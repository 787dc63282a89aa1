"""Reuse of earlier results: which run counts for a job, and what its row says."""

import itertools
import json
import math
import socket

import pytest

from mnist_exp.config.schema import SweepSettings
from mnist_exp.experiment.own_code import Changes
from mnist_exp.runtime import processes
from mnist_exp.search.parsing import parse
from mnist_exp.sweeps.calls import reuse
from mnist_exp.sweeps.planning.plan import Plan, Planned
from mnist_exp.tracking.runs import StoredRun

NOBODY = f"{socket.gethostname()}/1/1.00"  # Process 1 started at another time.


def record(kind, key="k1", run_id=None):
    """Return a run as the store has it, with an outcome of this kind."""
    status = {"done": "FINISHED", "pruned": "FINISHED", "resultless": "FINISHED"}.get(kind, kind.upper())
    metrics = {"epochs": 3.0, "test_accuracy": 0.8}
    if kind in ("done", "pruned"):
        metrics["objective"] = 0.9
    tags = {"pruned": "true"} if kind == "pruned" else {}
    tags |= {"mlflow.runName": f"filters={kind}", "mnist_exp.command": f"python {kind}"}
    tags["mnist_exp.point"] = json.dumps({"model.filters": kind, "seed": "1", "gone": "x"})
    return stored(run_id or kind, status, metrics, {"trainer.epochs": "5"}, tags | {"mnist_exp.job_key": key})


def stored(run_id, status, metrics, params, tags):
    return StoredRun(run_id, "", "mnist_exp", status, params, metrics, tags, "sqlite:///none.db", seconds=12.5)


@pytest.fixture
def plan():
    space = parse({}, ["seed=3", "model.filters=16,32"], SweepSettings())
    jobs = [
        Planned(tuple(overrides), f"filters={number}", f"k{number}", number, 10, f"python {number}")
        for number, overrides in enumerate(space.grid(), start=1)
    ]
    return Plan(space, tuple(jobs), None, {}, "0", on_test=False, validated_on=100)


def rows_of_grid(plan, runs, retry_failed=False):
    return reuse.rows_of_grid(plan, runs, SweepSettings(retry_failed=retry_failed), Changes())


def test_jobs_without_an_earlier_run_are_left(plan):
    rows = rows_of_grid(plan, [], False)
    assert [(row.outcome, row.run_id, row.reused, row.epochs) for row in rows] == [("left", None, False, 0)] * 2
    assert [row.values for row in rows] == [{"model.filters": "16"}, {"model.filters": "32"}]
    assert [row.overrides for row in rows] == [job.overrides for job in plan.jobs]
    assert [(row.name, row.key, row.command, row.planned_epochs) for row in rows] == [
        ("filters=1", "k1", "python 1", 10),
        ("filters=2", "k2", "python 2", 10),
    ]
    assert all(math.isnan(row.objective) for row in rows)


def test_done_job_has_the_results_of_its_run(plan):
    first, second = rows_of_grid(plan, [record("done", "k2")], False)
    assert first.outcome == "left"
    assert (second.outcome, second.run_id, second.reused) == ("done", "done", True)
    assert (second.objective, second.metrics["test_accuracy"], second.epochs, second.seconds) == (0.9, 0.8, 3, 12.5)
    assert (second.reason, second.key, second.planned_epochs) == ("", "k2", 10)
    assert second.command == "python 2", "what runs it alone now"


KINDS = ("done", "failed", "killed", "pruned", "running", "resultless")


@pytest.mark.parametrize("retry_failed", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_which_of_several_runs_counts_for_a_job(plan, count, retry_failed):
    """A run that is done wins; else the newest counts, and only a failure without `retry_failed` ends the job."""
    for kinds in itertools.product(KINDS, repeat=count):
        records = [record(kind, run_id=f"{kind}{place}") for place, kind in enumerate(kinds)]
        row, other = rows_of_grid(plan, records, retry_failed)
        found = row.outcome, row.run_id, row.reused
        if "done" in kinds:
            assert found == ("done", f"done{kinds.index('done')}", True), kinds
        elif kinds[0] == "failed" and not retry_failed:
            assert found == ("failed", "failed0", True), kinds
        else:
            assert found == ("left", None, False), kinds
        assert other.outcome == "left"


def test_failed_job_has_a_reason(plan):
    failed = record("failed")
    assert rows_of_grid(plan, [failed], False)[0].reason == "see its traceback.txt"
    failed.tags["mnist_exp.failure"] = "the loss is NaN"
    assert rows_of_grid(plan, [failed], False)[0].reason == "the loss is NaN"


def test_runs_of_other_jobs_are_ignored(plan):
    rows = rows_of_grid(plan, [record("done", "k3"), record("failed", "")], False)
    assert [row.outcome for row in rows] == ["left", "left"]


def test_search_has_a_row_for_each_ended_trial_oldest_first():
    children = [record(kind) for kind in ("running", "pruned", "killed", "failed", "done")]
    rows = reuse.rows_of_search(children, ["seed", "model.filters", "missing"], Changes())
    assert [(row.outcome, row.run_id) for row in rows] == [("done", "done"), ("failed", "failed"), ("pruned", "pruned")]
    assert [row.objective for row in rows] == pytest.approx([0.9, math.nan, 0.9], nan_ok=True)
    done = rows[0]
    assert (done.name, done.command, done.planned_epochs) == ("seed=1 filters=done", "python done", 5)
    assert list(done.values.items()) == [("seed", "1"), ("model.filters", "done")], "as the sweep orders them"
    assert all(row.reused for row in rows)


def test_trial_without_metrics_has_a_row_too():
    bare = stored("r", "FAILED", {}, {}, {"mnist_exp.failure": "out of memory"})
    (row,) = reuse.rows_of_search([bare], ["seed"], Changes())
    assert (row.outcome, row.reason, row.values, row.planned_epochs) == ("failed", "out of memory", {}, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_finished_run_with_an_objective_is_done(kind):
    assert record(kind).is_done == (kind == "done")
    assert record(kind).is_pruned == (kind == "pruned")


def test_run_is_alive_while_its_process_may_run():
    running = record("running")
    assert running.lives, "nobody knows its process"
    running.tags["mnist_exp.process"] = processes.identify()
    assert running.lives
    running.tags["mnist_exp.process"] = NOBODY
    assert not running.lives
    finished = record("done")
    finished.tags["mnist_exp.process"] = processes.identify()
    assert not finished.lives


class FakeHistory:
    """A history whose runs end after it was read a number of times."""

    def __init__(self, ends_after):
        self.left = ends_after

    def is_orphan(self, run):
        return run.tags.get("mlflow.parentRunId") == "gone"

    def jobs(self, keys=None):
        self.left -= 1
        return [orphan("running" if self.left > 0 else "killed")]


def orphan(kind="running", parent="gone"):
    """Return a job that was launched by a process which has ended, or by another one."""
    found = record(kind)
    found.tags["mlflow.parentRunId"] = parent
    return found


@pytest.fixture
def hurried(monkeypatch):
    """Replace waiting: each call of the clock returns a second more."""
    clock = itertools.count()
    monkeypatch.setattr(reuse.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(reuse.time, "sleep", lambda seconds: None)


def test_sweep_waits_for_orphans_of_a_killed_one(hurried):
    history = FakeHistory(ends_after=5)
    (found,) = reuse.without_orphans(history, [orphan()], {"k1"})
    assert (found.status, history.left) == ("KILLED", 0)


def test_sweep_does_not_wait_for_jobs_of_others(hurried):
    records = [record("running", "k3"), record("done", "k1"), orphan(parent="another sweep"), record("running")]
    assert reuse.without_orphans(FakeHistory(ends_after=1), records, {"k1", "k2"}) is records


def test_sweep_goes_on_though_an_orphan_does_not_end(hurried):
    (found,) = reuse.without_orphans(FakeHistory(ends_after=10**6), [orphan()], {"k1"})
    assert found.lives
