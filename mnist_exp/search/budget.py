"""The budget of a search: `sweep.budget_epochs` and `sweep.budget_s`, of all its trials, in all calls and processes.

What a trial has spent stands in the study, which all that share the search see. So no process needs to count: each
looks before it starts a trial. Trials that run end, and one starts only while

- the epochs that are spent, and those that running trials may still take, are fewer than `budget_epochs`. So at most
  one trial's epochs less one are spent beyond it. Where only the running ones stand against another trial, it waits:
  they may be stopped early;
- the seconds of training that are spent are fewer than `budget_s`. What the running ones take from then on is beyond.

Results of earlier sweeps, and jobs that were done before, cost nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mnist_exp.config.schema import SweepSettings
from mnist_exp.search.attributes import FROM, SPENT, is_interrupted

if TYPE_CHECKING:
    import optuna

_EPOCHS = "trainer.epochs"
State = Literal["open", "wait", "over"]


@dataclass(frozen=True)
class Spent:
    """What trials have spent.

    Args:
        epochs: trained, also of trials that were stopped or failed.
        seconds: of these epochs.
    """

    epochs: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        """Return what both have spent."""
        return Spent(self.epochs + other.epochs, self.seconds + other.seconds)

    def has_reached(self, how: SweepSettings) -> bool:
        """Tell whether the budget is spent."""
        return (how.budget_epochs is not None and self.epochs >= how.budget_epochs) or (
            how.budget_s is not None and self.seconds >= how.budget_s
        )


def note_epoch(trial: "optuna.Trial", seconds: float) -> None:
    """Note in a trial that it has trained an epoch, which took these seconds."""
    epochs, so_far = trial.user_attrs.get(SPENT, (0, 0.0))
    trial.set_user_attr(SPENT, [epochs + 1, so_far + seconds])


def spent(trials: "Iterable[optuna.trial.FrozenTrial]") -> Spent:
    """Return what trials have spent so far."""
    return sum(map(of, trials), Spent())


def state(now: Spent, running: "Iterable[optuna.trial.FrozenTrial]", how: SweepSettings, epochs: int) -> State:
    """Tell whether one more trial may start: now, perhaps once others have ended, or not at all.

    Args:
        now: what is spent.
        running: trials that may still spend.
        how: the options `sweep.*`.
        epochs: of the longest trial.
    """
    if now.has_reached(how):
        return "over"
    if how.budget_epochs is None:
        return "open"
    reserved = sum(_left(trial, epochs) for trial in running)
    return "open" if now.epochs + reserved < how.budget_epochs else "wait"


def of(trial: "optuna.trial.FrozenTrial") -> Spent:
    """Return what one trial has spent so far."""
    if SPENT in trial.user_attrs:
        epochs, seconds = trial.user_attrs[SPENT]
        return Spent(int(epochs), float(seconds))
    # Trials of before it was noted have a value for each epoch, which is that of another trial where it was resumed.
    if not trial.state.is_finished() or is_interrupted(trial) or FROM in trial.user_attrs:
        return Spent()
    return Spent(len(trial.intermediate_values), trial.duration.total_seconds() if trial.intermediate_values else 0.0)


def _left(trial: "optuna.trial.FrozenTrial", epochs: int) -> int:
    """Return how many epochs a running trial may still take."""
    planned = trial.params.get(_EPOCHS, epochs)
    return max(int(planned) - max(trial.intermediate_values, default=0), 0)
