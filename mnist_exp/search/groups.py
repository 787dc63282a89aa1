"""The trials of a search, each of which may be several of Optuna's: the first, and those that went on with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnist_exp.search import attributes
from mnist_exp.search.rungs import Standing

if TYPE_CHECKING:
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
        """Its (first) objective in the end, or where it was stopped; None if it has no result."""
        if self.standing.is_paused:
            return self.standing.values.get(self.standing.epoch)
        # The first of several; Optuna's own `value` raises an error there.
        return self.latest.values[0] if self.standing.is_done else None

    @property
    def run_id(self) -> str | None:
        """The id of its run; None if it has none."""
        found: str | None = self.latest.user_attrs.get(attributes.RUN) or attributes.begun_run(self.latest)
        return found


def of(number: int, trials: "Sequence[FrozenTrial]") -> Group:
    """Return a trial of a search.

    Args:
        number: of it.
        trials: those of Optuna that it consists of, oldest first.
    """
    values = {step: value for trial in trials for step, value in trial.intermediate_values.items()}
    state = Group(trials, Standing(number, values)).latest.state.name
    return Group(trials, Standing(number, values, state == "PRUNED", state == "COMPLETE"))
