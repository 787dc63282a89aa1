"""Parse the space of a sweep from Hydra's overrides."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import FloatRange, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from mnist_exp.composition.overrides import read
from mnist_exp.composition.overrides import values as values_in
from mnist_exp.config import wording
from mnist_exp.config.schema import SweepSettings
from mnist_exp.errors import SettingsError
from mnist_exp.search import written
from mnist_exp.search.space import Axis, Interval, Number, Space, key_of

# All jobs of a sweep are recorded in the same store and launched in the same way.
_NOT_SWEPT = ("hydra", "tracking", "sweep")


def parse(
    params: Mapping[str, Any], arguments: Sequence[str], settings: SweepSettings, loader: ConfigLoader | None = None
) -> Space:
    """Return the space of a sweep from its preset and its command line; the command line wins.

    Args:
        params: `hydra.sweeper.params`: the values of each option in the preset.
        arguments: the overrides of the command line.
        settings: the options `sweep.*`; `zip` and `points` are used.
        loader: Hydra's config loader, which resolves `glob(…)`; None if it is not needed.
    Raises: SettingsError: an override is wrong, or its option cannot be swept over.
    """
    overrides: dict[str, Override] = {}
    problems: list[str] = []
    for text in [*(f"{key}={wording.text(value)}" for key, value in params.items()), *arguments]:
        try:
            override = read(text, loader)
        except SettingsError as error:
            problems += error.problems
            continue
        overrides[override.key_or_group] = override
    fixed: list[str] = []
    axes: list[Axis] = []
    for key, override in overrides.items():
        if not override.is_sweep_override():
            if not key.startswith("sweep."):  # Jobs do not need the options of the sweep.
                fixed.append(override.input_line or "")
        elif not _may_vary(key):
            problems.append(_same_for_all(key))
        else:
            try:
                axes.append(_axis(override, distinct=not settings.zip))
            except SettingsError as error:
                problems += error.problems
            except (HydraException, ValueError) as error:
                problems.append(f"{wording.show(override.input_line)} cannot be swept over: {error}")
    points = [tuple(written.override(key, value) for key, value in point.items()) for point in settings.points or [{}]]
    listed = dict.fromkeys(key_of(text) for point in points for text in point)
    problems += [_same_for_all(key) for key in listed if not _may_vary(key)]
    twice = {axis.key for axis in axes} & listed.keys()
    problems += [
        f"{key} is swept over both on its own and in sweep.points: give only one of the two" for key in sorted(twice)
    ]
    space = Space(tuple(fixed), tuple(axes), tuple(points))
    if settings.zip:
        space, problem = _zipped(space)
        problems += problem
    if problems:
        raise SettingsError(problems)
    return space


def _axis(override: Override, *, distinct: bool) -> Axis:
    swept = override.value()
    key, prefix = override.key_or_group, override.get_key_element()
    if isinstance(swept, IntervalSweep):
        assert swept.start is not None and swept.end is not None
        if swept.start >= swept.end:
            raise HydraException(f"its start {swept.start} must be below its end {swept.end}")
        if "log" in swept.tags and swept.start <= 0:
            raise HydraException(f"the start {swept.start} of a logarithmic interval must be above 0")
        interval = Interval(swept.start, swept.end, log="log" in swept.tags)
        return Axis(key, prefix, (str(swept.start), str(swept.end)), interval, is_continuous=True)
    row = None
    listed = tuple(values_in(override))
    if isinstance(swept, RangeSweep) and not swept.shuffle and listed:
        numbers = _numbers(swept)
        values = tuple(map(str, numbers))
        row = Interval(min(numbers), max(numbers), abs(swept.step)) if len(numbers) > 1 else None
    else:
        values = listed
    if not values:
        raise HydraException("it has no value")
    return Axis(key, prefix, tuple(dict.fromkeys(values)) if distinct else values, row)


def _numbers(swept: RangeSweep) -> list[Number]:
    """Return the numbers of a range, exact in decimals: 0.3 and not 0.30000000000000004."""
    whole = swept.range()
    if isinstance(whole, range):
        return list(whole)
    return list(FloatRange(*(Decimal(str(end)) for end in (swept.start, swept.stop, swept.step))))


def _zipped(space: Space) -> tuple[Space, list[str]]:
    lengths = {axis.key: len(axis.values) for axis in space.axes}
    if any(axis.is_continuous for axis in space.axes):
        return space, ["sweep.zip=true needs lists of values: an interval has none"]
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        return space, [f"sweep.zip=true pairs the values, so each option needs the same number of values: {counts}"]
    rows = list(zip(*([f"{axis.prefix}={value}" for value in axis.values] for axis in space.axes), strict=True))
    points = [(*point, *row) for point in space.points for row in rows] if space.axes else list(space.points)
    return replace(space, axes=(), points=tuple(points)), []


def _may_vary(key: str) -> bool:
    return re.split(r"[./]", key)[0] not in _NOT_SWEPT


def _same_for_all(key: str) -> str:
    return f"{key} cannot be swept over: it must be the same in all jobs of a sweep"
