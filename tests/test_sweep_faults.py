"""Sweeps that are killed, interrupted, crowded: real processes, real signals, a real store."""

import collections
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

SMALL = ["data=mnist_5k", "data.limit=500", "data.validation=0.2", "model.dense_units=8"]
GRID = [*SMALL, "trainer.epochs=2", "model.filters=1,2,3,4", "model.dropout=0.1,0.3,0.5"]


def start(*arguments):
    """Start a sweep as the leader of a process group, as a shell does, with Ctrl-C in force."""
    return subprocess.Popen(
        [sys.executable, "-m", "mnist_exp.run", "-m", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def finish(*arguments, code=0):
    started = start(*arguments)
    output, _ = started.communicate(timeout=400)
    assert started.returncode == code, output
    return output


def recorded():
    """The parent runs and the children in the store."""
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlflow.db")
    experiment = client.get_experiment_by_name("mnist_exp")
    found = client.search_runs([experiment.experiment_id]) if experiment else []
    parents = [run for run in found if "mnist_exp.sweep" in run.data.tags]
    return client, parents, [run for run in found if run not in parents]


def wait_for(condition, seconds=90):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


@pytest.mark.slow
def test_killed_five_times_a_sweep_is_finished_by_issuing_it_again():
    rng = random.Random(3)
    for _ in range(5):
        running = start(*GRID, "hydra.launcher.n_workers=2")
        time.sleep(rng.uniform(4, 14))
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
    finish(*GRID, "hydra.launcher.n_workers=2")
    client, parents, children = recorded()
    assert [run.info.status for run in parents] == ["FINISHED"]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parents[0].info.run_id}
    finished = collections.Counter(
        run.data.tags["mnist_exp.job_key"] for run in children if run.info.status == "FINISHED"
    )
    assert len(finished) == 12
    assert set(finished.values()) == {1}
    assert {run.info.status for run in children} <= {"FINISHED", "KILLED"}
    for run in children:
        if run.info.status == "FINISHED":
            assert [p.step for p in client.get_metric_history(run.info.run_id, "val_accuracy")] == [1, 2]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_sweep_records_what_ran_and_prints_its_summary(number, code):
    running = start(*SMALL, "trainer.epochs=500", "model.filters=1,2,3", "hydra.launcher.n_workers=2")
    wait_for(lambda: Path("mlflow.db").exists() and len(recorded()[2]) == 2)
    os.killpg(running.pid, number) if number == signal.SIGINT else running.send_signal(number)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == code, output
    assert "2 killed, 1 left" in output
    assert "issue the same command again" in output
    assert "Traceback" not in output
    _, parents, children = recorded()
    assert [run.info.status for run in (*parents, *children)] == ["KILLED"] * 3
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(Path.cwd()) in " ".join(p.info["cmdline"] or [])]


def test_workers_end_when_the_sweep_alone_is_killed():
    running = start(*SMALL, "trainer.epochs=500", "model.filters=1,2")
    wait_for(lambda: Path("mlflow.db").exists() and recorded()[2])
    workers = psutil.Process(running.pid).children(recursive=True)
    running.kill()
    running.communicate()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
    wait_for(lambda: recorded()[2][0].info.status == "KILLED", 10)


@pytest.mark.slow
def test_sixteen_workers_share_one_sqlite_store():
    values = ",".join(map(str, range(1, 33)))
    sweep = [*SMALL, "trainer.epochs=3", f"seed={values}", "model.filters=1", "hydra.launcher.n_workers=16"]
    finish(*sweep)
    client, parents, children = recorded()
    assert [run.info.status for run in parents] == ["FINISHED"]
    assert [run.info.status for run in children] == ["FINISHED"] * 32
    for run in children:
        for metric in ("loss", "val_accuracy", "epoch_time_s"):
            assert [p.step for p in client.get_metric_history(run.info.run_id, metric)] == [1, 2, 3]
        assert "test_accuracy" in run.data.metrics
