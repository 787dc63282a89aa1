"""Killed runs resume, equal to the last bit: real processes, real signals, a real store."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

pytestmark = pytest.mark.slow

SMALL = ["data=mnist_5k", "data.limit=600", "model.filters=4", "model.dense_units=16", "trainer.epochs=12"]
SMALL += ["trainer.batch_size=20"]
METRICS = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
TIMES = ("epoch_time_s", "images_per_s", "fit_time_s", "memory_peak_mb")
# Several command lines in one process, which imports MLflow once.
LINES = """
import contextlib, io, json, sys
from mnist_exp.run_command import launch
results = {}
for line in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["run.py", *line.split()]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = launch()
    heavy = sorted({"tensorflow", "keras"} & set(sys.modules))
    results[line] = {"code": code, "err": err.getvalue(), "heavy": heavy}
print("RESULTS" + json.dumps(results))
"""


def start(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "mnist_exp.run", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environment,
    )


def finish(*arguments, code=0, **environment):
    process = start(*arguments, **environment)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == code, output
    return output


def interrupt(number, when, *arguments, after_s=0.0):
    """Start a run and send a signal once it prints a text; return its id, exit code, output and seconds to its end."""
    process = start(*arguments)
    seen = ""
    for line in process.stdout:
        seen += line
        if re.search(when, line):
            break
    time.sleep(after_s)
    process.send_signal(number)
    began = time.monotonic()
    rest, _ = process.communicate(timeout=60)
    (folder,) = Path("unfinished").iterdir()
    return folder.name, process.returncode, seen + rest, time.monotonic() - began


def lines(*texts):
    done = subprocess.run([sys.executable, "-c", LINES], input=json.dumps(texts), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.rpartition("RESULTS")[2])


def client():
    return MlflowClient(f"sqlite:///{Path.cwd()}/mlflow.db")


def run_of(run_id):
    return client().get_run(run_id)


def outcome(run_id):
    """Return what must be equal: the metrics of each step, those at the end, and the digest of the weights."""
    run = run_of(run_id)
    histories = {name: client().get_metric_history(run_id, name) for name in METRICS}
    found = {name: [(point.step, point.value) for point in points] for name, points in histories.items()}
    found |= {name: value for name, value in run.data.metrics.items() if name not in TIMES}
    return found | {"status": run.info.status, "weights": run.data.tags["mnist_exp.weights_sha256"]}


def id_in(output):
    return re.search(r"^run   ([0-9a-f]{32}) ", output, re.MULTILINE)[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with an uninterrupted run, and an equal one that was killed in its third epoch."""
    place, before = tmp_path_factory.mktemp("resume"), Path.cwd()
    os.chdir(place)
    try:
        whole = id_in(finish(*SMALL))
        killed, code, _, _ = interrupt(signal.SIGKILL, "^epoch  2/12", *SMALL)
        assert code == -signal.SIGKILL
        yield place, whole, killed
    finally:
        os.chdir(before)


@pytest.fixture
def runs(folder, monkeypatch):
    monkeypatch.chdir(folder[0])
    return folder[1:]


CHANGES = {
    "model.dropout=0.5": "model.dropout=0.5 was 0.3: leave it as it was, or begin a new run",
    "model=mlp": "model._target_=mnist_exp.models.mlp was mnist_exp.models.cnn",
    "optimizer.learning_rate=0.1": "optimizer.learning_rate=0.1 was 0.001",
    "seed=8": "seed=8 was 7",
    "data.limit=500": "data.limit=500 was 600",
    "data.validation=0.1": "data.validation=0.1 was test",
    "trainer.batch_size=100": "trainer.batch_size=100 was 20",
    "trainer.epochs=3": "trainer.epochs=3 was 12: a resumed run may have more epochs, not fewer",
    "schedule=cosine trainer.epochs=15": "the rates of the epochs done depend on it",
    "experiment=overfit_one_batch": "data.limit=200 was 600",
    "data=npz data.path=other.npz data.limit=600": "has the SHA-256",
    "model.dropout=1.5": "model.dropout=1.5 is not allowed",
    "tracking.experiment=other": "tracking.experiment=other was mnist_exp: a resumed run keeps its names",
    "tracking.run_name=other": "tracking.run_name=other was data=mnist_5k data.limit=600",
    "data.name=other": "data.name=other was mnist_5k: a resumed run keeps its names",
}


@pytest.fixture(scope="module")
def answers(folder, digits):
    """The messages for each change of the killed run, and for each text that is no run to resume."""
    import numpy as np

    place, whole, killed = folder
    before = Path.cwd()
    os.chdir(place)
    try:
        (x_train, y_train), (x_test, y_test) = digits
        np.savez("other.npz", x_train=x_train, y_train=np.roll(y_train, 1), x_test=x_test, y_test=y_test)
        texts = [f"resume={killed} {change}" for change in CHANGES]
        texts += [f"resume={whole}", f"resume={'0' * 32}", "resume=../../etc", f"resume={killed} tracking=none"]
        texts += [f"resume={killed} tracking.local_dir=elsewhere"]
        files = sorted(Path("unfinished").rglob("*"))
        found = lines(*texts)
        assert sorted(Path("unfinished").rglob("*")) == files
        return found, whole, killed
    finally:
        os.chdir(before)


