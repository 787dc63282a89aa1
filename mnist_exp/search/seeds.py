"""The seeds of a search's trials: what its study tells of the race, and the trial that is the next step of it."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from mnist_exp.config.schema import SweepSettings
from mnist_exp.search import attributes, budget
from mnist_exp.search.race import Race

if TYPE_CHECKING:
    import optuna


def waiting(study: "optuna.Study") -> "optuna.trial.FrozenTrial | None":
    """Return a trial with another seed that no process has begun; None if there is none."""
    from optuna.trial import TrialState

    found = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return next((trial for trial in found if attributes.SEED in trial.user_attrs), None)


def queued(study: "optuna.Study", seeds: Sequence[int], how: SweepSettings) -> "optuna.trial.FrozenTrial | None":
    """Queue the next step of the race, and return its trial; None if a new point is due.

    Args:
        study: opened.
        seeds: that a point may be tried with, in this order.
        how: the options `sweep.*`.
    """
    trials = study.get_trials(deepcopy=False)
    if any(trial.state.name == "WAITING" and attributes.SEED not in trial.user_attrs for trial in trials):
        return None  # A point that was asked for goes before the race.
    begun = sum(trial.state.name != "WAITING" and attributes.counts(trial) for trial in trials)
    total = max(_total(trials, how), begun)
    step = of_study(study, seeds).next(total, total - begun)
    if step is None:
        return None
    point, seed = step
    study.enqueue_trial(dict(_values(trials, point)), user_attrs={attributes.SEED: seed})
    return waiting(study)


def of_study(study: "optuna.Study", seeds: Sequence[int]) -> Race:
    """Return the race as it stands.

    Args:
        study: opened.
        seeds: that a point may be tried with, in this order.
    """
    done: dict[Hashable, dict[int, float]] = {}
    begun: set[tuple[Hashable, int]] = set()
    lost: set[tuple[Hashable, int]] = set()
    for trial in study.get_trials(deepcopy=False):
        if not attributes.counts(trial) and not attributes.is_promoted(trial):
            continue
        seed, point = seed_of(trial, seeds), point_of(trial)
        if trial.state.name == "COMPLETE":
            done.setdefault(point, {})[seed] = float(trial.values[0])
        elif trial.state.is_finished():
            lost.add((point, seed))
        elif trial.params or attributes.SEED in trial.user_attrs:  # Not one that is just being drawn.
            begun.add((point, seed))
    begun = {(point, seed) for point, seed in begun if seed not in done.get(point, ())}
    lost = {(point, seed) for point, seed in lost - begun if seed not in done.get(point, ())}
    maximizes = study.directions[0].name == "MAXIMIZE"
    return Race(seeds, done, frozenset(begun), frozenset(lost), maximizes)


def seed_of(trial: "optuna.Trial | optuna.trial.FrozenTrial", seeds: Sequence[int]) -> int:
    """Return the seed of a trial: the first, unless it names another."""
    return int(trial.user_attrs.get(attributes.SEED, seeds[0]))


def point_of(trial: "optuna.trial.FrozenTrial") -> Hashable:
    """Return the values of a trial; of one that waits, those it will have."""
    return tuple(sorted((trial.params or trial.system_attrs.get(attributes.FIXED, {})).items()))


def is_taken(earlier: "Sequence[optuna.trial.FrozenTrial]", trial: "optuna.trial.FrozenTrial") -> bool:
    """Tell whether an earlier trial tries the same point with the same other seed: another process was quicker."""
    seed = trial.user_attrs.get(attributes.SEED)
    return (
        seed is not None
        and attributes.counts(trial)
        and any(
            other.user_attrs.get(attributes.SEED) == seed
            and attributes.counts(other)
            and point_of(other) == point_of(trial)
            for other in earlier
        )
    )


def _total(trials: "Sequence[optuna.trial.FrozenTrial]", how: SweepSettings) -> int:
    """Return how many trials there will be, as far as those tell that have ended and spent of the budget."""
    ended = sum(trial.state.is_finished() and attributes.counts(trial) for trial in trials)
    spent = budget.spent(trials)
    totals = [how.n_trials]
    for limit, of in ((how.budget_epochs, spent.epochs), (how.budget_s, spent.seconds)):
        if limit is not None and of > 0:
            totals.append(int(ended * limit / of))
    return min(totals)


def _values(trials: "Sequence[optuna.trial.FrozenTrial]", point: Hashable) -> dict[str, object]:
    return next(trial.params for trial in trials if trial.params and point_of(trial) == point)
