"""The process that workers are forked from: begun before a sweep is understood, used if it fits, gone at the end."""

import os
import shlex
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

import psutil
import pytest
from real_runs import SMALL, Running, wait_for

from mnist_exp.jobs import fork_server
from mnist_exp.runtime import machine, threads

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="workers are forked on Linux")


@pytest.fixture(autouse=True)
def ended(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    yield
    fork_server.end()


def servers(folder):
    """Return the processes of this kind that were started in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
            if "forkserver" in words and process.cwd() == str(folder) and not is_forked(process):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def is_forked(process):
    """Tell whether it is a worker: its command line is that of the process it was forked from."""
    parent = process.parent()
    return parent is not None and "forkserver" in " ".join(parent.cmdline())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-m model.dropout=0.1,0.2", True),
        ("model.dropout=0.1,0.2 --multirun --config-dir=mine", True),
        ("-m -cd mine experiment=mine tracking.experiment=mine", True),
        ("model.dropout=0.1", False),
        ("", False),
        ("-m --help", False),
        ("-m --cfg job", False),
        ("-m seed=1,2 sweep.dry_run=true", False),
        ("-m seed=1,2 hydra.launcher.n_workers=1", False),
        ("-m seed=1,2 hydra/launcher=ray", False),
        ("-m seed=1,2 trainer.backend=jax", False),
        ("-m seed=1,2 tracking=none", False),
        ("-m seed=1,2 +hydra.job.env_set.TF_DETERMINISTIC_OPS=1", False),
    ],
)
def test_which_command_lines_look_like_it(line, expected):
    assert fork_server.looks_like_it(shlex.split(line)) is expected


def test_the_one_that_was_expected_serves_unless_the_environment_is_another(monkeypatch, alone):
    monkeypatch.setattr(machine, "cpus", lambda: 2)
    fork_server.expect(["-m", "seed=1,2"])
    first = forkserver._forkserver._forkserver_pid
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    fork_server.begin(records=True)
    assert forkserver._forkserver._forkserver_pid == first
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    fork_server.begin(records=True)
    second = forkserver._forkserver._forkserver_pid
    wait_for(lambda: psutil.Process(second).environ().get("TF_ENABLE_ONEDNN_OPTS") == "0")
    fork_server.begin(records=False)
    third = forkserver._forkserver._forkserver_pid
    assert len({first, second, third}) == 3
    assert servers(alone) == [third]
    fork_server.end()
    assert servers(alone) == []


def test_there_is_none_on_one_cpu(monkeypatch, alone):
    monkeypatch.setattr(machine, "cpus", lambda: 1)
    fork_server.expect(["-m", "seed=1,2"])
    assert servers(alone) == []


def test_a_mistake_leaves_none(alone):
    words = [sys.executable, "-m", "mnist_exp.run", "-m", "model.dropout=7", "seed=1,2"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert servers(alone) == []


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [1.0, 1.6, 2.2])
def test_ctrl_c_while_it_imports_is_told_in_a_word(after_s, alone):
    words = [sys.executable, "-m", "mnist_exp.run", "-m", *SMALL, "trainer.epochs=1", "seed=1,2"]
    sweep = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    time.sleep(after_s)
    os.killpg(sweep.pid, signal.SIGINT)  # As a terminal does: all processes get it.
    _, told = sweep.communicate(timeout=60)
    assert sweep.returncode == 130
    assert "Traceback" not in told
    assert told.endswith("interrupted\n")
    assert servers(alone) == []


@pytest.mark.slow
@pytest.mark.skipif(threads.usable_cpus() < 2, reason="needs two CPUs")
def test_a_sweep_has_one_from_its_first_moment_to_its_last(alone):
    began = time.time()
    sweep = Running("mnist_exp.run", "-m", *SMALL, "trainer.epochs=1", "seed=1,2")
    seen = set()
    while sweep.process.poll() is None:
        seen |= set(servers(alone))
        assert seen or time.time() < began + 60
        time.sleep(0.05)
    sweep.end_with(0)
    assert len(seen) == 1
    assert not any(psutil.pid_exists(pid) and Path(f"/proc/{pid}/cwd").readlink() == alone for pid in seen)
