"""Read a table of text whose cells are all whole numbers from 0 to 255, in whole arrays of NumPy.

The positions of all cells of some rows are found at once, and their digits added up. That takes 0.45 s of CPU time for
60,000 digits of 785 cells, where numpy.loadtxt takes 0.73 s: benchmarks/reading.py.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from mnist_exp.data.lazy import Array
from mnist_exp.data.limits import check_growth, check_memory, opened
from mnist_exp.errors import DataError

LONGEST_LINE = 16_000_000  # bytes
_BLOCK = 1 << 18  # bytes whose positions stay in the caches of a CPU; 64 KB take twice the time, 4 MB too
_KEPT = 1 << 24  # bytes
_EVERY = 50  # blocks, after which is looked whether the rows still fit into memory
_COMMA, _NEWLINE, _ZERO, _NINE = b",\n09"


def read(file: Path, delimiter: str, width: int, *, has_names: bool) -> Array | None:
    """Return the cells of a table, uint8 (n, width), or None if one is no whole number from 0 to 255 or a row differs.

    Args:
        file: of the table, plain or packed.
        delimiter: of its cells.
        width: cells of a row.
        has_names: whether the first line is made of names.
    Raises: DataError: a line is longer than those of tables, the table does not fit into memory, or it is packed more
        than data can be.
    """
    found: list[Array] = []
    # Freed at once: from then on glibc keeps freed memory of up to this size for the next array. Without it each array
    # below is a new mapping, 283,000 page faults in place of 15,000, and twice the CPU time.
    np.empty(_KEPT, np.uint8)
    with opened(file) as opened_file:
        if has_names:
            opened_file.readline(LONGEST_LINE)
        for number, lines in enumerate(_blocks(file, opened_file)):
            if number % _EVERY == 0:
                check_memory(file, _EVERY * _BLOCK)
            cells = _cells(_plain(lines, delimiter.encode()), width)
            if cells is None:
                return None
            found.append(cells)
    return np.concatenate(found) if found else None


def _blocks(file: Path, opened_file: IO[bytes]) -> Iterator[bytes]:
    """Yield whole lines, some at a time."""
    left, total = b"", 0
    while block := opened_file.read(_BLOCK):
        total += len(block)
        check_growth(file, total)
        block = left + block
        cut = block.rfind(b"\n") + 1
        left = block[cut:]
        if len(left) > LONGEST_LINE:
            raise DataError(f"{file} has a line of more than {LONGEST_LINE:,} characters: it is no table")
        if cut:
            yield block[:cut]
    if left:
        yield left + b"\n"


def _plain(lines: bytes, delimiter: bytes) -> bytes:
    """Return lines that end as on Unix, and whose cells have a comma between them."""
    if b"\r" in lines:
        lines = lines.replace(b"\r\n", b"\n")
    if delimiter == b",":
        return lines
    # A comma that is there already is part of a number.
    return b"" if b"," in lines else lines.replace(delimiter, b",")


def _cells(lines: bytes, width: int) -> Array | None:
    """Return the cells of lines, uint8 (n, width), or None if one is no such number or a row has another width."""
    text = np.frombuffer(lines, np.uint8)
    # All that separates cells has smaller codes than the digits; so have signs and points, which are counted below.
    ends = np.flatnonzero(text < _ZERO)
    if not len(ends) or len(ends) % width or text.max() > _NINE:
        return None
    newlines = np.flatnonzero(text == _NEWLINE)
    are_rows = np.array_equal(newlines, ends[width - 1 :: width])
    if not are_rows or np.count_nonzero(text == _COMMA) + len(newlines) != len(ends):
        return None
    lengths = np.empty_like(ends)  # With what ends it.
    lengths[0] = ends[0] + 1
    np.subtract(ends[1:], ends[:-1], out=lengths[1:])
    if lengths.min() < 2 or lengths.max() > 4:
        return None
    cells = text[ends - 1] - np.uint8(_ZERO)
    longer = np.flatnonzero(lengths > 2)
    cells[longer] += (text[ends[longer] - 2] - np.uint8(_ZERO)) * np.uint8(10)
    longest = longer[lengths[longer] > 3]
    hundreds, rest = text[ends[longest] - 3] - np.uint8(_ZERO), cells[longest]
    if ((hundreds > 2) | ((hundreds == 2) & (rest > 55))).any():
        return None
    cells[longest] = rest + hundreds * np.uint8(100)
    return cells.reshape(-1, width)
