"""Heartbeats: a process touches a file every few seconds, so that other machines on the same disk see that it lives.

A process id says nothing on another machine. Without the heartbeat, a job whose machine died would count as running for
ever, and its sweep, issued again, would refuse to start.
"""

import contextlib
import os
import tempfile
import threading
from pathlib import Path

from mnist_exp.runtime import processes

_EVERY_S = 20.0
# A disk may take a minute to show what another machine has written, and a machine that swaps is slow.
_SILENCE_S = 300.0


class Heartbeat:
    """The heartbeat of this process. Its file holds the identity of the process.

    Args:
        file: to touch; its folder need not exist.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._over = threading.Event()

    def start(self) -> None:
        """Write the file, and touch it in a thread until `stop` or the end of the process. Raises: OSError."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(processes.identify(), encoding="utf-8")
        self._over.clear()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def stop(self) -> None:
        """Stop touching the file."""
        self._over.set()

    def remove(self) -> None:
        """Stop, and remove the file and the folders that this leaves empty."""
        self.stop()
        with contextlib.suppress(OSError):
            self._file.unlink()
            self._file.parent.rmdir()
            self._file.parent.parent.rmdir()

    def _beat(self) -> None:
        while not self._over.wait(_EVERY_S):
            with contextlib.suppress(OSError):  # The disk may be away for a while.
                os.utime(self._file)


def is_silent(file: Path, process: str) -> bool:
    """Tell whether the heartbeat of a process has stopped for minutes; False if that is unknown.

    Times are those of the disk: the clocks of machines may differ.

    Args:
        file: of the heartbeat; it may be missing, or of an earlier process.
        process: as `processes.identify` names it.
    """
    try:
        if file.read_text(encoding="utf-8") != process:
            return False
        last = file.stat().st_mtime
        with tempfile.TemporaryFile(dir=file.parent) as now:
            return os.fstat(now.fileno()).st_mtime - last > _SILENCE_S
    except OSError:
        return False
