"""Files that cannot be read: they end a run before it begins, but not an inspection, which goes on with the others."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_told: ContextVar[list[str] | None] = ContextVar("told", default=None)


@contextlib.contextmanager
def left_out() -> Iterator[list[str]]:
    """Let readers leave out files that cannot be read; yields a list that gets a sentence for each."""
    told: list[str] = []
    before = _told.set(told)
    try:
        yield told
    finally:
        _told.reset(before)


def are_left_out() -> bool:
    """Tell whether such files are left out now; else they are an error."""
    return _told.get() is not None


def leave_out(problem: str) -> bool:
    """Tell whether a file is left out, and keep why; False where it is an error.

    Args:
        problem: a sentence that names the file.
    """
    told = _told.get()
    if told is None:
        return False
    told.append(problem)
    return True
