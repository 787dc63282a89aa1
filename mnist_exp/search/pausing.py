"""Which paused trials of a study may go on: `rungs` decides, among those whose checkpoint is there."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_exp.search import ledger
from mnist_exp.search.attributes import FINISHES
from mnist_exp.search.groups import Group
from mnist_exp.search.rungs import Rungs, Standing
from mnist_exp.tracking import run_folder

if TYPE_CHECKING:
    import optuna


def promotable(study: "optuna.Study", rungs: Rungs, unfinished: Path, *, may_be_last: bool) -> list[Group]:
    """Return the paused trials that deserve to go on, and can on this machine: what is to be done first comes first.

    Args:
        study: opened.
        rungs: of the search.
        unfinished: the folder of all unfinished runs.
        may_be_last: whether no new trial will be started.
    """
    known = ledger.read(study).by_number
    is_last = may_be_last and not any(group.is_open for group in known.values())

    def can_go_on(trial: Standing) -> bool:
        return is_kept(unfinished, known[trial.number].run_id)

    standings = [group.standing for group in known.values()]
    return [known[trial.number] for trial in rungs.promotable(standings, is_last=is_last, can_go_on=can_go_on)]


def to_finish(study: "optuna.Study", count: int, unfinished: Path, *, maximizes: bool) -> list[Group]:
    """Return the paused trials among the best of a search that is over, which are to see all epochs after all.

    Args:
        study: opened.
        count: how many of the best trials are to.
        unfinished: the folder of all unfinished runs.
        maximizes: whether a larger objective is better.
    """
    known = ledger.read(study).groups
    chosen = [group for group in known if any(FINISHES in each.user_attrs for each in group.begun)]
    if any(group.is_open for group in known if group not in chosen):
        return []
    waiting = [each for each in best(known, maximizes=maximizes)[:count] if each.standing.is_paused]
    there = [each for each in waiting if each not in chosen and is_kept(unfinished, each.run_id)]
    return there[: max(count - len(chosen), 0)]


def best(known: Sequence[Group], *, maximizes: bool) -> list[Group]:
    """Return the trials that have ended with a result, by their objective at their last epoch, the best first."""
    sign = -1 if maximizes else 1
    valued = [(value, group) for group in known if (value := group.value) is not None and not math.isnan(value)]
    return [group for value, group in sorted(valued, key=lambda each: (sign * each[0], each[1].standing.number))]


def is_kept(unfinished: Path, run_id: str | None) -> bool:
    """Tell whether this machine has what a paused trial goes on from."""
    return run_id is not None and run_folder.is_kept(unfinished / run_id)
