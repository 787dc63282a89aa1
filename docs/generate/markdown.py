"""Pieces of Markdown."""

import re
import textwrap
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, with what a cell must not hold written otherwise."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(map(_cell, line)) + " |\n" for line in lines)


def code(text: str) -> str:
    """Return a text as code within a sentence; nothing for none."""
    if not text:
        return ""
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


def flags(text: str) -> str:
    """Return a text with its flags as code: two dashes would become one long one."""
    return _outside_code(r"(?<![\w-])--[a-z][\w-]*", r"`\g<0>`", text)


def prose(text: str) -> str:
    """Return a sentence with no mark-up but code between backticks: `_target_` is a name, not emphasis."""
    return _outside_code(r"[_*\[\]<>]", r"\\\g<0>", flags(text))


def _outside_code(pattern: str, replacement: str, text: str) -> str:
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if part.startswith("`") else re.sub(pattern, replacement, part) for part in parts)


def block(text: str, language: str = "text") -> str:
    """Return a text as a block of code."""
    return f"````{language}\n{textwrap.dedent(text).strip()}\n````\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
