"""The heartbeat of a process: whose it is, how old it is, and when there is none."""

import os
import time

import pytest

from mnist_exp.runtime import heartbeat, processes
from mnist_exp.runtime.heartbeat import Heartbeat


@pytest.fixture
def beating(alone):
    """The heartbeat of this process, and its file."""
    file = alone / "unfinished" / "sweeps" / "0"
    started = Heartbeat(file)
    started.start()
    yield started, file
    started.remove()


def age(file, seconds):
    os.utime(file, (time.time() - seconds,) * 2)


def test_process_is_silent_minutes_after_its_last_beat(beating):
    _, file = beating
    assert not heartbeat.is_silent(file, processes.identify())
    age(file, 200)
    assert not heartbeat.is_silent(file, processes.identify())
    age(file, 400)
    assert heartbeat.is_silent(file, processes.identify())


def test_heartbeat_belongs_to_one_process_only(beating):
    _, file = beating
    age(file, 400)
    assert not heartbeat.is_silent(file, "elsewhere/1/2.00")
    assert not heartbeat.is_silent(file.with_name("1"), processes.identify())


def test_heartbeat_repeats_and_removes_its_file(beating, monkeypatch, alone):
    started, file = beating
    started.stop()
    monkeypatch.setattr(heartbeat, "_EVERY_S", 0.05)
    started.start()
    age(file, 400)
    time.sleep(0.5)
    assert not heartbeat.is_silent(file, processes.identify())
    started.remove()
    assert not (alone / "unfinished").exists()
