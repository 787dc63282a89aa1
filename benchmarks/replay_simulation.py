"""The replay of a search on a table of recorded curves: workers that train one epoch at a time, in virtual time.

A method is asked by each free worker what to train next, and told each value as it would have come: in the order in
which the epochs of all workers end. What a method learns of a training is the curve of one seed, drawn for each
training; what its choice is worth is the mean over the seeds, which it never sees.
"""

import heapq
import itertools
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from curve_tables import Table


@dataclass
class Training:
    """A training that was begun: it can be gone on with.

    Args:
        cell: of the table.
        seed: index of the seed whose curve it follows.
        done: epochs trained.
        key: what the method knows it by.
    """

    cell: int
    seed: int
    done: int = 0
    key: Any = None


class Method(Protocol):
    """A way to search, that of a real library."""

    def start(self) -> Training | None:
        """Return what a free worker trains next, new or gone on with; None if it has to wait for another's result."""

    def report(self, training: Training, value: float) -> bool:
        """Take the value of an epoch, `training.done` of them by now, and return whether the training goes on."""

    def choose(self) -> int | None:
        """Return the cell that the method would give its user now; None if it has none yet."""


class Trainings:
    """Begins trainings, and draws the seed of each.

    Args:
        table: recorded curves.
        seed: of the draws.
    """

    def __init__(self, table: Table, seed: int) -> None:
        self.table, self._drawn = table, np.random.default_rng(seed)

    def begin(self, cell: int, key: Any = None) -> Training:
        """Return a new training of a cell."""
        return Training(cell, int(self._drawn.integers(self.table.seeds)), key=key)


@dataclass
class Outcome:
    """What came of one search.

    Args:
        spent: epochs trained, over all workers.
        better: (epochs spent, value seen, cell), each time that a value was better than all before.
        chosen: the cell that the method gives in the end; None if it gives none.
        seconds: virtual time until the last epoch ended; an epoch takes 1.
        asked: how often the method was asked, and the real seconds that this took in all.
    """

    spent: int = 0
    better: list[tuple[int, float, int]] = field(default_factory=list)
    chosen: int | None = None
    seconds: float = 0.0
    asked: tuple[int, float] = (0, 0.0)


def replay(method: Method, table: Table, workers: int, budget: int) -> Outcome:
    """Let a method search a table until its epochs are spent, or it has nothing more to train.

    Args:
        method: new.
        table: recorded curves.
        workers: how many train at a time.
        budget: epochs of all workers together.
    """
    outcome, order = Outcome(), itertools.count()
    # Each running epoch: when it ends, which of those that end together was begun first, and its training.
    running: list[tuple[float, int, Training]] = []
    free, begun, best, asks, asking_s, now = workers, 0, -np.inf, 0, 0.0, 0.0
    while True:
        while free and begun < budget:
            began = time.perf_counter()
            training = method.start()
            asks, asking_s = asks + 1, asking_s + time.perf_counter() - began
            if training is None:
                break
            heapq.heappush(running, (now + 1.0, next(order), training))
            free, begun = free - 1, begun + 1
        if not running:
            break
        now, _, training = heapq.heappop(running)
        value = float(table.values[training.seed, training.cell, training.done])
        training.done += 1
        outcome.spent += 1
        if value > best:
            best = value
            outcome.better.append((outcome.spent, value, training.cell))
        goes_on = method.report(training, value) and training.done < table.epochs
        if goes_on and begun < budget:
            heapq.heappush(running, (now + 1.0, next(order), training))
            begun += 1
        else:
            free += 1
    outcome.chosen, outcome.seconds, outcome.asked = method.choose(), now, (asks, asking_s)
    return outcome
