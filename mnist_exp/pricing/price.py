"""The price of jobs before they start: how much they train, how long that takes, and how sure that is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mnist_exp.config.wording import duration, size
from mnist_exp.errors import plural
from mnist_exp.jobs.crew import Crew
from mnist_exp.pricing import earlier, measured
from mnist_exp.pricing.difference import Distinguishable
from mnist_exp.pricing.disk import Disk
from mnist_exp.pricing.likeness import Job
from mnist_exp.pricing.rates import Rates, Seen, Size, makespan
from mnist_exp.runtime import threads
from mnist_exp.tracking.runs import StoredRun

# By how much estimates may be off, from earlier runs and from steps measured now, where the load stays as it is. On two
# CPUs with 8 to 16 threads to run each, which went up and down, sweeps took 0.7 to 1.8 times what steps had told.
_SURE, _UNSURE = 1.5, 1.8
_MOST_SCALED = 2.0  # by which a model may be larger or smaller than those that earlier runs tell of
_AROUND_S = 2.5  # of a job before and after its training, where no earlier run tells
_START_S = 6.0  # until a worker can build its first model, where that was not measured
_LEAST_RUNS = 2
_ELSEWHERE = "the workers are on other machines, of which nothing is known here"
_BUSY = 1.5  # threads for each CPU


@dataclass(frozen=True)
class Time:
    """How long jobs take.

    Args:
        seconds: of all, with the workers that there are.
        low: likely at least.
        high: likely at most.
        compute_s: of all jobs one after the other.
        basis: what it is estimated from, for people.
        runs: how many earlier runs tell it; 0 where it was measured now.
    """

    seconds: float
    low: float
    high: float
    compute_s: float
    basis: str
    runs: int


@dataclass(frozen=True)
class Price:
    """What a sweep will cost.

    Args:
        jobs: that are to be run.
        epochs: of all of them, at most.
        likely_epochs: of all of them, where some stop early; the same else.
        why_fewer: what stops them, for people; empty if nothing does.
        workers: that train them.
        time: that takes; None where it could not be told.
        problem: why not; empty if it was.
        disk: that takes.
        distinguishable: the smallest difference that it could tell apart.
        load: how many threads were ready to run for each CPU before anything was measured; None if that is not known.
    """

    jobs: int
    epochs: int
    likely_epochs: int
    why_fewer: str
    workers: int
    time: Time | None
    problem: str
    disk: Disk
    distinguishable: Distinguishable
    load: float | None = None

    def as_data(self) -> dict[str, Any]:
        """Return it as values that JSON has."""
        time, disk, least = self.time, self.disk, self.distinguishable
        return {
            "jobs": self.jobs,
            "epochs": self.epochs,
            "likely_epochs": self.likely_epochs,
            "workers": self.workers,
            "time": None
            if time is None
            else {
                "seconds": round(time.seconds, 1),
                "low_s": round(time.low, 1),
                "high_s": round(time.high, 1),
                "compute_s": round(time.compute_s, 1),
                "basis": time.basis,
                "runs": time.runs,
                "load": None if self.load is None else round(self.load, 2),
            },
            "disk": {
                "bytes": disk.bytes_kept,
                "bytes_of_models": disk.bytes_of_models,
                "bytes_meanwhile": disk.bytes_meanwhile,
                "free_bytes": disk.free,
                "fits": disk.fits,
            },
            "smallest_difference": {
                "value": least.difference,
                "seeds": least.seeds,
                "comparisons": least.comparisons,
                "words": least.words,
            },
        }

    @property
    def words(self) -> dict[str, str]:
        """The same for people, as the rows of a table."""
        epochs = f"{plural(self.jobs, 'job')}, {plural(self.epochs, 'epoch')}"
        if self.likely_epochs < self.epochs:
            epochs = f"{plural(self.jobs, 'job')}, at most {plural(self.epochs, 'epoch')}; about {self.likely_epochs:,}"
            epochs += f" {self.why_fewer}"
        rows = {"price": epochs}
        if (time := self.time) is None:
            rows["time"] = f"not known: {self.problem}"
        else:
            workers = plural(self.workers, "worker")
            between = f"{duration(time.low)} to {duration(time.high)}"
            rows["time"] = f"about {duration(time.seconds)} by {workers} (likely {between})"
            rows["from"] = time.basis
            if self.load is not None and self.load > _BUSY:
                rows["but"] = (
                    f"this machine is busy with {self.load:.1f} threads for each CPU: while it is, times are longer"
                )
        rows["disk"] = _disk_words(self.disk)
        rows["tells"] = f"differences from {self.distinguishable.words}"
        if self.distinguishable.difference is None:
            rows["tells"] = self.distinguishable.words
        return rows


@dataclass(frozen=True)
class Known:
    """What is known of the time of jobs and the size of their models.

    Args:
        sizes: of the models, by `Job.model_key`.
        rates: of their training; None where they could not be told.
        basis: what tells it, for people.
        runs: how many earlier runs tell it.
        start_s: until a worker can build its first model.
        problem: why there are no rates; empty if there are.
    """

    sizes: dict[str, Size]
    rates: Rates | None
    basis: str = ""
    runs: int = 0
    start_s: float = _START_S
    problem: str = ""


def known(jobs: Sequence[Job], runs: Sequence[StoredRun], crew: Crew | None, tell: Callable[[str], None]) -> Known:
    """Return what earlier runs tell of jobs; else what a few steps tell that are done now.

    Args:
        jobs: to be run.
        runs: of the experiment, FINISHED, the newest first.
        crew: the workers on this machine; None where they are elsewhere, and nothing is known of them.
        tell: called with a sentence before anything is measured, which takes its time.
    """
    if crew is None:
        return Known({**earlier.look(jobs, runs, 0).sizes}, None, problem=_ELSEWHERE)
    workers, thread_count = crew.count, crew.threads
    each = jobs[0].settings.trainer.threads or thread_count or threads.told() or threads.usable_cpus()
    found = earlier.look(jobs, runs, each)
    sizes = dict(found.sizes)
    missing = [job for job in jobs if job.model_key not in sizes]
    if missing and len(found.seen) >= _LEAST_RUNS:
        built = measured.measure(missing, workers, thread_count, builds_only=True)
        sizes |= built.sizes
    operations = [sizes[job.model_key].operations for job in jobs if job.model_key in sizes]
    rates = Rates(found.seen, _AROUND_S)
    if len(found.seen) >= _LEAST_RUNS and operations and rates.covers(operations, _MOST_SCALED):
        return Known(sizes, rates, _of_runs(found.seen, rates, operations), len(found.seen))
    tell("no earlier runs tell how long this takes: a few steps are measured now …")
    tried = measured.measure(jobs, workers, thread_count)
    if tried.problem:
        return Known(sizes, None, problem=f"a few steps could not be measured: {tried.problem}")
    around = [seen.around_s for seen in found.seen if seen.around_s is not None]
    rates = Rates(tried.seen, around[0] if around else _AROUND_S)
    levels = len({seen.operations for seen in tried.seen})
    which = "the largest and the smallest model" if levels > 1 else "the model"
    scaled = ", the others between them by their FLOPs" if levels > 1 and len({*operations}) > 2 else ""
    few = "no earlier runs of the kind" if not found.seen else "earlier runs are too few, or of other sizes"
    basis = f"a few steps of {which}, measured now ({few} with {plural(each, 'thread')} here){scaled}"
    return Known(sizes | dict(tried.sizes), rates, basis, 0, tried.start_s)


def time_of(jobs: Sequence[Job], share: float, what: Known, workers: int, load: float | None = None) -> Time | None:
    """Return how long jobs take; None where nothing tells it.

    Args:
        jobs: to be run.
        share: of their epochs that they are likely to have.
        what: is known of them.
        workers: that train them.
        load: threads that are ready to run for each CPU now. Earlier runs may have had their CPUs for themselves.
    """
    if what.rates is None or not what.sizes:
        return None
    usual = Size(0, round(sum(size.operations for size in what.sizes.values()) / len(what.sizes)))
    graphs: dict[str, int] = {}
    each = []
    for job in jobs:
        # Each worker traces a graph once; the jobs after that have it.
        graphs[job.key] = graphs.get(job.key, 0) + 1
        seconds = what.rates.job_s(
            job, what.sizes.get(job.model_key, usual), is_traced=graphs[job.key] <= max(workers, 1)
        )
        each.append(seconds * share)
    total = what.start_s + makespan(each, workers)
    spread = what.rates.spread
    factor = _UNSURE if what.runs == 0 else max(_SURE, 1 + 2 * spread if spread is not None else _SURE)
    busy = load if what.runs and load is not None and load > _BUSY else 1.0
    return Time(total, total / factor, total * factor * busy, sum(each), what.basis, what.runs)


def _of_runs(seen: Sequence[Seen], rates: Rates, operations: Sequence[float]) -> str:
    spread = f", ± {rates.spread:.0%} in the time of an image" if rates.spread is not None else ""
    levels = {each.operations for each in seen}
    scaled = sum(each not in levels for each in operations)
    others = f"; {plural(scaled, 'job')} of other sizes by FLOPs" if scaled else ""
    return f"{plural(len(seen), 'earlier run')} of the kind here{spread}{others}"


def _disk_words(disk: Disk) -> str:
    if not disk.bytes_kept:
        return "none: nothing is recorded"
    how = "as in earlier runs" if disk.is_measured else "by their parameters"
    words = f"{size(disk.bytes_kept)}, of which {size(disk.bytes_of_models)} models ({how})"
    words += f", and meanwhile {size(disk.bytes_meanwhile)} of checkpoints"
    return words if disk.free is None else f"{words}; {size(disk.free)} are free"
