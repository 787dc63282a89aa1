"""Which columns of a table are the label, the group and the examples, and which examples are pictures."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnist_exp.config.wording import nearest, show
from mnist_exp.data.formats.parts import some
from mnist_exp.data.labels import LABEL_COLUMNS
from mnist_exp.data.lazy import Array
from mnist_exp.errors import DataError, plural

_INDEX = ("", "id", "index", "unnamed: 0", "imageid")
_PIXEL = re.compile(r"(pixel|pix|px)[ _-]?\d+|\d+x\d+|\d+", re.IGNORECASE)
_NUMBERS = re.compile(r"\d+")
_SMALLEST = 16  # pixels of a picture that has no names of pixels


@dataclass(frozen=True)
class Columns:
    """The columns of a table, by their positions.

    Args:
        names: of all columns; `column 1`, … where the table has no names.
        label: of the labels; None if there is none.
        group: of the groups; None if there is none.
        features: of the examples.
        are_pixels: whether their names say that they are pixels; None where they have no names.
        unused: all others.
    """

    names: tuple[str, ...]
    label: int | None
    group: int | None
    features: tuple[int, ...]
    are_pixels: bool | None
    unused: tuple[int, ...] = ()

    @property
    def told(self) -> tuple[str, ...]:
        """A sentence if there are columns that are not used."""
        if not self.unused:
            return ()
        shown = some([show(self.names[position]) for position in self.unused])
        return (
            f"{plural(len(self.unused), 'column')} of the table {'are' if self.unused[1:] else 'is'} not used: {shown}",
        )


def are_names(cells: Sequence[str]) -> bool:
    """Tell whether the first line of a table has the names of its columns, and no values."""
    numbers = [cell.strip() for cell in cells if is_number(cell)]
    if not numbers or any(cell.strip().lower() in LABEL_COLUMNS for cell in cells):
        return True
    # As pandas names the columns of an array: 0, 1, 2, …
    start = next((number for number in (0, 1) if numbers[0] == str(number)), None)
    counted = [] if start is None else [str(number) for number in range(start, start + len(numbers))]
    return len(numbers) >= _SMALLEST and numbers == counted


def choose(
    place: Path,
    names: Sequence[str],
    *,
    label: str | int | None,
    group_by: str | int | None,
    usable: Callable[[int], bool] | None = None,
) -> Columns:
    """Return the columns of a table that has names.

    Args:
        place: of the file, for messages.
        names: of its columns.
        label: name or position of the label; None takes the one that is called so.
        group_by: of the groups; None if there are none.
        usable: tells whether a column can be part of an example; all can if None.
    Raises: DataError: a column is not there, or it is not clear which one is meant.
    """
    position = _position(place, names, label, "label") if label is not None else _label(place, names)
    group = _position(place, names, group_by, "group_by") if group_by is not None else None
    rest = [number for number in range(len(names)) if number not in (position, group)]
    pixels = [number for number in rest if _PIXEL.fullmatch(names[number].strip())]
    if pixels:
        # In the order of their numbers, which is that of the image.
        features = sorted(pixels, key=lambda number: tuple(map(int, _NUMBERS.findall(names[number]))))
    else:
        able = [number for number in rest if usable is None or usable(number)]
        features = [number for number in able if names[number].strip().lower() not in _INDEX]
    if not features:
        raise DataError(f"{place} has no columns of examples beside the label; it has {some(list(map(show, names)))}")
    unused = tuple(number for number in rest if number not in features)
    return Columns(tuple(names), position, group, tuple(features), bool(pixels), unused)


def choose_nameless(
    place: Path, first_rows: Sequence[Sequence[str]], *, label: str | int | None, group_by: str | int | None
) -> Columns:
    """Return the columns of a table without names: the label is the first or the last one.

    Args:
        place: of the file, for messages.
        first_rows: cells of the first rows.
        label: position of the label, from 0, from the end with a minus sign; None finds it out: it alone is a word, or
            the other one is the same in all of these rows, as the corners of digits are.
        group_by: position of the groups; None if there are none.
    Raises: DataError: it is not clear which one is the label.
    """
    count = len(first_rows[0])
    names = [f"column {number + 1}" for number in range(count)]
    group = _position(place, names, group_by, "group_by") if group_by is not None else None
    if label is not None:
        position = _position(place, names, label, "label")
    else:
        ends = [number for number in (0, count - 1) if number != group]
        cells = {end: {row[end].strip() for row in first_rows if len(row) == count} for end in ends}
        words = [end for end in ends if not all(map(is_number, cells[end]))]
        varied = words if len(words) == 1 else [end for end in ends if len(cells[end]) > 1]
        if len(varied) != 1:
            raise DataError(
                f"{place} has no line of names, and either the first or the last column may be the label: say "
                "data.label=0 or data.label=-1"
            )
        position = varied[0]
    features = tuple(number for number in range(count) if number not in (position, group))
    if not features:
        raise DataError(f"{place} has no columns of examples beside the label")
    return Columns(tuple(names), position, group, features, None)


def choose_like(place: Path, cells: Sequence[str], train: Columns, *, has_names: bool) -> Columns:
    """Return the columns of a second table, as they are in the first one; it may lack the label.

    Args:
        place: of the file, for messages.
        cells: of its first row.
        train: the columns of the first table.
        has_names: whether these cells are names.
    Raises: DataError: a column of the examples is not there.
    """
    wanted = [train.names[position] for position in train.features]
    if not has_names:
        is_labelled = len(cells) == len(train.names)
        if not is_labelled and len(cells) != len(train.features):
            raise DataError(f"{place} has {plural(len(cells), 'column')}, the training table {len(train.names):,}")
        names = [f"column {number + 1}" for number in range(len(cells))]
        features = train.features if is_labelled else tuple(range(len(cells)))
        return Columns(tuple(names), train.label if is_labelled else None, None, features, train.are_pixels)
    positions = {name: position for position, name in reversed(list(enumerate(cells)))}
    if lacking := [show(name) for name in wanted if name not in positions]:
        raise DataError(f"{place} must have the columns of the training table; it lacks {some(lacking)}")
    features = tuple(positions[name] for name in wanted)
    label = None if train.label is None else positions.get(train.names[train.label])
    return Columns(tuple(cells), label, None, features, train.are_pixels)


def shaped(place: Path, x: Array, columns: Columns, shape: Sequence[int] | None) -> tuple[Array, bool | None, str]:
    """Return the examples of a table as pictures, or as they are; `pixels` of the source; and a sentence on it.

    Args:
        place: of the file, for messages.
        x: (n, features).
        columns: of the table.
        shape: of one example, if the user says it.
    Raises: DataError: the examples do not have this shape.
    """
    count = x.shape[1]
    if shape is not None:
        if math.prod(shape) != count:
            product = "×".join(map(str, shape))
            raise DataError(
                f"data.shape={show(list(shape))} is {product} = {math.prod(shape):,} values, but each row of {place} "
                f"has {count:,}"
            )
        return x.reshape(-1, *shape), None, ""
    are_pixels = columns.are_pixels
    if are_pixels is None:
        are_pixels = count >= _SMALLEST and x.dtype == np.uint8
    found = _picture(count) if are_pixels else None
    if found is None:
        # Whole numbers of a table are no pixels, however small.
        told = f"the {count:,} columns of pixels of {place} are no square: data.shape says height and width"
        return x.astype(np.float32, copy=False), False, told if columns.are_pixels else ""
    words = "×".join(map(str, found))
    return x.reshape(-1, *found), None, f"the {count:,} columns of {place} are taken for images {words} (data.shape)"


def _picture(count: int) -> tuple[int, ...] | None:
    """Return the shape of a square picture, grey or in colour, of so many values; None if there is none."""
    side, coloured = math.isqrt(count), math.isqrt(count // 3)
    if side * side == count:
        return side, side
    return (coloured, coloured, 3) if 3 * coloured * coloured == count else None


def _label(place: Path, names: Sequence[str]) -> int:
    lower = [name.strip().lower() for name in names]
    found = [lower.index(name) for name in LABEL_COLUMNS if name in lower]
    if not found:
        has = some(list(map(show, names)))
        raise DataError(f"{place} has no column {' or '.join(LABEL_COLUMNS)}: say data.label=, one of {has}")
    if found[1:] and not all(_PIXEL.fullmatch(lower[each]) for each in found[1:]):
        both = " and ".join(show(names[each]) for each in found[:2])
        raise DataError(f"{place} has the columns {both}: say data.label=, the one that is the label")
    return found[0]


def _position(place: Path, names: Sequence[str], wanted: str | int, option: str) -> int:
    if isinstance(wanted, int):
        if not -len(names) <= wanted < len(names):
            raise DataError(f"data.{option}={wanted} is not there: {place} has {plural(len(names), 'column')}")
        return wanted % len(names)
    if wanted in names:
        return list(names).index(wanted)
    guess = nearest(wanted, names)
    fix = f"did you mean {show(guess)}?" if guess else f"it has {some(list(map(show, names)))}"
    raise DataError(f"data.{option}={show(wanted)} is no column of {place}: {fix}")


def is_number(cell: str) -> bool:
    """Tell whether a cell is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
