"""The journal file of a study, which survives what ends its writers: a kill, a full disk, a power cut.

Optuna appends one line of JSON for each change of a study. It reads over a last line that is not whole, appends the
next record to that very line, and can never read the file again. So each process mends the end of the file while it
holds Optuna's own lock, before it reads the file and before it writes to it.
"""

import json
import os
import time
from collections.abc import Callable, Container
from copy import deepcopy as copied
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock, JournalStorage
from optuna.trial import FrozenTrial, TrialState

from mnist_exp.errors import BusyError, SettingsError, first_line
from mnist_exp.runtime import processes
from mnist_exp.tracking import names

_BLOCK = 1 << 16
_BEGINNING = b'{"op_code":'
# What reading a line, or applying what it says, raises where it is not what Optuna wrote.
_NOT_OPTUNAS = (ValueError, LookupError, TypeError, AttributeError, AssertionError)


class DamagedError(SettingsError):
    """A journal file is damaged in another place than at its end: Optuna cannot read it."""


class MendingLock(JournalFileSymlinkLock):  # type: ignore[misc]
    """Optuna's lock of a journal file. Who gets it finds a file that ends with a whole line.

    Args:
        file: the journal.
        tell: called with a sentence when the end of the file was mended.
    """

    def __init__(self, file: Path, tell: Callable[[str], None]) -> None:
        super().__init__(str(file))
        self._file, self.tell = file, tell

    def acquire(self) -> bool:
        """Wait for the lock, and mend the file. Raises: DamagedError: the last whole line is no record."""
        held = bool(super().acquire())
        try:
            if what := _mend(self._file):
                self.tell(what)
        except BaseException:
            self.release()
            raise
        return held


@dataclass(frozen=True)
class _Listed:
    """The trials of a study in their order, and the places of those that may still change: that have not ended."""

    trials: list[FrozenTrial] = field(default_factory=list)
    open: list[int] = field(default_factory=list)


class Journal(JournalStorage):  # type: ignore[misc]
    """Optuna's storage, which does not go through all trials whenever somebody asks for them.

    An ask does so five times: with 10,000 trials that was a third of it (benchmarks/replay_asks.py).
    """

    def __init__(self, backend: JournalFileBackend) -> None:
        self._of_study: dict[int, _Listed] = {}
        super().__init__(backend)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials of a study, all or those in some states. Raises: KeyError: there is no such study."""
        with self._thread_lock:
            self._sync_with_backend()
            self._replay_result.get_study(study_id)
            listed = self._of_study[study_id] = self._up_to_date(study_id)
            if states is None:
                found = listed.trials[:]
            else:
                is_about_open = not any(state.is_finished() and state in states for state in TrialState)
                some = map(listed.trials.__getitem__, listed.open) if is_about_open else listed.trials
                found = [trial for trial in some if trial.state in states]
            return copied(found) if deepcopy else found

    def _up_to_date(self, study_id: int) -> _Listed:
        read, before = self._replay_result, self._of_study.get(study_id, _Listed())
        # Optuna's public calls make a list of all trials.
        ids = read._study_id_to_trial_ids[study_id]
        new = range(len(before.trials), len(ids))
        trials = [*before.trials, *(read.get_trial(ids[place]) for place in new)]
        for place in before.open:
            trials[place] = read.get_trial(ids[place])
        return _Listed(trials, [place for place in (*before.open, *new) if not trials[place].state.is_finished()])

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_of_study": {}}  # Who gets it reads the file anew.


@dataclass(frozen=True)
class _Read:
    """A journal that a process has read: with thousands of trials reading it from its beginning takes seconds."""

    storage: JournalStorage
    lock: MendingLock
    process: int
    inode: int
    size: int
    begins: bytes

    def is_of(self, file: Path) -> bool:
        """Tell whether this process, and not its parent, has read that file, and no other has taken its place."""
        try:
            now, begins = file.stat(), _beginning(file)
        except OSError:
            return False
        is_same = self.inode == now.st_ino and begins.startswith(
            self.begins
        )  # The number of a removed file is given again.
        return self.process == os.getpid() and is_same and now.st_size >= self.size


_read: dict[Path, _Read] = {}  # By those that read it on.


def opened(file: Path, tell: Callable[[str], None], *, reads_on: bool = False) -> JournalStorage:
    """Open a journal file; create it, and its folder, if it is new.

    Args:
        file: absolute: Optuna's lock is a link to it, and without its target a dead process would hold it for ever.
        tell: called with a sentence when the end of the file was mended.
        reads_on: whether this process will open it again, and then reads only what is new; it has one storage then.
    Raises: DamagedError: Optuna cannot read the file. SettingsError: it is some other file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if not _may_be_mended(file):
        if file.suffix != ".journal":  # Of a user's own file, which Optuna would write into, nothing is touched.
            raise SettingsError(f"sweep.storage={file} cannot be used: the file is no journal of Optuna")
        raise _damaged(file, ValueError("it does not begin with a record"))
    before = _read.get(file) if reads_on else None
    known = before if before is not None and before.is_of(file) else None
    lock = MendingLock(file, tell) if known is None else known.lock
    lock.tell = tell
    file.open("ab").close()
    lock.acquire()
    lock.release()
    try:
        if known is None:
            storage = Journal(JournalFileBackend(str(file), lock_obj=lock))
        else:
            storage = known.storage
            storage.get_all_studies()  # Reads what is new.
    except _NOT_OPTUNAS as error:
        _read.pop(file, None)
        raise _damaged(file, error) from error
    if reads_on:
        now = file.stat()
        _read.clear()  # A process works for one search at a time.
        _read[file] = _Read(storage, lock, os.getpid(), now.st_ino, now.st_size, _beginning(file))
    return storage


