"""`tracking.keep_models`: the best models of a sweep stay, the files of the others go, and nothing else does."""

import math
import os
import shutil
import signal
import sqlite3
import time
from pathlib import Path

import pytest
from PIL import Image
from real_runs import SMALL, Running, client_of, new_store, recorded, run, wait_for

from mnist_exp import SettingsError, compose
from mnist_exp.config.schema import SweepSettings
from mnist_exp.inference import load
from mnist_exp.jobs import events
from mnist_exp.runtime.terminal import Screen
from mnist_exp.search.parsing import parse
from mnist_exp.sweeps.calls.call import SweepCall
from mnist_exp.sweeps.calls.history import SweepHistory
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.sweeps.planning import rules
from mnist_exp.sweeps.planning.plan import Plan
from mnist_exp.sweeps.record.kept_models import KeptModels
from mnist_exp.tracking import mlflow_writes, model_removal, names, references

WHY = "tracking.keep_models=best:2 removed it"
BYTES = 5000


class Store:
    """A real store with a sweep whose jobs were not trained: an objective and a model of some bytes each."""

    def __init__(self):
        self.client = new_store("sqlite:///mlflow.db")
        self.experiment = self.client.get_experiment_by_name("mnist_exp").experiment_id
        self.parent = self.run({names.SWEEP: "key"})

    def run(self, tags):
        return self.client.create_run(self.experiment, tags=tags).info.run_id

    def job(self, objective=None, *, parent=None, status="FINISHED", tags=()):
        run_id = self.run({names.PARENT: parent or self.parent, names.JOB_KEY: str(time.time_ns()), **dict(tags)})
        if objective is not None:
            self.client.log_metric(run_id, names.OBJECTIVE, objective)
        model = self.client.create_logged_model(self.experiment, "model", run_id)
        (folder := Path("new") / "data").mkdir(parents=True, exist_ok=True)
        (folder / "model.keras").write_bytes(b"x" * BYTES)
        self.client.log_model_artifacts(model.model_id, "new")
        self.client.finalize_logged_model(model.model_id, "READY")
        self.client.set_tag(run_id, names.MODEL_URI, f"models:/{model.model_id}")
        self.client.set_terminated(run_id, status)
        return run_id

    def kept(self, keep_models="best:2", *words):
        settings = compose([*SMALL, "data.validation=0.2", f"tracking.keep_models={keep_models}", *words])
        space = parse({}, ["seed=1,2"], SweepSettings())
        plan = Plan(space, (), settings, {}, "0", on_test=False, validated_on=100)
        call = SweepCall(SweepSettings(), plan, None, None, Path("events"), Screen())
        history = SweepHistory(call.tracking)
        return KeptModels(call, history, self.parent, history.jobs())

    def with_model(self):
        """The runs that have a model: by their tag, by their files, and by what MLflow lists."""
        runs = self.client.search_runs([self.experiment])
        by_tag = {run.info.run_id for run in runs if names.MODEL_URI in run.data.tags}
        listed = {each.model_id: each.source_run_id for each in self.client.search_logged_models([self.experiment])}
        on_disk = {listed.get(file.parents[2].name, "unlisted") for file in files()}
        assert by_tag == on_disk == set(listed.values())
        return by_tag

    def tags(self, run_id):
        return self.client.get_run(run_id).data.tags


def files():
    return list(Path("mlartifacts/models").glob("*/artifacts/data/model.keras"))


def size():
    return sum(file.stat().st_size for file in files())


@pytest.fixture
def store(empty_store):
    shutil.copy(empty_store, "mlflow.db")
    return Store()


def note(kept, run_id, objective, **facts):
    kept.note(Row("job", run_id=run_id, objective=objective, outcome="done", **{"has_model": True} | facts))


def test_while_jobs_end_the_best_stay_and_what_the_others_took_is_freed(store, capsys):
    kept = store.kept()
    kept.follow(Path("events"))
    assert events.bar(Path("events")) is None
    ids = {}
    for objective in (0.5, 0.7, 0.6, 0.9, 0.1):
        ids[objective] = store.job(objective)
        note(kept, ids[objective], objective)
        wait_for(lambda: len(files()) <= 2, 20)
        assert size() <= 2 * BYTES
    assert events.bar(Path("events")) == 0.7
    kept.settle()
    assert store.with_model() == {ids[0.9], ids[0.7]}
    assert store.tags(ids[0.5])[names.NO_MODEL] == WHY
    assert store.tags(ids[0.5])[names.MODEL_FREED] == str(BYTES)
    assert store.client.get_run(store.parent).data.metrics == {"models_kept": 2, "models_freed_mb": 3 * BYTES / 1e6}
    assert (
        "tracking.keep_models=best:2: 2 models kept, 3 removed (0.0 MB freed), 0 not recorded"
        in capsys.readouterr().out
    )
    again = store.kept()
    assert again.are_settled
    again.settle()
    assert store.with_model() == {ids[0.9], ids[0.7]}


