"""What signals do: a training stops after its current step, anything else at once. The run is recorded as KILLED."""

import atexit
import contextlib
import os
import signal
import threading
import types
from collections.abc import Iterator

# Clusters send SIGKILL some time after SIGTERM: a run must have stopped and be recorded within 10 s.
GRACE_S = 4.0

_asked: list[int] = []
_deferring: list[bool] = []
_holding: list[bool] = []
_ending = {signal.SIGTERM, signal.SIGINT}


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or the interruption of a notebook's kernel, came; what was recorded is complete."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows instead of a traceback: IPython asks for it by this name."""
        return [f"{type(self).__name__}: {self}"]


class Terminated(SystemExit):
    """A signal asked this process to end. The exit code is 128 plus its number."""


def end_on_signals() -> None:
    """Raise `Terminated` in the main thread when SIGTERM comes, or SIGHUP unless `nohup` has it ignored.

    Ctrl-C stays a KeyboardInterrupt. While a training lasts, both wait for the end of its step: see `deferred`.
    """
    end_on(signal.SIGTERM)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        end_on(signal.SIGHUP)
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def end_on(number: signal.Signals) -> None:
    """Take one more signal as `end_on_signals` takes SIGTERM; the code of `Terminated` tells it."""
    _ending.add(number)
    signal.signal(number, _terminate)


@contextlib.contextmanager
def taken() -> Iterator[None]:
    """Take Ctrl-C during a `with` block as commands do, in a notebook or a script that leaves it to Python.

    Raises: Interrupted: it came, in place of a KeyboardInterrupt.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) != signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted("what was recorded is complete; it can be gone on with") from error
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        forget()


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Note signals instead of raising them, so that a training can `check` where it may stop; raise after GRACE_S.

    A second Ctrl-C is raised at once.
    """
    is_main = threading.current_thread() is threading.main_thread()
    is_ours = signal.getsignal(signal.SIGTERM) == _terminate or signal.getsignal(signal.SIGINT) == _interrupt
    if not is_main or not is_ours or not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, _out_of_patience)
    _deferring.append(True)
    try:
        yield
        check()
    finally:
        _deferring.pop()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Note signals, also a second Ctrl-C, and raise none: `check` does that once the record is true.

    For a few seconds only; what takes longer must look at `is_asked`.
    """
    _holding.append(True)
    try:
        yield
    finally:
        _holding.pop()


def exit_at_once(code: int) -> None:
    """From now on, end the process with this code at a Ctrl-C.

    All is said and done then. Python would raise it in its last steps, and the process would die of the signal: at its
    very end it puts the default action in the place of any handler, but leaves a signal that is ignored alone.
    """
    signal.signal(signal.SIGINT, lambda *_: os._exit(code))
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)


def is_asked() -> bool:
    """Tell whether a signal has come."""
    return bool(_asked)


def forget() -> None:
    """Forget the signals that have come: they were for a job that has ended."""
    _asked.clear()


def check() -> None:
    """Raise `Terminated` or KeyboardInterrupt if a signal has come.

    Where the interpreter was in native code, as while TensorFlow traces a graph, the first exception may come out as
    another one, `SystemError`, or not at all.
    """
    if _asked:
        raise KeyboardInterrupt if _asked[0] == signal.SIGINT else Terminated(128 + _asked[0])


def or_interruption(error: Exception) -> BaseException:
    """Return the exception of a signal, if one has come: interrupted code may raise any error. Else the error."""
    try:
        check()
    except (KeyboardInterrupt, Terminated) as asked:
        return asked
    return error


def _out_of_patience(number: int, frame: types.FrameType | None) -> None:
    check()


def _interrupt(number: int, frame: types.FrameType | None) -> None:
    is_second = bool(_asked)
    _asked.append(number)
    if _holding:
        return
    if _deferring and not is_second:
        signal.setitimer(signal.ITIMER_REAL, GRACE_S)
        return
    check()


def _terminate(number: int, frame: types.FrameType | None) -> None:
    # A second signal must not cut off the record of the first.
    for each in _ending:  # A terminal that is closed may send SIGHUP twice.
        signal.signal(each, signal.SIG_IGN)
    _asked.append(number)
    if _holding:
        return
    if _deferring:
        signal.setitimer(signal.ITIMER_REAL, GRACE_S)
        return
    check()
