"""Start the jobs of a sweep with a launcher, and follow them until the last one has ended."""

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hydra.plugins.launcher import Launcher

from mnist_exp.config.nested import digest
from mnist_exp.config.schema import SweepSettings
from mnist_exp.jobs import events, worker
from mnist_exp.jobs.assignment import Assignment, NumberedJob
from mnist_exp.jobs.crew import Crew, Work
from mnist_exp.jobs.job import Task
from mnist_exp.jobs.worker import WorkersLauncher
from mnist_exp.runtime import backends
from mnist_exp.sweeps import order
from mnist_exp.sweeps.calls.call import SweepCall
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.sweeps.planning import grouping
from mnist_exp.sweeps.shown.progress import Progress
from mnist_exp.tracking.runs import StoredRun


@dataclass(frozen=True)
class Launch:
    """A launcher that is ready, and the task that it runs for each job."""

    task: Task
    launcher: Launcher

    @property
    def crew(self) -> Crew | None:
        """How many workers it has on this machine; None where they run elsewhere."""
        return self.launcher.workers.crew if isinstance(self.launcher, WorkersLauncher) else None

    def go_on_with(self, threads: int | None) -> None:
        """Let the jobs of the next `run` have the threads that the runs began with which they go on with."""
        if isinstance(self.launcher, WorkersLauncher):
            self.launcher.workers.go_on_with(threads)

    def run(
        self,
        call: SweepCall,
        rows: list[Row],
        todo: Sequence[Row],
        earlier: Sequence[StoredRun],
        parent: str | None,
        until: float | None,
        on_failure: Callable[[Row], None],
        on_done: Callable[[Row], None],
        is_store_lost: Callable[[], bool],
    ) -> None:
        """Run jobs, and write their results into their rows.

        Args:
            call: of the sweep.
            rows: one for each job of the sweep.
            todo: those of the jobs to run; of a search also such that only go on with trials, and are not in `rows`.
            earlier: earlier runs of the experiment.
            parent: id of the parent run; None if the sweep is not recorded.
            until: time after which no job starts, seconds since 1970; None sets no limit.
            on_failure: called with the row of each job that fails.
            on_done: called with the row of each job that is done.
            is_store_lost: called where a job could not begin its record; tells whether the sweep is to stop for that.
        """
        if call.study is None and self.crew is not None and self.crew.count > 1:
            todo = order.largest_first(todo)
        groups = _groups(call, todo)
        numbered = _numbered(groups)
        self.task.assignment = _assignment(call, parent, until, numbered, self.crew, failures_left(call.how, rows))
        _write_known(call, todo, earlier)
        to_run = [row for group in groups for row in group]
        settings = call.plan.settings
        direction, objective = settings.direction, settings.objective
        heard = on_failure, on_done, is_store_lost
        budget, goes_on = call.how.budget_epochs, call.study is not None
        progress = Progress(
            call.folder, call.screen, rows, to_run, direction, objective, *heard, budget, goes_on=goes_on
        )

        def note_lost(group: int, error: object) -> None:
            for job in numbered[group]:
                progress.mark_lost(job.number, str(error), is_late=worker.LATE in str(error))

        if isinstance(self.launcher, WorkersLauncher):
            workers = self.launcher.workers
            workers.on_lost = note_lost
            workers.keeps_configurations = False
            # Several processes may launch one search, so each has a name of its own.
            workers.name = f"mnist_exp-{call.key[:12]}" + (f"-{time.time_ns():x}" if call.study else "")
        jobs = [list(group[0].overrides or call.plan.space.fixed) for group in groups]
        with progress:
            for number, job in enumerate(self.launcher.launch(jobs, initial_job_idx=0)):
                if job.status.name == "FAILED":
                    note_lost(number, job._return_value)  # `return_value` would raise it.


@contextlib.contextmanager
def launching(make_launcher: Callable[[Task], Launcher], call: SweepCall, *, at_once: bool = True) -> Iterator[Launch]:
    """Make the launcher for a `with` block, and stop its workers at the end.

    Workers of this package start at once, so that they import TensorFlow while the sweep opens its store.

    Args:
        make_launcher: returns the launcher for a task.
        call: of the sweep.
        at_once: whether workers start before there is a job for them.
    """
    task = Task()
    launcher = make_launcher(task)
    if not isinstance(launcher, WorkersLauncher):
        yield Launch(task, launcher)
        return
    launcher.workers.job_timeout_s = call.how.job_timeout_s
    launcher.workers.work = work_of(call)
    if at_once:
        launcher.workers.start()
    try:
        yield Launch(task, launcher)
    finally:
        launcher.workers.stop()