def test_least_is_best_where_the_objective_is_minimized(store):
    ids = [store.job(objective) for objective in (0.3, 0.2, 0.4)]
    kept = store.kept("best:2", "objective=val_loss", "direction=minimize")
    kept.follow(Path("events"))
    assert events.bar(Path("events")) == 0.3
    kept.settle()
    assert store.with_model() == set(ids[:2])


def test_of_equal_ones_the_earlier_stays_and_what_is_no_number_goes_first(store):
    nan, first, second, third = (store.job(value) for value in (math.nan, 0.5, 0.5, 0.5))
    kept = store.kept()
    kept.follow(Path("events"))
    kept.settle()
    assert store.with_model() == {first, second}
    assert names.NO_MODEL in store.tags(nan) and names.NO_MODEL in store.tags(third)


def test_models_of_others_are_never_touched(store):
    """Those of runs that the sweep reuses, of pruned, failed and running jobs, and registered ones."""
    of_another_sweep = store.job(0.1, parent="f" * 32)
    failed = store.job(0.1, status="FAILED")
    running = store.job(0.1, status="RUNNING")
    registered = store.job(0.2)
    store.client.create_registered_model("digits")
    uri = store.tags(registered)[names.MODEL_URI]
    source = store.client.get_logged_model(uri.rpartition("/")[2]).artifact_location
    store.client.create_model_version("digits", source, registered)
    good = [store.job(0.8), store.job(0.9)]
    kept = store.kept()
    note(kept, of_another_sweep, 0.1, reused=True)
    kept.settle()
    assert store.with_model() == {of_another_sweep, failed, running, registered, *good}
    assert names.NO_MODEL not in store.tags(registered)


def test_fewer_or_more_asked_for_by_the_next_call(store):
    ids = [store.job(objective) for objective in (0.1, 0.2, 0.3)]
    for keep_models, left in (("best:2", ids[1:]), ("best:1", ids[2:]), ("best:3", ids[2:]), ("none", [])):
        kept = store.kept(keep_models)
        assert kept.are_settled == (keep_models == "best:3")
        kept.settle()
        assert store.with_model() == set(left), keep_models


@pytest.mark.parametrize("step", ["log_batch", "delete_logged_model", "delete_tag", "delete_artifacts"])
def test_removal_that_was_killed_at_any_step_is_completed_by_the_next_call(store, step, monkeypatch):
    """No moment leaves a run that promises a model which is gone."""
    from mlflow import MlflowClient
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    ids = [store.job(objective) for objective in (0.1, 0.8, 0.9)]

    class KilledError(BaseException):
        pass

    def die(*_, **__):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(LocalArtifactRepository if step == "delete_artifacts" else MlflowClient, step, die)
        with pytest.raises(KilledError):
            model_removal.remove("sqlite:///mlflow.db", ids[0], WHY)
    found = references.find(compose([]).tracking, ids[0])
    assert found.has_model == (step == "log_batch")
    if not found.has_model:
        with pytest.raises(SettingsError, match=f"has no model: {WHY}; `python -m mnist_exp.rerun {ids[0]}` trains it"):
            load.of_run(found)
    kept = store.kept()
    assert not kept.are_settled
    kept.settle()
    assert store.with_model() == set(ids[1:])
    assert store.tags(ids[0])[names.MODEL_FREED] == str(BYTES)
    assert store.kept().are_settled


def test_files_that_cannot_be_deleted_are_told(store, capsys):
    run_id = store.job(0.1)
    elsewhere = Path("precious").absolute()
    elsewhere.mkdir()
    (elsewhere / "file").write_text("mine")
    with sqlite3.connect("mlflow.db") as opened:
        opened.execute("UPDATE logged_models SET artifact_location = ?", (elsewhere.as_uri(),))
    kept = store.kept("none")
    kept.settle()
    assert (elsewhere / "file").read_text() == "mine"
    assert store.tags(run_id)[names.MODEL_FREED] == "0"
    said = " ".join(capsys.readouterr().err.split())
    assert "models are hidden, but their files stay (they are not where MLflow puts them): `mlflow gc`" in said


