"""How the jobs of a sweep tell its launching process what happens: lines of JSON in a folder that both can read.

Each process appends to a file of its own, so that none waits for another. This works with every launcher.
"""

import contextlib
import functools
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mnist_exp.runtime.redaction import redact

DONE, DONE_BEFORE, INTERRUPTED, PLANNED = "done", "done before", "interrupted", "planned"
_STOP, _BEGUN, _BAR, _FAILED = "stop", "begun", "models", "failed"
_EVENTS = ".jsonl"


class Writer:
    """Writes the events of one job.

    Args:
        folder: of the sweep.
        job: the job's number in it.
    """

    def __init__(self, folder: Path, job: int) -> None:
        self.job = job
        self._folder = folder

    def write(self, event: str, **facts: Any) -> None:
        """Write an event: started, epoch, done, repeated, pruned, failed, killed, no store, skipped or warning."""
        line = redact(json.dumps({"job": self.job, "event": event, "time": time.time(), **facts}))
        file = self._folder / f"{socket.gethostname()}-{os.getpid()}{_EVENTS}"
        with file.open("a", encoding="utf-8") as opened:
            opened.write(line + "\n")


class Reader:
    """Reads the new events in the folder of a sweep.

    Args:
        folder: of the sweep.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, int] = {}

    def read(self, *, surely: bool = False) -> Iterator[dict[str, Any]]:
        """Yield the events written since the last call, those of each process in their order.

        Args:
            surely: look into each file, not only into those that a listing shows to be longer: a disk that several
                machines share may show the size that a file had a minute ago.
        """
        if not self._folder.is_dir():
            return
        with os.scandir(self._folder) as entries:
            files = sorted((entry for entry in entries if entry.name.endswith(_EVENTS)), key=lambda entry: entry.name)
        for file in files:
            done = self._read.get(file.name, 0)
            if not surely and file.stat().st_size <= done:
                continue
            with open(file, "rb") as opened:  # noqa: PTH123  there may be ten thousand of them
                opened.seek(done)
                new = opened.read()
            whole = new[: new.rfind(b"\n") + 1]  # A line may be half written.
            self._read[file.name] = done + len(whole)
            for line in whole.splitlines():
                with contextlib.suppress(ValueError):  # Half of one, of a process that was killed over it.
                    event = json.loads(line)
                    yield event


def write_known(folder: Path, name: str, known: Mapping[str, Any]) -> None:
    """Tell the jobs what is known beforehand: of earlier calls by job key, of this one which key each is to have."""
    if known:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(redact(json.dumps(known)), encoding="utf-8")


@functools.lru_cache(maxsize=4)
def read_known(folder: Path, name: str) -> Mapping[str, Any]:
    """Return what `write_known` wrote, read once in a process: of thousands of jobs it is a megabyte."""
    file = folder / f"{name}.json"
    known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return known


def set_bar(folder: Path, objective: float) -> None:
    """Tell the jobs what objective a model must reach to be among those that the sweep keeps."""
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"{_BAR}.new"
    new.write_text(repr(objective), encoding="utf-8")
    new.replace(folder / _BAR)  # No job reads half a number.


def bar(folder: Path) -> float | None:
    """Return what `set_bar` told; None while each model is to be recorded."""
    with contextlib.suppress(OSError, ValueError):
        return float((folder / _BAR).read_text(encoding="utf-8"))
    return None


def note_begun(folder: Path, key: str, identity: str | int) -> None:
    """Note which run, or trial, a job has begun, for one that is started again in its place.

    Args:
        folder: of the sweep.
        key: of the job.
        identity: of the run, or number of the trial.
    """
    begun = folder / _BEGUN
    begun.mkdir(exist_ok=True)
    (begun / key).write_text(str(identity), encoding="utf-8")


def begun(folder: Path, key: str) -> str | None:
    """Return what `note_begun` noted; None if nothing was begun yet."""
    with contextlib.suppress(FileNotFoundError):
        return (folder / _BEGUN / key).read_text(encoding="utf-8") or None
    return None


def forget_begun(folder: Path, key: str) -> None:
    """Take back what `note_begun` noted: what comes next begins anew."""
    (folder / _BEGUN / key).unlink(missing_ok=True)


def give_up(folder: Path, reason: str) -> None:
    """Ask the jobs that have not started to leave at once."""
    (folder / _STOP).write_text(redact(reason), encoding="utf-8")


def note_failed(folder: Path, job: int, most: int | None) -> None:
    """Note that a job failed, and give up if these are too many.

    The job does it itself: until its sweep has read of the failure, the next job would have begun.

    Args:
        folder: of the sweep.
        job: its number.
        most: how many may fail; None for any number.
    """
    if most is None:
        return
    failed = folder / _FAILED
    failed.mkdir(parents=True, exist_ok=True)
    (failed / str(job)).touch()
    if (count := sum(1 for _ in failed.iterdir())) > most:
        give_up(folder, f"{count} jobs failed")


def is_given_up(folder: Path) -> bool:
    """Tell whether a job that starts now should leave."""
    return (folder / _STOP).exists()
