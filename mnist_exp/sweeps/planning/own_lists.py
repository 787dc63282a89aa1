"""What the choices of a swept group say of the sweep themselves: `-m experiment=a,b`, each with lists of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mnist_exp.composition.overrides import read
from mnist_exp.config import wording
from mnist_exp.config.nested import flatten
from mnist_exp.config.schema import SweepSettings
from mnist_exp.errors import SettingsError
from mnist_exp.search import conditions
from mnist_exp.search.conditions import words_of
from mnist_exp.search.parsing import parse
from mnist_exp.search.space import Axis, Space, key_of
from mnist_exp.sweeps.planning.choices import Combination

# Of these sections there is one for all jobs.
_OF_THE_SWEEP = ("sweep", "hydra.launcher", "hydra.sweep")


@dataclass(frozen=True)
class _Choice:
    """Choices of swept groups.

    Args:
        combination: of them.
        lists: the values of each option that they sweep over, as `hydra.sweeper.params` has them, where these are not
            those of the whole sweep.
    """

    combination: Combination
    lists: Mapping[str, Any]


def added(
    space: Space,
    combinations: Sequence[Combination],
    of_all: DictConfig,
    arguments: Sequence[str],
    how: SweepSettings,
) -> Space:
    """Return the space in which each choice of a swept group is combined with the lists that it brings along.

    A list on the command line stands for all choices, in place of their own; `sweep.where` has those of one choice.

    Args:
        space: of the options that are the same whatever is chosen.
        combinations: of the choices of swept groups, composed.
        of_all: what is composed of the choices that are the same in all jobs, with the section `hydra`.
        arguments: the overrides of the command line.
        how: the options `sweep.*`.
    Raises: SettingsError: a choice says how the sweep is to go, or has lists in a sweep that cannot use them;
        `sweep.where` is wrong.
    """
    given = {read(text).key_or_group for text in arguments}
    usual = {key: value for key, value in _lists(of_all).items() if key not in given}
    found = _look(combinations, of_all, given, usual, how.where or {})
    with_lists = [choice for choice in found if choice.lists]
    if not with_lists:
        return space
    if how.zip or how.points:
        raise SettingsError([_unusable(choice) for choice in with_lists])
    own_keys = {key for choice in with_lists for key in choice.lists}
    # Where one choice has another list than the sweep, the others get that of the sweep in its place.
    of_others = [axis for axis in (*space.axes, *map(_single, space.fixed)) if axis.key in own_keys]
    with_axis: dict[Axis, list[bool]] = {}
    for number, choice in enumerate(found):
        own = _axes(choice.lists)
        # A list that is not its own is left out of a choice that lacks its option.
        others = [axis for axis in of_others if axis.key not in choice.lists and choice.combination.has(axis.prefix)]
        for axis in [*others, *own]:
            with_axis.setdefault(axis, [False] * len(found))[number] = True
    choices = [choice.combination.choices for choice in found]
    limited = [replace(axis, when=conditions.of(choices, applies)) for axis, applies in with_axis.items()]
    groups = {group for each in choices for group in each}
    chosen = [axis for axis in space.axes if axis.key in groups]
    kept = [axis for axis in space.axes if axis not in chosen and axis.key not in own_keys]
    fixed = tuple(text for text in space.fixed if read(text).key_or_group not in own_keys)
    return replace(space, fixed=fixed, axes=(*chosen, *map(_named, limited, [limited] * len(limited)), *kept))


def _named(axis: Axis, among: Sequence[Axis]) -> Axis:
    """Return an axis with a name of its own in a study: Optuna takes one name for one set of values."""
    if axis.when is None or sum(each.key == axis.key for each in among) == 1:
        return axis
    return replace(axis, name=f"{axis.key} ({axis.when.words})")


def _single(text: str) -> Axis:
    """Return an option with one value as one that is swept over."""
    prefix, _, value = text.partition("=")
    return Axis(key_of(text), prefix, (value,))


def _axes(lists: Mapping[str, Any]) -> list[Axis]:
    """Return the options of `hydra.sweeper.params`; one with a single value is one, too, for others have other values.

    Raises: SettingsError: one is wrong.
    """
    space = parse(lists, (), SweepSettings())
    axes = {axis.key: axis for axis in (*space.axes, *map(_single, space.fixed))}
    return [axes[key_of(key)] for key in lists if key_of(key) in axes]


def _look(
    combinations: Sequence[Combination],
    of_all: DictConfig,
    given: set[str],
    usual: Mapping[str, Any],
    where: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> list[_Choice]:
    """Return the choices with their lists. Raises: SettingsError: a choice says how the sweep is to go."""
    found, problems = [], _unchosen(where, combinations)
    for combination in combinations:
        config = combination.config
        if config is None:
            found.append(_Choice(combination, {}))  # The plan tells what is wrong with it.
            continue
        for name, value in _of_the_sweep(config).items():
            if name not in given and value != _of_the_sweep(of_all).get(name):
                problems.append(
                    f"{words_of(combination.choices)} sets {name}={wording.show(value)}, which must be the same in all "
                    "jobs of a sweep: give it on the command line, or sweep over each choice by itself"
                )
        lists = _lists(config)
        own = {key: value for key, value in lists.items() if key not in given and value != usual.get(key)}
        for group, name in combination.choices.items():
            own |= where.get(group, {}).get(name, {})
        found.append(_Choice(combination, own))
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))
    return found


def _unchosen(where: Mapping[str, Mapping[str, Mapping[str, Any]]], combinations: Sequence[Combination]) -> list[str]:
    """Return what `sweep.where` names that is not swept over."""
    problems = []
    for group, choices in where.items():
        names = list(dict.fromkeys(each.choices[group] for each in combinations if group in each.choices))
        if not names:
            problems.append(f"sweep.where: {group} is not swept over: give it several choices, {group}=A,B")
            continue
        for name in choices:
            if name not in names:
                near = wording.nearest(name, names)
                fix = f"did you mean {near}?" if near else f"there are {', '.join(names)}"
                problems.append(f"sweep.where: {group}={name} is not swept over: {fix}")
    return problems


def _lists(config: DictConfig) -> dict[str, Any]:
    lists: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=False)
    return dict(lists.get("params") or {})


def _of_the_sweep(config: DictConfig) -> dict[str, Any]:
    sections = {name: OmegaConf.select(config, name) for name in _OF_THE_SWEEP}
    return flatten({name: OmegaConf.to_container(section, resolve=False) for name, section in sections.items()})


def _unusable(choice: _Choice) -> str:
    return (
        f"{words_of(choice.combination.choices)} has values of its own for {', '.join(choice.lists)}; sweep.zip and "
        "sweep.points cannot use them: give the values on the command line, or sweep over each choice by itself"
    )
