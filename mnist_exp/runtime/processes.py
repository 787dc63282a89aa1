"""Which process a run belongs to, and whether that process has ended."""

import os
import socket

import psutil

# psutil derives both times from one clock reading; their difference is exact to a tick of 10 ms.
_TOLERANCE_S = 0.5


def identify() -> str:
    """Return the identity of this process: `host/pid/seconds from boot to its start`. No other process has the same."""
    return f"{socket.gethostname()}/{os.getpid()}/{_started(psutil.Process()):.2f}"


def is_here(identity: str) -> bool:
    """Tell whether a process, named by `identify`, is or was one of this machine."""
    return identity.rpartition("/")[0].rpartition("/")[0] == socket.gethostname()


def is_gone(identity: str) -> bool:
    """Tell whether a process, named by `identify`, was one of this machine and has ended; False if that is unknown.

    The start is counted from boot, so that a clock that is set does not make living processes look dead.
    """
    rest, _, started = identity.rpartition("/")
    _, _, pid = rest.rpartition("/")
    if not is_here(identity):
        return False
    try:
        process = psutil.Process(int(pid))
        return process.status() == psutil.STATUS_ZOMBIE or abs(_started(process) - float(started)) > _TOLERANCE_S
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, ValueError):
        return False


def _started(process: psutil.Process) -> float:
    return float(process.create_time() - psutil.boot_time())
