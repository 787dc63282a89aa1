"""What a free worker does next: the one place that decides it.

`STEPS` are asked in their order, and the first that has something to do is taken: it starts a trial in this process
and returns it, or None if it has nothing to do. What two processes may start at the same time is for `Study.claim` to
see: it gives one of them back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_exp.config.schema import SweepSettings
from mnist_exp.runtime import processes
from mnist_exp.search import attributes, distributions, ledger, pausing, seeds
from mnist_exp.search.groups import Group
from mnist_exp.search.ledger import Ledger
from mnist_exp.search.rungs import Rungs
from mnist_exp.search.space import Axis

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Situation:
    """What a step can look at.

    Args:
        study: opened.
        known: its trials.
        axes: the options that are searched.
        settings: the options `sweep.*`.
        has_room: whether one more trial may be started. What does not count as one more (`Study.left`) need not ask.
        is_full: whether no further trial will ever be started.
        rungs: where trials are paused; None if they are not.
        unfinished: the folder of all unfinished runs.
        seeds: that a point may be tried with, in this order; empty if there is one only.
    """

    study: "optuna.Study"
    known: Ledger
    axes: tuple[Axis, ...]
    settings: SweepSettings
    has_room: bool
    is_full: bool
    rungs: Rungs | None
    unfinished: Path
    seeds: tuple[int, ...] = ()


def begin(now: Situation) -> "optuna.Trial | None":
    """Start what is to be done next in this process; None if there is nothing to do."""
    for step in STEPS:
        if (trial := step(now)) is not None:
            return trial
    return None


def interrupted(now: Situation) -> "optuna.Trial | None":
    """Go on with a trial whose process was stopped or has died."""
    for waiting in now.known.waiting:
        may_begin = now.has_room or not attributes.counts(waiting)
        if attributes.goes_on(waiting) and may_begin and (trial := _taken(now, waiting)) is not None:
            return trial
    return None


def paused(now: Situation) -> "optuna.Trial | None":
    """Go on with a paused trial that deserves it, and whose checkpoint this machine has."""
    found = _deserving(now)
    return _promoted(now, found[0]) if found else None


def finishing(now: Situation) -> "optuna.Trial | None":
    """Go on to the last epoch with a paused trial that is among the best, once the search is over."""
    found = _to_finish(now)
    return _promoted(now, found[0], finishes=True) if found else None


def paused_to_go_on(now: Situation) -> int:
    """Return how many paused trials this machine can go on with now."""
    return len(_deserving(now) or _to_finish(now))


def another_seed(now: Situation) -> "optuna.Trial | None":
    """Try a promising point with another seed."""
    if not now.has_room or not now.seeds:
        return None
    known = now.known
    # One may wait already, whose process was stopped before it began.
    while waiting := seeds.waiting(known) or seeds.queued(now.study, known, now.seeds, now.settings):
        if (trial := _taken(now, waiting)) is not None:
            return trial
        known = ledger.read(now.study)
    return None


def new_point(now: Situation) -> "optuna.Trial | None":
    """Try values that were queued, or else new ones of the sampler."""
    if not now.has_room:
        return None
    trial = now.study.ask()
    distributions.suggest(trial, now.axes)
    return trial


def _deserving(now: Situation) -> list[Group]:
    """Return the paused trials that deserve to go on, the first to go on first."""
    if now.rungs is None:
        return []
    return pausing.promotable(now.study, now.rungs, now.unfinished, may_be_last=now.is_full)


def _to_finish(now: Situation) -> list[Group]:
    """Return the paused trials among the best of a search that is over, the best first."""
    count = now.settings.finish_best
    if not count or not now.is_full:
        return []
    maximizes = now.study.directions[0].name == "MAXIMIZE"
    return pausing.to_finish(now.study, count, now.unfinished, maximizes=maximizes)


def _promoted(now: Situation, group: Group, *, finishes: bool = False) -> "optuna.Trial":
    """Start a trial that goes on with a paused one."""
    import optuna

    before, study = group.latest, now.study
    kept = {attributes.SEED: before.user_attrs[attributes.SEED]} if attributes.SEED in before.user_attrs else {}
    template = optuna.trial.create_trial(
        state=optuna.trial.TrialState.RUNNING,
        params=before.params,
        distributions=before.distributions,
        user_attrs={
            **kept,
            **({attributes.FINISHES: True} if finishes else {}),
            attributes.NUMBER: group.standing.number,
            attributes.RESUMES: group.run_id,
            attributes.PROMOTED: group.standing.epoch,
            attributes.PROCESS: processes.identify(),
        },
    )
    # Optuna has no public way to do it all at once. Without attributes, nobody would know what it goes on with.
    return optuna.Trial(study, study._storage.create_new_trial(study._study_id, template_trial=template))


def _taken(now: Situation, waiting: "optuna.trial.FrozenTrial") -> "optuna.Trial | None":
    """Start a trial that waits, with the values that it has; None if another process was quicker."""
    import optuna

    study = now.study
    try:
        # Optuna's `ask` starts the first that waits, whichever that is.
        if not study._storage.set_trial_state_values(waiting._trial_id, state=optuna.trial.TrialState.RUNNING):
            return None
    except optuna.exceptions.UpdateFinishedTrialError:
        return None
    trial = optuna.Trial(study, waiting._trial_id)
    distributions.suggest(trial, now.axes)
    return trial


STEPS: "Sequence[Callable[[Situation], optuna.Trial | None]]" = (
    interrupted,
    paused,
    another_seed,
    new_point,
    finishing,
)
