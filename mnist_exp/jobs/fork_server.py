"""The process that the workers of a sweep are forked from: it imports TensorFlow, and shares that memory with them.

Importing takes 3 s. So it begins as soon as a command line looks like a sweep's, on a CPU that has nothing else to do
yet (`expect`). Once the sweep is understood, that process serves if it is one that is needed (`begin`).
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver, resource_tracker
from typing import Any

from mnist_exp.runtime import backends, imports, machine

_MULTIRUN = ("-m", "--multirun")
_PLAIN_FLAGS = (*_MULTIRUN, "-cd", "--config-dir", "--json")
# A word with any of these may mean that a process of this kind is not needed, or not with these variables.
_OTHERWISE = ("launcher", "backend", "dry_run", "together", "tracking=", "tracking.store", "hydra.job")
_OF_THIS_PROCESS = ("HYDRA_FULL_ERROR", "KMP_DUPLICATE_LIB_OK")  # set while it reads a command line

_begun_with: list[tuple[bool, dict[str, str]]] = []  # what is imported, and the environment; empty while none runs


def is_possible() -> bool:
    """Tell whether workers can be forked from one process here.

    That is safe while a library has no threads of its own running: TensorFlow, imported and not yet used, has none
    (2.21, Linux); JAX warns of it, macOS forbids it, and no GPU was there to try.
    """
    return sys.platform == "linux" and not machine.gpus() and backends.default() == "tensorflow"


def expect(words: Sequence[str]) -> None:
    """Begin for a sweep, if a command line looks like one that will need this process.

    Args:
        words: of the command line.
    """
    if looks_like_it(words) and is_possible() and machine.cpus() > 1:
        begin(records=True)


def looks_like_it(words: Sequence[str]) -> bool:
    """Tell whether a command line is a sweep's, of several workers on this machine that record in MLflow.

    It may err: then half a second of a CPU is lost, or not saved.
    """
    flags = {word.partition("=")[0] for word in words if word.startswith("-")}
    is_sweep = not flags.isdisjoint(_MULTIRUN) and flags <= set(_PLAIN_FLAGS)
    return is_sweep and not any(part in word for word in words for part in _OTHERWISE)


def begin(*, records: bool) -> None:
    """Let the process begin its imports, unless one did with the environment variables that this process has now.

    Args:
        records: whether its workers record in MLflow.
    """
    wanted = (records, {name: value for name, value in os.environ.items() if name not in _OF_THIS_PROCESS})
    if wanted in _begun_with:
        return
    end()
    start_resource_tracker()
    multiprocessing.set_forkserver_preload([f"mnist_exp.jobs.{'warm_and_recording' if records else 'warm'}"])
    with _ignoring_interrupts():
        forkserver.ensure_running()
    _begun_with.append(wanted)


@contextlib.contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Let processes that are started in a `with` block ignore Ctrl-C: else one that still imports shows where it was.

    Python's own server ignores it once it has imported.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def start_resource_tracker() -> None:
    """Start Python's own tracker without its messages: those about semaphores of killed workers would only confuse."""
    with imports.quiet_stderr():
        resource_tracker.ensure_running()


def end() -> None:
    """End the process, which holds memory, and the environment of one sweep."""
    server: Any = forkserver._forkserver
    if server._forkserver_pid is not None:  # There is no public way; a test says that this one is there.
        os.kill(server._forkserver_pid, signal.SIGKILL)
        server._stop()
    multiprocessing.set_forkserver_preload(["__main__"])  # Python's own, for others in this process.
    _begun_with.clear()
