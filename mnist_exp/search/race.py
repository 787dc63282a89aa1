"""Seeds raced inside a search: which point is tried with another seed, and which points are in the final.

All points get the first seed; the best third of them the second, the best third of these the next, and so on, but two
at least. So points are compared on the same seeds only. What is next follows from the trials alone: any number of
processes can ask, and an interrupted race goes on.

Source: successive halving (Karnin, Koren & Somekh 2013, Almost Optimal Exploration in Multi-Armed Bandits), asked for
one step at a time as in ASHA (Li et al. 2020, arXiv:1810.05934), with seeds as the resource.
"""

import itertools
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass
from statistics import fmean

FINALISTS = 2
Seed = int | None
_OF = 3  # One of so many goes on.


@dataclass(frozen=True)
class Race:
    """What is known of the points of a search.

    Args:
        seeds: that a point may get, in this order; None stands for the first, where it need not be named.
        done: of each point, the values by seed.
        open: pairs of point and seed that are being tried.
        lost: pairs of point and seed that gave no value, as they failed or were pruned.
        maximizes: whether more is better.
    """

    seeds: Sequence[Seed]
    done: Mapping[Hashable, Mapping[Seed, float]]
    open: Set[tuple[Hashable, Seed]] = frozenset()
    lost: Set[tuple[Hashable, Seed]] = frozenset()
    maximizes: bool = True

    def next(self, budget: int, left: int) -> tuple[Hashable, Seed] | None:
        """Return the point and the seed that a free worker takes; None if a new point is due.

        Half of the trials at least are new points. After that, new points come as long as enough trials are left for
        the race.

        Args:
            budget: trials of the search, those of the race among them.
            left: how many of them are not started.
        """
        first = self.seeds[0]
        begun = sum(first in values for values in self.done.values()) + self._count(self.open, first)
        new = budget - left - sum(map(self._begun, self.seeds[1:]))  # Also those that repeat a point.
        if new < math.ceil(budget / 2) or left > self._needed(begun + 1):
            return None
        return self._promoted(begun) or self._ahead()

    def _needed(self, points: int) -> int:
        """Return how many trials the race of so many points still needs."""
        sizes = sizes_of(points, len(self.seeds))
        return sum(max(size - self._begun(seed), 0) for size, seed in zip(sizes[1:], self.seeds[1:], strict=True))

    def _promoted(self, points: int) -> tuple[Hashable, Seed] | None:
        sizes = sizes_of(points, len(self.seeds))
        for place, (size, more) in enumerate(itertools.pairwise(sizes)):
            seed, following = self.seeds[place], self.seeds[place + 1]
            if self._begun(following) >= more:
                continue
            ranked = self._ranked(place + 1)
            is_settled = not self._count(self.open, seed) and (place == 0 or self._begun(seed) >= size)
            go_on = ranked[: more if is_settled else math.ceil(len(ranked) / _OF)]
            if place and more == size:  # All that are tried with this seed go on, whatever comes of it.
                go_on = [*go_on, *(point for point, of in self.open if of == seed)]
            for point in go_on:
                if not self._has(point, following):
                    return point, following
        return None

    def _ahead(self) -> tuple[Hashable, Seed] | None:
        """Return the next seed of the most promising point, where no step of the race is due yet."""
        for place in range(len(self.seeds) - 1, 0, -1):
            for point in self._ranked(place):
                missing = [seed for seed in self.seeds if not self._has(point, seed)]
                if missing and not any(each == point for each, _ in self.lost):
                    return point, missing[0]
        return None

    def _ranked(self, count: int) -> list[Hashable]:
        """Return the points that have values of the first so many seeds, the best mean of these first."""
        seeds = self.seeds[:count]
        means = {point: fmean(values[s] for s in seeds) for point, values in self.done.items()
                 if all(s in values for s in seeds)}  # fmt: skip
        return sorted(means, key=lambda point: -means[point] if self.maximizes else means[point])

    def _begun(self, seed: Seed) -> int:
        done = sum(seed in values for values in self.done.values())
        return done + self._count(self.open, seed) + self._count(self.lost, seed)

    def _has(self, point: Hashable, seed: Seed) -> bool:
        return seed in self.done.get(point, ()) or (point, seed) in self.open or (point, seed) in self.lost

    def _count(self, pairs: Set[tuple[Hashable, Seed]], seed: Seed) -> int:
        return sum(of == seed for _, of in pairs)


def sizes_of(points: int, seeds: int) -> list[int]:
    """Return how many points a race tries with the first seed, the second one, and so on."""
    sizes = [points]
    for _ in range(seeds - 1):
        sizes.append(min(sizes[-1], max(FINALISTS, math.ceil(sizes[-1] / _OF))))
    return sizes


def seeds_of_final(counts: Sequence[int]) -> int:
    """Return how many seeds a point of the final has at least: so many as two points have; 1 if there is no final.

    Args:
        counts: the number of seeds of each point.
    """
    return max((n for n in Counter(counts) if sum(count >= n for count in counts) >= FINALISTS), default=1)
