"""The space of a sweep: the options that it varies, their values, and the jobs that these make."""

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mnist_exp.runtime.redaction import redact
from mnist_exp.search.conditions import Choices, Condition
from mnist_exp.tracking import names

Number = int | float
_MOST_CORNERS = 64
_MOST_SHOWN = 20  # values of an option, for a person
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
        when: the choices with which the option applies, or these values of it; None if it always does.
        name: of its parameter in a study; empty for that of its option, which other values of it may have.
    """

    key: str
    prefix: str
    values: tuple[str, ...]
    interval: Interval | None = None
    is_continuous: bool = False
    when: Condition | None = None
    name: str = ""

    @property
    def parameter(self) -> str:
        """The name of its parameter in a study."""
        return self.name or self.key

    def applies(self, choices: Choices) -> bool:
        """Tell whether it is varied with these choices of groups."""
        return self.when is None or self.when.holds(choices)

    def override(self, value: Any) -> str:
        """Return the override that sets a value."""
        return f"{self.prefix}={value}"

    def listed(self, most: int) -> "Axis | None":
        """Return it with all its values in a list; None if there are more, or numbers with a fraction between them."""
        row = self.interval
        if row is None or not self.is_continuous:
            return self if len(self.values) <= most else None
        if not (isinstance(row.low, int) and isinstance(row.high, int)) or row.high - row.low >= most:
            return None
        return replace(self, values=tuple(map(str, range(row.low, row.high + 1))), is_continuous=False)

    @property
    def words(self) -> str:
        """The values for display: `16,32`, or `0.1…0.5 (log)`."""
        if self.interval is None or not self.is_continuous:
            return ",".join(self.values)
        return f"{self.interval.low}…{self.interval.high}{' (log)' * self.interval.log}"

    @property
    def brief_words(self) -> str:
        """The same, of many values some: `0,1,2,…,999 (1,000 values)`."""
        if len(self.values) <= _MOST_SHOWN:
            return self.words
        return f"{','.join(self.values[:3])},…,{self.values[-1]} ({len(self.values):,} values)"


@dataclass(frozen=True)
class Space:
    """The space of a sweep.

    Args:
        fixed: overrides that are the same in every job.
        axes: options of which all combinations are tried, each with the choices for which it applies; the first one
            varies slowest. Choices that decide whether others apply come first.
        points: combinations from `sweep.points`; each is a tuple of overrides.
        seeds: that a search races each promising point over; empty if it does not.
        partly: overrides that are the same in every job for which they apply.
    """

    fixed: tuple[str, ...]
    axes: tuple[Axis, ...]
    points: tuple[tuple[str, ...], ...] = ((),)
    seeds: tuple[int, ...] = ()
    partly: tuple[tuple[str, Condition], ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The options that differ between jobs, in the order of the command line."""
        named = [key_of(text) for point in self.points for text in point]
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
        crossed: dict[str, list[str]] = {}
        for axis in self.axes:
            crossed.setdefault(axis.key, []).append(_with_condition(axis.words, axis.when))
        raced = {names.SEED: ",".join(map(str, self.seeds))} if self.seeds else {}
        return words | {key: "; ".join(each) for key, each in crossed.items()} | raced

    @property
    def words(self) -> str:
        """The space for display: `model cnn,mlp × dropout 0.1,0.5 × filters 16,32 (model=cnn)`."""
        short = short_names(self.keys)
        crossed = [_with_condition(f"{short[axis.key]} {axis.brief_words}", axis.when) for axis in self.axes]
        listed = [f"{len(self.points)} points"] if self.points != ((),) else []
        crossed += [f"up to {len(self.seeds)} seeds"] if self.seeds else []
        return " × ".join(listed + crossed) or "the configuration as it is"

    @property
    def decisions(self) -> list[dict[str, str]]:
        """The choices of groups that decide which options apply, all combinations; one that is empty if none does."""
        found = [values_of(given, self._deciding) for given, _ in self._decided()]
        return [each for number, each in enumerate(found) if each not in found[:number]]

    @property
    def limited(self) -> list[tuple[str, ...]]:
        """The options that apply with some choices only: those that apply together, each such set once."""
        applying = [{axis.key for axis in others} for _, others in self._decided()]
        common = set.intersection(*applying) if applying else set()
        order = [key for key in self.keys if key not in common]
        return [each for each in dict.fromkeys(tuple(k for k in order if k in keys) for keys in applying) if each]

    @property
    def size(self) -> int:
        """The number of combinations."""
        return sum(math.prod(len(axis.values) for axis in others) for _, others in self._decided())

    def listed(self, most: int) -> "Space | None":
        """Return it with all values of each option in a list; None if there are more than so many combinations.

        Between two fractions there are always more. The whole numbers of an interval are as many as a list of them.
        """
        axes = [axis.listed(most) for axis in self.axes]
        whole = replace(self, axes=tuple(axis for axis in axes if axis is not None))
        return whole if len(whole.axes) == len(axes) and whole.size <= most else None

    def size_with(self, choices: Choices) -> int:
        """Return the number of combinations that have these choices, one of `decisions`."""
        return sum(
            math.prod(len(axis.values) for axis in others)
            for given, others in self._decided()
            if values_of(given, self._deciding) == choices
        )

    @property
    def sizes(self) -> str:
        """The number of values of each option, for display: `filters 16 × dropout 5`."""
        listed = [f"{len(self.points):,} points"] if self.points != ((),) else []
        crossed = [_with_condition(f"{axis.key} {len(axis.values):,}", axis.when) for axis in self.axes]
        return " × ".join(listed + crossed)

    def grid(self) -> Iterator[list[str]]:
        """Yield the overrides of each job: all combinations of the options that apply."""
        for given, others in self._decided():
            shared = self.shared(values_of(given, self._deciding))
            for chosen in itertools.product(*([axis.override(value) for value in axis.values] for axis in others)):
                yield [*shared, *given, *chosen]

    def shared(self, choices: Choices) -> list[str]:
        """Return the overrides that every job with these choices has."""
        return [*self.fixed, *(text for text, when in self.partly if when.holds(choices))]

    def corners(self) -> Iterator[list[str]]:
        """Yield overrides for the corners of the space, to check it before a search.

        These are all combinations of the values of lists and the two ends of intervals; if there are more than 64,
        fewer combinations, in which each of these values occurs at least once.
        """
        decided = [(given, others, [_ends(axis) for axis in others]) for given, others in self._decided()]
        is_small = sum(math.prod(map(len, ends)) for *_, ends in decided) <= _MOST_CORNERS
        first = [f"{names.SEED}={self.raced_from}"] if self.seeds else []
        for given, others, ends in decided:
            if is_small:
                chosen: Iterator[tuple[str, ...]] = itertools.product(*ends)
            else:
                longest = max(map(len, ends), default=1)
                chosen = (tuple(values[min(i, len(values) - 1)] for values in ends) for i in range(longest))
            shared = self.shared(values_of(given, self._deciding))
            for values in chosen:
                at = (axis.override(value) for axis, value in zip(others, values, strict=True))
                yield [*shared, *given, *at, *first]

    @property
    def _deciding(self) -> list[str]:
        conditions = [*(axis.when for axis in self.axes), *(when for _, when in self.partly)]
        return list(dict.fromkeys(group for when in conditions if when is not None for group in when.groups))

    def _decided(self) -> Iterator[tuple[tuple[str, ...], list[Axis]]]:
        """Yield each point with choices that decide what applies, and the other axes: those that do apply."""
        groups = self._deciding
        deciding = [axis for axis in self.axes if axis.key in groups]
        others = [axis for axis in self.axes if axis.key not in groups]
        for point in self.points:
            for chosen in itertools.product(*([axis.override(value) for value in axis.values] for axis in deciding)):
                choices = values_of([*point, *chosen], groups)
                yield (*point, *chosen), [axis for axis in others if axis.applies(choices)]


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
    written = {key_of(text): text.partition("=")[2] for text in overrides}
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


def _with_condition(words: str, when: Condition | None) -> str:
    return words if when is None else f"{words} ({when.words})"


def _ends(axis: Axis) -> tuple[str, ...]:
    ends = axis.values if axis.interval is None else (axis.values[0], axis.values[-1])
    return tuple(dict.fromkeys(ends))


def key_of(text: str) -> str:
    """Return the option or group of an override."""
    return text.partition("=")[0].lstrip("+~").partition("@")[0]
