"""A table beside the images of a folder: which file is of which class, set and group."""

import csv
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnist_exp.config.wording import listed, show, unknown
from mnist_exp.data.images.files import SUFFIXES
from mnist_exp.data.images.folder import Listing, files_of, some
from mnist_exp.data.labels import LABEL_COLUMNS
from mnist_exp.data.lazy import Array
from mnist_exp.errors import DataError

NAMES = ("labels.csv", "metadata.csv")  # the second is Hugging Face's
_FILE = ("file", "filename", "file_name", "image", "path", "image_path", "id", "image_id", "name")
_SPLIT = ("split", "set", "subset", "partition")
PARTS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "val": ("val", "valid", "validation", "dev"),
}
_LARGEST = 200_000_000  # bytes of a table
_SHOWN = 5


@dataclass(frozen=True)
class Table:
    """Images that a table names.

    Args:
        listing: of all of them, in the order of the table.
        labels: texts (n,), as the table has them.
        parts: by train, test and val, the positions of these images; empty if the table does not say.
        groups: texts (n,), which belong together; None if nobody asked.
        told: sentences about what was found out or left out.
    """

    listing: Listing
    labels: Array
    parts: Mapping[str, Array]
    groups: Array | None
    told: tuple[str, ...]


def find(folder: Path) -> Path | None:
    """Return the table that lies in a folder, if one does."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def read(file: Path, folder: Path, *, label: str | None, group_by: str | None) -> Table:
    """Return the images that a table names.

    Args:
        file: a CSV file with a line of names, a column of files and one of labels.
        folder: with the images; their paths may lead into its subfolders, and may lack their suffix.
        label: the column of the labels; None finds it by its name.
        group_by: the column of what belongs together; None if nothing does.
    Raises: DataError: it is no such table, or names files that are not there.
    """
    header, rows = _rows(file)
    columns = {name: number for number, name in enumerate(header)}
    for option, name in (("data.label", label), ("data.group_by", group_by)):
        if name is not None and name not in columns:
            raise DataError(f"{file}: {unknown(option + '=' + name, name, list(columns), option + '=')}")
    files = _column(file, columns, _FILE, "files")
    labels = (
        label if label is not None else _column(file, columns, LABEL_COLUMNS, "labels", "data.label=NAME says which")
    )
    split = next((name for name in columns if name.lower() in _SPLIT), None)
    there = {str(path.relative_to(folder)): path for path in files_of(folder) if path.suffix.lower() in SUFFIXES}
    by_stem: dict[str, list[str]] = {}
    for name in there:
        by_stem.setdefault(os.path.splitext(name)[0], []).append(name)  # noqa: PTH122  not of a path of this system
    found, kept, missing = [], [], []
    for row in rows:
        named = row[columns[files]].strip()
        options = [named] if named in there else by_stem.get(named, [])
        if len(options) == 1:
            found.append(options[0])
            kept.append(row)
        else:
            missing.append(named)
    if missing:
        shown = listed(missing, _SHOWN)
        raise DataError(f"{file} names {len(missing):,} files of {len(rows):,} that are not in {folder}: {shown}")
    if twice := [name for name, count in Counter(found).items() if count > 1]:
        shown = listed(twice, _SHOWN)
        raise DataError(
            f"{file} names {len(twice):,} files more than once: {shown}; several labels an image are columns"
        )
    texts = np.array([row[columns[labels]].strip() for row in kept], dtype=object)
    told = [f"{file.name} says which images are of which class, by its columns {show(files)} and {show(labels)}"]
    named_there = set(found)
    if left := sorted(path for name, path in there.items() if name not in named_there):
        told.append(f"{folder} holds more than is read: {some(left, folder)} (not named in {file.name})")
    listing = Listing(folder, (), np.array(list(map(os.fsencode, found)), np.bytes_), np.zeros(len(found), np.int64))
    groups = np.array([row[columns[group_by]].strip() for row in kept], dtype=object) if group_by else None
    parts = _parts(file, [row[columns[split]].strip() for row in kept]) if split else {}
    return Table(listing, texts, parts, groups, tuple(told))


def _rows(file: Path) -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns and all rows of a table."""
    try:
        if file.stat().st_size > _LARGEST:
            raise DataError(f"{file} has more than {_LARGEST:,} bytes: that is no table of file names")
        with file.open(encoding="utf-8-sig", newline="") as text:
            rows = [row for row in csv.reader(text) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} cannot be read as CSV in UTF-8: {error}") from error
    if len(rows) < 2:
        raise DataError(f"{file} has {len(rows)} lines; it needs one of names and one for each image")
    header = [name.strip() for name in rows[0]]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise DataError(f"{file}: row {number} has {len(row)} cells, the first one {len(header)}")
    return header, rows[1:]


def _column(file: Path, columns: Mapping[str, int], wanted: Sequence[str], what: str, fix: str = "") -> str:
    found = next((name for each in wanted for name in columns if name.lower() == each), None)
    if found is None:
        has = ", ".join(map(show, columns))
        raise DataError(
            f"{file} has no column of {what}: it has {has}, and one must be called {', '.join(wanted)}"
            + (f"; {fix}" if fix else "")
        )
    return found


def _parts(file: Path, values: Sequence[str]) -> dict[str, Array]:
    """Return the positions of the images of each set."""
    known = {name: part for part, names in PARTS.items() for name in names}
    if unknown_ones := sorted({value for value in values if value.lower() not in known}):
        shown = ", ".join(map(show, unknown_ones[:_SHOWN]))
        raise DataError(f"{file}: the sets are called {shown}; they must be train, test and val")
    which = np.array([known[value.lower()] for value in values])
    return {part: np.flatnonzero(which == part) for part in PARTS if (which == part).any()}
