"""What SIGTERM and a hang-up do: the process ends as by sys.exit, and what it was at is recorded as KILLED."""

import signal
import types

_asked: list[int] = []


class Terminated(SystemExit):
    """A signal asked this process to end; the code says which."""


def end_on_signals() -> None:
    """Raise `Terminated` in the main thread when SIGTERM comes, or SIGHUP unless `nohup` has it ignored."""
    signal.signal(signal.SIGTERM, _terminate)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _terminate)


def check() -> None:
    """Raise `Terminated` if a signal has come before.

    Where the interpreter was in native code, as while TensorFlow traces a graph, the first exception may come out as
    another one, `SystemError`, or not at all.
    """
    if _asked:
        raise Terminated(128 + _asked[0])


def _terminate(number: int, frame: types.FrameType | None) -> None:
    # A second signal must not cut off the record of the first.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    _asked.append(number)
    check()
