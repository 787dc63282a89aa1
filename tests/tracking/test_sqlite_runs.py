"""Runs read straight from an SQLite file are what MLflow reads from it; where that cannot be, MLflow is asked."""

import contextlib
import dataclasses
import functools
import math
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from many_runs import fill

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.tracking import mlflow_writes, runs, sqlite_runs, store
from mnist_exp.tracking.wanted import Wanted

URI = "sqlite:///mlflow.db"
KEY, SWEEP, PARENT = "mnist_exp.job_key", "mnist_exp.sweep", "mlflow.parentRunId"
SETTINGS = TrackingSettings()


@pytest.fixture(scope="module")
def filled(empty_store, tmp_path_factory):
    """A store with sweeps, odd runs written by MLflow, another experiment, a deleted run; with the ids of these."""
    file = shutil.copyfile(empty_store, tmp_path_factory.mktemp("filled") / "mlflow.db")
    uri = f"sqlite:///{file}"
    client, experiment = store.client(uri), store.experiment(uri, "mnist_exp").experiment_id
    other = store.experiment(uri, "it's another").experiment_id
    parents = fill(file, 700, experiment=experiment, jobs=30, params=2, tags=1, epochs=2)
    odd = client.create_run(experiment, run_name="odd 'name'", tags={KEY: "it's odd", SWEEP: ""}).info.run_id
    client.log_metric(odd, "objective", math.nan)
    client.log_metric(odd, "loss", math.inf, step=3)
    client.log_metric(odd, "loss", -math.inf, step=1)
    client.log_param(odd, "model.text", "a\nb 'c' ☃")
    bare = client.create_run(experiment, start_time=5).info.run_id
    client.set_terminated(bare, "FAILED", end_time=3)
    gone = client.create_run(experiment, tags={KEY: "gone"}).info.run_id
    client.delete_run(gone)
    elsewhere = client.create_run(other, tags={KEY: "elsewhere"}).info.run_id
    return file, parents, {"odd": odd, "bare": bare, "gone": gone, "elsewhere": elsewhere}


@pytest.fixture
def here(filled, alone):
    shutil.copyfile(filled[0], "mlflow.db")
    return filled[1:]


def by_mlflow(monkeypatch, ask):
    """Return what MLflow answers, in the form of the reader."""
    with monkeypatch.context() as without:
        for name in ("find", "of_key", "histories", "experiment", "pending"):
            without.setattr(sqlite_runs, name, lambda *given, **named: None)
        return ask()


def same(ones, others):
    return [repr(dataclasses.astuple(each)) for each in ones] == [repr(dataclasses.astuple(each)) for each in others]


def in_order(run):
    """Return a run whose params, metrics and tags are sorted: MLflow has no order of them."""
    sections = {name: dict(sorted(getattr(run, name).items())) for name in ("params", "metrics", "tags")}
    return dataclasses.replace(run, **sections)


@pytest.mark.parametrize("oldest_first", [True, False])
def test_all_that_a_sweep_wants_is_what_mlflow_finds(here, monkeypatch, oldest_first):
    parents, ids = here
    some = [run.tags[KEY] for run in runs.find(URI, "mnist_exp", Wanted(PARENT, (parents[3],)))][:5]
    for wanted in (
        Wanted(KEY),
        Wanted(KEY, (some[0],)),
        Wanted(KEY, [*some, "none", "it's odd"]),
        Wanted(KEY, status="RUNNING"),
        Wanted(SWEEP, status="FINISHED"),
        Wanted(PARENT, (parents[-1],)),
        Wanted(run_ids=[*parents, *ids.values()] * 3),
        Wanted(status="FAILED", run_ids=list(ids.values())),
        Wanted(run_ids=[]),
        Wanted(),
    ):

        def ask(wanted=wanted):
            return list(map(in_order, runs.find(URI, "mnist_exp", wanted, oldest_first=oldest_first)))

        assert same(ask(), by_mlflow(monkeypatch, ask)), wanted
    assert len(runs.find(URI, "it's another", Wanted())) == 1


def test_odd_numbers_and_texts_are_those_of_mlflow(here):
    (odd,) = runs.find(URI, "mnist_exp", Wanted(KEY, ("it's odd",)))
    assert math.isnan(odd.metrics["objective"])
    assert odd.metrics["loss"] == store.client(URI).get_run(odd.run_id).data.metrics["loss"] == sys.float_info.max
    assert odd.params == {"model.text": "a\nb 'c' ☃"}
    assert odd.is_sweep
    assert (odd.name, odd.status, odd.seconds) == ("odd 'name'", "RUNNING", 0.0)


def test_curves_are_those_of_mlflow(here, monkeypatch):
    parents, ids = here
    which = [run.run_id for run in runs.find(URI, "mnist_exp", Wanted(PARENT, (parents[2],)))] + [ids["odd"]]
    for metric in ("val_accuracy", "loss", "objective", "none"):
        ours = runs.metric_histories(URI, which, metric)
        theirs = by_mlflow(monkeypatch, lambda metric=metric: runs.metric_histories(URI, which, metric))
        assert repr(ours) == repr(theirs)
    assert list(runs.metric_histories(URI, which, "val_accuracy")[which[0]]) == [1, 2]


