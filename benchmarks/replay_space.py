"""The space of a table as a library is given it: a parameter for each option, and with which part each one applies.

A number is given as the index of its level, anything else as text. A table of several parts has the part as its first
parameter, and the levels of an option that differ between parts are parameters of their own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from curve_tables import Table

PART = "part"


@dataclass(frozen=True)
class Parameter:
    """One that a library draws.

    Args:
        name: of its own.
        option: of the table, which it sets; `PART` for the part.
        levels: of the option.
        parts: the names of the parts with which it applies; empty for all.
    """

    name: str
    option: str
    levels: tuple[Any, ...]
    parts: tuple[str, ...] = ()

    @property
    def is_ordered(self) -> bool:
        """Whether the levels are numbers, which a sampler takes in their order."""
        return all(isinstance(level, int | float) for level in self.levels)

    @property
    def texts(self) -> list[str]:
        """The levels as choices."""
        return list(map(str, self.levels))

    @property
    def last(self) -> int:
        """The index of the last level."""
        return len(self.levels) - 1

    def index(self, value: Any) -> int:
        """Return the index of the level that was drawn."""
        return int(value) if self.is_ordered else self.texts.index(str(value))

    def applies(self, part: str) -> bool:
        """Tell whether it applies with a part."""
        return not self.parts or part in self.parts


class Space:
    """The space of a table.

    Args:
        table: recorded curves.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    @cached_property
    def names(self) -> list[str]:
        """The names of the parts: what their first override chooses, or their numbers."""
        fixed = [part.get("fixed") or [f"part={number}"] for number, part in enumerate(self._table.about["parts"])]
        return [str(overrides[0]).partition("=")[2] for overrides in fixed]

    @cached_property
    def parameters(self) -> list[Parameter]:
        """All parameters, the part first if there are several."""
        parts = dict(zip(self.names, self._table.parts, strict=True))
        if len(parts) == 1:
            (levels,) = parts.values()
            return [Parameter(option, option, tuple(values)) for option, values in levels.items()]
        found = [Parameter(PART, PART, tuple(parts))]
        for option in dict.fromkeys(option for levels in parts.values() for option in levels):
            having: dict[tuple[str, ...], list[str]] = {}
            for name, levels in parts.items():
                if option in levels:
                    having.setdefault(tuple(map(str, levels[option])), []).append(name)
            for names in having.values():
                name = option if len(having) == 1 else f"{option} of {' and '.join(names)}"
                some = () if len(names) == len(parts) else tuple(names)
                found.append(Parameter(name, option, tuple(parts[names[0]][option]), some))
        return found

    def draw(self, one: Callable[[Parameter], Any]) -> dict[str, Any]:
        """Return values of the parameters that apply, drawn one by one: the part decides about those after it.

        Args:
            one: draws a parameter.
        """
        values: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.applies(values.get(PART, "")):
                values[parameter.name] = one(parameter)
        return values

    def cell(self, values: Mapping[str, Any]) -> int:
        """Return the cell of the table with these values of the parameters; those that do not apply are ignored."""
        at = self.draw(lambda parameter: values[parameter.name])
        of = {each.option: each.index(at[each.name]) for each in self.parameters if each.name in at}
        return self._table.cell(of.pop(PART, 0), of)
