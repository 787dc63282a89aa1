"""Worker processes of this machine, which take job after job.

Pebble's pool keeps them: a worker that dies takes only its own job with it, and another one comes in its place. Where
it is safe, several workers are forked from one process that has imported TensorFlow (fork_server): they start sooner,
and share its memory.
"""

import contextlib
import dataclasses
import functools
import multiprocessing
import multiprocessing.context
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent import futures
from concurrent.futures import CancelledError, Future
from multiprocessing import spawn
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn

from mnist_exp.jobs import crew, fork_server, worker
from mnist_exp.jobs.crew import Crew
from mnist_exp.jobs.worker import HydraTask, JobLostError
from mnist_exp.runtime import machine, signals, threads
from mnist_exp.runtime.signals import Terminated

if TYPE_CHECKING:
    import pebble

_AHEAD = 3  # jobs for each worker that the pool has at a time: each takes 3 kB of this process, and there may be 10,000


class LocalWorkers(worker.Workers):
    """A pool of worker processes for the jobs of one sweep.

    Args:
        asked: how many jobs run at a time, or auto.
        task: of the sweep.
    """

    def __init__(self, asked: crew.Asked, task: HydraTask) -> None:
        super().__init__(task)
        self._asked = asked
        self._folder = Path(str(task.config.hydra.sweep.dir))
        self._is_started = False
        self._pool: pebble.ProcessPool | None = None
        self._others: set[Any] = set()

    @functools.cached_property
    def crew(self) -> Crew:
        """How many they are."""
        return crew.chosen(self._asked, self.work)

    def go_on_with(self, threads: int | None) -> None:
        """Let those that start next have the threads that earlier runs had; None for those of new runs."""
        if threads != self.work.resumed_on:
            self.stop()
            self.work = dataclasses.replace(self.work, resumed_on=threads)
            del self.crew

    @property
    def _are_forked(self) -> bool:
        return self.crew.count > 1 and fork_server.is_possible()

    def start(self) -> None:
        """Let them, or the process that they are forked from, import TensorFlow while the sweep opens its store."""
        if self._is_started:
            return
        self._is_started = True
        self._folder.mkdir(parents=True, exist_ok=True)  # Before anything is recorded: it may not be possible.
        if self._are_forked:
            fork_server.begin(records=self.work.records)
        else:
            fork_server.end()
            self._opened().schedule(_ready)

    def _opened(self) -> "pebble.ProcessPool":
        """Return the pool. Forked workers come once the process that they are forked from has its imports."""
        if self._pool is None:
            import pebble

            fork_server.start_resource_tracker()
            pebble.CONSTS.term_timeout = worker.GRACE_S
            self._others = set(multiprocessing.active_children())
            self._pool = pebble.ProcessPool(
                max_workers=self.crew.count,
                max_tasks=0,
                initializer=_start_worker,
                initargs=(self.crew.count, self.crew.threads, str(self._folder)),
                context=_ForkedContext() if self._are_forked else _SpawnedContext(),
            )
        return self._pool

    def run(self, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Run jobs, each in the next free worker; return their results in the order of the jobs."""
        self.start()
        pool = self._opened()
        task = self.packed_task()
        returned: dict[int, JobReturn] = {}
        given: dict[Future[JobReturn], int] = {}
        try:
            for i, overrides in enumerate(job_overrides):
                while len(given) >= _AHEAD * self.crew.count:
                    returned |= self._ended(given)
                future = pool.schedule(_work, (first + i, list(overrides), task), timeout=self.job_timeout_s)
                future.add_done_callback(functools.partial(self._look, first + i))
                given[future] = i
            while given:
                returned |= self._ended(given)
        except BaseException:
            self.stop()
            raise
        pool.close()  # type: ignore[no-untyped-call]
        self._join()
        return [returned[i] for i in range(len(job_overrides))]

    def _ended(self, given: dict[Future[JobReturn], int]) -> dict[int, JobReturn]:
        """Wait until a job ends; return the results of those that have, and take them from what the pool has."""
        ended, _ = futures.wait(given, return_when=futures.FIRST_COMPLETED)
        return {given.pop(each): self._result(each) for each in ended}

    @signals.held()  # A second Ctrl-C would leave jobs that end after the summary of the sweep.
    def stop(self) -> None:
        """End the workers; give each a moment to record that its job was killed."""
        self.on_lost = None  # The jobs are ended, not lost.
        if self._pool is not None:
            # All at the same time; the pool would end one after the other.
            for process in set(multiprocessing.active_children()) - self._others:
                process.terminate()
            self._pool.stop()  # type: ignore[no-untyped-call]
        self._join()
        self._tidy()

    def _join(self) -> None:
        if self._pool is not None:
            self._pool.join()
            self._pool = None
        self._is_started = False
        fork_server.end()

    def _tidy(self) -> None:
        """Remove locks, empty logs and an empty folder."""
        for file in (*self._folder.glob("worker-*.lock"), *self._folder.glob("worker-*.log")):
            if file.suffix == ".lock" or not file.stat().st_size:
                file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    def _look(self, job: int, future: Future[JobReturn]) -> None:
        if self.on_lost is not None and not future.cancelled() and (error := future.exception()) is not None:
            self.on_lost(job, _lost(error))

    def _result(self, future: Future[JobReturn]) -> JobReturn:
        try:
            return future.result()
        except (CancelledError, Exception) as error:
            return worker.failed_return(str(_lost(error)))


class _Forked(multiprocessing.context.ForkServerProcess):
    """A process that is forked from the one with the imports, without the user's own script."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802  Python's own name
        with _without_script():
            return multiprocessing.context.ForkServerProcess._Popen(process_obj)


class _Spawned(multiprocessing.context.SpawnProcess):
    """A process that is started anew, without the user's own script."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802  Python's own name
        with _without_script():
            return multiprocessing.context.SpawnProcess._Popen(process_obj)


class _ForkedContext(multiprocessing.context.ForkServerContext):
    Process = _Forked


class _SpawnedContext(multiprocessing.context.SpawnContext):
    Process = _Spawned


@contextlib.contextmanager
def _without_script() -> Iterator[None]:
    """Keep Python from running the script of this process anew in one that starts in a `with` block.

    A script that calls `sweep` without asking for its `__name__` would begin another sweep there. Workers need nothing
    of it: what a job calls travels by value where it must (`worker.HydraTask`).
    """
    prepared = spawn.get_preparation_data

    def prepare(name: str) -> dict[str, Any]:
        data: dict[str, Any] = prepared(name)
        return {key: value for key, value in data.items() if not key.startswith("init_main_from")}

    spawn.get_preparation_data = prepare
    try:
        yield
    finally:
        spawn.get_preparation_data = prepared


def _lost(error: BaseException) -> JobLostError:
    import pebble

    if isinstance(error, TimeoutError):
        return JobLostError(worker.LATE)
    if isinstance(error, pebble.ProcessExpired):
        code = error.exitcode or 0
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return JobLostError(f"its process was ended {how}{hint}")
    return JobLostError(f"{type(error).__name__}: {error}")


def _start_worker(count: int, thread_count: int | None, folder: str) -> None:
    """Prepare a new worker: its log file, its share of threads, its GPUs, all imports."""
    threading.Thread(target=_end_with_the_sweep, daemon=True).start()
    slot = _take_slot(Path(folder), count)
    log = os.open(Path(folder) / f"worker-{slot}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(log, stream)
    if thread_count is not None:
        threads.share(thread_count)
    if gpus := machine.gpus():
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(_share_of(gpus, slot, count))
    from mnist_exp.jobs import warm  # noqa: F401


def _work(job: int, overrides: list[str], task: bytes) -> JobReturn:
    try:
        return worker.run(job, overrides, worker.unpacked(task))
    except Terminated as ended:
        worker.exit_with(ended)  # The pool would start the next job.


def _ready() -> None:
    """Do nothing: a first task makes the pool start its workers."""


def _take_slot(folder: Path, count: int) -> int:
    """Return the first free number below `count`, held until this process ends, however it does."""
    import filelock

    for slot in range(count):
        lock = filelock.FileLock(folder / f"worker-{slot}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            continue
        _held.append(lock)
        return slot
    return 0


_held: list[Any] = []


def _end_with_the_sweep() -> None:
    """End this process when the launching one is gone: a sweep that was killed must not train on unseen."""
    launching = multiprocessing.parent_process()
    assert launching is not None
    launching.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(worker.GRACE_S)
    os._exit(1)


def _share_of(gpus: Sequence[str], slot: int, count: int) -> Sequence[str]:
    """Return the GPUs of one worker: those of no other one, or where there are fewer than workers, one of them."""
    return gpus[slot::count] or [gpus[slot % len(gpus)]]
