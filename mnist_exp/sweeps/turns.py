"""Launch the jobs of a sweep; those that other processes are at come last, once these processes have ended."""

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnist_exp.errors import SettingsError, TrackingError, plural
from mnist_exp.jobs import events, sharing
from mnist_exp.runtime import backends, threads
from mnist_exp.search.study import Study
from mnist_exp.sweeps.calls.call import SweepCall
from mnist_exp.sweeps.calls.history import SweepHistory
from mnist_exp.sweeps.launch import Launch, failures_left
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.sweeps.record.parent_run import ParentRun
from mnist_exp.tracking import store
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    import optuna


_MOST_TURNS = 100  # of a search whose processes die before they have begun anything


def run(
    call: SweepCall,
    launch: Launch,
    rows: list[Row],
    earlier: Sequence[StoredRun],
    parent: ParentRun | None,
    opened: "optuna.Study | None" = None,
) -> str:
    """Run the jobs that are left, and write their results into their rows.

    Args:
        call: of the sweep.
        launch: that starts them.
        rows: one for each job of the sweep.
        earlier: earlier runs of the experiment.
        parent: run of the sweep; None if it is not recorded.
        opened: study of a search; None for a grid.
    Returns: why this process cannot use the store any more, so that no further job was started; else empty.
    """
    lost: list[str] = []
    until = time.time() + call.how.timeout_s if call.how.timeout_s else None
    todo = [row for row in rows if row.outcome == "left"]
    if call.study is not None and opened is not None:
        todo = todo or _going_on(call.study, opened, launch, rows)
    numbers = itertools.count(1)
    is_announced = False

    def run_some(some: Sequence[Row]) -> bool:
        """Run some of the jobs, and tell whether others may follow."""
        # A folder of its own: the numbers of the jobs, and what is known beforehand, are others in each turn.
        turn = dataclasses.replace(call, folder=call.folder.with_name(f"{call.folder.name}-{next(numbers)}"))

        def on_failure(row: Row) -> None:
            _give_up_if_too_many(turn, rows)  # Before it is recorded, which takes seconds: jobs would begin meanwhile.
            if parent is not None:
                parent.record_failure(row)

        if parent is not None and parent.models is not None:
            parent.models.follow(turn.folder)

        def on_done(row: Row) -> None:
            if parent is not None and parent.models is not None:
                parent.models.note(row)

        def is_store_lost() -> bool:
            """Give up the sweep if this process cannot use the store either: no job that is left could be recorded."""
            try:
                store.check(store.locate(call.tracking.uri), must_exist=True)
            except TrackingError as error:
                lost.append(str(error))
                events.give_up(turn.folder, str(error))
            return bool(lost)

        heard = on_failure, on_done, is_store_lost
        launch.run(turn, rows, some, earlier, parent.run_id if parent else None, until, *heard)
        return not events.is_given_up(turn.folder)

    while True:
        launch.go_on_with(None)  # What is asked below is how many threads new runs have.
        for count, some in _by_threads(call, launch, todo, earlier).items():
            launch.go_on_with(count)
            if not run_some(some):
                return lost[0] if lost else ""
        if call.study is not None and opened is not None:
            is_late = until is not None and time.time() > until
            todo = [] if is_late else _going_on(call.study, opened, launch, rows)
            if todo and next(numbers) < _MOST_TURNS:
                continue
            _end_lost(rows, parent)
            break
        held = [row for row in rows if row.held_by]
        if not held or parent is None:
            break
        if not is_announced:
            _announce(call, held)
            is_announced = True
        if not _one_ended(parent.history, held, until):
            break
        earlier = parent.history.jobs(call.job_keys)
        todo = _renewed(call, held, earlier)
    return lost[0] if lost else ""


def _going_on(search: Study, opened: "optuna.Study", launch: Launch, rows: Sequence[Row]) -> list[Row]:
    """Return rows for the jobs that a search still needs; what only goes on with trials needs no row of its own."""
    search.requeue_dead(opened, is_going_on=True)
    if search.is_spent(opened):
        return []
    at_a_time = launch.crew.count if launch.crew is not None else 1
    # Jobs that went on with the trials of others have begun none of their own.
    left = [row for row in rows if row.outcome == "left"][: search.left(opened)]
    return left or [Row("") for _ in range(min(search.to_go_on(opened), at_a_time))]


def _end_lost(rows: Sequence[Row], parent: ParentRun | None) -> None:
    """Let the trials fail whose process has died, and with which nobody could go on."""
    for row in rows:
        if row.outcome in ("killed", "left") and row.reason:
            row.outcome = "failed"
            if parent is not None:
                parent.record_failure(row)


def _by_threads(
    call: SweepCall, launch: Launch, rows: Sequence[Row], earlier: Sequence[StoredRun]
) -> dict[int | None, list[Row]]:
    """Return jobs by the number of threads that they need: None leaves it to the workers.

    A job that was interrupted goes on with as many as it began with, or its last digits would be others.
    """
    crew, trainer = launch.crew, call.plan.settings.trainer
    if crew is None or not rows:
        return {None: list(rows)} if rows else {}
    begun = call.interrupted(earlier) if call.how.reuse else {}
    runs = {run.run_id: run for run in earlier}
    found: dict[int | None, list[Row]] = {None: []}
    for row in rows:
        count = None
        if row.key in begun and trainer.threads is None and threads.told() is None:
            with contextlib.suppress(SettingsError):
                recorded = runs[begun[row.key]].environment().get("threads")
                count = threads.recorded_count(recorded, trainer.backend or backends.DEFAULT)
        found.setdefault(None if count == (crew.threads or threads.usable_cpus()) else count, []).append(row)
    return {count: some for count, some in found.items() if some}


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
    """Give up for jobs whose process has died: others note it themselves."""
    left = failures_left(call.how, rows)
    if left is not None and left < 0:
        failures = sum(row.outcome == "failed" and not row.reused for row in rows)
        events.give_up(call.folder, f"{failures} jobs failed")
