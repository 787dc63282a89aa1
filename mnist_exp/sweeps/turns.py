"""Launch the jobs of a sweep; those that other processes are at come last, once these processes have ended."""

import dataclasses
import itertools
import time
from collections.abc import Sequence

from mnist_exp.errors import TrackingError, plural
from mnist_exp.jobs import events, sharing
from mnist_exp.sweeps.call import SweepCall
from mnist_exp.sweeps.history import SweepHistory
from mnist_exp.sweeps.launch import Launch
from mnist_exp.sweeps.leaderboard import Row
from mnist_exp.sweeps.parent_run import ParentRun
from mnist_exp.tracking import store
from mnist_exp.tracking.runs import StoredRun


def run(
    call: SweepCall, launch: Launch, rows: Sequence[Row], earlier: Sequence[StoredRun], parent: ParentRun | None
) -> str:
    """Run the jobs that are left, and write their results into their rows.

    Args:
        call: of the sweep.
        launch: that starts them.
        rows: one for each job of the sweep.
        earlier: earlier runs of the experiment.
        parent: run of the sweep; None if it is not recorded.
    Returns: why this process cannot use the store any more, so that no further job was started; else empty.
    """
    lost: list[str] = []
    until = time.time() + call.how.timeout_s if call.how.timeout_s else None
    todo = [row for row in rows if row.outcome == "left"]
    for number in itertools.count(1):
        # A folder of its own: the numbers of the jobs, and what is known beforehand, are others in each turn.
        turn = dataclasses.replace(call, folder=call.folder.with_name(f"{call.folder.name}-{number}"))

        def on_failure(row: Row, turn: SweepCall = turn) -> None:
            if parent is not None:
                parent.record_failure(row)
            _give_up_if_too_many(turn, rows)

        def is_store_lost(turn: SweepCall = turn) -> bool:
            """Give up the sweep if this process cannot use the store either: no job that is left could be recorded."""
            try:
                store.check(store.locate(call.tracking.uri), must_exist=True)
            except TrackingError as error:
                lost.append(str(error))
                events.give_up(turn.folder, str(error))
            return bool(lost)

        if todo:
            launch.run(turn, rows, todo, earlier, parent.run_id if parent else None, until, on_failure, is_store_lost)
        held = [row for row in rows if row.held_by]
        if not held or parent is None or events.is_given_up(turn.folder):
            break
        if number == 1:
            _announce(call, held)
        if not _one_ended(parent.history, held, until):
            break
        earlier = parent.history.jobs(call.job_keys)
        todo = _renewed(call, held, earlier)
    return lost[0] if lost else ""


def _announce(call: SweepCall, held: Sequence[Row]) -> None:
    which = ", ".join(f"{row.name or 'the job'} (run {row.held_by})" for row in held)
    call.screen.out.print(f"waiting for {plural(len(held), 'job')} that other processes are at: {which}")


def _one_ended(history: SweepHistory, held: Sequence[Row], until: float | None) -> bool:
    """Wait until one of the runs that hold jobs has ended; return False if the time of the sweep is over before."""
    while all(history.get(run_id).lives for run_id in {row.held_by for row in held}):
        if until is not None and time.time() > until:
            return False
        time.sleep(sharing.LOOK_S)
    return True


def _renewed(call: SweepCall, held: Sequence[Row], earlier: Sequence[StoredRun]) -> list[Row]:
    """Give each row what is known of its job now, and return those of jobs that are to be run."""
    now = {row.key: row for row in call.rows_of_grid(earlier)}
    living = {run.key: run.run_id for run in earlier if run.lives}
    for row in held:
        row.held_by = living.get(row.key, "")
        if not row.held_by:
            for field in dataclasses.fields(row):
                setattr(row, field.name, getattr(now[row.key], field.name))
    return [row for row in held if row.outcome == "left" and not row.held_by]


def _give_up_if_too_many(call: SweepCall, rows: Sequence[Row]) -> None:
    failures = sum(row.outcome == "failed" and not row.reused for row in rows)
    rate = call.how.max_failure_rate
    if call.how.fail_fast or (rate is not None and failures > rate * len(rows)):
        events.give_up(call.folder, f"{failures} jobs failed")
