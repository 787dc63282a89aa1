"""What a search starts with: results of earlier sweeps, and points to try first, `sweep.try_first`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from mnist_exp.config import wording
from mnist_exp.config.schema import SweepSettings
from mnist_exp.errors import SettingsError
from mnist_exp.search import given
from mnist_exp.search.given import Known
from mnist_exp.search.space import Axis, brief, short_names
from mnist_exp.sweeps.planning import defaults, earlier_results
from mnist_exp.sweeps.planning.plan import Plan
from mnist_exp.tracking import store

if TYPE_CHECKING:
    import optuna

_DEFAULTS = "defaults"
_MOST_SHOWN = 5


@dataclass(frozen=True)
class Start:
    """What a search starts with.

    Args:
        known: results of earlier sweeps.
        first: points to try first, as Optuna has their values.
        words: what there is to tell of it, by the name of its line.
    """

    known: Sequence[Known] = ()
    first: Sequence[Mapping[str, Any]] = ()
    words: Mapping[str, str] = field(default_factory=dict)

    def give(self, axes: Sequence[Axis], study: "optuna.Study", uri: str) -> None:
        """Give it to a study, unless that has it already.

        Args:
            axes: the options that are searched.
            study: opened.
            uri: address of the tracking store, whose lock holds off other processes of this machine.
        """
        if self.known or self.first:
            with store.lock(uri, study.study_name):
                given.add_known(axes, study, self.known)
                given.queue_first(study, self.first)


def read(how: SweepSettings, made: Plan, config: DictConfig) -> Start:
    """Return what the options say that a search starts with.

    Args:
        how: the options `sweep.*`.
        made: the plan of the search.
        config: composed from the overrides that are the same in all jobs.
    Raises: SettingsError: a point is outside the space, or a sweep cannot be used; with every problem.
    """
    problems: list[str] = []
    first = _first(how, made.space.axes, config, problems)
    known, words = [], {}
    for number, reference in enumerate(_listed(how.start_from), start=1):
        try:
            found, told = earlier_results.known(reference, how, made, config)
        except SettingsError as error:
            problems += [f"sweep.start_from={reference}: {problem}" for problem in error.problems]
            continue
        known += found
        words["start" if number == 1 else f"start {number}"] = told
    if problems:
        raise SettingsError(problems)
    if first:
        short = short_names([axis.parameter for axis in made.space.axes])
        shown = [" ".join(f"{short[key]}={brief(str(value))}" for key, value in point.items()) for point in first]
        words["first"] = wording.listed(shown, _MOST_SHOWN, str)
    return Start(known, first, words)


def _listed(option: Any) -> Sequence[Any]:
    return option if isinstance(option, list | tuple) else () if option is None else (option,)


def _first(
    how: SweepSettings, axes: Sequence[Axis], config: DictConfig, problems: list[str]
) -> list[Mapping[str, Any]]:
    """Return the points to try first, each once; add what is wrong with them to the problems."""
    keys = list(dict.fromkeys(axis.key for axis in axes))
    found: list[Mapping[str, Any]] = []
    for number, asked in enumerate(_listed(how.try_first), start=1):
        is_default = asked == _DEFAULTS
        name = f"sweep.try_first={_DEFAULTS}" if is_default else f"sweep.try_first, point {number}"
        values = _defaults(axes, config) if is_default else asked
        point = {}
        choices = {key: wording.text(value) for key, value in values.items()}
        for key, value in values.items():
            if key not in keys:
                near = wording.nearest(key, keys)
                fix = f"did you mean {near}?" if near else f"searched are {', '.join(keys)}"
                problems.append(f"{name}: {key} is not searched: {fix}")
                continue
            own = [axis for axis in axes if axis.key == key]
            applying = [axis for axis in own if axis.applies(choices)]
            if not applying:
                which = " or ".join(axis.when.words for axis in own if axis.when is not None)
                problems.append(f"{name}: {key} applies to {which} only: choose that in the same point")
                continue
            try:
                point[applying[0].parameter] = given.value_of(applying[0], value)
            except ValueError as error:
                problems.append(f"{name}: {key}={wording.show(value)} is outside the space: {error}")
        if point not in found:
            found.append(point)
    if len(found) > how.n_trials:
        problems.append(
            f"sweep.try_first has {len(found)} points, and sweep.n_trials={how.n_trials} ends the search before them: "
            f"give it more, sweep.n_trials={len(found) + how.n_trials}"
        )
    return found


def _defaults(axes: Sequence[Axis], config: DictConfig) -> dict[str, Any]:
    """Return the value of each searched option in the configuration as it is without the search."""
    found: dict[str, Any] = {}
    for axis in axes:
        # An option that is added is in no configuration: the sampler draws it.
        if axis.applies({key: wording.text(value) for key, value in found.items()}) and not axis.prefix.startswith("+"):
            found[axis.key] = defaults.value(config, axis.key)
    return found
