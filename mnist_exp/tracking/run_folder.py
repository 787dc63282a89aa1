"""The folder of an unfinished run: its checkpoints, and the records that the store has not taken yet.

Its name is the run id. Only one process at a time works on it.
"""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import BusyError, SettingsError
from mnist_exp.runtime import heartbeat, start_folder
from mnist_exp.runtime.heartbeat import Heartbeat
from mnist_exp.tracking import store

if TYPE_CHECKING:
    import filelock

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_LOCK, _OWNER, _SWEEPS = "lock", "owner", "sweeps"
_KEPT = "kept"


class RunFolder:
    """The folder of one run.

    Args:
        path: of the folder; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spool = path / "outbox"
        self._heartbeat = Heartbeat(path / _OWNER)
        self._lock: filelock.BaseFileLock | None = None

    def claim(self) -> None:
        """Create the folder and lock it for this process, until `release` is called or the process ends.

        Raises: BusyError: another process has locked it.
            SettingsError: it cannot be created or written.
        """
        import filelock

        if self._lock is not None:
            return
        lock = filelock.FileLock(self.path / _LOCK)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
            self._heartbeat.start()
        except filelock.Timeout:
            raise BusyError(
                f"run {self.path.name} is being worked on by another process ({self._owner()}): wait for it or stop it"
            ) from None
        except OSError as error:
            raise SettingsError(
                f"{self.path} cannot be written: {error.strerror}; change tracking.local_dir"
            ) from error
        self._lock = lock

    def release(self) -> None:
        """Unlock the folder."""
        if self._lock is not None:
            self._heartbeat.stop()
            self._lock.release()
            self._lock = None

    def remove(self) -> None:
        """Remove the folder, and its parent folder if that is empty then."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.release()
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()

    def keep(self, *, wanted: bool) -> None:
        """Let the folder stay when the run is FINISHED, for its search may go on with it; or let it go then."""
        if wanted:
            (self.path / _KEPT).touch()
        else:
            (self.path / _KEPT).unlink(missing_ok=True)

    def finish(self) -> None:
        """Remove the folder of a run that is FINISHED, unless it is to be kept."""
        if is_kept(self.path):
            self.release()
        else:
            self.remove()

    def _owner(self) -> str:
        with contextlib.suppress(OSError):
            return (self.path / _OWNER).read_text(encoding="utf-8")
        return "unknown"


def is_kept(path: Path) -> bool:
    """Tell whether the folder of a run, of this path, is kept for its search, though the run is FINISHED."""
    return (path / _KEPT).exists()


def root(settings: TrackingSettings) -> Path:
    """Return the folder of all unfinished runs: beside an SQLite store, else in the working folder."""
    if settings.local_dir is not None:
        return start_folder.absolute(settings.local_dir)
    file = store.sqlite_file(store.locate(settings.uri))
    return (file.parent if file else start_folder.start_folder()) / "unfinished"


def folder_of(settings: TrackingSettings, run_id: str) -> RunFolder:
    """Return the folder of a run. Raises: SettingsError: `run_id` is not a run id."""
    return RunFolder(root(settings) / checked_run_id(run_id))


def remove_sweep_heartbeat(settings: TrackingSettings, parent: str) -> None:
    """Remove the heartbeat of a sweep whose launching process has ended."""
    Heartbeat(root(settings) / _SWEEPS / checked_run_id(parent)).remove()


@contextlib.contextmanager
def sweep_heartbeat(settings: TrackingSettings, parent: str) -> Iterator[None]:
    """Keep a heartbeat for a sweep as long as the `with` block runs. Its launching process calls this.

    Raises: SettingsError: the file of the heartbeat cannot be written.
    """
    file = root(settings) / _SWEEPS / checked_run_id(parent)
    heartbeat_of_sweep = Heartbeat(file)
    try:
        heartbeat_of_sweep.start()
    except OSError as error:
        raise SettingsError(f"{file} cannot be written: {error.strerror}; change tracking.local_dir") from error
    try:
        yield
    finally:
        heartbeat_of_sweep.remove()


def is_silent(around: Path, run_id: str, process: str) -> bool:
    """Tell whether the heartbeat of a run or of a sweep has stopped, on whatever machine it runs.

    Args:
        around: the folder of all unfinished runs, as this machine sees it.
        run_id: of the run, or of the sweep's parent run.
        process: the process that the record of the run names.
    """
    return any(heartbeat.is_silent(file, process) for file in (around / run_id / _OWNER, around / _SWEEPS / run_id))


def folders(settings: TrackingSettings) -> list[RunFolder]:
    """Return the folders of all runs that have one."""
    around = root(settings)
    paths = sorted(around.iterdir()) if around.is_dir() else []
    return [RunFolder(path) for path in paths if path.is_dir() and _RUN_ID.fullmatch(path.name)]


def is_run_id(text: str) -> bool:
    """Tell whether a text has the form of a run id."""
    return _RUN_ID.fullmatch(text) is not None


def checked_run_id(run_id: str) -> str:
    """Return a run id after a check. Raises: SettingsError: it is not one, and might be a path to another folder."""
    if not is_run_id(run_id):
        raise SettingsError(f"{run_id!r} is no run id: it must be 32 characters of 0-9 and a-f, all of them here")
    return run_id


def check(settings: TrackingSettings) -> None:
    """Check that the folder of unfinished runs can be written. Raises: SettingsError: it cannot; with the reason."""
    around = root(settings)
    existing = next(folder for folder in (around, *around.parents) if folder.exists())
    try:
        if not existing.is_dir():
            raise NotADirectoryError(20, "Not a directory", str(existing))
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"\0" * 4096)
            file.flush()
    except OSError as error:
        raise SettingsError(
            f"{around} cannot be written: {error.strerror}; checkpoints go there: change tracking.local_dir"
        ) from error
