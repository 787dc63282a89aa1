"""Ctrl-C twice within half a second, while a result is recorded: screen, store and disk say the same."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from mlflow.entities import LoggedModelStatus
from real_runs import Running, only_run, recorded, run

SMALL = ["data=mnist_5k", "data.limit=300", "data.validation=0.2", "trainer.epochs=1"]
# The record of a run's end begins, Ctrl-C comes twice, and then it ends.
AT_THE_END = """
import os, signal, sys, time
from mnist_exp import run_command
from mnist_exp.tracking import mlflow_writes

write = mlflow_writes._WRITERS["end"]
def end(*arguments):
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
    write(*arguments)
mlflow_writes._WRITERS["end"] = end
signal.signal(signal.SIGINT, signal.default_int_handler)
run_command.main()
"""
SLOW_TO_SAVE = '''
"""A layer of one's own that takes a while to be saved, or cannot be saved."""
import os, time
from pathlib import Path

import keras

@keras.saving.register_keras_serializable("mine")
class Slow(keras.layers.Layer):
    def call(self, x):
        return x

    def save_own_variables(self, store):
        if os.environ.get("FAIL"):
            raise ValueError("it cannot be saved")
        Path("saving").touch()
        time.sleep(3)

def net(input_shape, classes, *, width: int = 8):
    last = keras.layers.Dense(classes, activation="softmax")
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), Slow(), last])
'''


@pytest.fixture
def own_model(alone):
    Path("mine.py").write_text(SLOW_TO_SAVE)
    Path("own/model").mkdir(parents=True)
    content = {"_target_": "mine.net", "trusted_modules": ["mine"], "width": 8}
    Path("own/model/mine.yaml").write_text(yaml.safe_dump(content))
    return ["--config-dir", "own", "model=mine", *SMALL]


def statuses_of_models(client, found):
    models = client.search_logged_models([found.info.experiment_id])
    return [model.status for model in models if model.source_run_id == found.info.run_id]


def interrupted_at_the_end(*words):
    done = subprocess.run([sys.executable, "-c", AT_THE_END, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_run_that_was_done_is_finished_everywhere(alone):
    shown = interrupted_at_the_end("model=mlp", *SMALL)
    assert f"python -m mnist_exp.evaluate {only_run().info.run_id}" in shown
    assert only_run().info.status == "FINISHED"
    assert not Path("unfinished").exists()


@pytest.mark.slow
@pytest.mark.parametrize("words", [["seed=1,2"], ["seed=range(1,9)", "sweep.sampler=random", "sweep.n_trials=2"]])
def test_job_that_was_done_is_done_on_the_screen(alone, words):
    words = ["-m", "hydra/launcher=basic", "model=mlp", *SMALL, *words]
    shown = interrupted_at_the_end(*words)
    assert "1 done, 1 left" in shown, shown
    _, _, (child,) = recorded()
    assert child.info.status == "FINISHED"
    assert run(*words) == ""
    _, (parent,), children = recorded()
    assert [each.info.status for each in [parent, *children]] == ["FINISHED"] * 3
    assert not Path("unfinished").exists()


@pytest.mark.slow
def test_sweep_interrupted_while_a_model_is_saved(own_model):
    words = ["-m", *own_model, "hydra.launcher.n_workers=1", "seed=1,2"]
    running = Running("mnist_exp.run", *words, wrap=[shutil.which("setsid") or pytest.skip("needs setsid")])
    running.wait_until(Path("saving").exists, 120)
    for _ in range(2):
        os.killpg(running.process.pid, signal.SIGINT)
        time.sleep(0.3)
    running.end_with(130, seconds=60)
    client, (parent,), (child,) = recorded()
    assert "1 killed" in "".join(running.out), running.text()
    assert (parent.info.status, child.info.status) == ("KILLED", "KILLED")
    run(*words)
    client, (parent,), children = recorded()
    assert [each.info.status for each in [parent, *children]] == ["FINISHED"] * 3
    for each in children:
        assert statuses_of_models(client, each) == [LoggedModelStatus.READY]
    assert not Path("unfinished").exists()


@pytest.mark.slow
def test_model_that_cannot_be_saved_is_failed_not_pending(own_model):
    Running("mnist_exp.run", *own_model, FAIL="yes").end_with(1)
    found = only_run()
    client, _, _ = recorded()
    assert found.info.status == "FAILED"
    assert statuses_of_models(client, found) == [LoggedModelStatus.FAILED]


@pytest.mark.slow
def test_sweep_tidies_what_killed_processes_left(alone):
    words = ["-m", "model=mlp", *SMALL, "seed=1,2", "hydra/launcher=basic"]
    run(*words)
    client, _, (child, other) = recorded()
    left = Path("unfinished", child.info.run_id)
    left.mkdir(parents=True)
    failed = client.create_run(child.info.experiment_id, tags={"mnist_exp.job_key": "0" * 64})
    client.set_terminated(failed.info.run_id, "FAILED")
    pending = client.create_logged_model(child.info.experiment_id, "model", failed.info.run_id)
    assert pending.status == LoggedModelStatus.PENDING
    run(*words)
    assert not left.exists()
    assert statuses_of_models(client, failed) == [LoggedModelStatus.FAILED]
    assert statuses_of_models(client, other) == [LoggedModelStatus.READY]
