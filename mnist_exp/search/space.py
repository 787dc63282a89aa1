"""The space of a sweep: the options that it varies and their values, parsed from Hydra's overrides."""

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
from mnist_exp.config import wording
from mnist_exp.config.schema import SweepSettings
from mnist_exp.errors import SettingsError
from mnist_exp.runtime.redaction import redact
from mnist_exp.tracking import names

Number = int | float
# All jobs of a sweep are recorded in the same store and launched in the same way.
_NOT_SWEPT = ("hydra", "tracking", "sweep")
_PLAIN = re.compile(r"[\w./-]+", re.ASCII)
_MOST_CORNERS = 64
# Hydra writes an interpolation that is one of several values so, for the shell and its own grammar.
_ESCAPED = re.compile(r"\$\\\{(.*?)\\\}")


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`, both included; whole numbers if both are whole."""

    low: Number
    high: Number
    step: Number | None = None
    log: bool = False


@dataclass(frozen=True)
class Axis:
    """One option that the sweep varies.

    Args:
        key: the option or group, such as model.filters.
        prefix: the part of its override before the `=`, such as model.filters or +model.filters.
        values: the values as written in overrides; for an interval, its two ends.
        interval: the numbers from the lowest to the highest; None if the values are a plain list.
        is_continuous: whether values between the listed ones are allowed; then only a search can sweep over it.
    """

    key: str
    prefix: str
    values: tuple[str, ...]
    interval: Interval | None = None
    is_continuous: bool = False

    @property
    def words(self) -> str:
        """The values for display: `16,32`, or `0.1…0.5 (log)`."""
        if self.interval is None or not self.is_continuous:
            return ",".join(self.values)
        return f"{self.interval.low}…{self.interval.high}{' (log)' * self.interval.log}"


@dataclass(frozen=True)
class Space:
    """The space of a sweep.

    Args:
        fixed: overrides that are the same in every job.
        axes: options of which all combinations are tried; the first one varies slowest.
        points: combinations from `sweep.points`; each is a tuple of overrides.
        seeds: that a search races each promising point over; empty if it does not.
    """

    fixed: tuple[str, ...]
    axes: tuple[Axis, ...]
    points: tuple[tuple[str, ...], ...] = ((),)
    seeds: tuple[int, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The options that differ between jobs, in the order of the command line."""
        named = [_key(text) for point in self.points for text in point]
        raced = [names.SEED] if self.seeds else []
        return tuple(dict.fromkeys([*named, *(axis.key for axis in self.axes), *raced]))

    @property
    def raced_from(self) -> str:
        """The first seed of a race, which every point gets; empty if there is no race."""
        return str(self.seeds[0]) if self.seeds else ""

    @property
    def words_of(self) -> dict[str, str]:
        """The values of each option, for display."""
        listed = {key: [values_of(point, [key]).get(key) for point in self.points] for key in self.keys}
        words = {key: ",".join(dict.fromkeys(v for v in values if v is not None)) for key, values in listed.items()}
        raced = {names.SEED: ",".join(map(str, self.seeds))} if self.seeds else {}
        return words | {axis.key: axis.words for axis in self.axes} | raced

    @property
    def words(self) -> str:
        """The space for display: `filters 16,32 × dropout 0.1,0.5`."""
        short = short_names(self.keys)
        crossed = [f"{short[axis.key]} {axis.words}" for axis in self.axes]
        listed = [f"{len(self.points)} points"] if self.points != ((),) else []
        crossed += [f"up to {len(self.seeds)} seeds"] if self.seeds else []
        return " × ".join(listed + crossed) or "the configuration as it is"

    @property
    def size(self) -> int:
        """The number of combinations."""
        return len(self.points) * math.prod(len(axis.values) for axis in self.axes)

    @property
    def sizes(self) -> str:
        """The number of values of each option, for display: `filters 16 × dropout 5`."""
        listed = [f"{len(self.points):,} points"] if self.points != ((),) else []
        return " × ".join(listed + [f"{axis.key} {len(axis.values):,}" for axis in self.axes])

    def grid(self) -> Iterator[list[str]]:
        """Yield the overrides of each job: all combinations."""
        choices = [[f"{axis.prefix}={value}" for value in axis.values] for axis in self.axes]
        for point in self.points:
            for chosen in itertools.product(*choices):
                yield [*self.fixed, *point, *chosen]

    def corners(self) -> Iterator[list[str]]:
        """Yield overrides for the corners of the space, to check it before a search.

        These are all combinations of the values of lists and the two ends of intervals; if there are more than 64,
        fewer combinations, in which each of these values occurs at least once.
        """
        ends = [a.values if a.interval is None else (a.values[0], a.values[-1]) for a in self.axes]
        ends = [tuple(dict.fromkeys(values)) for values in ends]
        if math.prod(map(len, ends)) <= _MOST_CORNERS:
            chosen: Iterator[tuple[str, ...]] = itertools.product(*ends)
        else:
            longest = max(map(len, ends))
            chosen = (tuple(values[min(i, len(values) - 1)] for values in ends) for i in range(longest))
        first = [f"{names.SEED}={self.raced_from}"] if self.seeds else []
        for values in chosen:
            at = (f"{axis.prefix}={value}" for axis, value in zip(self.axes, values, strict=True))
            yield [*self.fixed, *at, *first]


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
    """Return a short name for each option: the last part of its path, or the whole path if two would be the same."""
    last = [key.rpartition(".")[2] for key in keys]
    return {key: name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)}


def values_of(overrides: Sequence[str], keys: Sequence[str]) -> dict[str, str]:
    """Return the values of some options in a list of overrides, as written; options without an override are left out.

    Args:
        overrides: of a job.
        keys: the options.
    """
    written = {_key(text): text.partition("=")[2] for text in overrides}
    return {key: written[key] for key in keys if key in written}


def number(value: str) -> float | None:
    """Return a value of an override as a number; None if it is no finite number."""
    try:
        parsed = float(value)
    except ValueError:
        return None
    return parsed if math.isfinite(parsed) else None


def brief(value: str) -> str:
    """Return a value of an override for display; numbers longer than 8 characters are rounded to four digits."""
    parsed = number(value)
    return f"{parsed:.4g}" if parsed is not None and len(value) > 8 else _ESCAPED.sub(r"${\1}", value)


def label(overrides: Sequence[str], keys: Sequence[str]) -> str:
    """Return the name of a job, made of its swept values: `filters=16 dropout=0.1`.

    Only numbers that a search draws are rounded: those that a person wrote may differ in their last digit.
    """
    names = short_names(keys)
    shown = {key: _drawn(value) for key, value in values_of(overrides, keys).items()}
    return redact(" ".join(f"{names[key]}={value}" for key, value in shown.items()))


def _drawn(value: str) -> str:
    """Return a value, rounded if it has as many digits as the fractions that a search draws."""
    return brief(value) if "\\" in value or ("." in value and len(value) > 12) else value


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


def _point_text(key: str, value: Any) -> str:
    # Hydra's own way to write a value such that it reads the same one again.
    return f"{key}={Override._get_value_element_as_str(_quoted(value))}"


def _quoted(value: Any) -> Any:
    """Put quotes around texts that Hydra would parse as something else."""
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
    return f"{key} cannot be swept over: it must be the same in all jobs of a sweep"


def _key(text: str) -> str:
    return text.partition("=")[0].lstrip("+~").partition("@")[0]
