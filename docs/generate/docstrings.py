"""Docstrings as this project writes them, for Sphinx: a section of one line has its text behind its name."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

_SECTION = re.compile(r"(?P<name>Returns|Yields|Raises|Source): (?P<text>.+)")
_IN_ONE_LINE = re.compile(r"(?P<sentence>.*[.)]) (?P<section>Raises: .+)")

# `Annotated[list[int], FieldInfo(…)]` up to its last bracket, of which two may be open within it.
_INNER = r"(?:[^\[\]]|\[(?:[^\[\]]|\[[^\[\]]*\])*\])"
_RANGE = re.compile(rf"Annotated\[(?P<kind>[~\w.]+(?:\[[^\[\]]*\])?), {_INNER}*\]")


def split_sections(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Put the text of `Returns: …`, `Raises: …` and `Source: …` on a line of its own, where Sphinx expects it."""
    lines[:] = _sections(_apart(lines))


def readable_defaults(
    app: Any, what: str, name: str, thing: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Return a signature that a person and Sphinx can read: without ranges, which the reference of options has.

    With a dataclass's `<factory>` in it, Sphinx breaks a line at every comma.
    """
    shown = (signature or "").replace("<factory>", "...")
    for _ in range(2):  # Those of a list's elements first.
        shown = _RANGE.sub(r"\g<kind>", shown)
    return signature and shown, returns


def _apart(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines; one that holds both, as `Do this. Raises: SettingsError: why.`, as two."""
    for line in lines:
        both = _IN_ONE_LINE.fullmatch(line)
        yield from (both["sentence"], "", both["section"]) if both else (line,)


def _sections(lines: Iterable[str]) -> Iterator[str]:
    is_within = False
    for line in lines:
        section = _SECTION.fullmatch(line)
        if section:
            is_within = True
            yield from ("", f"{section['name']}:", f"    {section['text']}")
            continue
        is_within &= bool(line.strip())
        # A second line of a section begins below its name, or is indented already.
        yield f"    {line}" if is_within and not line.startswith(" ") else line
