"""What mattered in a sweep: all that its results say of its options, and whether more trials would help."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from mnist_exp.analysis import noise, path, tuning_curve
from mnist_exp.analysis.effects import Dependence, Effect, Step
from mnist_exp.analysis.forest import LEAST_RUNS, Forest
from mnist_exp.analysis.grid import Grid
from mnist_exp.analysis.noise import Noise
from mnist_exp.analysis.observations import Observation, Observations, varied
from mnist_exp.analysis.tuning_curve import Curve, More

MEASURED, PREDICTED = "measured", "predicted"
_LEAST_POINTS = 3
_LEAST_FIT = 0.3  # A model that explains less says nothing of single points.
_MORE = 10


@dataclass(frozen=True)
class Request:
    """What to look at.

    Args:
        runs: that are done, in the order in which they began.
        maximize: whether more of the objective is better.
        images: number of images that an accuracy was measured on; None where the objective is no accuracy.
        trials: of a search, the objective of each trial in order, None for one that was pruned; empty for a grid.
        is_random: whether these trials were drawn independently of each other.
        defaults: the value of each swept option without the sweep; None where they are not known.
        logarithmic: options that were drawn on a logarithmic scale; None finds out by their values.
        drawn: options that were drawn from intervals.
    """

    runs: Sequence[Observation]
    maximize: bool
    images: int | None = None
    trials: Sequence[float | None] = ()
    is_random: bool = False
    defaults: Mapping[str, str] | None = None
    logarithmic: Collection[str] | None = None
    drawn: Collection[str] = ()


@dataclass(frozen=True)
class Mattered:
    """What mattered.

    Args:
        method: measured, where every combination was tried; else predicted, by a forest.
        runs: that it is made of.
        fit: the share of the variance that the forest predicts of runs that it has not seen; None if it is measured.
        noise: the yardstick; None if it is not known.
        effects: of options and pairs, the largest first.
        dependences: one for each option.
        path: from the defaults to the best point; empty if there is none to show.
        no_path: why not, as a sentence; empty if there is one, or nothing to say.
        curve: the best so far; None for a grid.
        more: what more trials would bring; None for a grid, or where trials are too few.
    """

    method: str
    runs: int
    fit: float | None
    noise: Noise | None
    effects: Sequence[Effect]
    dependences: Sequence[Dependence]
    path: Sequence[Step] = ()
    no_path: str = ""
    curve: Curve | None = None
    more: More | None = None


def of(asked: Request) -> Mattered | None:
    """Return what mattered; None if there are too few runs, or no option differs."""
    runs = [run for run in asked.runs if math.isfinite(run.objective)]
    common, some = varied(runs)
    if not common and not some:
        return None
    found = _look(runs, common, asked)
    # An option that some runs lack is looked at within those that have it.
    for key in some:
        part = [run for run in runs if key in run.values]
        inner = _look(part, tuple(dict.fromkeys([*varied(part)[0], key])), asked)
        if inner is None:
            continue
        own = [replace(each, applies_to=len(part)) for each in inner.effects if key in each.options]
        shown = [each for each in inner.dependences if each.option == key]
        if found is None:
            found = replace(inner, effects=own, dependences=shown, path=(), no_path="")
        else:
            found = replace(found, effects=[*found.effects, *own], dependences=[*found.dependences, *shown])
    reached = [objective for objective in asked.trials if objective is not None and math.isfinite(objective)]
    if found is None or not reached:
        return found
    # What was pruned would hardly have been the best: it counts as the poorest.
    worst = min(reached) if asked.maximize else max(reached)
    objectives = [worst if each is None or not math.isfinite(each) else each for each in asked.trials]
    how = {"maximize": asked.maximize, "is_random": asked.is_random}
    more = tuning_curve.more(objectives, _MORE, **how) if len(objectives) > _MORE else None
    return replace(found, curve=tuning_curve.curve(objectives, **how), more=more)


def _look(runs: Sequence[Observation], keys: tuple[str, ...], asked: Request) -> Mattered | None:
    """Return what can be said of options that all of some runs have; None if they are too few."""
    observations = Observations(runs, keys, asked.logarithmic, asked.drawn)
    if not keys or len(observations.points) < _LEAST_POINTS:
        return None
    yardstick = noise.over_seeds(observations)
    if yardstick is None and asked.images:
        yardstick = noise.of_images([run.objective for run in runs], asked.images)
    if observations.is_full:
        grid = Grid(observations, yardstick)
        steps, why = _path(observations, grid.predict, asked)
        return Mattered(MEASURED, len(runs), None, yardstick, grid.effects(), grid.dependences(), steps, why)
    if len(runs) < LEAST_RUNS:
        return None
    forest = Forest(observations)
    steps, why = _path(observations, forest.predict, asked)
    if steps and forest.fit < _LEAST_FIT:
        steps, why = [], f"a forest explains but {forest.fit:.0%} of runs that it has not seen: the trials are too few"
    return Mattered(
        PREDICTED, len(runs), forest.fit, yardstick, forest.effects(), forest.dependences(), steps, why
    )  # fmt: skip


def _path(observations: Observations, predict: path.Predict, asked: Request) -> tuple[list[Step], str]:
    if asked.defaults is None:
        return [], ""
    unknown = [key for key in observations.keys if key not in asked.defaults]
    if unknown:
        return [], f"{unknown[0]} has no default"
    start = [asked.defaults[key] for key in observations.keys]
    for key, value in zip(observations.keys, start, strict=True):
        if not observations.covers(key, value):
            return [], f"{key}={value}, its default, was not tried"
    try:
        best = observations.best(maximize=asked.maximize)
        return path.between(start, best, observations.keys, predict, maximize=asked.maximize), ""
    except ValueError as error:
        return [], f"{error} was not tried"
