"""Sweeps from the command line to the store: what a user types, sees and finds recorded."""

import contextlib
import csv
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from mlflow import MlflowClient
from omegaconf import OmegaConf

from mnist_exp.tracking import names

SMALL = ["data=mnist_5k", "data.limit=500", "data.validation=0.2", "model.dense_units=8", "trainer.epochs=2"]
BAD_NET = '''
"""A model that breaks in the way that its option says."""
import os, signal, time

def net(input_shape, classes, *, how: str = "well"):
    import keras

    if "MENDED" in os.environ:  # The code stays as it was: by other code, jobs that are done would be run again too.
        how = "well"
    if how == "raises":
        raise RuntimeError("the builder has a bug")
    if how == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hangs":
        time.sleep(600)
    bias = keras.initializers.Constant(float("nan")) if how == "diverges" else "zeros"
    layers = [keras.Input(input_shape), keras.layers.Flatten()]
    return keras.Sequential([*layers, keras.layers.Dense(classes, activation="softmax", bias_initializer=bias)])
'''


def sweep(*arguments, code=0, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "mnist_exp.run", "-m", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=300,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def recorded(uri=None):
    """Return the store's client, the parent runs, and the children by their swept values."""
    client = MlflowClient(uri or f"sqlite:///{Path.cwd()}/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("mnist_exp").experiment_id])
    parents = [run for run in found if "mnist_exp.sweep" in run.data.tags]
    return client, parents, {run.info.run_name: run for run in found if run not in parents}


def artifacts(run):
    return Path(run.info.artifact_uri.removeprefix("file://"))


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """The grid of a preset, reduced to 2×2 jobs, run once."""
    folder = tmp_path_factory.mktemp("grid")
    before = Path.cwd()
    os.chdir(folder)
    try:
        arguments = ["sweep=filters_x_dropout", *SMALL, "model.filters=1,2", "model.dropout=0.1,0.5"]
        return arguments, sweep(*arguments).stdout, folder
    finally:
        os.chdir(before)


@pytest.fixture
def swept(grid, monkeypatch):
    monkeypatch.chdir(grid[2])
    return grid[0], grid[1], *recorded()


def test_grid_has_a_parent_run_and_a_child_for_each_combination(swept):
    _, _, _, parents, children = swept
    (parent,) = parents
    assert parent.info.status == "FINISHED"
    assert parent.data.params == {"model.filters": "1,2", "model.dropout": "0.1,0.5"}
    assert sorted(children) == [f"filters={f} dropout={d}" for f in (1, 2) for d in (0.1, 0.5)]
    for child in children.values():
        assert child.info.status == "FINISHED"
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.params["data.validation"] == "0.2"


def test_parent_run_names_the_best_job_and_its_command(swept):
    _, out, _, parents, children = swept
    (parent,) = parents
    best = max(children.values(), key=lambda run: run.data.metrics["objective"])
    with (artifacts(parent) / "leaderboard.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == 4
    assert rows[0]["rank"] == "1"
    values = [float(row["val_accuracy"]) for row in rows]
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(best.data.metrics["val_accuracy"])
    assert {row["run_id"] for row in rows} == {run.info.run_id for run in children.values()}
    config = (artifacts(parent) / "best.yaml").read_text()
    first = next(run for run in children.values() if run.info.run_id == rows[0]["run_id"])
    assert OmegaConf.create(config) == OmegaConf.load(artifacts(first) / "config.yaml")
    assert first.data.tags["mnist_exp.command"] in config
    assert "-m mnist_exp.run sweep=filters_x_dropout" in first.data.tags["mnist_exp.command"]
    assert parent.data.metrics["best_objective"] == values[0]
    assert {name: parent.data.metrics[name] for name in ("jobs_done", "jobs_failed", "epochs_spent")} == {
        "jobs_done": 4,
        "jobs_failed": 0,
        "epochs_spent": 8,
    }
    for name in ("heat_map", "objective_by_option", "learning_curves", "importance"):
        assert (artifacts(parent) / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    mattered = json.loads((artifacts(parent) / "what_mattered.json").read_text())
    assert (mattered["method"], mattered["runs"]) == ("measured", 4)
    assert re.search(r"^mattered +\w", out, re.MULTILINE)
    assert rows[0]["run_id"] in out
    assert "4 done" in out
    assert len(re.findall(r"^done +\d/4 ", out, re.MULTILINE)) == 4
    assert "time left" in out


@pytest.mark.slow
def test_same_command_again_runs_nothing_and_keeps_the_parent_run(swept):
    arguments, _, _, parents, children = swept
    again = sweep(*arguments)
    assert "to do   0, 4 done already" in again.stdout
    assert "4 of them done before" in again.stdout
    _, parents_after, children_after = recorded()
    assert [run.info.run_id for run in parents_after] == [run.info.run_id for run in parents]
    assert {r.info.run_id for r in children_after.values()} == {r.info.run_id for r in children.values()}


def everything(folder):
    """Return the content of the store and of all files of runs."""
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as opened:
        store = "\n".join(opened.iterdump())
    return store, {file: file.stat().st_mtime_ns for file in (folder / "mlartifacts").rglob("*") if file.is_file()}


def test_finished_grid_issued_again_writes_nothing_and_imports_little(swept):
    arguments, out, _, parents, _ = swept
    before = everything(Path.cwd())
    again = sweep(*arguments, "hydra.launcher.n_workers=2", PYTHONPROFILEIMPORTTIME="1")
    imported = {line.rpartition("|")[2].strip() for line in again.stderr.splitlines()}
    assert "mnist_exp.sweeps.sweep" in imported
    assert not {"mlflow", "tensorflow", "keras", "optuna", "matplotlib", "pebble", "pandas", "sqlalchemy"} & imported
    assert everything(Path.cwd()) == before
    assert parents[0].info.run_id in again.stdout
    # The same board, best job and address of the page, but for the time of a job: of its events, and of its run.
    assert untimed(again.stdout)[3:] == untimed(out)[-len(untimed(again.stdout)) + 3 :]


def untimed(out):
    lines = [re.sub(r" +[0-9.]+ s ", " ", line) for line in out.splitlines()]
    return [re.sub(r"4 done; 4 of them done before", "4 done", line) for line in lines]


@pytest.mark.slow
def test_finished_grid_is_recorded_anew_where_its_record_is_not_what_it_should_be(grid, tmp_path, monkeypatch):
    arguments, _, folder = grid
    shutil.copytree(folder, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    subprocess.run([sys.executable, "-m", "mnist_exp.relocate"], check=True, capture_output=True)
    client, (parent,), _ = recorded()
    board = artifacts(parent) / "leaderboard.csv"
    text = board.read_text()

    board.unlink()
    sweep(*arguments)
    assert board.read_text().splitlines()[0].split(",")[:3] == text.splitlines()[0].split(",")[:3]

    board.write_text(text.replace("done", "failed", 1))
    sweep(*arguments)
    assert "failed" not in board.read_text()

    sweep(*arguments, "tracking.description='what for'", "+tags.team=a")
    tags = client.get_run(parent.info.run_id).data.tags
    own, heading, *rest = tags["mlflow.note.content"].split("\n\n")
    assert (own, heading) == ("what for", "**What may be concluded**")
    assert any(part.startswith("Best of 4: [") for part in rest)
    assert tags["team"] == "a"

    client.update_run(parent.info.run_id, status="KILLED")
    sweep(*arguments, "tracking.description='what for'", "+tags.team=a")
    assert client.get_run(parent.info.run_id).info.status == "FINISHED"


def test_dry_run_shows_the_jobs_of_a_larger_sweep(swept):
    arguments, _, _, _, children = swept
    shown = sweep(*arguments, "model.filters=1,2,4", "sweep.dry_run=jobs").stdout
    assert "6 jobs, 2 to do; nothing was run" in shown
    for name, run in children.items():
        assert re.search(rf"{re.escape(name)} +done +{run.info.run_id}", shown)
    assert re.search(r"filters=4 dropout=0.1 +to do", shown)


@pytest.mark.slow
def test_larger_sweep_reuses_the_jobs_of_a_smaller_one(swept):
    arguments, _, _, _, children = swept
    done = sweep(*arguments, "model.filters=2,4", "sweep.fail_fast=true")
    assert "to do   2, 2 done already" in done.stdout
    _, parents, after = recorded()
    assert len(parents) == 2
    assert len(after) == 6
    board = (artifacts(parents[0]) / "leaderboard.csv").read_text()
    assert children["filters=2 dropout=0.5"].info.run_id in board


def test_dry_run_of_a_search_shows_its_own_options(alone):
    asked = ["sweep=search", "sweep.n_trials=7", "sweep.sampler=random", "sweep.seed=3", "sweep.pruner=none"]
    shown = sweep("data=mnist_5k", "data.validation=100", *asked, "sweep.dry_run=jobs").stdout
    assert "by       random, seed 3, 7 trials\n" in shown


def test_dry_run_creates_no_store(alone):
    sweep(*SMALL, "model.filters=1,2", "sweep.dry_run=jobs")
    assert not Path("mlflow.db").exists()
    assert not Path("mlruns").exists()


@pytest.fixture
def bad_net(alone):
    Path("bad.py").write_text(BAD_NET)
    Path("own/model").mkdir(parents=True)
    Path("own/model/bad.yaml").write_text("_target_: bad.net\ntrusted_modules: [bad]\nhow: well\n")
    return ["--config-dir", "own", "model=bad", *(o for o in SMALL if not o.startswith("model"))]


@pytest.mark.slow
def test_failed_jobs_are_reported_and_the_others_go_on(bad_net):
    arguments = [*bad_net, "model.how=raises,diverges,dies,hangs,well", "sweep.job_timeout_s=25"]
    done = sweep(*arguments, "hydra.launcher.n_workers=2", code=1)
    reasons = {
        "how=raises": "RuntimeError: the builder has a bug",
        "how=diverges": "the loss became nan in epoch 1, step",
        "how=dies": "its process was ended by SIGKILL",
        "how=hangs": "it took longer than sweep.job_timeout_s",
    }
    _, (parent,), children = recorded()
    assert parent.info.status == "FAILED"
    assert children["how=well"].info.status == "FINISHED"
    for name, reason in reasons.items():
        run = children[name]
        assert re.search(rf"^failed +\d/5 +{name} +{re.escape(reason)}.*{run.info.run_id}$", done.stdout, re.MULTILINE)
        assert f"failed: {name}: {reason}" in done.stderr
        assert run.info.status == "FAILED"
        assert reason in run.data.tags["mnist_exp.failure"]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert f"python -m mnist_exp.run --config-dir {Path.cwd()}/own model=bad" in done.stderr
    assert "4 of 5 jobs failed" in done.stderr
    assert "builder has a bug" in (artifacts(children["how=raises"]) / "traceback.txt").read_text()

    again = sweep(*arguments, code=1)
    assert "to do   0, 1 done and 4 failed already" in again.stdout
    mended = sweep(*arguments, "sweep.retry_failed=true", MENDED="1")
    assert "to do   4, 1 of them begun, 1 done already" in mended.stdout
    assert recorded()[1][0].info.status == "FINISHED"


@pytest.mark.slow
def test_folder_of_an_earlier_call_can_be_used_again(bad_net):
    arguments = [*bad_net, "model.how=raises,well", "seed=1,2", "hydra.sweep.dir=same", "hydra.launcher.n_workers=1"]
    assert re.search(r"^sweep   [12] failed, [23] left", sweep(*arguments, "sweep.fail_fast=true", code=1).stdout, re.M)
    assert "2 done, 2 failed" in sweep(*arguments, "sweep.retry_failed=true", code=1).stdout


@pytest.mark.slow
def test_sweep_stops_after_too_many_failures(bad_net):
    fast = sweep(*bad_net, "model.how=raises,well", "seed=1,2,3", "sweep.fail_fast=true", code=1).stdout
    assert int(re.search(r"^sweep .*?(\d) left", fast, re.MULTILINE)[1]) >= 3
    # One at a time: with more, others that have begun are finished.
    one = [*bad_net, "hydra.launcher.n_workers=1"]
    rate = sweep(*one, "model.how=raises,well", "seed=4,5,6", "sweep.max_failure_rate=0.4", code=1).stdout
    assert re.search(r"^sweep   3 failed, 3 left|^sweep   1 done, 3 failed, 2 left", rate, re.MULTILINE)


SEARCH = [*SMALL, "trainer.epochs=4", "model.filters=1,4", "model.dropout=interval(0.0,0.6)", "sweep.pruner=asha"]


@pytest.mark.slow
def test_search_prunes_continues_and_is_shared(alone):
    first = sweep(*SEARCH, "sweep.n_trials=6", "hydra.launcher.n_workers=2").stdout
    client, (parent,), children = recorded()
    assert len(children) == 6
    pruned = [run for run in children.values() if run.data.tags.get("pruned") == "true"]
    whole = [run for run in children.values() if run not in pruned]
    assert pruned and whole
    assert f"{len(whole)} done, {len(pruned)} pruned" in first
    for run in pruned:
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "val_accuracy")]
        assert run.info.status == "FINISHED"
        assert steps == list(range(1, len(steps) + 1))
        assert 1 <= len(steps) < 4
        assert "test_accuracy" not in run.data.metrics
    spent = sum(int(run.data.metrics["epochs"]) for run in children.values())
    assert parent.data.metrics["epochs_spent"] == spent
    assert parent.data.metrics["epochs_saved"] == 4 * 6 - spent
    assert parent.data.params["sweep.sampler"] == "tpe"

    # Two processes at once finish the same study together.
    words = [sys.executable, "-m", "mnist_exp.run", "-m", *SEARCH, "sweep.n_trials=12"]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=200)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    _, parents, _ = recorded()
    assert [run.info.run_id for run in parents] == [parent.info.run_id]
    assert parents[0].info.status == "FINISHED"
    found = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    points = [json.dumps(json.loads(run.data.tags["mnist_exp.point"])) for run in found]
    assert 12 <= len(points) <= 13  # Both may take the last one.
    assert len(set(points)) == len(points)
    assert (artifacts(parent) / "what_mattered.json").exists()


@pytest.mark.slow
def test_random_search_says_what_mattered_and_what_more_would_bring(alone):
    words = [*SMALL, "model.dropout=interval(0,0.7)", "optimizer.learning_rate=tag(log,interval(1e-4,1e-2))"]
    out = sweep(
        *words, "trainer.epochs=1", "sweep.sampler=random", "sweep.n_trials=12", "sweep.try_first=defaults"
    ).stdout
    assert re.search(r"^mattered +.*by a forest of 12 runs", out, re.MULTILINE)
    assert re.search(r"^more +10 more trials like these find a better one with a probability of 48%", out, re.MULTILINE)
    _, (parent,), _ = recorded()
    for name in ("importance.png", "objective_by_option.png", "best_so_far.png", "importance.csv"):
        assert (artifacts(parent) / name).exists()
    mattered = json.loads((artifacts(parent) / "what_mattered.json").read_text())
    assert len(mattered["curve"]["median"]) == 11, "one was queued"
    assert mattered["path"] or mattered["no_path"]


@pytest.mark.slow
def test_search_starts_no_trial_after_its_time(alone):
    words = [*SMALL, "tracking=none", "model.dropout=interval(0,0.5)", "sweep.n_trials=2"]
    assert re.search(r"^sweep  2 left$", sweep(*words, "sweep.timeout_s=0.01").stdout, re.MULTILINE)
    assert re.search(r"^sweep +2 done", sweep(*words, "sweep.timeout_s=100").stdout, re.MULTILINE)


@pytest.mark.slow
def test_search_for_two_objectives_draws_the_pareto_front(alone):
    out = sweep(
        *SMALL, "model.filters=1,2,4", "sweep.sampler=random", "sweep.n_trials=5", "sweep.minimize_too=parameters"
    )
    _, (parent,), children = recorded()
    assert (artifacts(parent) / "pareto_front.png").exists()
    assert len(children) == 3, "there are but three"
    assert "sweep.n_trials=5 is more than the 3 points that there are: the search has 3 trials" in out.stderr
    assert re.search(r"rank +filters +val_accuracy +parameters", out.stdout)
    assert re.search(
        r"^front +(no job beats the first [23] in both|1 job is better than all)", out.stdout, re.MULTILINE
    )
    assert "Front: " in parent.data.tags["mlflow.note.content"]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_other_launchers_run_sweeps(alone, launcher):
    arguments = [*SMALL, "model.filters=1,2", f"hydra/launcher={launcher}"]
    assert "2 done" in sweep(*arguments).stdout
    search = [*SMALL, "model.filters=int(interval(1,9))", f"hydra/launcher={launcher}", "sweep.n_trials=2"]
    assert re.search(r"^sweep   (1 done, 1 repeated|2 done)", sweep(*search).stdout, re.MULTILINE)
    assert {run.info.status for run in recorded()[2].values()} == {"FINISHED"}


@pytest.mark.slow
def test_points_and_zip(alone):
    zipped = sweep(*SMALL, "model.filters=1,2", "model.dropout=0.1,0.5", "sweep.zip=true").stdout
    assert "2 jobs" in zipped
    points = "sweep.points=[{model.filters: 2, model.dropout: 0.5}, {model.filters: 4, model.dropout: 0.1}]"
    assert "to do   1, 1 done already" in sweep(*SMALL, points).stdout
    assert sorted(recorded()[2]) == ["filters=1 dropout=0.1", "filters=2 dropout=0.5", "filters=4 dropout=0.1"]


@pytest.mark.slow
def test_password_of_the_store_is_nowhere_recorded(alone):
    secret = uuid.uuid4().hex  # Not written here: the record has the repository's uncommitted changes.
    address = f"sqlite:///{alone}/m.db?timeout=30&password={secret}"
    sweep(*SMALL, "trainer.epochs=1", "model.filters=1,2", f'tracking.uri="{address}"')
    searched = [file for file in alone.rglob("*") if file.is_file()]
    assert len(searched) > 20
    assert [file for file in searched if secret.encode() in file.read_bytes()] == []


@pytest.mark.slow
def test_preset_without_m_says_that_it_is_one_run(alone):
    words = [sys.executable, "-m", "mnist_exp.run", "sweep=dropout", *SMALL, "trainer.epochs=1", "tracking=none"]
    warning = "warning: this is one run, not a sweep over model.dropout: for that add -m"
    assert warning in subprocess.run(words, capture_output=True, text=True).stderr
    named = subprocess.run([*words, "model.dropout=0.5"], capture_output=True, text=True)
    assert warning not in named.stderr


@pytest.mark.new_store
@pytest.mark.slow
def test_sweep_without_a_store_runs(alone):
    out = sweep(*SMALL, "model.filters=1,2", "tracking=none").stdout
    assert "2 done" in out
    assert not Path("mlflow.db").exists()


@pytest.mark.slow
def test_reused_jobs_of_other_code_give_a_warning_and_another_commit_alone_none(alone):
    def git(*words):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True)

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "one")
    sweep(*SMALL, "trainer.epochs=1", "model.filters=1,2")
    git("commit", "-q", "--allow-empty", "-m", "two")
    again = sweep(*SMALL, "trainer.epochs=1", "model.filters=1,2")
    assert "another" not in again.stderr
    client, _, jobs = recorded()
    first, second = jobs.values()
    client.set_tag(first.info.run_id, names.CODE_SHA256, "0" * 64)
    client.delete_tag(second.info.run_id, names.CODE_SHA256)  # As of a run that recorded none: its commit tells.
    changed = sweep(*SMALL, "trainer.epochs=1", "model.filters=1,2")
    assert "warning: 2 jobs were done by another version of mnist_exp or Keras;" in changed.stderr