@pytest.mark.parametrize("change", CHANGES)
def test_change_of_the_result_is_refused(answers, change):
    results, _, killed = answers
    result = results[f"resume={killed} {change}"]
    assert result["code"] == 2
    assert CHANGES[change] in result["err"]
    assert "Traceback" not in result["err"]
    assert result["heavy"] == []


def test_anything_but_an_interrupted_run_is_refused(answers, runs):
    results, whole, killed = answers
    assert "is FINISHED: there is nothing to go on with" in results[f"resume={whole}"]["err"]
    assert "there is no run 00000000000000000000000000000000 in" in results[f"resume={'0' * 32}"]["err"]
    assert "resume=../../etc is no run id" in results["resume=../../etc"]["err"]
    elsewhere = results[f"resume={killed} tracking.local_dir=elsewhere"]["err"]
    assert re.search(rf"nothing to go on from in \S+/elsewhere; it was started in {Path.cwd()} on ", elsewhere)
    assert "keeps no runs" in results[f"resume={killed} tracking=none"]["err"]
    assert {result["code"] for result in results.values()} == {2}


def test_killed_run_resumes_equal_to_the_last_bit(runs, answers):
    whole, killed = runs
    params = run_of(killed).data.params
    output = finish(f"resume={killed}")
    assert re.search(rf"^resumes    run {killed}, from epoch ([2-9]|1\d)$", output, re.MULTILINE), output
    assert outcome(killed) == outcome(whole)
    run = run_of(killed)
    assert run.data.params == params == run_of(whole).data.params
    assert [point.step for point in client().get_metric_history(killed, "epoch_time_s")] == list(range(1, 13))
    assert run.data.tags["mnist_exp.resumed"] == "1"
    resumption = json.loads(run.data.tags["mnist_exp.resumption.1"])
    assert resumption["from"] in output
    assert resumption["changes"] == []
    assert len(client().search_runs([run.info.experiment_id])) == 2
    assert not Path("unfinished").exists()
    artifacts = {item.path for item in client().list_artifacts(killed)}
    assert {"config.yaml", "environment.yaml", "environment-resumed-1.yaml", "learning_curves.png"} <= artifacts
    assert run.data.tags["mnist_exp.model_uri"].startswith("models:/")


def test_leftover_folder_of_a_finished_run_is_removed(runs):
    folder = Path("unfinished", runs[0])
    folder.mkdir(parents=True)
    line = f"resume={runs[0]}"
    assert "is FINISHED: there is nothing to go on with" in lines(line)[line]["err"]
    assert not folder.exists()


def test_sigterm_stops_after_a_step_and_the_run_resumes_there(alone):
    small = ["data=mnist_5k", "data.validation=0.25", "trainer.batch_size=20", "trainer.epochs=3", "model.filters=8"]
    small += ["augment=affine", "optimizer=sgd", "trainer.plateau_patience=1", "trainer.restore_best=true"]
    whole = id_in(finish(*small))
    killed, code, output, seconds = interrupt(signal.SIGTERM, "^epoch 1/3", *small, after_s=0.4)
    assert code == 143
    assert seconds < 10
    assert f"python -m mnist_exp.run resume={killed}" in output
    assert run_of(killed).info.status == "KILLED"
    again = finish(f"resume={killed}")
    # Where in an epoch it stops is up to the machine; every place is tried in test_resume_training.py.
    assert re.search(rf"resumes    run {killed}, from epoch \d(, step \d+)?$", again, re.MULTILINE)
    assert outcome(killed) == outcome(whole)


@pytest.mark.slow
def test_more_epochs_and_other_threads_are_allowed_with_a_message(alone):
    killed, _, _, _ = interrupt(signal.SIGKILL, "^epoch  1/12", *SMALL)
    params = run_of(killed).data.params
    output = finish(f"resume={killed}", "trainer.epochs=13", "trainer.threads=1")
    assert "warning: trainer.threads=1 was null: the resumed run may differ" in output
    assert "epoch 13/13" in output
    run = run_of(killed)
    assert [point.step for point in client().get_metric_history(killed, "val_accuracy")] == list(range(1, 14))
    assert run.data.params == params
    changes = json.loads(run.data.tags["mnist_exp.resumption.1"])["changes"]
    assert changes == ["trainer.epochs=13 was 12", "trainer.threads=1 was null"]


@pytest.mark.slow
def test_run_killed_at_random_moments_equals_an_uninterrupted_one(alone):
    import random

    moments = random.Random(5)
    small = [*SMALL, "trainer.batch_size=5", "model.dropout=0.4"]
    whole = id_in(finish(*small))
    killed, *_ = interrupt(signal.SIGKILL, "^epoch  1/12", *small)
    for _ in range(4):
        process = start(f"resume={killed}")
        time.sleep(moments.uniform(2, 9))
        process.kill()
        process.communicate()
    if run_of(killed).info.status != "FINISHED":
        finish(f"resume={killed}")
    assert outcome(killed) == outcome(whole)
