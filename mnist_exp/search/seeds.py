"""The seeds of a search's trials: what its study tells of the race, and the trial that is the next step of it."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from mnist_exp.config.schema import SweepSettings
from mnist_exp.search import attributes, ledger
from mnist_exp.search.ledger import Ledger
from mnist_exp.search.race import Race

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial


def waiting(known: Ledger) -> "FrozenTrial | None":
    """Return a trial with another seed that no process has begun; None if there is none."""
    return next((trial for trial in known.waiting if attributes.SEED in trial.user_attrs), None)


def queued(study: "optuna.Study", known: Ledger, seeds: Sequence[int], how: SweepSettings) -> "FrozenTrial | None":
    """Queue the next step of the race, and return its trial; None if a new point is due.

    Args:
        study: opened.
        known: its trials.
        seeds: that a point may be tried with, in this order.
        how: the options `sweep.*`.
    """
    if any(attributes.SEED not in trial.user_attrs for trial in known.waiting):
        return None  # A point that was asked for goes before the race.
    begun = known.started
    total = max(_total(known, how), begun)
    step = of_study(study, known, seeds).next(total, total - begun)
    if step is None:
        return None
    point, seed = step
    named = {} if seed is None else {attributes.SEED: seed}
    study.enqueue_trial(dict(_values(known, point)), user_attrs=named)
    return waiting(ledger.read(study))


def of_study(study: "optuna.Study", known: Ledger, seeds: Sequence[int]) -> Race:
    """Return the race as it stands.

    Args:
        study: opened.
        known: its trials.
        seeds: that a point may be tried with, in this order.
    """
    begun = {
        (attributes.point(trial), trial.user_attrs.get(attributes.SEED))
        for trial in known.open
        if attributes.counts(trial) or attributes.is_promoted(trial)
        if trial.params or attributes.SEED in trial.user_attrs  # Not one that is just being drawn.
    }
    done = known.results
    begun = {(point, seed) for point, seed in begun if seed not in done.get(point, ())}
    lost = {(point, seed) for point, seed in known.lost - begun if seed not in done.get(point, ())}
    # Trials do not name the first seed.
    return Race((None, *seeds[1:]), done, begun, lost, study.directions[0].name == "MAXIMIZE")


def seed_of(trial: "optuna.Trial | FrozenTrial", seeds: Sequence[int]) -> int:
    """Return the seed of a trial: the first, unless it names another."""
    return int(trial.user_attrs.get(attributes.SEED, seeds[0]))


def is_taken(earlier: "Sequence[FrozenTrial]", trial: "FrozenTrial") -> bool:
    """Tell whether an earlier trial tries the same point with the same other seed: another process was quicker."""
    seed = trial.user_attrs.get(attributes.SEED)
    return (
        seed is not None
        and attributes.counts(trial)
        and any(
            other.user_attrs.get(attributes.SEED) == seed
            and attributes.counts(other)
            and attributes.point(other) == attributes.point(trial)
            for other in earlier
        )
    )


def _total(known: Ledger, how: SweepSettings) -> int:
    """Return how many trials there will be, as far as those tell that have ended and spent of the budget."""
    spent = known.spent()
    totals = [how.n_trials]
    for limit, of in ((how.budget_epochs, spent.epochs), (how.budget_s, spent.seconds)):
        if limit is not None and of > 0:
            totals.append(int(known.counted_ended * limit / of))
    return min(totals)


def _values(known: Ledger, point: Hashable) -> dict[str, object]:
    return next(trial.params for trial in known.trials if trial.params and attributes.point(trial) == point)
