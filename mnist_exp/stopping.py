"""What SIGTERM does: the process ends as if by sys.exit, so that what it was doing is recorded as KILLED."""

import signal
import types


class Terminated(SystemExit):
    """A signal asked this process to end; the code says which."""


def end_on_sigterm() -> None:
    """Raise `Terminated` in the main thread when SIGTERM comes."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: types.FrameType | None) -> None:
    # A second signal must not cut off the record of the first.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    raise Terminated(128 + number)
