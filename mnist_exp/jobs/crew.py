"""How many worker processes a sweep gets on this machine, and how many threads each of them.

The last digits of a result depend on the number of threads, and on nothing else of the machine. So left to itself a
worker has one thread: a job gives the same numbers on two CPUs and on sixty-four, beside one job and beside many.
"""

from dataclasses import dataclass
from typing import Literal

from mnist_exp.errors import plural
from mnist_exp.runtime import machine, threads

Asked = int | Literal["auto"]
_WORKER_BYTES = 1_100_000_000  # Of a worker that trains the baseline on MNIST (benchmarks/README.md, row grid).
_COPIES_OF_DATA = 2  # The data set, and the part of it that is trained on.


@dataclass(frozen=True)
class Work:
    """What the workers of a sweep are for.

    Args:
        jobs: how many there are at most.
        backend: that they train with.
        threads: the option `trainer.threads`.
        devices: the option `trainer.devices`.
        is_together: whether a worker trains several jobs as one program.
        data_bytes: of the data set in memory.
        records: whether they record in MLflow.
        resumed_on: threads that the runs had which they go on with; None where they begin new ones.
    """

    jobs: int = 1
    backend: str = "tensorflow"
    threads: int | None = None
    devices: int | Literal["all"] = 1
    is_together: bool = False
    data_bytes: int = 0
    records: bool = True
    resumed_on: int | None = None


@dataclass(frozen=True)
class Idle:
    """The CPUs that no worker uses.

    Args:
        cpus: how many.
        fix: the option that would use them.
    """

    cpus: int
    fix: str


@dataclass(frozen=True)
class Crew:
    """The workers of a sweep on this machine.

    Args:
        count: how many.
        threads: of each; None leaves the number to the backend.
        words: for people.
        idle: the CPUs that they leave idle, if there are any.
    """

    count: int
    threads: int | None
    words: str
    idle: Idle | None = None


def chosen(asked: Asked, work: Work) -> Crew:
    """Return the workers for a sweep.

    Args:
        asked: the option `hydra.launcher.n_workers`.
        work: what they are for.
    """
    cpus = machine.cpus()
    if work.resumed_on is not None:
        count = asked if asked != "auto" else max(min(cpus // work.resumed_on, work.jobs), 1)
        return Crew(count, work.resumed_on, f"{plural(count, 'worker')}, {plural(work.resumed_on, 'thread')} each")
    if asked != "auto":
        if asked == 1:
            shown = work.threads or threads.told()
            return Crew(1, None, f"1 worker, {plural(shown, 'thread') if shown else 'all CPU threads'}")
        each = max(cpus // asked, 1)
        shown = work.threads or threads.told() or each
        return Crew(asked, each, f"{plural(asked, 'worker')}, {plural(shown, 'thread')} each")
    if work.is_together:
        return Crew(1, None, "1 worker, for sweep.together trains several jobs in one process")
    if gpus := machine.gpus():
        a_job = len(gpus) if work.devices == "all" else work.devices
        count = max(min(len(gpus) // a_job, work.jobs), 1)
        return Crew(
            count,
            max(cpus // count, 1),
            f"{plural(count, 'worker')}, {plural(a_job, 'GPU')}{' each' if count > 1 else ''}",
        )
    if work.backend == "jax":
        return Crew(1, None, "1 worker, for JAX takes all CPUs")
    return _on_cpus(work, cpus)


def _on_cpus(work: Work, cpus: int) -> Crew:
    each = work.threads or threads.told() or 1
    free = machine.free_memory()
    limits = {
        "": max(cpus // each, 1),
        f": no more fit into {free / 1e9:,.1f} GB of free memory": _fitting(work, free),
        ": there are no more jobs": work.jobs,
    }
    count = max(min(limits.values()), 1)
    why = next(words for words, limit in limits.items() if max(limit, 1) == count)
    words = f"{plural(count, 'worker')}, {plural(each, 'thread')}{' each' if count > 1 else ''}{why}"
    left = cpus - count * each
    # Of fewer than a thread more for each, nothing could be made.
    if left < count:
        return Crew(count, each, words)
    fix = f"hydra.launcher.n_workers={count}"
    return Crew(count, each, words, Idle(left, fix) if work.threads is None else None)


def _fitting(work: Work, free: int) -> int:
    return free // (_WORKER_BYTES + _COPIES_OF_DATA * work.data_bytes)