def work_of(call: SweepCall) -> Work:
    """Return what the workers of a sweep are for."""
    trainer, plan = call.plan.settings.trainer, call.plan
    return Work(
        jobs=call.how.n_trials if call.study else len(plan.jobs),
        backend=trainer.backend or backends.default(),
        threads=trainer.threads,
        devices=trainer.devices,
        is_together=call.how.together > 1,
        data_bytes=plan.data_bytes,
        records=call.tracking.store == "mlflow",
    )


def _groups(call: SweepCall, rows: Sequence[Row]) -> list[list[Row]]:
    """Return the jobs in the groups in which they are trained: one by one, or several jobs of one program together."""
    at_most = call.how.together
    if at_most == 1:
        return [[row] for row in rows]
    planned = {job.key: job for job in call.plan.jobs}
    groups = grouping.groups(rows, [planned[row.key].program for row in rows], at_most)
    alone = [planned[row.key] for group in groups if len(group) == 1 for row in group]
    reasons = dict.fromkeys(job.why_alone for job in alone if job.why_alone is not None)
    if alone:
        why = ", ".join(reasons) or f"only jobs that differ in nothing but {grouping.MAY_DIFFER} can be together"
        call.screen.warn(f"sweep.together={at_most}: {len(alone)} of {len(rows)} jobs are trained alone: {why}")
    return groups


def _numbered(groups: Sequence[Sequence[Row]]) -> tuple[tuple[NumberedJob, ...], ...]:
    """Number the jobs of all groups, beginning with 0."""
    numbers = itertools.count()
    return tuple(tuple(NumberedJob(next(numbers), tuple(row.overrides)) for row in group) for group in groups)


def _assignment(
    call: SweepCall,
    parent: str | None,
    until: float | None,
    numbered: tuple[tuple[NumberedJob, ...], ...],
    crew: Crew | None,
    most_failures: int | None,
) -> Assignment:
    how, plan = call.how, call.plan
    return Assignment(
        sweep_id=f"{call.key}/{time.time()}",
        folder=call.folder,
        parent=parent,
        keys=plan.space.keys,
        study=call.study,
        deadline=until,
        reuse=how.reuse,
        config_dir=call.config_dir,
        fixed=plan.space.fixed,
        common=plan.common,
        groups=numbered if how.together > 1 else (),
        run_name=plan.run_name,
        alone=plan.alone,
        idle=crew.idle if crew is not None else None,
        most_failures=most_failures,
    )


def failures_left(how: SweepSettings, rows: Sequence[Row]) -> int | None:
    """Return how many jobs may still fail before no further one starts, below 0 if too many did; None for any number.

    Args:
        how: the options `sweep.*`.
        rows: one for each job of the sweep.
    """
    if not how.fail_fast and how.max_failure_rate is None:
        return None
    most = 0 if how.fail_fast else math.floor((how.max_failure_rate or 0.0) * len(rows))
    return most - sum(row.outcome == "failed" and not row.reused for row in rows)


def _write_known(call: SweepCall, todo: Sequence[Row], earlier: Sequence[StoredRun]) -> None:
    """Write into the sweep's folder what its jobs must know: their keys, runs to resume, and results to reuse."""
    call.folder.mkdir(parents=True, exist_ok=True)
    planned = {digest(list(job.overrides)): {"key": job.key, "number": job.number} for job in call.plan.jobs}
    events.write_known(call.folder, events.PLANNED, planned)
    if call.how.reuse:
        events.write_known(call.folder, events.INTERRUPTED, call.interrupted(earlier))
        before: dict[str, list[str]] = {}
        keys = {row.key for row in todo}
        for run in earlier:
            if run.is_done and (call.study is not None or run.key in keys):
                before.setdefault(run.key, []).append(run.run_id)
        events.write_known(call.folder, events.DONE_BEFORE, before)
        if call.study is not None:
            counted = [run for run in earlier if call.changes.counts(run, call.how.reuse)]
            counted.sort(key=lambda run: not call.changes.since(run))  # Of two results of a job, the last one is taken.
            done = {
                run.key: {"run_id": run.run_id, "metrics": run.metrics, "changed": call.changes.since(run)}
                for run in counted
                if run.is_done
            }
            events.write_known(call.folder, events.DONE, done)
