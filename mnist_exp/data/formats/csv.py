"""Read tables of text, csv and tsv: one, or one for each of train and test."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from mnist_exp.config.wording import show
from mnist_exp.data.formats import columns, text_rows
from mnist_exp.data.formats.columns import Columns
from mnist_exp.data.formats.parts import Parts, some
from mnist_exp.data.formats.text_rows import Table
from mnist_exp.errors import DataError

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
_PART = re.compile(r"(?:.*[^a-z])?(train|training|test|testing)(?:[^a-z].*)?")
_LOOKED_AT = 20_000  # files of a folder
TRANSPOSED = "emnist-"  # Of kaggle.com/crawford/emnist: rows and columns of its images are exchanged, too.


@dataclass(frozen=True)
class Options:
    """What a user says of a table.

    Args:
        label: name or position of the label's column; None finds it out.
        group_by: of the groups' column; None if there is none.
        shape: of one example; None finds it out.
        transposed: whether rows and columns of the images are exchanged; None: those of EMNIST are.
    """

    label: str | int | None = None
    group_by: str | int | None = None
    shape: Sequence[int] | None = None
    transposed: bool | None = None


def read(place: Path, *, options: Options, test: Path | None = None) -> Parts:
    """Return the data set of a table, and of a second one with the test set.

    Args:
        place: a file, or a folder with a table, or with tables called train and test.
        options: what the user says of it.
        test: the table of the test set; None if it is not named.
    Raises: DataError: a cell is no number, naming its row and column, or it is not clear what a column is.
    """
    file, found, told = _files(place)
    table = _training_part(file, options)
    assert table.labels is not None
    x, pixels, words = columns.shaped(file, table.x, table.columns, options.shape)
    named = None if table.columns.are_pixels is None else table.columns
    known = None if named is None else tuple(named.names[position] for position in named.features)
    parts = Parts((x, table.labels), groups=table.groups, pixels=pixels, columns=known)
    told += [words, *table.columns.told]
    second = test or found
    tested = _test_part(second, table.columns, is_named=test is not None) if second else None
    if isinstance(tested, str):
        told.append(tested)
    elif tested is not None and tested.labels is not None:
        kind = np.result_type(x, tested.x)  # One may be of bytes, the other not.
        x_test = tested.x.reshape(-1, *x.shape[1:]).astype(kind, copy=False)
        parts = replace(parts, train=(x.astype(kind, copy=False), table.labels), test=(x_test, tested.labels))
    transposed = file.name.startswith(TRANSPOSED) if options.transposed is None else options.transposed
    if transposed and x.ndim > 2:
        parts = parts.mapped(lambda x, y: (np.ascontiguousarray(np.swapaxes(x, 1, 2)), y))
        why = "" if options.transposed else ", as EMNIST has them"
        told.append(f"{file}: rows and columns of the images are exchanged in the file{why}; they are put upright")
    return replace(parts, told=tuple(filter(None, told)))


def _files(place: Path) -> tuple[Path, Path | None, list[str]]:
    """Return the tables of the training and the test set, and what lies beside them."""
    if not place.is_dir():
        return place, None, []
    # Kaggle's archives have each table in a folder of its own, sometimes beside the same tables.
    found = _tables(place.iterdir()) or _tables(place.rglob("*"))
    by_part: dict[str, list[Path]] = {"train": [], "test": []}
    for each in found:
        if match := _PART.fullmatch(each.name.lower().split(".")[0]):
            by_part[match[1].removesuffix("ing")].append(each)
    train = found if len(found) == 1 else by_part["train"]
    if len(train) != 1 or len(by_part["test"]) > 1:
        raise DataError(
            f"{place} holds {some([each.name for each in found])}: name the table, data.path=, and, if there is one, "
            "that of the test set, data.test_path="
        )
    test = next((each for each in by_part["test"] if each != train[0]), None)
    others = [each.name for each in found if each not in (train[0], test)]
    told = [f"{place} holds more than is read: {some(others)}"] if others else []
    return train[0], test, told


def _tables(files: Iterable[Path]) -> list[Path]:
    some_files = islice(files, _LOOKED_AT)
    return sorted(each for each in some_files if each.name.lower().endswith(SUFFIXES) and each.is_file())


def _test_part(file: Path, train: Columns, *, is_named: bool) -> Table | str:
    """Return the table of the test set, or a sentence if it has no labels and nobody named it."""
    head = text_rows.head_of(file)
    chosen = columns.choose_like(file, head.rows[0], train, has_names=head.has_names)
    if chosen.label is None:
        if is_named:
            label = show(train.names[train.label or 0])
            raise DataError(
                f"data.test_path={file} has no column {label}: without labels it is no test set; predict reads it"
            )
        return f"{file} has no labels, so it is no test set; predict reads it"
    return text_rows.read(file, head, chosen)


def _training_part(file: Path, options: Options) -> Table:
    head = text_rows.head_of(file)
    said = {"label": options.label, "group_by": options.group_by}
    if not head.has_names:
        return text_rows.read(file, head, columns.choose_nameless(file, head.rows, **said))
    names, rows = head.rows[0], head.rows[1:]
    for number, row in enumerate(rows, start=2):
        if len(row) > len(names):
            by_r = all(len(each) == len(names) + 1 for each in rows)
            fix = ": as R writes it, the names of the rows have no name: write it with row.names=FALSE" if by_r else ""
            raise DataError(f"{file}: row {number} has {len(row)} cells, and the line of names {len(names)}{fix}")
    return text_rows.read(
        file, head, columns.choose(file, names, usable=lambda position: _is_usable(rows, position), **said)
    )


def _is_usable(rows: Sequence[Sequence[str]], position: int) -> bool:
    """Tell whether a column may hold numbers: not all of its first cells are words; a formula is none."""
    cells = [row[position].strip() for row in rows if position < len(row)]
    return not cells or not all(cell and not columns.is_number(cell) and cell[0] != "=" for cell in cells)
