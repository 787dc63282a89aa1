"""What an earlier version recorded stays usable: `past_store/store.tar.xz`, written by commit 5e05cfd."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import real_runs
from golden_losses import environment
from past_store import kept, make

from mnist_exp.tracking import location

SUPPORT = Path(__file__).parent / "support"
GOLDEN = json.loads((SUPPORT / "golden_losses.json").read_text())
# The digits of that version are those of the machine that it ran on.
SAME_MACHINE = environment() == GOLDEN["environment"]
NEARLY = [] if SAME_MACHINE else ["--tolerance=0.001"]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("past")
    kept.unpack(folder)
    return folder


@pytest.fixture
def store(unpacked, alone):
    """A copy for one test, which works in it."""
    shutil.copytree(unpacked, alone, dirs_exist_ok=True)
    location.mend(alone / "mlflow.db")
    return alone


@pytest.fixture(scope="module")
def looked_at(unpacked, tmp_path_factory):
    """A copy for tests that add nothing to it."""
    folder = tmp_path_factory.mktemp("looked_at")
    shutil.copytree(unpacked, folder, dirs_exist_ok=True)
    location.mend(folder / "mlflow.db")
    return folder


def command(name, *words, code=0):
    done = subprocess.run([sys.executable, "-m", f"mnist_exp.{name}", *map(str, words)], text=True, capture_output=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def run_of(point, status="FINISHED"):
    """The id of the run with these params that is no sweep's."""
    runs = real_runs.recorded()[2]
    named = {"seed": "7", "model.filters": "2", "trainer.epochs": "2"} | point
    found = [
        run.info.run_id
        for run in runs
        if run.info.status == status
        and named.items() <= run.data.params.items()
        and "mlflow.parentRunId" not in run.data.tags
    ]
    (only,) = found
    return only


def whole(name):
    return json.loads(Path("whole.json").read_text())["whole"][name]


def assert_as_uninterrupted(run_id, name):
    run = real_runs.assert_whole(run_id, epochs=12)
    wanted = whole(name)
    losses = real_runs.history(run_id, names=["loss"])["loss"]
    if SAME_MACHINE:
        assert losses == wanted["loss"]
        assert run.data.tags["mnist_exp.weights_sha256"] == wanted["weights_sha256"]
    else:
        assert losses == pytest.approx(wanted["loss"], rel=1e-3)


@pytest.mark.parametrize("name", ["grid", pytest.param("search", marks=pytest.mark.slow)])
def test_finished_sweep_issued_again_runs_nothing(name, store):
    before = {run.info.run_id for run in real_runs.recorded()[2]}
    told = command("run", *make.COMMANDS[name])
    assert "to do   0" in told
    assert {run.info.run_id for run in real_runs.recorded()[2]} == before


@pytest.mark.slow
def test_interrupted_grid_is_finished_and_done_jobs_are_not_run_again(store):
    _, _, before = real_runs.recorded()
    done = {
        run.info.run_id
        for run in before
        if run.data.params["trainer.epochs"] == "12" and "objective" in run.data.metrics
    }
    assert len(done) == 1
    # As its runs were made: their last digits depend on the number of threads.
    told = command("run", *make.COMMANDS["interrupted_grid"], "hydra.launcher.n_workers=1")
    assert "3 done; 1 of them done before" in told
    _, _, runs = real_runs.recorded()
    jobs = {
        run.data.params["seed"]: run
        for run in runs
        if "mlflow.parentRunId" in run.data.tags and run.data.params["trainer.epochs"] == "12"
    }
    assert set(jobs) == {"1", "2", "3"}
    for seed, run in jobs.items():
        assert_as_uninterrupted(run.info.run_id, f"interrupted_grid/{seed}")


def test_interrupted_run_is_resumed_to_the_same_bits(store):
    run_id = run_of({"seed": "9", "trainer.epochs": "12"}, "KILLED")
    command("run", f"resume={run_id}")
    assert_as_uninterrupted(run_id, "interrupted_run/9")


@pytest.mark.slow
def test_rerun_is_equal_and_tells_that_the_code_differs(store):
    told = command("rerun", run_of({}), *NEARLY)
    assert "equal to run" in told


@pytest.mark.slow
def test_run_is_inspected_with_the_labels_that_its_model_doubts(looked_at, monkeypatch):
    monkeypatch.chdir(looked_at)
    told = command("inspect", run_of({}), "--fast")
    assert "1,000 of 1,000 test images, by models that were not trained on them" in told
    assert "may be wrong: models that were not trained on them find another class more probable" in told


@pytest.mark.slow
def test_run_is_evaluated_with_the_logged_accuracy(looked_at, monkeypatch):
    monkeypatch.chdir(looked_at)
    run_id = run_of({})
    told = command("evaluate", run_id)
    assert f"{real_runs.client_of().get_run(run_id).data.metrics['test_accuracy']:.4f}" in told
    assert "accuracy and loss are as the run recorded them" in told


@pytest.mark.slow
def test_registered_model_predicts(looked_at, monkeypatch, digits, tmp_path):
    from PIL import Image

    monkeypatch.chdir(looked_at)
    Image.fromarray(digits[1][0][0]).save(tmp_path / "digit.png")
    told = command("predict", "models:/digits@champion", tmp_path / "digit.png", "--json")
    answer = json.loads(told.splitlines()[0])
    assert sum(
        answer["probabilities"].values() if isinstance(answer["probabilities"], dict) else answer["probabilities"]
    ) == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_run_is_exported(looked_at, monkeypatch):
    monkeypatch.chdir(looked_at)
    command("export", run_of({}), "--format", "onnx")
    assert list(Path("exports").glob("*.onnx"))


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [4, 3], ids=["grid", "search"])
def test_sweep_is_reported(jobs, store):
    _, parents, _ = real_runs.recorded()
    (parent,) = [run for run in parents if run.info.status == "FINISHED" and run.data.metrics["jobs_done"] == jobs]
    command("report", "--sweep", parent.info.run_id)
    assert list(Path().rglob("*.html"))


def test_model_is_loaded(looked_at, monkeypatch, digits):
    import mnist_exp

    monkeypatch.chdir(looked_at)
    run_id = run_of({})
    logged = real_runs.client_of().get_run(run_id).data.metrics["test_accuracy"]
    model = mnist_exp.load_model(run_id)
    x, y = digits[1]
    assert (model.predict(x[..., None], verbose=0).argmax(axis=1) == y).mean() == pytest.approx(logged, abs=0.002)
    assert np.shape(model.get_weights()[-1]) == (10,)
    assert "MLFLOW_TRACKING_URI" not in os.environ
