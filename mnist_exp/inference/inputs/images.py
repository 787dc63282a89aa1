"""The images that a command line names: files, folders, patterns, standard input."""

import glob
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mnist_exp.data.images.files import SUFFIXES
from mnist_exp.errors import DataError, SettingsError

STDIN = "-"
LARGEST = 200_000_000  # bytes of an image from standard input
_PATTERN = re.compile(r"[*?\[]")
# Images that begin as a text does: PNM. All others have bytes near their start that no text has.
_PNM = re.compile(rb"P[1-6]\s+([\d#]|$)")
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
_LONGEST_PATH = 8192  # bytes


@dataclass(frozen=True)
class Image:
    """One image to classify.

    Args:
        path: for people; - for standard input.
        source: the file, what one holds, or why there is none.
    """

    path: str
    source: Path | bytes | DataError


def find(names: Sequence[str]) -> list[Image | None]:
    """Return the images that a command line names, with None in place of standard input; nothing is read yet.

    Args:
        names: of files, folders (all images in them and in their subfolders, sorted), patterns, or - .
    Raises: SettingsError: none of them names an image.
    """
    if names.count(STDIN) > 1:
        raise SettingsError("IMAGE=- is named twice, but standard input can be read once")
    found = [image for name in names for image in ([None] if name == STDIN else _named(name))]
    problems = [image.source for image in found if image is not None and isinstance(image.source, DataError)]
    if len(problems) == len(found):
        raise SettingsError([str(problem) for problem in problems])
    return found


def all_of(found: Sequence[Image | None], stdin: BinaryIO | None = None) -> Iterator[Image]:
    """Yield the images, and those of standard input as they arrive."""
    for image in found:
        if image is None:
            yield from _piped(stdin or sys.stdin.buffer)
        else:
            yield image


def _named(name: str) -> list[Image]:
    path = Path(name)
    if name and _is_dir(path):
        return [Image(str(file), file) for file in _in_folder(path)] or [
            Image(name, DataError(f"{name} has no image ({', '.join(sorted(SUFFIXES))})"))
        ]
    if name and not os.path.lexists(path) and _PATTERN.search(name):
        matched = _matching(name)
        files = [file for match in matched for file in (_in_folder(match) if _is_dir(match) else [match])]
        return [Image(str(file), file) for file in files] or [Image(name, DataError(f"{name} matches no file"))]
    if not name or not os.path.lexists(path):
        return [Image(name, DataError(f"{name or repr(name)} does not exist"))]
    return [Image(name, path)]


def _matching(pattern: str) -> list[Path]:
    try:
        return [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207  as shells do
    except (OSError, ValueError):  # A name of standard input may have a NUL.
        return []


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # A name that is too long, or has a NUL.
        return False


def _in_folder(folder: Path) -> list[Path]:
    files = [
        Path(place) / name
        for place, _, names in os.walk(folder)
        for name in names
        if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
    ]
    return sorted(files)


def _piped(stdin: BinaryIO) -> Iterator[Image]:
    """Yield the image in standard input, or the images whose paths are its lines."""
    head = stdin.readline(_LONGEST_PATH)
    is_text = not (_PNM.match(head) or _NO_TEXT.search(head) or not _is_utf8(head))
    if not is_text:
        content = head + stdin.read(LARGEST)
        too_long = DataError(f"standard input has more than {LARGEST:,} bytes: name a file")
        yield Image(STDIN, too_long if len(content) > LARGEST else content)
        return
    lines = 0
    while head:
        if name := os.fsdecode(head).rstrip("\r\n"):
            lines += 1
            yield from _named(name)
        head = stdin.readline(_LONGEST_PATH)
    if not lines:
        yield Image(STDIN, DataError("standard input is empty: it must be an image, or paths, one a line"))


def _is_utf8(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError:
        return False
    return True
