"""Heartbeat of life: of whom, how old, and where there are none."""

import os
import time

import pytest

from mnist_exp.runtime import heartbeat, processes
from mnist_exp.runtime.heartbeat import Heartbeat


@pytest.fixture
def given(alone):
    """Heartbeat of this process, and their file."""
    file = alone / "unfinished" / "sweeps" / "0"
    started = Heartbeat(file)
    started.start()
    yield started, file
    started.remove()


def age(file, seconds):
    os.utime(file, (time.time() - seconds,) * 2)


def test_a_process_is_silent_after_minutes_without_a_sign(given):
    _, file = given
    assert not heartbeat.is_silent(file, processes.identify())
    age(file, 200)
    assert not heartbeat.is_silent(file, processes.identify())
    age(file, 400)
    assert heartbeat.is_silent(file, processes.identify())


def test_the_signs_of_one_process_tell_nothing_of_another(given):
    _, file = given
    age(file, 400)
    assert not heartbeat.is_silent(file, "elsewhere/1/2.00")
    assert not heartbeat.is_silent(file.with_name("1"), processes.identify())


def test_signs_are_given_again_and_again_and_leave_nothing_behind(given, monkeypatch, alone):
    started, file = given
    started.stop()
    monkeypatch.setattr(heartbeat, "_EVERY_S", 0.05)
    started.start()
    age(file, 400)
    time.sleep(0.5)
    assert not heartbeat.is_silent(file, processes.identify())
    started.remove()
    assert not (alone / "unfinished").exists()
