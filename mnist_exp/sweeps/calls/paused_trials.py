"""The paused trials of a search, as its sweep sees them: which may go on, and what is kept of them on disk."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_exp.errors import plural
from mnist_exp.search import attributes, kept, ledger, pausing
from mnist_exp.search.study import Study
from mnist_exp.sweeps.outcome.leaderboard import STOPPED, Row

if TYPE_CHECKING:
    import optuna


def mark(search: Study, rows: Iterable[Row]) -> None:
    """Call those paused, of the trials that were stopped early, that may go on here."""
    for row in rows:
        if row.outcome in STOPPED:
            may_go_on = search.rungs is not None and pausing.is_kept(search.unfinished, row.run_id)
            row.outcome = "paused" if may_go_on else "pruned"


def begun(search: Study, opened: "optuna.Study", rows: Sequence[Row]) -> list[Row]:
    """Return a row for each trial that was interrupted after its promotion, and waits to be gone on with.

    Args:
        search: whose trials they are.
        opened: its study.
        rows: those that there are: the run of one that was stopped as it was promoted is still what it was before.
    """
    known = {row.run_id for row in rows}
    groups = ledger.read(opened).groups
    waiting = [group for group in groups if group.is_open and group.latest.state.name == "WAITING"]
    return [
        Row("", run_id=group.run_id, planned_epochs=search.epochs, begun=True, trial=group.standing.number)
        for group in waiting
        if not attributes.counts(group.latest) and group.run_id not in known
    ]


def settle(search: Study, opened: "optuna.Study", rows: Iterable[Row], *, may_be_longer: bool) -> str:
    """Remove the checkpoints that are not wanted any more, as the sweep ends.

    Args:
        search: whose trials they are.
        opened: its study.
        rows: of all trials; what was stopped early and cannot go on is called pruned from now on.
        may_be_longer: whether its trainings may go on to more epochs than they had.
    Returns: what is kept and what for, in words; empty if nothing is.
    """
    if not search.unfinished.is_dir():  # Also without `sweep.keep_paused`, which an earlier call may have had.
        return ""
    groups = ledger.read(opened).groups
    is_over = not search.left(opened) and not any(group.is_open for group in groups) and not search.to_go_on(opened)
    run_ids = kept.trim(search, opened, is_over=is_over)
    kept.remove_sources(search, opened)
    mark(search, rows)
    if is_over:
        for row in rows:
            row.outcome = "pruned" if row.outcome == "paused" else row.outcome
    if not run_ids:
        return ""
    megabytes = sum(_size(search.unfinished / run_id) for run_id in run_ids) / 1e6
    what = f"{plural(len(run_ids), 'checkpoint')} ({megabytes:,.1f} MB in {search.unfinished})"
    if not is_over:
        return f"{what}: paused trials go on when the same command is given again"
    count, how = len(run_ids), search.settings
    on = (
        [f"sweep.finish_best={count} trainer.epochs={2 * search.epochs} goes on with the best"] if may_be_longer else []
    )
    if not may_be_longer and not how.finish_best and any(row.outcome == "pruned" for row in rows):
        on = [f"sweep.finish_best={count} goes on with those of the best that were stopped"]
    without = " without sweep.finish_best" if how.finish_best else ""
    return f"{what}: {'; '.join([*on, f'sweep.keep_paused=0{without} removes them'])}"


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("checkpoint-*"))
