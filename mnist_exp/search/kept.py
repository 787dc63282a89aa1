"""The checkpoints that a search keeps of trials that have ended, since it may go on with them; the others are removed.

While the search goes on, these are of the paused trials nearest to a promotion (`sweep.keep_paused`), and of the best
trials, paused or not (`sweep.finish_best`). When it is over, only of the best. Each machine keeps its own.
"""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnist_exp.errors import SettingsError
from mnist_exp.search import attributes, ledger, pausing
from mnist_exp.search.groups import Group
from mnist_exp.search.study import Study
from mnist_exp.tracking import run_folder
from mnist_exp.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    import optuna

BEST = 3  # of a search that pauses trials: `sweep.finish_best` may be said later.


def trim(search: Study, opened: "optuna.Study", *, is_over: bool = False) -> list[str]:
    """Remove the checkpoints that are not wanted any more, and return the ids of the runs whose checkpoints stay here.

    Args:
        search: that the trials belong to.
        opened: its study.
        is_over: whether no trial will be promoted any more.
    """
    groups = ledger.read(opened).groups
    here = {
        group.run_id: group
        for group in groups
        if not group.is_open and group.run_id is not None and pausing.is_kept(search.unfinished, group.run_id)
    }
    wanted = _wanted(search, [*here.values()], groups, is_over=is_over)
    for run_id, group in here.items():
        if run_id not in wanted:
            _remove(search, opened, run_id, group.standing.number)
    return sorted(wanted)


def remove_sources(search: Study, opened: "optuna.Study") -> None:
    """Remove the checkpoints of shorter runs from which those of this search have started, and which are done."""
    for trial in opened.get_trials(deepcopy=False):
        source = trial.user_attrs.get(attributes.STARTS)
        if source is not None and trial.state.name == "COMPLETE" and pausing.is_kept(search.unfinished, source):
            folder = RunFolder(search.unfinished / run_folder.checked_run_id(source))
            with contextlib.suppress(SettingsError):  # Another process is at it.
                folder.claim()
                folder.remove()


def _wanted(search: Study, here: Sequence[Group], groups: Sequence[Group], *, is_over: bool) -> set[str]:
    how, rungs = search.settings, search.rungs
    count = how.finish_best or (BEST if rungs is not None else 0)
    best = {group.standing.number for group in pausing.best(groups, maximizes=search.maximizes)[:count]}
    if rungs is not None and not is_over:
        nearest = rungs.nearest_first([group.standing for group in here])
        best |= {trial.number for trial in nearest[: how.keep_paused]}
    return {group.run_id for group in here if group.run_id is not None and group.standing.number in best}


def _remove(search: Study, opened: "optuna.Study", run_id: str, number: int) -> None:
    folder = RunFolder(search.unfinished / run_folder.checked_run_id(run_id))
    try:
        folder.claim()
    except SettingsError:  # Another process goes on with it.
        return
    # First the mark, then a look: who goes on with a trial says so first, and looks at the mark then.
    folder.keep(wanted=False)
    again = ledger.read(opened).groups
    if any(group.standing.number == number and group.is_open for group in again):
        folder.keep(wanted=True)
        folder.release()
    else:
        folder.remove()
