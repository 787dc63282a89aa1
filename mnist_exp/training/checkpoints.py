"""Checkpoints on disk: written so that the last good one is never lost, read so that no damaged one is believed.

A checkpoint is one npz file whose name holds the SHA-256 of its content: a file that was cut off, changed by a bad
disk, or renamed, does not fit its name and the one before it is used.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]

_KEPT = 2
_FACTS = "facts"
_UNFINISHED = ".checkpoint.new"
_NAME = re.compile(r"checkpoint-(\d{6})-(\d{9})-([0-9a-f]{64})\.npz")


@dataclass(frozen=True)
class Position:
    """How far a training has come.

    Args:
        epoch: epochs that are whole.
        step: steps done in the epoch after them.
    """

    epoch: int = 0
    step: int = 0

    def __str__(self) -> str:
        """Return it as a person would say it."""
        return f"epoch {self.epoch + 1}, step {self.step + 1}" if self.step else f"epoch {self.epoch + 1}"


@dataclass(frozen=True)
class Checkpoint:
    """All that a training needs to go on as if nothing had happened.

    Args:
        position: where it stands.
        arrays: weights and other variables, by name.
        facts: the rest, as JSON knows it.
    """

    position: Position
    arrays: Arrays
    facts: dict[str, Any]


@dataclass(frozen=True)
class CheckpointPolicy:
    """Where checkpoints are kept, and which one to go on from.

    Args:
        folder: of the run.
        every: how many epochs there are between two; None keeps one only where a signal ends the training.
        start: to go on from.
        warn: told why one could not be written; the training goes on.
    """

    folder: Path
    every: int | None
    start: Checkpoint | None
    warn: Callable[[str], None]


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint beside the last one, then remove those before the last, and any that claim to be further.

    Raises: OSError: it cannot be written; those that are there stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    position = checkpoint.position
    facts = np.frombuffer(json.dumps(checkpoint.facts | _told(position)).encode(), np.uint8)
    unfinished = folder / _UNFINISHED  # Always the same: what a killed process left is overwritten.
    try:
        with unfinished.open("w+b") as file:
            np.savez(file, allow_pickle=False, **{_FACTS: facts}, **checkpoint.arrays)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        path = folder / f"checkpoint-{position.epoch:06d}-{position.step:09d}-{digest}.npz"
        unfinished.replace(path)
        _sync(folder)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    others = [file for file in _files(folder) if file != path]
    # Those that are further were damaged, or the training would have gone on from there.
    before = [file for file in others if file.name < path.name]
    for old in {*others} - {*before[: _KEPT - 1]}:
        old.unlink(missing_ok=True)
    return path


def load(folder: Path) -> tuple[Checkpoint | None, list[Path]]:
    """Return the newest checkpoint that is whole, None if there is none, and the files that are damaged."""
    damaged: list[Path] = []
    for file in _files(folder):
        checkpoint = _read(file)
        if checkpoint is not None:
            return checkpoint, damaged
        damaged.append(file)
    return None, damaged


def remove(folder: Path) -> None:
    """Remove all checkpoints of a folder, which stays."""
    for file in (*_files(folder), folder / _UNFINISHED):
        file.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, whole or not, the one that came furthest first."""
    return sorted((file for file in folder.glob("checkpoint-*") if _NAME.fullmatch(file.name)), reverse=True)


def _read(path: Path) -> Checkpoint | None:
    named = _NAME.fullmatch(path.name)
    assert named is not None
    try:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != named[3]:
                return None
            file.seek(0)
            with np.load(file, allow_pickle=False) as opened:
                arrays = {name: opened[name] for name in opened.files}
    except OSError:
        return None
    facts: dict[str, Any] = json.loads(arrays.pop(_FACTS).tobytes())
    position = Position(int(named[1]), int(named[2]))
    is_renamed = {name: facts.pop(name, None) for name in _told(position)} != _told(position)
    return None if is_renamed else Checkpoint(position, arrays, facts)


def _told(position: Position) -> dict[str, int]:
    return {"epoch": position.epoch, "step": position.step}


def _sync(folder: Path) -> None:
    """Make a new name survive a power cut."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
