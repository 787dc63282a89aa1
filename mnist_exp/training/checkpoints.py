"""Checkpoints on disk. Writing never loses the last good one; reading never accepts a damaged one.

A checkpoint is one npz file. Its name holds the SHA-256 of its content. A file that was cut off, changed by a bad disk,
or renamed does not match its name, and the checkpoint before it is used.
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

from mnist_exp.runtime.redaction import without_secrets

Arrays = dict[str, npt.NDArray[Any]]

_KEPT = 2
_FACTS = "facts"
_UNFINISHED = ".checkpoint.new"
_NAME = re.compile(r"checkpoint-(\d{6})-(\d{9})-([0-9a-f]{64})\.npz")


@dataclass(frozen=True)
class Position:
    """How far a training is.

    Args:
        epoch: number of whole epochs.
        step: steps done in the epoch after them.
    """

    epoch: int = 0
    step: int = 0

    def __str__(self) -> str:
        """Return the position in words: `epoch 3, step 12`."""
        return f"epoch {self.epoch + 1}, step {self.step + 1}" if self.step else f"epoch {self.epoch + 1}"


@dataclass(frozen=True)
class Checkpoint:
    """All that a training needs to continue as if nothing had happened.

    Args:
        position: of the training.
        arrays: weights and other variables, by name.
        facts: the rest, as JSON.
    """

    position: Position
    arrays: Arrays
    facts: dict[str, Any]

    def epochs(self) -> list[dict[str, float]]:
        """Return the metrics of each epoch that is done."""
        history = self.facts["history"]
        return [dict(zip(history, values, strict=True)) for values in zip(*history.values(), strict=True)]

    def to_go_on(self) -> "Checkpoint":
        """Return it as if nobody but the training itself had ended the training there."""
        is_over = self.facts.get("is_over_anyway", False)
        return Checkpoint(self.position, self.arrays, self.facts | {"is_over": is_over, "is_refused": False})


@dataclass(frozen=True)
class CheckpointPolicy:
    """Where and how often checkpoints are saved, and which one to start from.

    Args:
        folder: of the run.
        every: epochs between two checkpoints; None saves one only when a signal ends the training.
        start: to start from; None starts with the first epoch.
        warn: called with the reason if one could not be written; the training continues.
        at_end: whether one is saved where the training ends, whatever `every` says: somebody may go on with it.
    """

    folder: Path
    every: int | None
    start: Checkpoint | None
    warn: Callable[[str], None]
    at_end: bool = False


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint; then remove all but the last one before it.

    Raises: OSError: it cannot be written; the others stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    position = checkpoint.position
    facts = np.frombuffer(json.dumps(without_secrets(checkpoint.facts | _position_facts(position))).encode(), np.uint8)
    unfinished = folder / _UNFINISHED  # Always the same name: what a killed process left is overwritten.
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
    # Checkpoints of later epochs were damaged, or the training would have started from them.
    before = [file for file in others if file.name < path.name]
    for old in {*others} - {*before[: _KEPT - 1]}:
        old.unlink(missing_ok=True)
    return path


def load(folder: Path) -> tuple[Checkpoint | None, list[Path]]:
    """Return the newest valid checkpoint (None if there is none), and the files that are damaged."""
    damaged: list[Path] = []
    for file in _files(folder):
        checkpoint = _read(file)
        if checkpoint is not None:
            return checkpoint, damaged
        damaged.append(file)
    return None, damaged


def keep_last(folder: Path) -> None:
    """Remove all checkpoints of a folder but the newest: its training is not under way."""
    for file in _files(folder)[1:]:
        file.unlink(missing_ok=True)


def remove(folder: Path) -> None:
    """Remove all checkpoints of a folder, but not the folder."""
    for file in (*_files(folder), folder / _UNFINISHED):
        file.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    """Return the checkpoint files of a folder, valid or not, the latest first."""
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
    is_renamed = {name: facts.pop(name, None) for name in _position_facts(position)} != _position_facts(position)
    return None if is_renamed else Checkpoint(position, arrays, facts)


def _position_facts(position: Position) -> dict[str, int]:
    return {"epoch": position.epoch, "step": position.step}


def _sync(folder: Path) -> None:
    """Flush the folder to disk, so that a new file name survives a power cut."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
