"""Text files without secrets; any other file as it is."""

import csv
import io
import re
import shutil
from pathlib import Path

import yaml

from mnist_exp.runtime.redaction import (
    HIDDEN,
    is_secret_name,
    redact,
    redact_config,
    redact_json,
    redact_known,
    redact_many,
)

TEXTS = (".csv", ".diff", ".html", ".json", ".jsonl", ".log", ".md", ".txt", ".yaml", ".yml")
# In a page: programs and what is encoded, in which what looks like `token=x` is none.
_CODE = re.compile(r"(<(?:script|style)\b[^>]*>.*?</(?:script|style)>|\bdata:[\w/+.-]+;base64,[\w+/=]+)", re.DOTALL)
_MARKUP = re.compile(r"<[^>]*>|[^<]+")
_COMMENT = re.compile(r"(?<!\S)#.*")


def content(name: str, kept: bytes) -> bytes:
    """Return what a file of this name may hold: of a text without its secrets, of any other all.

    Args:
        name: of the file, by whose ending a text is known.
        kept: its content.
    """
    ending = Path(name).suffix.lower()
    if ending not in TEXTS:
        return kept
    try:
        text = kept.decode("utf-8")
    except UnicodeDecodeError:
        return redact(kept.decode("utf-8", errors="replace")).encode()
    redacted = {".yaml": _yaml, ".yml": _yaml, ".csv": _csv, ".html": _html}.get(ending, redact)(text)
    return kept if redacted == text else redacted.encode()


def write(file: Path, text: str) -> None:
    """Write a text. Raises: OSError: it cannot be written."""
    file.write_bytes(content(file.name, text.encode()))


def copy(source: str | Path, target: str | Path) -> str:
    """Copy a file, as `shutil.copyfile`. Raises: OSError: it cannot be read or written."""
    if Path(source).suffix.lower() not in TEXTS:
        shutil.copyfile(source, target)
    else:
        Path(target).write_bytes(content(str(source), Path(source).read_bytes()))
    return str(target)


def _yaml(text: str) -> str:
    """Redact value by value, so that it can be read back: `***` without quotes cannot."""
    redacted = redact(text)
    if redacted == text:
        return text
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return redacted
    if redact_config(value) == value:
        return _COMMENT.sub(lambda found: redact(found[0]), text)
    head = re.match(r"(?:#[^\n]*\n)*", text)
    return redact(head[0] if head else "") + yaml.safe_dump(redact_config(value), sort_keys=False, allow_unicode=True)


def _csv(text: str) -> str:
    """Redact cell by cell, and whole columns that are named so; a table without secrets is not even parsed."""
    head, _, _ = text.partition("\n")
    names = next(csv.reader([head]), [])
    secret = {place for place, name in enumerate(names) if is_secret_name(name)}
    if not secret and redact(text) == text:
        return text
    out, hide = io.StringIO(), redact_many()
    writer = csv.writer(out, lineterminator="\r\n" if head.endswith("\r") else "\n")
    for number, cells in enumerate(csv.reader(io.StringIO(text, newline=""))):
        writer.writerow(
            HIDDEN if number and cell and place in secret else hide(cell) for place, cell in enumerate(cells)
        )
    return out.getvalue()


def _html(text: str) -> str:
    parts, hide = _CODE.split(text), redact_many()
    for place, part in enumerate(parts):
        if place % 2 == 0:
            parts[place] = _MARKUP.sub(lambda found: hide(found[0]), part)
        elif re.match(r"<script\b[^>]*json", part):
            head, inner, tail = re.split(r"(?<=>)(.*)(?=<)", part, maxsplit=1, flags=re.DOTALL)
            parts[place] = head + redact_json(inner) + tail
        elif not part.startswith("data:"):
            parts[place] = redact_known(part)
    return "".join(parts)
