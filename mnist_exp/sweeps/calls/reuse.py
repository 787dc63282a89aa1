"""Results that earlier calls of a sweep left: jobs that are done, runs to resume, and jobs that still run."""

import json
import math
import time
from collections.abc import Collection, Container, Sequence

from mnist_exp.config.schema import SweepSettings, TrackingSettings
from mnist_exp.experiment.own_code import Changes
from mnist_exp.search.space import label, values_of
from mnist_exp.sweeps.calls.history import SweepHistory
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.sweeps.planning.plan import Plan
from mnist_exp.tracking import names, run_folder
from mnist_exp.tracking.runs import StoredRun

_ORPHANS_END_S = 15.0


def rows_of_grid(
    plan: Plan, runs: Sequence[StoredRun], how: SweepSettings, changes: Changes, begun: Container[str] = ()
) -> list[Row]:
    """Return a row for each job of a grid, with the result of an earlier run if there is one that counts.

    A run made by other own code does not count, unless `how.reuse` is `any`; its row says which files were changed.

    Args:
        plan: of the sweep.
        runs: of the experiment, newest first.
        how: the options `sweep.*`.
        changes: of the user's own code.
        begun: keys of the jobs whose earlier run was interrupted and can be resumed.
    """
    by_key: dict[str, list[StoredRun]] = {job.key: [] for job in plan.jobs}
    for run in runs:
        if run.key in by_key:
            by_key[run.key].append(run)
    rows = []
    for job in plan.jobs:
        values = values_of(job.overrides, plan.space.keys)
        row = Row(job.name, values, job.overrides, job.command, planned_epochs=job.epochs, key=job.key)
        # What is done counts before what is newer.
        earlier = sorted(by_key[job.key], key=lambda run: (not run.is_done, len(changes.since(run))))
        counted = [run for run in earlier if changes.counts(run, how.reuse)]
        row.changed = changes.since((counted or earlier)[0]) if earlier else ()
        if counted and (counted[0].is_done or (counted[0].status == "FAILED" and not how.retry_failed)):
            _fill(row, counted[0])
        row.begun = not row.reused and job.key in begun
        rows.append(row)
    return rows


def rows_of_search(children: Sequence[StoredRun], keys: Sequence[str], changes: Changes) -> list[Row]:
    """Return a row for each finished or failed trial of a search, oldest first.

    Args:
        children: runs of the sweep, newest first.
        keys: the options that are searched.
        changes: of the user's own code.
    """
    rows = []
    for child in reversed(children):
        if child.status not in ("FINISHED", "FAILED"):
            continue
        values = json.loads(child.tags.get(names.POINT, "{}"))
        if names.SEED in child.params:  # A search that did not race seeds then has it in no point.
            values = {names.SEED: child.params[names.SEED], **values}
        row = Row(
            label([f"{key}={values[key]}" for key in keys if key in values], keys),
            {key: values[key] for key in keys if key in values},
            command=child.tags.get(names.COMMAND, ""),
            planned_epochs=int(child.params.get(names.PLANNED_EPOCHS, 0)),
            changed=changes.since(child),
        )
        _fill(row, child)
        rows.append(row)
    return rows


def interrupted(
    runs: Sequence[StoredRun], tracking: TrackingSettings, how: SweepSettings, changes: Changes
) -> dict[str, str]:
    """Return the interrupted runs that can be resumed on this machine: run id by job key.

    If a job has several, the newest is returned. Jobs that another run has finished are left out, and runs of other own
    code, by the rule of `rows_of_grid`.

    Args:
        runs: of the experiment, newest first.
        tracking: names the folder of unfinished runs.
        how: the options `sweep.*`.
        changes: of the user's own code.
    """
    states = ("KILLED", "FAILED") if how.retry_failed else ("KILLED",)
    counted = [run for run in runs if changes.counts(run, how.reuse)]
    done = {run.key for run in counted if run.is_done}
    stopped = [run for run in counted if run.status in states and run.key not in done]
    with_folder = {folder.path.name for folder in run_folder.folders(tracking)}
    return {run.key: run.run_id for run in reversed(stopped) if run.run_id in with_folder}


def without_orphans(history: SweepHistory, runs: list[StoredRun], keys: Collection[str]) -> list[StoredRun]:
    """Wait for jobs whose launching process was killed, and return the runs of the experiment.

    They end by themselves a few seconds later. What runs on is waited for after the other jobs, as jobs are that other
    sweeps are at.

    Args:
        history: of the experiment.
        runs: of the experiment, newest first.
        keys: job keys of the sweep.
    """
    until = time.monotonic() + _ORPHANS_END_S
    while any(run.lives and run.key in keys and history.is_orphan(run) for run in runs):
        if time.monotonic() > until:
            break
        time.sleep(0.5)
        runs = history.jobs(keys)
    return runs


def running_already(run: StoredRun) -> str:
    """Return the message of the error that another process runs this sweep, or one of its jobs."""
    process = run.tags.get(names.PROCESS, "unknown")
    return (
        f"this sweep runs already (run {run.run_id}, process {process}): wait for it or stop it; if that process "
        "no longer exists, run everything again with sweep.reuse=false"
    )


def _fill(row: Row, run: StoredRun) -> None:
    row.reused = True
    take_result(row, run)


def take_result(row: Row, run: StoredRun) -> None:
    """Write what the store has of a job's run into the job's row."""
    row.run_id, row.metrics, row.seconds = run.run_id, run.metrics, run.seconds
    row.objective = run.metrics.get(names.OBJECTIVE, math.nan)
    row.outcome = "pruned" if run.is_pruned else "done" if run.is_done else "failed"
    row.reason = run.tags.get(names.FAILURE, "" if row.outcome != "failed" else "see its traceback.txt")
    row.promotions = tuple(int(each) for each in run.tags.get(names.PROMOTED, "").split(",") if each.isdecimal())
    if row.promotions:  # From its start to its end it was paused.
        row.seconds = run.metrics.get(names.FIT_TIME_S, row.seconds)
    row.epochs = int(run.metrics.get(names.EPOCHS, 0))
