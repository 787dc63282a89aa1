"""Read the files of examples that `predict` is given: tables, and arrays of npy and npz. What is left out is told."""

import csv
import io
import itertools
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from mnist_exp.config.wording import show
from mnist_exp.data.dataset import Array
from mnist_exp.data.formats.columns import is_number
from mnist_exp.data.limits import check_growth, check_memory, opened
from mnist_exp.errors import DataError, first_line
from mnist_exp.inference.inputs import parquet as parquet_inputs
from mnist_exp.inference.inputs import table_columns
from mnist_exp.inference.inputs.images import LARGEST, STDIN
from mnist_exp.inference.table_record import TableRecord

TEXTS = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
SUFFIXES = (*TEXTS, ".npy", ".npz", parquet_inputs.SUFFIX)
_PREFERRED = ("x", "x_test", "test_images", "images", "arr_0")  # arrays of an npz file that holds several
_LINES = 1000  # that are made numbers at a time
_LONGEST_LINE = 16_000_000  # characters


@dataclass(frozen=True)
class Read:
    """What was read of a file.

    Args:
        values: the array of the examples.
        told: sentences about what was chosen, or left out.
    """

    values: Array
    told: tuple[str, ...] = ()


def read(name: str, width: int, stdin: BinaryIO | None = None, record: TableRecord | None = None) -> Read:
    """Return the examples of a file, or the rows of numbers of standard input.

    Args:
        name: of the file, or -.
        width: how many numbers an example has, by which columns that are none of them are known.
        stdin: standard input.
        record: of the tables that the model was trained on; None if that is not known.
    Raises: DataError: it cannot be read, or holds no examples.
    """
    try:
        if name == STDIN:
            content = (stdin or sys.stdin.buffer).read(LARGEST + 1)
            if len(content) > LARGEST:
                raise DataError(f"standard input has more than {LARGEST:,} bytes: name a file")
            return _csv(io.StringIO(content.decode("utf-8")), width, record)
        path = Path(name)
        check_memory(path, path.stat().st_size)
        if path.suffix.lower() == parquet_inputs.SUFFIX:
            return _parquet(path, width, record)
        if path.suffix.lower() not in (".npy", ".npz"):
            with opened(path) as content, io.TextIOWrapper(content, encoding="utf-8-sig", newline="") as text:
                return _csv(text, width, record, lambda position: check_growth(path, position))
        # Opened here: np.load leaves a damaged file open.
        with path.open("rb") as file:
            return _array(np.load(file, allow_pickle=False), path)
    except DataError:
        raise
    except Exception as error:  # NumPy and zipfile say by all kinds of exceptions what is damaged.
        raise DataError(f"it cannot be read: {first_line(error)}") from error


def _array(found: Any, path: Path) -> Read:
    """Return the array of an npy file, or that of the examples in an npz file."""
    if isinstance(found, np.ndarray):
        return Read(found)
    arrays = list(found.files)
    chosen = arrays if len(arrays) == 1 else [each for each in _PREFERRED if each in arrays]
    if not chosen:
        raise DataError(f"it holds {', '.join(arrays) or 'nothing'}: name the array of the examples x")
    size = found.zip.getinfo(f"{chosen[0]}.npy").file_size
    check_growth(path, size)
    check_memory(path, size)
    values: Array = found[chosen[0]]
    others = ", ".join(show(each) for each in arrays if each != chosen[0])
    return Read(values, (f"its array {show(chosen[0])} is taken, not {others}",) if others else ())


def _parquet(path: Path, width: int, record: TableRecord | None) -> Read:
    """Return the numbers of a parquet file."""
    table = parquet_inputs.table_of(path)
    if not table.numbers:
        raise DataError(f"it has no columns of numbers: {', '.join(map(show, table.others))}")
    rows = table.rows()
    columns, told = table_columns.chosen(table.numbers, width, record.columns if record else None)
    return Read(rows[:, columns], tuple(told))


def _csv(file: IO[str], width: int, record: TableRecord | None, check: Callable[[int], None] = lambda _: None) -> Read:
    """Return the rows of a table; a line of names above them tells which columns are no values, and their order.

    Args:
        file: text.
        width: how many numbers an example has.
        record: as of `read`.
        check: called with the number of characters that were read so far.
    """
    first = file.readline(_LONGEST_LINE)
    delimiter = max(",\t;", key=first.count)
    cells = next(csv.reader([first], delimiter=delimiter), [])
    are_names = bool(cells) and not any(map(is_number, cells))
    start = "" if are_names else first
    columns: Sequence[int] | None = None
    told: list[str] = []
    if are_names:
        columns, told = table_columns.chosen(
            [cell.strip() for cell in cells], width, record.columns if record else None
        )
    lines = _lines(start, file, check)
    parts: list[Array] = []
    dtype: type[np.number[Any]] = np.uint8  # Ten times as fast as floats, if they are bytes.
    while block := list(itertools.islice(lines, _LINES)):
        if are_names:
            _check_width(block, delimiter, len(cells), _LINES * len(parts))
        try:
            parts.append(_numbers(block, delimiter, columns, dtype))
        except ValueError:
            dtype = np.float32
            try:
                parts.append(_numbers(block, delimiter, columns, dtype))
            except ValueError as error:
                before = f", counted from row {_LINES * len(parts)}" if parts else ""
                raise DataError(f"it cannot be read: {first_line(error)}{before}") from error
    rows = [part for part in parts if part.size]
    if not rows:
        raise DataError("it has no rows of numbers")
    if wrong := [part for part in rows if part.shape[1] != rows[0].shape[1]]:
        raise DataError(f"it has rows of {rows[0].shape[1]} and of {wrong[0].shape[1]} columns")
    return Read(np.concatenate(rows), tuple(told))


def _check_width(lines: list[str], delimiter: str, width: int, before: int) -> None:
    """Make sure that rows have as many cells as the line of names: else names and values do not belong together."""
    for number, line in enumerate(lines):
        count = line.count(delimiter) + 1
        if count != width and '"' not in line and line.strip():
            raise DataError(f"row {before + number} has {count} cells, and the line of names {width}")


def _numbers(lines: list[str], delimiter: str, columns: Sequence[int] | None, dtype: "type[np.number[Any]]") -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # NumPy's, of lines that are all empty.
        found: Array = np.loadtxt(lines, delimiter=delimiter, ndmin=2, dtype=dtype, usecols=columns, quotechar='"')
    return found


def _lines(first: str, file: IO[str], check: Callable[[int], None]) -> Iterator[str]:
    """Yield the lines of a file after one that was read already; all as one text would take twice the memory."""
    count = len(first)
    if first.strip():
        yield first
    while line := file.readline(_LONGEST_LINE):
        count += len(line)
        check(count)
        yield line
