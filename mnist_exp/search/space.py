"""The space of a sweep: axes parsed from Hydra's overrides, as a grid or as a space to search."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import FloatRange, IntervalSweep, Override, Quote, QuotedString, RangeSweep
from hydra.errors import HydraException

from mnist_exp.composition.overrides import read
from mnist_exp.composition.overrides import values as values_in
from mnist_exp.config import fields
from mnist_exp.config.schema import SweepSettings
from mnist_exp.errors import SettingsError
from mnist_exp.runtime.redaction import redact

Number = int | float
# Where the runs are recorded, and how the sweep goes about it, is the same for all jobs.
_NOT_SWEPT = ("hydra", "tracking", "sweep")
_PLAIN = re.compile(r"[\w./-]+", re.ASCII)
_MOST_CORNERS = 64


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`, both included; whole numbers if both are whole."""

    low: Number
    high: Number
    step: Number | None = None
    log: bool = False


@dataclass(frozen=True)
class Axis:
    """One option that is swept.

    Args:
        key: its path or group: model.filters.
        prefix: what stands before the `=` of an override: model.filters, or +model.filters.
        values: as written in overrides; the two ends of an interval.
        interval: where the values are numbers in a row; None for a choice.
        is_continuous: whether there is more between the values, so that only a search can go through it.
    """

    key: str
    prefix: str
    values: tuple[str, ...]
    interval: Interval | None = None
    is_continuous: bool = False

    @property
    def words(self) -> str:
        """The values in words."""
        if self.interval is None or not self.is_continuous:
            return ",".join(self.values)
        return f"{self.interval.low}…{self.interval.high}{' (log)' * self.interval.log}"


@dataclass(frozen=True)
class Space:
    """The space of a sweep.

    Args:
        fixed: overrides that every job has.
        axes: what is crossed, the first one slowest.
        points: combinations given as such, each the overrides of one.
    """

    fixed: tuple[str, ...]
    axes: tuple[Axis, ...]
    points: tuple[tuple[str, ...], ...] = ((),)

    @property
    def keys(self) -> tuple[str, ...]:
        """The options that differ between jobs, in the order of the command line."""
        named = [_key(text) for point in self.points for text in point]
        return tuple(dict.fromkeys([*named, *(axis.key for axis in self.axes)]))

    @property
    def words_of(self) -> dict[str, str]:
        """The values of each option in words."""
        listed = {key: [values_of(point, [key]).get(key) for point in self.points] for key in self.keys}
        words = {key: ",".join(dict.fromkeys(v for v in values if v is not None)) for key, values in listed.items()}
        return words | {axis.key: axis.words for axis in self.axes}

    @property
    def words(self) -> str:
        """The space in words: `filters 16,32 × dropout 0.1,0.5`."""
        short = short_names(self.keys)
        crossed = [f"{short[axis.key]} {axis.words}" for axis in self.axes]
        listed = [f"{len(self.points)} points"] if self.points != ((),) else []
        return " × ".join(listed + crossed) or "the configuration as it is"

    @property
    def size(self) -> int:
        """How many combinations there are."""
        return len(self.points) * math.prod(len(axis.values) for axis in self.axes)

    @property
    def sizes(self) -> str:
        """The number of values of each option in words: `filters 16 × dropout 5`."""
        listed = [f"{len(self.points):,} points"] if self.points != ((),) else []
        return " × ".join(listed + [f"{axis.key} {len(axis.values):,}" for axis in self.axes])

    def grid(self) -> Iterator[list[str]]:
        """Yield the overrides of each job, every combination."""
        choices = [[f"{axis.prefix}={value}" for value in axis.values] for axis in self.axes]
        for point in self.points:
            for chosen in itertools.product(*choices):
                yield [*self.fixed, *point, *chosen]

    def corners(self) -> Iterator[list[str]]:
        """Yield overrides that reach every end of the space: all combinations of ends, or each end at least once."""
        ends = [a.values if a.interval is None else (a.values[0], a.values[-1]) for a in self.axes]
        ends = [tuple(dict.fromkeys(values)) for values in ends]
        if math.prod(map(len, ends)) <= _MOST_CORNERS:
            chosen: Iterator[tuple[str, ...]] = itertools.product(*ends)
        else:
            longest = max(map(len, ends))
            chosen = (tuple(values[min(i, len(values) - 1)] for values in ends) for i in range(longest))
        for values in chosen:
            yield [*self.fixed, *(f"{axis.prefix}={value}" for axis, value in zip(self.axes, values, strict=True))]