def test_job_key_is_found_as_soon_as_another_process_has_recorded_it(here, monkeypatch):
    parents, _ = here
    client, experiment = store.client(URI), store.experiment(URI, "mnist_exp").experiment_id
    known = runs.find(URI, "mnist_exp", Wanted(PARENT, (parents[1],)))[0]
    for number in range(5):
        assert runs.of_job(SETTINGS, f"new {number}") == []
        made = [client.create_run(experiment, tags={KEY: f"new {number}"}).info.run_id for _ in range(2)]
        found = runs.of_job(SETTINGS, f"new {number}")
        assert {run.run_id for run in found} == set(made)
        theirs = by_mlflow(monkeypatch, functools.partial(runs.of_job, SETTINGS, f"new {number}"))
        assert same(map(in_order, found), map(in_order, theirs))
        assert [run.run_id for run in runs.of_job(SETTINGS, known.key)] == [known.run_id]
    assert runs.of_job(SETTINGS, "gone") == []
    assert runs.of_job(SETTINGS, "elsewhere") == []


def test_job_key_is_found_though_rows_were_removed_and_numbered_anew(here):
    client, experiment = store.client(URI), store.experiment(URI, "mnist_exp").experiment_id
    before = client.create_run(experiment, tags={KEY: "before"}).info.run_id
    client.set_tag(before, "last", "1")
    assert runs.of_job(SETTINGS, "before")
    client.delete_tag(before, "last")  # The next row gets its number.
    after = client.create_run(experiment, tags={KEY: "after"}).info.run_id
    assert [run.run_id for run in runs.of_job(SETTINGS, "after")] == [after]
    with contextlib.closing(sqlite3.connect("mlflow.db")) as opened:
        opened.execute("DELETE FROM tags WHERE rowid % 3 = 0 AND key NOT IN ('mnist_exp.job_key')")
        opened.commit()
        opened.execute("VACUUM")
    packed = client.create_run(experiment, tags={KEY: "packed"}).info.run_id
    assert [run.run_id for run in runs.of_job(SETTINGS, "packed")] == [packed]
    assert [run.run_id for run in runs.of_job(SETTINGS, "after")] == [after]
    client.set_tag(after, KEY, "by hand")
    assert runs.of_job(SETTINGS, "after") == []


def test_store_that_is_replaced_is_read_anew(here, filled):
    assert runs.of_job(SETTINGS, "it's odd")
    Path("mlflow.db").rename("other.db")
    shutil.copyfile(filled[0], "mlflow.db")
    with contextlib.closing(sqlite3.connect("mlflow.db")) as opened:
        opened.execute("UPDATE tags SET value = 'replaced' WHERE value = 'it''s odd'")
        opened.commit()
    assert len(runs.of_job(SETTINGS, "replaced")) == 1


def test_models_that_are_not_complete_are_found(here):
    client, experiment = store.client(URI), store.experiment(URI, "mnist_exp").experiment_id
    first, second = (client.create_run(experiment).info.run_id for _ in range(2))
    model = client.create_logged_model(experiment, "model", first)
    client.create_logged_model(experiment, "model", second)
    assert set(sqlite_runs.pending(URI, "mnist_exp")) == {first, second}
    client.finalize_logged_model(model.model_id, "READY")
    assert sqlite_runs.pending(URI, "mnist_exp") == [second]
    client.set_terminated(second, "KILLED")
    mlflow_writes.fail_pending_models(client, experiment, [second])
    assert sqlite_runs.pending(URI, "mnist_exp") == []


def test_what_cannot_be_read_is_left_to_mlflow(here):
    for uri in ("http://127.0.0.1:1", "postgresql://u@127.0.0.1/d", "sqlite:///none.db", "sqlite://"):
        assert sqlite_runs.find(uri, "mnist_exp", Wanted()) is None
    assert not Path("none.db").exists()
    assert sqlite_runs.find(URI, "no such experiment", Wanted()) is None
    Path("damaged.db").write_bytes(Path("mlflow.db").read_bytes()[:50_000])
    assert sqlite_runs.find("sqlite:///damaged.db", "mnist_exp", Wanted(KEY)) is None
    Path("text.db").write_text("no database")
    assert sqlite_runs.of_key("sqlite:///text.db", "mnist_exp", KEY, "x") is None
    store.client(URI).delete_experiment(store.experiment(URI, "it's another").experiment_id)
    assert sqlite_runs.experiment(URI, "it's another") is None
    with contextlib.closing(sqlite3.connect("mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert sqlite_runs.find(URI, "mnist_exp", Wanted(KEY)) is None
        other.execute("ROLLBACK")
    assert sqlite_runs.find(URI, "mnist_exp", Wanted(KEY))


def test_reading_imports_no_mlflow(here):
    program = (
        "import sys; from mnist_exp.tracking import runs; from mnist_exp.tracking.wanted import Wanted; "
        f"assert len(runs.find({URI!r}, 'mnist_exp', Wanted({KEY!r}))) > 600; assert 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
