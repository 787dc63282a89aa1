"""Sweeps on a real Ray cluster of two nodes, in a network of its own without access to others."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from real_runs import assert_whole, recorded, wait_for, with_checkpoints

SMALL = ["data=mnist_5k", "data.limit=2000", "data.validation=500", "model.filters=8", "model.dense_units=16"]
RAY = [sys.executable, "-m", "ray.scripts.scripts"]
HEAD, SECOND = "127.0.0.1", "127.0.0.2"

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(
        shutil.which("unshare") is None or os.geteuid() != 0, reason="a network of its own needs Linux and root"
    ),
]


class Cluster:
    """Two nodes of one CPU each; a test may kill the second."""

    def __init__(self, folder):
        # The network lives as long as a process in it.
        self._keeper = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up; exec sleep 1000"])
        time.sleep(0.5)
        self.wrap = ["nsenter", f"--net=/proc/{self._keeper.pid}/ns/net"]
        token = folder / "token"
        token.write_text("0123456789abcdef" * 4)
        self.environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        self.environment["RAY_TMPDIR"] = str(folder)
        self._start("--head", "--port=6390", f"--node-ip-address={HEAD}", "--include-dashboard=false")

    def start_second_node(self):
        if not self._raylet():
            self._start(f"--address={HEAD}:6390", f"--node-ip-address={SECOND}")

    def _start(self, *words):
        command = [*self.wrap, *RAY, "start", *words, "--num-cpus=1", "--disable-usage-stats"]
        subprocess.run(command, check=True, env=self.environment, capture_output=True, timeout=120)

    def sweep(self, *words):
        command = [*self.wrap, sys.executable, "-m", "mnist_exp.run", "-m", *SMALL, "hydra/launcher=ray"]
        return subprocess.Popen(
            [*command, f"hydra.launcher.address={HEAD}:6390", *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def _raylet(self):
        return [
            each
            for each in psutil.process_iter()
            if each.name() == "raylet" and f"--node_ip_address={SECOND}" in each.cmdline()
        ]

    def kill_second_node(self):
        (raylet,) = self._raylet()
        for process in [*raylet.children(recursive=True), raylet]:
            process.kill()

    def stop(self):
        subprocess.run([*self.wrap, *RAY, "stop", "--force"], env=self.environment, capture_output=True, timeout=60)
        self._keeper.kill()
        self._keeper.wait()


@pytest.fixture(scope="module")
def head():
    pytest.importorskip("ray")
    # Ray's sockets lie in it, and their paths may have no more than 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    started = Cluster(folder)
    yield started
    started.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(alone, head):
    head.start_second_node()
    return head


def end_of(sweep, code=0):
    output, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == code, output
    return output


def test_jobs_of_a_dead_node_restart_from_checkpoints(cluster):
    sweep = cluster.sweep("seed=1,2,3,4", "trainer.epochs=12")
    wait_for(lambda: len(with_checkpoints()) >= 2)
    cluster.kill_second_node()
    output = end_of(sweep)
    assert "4 done" in output
    _, _, found = recorded()
    assert [run.info.status for run in found] == ["FINISHED"] * 4
    (resumed,) = [run for run in found if "mnist_exp.resumed" in run.data.tags]
    for run in found:
        assert_whole(run.info.run_id, 12)
    assert '"from": "epoch 1"' not in resumed.data.tags["mnist_exp.resumption.1"]


def test_search_loses_no_trial_when_a_node_dies(cluster):
    sweep = cluster.sweep(
        "model.dropout=interval(0.1,0.6)", "sweep.n_trials=4", "trainer.epochs=12", "sweep.pruner=none"
    )
    wait_for(lambda: len(with_checkpoints()) >= 2)
    cluster.kill_second_node()
    assert "4 done" in end_of(sweep)
    _, _, found = recorded()
    assert [run.info.status for run in found] == ["FINISHED"] * 4
    assert len({run.data.params["model.dropout"] for run in found}) == 4


def test_ctrl_c_kills_jobs_and_the_same_command_resumes_them(cluster):
    words = ["seed=1,2", "trainer.epochs=24"]
    sweep = cluster.sweep(*words)
    wait_for(lambda: len(with_checkpoints()) >= 2)
    os.kill(sweep.pid, signal.SIGINT)
    end_of(sweep, code=130)
    _, _, found = recorded()
    assert [run.info.status for run in found] == ["KILLED"] * 2
    assert "2 done" in end_of(cluster.sweep(*words))
    _, _, found = recorded()
    assert [run.info.status for run in found] == ["FINISHED"] * 2


def test_job_over_its_time_limit_is_ended_alone(cluster):
    output = end_of(cluster.sweep("trainer.epochs=1500,1,2,3", "sweep.job_timeout_s=25"), code=1)
    assert "3 done, 1 failed" in output
    assert "it took longer than sweep.job_timeout_s" in output
    _, _, found = recorded()
    assert sorted(run.info.status for run in found) == ["FAILED", *["FINISHED"] * 3]


def test_too_many_resources_are_refused_before_anything_runs(cluster):
    output = end_of(cluster.sweep("seed=1,2", "hydra.launcher.num_gpus=1"), code=2)
    assert "hydra.launcher.num_gpus=1: the whole cluster has 0" in output


def test_hydras_own_tests_of_launchers(cluster):
    """In the network of the cluster."""
    tests = Path(__file__).with_name("test_conformance.py")
    command = [*cluster.wrap, sys.executable, "-m", "pytest", "-n", "0", "-m", "services", str(tests)]
    environment = cluster.environment | {"RAY_ADDRESS": f"{HEAD}:6390"}
    done = subprocess.run(command, cwd=tests.parents[2], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "20 passed" in done.stdout
