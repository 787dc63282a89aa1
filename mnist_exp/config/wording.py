"""How a value is shown to a person, and which name was meant: "did you mean …?"."""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mnist_exp.errors import plural, printable

_LONGEST = 60  # characters of a name
_READS_AS_OTHER = re.compile(r"[+-]?[\d_]*\.?\d+([eE][+-]?\d+)?|true|false|null|nan|[+-]?inf", re.IGNORECASE)


def unknown(path: str, name: str, names: Iterable[str], prefix: str = "") -> str:
    """Return the sentence for an option that does not exist, with the nearest one that does."""
    names = list(names)
    guess = nearest(name, names)
    if not names:
        return f"{show(path)} does not exist: {prefix.rstrip('.') or 'this section'} has no options here"
    fix = f"did you mean {prefix}{guess}?" if guess else f"there are {', '.join(prefix + n for n in sorted(names))}"
    return f"{show(path)} does not exist: {fix}"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name that a typo most likely meant, or None; case does not matter."""
    by_lower = {each.lower(): each for each in reversed(list(names))}
    # Matching takes time with the square of the length; no name is that long.
    close = difflib.get_close_matches(name[:100].lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def examples(shape: Sequence[int]) -> str:
    """Return what examples of a shape are, in words: `images 28×28×1`, `series 100×8`, `rows of 30 features`."""
    if len(shape) == 1:
        return f"rows of {plural(shape[0], 'feature')}"
    return f"{kind(shape)} {'×'.join(map(str, shape))}"


def kind(shape: Sequence[int]) -> str:
    """Return what examples of a shape are called: rows, series, images, volumes, arrays."""
    return {1: "rows", 2: "series", 3: "images", 4: "volumes"}.get(len(shape), "arrays")


def text(value: Any) -> str:
    """Return a value as it would be written in YAML."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"'{value}'" if value == "" else str(value)


def show(value: Any) -> str:
    r"""Return a value for a person, shortened to one line, what cannot be seen written out: `\xa0`.

    A text that would be read as something else without quotes has them.
    """
    try:
        whole = text(value)
    except ValueError:  # Python does not write numbers of more than 4,300 digits.
        whole = "a number of more than 4,300 digits"
    if isinstance(value, str) and (_READS_AS_OTHER.fullmatch(value) or value != value.strip()):
        whole = f"'{value}'"
    whole = printable(whole[:200])
    return whole if len(whole) < 200 else f"{whole[:197]}..."


def metric(value: float) -> str:
    """Return a metric for people: four decimals, or four digits where these would say little."""
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e6 or value == 0 else f"{value:.4g}"


def number(value: float) -> str:
    """Return a metric for people as `metric` does; a whole number, as a count is, without decimals."""
    is_whole = math.isfinite(value) and value == int(value) and abs(value) < 1e15
    return f"{value:.0f}" if is_whole else metric(value)


def listed(values: Sequence[Any], most: int, named: Callable[[Any], str] = show) -> str:
    """Return the first of several values for a person, with dots if there are more.

    Args:
        values: any.
        most: how many are listed.
        named: makes a text of one.
    """
    return ", ".join(map(named, values[:most])) + (", …" if len(values) > most else "")


def short_name(name: str) -> str:
    """Return a name for a terminal, cut to 60 characters, with invisible and control characters escaped."""
    plain = printable(name[:_LONGEST])
    return plain if len(name) <= _LONGEST else f"{plain}…"


def duration(seconds: float) -> str:
    """Return a time with the unit that suits it: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(count: int) -> str:
    """Return a number of bytes with the unit that suits it: 12 kB, 3.4 MB, 1.2 GB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return plural(count, "byte")
