"""Which processes are gone: real ones, living, ended and zombie, and names that no process has."""

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
    """A process and its name for itself."""
    code = (
        "import sys\nfrom mnist_exp.runtime import processes\nprint(processes.identify(), flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        yield started, started.stdout.readline().strip()
        started.kill()


def test_this_process_lives_and_is_here():
    name = processes.identify()
    assert processes.identify() == name
    assert name.split("/")[:2] == [HOST, str(os.getpid())]
    assert processes.is_here(name)
    assert not processes.is_gone(name)


def test_a_child_lives_then_is_a_zombie_then_is_gone(child):
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


def test_another_process_that_got_the_same_number_does_not_stand_for_it():
    host, pid, started = processes.identify().split("/")
    assert processes.is_gone(f"{host}/{pid}/{float(started) - 5:.2f}")
    assert processes.is_gone(f"{host}/{pid}/{float(started) + 5:.2f}")
    assert not processes.is_gone(f"{host}/{pid}/{float(started) + 0.01:.2f}"), "within what the clock can tell"


def test_a_clock_that_is_set_leaves_the_living_alive(monkeypatch):
    name = processes.identify()
    create_time, boot_time = psutil.Process.create_time, psutil.boot_time
    # The kernel counts from boot; both times that psutil derives from it move with the clock.
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: create_time(self) + 3600)
    monkeypatch.setattr(psutil, "boot_time", lambda: boot_time() + 3600)
    assert processes.identify() == name
    assert not processes.is_gone(name)


def test_of_another_machine_nothing_can_be_told(child):
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
def test_what_names_no_process_is_not_taken_for_gone(text):
    assert not processes.is_gone(text.format(HOST))


@pytest.mark.parametrize("started", ["abc", "nan", ""])
def test_without_a_time_of_its_start_a_process_is_not_taken_for_gone(started):
    assert not processes.is_gone(f"{HOST}/{os.getpid()}/{started}")


def test_a_number_larger_than_any_process_has_is_gone():
    assert processes.is_gone(f"{HOST}/{10**30}/1.00")


def test_a_process_that_may_not_be_looked_at_is_not_taken_for_gone(monkeypatch):
    def refuse(self):
        raise psutil.AccessDenied(1)

    monkeypatch.setattr(psutil.Process, "status", refuse)
    assert not processes.is_gone(processes.identify())
