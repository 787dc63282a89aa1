"""Benchmarks that nobody runs for weeks still run, and give no figure that they did not measure."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import gpu

    return gpu


def done(gpu, monkeypatch, action, seconds=60.0):
    """Return the rows of a part in which this is done, and how long it took."""
    monkeypatch.setitem(gpu.PARTS, "record", action)
    rows, began = dict.fromkeys(gpu.ROWS["record"], gpu.NOT_RUN), time.monotonic()
    raw = gpu.done("record", began + seconds, True, rows)
    return rows, raw, time.monotonic() - began


def test_part_whose_time_is_over_is_stopped_with_what_it_has(gpu, monkeypatch):
    first, second = gpu.ROWS["record"]

    def slow(part):
        part.tell(first, "yes")
        part.run([sys.executable, "-c", "import subprocess; subprocess.run(['sleep', '600'])"])
        part.tell(second, "yes")

    rows, raw, taken = done(gpu, monkeypatch, slow, seconds=2.0)
    assert taken < 60
    assert rows[first] == "yes"
    assert rows[second].startswith("not run: TimeoutError: stopped after its time")
    assert "TimeoutError" in raw["error"]


def test_part_that_fails_gives_no_figure(gpu, monkeypatch):
    rows, _, _ = done(gpu, monkeypatch, lambda part: part.run([sys.executable, "-c", "raise SystemExit('no GPU')"]))
    assert set(rows.values()) == {"not run: RuntimeError: exit code 1: no GPU"}


def test_table_of_nothing_says_so(gpu):
    rows = {name: dict.fromkeys(of_part, gpu.NOT_RUN) for name, of_part in gpu.ROWS.items()}
    lines = gpu.table(rows, False)
    assert len(lines) == 2 + sum(map(len, rows.values()))
    assert all(line.endswith("| not run |") for line in lines[2:])


@pytest.mark.slow
def test_jobs_that_train_nothing_are_recorded_like_others():
    words = ["-m", "data=mnist_5k", "data.validation=500", "trainer.epochs=1", "model.filters=4,8"]
    ended = subprocess.run(
        [sys.executable, str(FOLDER / "no_op/run.py"), *words, "hydra.launcher.n_workers=2"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(FOLDER.parent)},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 done" in ended.stdout
    # What is drawn, also in workers that do not import the script; two trainings would differ.
    assert len(set(re.findall(r"filters=[48] .* (0\.9\d+) ", ended.stdout))) == 1, ended.stdout
    assert re.search(r"launching process: [0-9.]+ s of CPU", ended.stderr)
