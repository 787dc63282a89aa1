"""Which trials of a search go on at a rung: asynchronous successive halving with trials that are paused (ASHA).

A rung is a number of epochs: `first`, 3 times that, 9 times that, …, while a third of a trial's epochs or more are
still to come; to pause it for less saves nothing. A trial that reaches a rung goes on if it is among the best third of
all that have reached it so far. If not, it is paused there, and it is promoted once it is among the best third after
all, since more trials came.

Nothing is remembered: who is to be promoted follows from the trials' values alone, so any number of processes decide
alike. Nothing here knows of Optuna, a disk or a training, so recorded curves can be replayed with it.

Source: Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", arXiv:1810.05934, algorithm 2.
Two things differ. A trial that is among the best third as it arrives runs on without a stop. And when no other trial
will come and none has seen all epochs, the best one of the highest rung goes on, though fewer than three are there:
else a small search would end without a result.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

FACTOR = 3


@dataclass(frozen=True)
class Standing:
    """How far a trial has come.

    Args:
        number: of the trial in its search.
        values: its objective after each epoch, from 1.
        is_paused: whether it was stopped at the last of these epochs, and may go on from there.
        is_done: whether it has come to its end.
    """

    number: int
    values: Mapping[int, float]
    is_paused: bool = False
    is_done: bool = False

    @property
    def epoch(self) -> int:
        """The last epoch that it has a value of; 0 if there is none."""
        return max(self.values, default=0)


@dataclass(frozen=True)
class Rungs:
    """The rungs of a search.

    Args:
        first: epochs that every trial gets.
        epochs: of a trial that is never stopped.
        maximizes: whether a larger objective is better.
    """

    first: int
    epochs: int
    maximizes: bool

    @property
    def at(self) -> tuple[int, ...]:
        """The number of epochs of each rung; the first is always one, if any epochs come after it."""
        found: list[int] = []
        epoch = self.first
        while epoch < self.epochs and (not found or FACTOR * (self.epochs - epoch) >= self.epochs):
            found.append(epoch)
            epoch *= FACTOR
        return tuple(found)

    def runs_on(self, trials: Sequence[Standing], number: int, epoch: int) -> bool:
        """Tell whether a trial goes on after an epoch that it has just ended; always where there is no rung.

        Args:
            trials: all of the search, this one with its value of that epoch.
            number: of this trial.
            epoch: that it has just ended.
        """
        if epoch not in self.at:
            return True
        return number in {trial.number for trial in self._best_third(trials, epoch)}

    def promotable(
        self,
        trials: Sequence[Standing],
        *,
        is_last: bool = False,
        can_go_on: Callable[[Standing], bool] | None = None,
    ) -> list[Standing]:
        """Return the paused trials that deserve to go on: those of the highest rung first, of each rung the best first.

        Args:
            trials: all of the search.
            is_last: whether no other trial runs or will come.
            can_go_on: tells whether what a paused trial goes on from is still there. Nobody takes the place of one
                that cannot go on.
        """
        is_there = can_go_on or bool

        def waiting(some: Sequence[Standing], epoch: int) -> list[Standing]:
            return [trial for trial in some if self._waits_at(trial, epoch) and is_there(trial)]

        highest_first = self.at[::-1]
        found = [trial for epoch in highest_first for trial in waiting(self._best_third(trials, epoch), epoch)]
        if is_last and not found and not any(trial.is_done for trial in trials):
            at_each = (waiting(self._best_first(trials, epoch), epoch) for epoch in highest_first)
            return next((those[:1] for those in at_each if those), [])
        return found

    def nearest_first(self, trials: Sequence[Standing]) -> list[Standing]:
        """Return the paused trials, those nearest to a promotion first: by their rank among all that reached the rung.

        Of equal ones the one that has seen more epochs comes first.
        """
        ranks = {}
        for epoch in self.at:
            reached = self._best_first(trials, epoch)
            for rank, trial in enumerate(reached):
                if self._waits_at(trial, epoch):
                    ranks[trial.number] = (rank / len(reached), -epoch, trial.number)
        return sorted((trial for trial in trials if trial.number in ranks), key=lambda trial: ranks[trial.number])

    def _best_third(self, trials: Sequence[Standing], epoch: int) -> list[Standing]:
        return self._best_first(trials, epoch, share=FACTOR)

    def _best_first(self, trials: Sequence[Standing], epoch: int, *, share: int = 1) -> list[Standing]:
        """Return the trials that have reached a rung, or the best third of them if `share` is 3, and so on.

        Of equal ones the earlier comes first, and NaN comes last.
        """
        reached = [trial for trial in trials if epoch in trial.values]
        values = np.array([trial.values[epoch] for trial in reached], float) * (-1 if self.maximizes else 1)
        # By the last of these first: NaN last, then by the value, then by the number. NumPy sorts thousands faster.
        order = np.lexsort((np.array([trial.number for trial in reached], int), values, np.isnan(values)))
        return [reached[place] for place in order[: len(reached) // share]]

    @staticmethod
    def _waits_at(trial: Standing, epoch: int) -> bool:
        return trial.is_paused and trial.epoch == epoch and not math.isnan(trial.values[epoch])
