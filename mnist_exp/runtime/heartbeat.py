"""Signs of life of a process, for those on other machines that see the same disk: a file touched again and again."""

import contextlib
import os
import tempfile
import threading
from pathlib import Path

from mnist_exp.runtime import processes

_EVERY_S = 20.0
# A disk may take a minute to show what another machine has written, and a machine that swaps is slow.
_SILENCE_S = 300.0


class Signs:
    """The signs of this process, in one file, which also says who it is.

    Args:
        file: of them; its folder need not exist.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._over = threading.Event()

    def start(self) -> None:
        """Begin to give them, in a thread, until they are stopped or the process ends. Raises: OSError: it cannot."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(processes.identify(), encoding="utf-8")
        self._over.clear()
        threading.Thread(target=self._give, name="signs of life", daemon=True).start()

    def stop(self) -> None:
        """Give no more."""
        self._over.set()

    def remove(self) -> None:
        """Give no more, and leave nothing behind."""
        self.stop()
        with contextlib.suppress(OSError):
            self._file.unlink()
            self._file.parent.rmdir()
            self._file.parent.parent.rmdir()

    def _give(self) -> None:
        while not self._over.wait(_EVERY_S):
            with contextlib.suppress(OSError):  # A disk that is away for a while.
                os.utime(self._file)


def is_silent(file: Path, process: str) -> bool:
    """Tell whether a process that gave signs in a file has given none for minutes; false where that cannot be told.

    By the clock of the disk, which that of no machine need agree with.

    Args:
        file: of the signs; it may be missing, or of a process of before.
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
