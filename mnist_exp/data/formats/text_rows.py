"""Read the rows of a table of text, plain or packed; some rows at a time: bytes by NumPy, all else by Arrow."""

import csv
import io
import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from mnist_exp.config.wording import show
from mnist_exp.data.dataset import Array
from mnist_exp.data.formats import byte_rows, columns
from mnist_exp.data.formats.byte_rows import LONGEST_LINE
from mnist_exp.data.formats.columns import Columns
from mnist_exp.data.limits import DAMAGE, check_growth, check_memory, opened
from mnist_exp.errors import DataError, first_line

_LOOKED_AT = 200  # rows that tell which column is the label
_BLOCK = 1 << 22  # bytes that Arrow reads at once
_ARROW = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?CSV conversion error to \w+: invalid value '(.*)'", re.S)


@dataclass(frozen=True)
class Head:
    """The beginning of a table.

    Args:
        delimiter: of its cells.
        rows: the cells of the first rows.
        has_names: whether the first row is made of names.
    """

    delimiter: str
    rows: list[list[str]]
    has_names: bool


@dataclass(frozen=True)
class Table:
    """The values of a table.

    Args:
        columns: which of them is what.
        x: (n, features), uint8 or float32.
        labels: (n,), None if it has none.
        groups: likewise.
    """

    columns: Columns
    x: Array
    labels: Array | None
    groups: Array | None


def head_of(file: Path) -> Head:
    """Return the beginning of a table. Raises: DataError: it is none."""
    with _lines(file) as lines:
        head = list(itertools.islice((line for line in lines if line.strip()), _LOOKED_AT))
    if not head:
        raise DataError(f"{file} is empty: it must have a row for each example")
    delimiter = max(",\t;|", key=head[0].count)
    if head[0].count(delimiter) == 0:
        raise DataError(f"{file} has no columns: its first line has no comma, tab or semicolon")
    try:
        rows = list(csv.reader(head, delimiter=delimiter))
    except csv.Error as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    has_names = columns.are_names(rows[0])
    if has_names and len(rows) == 1:
        raise DataError(f"{file} has no rows below the names of its columns")
    return Head(delimiter, rows, has_names)


def read(file: Path, head: Head, chosen: Columns) -> Table:
    """Return the values of a table.

    Args:
        file: of it.
        head: its beginning.
        chosen: its columns.
    Raises: DataError: a cell of an example is no number, naming its row and column.
    """
    table = _of_bytes(file, head, chosen)
    return _of_any(file, head, chosen) if table is None else table


@contextmanager
def _lines(file: Path) -> Iterator[Iterator[str]]:
    """Open a table for its lines; none is longer than data have, and a packed file grows no further than data do."""
    try:
        with opened(file) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig") as text:
            yield _each_line(file, text)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is no text in UTF-8, {error.reason} at byte {error.start:,}: save it as that"
        ) from error
    except DAMAGE as error:
        raise DataError(f"{file} cannot be read: {first_line(error)}") from error


def _each_line(file: Path, text: IO[str]) -> Iterator[str]:
    total = 0
    while line := text.readline(LONGEST_LINE):
        total += len(line)
        if len(line) == LONGEST_LINE:
            raise DataError(f"{file} has a line of more than {LONGEST_LINE:,} characters: it is no table")
        if total > _BLOCK:
            check_growth(file, total)
        yield line


def _of_bytes(file: Path, head: Head, chosen: Columns) -> Table | None:
    """Return the values of a table if all are whole numbers from 0 to 255; else None."""
    try:
        values = byte_rows.read(file, head.delimiter, len(chosen.names), has_names=head.has_names)
    except DAMAGE as error:
        raise DataError(f"{file} cannot be read: {first_line(error)}") from error
    if values is None:
        return None
    label, group = (None if each is None else values[:, each].copy() for each in (chosen.label, chosen.group))
    return Table(chosen, values[:, _slice(chosen.features)], label, group)


def _slice(positions: tuple[int, ...]) -> slice | list[int]:
    """Return positions as a slice where they are one: no copy is needed then."""
    is_one = positions[-1] - positions[0] + 1 == len(positions)
    return slice(positions[0], positions[-1] + 1) if is_one else list(positions)


def _of_any(file: Path, head: Head, chosen: Columns) -> Table:
    """Return the values of a table of any numbers, whose label and group may be texts."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    names = [f"{position}" for position in range(len(chosen.names))]
    types: dict[str, Any] = {names[position]: pa.float32() for position in chosen.features}
    texts = [position for position in (chosen.label, chosen.group) if position is not None]
    types |= {names[position]: pa.string() for position in texts}
    xs: list[Array] = []
    words: dict[int, list[Any]] = {position: [] for position in texts}
    with _lines(file) as lines:
        try:
            batches = arrow.open_csv(
                pa.PythonFile(_Bytes(lines), mode="r"),
                # Rows have a number in an error only where one thread reads.
                read_options=arrow.ReadOptions(
                    column_names=names, skip_rows=int(head.has_names), use_threads=False, block_size=_BLOCK
                ),
                parse_options=arrow.ParseOptions(delimiter=head.delimiter),
                convert_options=arrow.ConvertOptions(
                    column_types=types, include_columns=list(types), null_values=[], strings_can_be_null=False
                ),
            )
            for batch in batches:
                check_memory(file, 4 * batch.num_rows * len(chosen.features))
                made = [batch.column(names[position]).to_numpy(zero_copy_only=False) for position in chosen.features]
                xs.append(np.stack(made, axis=1))
                for position, found in words.items():
                    found.append(batch.column(names[position]))
        except pa.ArrowInvalid as error:
            raise DataError(_explained(file, str(error), chosen)) from error
        except pa.ArrowException as error:
            raise DataError(f"{file} cannot be read: {first_line(error)}") from error
    if not xs:
        raise DataError(f"{file} has no rows")
    label, group = (
        None if position is None else values_of(pa.chunked_array(words[position], pa.string()))
        for position in (chosen.label, chosen.group)
    )
    return Table(chosen, np.concatenate(xs), label, group)


class _Bytes(io.RawIOBase):
    """Lines as a file of bytes."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self._left = lines, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, total = [self._left], len(self._left)
        while total < size and (line := next(self._lines, "")):
            parts.append(line.encode())
            total += len(parts[-1])
        content = b"".join(parts)
        self._left = content[size:]
        return content[:size]


def values_of(texts: Any) -> Array:
    """Return texts, a chunked array of Arrow, as whole numbers if all are, else as numbers, else without blanks."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.utf8_trim_whitespace(texts)

    for kind in (pa.int64(), pa.float64()):
        try:
            numbers: Array = texts.cast(kind).to_numpy()
        except pa.ArrowInvalid:
            continue
        is_whole = numbers.dtype.kind == "f" and bool(
            np.isfinite(numbers).all() and (numbers == np.rint(numbers)).all()
        )
        return numbers.astype(np.int64) if is_whole and abs(numbers).max(initial=0) < 2**53 else numbers
    return np.array(texts.to_pylist(), dtype=object)


def _explained(file: Path, error: str, chosen: Columns) -> str:
    """Return what Arrow says of a cell, with the name of its column."""
    if match := _ARROW.search(error):
        name = show(chosen.names[int(match[1])])
        row = f"row {match[2]}, " if match[2] else ""
        value = show(match[3]) if match[3].strip() else "an empty cell"
        return f"{file}, {row}column {name}: {value} is no number; each value of an example must be one"
    return f"{file} cannot be read: {error.partition(': ')[2] if error.startswith('CSV parse error') else error}"
