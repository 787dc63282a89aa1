"""What this package notes in Optuna's trials: whose they are, their run, and which earlier trial they go on with."""

from collections.abc import Hashable
from typing import TYPE_CHECKING

from mnist_exp.tracking import names

if TYPE_CHECKING:
    import optuna

PROCESS, RUN, RESUMES = names.PROCESS, "mnist_exp.run_id", "mnist_exp.goes_on_with"
INTERRUPTED, NUMBER = "mnist_exp.interrupted", "mnist_exp.number"
FROM = "mnist_exp.from_sweep"  # Of a result of an earlier sweep: its run there.
FIRST = "mnist_exp.try_first"  # The values that were to be tried first, of the trial that was queued for them.
SEED = "mnist_exp.seed"  # Of a trial that tries a point with another seed than the first.
SPENT = "mnist_exp.spent"  # Of a trial: epochs that it trained itself, and their seconds.
PROMOTED = "mnist_exp.promoted"  # The epoch at which the trial had been paused that this one goes on with.
LOST = "mnist_exp.lost"  # How many processes in a row have died at it while its search went on, and its epochs then.
FINISHES = "mnist_exp.finishes"  # Of a promoted trial that goes on to its last epoch, whatever others come to.
STARTS = "mnist_exp.starts_from"  # The run, of a search of fewer epochs, that the run of this trial starts from.
REPEATS = "mnist_exp.repeats"  # Of a trial whose values were drawn again: nothing was trained.
CARRIED = (PROMOTED, LOST, SEED, FINISHES, STARTS)  # A trial that goes on with an interrupted one has them too.
FIXED = "fixed_params"  # Optuna's own, of a trial whose values were queued.


def note_run(trial: "optuna.Trial", run_id: str | None) -> None:
    """Store the id of a trial's run in the trial."""
    trial.set_user_attr(RUN, run_id)


def note(study: "optuna.Study", trial: "optuna.Trial | optuna.trial.FrozenTrial", name: str, value: object) -> None:
    """Store an attribute in a trial of another process."""
    # Optuna lets only the process that asked for a trial set its attributes.
    study._storage.set_trial_user_attr(trial._trial_id, name, value)


def number(trial: "optuna.Trial | optuna.trial.FrozenTrial") -> int:
    """Return the number of a trial in its search; one that goes on with an earlier trial has the number of that."""
    return int(trial.user_attrs.get(NUMBER, trial.number))


def begun_run(trial: "optuna.Trial | optuna.trial.FrozenTrial") -> str | None:
    """Return the id of the run that this trial resumes; None for a new trial."""
    run: str | None = trial.user_attrs.get(RESUMES)
    return run


def is_interrupted(trial: "optuna.trial.FrozenTrial") -> bool:
    """Tell whether a trial ended without a result, and does not count."""
    return bool(trial.user_attrs.get(INTERRUPTED))


def promoted_at(trial: "optuna.Trial | optuna.trial.FrozenTrial") -> int | None:
    """Return the epoch from which a promoted trial goes on; None if it is not promoted."""
    found = trial.user_attrs.get(PROMOTED)
    return None if found is None else int(found)


def is_promoted(trial: "optuna.Trial | optuna.trial.FrozenTrial") -> bool:
    """Tell whether a trial goes on, or went on, with one that was paused."""
    return PROMOTED in trial.user_attrs and INTERRUPTED not in trial.user_attrs


def point(trial: "optuna.trial.FrozenTrial") -> Hashable:
    """Return the values of a trial; of one that waits, those it will have."""
    return tuple(sorted((trial.params or trial.system_attrs.get(FIXED, {})).items()))


def counts(trial: "optuna.Trial | optuna.trial.FrozenTrial") -> bool:
    """Tell whether a trial is one of `sweep.n_trials`: what goes on with a paused one was counted when it began."""
    return not any(name in trial.user_attrs for name in (INTERRUPTED, PROMOTED, FROM, REPEATS))


def goes_on(trial: "optuna.trial.FrozenTrial") -> bool:
    """Tell whether a trial goes on with an earlier one."""
    return NUMBER in trial.user_attrs or RESUMES in trial.user_attrs
