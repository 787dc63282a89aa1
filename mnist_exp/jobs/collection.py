"""The memory of a job is given back before the next one."""

import contextlib
import functools
import gc
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def collected() -> Iterator[None]:
    """Give the memory of a job, which a `with` block runs, back before the next one."""
    try:
        yield
    finally:
        if "keras" in sys.modules:
            from mnist_exp.training import setup

            setup.forget()
            _freeze_once()


@functools.cache
def _freeze_once() -> None:
    """Let later collections pass over what the first job made and left: a third of their time."""
    gc.freeze()
