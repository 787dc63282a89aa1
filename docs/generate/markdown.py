"""Pieces of Markdown."""

import re
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


def prose(text: str) -> str:
    """Return a sentence with no mark-up but code between backticks: `_target_` is a name, not emphasis."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([_*\[\]<>])", r"\\\1", part) for part in parts)


def block(text: str, language: str = "text") -> str:
    """Return a text as a block of code."""
    return f"````{language}\n{text.strip()}\n````\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
