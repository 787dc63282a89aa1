"""What a free worker does next: the one place that decides it.

`STEPS` are asked in their order, and the first that has something to do is taken: it starts a trial in this process
and returns it, or None if it has nothing to do. What two processes may start at the same time is for `Study.claim` to
see: it gives one of them back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnist_exp.config.schema import SweepSettings
from mnist_exp.search import attributes, distributions, seeds
from mnist_exp.search.space import Axis

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Situation:
    """What a step can look at.

    Args:
        study: opened.
        axes: the options that are searched.
        settings: the options `sweep.*`.
        has_room: whether one more trial may be started. What does not count as one more (`Study.left`) need not ask.
        seeds: that a point may be tried with, in this order; empty if there is one only.
    """

    study: "optuna.Study"
    axes: tuple[Axis, ...]
    settings: SweepSettings
    has_room: bool
    seeds: tuple[int, ...] = ()


def begin(now: Situation) -> "optuna.Trial | None":
    """Start what is to be done next in this process; None if there is nothing to do."""
    for step in STEPS:
        if (trial := step(now)) is not None:
            return trial
    return None


def interrupted(now: Situation) -> "optuna.Trial | None":
    """Go on with a trial whose process was stopped or has died."""
    from optuna.trial import TrialState

    if not now.has_room:
        return None
    for waiting in now.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        if attributes.goes_on(waiting) and (trial := _taken(now, waiting)) is not None:
            return trial
    return None


def another_seed(now: Situation) -> "optuna.Trial | None":
    """Try a promising point with another seed."""
    if not now.has_room or not now.seeds:
        return None
    # One may wait already, whose process was stopped before it began.
    while waiting := seeds.waiting(now.study) or seeds.queued(now.study, now.seeds, now.settings):
        if (trial := _taken(now, waiting)) is not None:
            return trial
    return None


def new_point(now: Situation) -> "optuna.Trial | None":
    """Try values that were queued, or else new ones of the sampler."""
    if not now.has_room:
        return None
    trial = now.study.ask()
    distributions.suggest(trial, now.axes)
    return trial


def _taken(now: Situation, waiting: "optuna.trial.FrozenTrial") -> "optuna.Trial | None":
    """Start a trial that waits, with the values that it has; None if another process was quicker.

    Optuna's `ask` starts the first that waits, whichever that is.
    """
    import optuna

    study = now.study
    try:
        if not study._storage.set_trial_state_values(waiting._trial_id, state=optuna.trial.TrialState.RUNNING):
            return None
    except optuna.exceptions.UpdateFinishedTrialError:
        return None
    trial = optuna.Trial(study, waiting._trial_id)
    distributions.suggest(trial, now.axes)
    return trial


STEPS: "Sequence[Callable[[Situation], optuna.Trial | None]]" = (interrupted, another_seed, new_point)
