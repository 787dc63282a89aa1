"""Points that a sampler draws again, which would only give the same result: others are tried instead.

In a space of few values samplers draw again what was tried: of 124 trials of TPE in one of 480 points 43 (Optuna 5.0).
Such a trial does not count. If a sampler does nothing else, an untried point is drawn at random in its place.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mnist_exp.search import attributes, distributions
from mnist_exp.search.ledger import Ledger
from mnist_exp.search.space import Axis, Space, values_of

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

MOST = 2  # So often in a row a sampler may draw what was tried: 2, 5 and 20 choose alike, and 2 asks the soonest.
_MOST_POINTS = 100_000  # Of a larger space not all points are gone through, but some drawn.
_MOST_DRAWS = 100


def earlier(known: Ledger, trial: "FrozenTrial") -> "FrozenTrial | None":
    """Return an earlier trial with the values and the seed of a new one: of several one that has a result.

    Args:
        known: all trials.
        trial: that was just begun.
    Returns: None if there is none, or the trial is not new but goes on with another.
    """
    if attributes.goes_on(trial):
        return None
    same = known.tried(trial)
    return next((each for each in same if each.state.name == "COMPLETE"), same[0] if same else None)


def end(study: "optuna.Study", trial: "FrozenTrial", same: "FrozenTrial") -> None:
    """End a trial that repeats an earlier one, so that its sampler learns to leave it.

    It is told that the trial was pruned, before its first epoch. A trial that fails teaches a sampler nothing: TPE then
    asks for the same again, in seven of ten trials. One with the result of the earlier one draws it to good points that
    were tried.

    Args:
        study: opened.
        trial: just begun.
        same: the earlier one.
    """
    from optuna.trial import TrialState

    attributes.note(study, trial, attributes.REPEATS, True)
    if len(study.directions) == 1:
        study.tell(trial.number, state=TrialState.PRUNED)
    elif same.state is TrialState.COMPLETE:  # Optuna has no pruned trials of several objectives.
        study.tell(trial.number, list(same.values))
    else:
        study.tell(trial.number, state=TrialState.FAIL)


def are_all_tried(known: Ledger, axes: Sequence[Axis]) -> bool:
    """Tell whether nothing but repeats is left; not where fractions lie between them."""
    space = Space((), tuple(axes)).listed(_MOST_POINTS)
    return space is not None and len(known.points) >= space.size


def untried(known: Ledger, axes: Sequence[Axis], seed: int) -> dict[str, Any] | None:
    """Return the params of a point that no trial has, drawn at random; None if none is found.

    Args:
        known: all trials.
        axes: of the space.
        seed: of the draw.
    """
    tried, space = known.points, Space((), tuple(axes)).listed(_MOST_POINTS)
    if space is not None:
        left = [point for point in _points(space) if frozenset(point.items()) not in tried]
        return left[np.random.default_rng(seed).integers(len(left))] if left else None
    some = itertools.islice(_drawn(axes, seed), _MOST_DRAWS)
    return next((point for point in some if frozenset(point.items()) not in tried), None)


def _drawn(axes: Sequence[Axis], seed: int) -> Iterator[dict[str, Any]]:
    from optuna.samplers import RandomSampler

    sampler = RandomSampler(seed)
    while True:
        # It looks at neither study nor trial.
        yield distributions.drawn(
            axes, lambda axis: sampler.sample_independent(None, None, axis.parameter, distributions.of(axis))
        )


def _points(space: Space) -> Iterator[dict[str, Any]]:
    for overrides in space.grid():
        yield distributions.params_of(space.axes, values_of(overrides, space.keys))
