"""The choices of swept groups, `-m model=cnn,mlp`: which options each has, so that the others are left out of its jobs.

An option that no choice has is a mistake, which the plan tells; one that some have applies to those, and the screen
says so.
"""

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

from mnist_exp.composition import explain
from mnist_exp.composition.overrides import read
from mnist_exp.composition.points import PointComposer
from mnist_exp.config import components
from mnist_exp.runtime.redaction import redact
from mnist_exp.search import conditions
from mnist_exp.search.conditions import Condition, words_of
from mnist_exp.search.space import Axis, Space, key_of, short_names, values_of

_MOST_COUNTS = 12


@dataclass(frozen=True)
class Combination:
    """One choice of each group that is swept over.

    Args:
        choices: the name that is chosen of each group.
        config: what they lead to, with the section `hydra`; None if they cannot be composed, which the plan tells.
    """

    choices: Mapping[str, str]
    config: DictConfig | None

    def has(self, option: str) -> bool:
        """Tell whether an option, as its override begins, can be set with these choices."""
        key, config = key_of(option), self.config
        if config is None or option.startswith("~") or "@" in option:
            return True
        return explain.exists(config, key) or (option.startswith("+") and self._takes(key) is not False)

    def takes(self, key: str) -> bool:
        """Tell whether an option is an argument of the builder of its section, configured or not."""
        return self._takes(key) is True

    def _takes(self, key: str) -> bool | None:
        """Return whether a builder takes an argument; None where it is no argument of a builder."""
        group, _, name = key.rpartition(".")
        section = self.config.get(group) if self.config is not None and group in components.KINDS else None
        if not isinstance(section, DictConfig) or self.config is None:
            return None
        return components.takes(group, str(section.get("_target_")), name, list(self.config.trusted_modules or []))


def combinations(space: Space, loader: ConfigLoader, points: PointComposer) -> list[Combination]:
    """Return all combinations of the choices of groups that a sweep has; none if it sweeps over no group.

    Args:
        space: of the sweep.
        loader: Hydra's.
        points: composes.
    """
    found = []
    for overrides in dict.fromkeys(_chosen(space, set(explain.groups(loader)))):
        config = None
        with contextlib.suppress(Exception):
            config = points.with_hydra([*space.fixed, *overrides])
        found.append(Combination(values_of(overrides, [key_of(text) for text in overrides]), config))
    return found if any(each.choices for each in found) else []


def conditioned(space: Space, every: Sequence[Combination]) -> Space:
    """Return the space in which each option applies to those choices that have it.

    An option that none has stays as it is, for the plan to tell the mistake; so do the options of `sweep.zip` and
    `sweep.points`, each of which says itself what belongs together.

    Args:
        space: of the sweep, with what choices say of the sweep themselves.
        every: combinations of choices of the sweep.
    """
    if len(every) < 2:
        return space
    groups = {group for each in every for group in each.choices}
    axes = [axis if axis.key in groups else _limited(axis, every) for axis in space.axes]
    fixed, partly = [], list(space.partly)
    for text in space.fixed:
        override = read(text)
        when = None if override.key_or_group in groups else _when(override.get_key_element(), every)
        if when is None:
            fixed.append(text)
        else:
            partly.append((text, when))
    made = replace(space, fixed=tuple(fixed), axes=tuple(axes), partly=tuple(partly))
    deciding = {group for each in made.decisions for group in each}
    first = [axis for axis in axes if axis.key in deciding]
    return replace(made, axes=(*first, *(axis for axis in axes if axis.key not in deciding)))


def hints(space: Space, every: Sequence[Combination]) -> Iterator[str]:
    """Yield a sentence for each option that is left out with a choice whose builder takes it all the same."""
    limited = [(axis.prefix, axis.when) for axis in space.axes] + [(key_of(text), when) for text, when in space.partly]
    for option, when in limited:
        if when is None or option.startswith("+"):
            continue
        others = [each.choices for each in every if not each.has(option) and each.takes(option)]
        if names := dict.fromkeys(words_of({group: each[group] for group in when.groups}) for each in others):
            yield (
                f"{option} applies to {when.words} only, though {' and '.join(names)} could take it too: "
                f"++{option} sets it there as well"
            )


def rows(space: Space, *, are_counted: bool) -> dict[str, str]:
    """Return what is said on the screen of a space in which options apply to some choices only.

    Args:
        space: of the sweep.
        are_counted: whether to say how many jobs each choice has.
    """
    short = short_names(space.keys)
    keys = [axis.key for axis in space.axes]
    limited = [
        f"{short[axis.key]}{f' {axis.words}' * (keys.count(axis.key) > 1)} to {axis.when.words}"
        for axis in space.axes
        if axis.when is not None
    ]
    limited += [f"{redact(text)} to {when.words}" for text, when in space.partly]
    if not limited:
        return {}
    told = {"applies": f"{'; '.join(limited)}; left out elsewhere"}
    counts = [f"{space.size_with(each):,} with {words_of(each)}" for each in space.decisions]
    if are_counted and len(counts) <= _MOST_COUNTS:
        told["of these"] = ", ".join(counts)
    return told


def _chosen(space: Space, groups: set[str]) -> Iterator[tuple[str, ...]]:
    """Yield the overrides that choose groups, in each combination."""
    swept = [[axis.override(value) for value in axis.values] for axis in space.axes if axis.key in groups]
    for point in space.points:
        of_point = [text for text in point if read(text).key_or_group in groups]
        for chosen in itertools.product(*swept):
            yield (*of_point, *chosen)


def _limited(axis: Axis, every: Sequence[Combination]) -> Axis:
    """Return an axis that applies, of the choices for which it was given, to those that have its option."""
    wanted = [each for each in every if axis.applies(each.choices)]
    when = _when(axis.prefix, wanted)
    if when is None:
        return axis
    applies = [each in wanted and when.holds(each.choices) for each in every]
    return replace(axis, when=conditions.of([each.choices for each in every], applies))


def _when(option: str, every: Sequence[Combination]) -> Condition | None:
    return conditions.of([each.choices for each in every], [each.has(option) for each in every])