def test_while_the_store_is_away_nothing_is_lost_and_the_next_call_goes_on(store, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # MLflow waits half a minute between its tries.
    ids = [store.job(objective) for objective in (0.1, 0.2, 0.9, 0.8)]
    kept = store.kept()
    with sqlite3.connect("mlflow.db") as opened:
        opened.execute("CREATE TRIGGER away BEFORE INSERT ON tags BEGIN SELECT RAISE(FAIL, 'away'); END")
    kept.follow(Path("events"))
    with pytest.raises(mlflow_writes.write_errors(), match="Failed to set tags"):
        kept.settle()
    assert len(files()) == 4 and store.with_model() == set(ids)
    with sqlite3.connect("mlflow.db") as opened:
        opened.execute("DROP TRIGGER away")
    store.kept().settle()
    assert store.with_model() == set(ids[2:])


@pytest.mark.slow
def test_runs_stay_whole_and_mlflow_gc_finds_nothing_amiss(store):
    import subprocess
    import sys

    gone, stays = store.job(0.1), store.job(0.9)
    store.client.log_text(gone, "kept", "note.txt")
    store.kept("best:1").settle()
    subprocess.run(
        [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", "sqlite:///mlflow.db"],
        check=True,
        capture_output=True,
        env=os.environ | {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"},
    )
    found = store.client.get_run(gone)
    assert found.data.metrics[names.OBJECTIVE] == 0.1
    assert [each.path for each in store.client.list_artifacts(gone)] == ["note.txt"]
    assert store.with_model() == {stays}


def test_options_that_contradict_it_are_mistakes():
    def problems(*words):
        with pytest.raises(SettingsError) as raised:
            compose(["data=mnist_5k", *words])
        return "\n".join(raised.value.problems)

    settings = compose(["data=mnist_5k", "tracking.keep_models=best:3"])  # A run alone keeps its model anyway.
    with pytest.raises(SettingsError, match="keep_models=best:3 would select on the test set"):
        rules.check_models(settings.sweep, settings)
    told = problems("data.validation=0.2", "tracking.keep_models=best:3", "tracking.register_as=digits")
    assert "a registered model is never removed, as tracking.keep_models=best:3 would: give only one of the two" in told
    assert "it must be all, none, or best:N with N from 1, as best:5" in problems("tracking.keep_models=best")
    assert "it must be all, none, or best:N with N from 1, as best:5" in problems("tracking.keep_models=best:0")
    assert compose(["tracking.keep_models=none"]).tracking.best_models == 0


GRID = [*SMALL[:2], "data.validation=0.2", "model.dense_units=8", "trainer.epochs=1", "model.filters=1,2,3", "seed=1,2"]


def best(runs, count):
    done = [run for run in runs if names.OBJECTIVE in run.data.metrics]
    return sorted((run.data.metrics[names.OBJECTIVE] for run in done), reverse=True)[:count]


def objectives_with_model(runs):
    have = [run for run in runs if names.MODEL_URI in run.data.tags]
    return sorted((run.data.metrics[names.OBJECTIVE] for run in have), reverse=True)


@pytest.mark.slow
def test_disk_is_bounded_while_a_sweep_goes_on_and_each_command_says_why_there_is_no_model(alone):
    workers, most = 2, []
    words = [*GRID, "seed=1,2,3", "tracking.keep_models=best:2", f"hydra.launcher.n_workers={workers}"]
    running = Running("mnist_exp.run", "-m", *words)
    while running.process.poll() is None:
        most.append(len(files()))
        time.sleep(0.05)
    running.end_with(0)
    assert "2 models kept" in running.text()
    assert max(most) <= 2 + workers + 1
    _, (parent,), jobs = recorded()
    assert len(jobs) == 9 and {job.info.status for job in jobs} == {"FINISHED"}
    assert objectives_with_model(jobs) == best(jobs, 2)
    assert len(files()) == parent.data.metrics["models_kept"] == 2
    gone = next(job for job in jobs if names.NO_MODEL in job.data.tags)
    run_id = gone.info.run_id
    assert {file.path for file in client_of().list_artifacts(run_id)} >= {"test_predictions.csv", "config.yaml"}
    Image.new("L", (28, 28)).save("x.png")
    for command in (
        ["evaluate", run_id],
        ["predict", run_id, "x.png"],
        ["export", run_id, "--format", "onnx"],
        ["demo", run_id],
    ):
        said = Running(f"mnist_exp.{command[0]}", *command[1:]).end_with(2)
        assert f"run {run_id} has no model: tracking.keep_models=best:2" in " ".join(said.split()), command
    said = Running("mnist_exp.evaluate", parent.info.run_id, "--ensemble").end_with(2)
    assert "tracking.keep_models left no model of 7 of the 9 jobs" in " ".join(said.split())
    Running("mnist_exp.report", "--sweep", parent.info.run_id).end_with(0)
    again = Running("mnist_exp.rerun", run_id)
    again.end_with(0)
    assert len(files()) == 3
    before = {file: file.stat().st_mtime for file in files()}
    Running("mnist_exp.run", "-m", *words).end_with(0)
    assert {file: file.stat().st_mtime for file in files()} == before
    fewer = Running("mnist_exp.run", "-m", *words, "tracking.keep_models=best:1")
    fewer.end_with(0)
    assert "1 model kept" in fewer.text()
    assert len(files()) == 2


@pytest.mark.slow
def test_sweep_killed_at_any_time_ends_with_the_best_and_no_other_model(alone):
    words = [*GRID, "seed=1,2,3", "tracking.keep_models=best:2", "hydra.launcher.n_workers=2"]
    for number in (3, 5):
        running = Running("mnist_exp.run", "-m", *words)
        out = running.out
        running.wait_until(lambda out=out, number=number: sum(line.startswith("done") for line in out) >= number, 120)
        os.kill(running.process.pid, signal.SIGKILL)
        running.end_with(-signal.SIGKILL)
        _, _, jobs = recorded()
        finished = [job for job in jobs if job.info.status == "FINISHED"]
        assert objectives_with_model(finished)[:2] == best(finished, 2)
    Running("mnist_exp.run", "-m", *words).end_with(0)
    _, _, jobs = recorded()
    finished = [job for job in jobs if job.info.status == "FINISHED"]
    assert len(finished) == 9
    assert objectives_with_model(finished) == best(finished, 2)
    assert len(files()) == 2


@pytest.mark.slow
def test_another_sweep_removes_no_model_of_jobs_that_it_reuses(alone):
    run("-m", *GRID)
    before = set(files())
    assert len(before) == 6
    run("-m", *GRID, "seed=1,2,3", "tracking.keep_models=best:1")
    assert before < set(files())
    assert len(files()) == 7


@pytest.mark.slow
def test_search_keeps_its_best_and_pruned_trials_have_none(alone):
    words = [*SMALL[:2], "data.validation=0.2", "model.dense_units=8", "trainer.epochs=3", "sweep.n_trials=6"]
    words += ["model.filters=int(interval(1,6))", "sweep.pruner=median", "tracking.keep_models=best:2"]
    run("-m", *words)
    _, (parent,), jobs = recorded()
    done = [job for job in jobs if "pruned" not in job.data.tags]
    assert objectives_with_model(jobs) == best(done, 2)
    assert len(files()) == min(2, len(done)) == parent.data.metrics["models_kept"]


@pytest.mark.slow
def test_single_run_without_a_model_is_whole_otherwise(alone):
    running = Running("mnist_exp.run", *SMALL, "trainer.epochs=1", "tracking.keep_models=none")
    running.end_with(0)
    client, _, (found,) = recorded()
    shown = "".join(running.out)
    assert f"python -m mnist_exp.report {found.info.run_id}" in shown and "mnist_exp.evaluate" not in shown
    Running("mnist_exp.report", found.info.run_id).end_with(0)
    assert found.info.status == "FINISHED" and found.data.tags[names.NO_MODEL] == "tracking.keep_models=none"
    assert files() == [] and client.search_logged_models([found.info.experiment_id]) == []
    assert {file.path for file in client.list_artifacts(found.info.run_id)} >= {"test_predictions.csv"}
    said = Running("mnist_exp.evaluate", found.info.run_id).end_with(2)
    assert "has no model: tracking.keep_models=none; `python -m mnist_exp.rerun" in " ".join(said.split())
    Running("mnist_exp.rerun", found.info.run_id).end_with(0)
    assert len(files()) == 1