def set_aside(file: Path) -> Path:
    """Rename a damaged journal, so that a new one can take its place.

    Returns: where it is kept, beside its old place.
    Raises: BusyError: a process that the journal names still runs.
    """
    content = file.read_bytes()
    for process in _processes(content):
        if processes.is_here(process) and not processes.is_gone(process):
            raise BusyError(f"{file} is damaged, and process {process} still works with it: wait for it or stop it")
    lock = JournalFileSymlinkLock(str(file))
    lock.acquire()
    try:
        kept = file.with_name(f"{file.name}.damaged-{time.time_ns():x}")
        file.rename(kept)
    finally:
        lock.release()
    return kept


def _beginning(file: Path) -> bytes:
    """Return the first bytes of a journal, which name the process that began it: no two have the same."""
    with file.open("rb") as journal:
        return journal.read(256)


def _may_be_mended(file: Path) -> bool:
    """Tell whether a file is new, or begins as a journal does."""
    if not file.exists():
        return True
    with file.open("rb") as opened:
        begins = opened.read(len(_BEGINNING))
    return _BEGINNING.startswith(begins)


def _mend(file: Path) -> str:
    """Make a journal end with a whole line. The caller holds its lock.

    Returns: what was done, as a sentence; empty if there was nothing to do.
    Raises: DamagedError: the last whole line is no record.
    """
    with file.open("r+b") as journal:
        size = journal.seek(0, os.SEEK_END)
        line = _last_line(journal, size)
        if line.endswith(b"\n") or not line:
            _check(file, line)
            return ""
        if _is_record(line):
            journal.seek(size)
            journal.write(b"\n")
            done = "its last record was whole, and is kept"
        else:
            journal.truncate(size - len(line))
            done = f"the {len(line)} bytes of a record that was not whole are removed"
        journal.flush()
        os.fsync(journal.fileno())
        _check(file, _last_line(journal, journal.seek(0, os.SEEK_END)))
    return (
        f"the study in {file} ended within a line, as it does when its writer is killed or the disk is full: {done}; "
        "the search goes on"
    )


def _last_line(journal: IO[bytes], size: int) -> bytes:
    """Return what follows the last line break but one at the end; of a file that ends within a line, that beginning."""
    start, read = size, b""
    while start > 0 and b"\n" not in read[:-1]:
        start = max(start - _BLOCK, 0)
        journal.seek(start)
        read = journal.read(size - start)
    return read[read[:-1].rfind(b"\n") + 1 :]


def _check(file: Path, line: bytes) -> None:
    if line and not _is_record(line):
        raise _damaged(file, ValueError("its last line is no record"))


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _damaged(file: Path, error: Exception) -> DamagedError:
    why = str(error) if type(error) is ValueError else first_line(error)
    return DamagedError(f"the study in {file} is damaged ({why})")


def _processes(content: bytes) -> set[str]:
    """Return the processes that a journal names, also in lines that are glued together or cut off."""
    found = set()
    mark = f'"{names.PROCESS}":"'.encode()
    for part in content.split(mark)[1:]:
        found.add(part.partition(b'"')[0].decode(errors="replace"))
    return found
