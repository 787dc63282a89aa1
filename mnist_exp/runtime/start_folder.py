"""The folder that the command was started in: what a relative path means, whatever folder a job works in.

With `hydra.job.chdir=true`, Hydra makes the output folder of each job its working folder.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_noted: list[Path] = []


def start_folder() -> Path:
    """Return the folder that the command was started in; the working folder if no command runs."""
    return _noted[-1] if _noted else Path.cwd()


def absolute(path: str | Path) -> Path:
    """Return a path as it is meant: a relative one begins in the folder that the command was started in."""
    return start_folder() / path


def expand(path: str) -> Path:
    """Return a path with ~ replaced, if that user has a home folder."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib's raises where there is none


def named(path: str) -> Path:
    """Return the path that a text in a configuration means."""
    return absolute(expand(path))


@contextlib.contextmanager
def started_in(folder: str | Path) -> Iterator[None]:
    """Note, for a `with` block and for all threads, which folder the command was started in."""
    _noted.append(Path(folder))
    try:
        yield
    finally:
        _noted.pop()


@contextlib.contextmanager
def working_there() -> Iterator[None]:
    """Work in that folder during a `with` block: for code of others that opens relative paths."""
    before, wanted = Path.cwd(), start_folder()
    if before == wanted:
        yield
        return
    os.chdir(wanted)
    try:
        yield
    finally:
        os.chdir(before)
