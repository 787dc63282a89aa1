"""Whether a process is gone: running, ended and zombie processes, and names that belong to none."""

import os
import socket
import subprocess
import sys
import time

import psutil
import pytest

from mnist_exp.runtime import processes

HOST = socket.gethostname()


@pytest.fixture
def child():
    """A child process, and the name with which it identifies itself."""
    code = (
        "import sys\nfrom mnist_exp.runtime import processes\nprint(processes.identify(), flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        yield started, started.stdout.readline().strip()
        started.kill()


def test_this_process_is_alive_and_local():
    name = processes.identify()
    assert processes.identify() == name
    assert name.split("/")[:2] == [HOST, str(os.getpid())]
    assert processes.is_here(name)
    assert not processes.is_gone(name)


def test_child_is_alive_then_gone_also_as_a_zombie(child):
    started, name = child
    assert name.split("/")[1] == str(started.pid)
    assert processes.is_here(name)
    assert not processes.is_gone(name)
    started.kill()
    until = time.monotonic() + 10
    while psutil.Process(started.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert processes.is_gone(name), "a zombie has ended"
    started.wait()
    assert not psutil.pid_exists(started.pid)
    assert processes.is_gone(name)


def test_reused_process_id_is_another_process():
    host, pid, started = processes.identify().split("/")
    assert processes.is_gone(f"{host}/{pid}/{float(started) - 5:.2f}")
    assert processes.is_gone(f"{host}/{pid}/{float(started) + 5:.2f}")
    assert not processes.is_gone(f"{host}/{pid}/{float(started) + 0.01:.2f}"), "within what the clock can tell"


def test_changed_clock_keeps_processes_alive(monkeypatch):
    name = processes.identify()
    create_time, boot_time = psutil.Process.create_time, psutil.boot_time
    # The kernel counts from boot; both times that psutil derives from it move with the clock.
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: create_time(self) + 3600)
    monkeypatch.setattr(psutil, "boot_time", lambda: boot_time() + 3600)
    assert processes.identify() == name
    assert not processes.is_gone(name)


def test_process_of_another_machine_is_not_taken_for_gone(child):
    started, name = child
    started.kill()
    started.wait()
    elsewhere = f"elsewhere/{name.partition('/')[2]}"
    assert not processes.is_here(elsewhere)
    assert not processes.is_gone(elsewhere)


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "/", "//", "{}", "{}/1", "{}//", "{}/abc/1.0", "{}/-5/1.0", "{}/1.5/1.0", "a/{}/1/1.0"],
)
def test_malformed_name_is_not_taken_for_gone(text):
    assert not processes.is_gone(text.format(HOST))


@pytest.mark.parametrize("started", ["abc", "nan", ""])
def test_process_without_a_start_time_is_not_taken_for_gone(started):
    assert not processes.is_gone(f"{HOST}/{os.getpid()}/{started}")


def test_too_large_process_id_is_gone():
    assert processes.is_gone(f"{HOST}/{10**30}/1.00")


def test_unreadable_process_is_not_taken_for_gone(monkeypatch):
    def refuse(self):
        raise psutil.AccessDenied(1)

    monkeypatch.setattr(psutil.Process, "status", refuse)
    assert not processes.is_gone(processes.identify())
