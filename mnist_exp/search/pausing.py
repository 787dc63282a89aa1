"""The trials of a study as `rungs` sees them: which are paused, and who may go on with them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_exp.search import attributes
from mnist_exp.search.attributes import FINISHES
from mnist_exp.search.rungs import Rungs, Standing
from mnist_exp.tracking import run_folder

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class Group:
    """All of Optuna's trials that are one trial of the search: the first, and those that went on with it.

    Args:
        trials: of it, the latest last; none that was given back before it began.
        standing: how far it is.
    """

    trials: "Sequence[FrozenTrial]"
    standing: Standing

    @property
    def begun(self) -> "list[FrozenTrial]":
        """Those of its trials that were not interrupted."""
        return [each for each in self.trials if not attributes.is_interrupted(each)]

    @property
    def latest(self) -> "FrozenTrial":
        """The trial that says what has become of it: the last that was not interrupted."""
        return (self.begun or self.trials)[-1]

    @property
    def is_open(self) -> bool:
        """Whether it runs, or waits for a process that goes on with it."""
        return not self.latest.state.is_finished()

    @property
    def value(self) -> float | None:
        """Its objective in the end, or where it was stopped; None if it has no result."""
        if self.standing.is_paused:
            return self.standing.values.get(self.standing.epoch)
        return self.latest.value if self.standing.is_done else None

    @property
    def run_id(self) -> str | None:
        """The id of its run; None if it has none."""
        found: str | None = self.latest.user_attrs.get(attributes.RUN) or attributes.begun_run(self.latest)
        return found


def groups(trials: "Sequence[FrozenTrial]") -> list[Group]:
    """Return the trials of a search by their number.

    Args:
        trials: of the study, all of them, oldest first.
    """
    by_number: dict[int, list[FrozenTrial]] = {}
    for trial in trials:
        if attributes.FROM in trial.user_attrs or attributes.REPEATS in trial.user_attrs:
            continue  # It has no run of this search.
        by_number.setdefault(attributes.number(trial), []).append(trial)
    found = []
    for number, each in by_number.items():
        values = {step: value for trial in each for step, value in trial.intermediate_values.items()}
        group = Group(each, Standing(number, values))
        state = group.latest.state.name
        standing = Standing(number, values, state == "PRUNED", state == "COMPLETE")
        found.append(Group(each, standing))
    return found


def promotable(study: "optuna.Study", rungs: Rungs, unfinished: Path, *, may_be_last: bool) -> list[Group]:
    """Return the paused trials that deserve to go on, and can on this machine: what is to be done first comes first.

    Args:
        study: opened.
        rungs: of the search.
        unfinished: the folder of all unfinished runs.
        may_be_last: whether no new trial will be started.
    """
    known = groups(study.get_trials(deepcopy=False))
    found = {group.standing.number: group for group in known}
    is_last = may_be_last and not any(group.is_open for group in known)

    def can_go_on(trial: Standing) -> bool:
        return is_kept(unfinished, found[trial.number].run_id)

    chosen = rungs.promotable([group.standing for group in known], is_last=is_last, can_go_on=can_go_on)
    return [found[trial.number] for trial in chosen]


def to_finish(study: "optuna.Study", count: int, unfinished: Path, *, maximizes: bool) -> list[Group]:
    """Return the paused trials among the best of a search that is over, which are to see all epochs after all.

    Args:
        study: opened.
        count: how many of the best trials are to.
        unfinished: the folder of all unfinished runs.
        maximizes: whether a larger objective is better.
    """
    known = groups(study.get_trials(deepcopy=False))
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
