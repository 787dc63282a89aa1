"""What is known of the trials of a study: those that have ended change no more, so each of them is looked at once.

Whoever asks for a trial has to know how many were begun, and what was tried. With 10,000 trials in a study that took
most of the time of an ask, in each process and for each trial (benchmarks/replay_asks.py).
"""

import bisect
from collections.abc import Hashable, Mapping, Sequence, Set
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from mnist_exp.search import attributes, budget, groups
from mnist_exp.search.groups import Group

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

_of_storage: "WeakKeyDictionary[optuna.storages.BaseStorage, dict[int, Ledger]]" = WeakKeyDictionary()


class Ledger:
    """The trials of a study, as they were when it was last read: see `read`.

    `trials` are all of them; `open` those that wait or run; `ended` the numbers of those that ended with a result, or
    were stopped early.
    """

    def __init__(self) -> None:
        self.trials: Sequence[FrozenTrial] = ()
        self.open: list[FrozenTrial] = []
        self._looked_at = 0
        self._counted = 0
        self._tried: dict[tuple[Hashable, int | None], list[FrozenTrial]] = {}
        self.ended: list[int] = []
        self._surpassed: set[int] = set()
        self._last: dict[int, int] = {}
        self._by_value: list[tuple[float, int]] = []
        self._parts: dict[int, list[int]] = {}
        self._groups: dict[int, Group] = {}
        self._changed: dict[int, None] = {}
        self._spent = budget.Spent()
        self._results: dict[Hashable, dict[int | None, float]] = {}
        self._lost: set[tuple[Hashable, int | None]] = set()

    @property
    def started(self) -> int:
        """How many trials count as begun; interrupted ones, and those of other sweeps, do not."""
        return self.counted - sum(attributes.counts(each) for each in self.waiting)

    @property
    def counted(self) -> int:
        """How many trials count, begun or not."""
        return self._counted + sum(attributes.counts(each) for each in self.open)

    @property
    def counted_ended(self) -> int:
        """How many trials count and have ended."""
        return self._counted

    def spent(self, before: int | None = None) -> budget.Spent:
        """Return what all trials have spent so far, or those before a number."""
        later = budget.spent(self.trials[before:] if before is not None else ())
        now = self._spent + budget.spent(self.open)
        return budget.Spent(now.epochs - later.epochs, now.seconds - later.seconds)

    @property
    def waiting(self) -> "list[FrozenTrial]":
        """The trials that no process has begun."""
        return [each for each in self.open if each.state.name == "WAITING"]

    def running(self, before: int | None = None) -> "list[FrozenTrial]":
        """Return the trials that run, or those before a number."""
        some = self.open if before is None else [each for each in self.open if each.number < before]
        return [each for each in some if each.state.name == "RUNNING"]

    @property
    def results(self) -> Mapping[Hashable, Mapping[int | None, float]]:
        """Of each point its first objective by seed; the seed is None where a trial names none."""
        return self._results

    @property
    def lost(self) -> Set[tuple[Hashable, int | None]]:
        """Pairs of point and seed of which a trial ended without a result; another one may have one."""
        return self._lost

    def tried(self, like: "optuna.Trial | FrozenTrial") -> "list[FrozenTrial]":
        """Return the trials of lower numbers that have the values and the seed of this one, and were not given back."""
        key = _key(like)
        ended = self._tried.get(key, [])
        running = [each for each in self.open if each.params and _key(each) == key]
        return [each for each in (*ended, *running) if each.number < like.number]

    @property
    def points(self) -> set[Hashable]:
        """What was tried, or is being tried, with whatever seed: the items of its values."""
        running = {frozenset(each.params.items()) for each in self.open if each.params}
        return running | {point for point, _ in self._tried}

    @property
    def groups(self) -> list[Group]:
        """The trials of the search: those of other sweeps, and repeats, have no run of this search."""
        return list(self.by_number.values())

    @property
    def by_number(self) -> Mapping[int, Group]:
        """The same, by their numbers."""
        for number in self._changed:
            parts = [self.trials[place] for place in self._parts[number]]
            if parts := [each for each in parts if not {attributes.FROM, attributes.REPEATS} & each.user_attrs.keys()]:
                self._groups[number] = groups.of(number, parts)
            else:
                self._groups.pop(number, None)
        self._changed.clear()
        return self._groups

    def is_shown(self, trial: "FrozenTrial") -> bool:
        """Tell whether a trial says most of what it is a part of, so that each trial of a search is shown once.

        One that goes on with an earlier one says nothing until it ends.
        """
        if trial.state.is_finished():
            return trial.number not in self._surpassed
        return bool(self._last.get(attributes.number(trial), trial.number) == trial.number)

    def best(self, count: int, *, maximizes: bool) -> list[int]:
        """Return the numbers of the best of those that came to their end, by their first objective."""
        some = self._by_value[-count:] if maximizes else self._by_value[:count]
        return [number for _, number in some]

    def update(self, trials: "Sequence[FrozenTrial]") -> None:
        """Look at the trials of a study: at those that are new, and at those that were open."""
        self.trials = trials
        new = range(self._looked_at, len(trials))
        numbers = [*(each.number for each in self.open), *new]
        self.open, self._looked_at = [], len(trials)
        for place in new:
            self._parts.setdefault(attributes.number(trials[place]), []).append(place)
        for trial in map(trials.__getitem__, numbers):
            self._changed[attributes.number(trial)] = None
            if not trial.state.is_finished():
                self.open.append(trial)
                continue
            self._counted += attributes.counts(trial)
            self._spent += budget.of(trial)
            self._note_result(trial)
            if (state := trial.state.name) != "FAIL":
                self.ended.append(trial.number)
                number = attributes.number(trial)
                if (before := self._last.get(number)) is not None:
                    self._surpassed.add(min(before, trial.number))
                self._last[number] = max(before or 0, trial.number)
            if state == "COMPLETE":
                bisect.insort(self._by_value, (trial.values[0], trial.number))
            if trial.params and not attributes.is_interrupted(trial) and attributes.FROM not in trial.user_attrs:
                self._tried.setdefault(_key(trial), []).append(trial)

    def _note_result(self, trial: "FrozenTrial") -> None:
        if not attributes.counts(trial) and not attributes.is_promoted(trial):
            return
        point, seed = attributes.point(trial), trial.user_attrs.get(attributes.SEED)
        if trial.state.name == "COMPLETE":
            self._results.setdefault(point, {})[seed] = float(trial.values[0])
        else:
            self._lost.add((point, seed))


def read(study: "optuna.Study") -> Ledger:
    """Return the ledger of a study, which now knows all its trials, also those that the study is made not to show."""
    # Optuna has no public way to ask for what a study does not show.
    storage, study_id = study._storage, study._study_id
    ledger = _of_storage.setdefault(storage, {}).setdefault(study_id, Ledger())
    ledger.update(storage.get_all_trials(study_id, deepcopy=False))
    return ledger


def _key(trial: "optuna.Trial | FrozenTrial") -> tuple[Hashable, int | None]:
    return frozenset(trial.params.items()), trial.user_attrs.get(attributes.SEED)
