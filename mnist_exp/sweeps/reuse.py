"""What earlier calls have made of a sweep: rows that need no job, and jobs that are still at it."""

import json
import math
import time
from collections.abc import Collection, Container, Sequence

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import BusyError
from mnist_exp.search.space import values_of
from mnist_exp.sweeps.history import SweepHistory
from mnist_exp.sweeps.leaderboard import Row
from mnist_exp.sweeps.plan import Plan
from mnist_exp.tracking import names, run_folder
from mnist_exp.tracking.runs import StoredRun

_ORPHANS_END_S = 15.0


def rows_of_grid(plan: Plan, runs: Sequence[StoredRun], *, retry_failed: bool, begun: Container[str] = ()) -> list[Row]:
    """Return a row for each job, with its result where an earlier run has it.

    Args:
        plan: of the sweep.
        runs: of the experiment, newest first.
        retry_failed: whether jobs that failed are left to do.
        begun: keys of the jobs that an earlier call broke off.
    """
    by_key: dict[str, StoredRun] = {}
    for run in runs:  # One that is done beats any newer one.
        if run.key not in by_key or (run.is_done and not by_key[run.key].is_done):
            by_key[run.key] = run
    rows = []
    for job in plan.jobs:
        values = values_of(job.overrides, plan.space.keys)
        row = Row(job.name, values, job.overrides, job.command, planned_epochs=job.epochs, key=job.key)
        earlier = by_key.get(job.key)
        if earlier and (earlier.is_done or (earlier.status == "FAILED" and not retry_failed)):
            _fill(row, earlier)
        row.begun = not row.reused and job.key in begun
        rows.append(row)
    return rows


def rows_of_search(children: Sequence[StoredRun], keys: Sequence[str]) -> list[Row]:
    """Return a row for each trial that came to an end.

    Args:
        children: of the parent run, newest first.
        keys: the options that are searched.
    """
    rows = []
    for child in reversed(children):
        if child.status not in ("FINISHED", "FAILED"):
            continue
        values = json.loads(child.tags.get(names.POINT, "{}"))
        row = Row(
            child.tags.get(names.RUN_NAME, ""),
            {key: values[key] for key in keys if key in values},
            command=child.tags.get(names.COMMAND, ""),
            planned_epochs=int(child.params.get(names.PLANNED_EPOCHS, 0)),
        )
        _fill(row, child)
        rows.append(row)
    return rows


def interrupted(runs: Sequence[StoredRun], tracking: TrackingSettings, *, retry_failed: bool) -> dict[str, str]:
    """Return the newest run that was broken off, by job key, of jobs that are not done and can be gone on with here.

    Args:
        runs: of the experiment, newest first.
        tracking: where unfinished runs are kept.
        retry_failed: whether one that failed counts too.
    """
    states = ("KILLED", "FAILED") if retry_failed else ("KILLED",)
    done = {run.key for run in runs if run.is_done}
    broken_off = [run for run in runs if run.status in states and run.key not in done]
    kept = {folder.path.name for folder in run_folder.folders(tracking)}
    return {run.key: run.run_id for run in reversed(broken_off) if run.run_id in kept}


def without_orphans(history: SweepHistory, runs: list[StoredRun], keys: Collection[str]) -> list[StoredRun]:
    """Wait for jobs of a sweep that was killed, which end by themselves soon after it, and return the runs then.

    Raises: BusyError: one of the jobs runs on.
    """
    until = time.monotonic() + _ORPHANS_END_S
    while living := [run for run in runs if run.lives and run.key in keys]:
        if time.monotonic() > until:
            raise BusyError(running_already(living[0]))
        time.sleep(0.5)
        runs = history.jobs()
    return runs


def running_already(run: StoredRun) -> str:
    """Return the sentence for a sweep, or a job of it, that another process is at."""
    process = run.tags.get(names.PROCESS, "unknown")
    return (
        f"this sweep runs already (run {run.run_id}, process {process}): wait for it or stop it; if that process is "
        "gone for good, run everything with sweep.reuse=false"
    )


def _fill(row: Row, run: StoredRun) -> None:
    row.reused = True
    row.run_id, row.metrics, row.seconds = run.run_id, run.metrics, run.seconds
    row.objective = run.metrics.get(names.OBJECTIVE, math.nan)
    row.outcome = "pruned" if run.is_pruned else "done" if run.is_done else "failed"
    row.reason = run.tags.get(names.FAILURE, "" if row.outcome != "failed" else "see its traceback.txt")
    row.epochs = int(run.metrics.get(names.EPOCHS, 0))