EDITOR = '''
"""A model whose first training comes with an edit of its own configuration file, as by a person meanwhile."""
from pathlib import Path

def net(input_shape, classes, *, units: int = 4, wide: int = 4):
    import keras

    file = Path("own/model/edited.yaml")
    file.write_text(file.read_text().replace("wide: 4", "wide: 5"))
    layers = [keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(units), keras.layers.Dense(wide)]
    return keras.Sequential([*layers, keras.layers.Dense(classes, activation="softmax")])
'''


@pytest.mark.slow
@pytest.mark.parametrize("values", [["model.units=3,4,5"], ["model.units=int(interval(2,99))", "sweep.n_trials=3"]])
def test_editing_files_during_a_sweep_changes_no_job(alone, values):
    Path("editor.py").write_text(EDITOR)
    Path("own/model").mkdir(parents=True)
    Path("own/model/edited.yaml").write_text("_target_: editor.net\ntrusted_modules: [editor]\nunits: 4\nwide: 4\n")
    own = ["--config-dir", "own", "model=edited", *(o for o in SMALL if not o.startswith("model"))]
    own += ["hydra.launcher.n_workers=1"]  # With more, two have begun before the file is edited.
    done = sweep(*own, *values, "data.validation=0.2", code=1)
    assert re.search(r"^sweep +1 done, 2 failed", done.stdout, re.MULTILINE), done.stdout
    assert "were changed while the sweep ran" in done.stderr
    again = sweep(*own, *values, "data.validation=0.2", code=0)
    assert "were changed" not in again.stderr


@pytest.mark.slow
def test_options_interpolated_from_a_searched_one_follow_it(alone):
    how = ["data.validation=0.2", "sweep.n_trials=2", "sweep.sampler=random"]
    tied = sweep(*SMALL, "model.filters=int(interval(2,5))", "model.dense_units=${model.filters}", *how)
    assert re.search(r"^sweep +2 done", tied.stdout, re.MULTILINE), tied.stderr
    _, _, children = recorded()
    assert len(children) == 2
    for each in children.values():
        assert each.data.params["model.dense_units"] == each.data.params["model.filters"]
    part = sweep("model=mlp", "model.hidden_units.0=int(interval(2,5))", *(o for o in SMALL if "model" not in o), *how)
    assert re.search(r"^sweep +2 done", part.stdout, re.MULTILINE), part.stderr
