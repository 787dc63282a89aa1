"""Stores that stop, hang or are locked; clocks that jump; a NaN loss: each caused for real."""

import os
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from real_runs import (
    SMALL,
    Running,
    assert_model_predicts,
    assert_whole,
    client_of,
    history,
    kill_after_epoch,
    only_run,
    run,
)

from mnist_exp.runtime import processes

LOST, BACK = "the tracking store does not take records", "the tracking store is back: "


class Server:
    """`mlflow server` on a port of its own; its store stays when it is killed."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri, self.folder = f"http://127.0.0.1:{self.port}", folder
        self.process = None

    def start(self):
        words = [str(Path(sys.executable).with_name("mlflow")), "server", "--workers", "1", "--port", str(self.port)]
        words += ["--backend-store-uri", f"sqlite:///{self.folder}/served.db"]
        words += ["--artifacts-destination", str(self.folder / "served")]
        self.process = subprocess.Popen(
            words,
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                    return
            except OSError:
                assert time.monotonic() < until, "the server does not start"
                time.sleep(0.2)

    def signal(self, number):
        os.killpg(self.process.pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.process = None


@pytest.fixture(scope="module")
def one_server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    if server.process is not None:
        server.kill()


@pytest.fixture
def server(one_server, monkeypatch):
    """A server that answers; the runs of the test use it, with an experiment of their own."""
    return answering(one_server, monkeypatch)


@pytest.fixture(scope="module")
def abandoned(one_server, tmp_path_factory):
    """A run whose server was killed; it waits a minute for it while other tests run."""
    folder = tmp_path_factory.mktemp("abandoned")
    with pytest.MonkeyPatch.context() as patch:
        answering(one_server, patch)
        patch.chdir(folder)
        running = Running("mnist_exp.run", *SMALL, "trainer.epochs=8", "tracking.experiment=never")
        running.wait_for_epoch(3)
        run_id = started_run(one_server.uri, "never")
        one_server.kill()
    yield folder, running, run_id
    running.process.kill()


def answering(one_server, monkeypatch):
    if one_server.process is None:
        one_server.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", one_server.uri)
    return one_server


def started_run(uri, name):
    """Return the only run of an experiment."""
    client = client_of(uri)
    (found,) = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    return found.info.run_id


@pytest.mark.slow
@pytest.mark.services
def test_killed_and_restarted_server_loses_nothing(server, digits):
    running = Running("mnist_exp.run", *SMALL, "trainer.epochs=50", "tracking.experiment=back")
    running.wait_for_epoch(3)
    server.kill()
    running.wait_for_epoch(6)
    server.start()
    output = running.end_with(0)
    assert output.count("warning: ") == 2, output
    assert output.index(LOST) < output.index(BACK)
    found = assert_whole(started_run(server.uri, "back"), 50, server.uri)
    assert_model_predicts(found, digits, server.uri)
    assert not Path("unfinished").exists()


@pytest.mark.slow
@pytest.mark.services
def test_run_waits_for_a_locked_store(abandoned, alone):
    running = Running("mnist_exp.run", *SMALL, "trainer.epochs=50")
    running.wait_for_epoch(3)
    with sqlite3.connect("mlflow.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(30)
        reached = len([line for line in running.out if line.startswith("epoch")])
        other.execute("ROLLBACK")
    other.close()
    assert reached > 25, "the training waits for the store"
    output = running.end_with(0)
    assert output.count("warning: ") == 2, output
    assert "database is locked" in output or "no answer" in output
    assert_whole(only_run().info.run_id, 50)


@pytest.mark.slow
def test_locked_store_does_not_keep_a_run_from_ending(alone):
    running = Running("mnist_exp.run", *SMALL, "trainer.epochs=500")
    running.wait_for_epoch(3)
    with sqlite3.connect("mlflow.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        running.wait_for_epoch(8)
        output = running.stop_with(signal.SIGTERM, 143)
    other.close()
    assert "python -m mnist_exp.deliver" in output
    Running("mnist_exp.deliver").end_with(0)
    assert only_run().info.status == "KILLED"


NAN = '''
"""Rates that are none from some step on."""
import keras

@keras.saving.register_keras_serializable()
class Breaks(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return keras.ops.where(step < 8, 0.001, float("nan"))

    def get_config(self):
        return {}

def breaks(peak, steps):
    return Breaks()
'''


@pytest.mark.slow
def test_nan_loss_fails_the_run_and_keeps_the_good_checkpoint(alone):
    Path("broken.py").write_text(NAN)
    own = ["schedule._target_=broken.breaks", "trusted_modules=[broken]"]
    output = run(*SMALL, *own, "trainer.epochs=5", code=1)
    # 3 steps an epoch; the 9th makes the weights NaN.
    reason = "weights of cnn/conv2d/kernel became NaN or infinite in epoch 3"
    assert f"the run failed: {reason}: lower optimizer.learning_rate" in output
    assert "Traceback" not in output
    found = only_run()
    assert found.info.status == "FAILED"
    assert reason in found.data.tags["mnist_exp.failure"]
    assert len(history(found.info.run_id)["loss"]) == 3
    kept = sorted(file.name for file in Path("unfinished", found.info.run_id).glob("checkpoint-*"))
    assert [name[:17] for name in kept] == ["checkpoint-000001", "checkpoint-000002"]
    # With another learning rate it resumes; only its traceback shows that it failed before.
    Path("broken.py").write_text(NAN.replace('float("nan")', "0.001"))
    run(f"resume={found.info.run_id}", "trusted_modules=[broken]")
    again = assert_whole(found.info.run_id, 5)
    assert "traceback.txt" in {file.path for file in client_of().list_artifacts(again.info.run_id)}


@pytest.mark.slow
def test_only_one_of_two_processes_resumes_a_run(alone):
    run_id = kill_after_epoch(2, *SMALL, "trainer.epochs=12")
    first = Running("mnist_exp.run", f"resume={run_id}")
    owner = Path("unfinished", run_id, "owner")
    while str(first.process.pid) not in owner.read_text():
        assert first.process.poll() is None, first.text()
        time.sleep(0.02)
    output = run(f"resume={run_id}", code=75)
    assert f"run {run_id} is being worked on by another process ({owner.read_text()})" in output
    delivered = Running("mnist_exp.deliver", run_id)
    delivered.end_with(0)
    assert "nothing waits" in delivered.text()
    first.end_with(0)
    assert_whole(run_id, 12)


@pytest.mark.slow
def test_changed_clock_disturbs_nothing(alone):
    library = next(Path("/usr/lib").rglob("faketime/libfaketime.so.1"), None)
    if library is None:
        pytest.skip("libfaketime is not installed (Debian: apt-get install faketime)")
    clock = Path("clock")
    clock.write_text("+0")
    # A clock that is set moves the time of day, not the time since boot.
    faked = {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(clock.absolute()), "FAKETIME_NO_CACHE": "1"}
    running = Running("mnist_exp.run", *SMALL, "trainer.epochs=16", **faked, FAKETIME_DONT_FAKE_MONOTONIC="1")
    running.wait_for_epoch(4)
    clock.write_text("+1d")
    running.wait_for_epoch(8)
    clock.write_text("-2d")
    running.wait_for_epoch(10)
    found = only_run()
    assert not processes.is_gone(found.data.tags["mnist_exp.process"])
    kept = sorted(Path("unfinished", found.info.run_id).glob("checkpoint-*"))
    assert 9 <= int(kept[-1].name.split("-")[1]) <= 16
    assert running.end_with(0) == ""
    found = assert_whole(found.info.run_id, 16)
    times = history(found.info.run_id, names=["epoch_time_s"])["epoch_time_s"]
    assert min(times) > 0
    assert max(times) < 60
    assert sum(times) <= found.data.metrics["fit_time_s"] < 120
    stamps = [point.timestamp for point in client_of().get_metric_history(found.info.run_id, "loss")]
    assert stamps[-1] - stamps[0] > 80_000_000, "the clock did not jump"
    assert found.info.start_time <= found.info.end_time


@pytest.mark.slow
@pytest.mark.services
def test_printed_command_delivers_the_waiting_records(abandoned, one_server, digits, monkeypatch):
    folder, running, run_id = abandoned
    monkeypatch.chdir(folder)
    server = one_server
    output = running.end_with(1)
    assert f"wait in {Path.cwd()}/unfinished/{run_id}/outbox" in output
    assert "Traceback" not in output
    command = output.splitlines()[-1].strip()
    assert command == f"python -m mnist_exp.deliver {run_id} --tracking-uri {server.uri}"
    refused = subprocess.run(shlex.split(command.replace("python", sys.executable)), capture_output=True, text=True)
    assert refused.returncode == 2, refused.stderr
    assert "nothing answers there" in refused.stderr

    server.start()
    assert client_of(server.uri).get_run(run_id).info.status == "RUNNING"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=os.environ | {"PATH": path})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"run {run_id}: ") and done.stdout.endswith("records delivered, it is FINISHED\n")
    assert done.stderr == ""
    assert_model_predicts(assert_whole(run_id, 8, server.uri), digits, server.uri)
    assert not Path("unfinished").exists()


@pytest.mark.slow
@pytest.mark.services
def test_run_waits_with_a_warning_for_a_hanging_server(server):
    running = Running("mnist_exp.run", *SMALL, "trainer.epochs=8", "tracking.experiment=hangs_late")
    running.wait_for_epoch(3)
    server.signal(signal.SIGSTOP)
    try:
        running.wait_for_words(f"{LOST} (no answer for ")
    finally:
        server.signal(signal.SIGCONT)
    running.end_with(0)
    assert BACK in running.text()
    assert_whole(started_run(server.uri, "hangs_late"), 8, server.uri)


@pytest.mark.slow
@pytest.mark.services
def test_hanging_server_delays_neither_training_nor_sigterm(server):
    running = Running("mnist_exp.run", *SMALL, "trainer.epochs=400", "tracking.experiment=hangs")
    running.wait_for_epoch(3)
    run_id = started_run(server.uri, "hangs")
    server.signal(signal.SIGSTOP)
    try:
        time.sleep(17)
        reached = len([line for line in running.out if line.startswith("epoch")])
        assert reached > 8, "the training waits for the server"
        output = running.stop_with(signal.SIGTERM, 143)
    finally:
        server.signal(signal.SIGCONT)
    assert LOST in output
    assert f"python -m mnist_exp.deliver {run_id} --tracking-uri {server.uri}" in output
    assert "Traceback" not in output

    delivered = Running("mnist_exp.deliver")
    delivered.end_with(0)
    assert f"it is KILLED; resume={run_id} goes on with it" in delivered.text()
    assert client_of(server.uri).get_run(run_id).info.status == "KILLED"
    assert len(history(run_id, server.uri)["loss"]) >= reached
    assert "warning" not in run(f"resume={run_id}", "tracking.experiment=hangs")
    assert_whole(run_id, 400, server.uri)
    assert not Path("unfinished").exists()
