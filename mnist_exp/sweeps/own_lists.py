"""What the choices of a swept group say of the sweep themselves: `-m experiment=a,b`, each with lists of its own."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf

from mnist_exp.composition import explain
from mnist_exp.composition.compose import composer
from mnist_exp.composition.overrides import read
from mnist_exp.composition.points import PointComposer
from mnist_exp.config import wording
from mnist_exp.config.nested import flatten
from mnist_exp.config.schema import SweepSettings
from mnist_exp.errors import SettingsError
from mnist_exp.search.space import Space, parse

# Of these sections there is one for all jobs.
_OF_THE_SWEEP = ("sweep", "hydra.launcher", "hydra.sweep")


@dataclass(frozen=True)
class _Choice:
    """Choices of swept groups.

    Args:
        overrides: that choose.
        lists: the values of each option that they sweep over, as `hydra.sweeper.params` has them, where these are not
            those of the whole sweep.
    """

    overrides: tuple[str, ...]
    lists: Mapping[str, Any]


def expanded(
    space: Space,
    arguments: Sequence[str],
    how: SweepSettings,
    sweep: DictConfig,
    loader: ConfigLoader,
    config_dir: str | None,
) -> Space:
    """Return the space in which each choice of a swept group is combined with the lists that it brings along.

    A list on the command line stands for all choices, in place of their own.

    Args:
        space: of the options that are the same whatever is chosen.
        arguments: the overrides of the command line.
        how: the options `sweep.*`.
        sweep: the configuration of the sweep.
        loader: Hydra's.
        config_dir: the user's folder with configuration groups; None if there is none.
    Raises: SettingsError: a choice says how the sweep is to go, or has lists in a sweep that cannot use them.
    """
    groups = set(explain.groups(loader))
    swept = [axis for axis in space.axes if axis.key in groups]
    choices = list(dict.fromkeys(_choices(space, groups)))
    if choices == [()]:
        return space
    with composer(config_dir) as own_loader:
        found, usual = _look(PointComposer(own_loader, sweep), space.fixed, choices, arguments)
        with_lists = [choice for choice in found if choice.lists]
        if not with_lists:
            return space
        if how.sampler is not None or how.zip or how.points or any(axis.is_continuous for axis in space.axes):
            raise SettingsError([_unusable(choice) for choice in with_lists])
        own_keys = {key for choice in with_lists for key in choice.lists}
        # Where one choice has another list than the sweep, the others get that of the sweep in its place.
        of_others = {key: value for key, value in usual.items() if key in own_keys}
        points: list[tuple[str, ...]] = []
        for choice in found:
            own = parse({**of_others, **choice.lists}, (), SweepSettings(), own_loader)
            if any(axis.is_continuous for axis in own.axes):
                raise SettingsError(_unusable(choice))
            points += [(*choice.overrides, *texts) for texts in own.grid()]
    kept = tuple(axis for axis in space.axes if axis not in swept and axis.key not in own_keys)
    fixed = tuple(text for text in space.fixed if read(text).key_or_group not in own_keys)
    return replace(space, fixed=fixed, axes=kept, points=tuple(points))


def _choices(space: Space, groups: set[str]) -> Iterator[tuple[str, ...]]:
    """Yield the choices of swept groups in each combination."""
    swept = [[f"{axis.prefix}={value}" for value in axis.values] for axis in space.axes if axis.key in groups]
    for point in space.points:
        of_point = [text for text in point if read(text).key_or_group in groups]
        for chosen in itertools.product(*swept):
            yield (*of_point, *chosen)


def _look(
    points: PointComposer, fixed: Sequence[str], choices: Sequence[tuple[str, ...]], arguments: Sequence[str]
) -> tuple[list[_Choice], dict[str, Any]]:
    """Return the choices with their lists, and the lists of the whole sweep.

    Raises: SettingsError: a choice says how the sweep is to go.
    """
    given = {read(text).key_or_group for text in arguments}
    of_all = points.with_hydra(fixed)
    usual = {key: value for key, value in _lists(of_all).items() if key not in given}
    found, problems = [], []
    for overrides in choices:
        try:
            config = points.with_hydra([*fixed, *overrides])
        except Exception:
            found.append(_Choice(overrides, {}))  # The plan tells what is wrong with it.
            continue
        for name, value in _of_the_sweep(config).items():
            if name not in given and value != _of_the_sweep(of_all).get(name):
                problems.append(
                    f"{' '.join(overrides)} sets {name}={wording.show(value)}, which must be the same in all jobs of a "
                    "sweep: give it on the command line, or sweep over each choice by itself"
                )
        lists = _lists(config)
        own = {key: value for key, value in lists.items() if key not in given and value != usual.get(key)}
        found.append(_Choice(overrides, own))
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))
    return found, usual


def _lists(config: DictConfig) -> dict[str, Any]:
    lists: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=False)
    return dict(lists.get("params") or {})


def _of_the_sweep(config: DictConfig) -> dict[str, Any]:
    sections = {name: OmegaConf.select(config, name) for name in _OF_THE_SWEEP}
    return flatten({name: OmegaConf.to_container(section, resolve=False) for name, section in sections.items()})


def _unusable(choice: _Choice) -> str:
    return (
        f"{' '.join(choice.overrides)} has values of its own for {', '.join(choice.lists)}; a search, sweep.zip and "
        "sweep.points cannot use them: give the values on the command line, or sweep over each choice by itself"
    )
