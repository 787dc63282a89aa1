"""The variance of a forest's predictions, split among options and pairs: what a search has not tried is predicted.

Each tree is a function that is constant on boxes, so its means over some options, for each value of others, are sums
over its leaves. The values of a number are those of an even grid over its range.

Source: Hutter, Hoos & Leyton-Brown 2014, An Efficient Approach for Assessing Hyperparameter Importance (fANOVA).
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from mnist_exp.analysis.effects import Dependence, Effect
from mnist_exp.analysis.observations import Floats, Observations, is_logarithmic, is_numeric

LEAST_RUNS = 12
_TREES, _TREES_OF_A_TEST = 64, 10
_SHUFFLES = 20  # An effect is no chance if none of as many forests has one as large: p = 1/21.
_VALUES = 16  # of a number


class Forest:
    """A random forest that predicts the objective.

    Args:
        observations: at least `LEAST_RUNS`.

    Attributes:
        fit: the share of the variance that it predicts of runs that its trees have not seen; 0 if it is of no use.
    """

    def __init__(self, observations: Observations) -> None:
        self.observations = observations
        self._options = [_Option(observations, key) for key in observations.keys]
        self._x = np.array(
            [[option.code(run.values[option.key]) for option in self._options] for run in observations.runs]
        )
        self._forest = self._fitted(self._x, _TREES)
        missed = np.var(observations.objectives - self._forest.oob_prediction_)
        self.fit = max(0.0, 1 - float(missed / (np.var(observations.objectives) or 1.0)))

    def predict(self, point: Sequence[str]) -> float:
        """Return the prediction for a point. Raises: ValueError: one of its words was not tried."""
        codes = [option.code(value) for option, value in zip(self._options, point, strict=True)]
        return float(self._forest.predict(np.array([codes]))[0])

    def effects(self) -> list[Effect]:
        """Return the effect of each option and of each pair, the largest first."""
        trees = [self._split(tree) for tree in self._forest.estimators_]
        total = np.array([each.total for each in trees])
        own, null = self._variances(self._x), self._by_chance()
        found = []
        for cells in trees[0].variance:
            shares = np.divide([t.variance[cells] for t in trees], total, out=np.zeros(len(trees)), where=total > 0)
            mean = np.mean([tree.part[cells] for tree in trees], axis=0)
            options = tuple(self._options[i].key for i in cells)
            is_noise = any(other >= own[cells] for other in null[cells])
            low, high = np.quantile(np.clip(shares, 0, 1), (0.05, 0.95))
            found.append(
                Effect(options, float(np.mean(shares)), float(low), float(high), float(np.ptp(mean)), is_noise)
            )
        return sorted(found, key=lambda effect: -effect.share)

    def dependences(self) -> list[Dependence]:
        """Return the mean prediction for values of each option."""
        trees = [self._split(tree) for tree in self._forest.estimators_]
        found = []
        for place, option in enumerate(self._options):
            means = np.array([tree.mean + tree.part[place,] for tree in trees])
            low, high = np.quantile(means, (0.05, 0.95), axis=0)
            found.append(
                Dependence(
                    option.key, option.shown, *(list(map(float, each)) for each in (means.mean(axis=0), low, high))
                )
            )
        return found

    def _fitted(self, x: Floats, trees: int) -> Any:
        from sklearn.ensemble import RandomForestRegressor

        forest = RandomForestRegressor(
            trees,
            min_samples_leaf=max(2, len(x) // 50),
            max_features=max(1, round(x.shape[1] * 2 / 3)),
            oob_score=trees == _TREES,
            random_state=0,
        )
        return forest.fit(x, self.observations.objectives)

    def _variances(self, x: Floats) -> dict[tuple[int, ...], float]:
        """Return the variance of each effect in a small forest: of its mean over the trees, for chance cancels out."""
        splits = [self._split(tree) for tree in self._fitted(x, _TREES_OF_A_TEST).estimators_]
        means = {cells: np.mean([split.part[cells] for split in splits], axis=0) for cells in splits[0].part}
        return {cells: float(np.square(mean).mean()) for cells, mean in means.items()}

    def _by_chance(self) -> dict[tuple[int, ...], list[float]]:
        """Return the variances of each effect in forests for which one of its options was shuffled among the runs."""
        random = np.random.default_rng(0)
        found: dict[tuple[int, ...], list[float]] = {}
        for place in range(len(self._options)):
            for _ in range(_SHUFFLES):
                x = self._x.copy()
                random.shuffle(x[:, place])
                for cells, variance in self._variances(x).items():
                    if place in cells:
                        found.setdefault(cells, []).append(variance)
        return found

    def _split(self, tree: Any) -> "_Split":
        return _Split(tree.tree_, [option.grid for option in self._options])


class _Option:
    """An option as the forest has it: a number, or the place of a word among those that were tried."""

    def __init__(self, observations: Observations, key: str) -> None:
        self.key = key
        levels = observations.levels(key)
        self._codes: dict[str, float] = {}
        if is_numeric(levels):
            numbers = [float(level) for level in levels]
            self.shown, self.grid = levels, np.array(numbers)
            is_drawn = len(levels) > len(observations.runs) / 2  # from an interval: almost each run has its own
            if is_drawn or len(levels) > _VALUES:
                low, high = min(numbers), max(numbers)
                known = observations.logarithmic
                is_log = is_logarithmic(numbers) if known is None else key in known
                self.grid = np.geomspace(low, high, _VALUES) if is_log else np.linspace(low, high, _VALUES)
                self.shown = tuple(f"{value:.4g}" for value in self.grid)
            return
        self.shown = levels
        self._codes = {level: float(rank) for rank, level in enumerate(self.shown)}
        self.grid = np.arange(len(levels), dtype=float)

    def code(self, value: str) -> float:
        """Return the number of a value. Raises: ValueError: it has none."""
        if not self._codes:
            return float(value)
        if value not in self._codes:
            raise ValueError(value)
        return self._codes[value]


class _Split:
    """The variance of one tree, and its parts, over a grid.

    Attributes:
        mean: of its predictions.
        total: their variance.
        part: for each option, and each pair, what it adds to the mean at each value.
        variance: of these.
    """

    def __init__(self, tree: Any, grids: Sequence[Floats]) -> None:
        values, inside = _leaves(tree, grids)
        shares = [each.mean(axis=1) for each in inside]
        volume = np.prod(shares, axis=0)
        self.mean = float(values @ volume)
        self.total = float(np.square(values) @ volume) - self.mean**2
        self.part: dict[tuple[int, ...], Floats] = {}
        for place in range(len(grids)):
            weights = values * np.prod([share for i, share in enumerate(shares) if i != place], axis=0)
            self.part[place,] = weights @ inside[place] - self.mean
        for one, other in itertools.combinations(range(len(grids)), 2):
            weights = values * np.prod([share for i, share in enumerate(shares) if i not in (one, other)], axis=0)
            both = (inside[one] * weights[:, None]).T @ inside[other] - self.mean
            self.part[one, other] = both - self.part[one,][:, None] - self.part[other,][None, :]
        self.variance = {cells: float(np.square(part).mean()) for cells, part in self.part.items()}


def _leaves(tree: Any, grids: Sequence[Floats]) -> tuple[Floats, list[Floats]]:
    """Return the value of each leaf, and for each option which values of its grid are inside each leaf: 0 or 1."""
    values: list[float] = []
    inside: list[list[Floats]] = [[] for _ in grids]
    todo = [(0, [np.ones(len(grid)) for grid in grids])]
    while todo:
        node, box = todo.pop()
        if tree.children_left[node] < 0:
            values.append(float(tree.value[node].ravel()[0]))
            for each, kept in zip(inside, box, strict=True):
                each.append(kept)
            continue
        option = int(tree.feature[node])
        # scikit-learn compares the value as a 32-bit number.
        is_left = grids[option].astype(np.float32) <= tree.threshold[node]
        for child, side in ((tree.children_left[node], is_left), (tree.children_right[node], ~is_left)):
            part = list(box)
            part[option] = box[option] * side
            todo.append((int(child), part))
    return np.array(values), [np.array(each) for each in inside]
