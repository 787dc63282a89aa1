"""`sweep.seeds`: a grid runs each combination with so many seeds, a search races its points over them."""

from dataclasses import replace
from typing import Any

from mnist_exp.errors import SettingsError
from mnist_exp.search.space import Axis, Space
from mnist_exp.tracking import names

_MOST = 2**32


def added(space: Space, count: int, first: Any, *, is_search: bool) -> Space:
    """Return a space with its seeds: the one of the configuration, and those that follow it.

    Args:
        space: as the command line has it.
        count: `sweep.seeds`.
        first: the seed of the configuration; anything but a number is refused later, with the configuration.
        is_search: whether it is searched; else a grid.
    Raises: SettingsError: the seed is swept over already.
    """
    if count == 1 or not isinstance(first, int):
        return space
    if names.SEED in space.keys:
        raise SettingsError(
            f"sweep.seeds={count} tries the seeds {first}, {first + 1}, … and seed is swept over, too: give only one "
            "of the two"
        )
    seeds = tuple((first + place) % _MOST for place in range(count))
    # Each job has a seed of its own.
    fixed = tuple(text for text in space.fixed if text.partition("=")[0].lstrip("+") != names.SEED)
    if is_search:
        return replace(space, fixed=fixed, seeds=seeds)
    return replace(space, fixed=fixed, axes=(*space.axes, Axis(names.SEED, names.SEED, tuple(map(str, seeds)))))
