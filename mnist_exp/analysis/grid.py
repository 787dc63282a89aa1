"""The variance of a full grid, split among options and their pairs: exact for what was measured.

Source: the functional analysis of variance of the means of the cells, each combination with the same weight; the method
of unweighted means where cells have different numbers of seeds (Searle 1987, Linear Models for Unbalanced Data, 4.8).
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from mnist_exp.analysis.effects import Dependence, Effect
from mnist_exp.analysis.noise import Noise
from mnist_exp.analysis.observations import Floats, Observations

_DRAWS = 400
_ALPHA = 0.05
Cells = tuple[int, ...]


class Grid:
    """The means of a full grid.

    Args:
        observations: of which every combination has at least one run.
        noise: of one run; None if it is not known.
    """

    def __init__(self, observations: Observations, noise: Noise | None) -> None:
        self.observations, self.noise = observations, noise
        self.levels = [observations.levels(key) for key in observations.keys]
        shape = tuple(map(len, self.levels))
        self.means = np.empty(shape)
        counts = np.empty(shape)
        for point, values in observations.points.items():
            place = self.place(point)
            self.means[place], counts[place] = np.mean(values), len(values)
        self._runs = float(1 / np.mean(1 / counts))  # of a cell: the harmonic mean

    def place(self, point: Sequence[str]) -> tuple[int, ...]:
        """Return the index of a point. Raises: ValueError: it has a value that was not tried."""
        return tuple(levels.index(value) for levels, value in zip(self.levels, point, strict=True))

    def predict(self, point: Sequence[str]) -> float:
        """Return the mean of a point. Raises: ValueError: it has a value that was not tried."""
        return float(self.means[self.place(point)])

    def effects(self) -> list[Effect]:
        """Return the effect of each option and of each pair, the largest first."""
        own = _split(self.means[None])
        error = (self.noise.std**2 / self._runs) if self.noise is not None else 0.0
        degrees = {cells: self._degrees(cells) for cells in own}
        shares = self._shares(own, degrees, error)
        drawn = shares
        if error > 0:
            random = np.random.default_rng(0)
            again = self.means + random.normal(0, math.sqrt(error), (_DRAWS, *self.means.shape))
            drawn = self._shares(_split(again), degrees, 2 * error)  # Drawn means have chance in them twice.
        chances = {cells: self._chance(own[cells][0], degrees[cells]) for cells in own if cells}
        is_noise = _holm(chances)
        found = [
            Effect(
                tuple(self.observations.keys[i] for i in cells),
                float(shares[cells][0]),
                float(np.quantile(drawn[cells], 0.05)),
                float(np.quantile(drawn[cells], 0.95)),
                float(np.ptp(_part(self.means[None], cells))),
                is_noise[cells],
            )
            for cells in own
            if cells
        ]
        return sorted(found, key=lambda effect: -effect.share)

    def dependences(self) -> list[Dependence]:
        """Return the mean of each value of each option."""
        from scipy import special

        found = []
        for axis, (key, levels) in enumerate(zip(self.observations.keys, self.levels, strict=True)):
            mean = self.means.mean(axis=tuple(i for i in range(self.means.ndim) if i != axis))
            half = 0.0
            if self.noise is not None:
                runs = self._runs * self.means.size / len(levels)
                degrees = self.noise.degrees
                quantile = special.ndtri(0.975) if degrees is None else special.stdtrit(degrees, 0.975)
                half = float(quantile) * self.noise.std / math.sqrt(runs)
            found.append(
                Dependence(key, levels, *(list(map(float, each)) for each in (mean, mean - half, mean + half)))
            )
        return found

    def _degrees(self, cells: Cells) -> int:
        if not cells:  # What is left to interactions of three options and more.
            counted = itertools.chain.from_iterable(
                itertools.combinations(range(self.means.ndim), size) for size in (1, 2)
            )
            return self.means.size - 1 - sum(self._degrees(each) for each in counted)
        return math.prod(self.means.shape[i] - 1 for i in cells)

    def _shares(self, parts: dict[Cells, Floats], degrees: dict[Cells, int], error: float) -> dict[Cells, Floats]:
        """Return the share of each part, after what chance is expected to add to its variance."""
        real = {
            cells: np.maximum(part - degrees[cells] / self.means.size * error, 0.0) for cells, part in parts.items()
        }
        total = sum(real.values())
        return {cells: np.divide(part, total, out=np.zeros_like(part), where=total > 0) for cells, part in real.items()}

    def _chance(self, variance: float, degrees: int) -> float | None:
        """Return the probability of so large a variance of an effect by chance; None if chance is not known."""
        from scipy import special

        if self.noise is None or degrees == 0:
            return None
        if self.noise.std == 0:
            return float(variance == 0)
        ratio = variance * self.means.size * self._runs / degrees / self.noise.std**2
        if self.noise.degrees is None:
            return float(special.chdtrc(degrees, ratio * degrees))
        return float(special.fdtrc(degrees, self.noise.degrees, ratio))


def _part(means: Floats, cells: Cells) -> Floats:
    """Return the part of the means that is due to one option, or to the interaction of two. The first axis is kept."""
    others = tuple(i + 1 for i in range(means.ndim - 1) if i not in cells)
    part = means.mean(axis=others, keepdims=True) if others else means.copy()
    part = part - means.mean(axis=tuple(range(1, means.ndim)), keepdims=True)
    if len(cells) == 2:
        part = part - _part(means, cells[:1]) - _part(means, cells[1:])
    return np.asarray(part)


def _split(means: Floats) -> dict[Cells, Floats]:
    """Return the variance of each option, of each pair, and, under (), of all else. The first axis is kept."""
    dims = range(means.ndim - 1)
    every = tuple(range(1, means.ndim))
    parts = {}
    for cells in itertools.chain(itertools.combinations(dims, 1), itertools.combinations(dims, 2)):
        parts[cells] = np.square(_part(means, cells)).mean(axis=every)
    parts[()] = np.maximum(means.var(axis=every) - sum(parts.values()), 0.0)
    return parts


def _holm(chances: dict[Cells, float | None]) -> dict[Cells, bool | None]:
    """Return whether each effect may be chance, by Holm's correction for their number."""
    known = sorted((chance, cells) for cells, chance in chances.items() if chance is not None)
    found: dict[Cells, bool | None] = dict.fromkeys(chances)
    may_be = False
    for rank, (chance, cells) in enumerate(known):
        may_be = may_be or chance * (len(known) - rank) >= _ALPHA
        found[cells] = may_be
    return found