def parse(
    params: Mapping[str, Any], arguments: Sequence[str], settings: SweepSettings, loader: ConfigLoader | None = None
) -> Space:
    """Return the space that a preset and a command line describe; the command line wins.

    Args:
        params: `hydra.sweeper.params`, option by option.
        arguments: the overrides of the command line.
        settings: whether values are zipped, and the points.
        loader: Hydra's, which knows what `glob` stands for.
    Raises: SettingsError: something in it cannot be swept over.
    """
    overrides: dict[str, Override] = {}
    problems: list[str] = []
    for text in [*(f"{key}={fields.text(value)}" for key, value in params.items()), *arguments]:
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
            if not key.startswith("sweep."):  # How the sweep goes is nothing to a job.
                fixed.append(override.input_line or "")
        elif not _may_vary(key):
            problems.append(_same_for_all(key))
        else:
            try:
                axes.append(_axis(override, distinct=not settings.zip))
            except SettingsError as error:
                problems += error.problems
            except (HydraException, ValueError) as error:
                problems.append(f"{fields.show(override.input_line)} cannot be swept over: {error}")
    points = [tuple(_point_text(key, value) for key, value in point.items()) for point in settings.points or [{}]]
    listed = dict.fromkeys(_key(text) for point in points for text in point)
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


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return each option's last name, or its whole path where two would be the same."""
    last = [key.rpartition(".")[2] for key in keys]
    return {key: name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)}


def values_of(overrides: Sequence[str], keys: Sequence[str]) -> dict[str, str]:
    """Return the value, as written, of each of some options in a list of overrides; absent ones are left out."""
    found = {_key(text): text.partition("=")[2] for text in overrides}
    return {key: found[key] for key in keys if key in found}


def number(value: str) -> float | None:
    """Parse a value of an override as a finite number; None if it is something else."""
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def brief(value: str) -> str:
    """Return a value of an override for display: long numbers with four digits."""
    found = number(value)
    return f"{found:.4g}" if found is not None and len(value) > 8 else value


def label(overrides: Sequence[str], keys: Sequence[str]) -> str:
    """Return the swept values of a job: `filters=16 dropout=0.1`; long numbers with four digits."""
    names = short_names(keys)
    return redact(" ".join(f"{names[key]}={brief(value)}" for key, value in values_of(overrides, keys).items()))


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
    """Return the numbers of a range; those with decimals as they are written, 0.3 and not 0.30000000000000004."""
    whole = swept.range()
    if isinstance(whole, range):
        return list(whole)
    return list(FloatRange(*(Decimal(str(end)) for end in (swept.start, swept.stop, swept.step))))


def _zipped(space: Space) -> tuple[Space, list[str]]:
    lengths = {axis.key: len(axis.values) for axis in space.axes}
    if any(axis.is_continuous for axis in space.axes):
        return space, ["sweep.zip=true needs lists of values: an interval has none"]
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        return space, [f"sweep.zip=true takes values together, so that each option needs as many: {found}"]
    rows = list(zip(*([f"{axis.prefix}={value}" for value in axis.values] for axis in space.axes), strict=True))
    points = [(*point, *row) for point in space.points for row in rows] if space.axes else list(space.points)
    return replace(space, axes=(), points=tuple(points)), []


def _point_text(key: str, value: Any) -> str:
    # Hydra's own way to write a value such that it reads the same one again.
    return f"{key}={Override._get_value_element_as_str(_quoted(value))}"


def _quoted(value: Any) -> Any:
    """Return a value with quotes around texts that Hydra would parse as something else."""
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    if isinstance(value, dict):
        return {name: _quoted(item) for name, item in value.items()}
    if isinstance(value, str) and not (_PLAIN.fullmatch(value) and _reads_as_text(value)):
        return QuotedString(value, Quote.single)
    return value


def _reads_as_text(value: str) -> bool:
    try:
        return isinstance(OverridesParser.create().parse_rule(value, "element"), str)
    except HydraException:
        return False


def _may_vary(key: str) -> bool:
    return re.split(r"[./]", key)[0] not in _NOT_SWEPT


def _same_for_all(key: str) -> str:
    return f"{key} cannot be swept over: it is the same for all jobs of a sweep"


def _key(text: str) -> str:
    return text.partition("=")[0].lstrip("+~").partition("@")[0]
