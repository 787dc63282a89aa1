"""How much of a data file is read: what fits into memory, and what a file of its size can hold."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psutil

from mnist_exp.errors import DataError

MOST_GROWTH = 200  # times its size that a packed file may grow; digits grow 5 to 30 times, zeros 1,000 times
ALWAYS = 64_000_000  # bytes that it may grow to in any case
_BLOCK = 1 << 24  # bytes
# What reading a packed file raises where it is damaged.
DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, MemoryError)
_PACKED: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


def check_memory(path: Path, size: int) -> None:
    """Make sure that the arrays of a file fit into memory. Raises: DataError: they do not.

    Args:
        path: of the file.
        size: in bytes, once it is read.
    """
    free = psutil.virtual_memory().available
    if size > free:
        raise DataError(f"{path} would take {size:,} bytes of memory once it is read, but {free:,} are free")


def most_bytes(packed: int) -> int:
    """Return how many bytes a packed file may grow to.

    Args:
        packed: its size.
    """
    return max(ALWAYS, MOST_GROWTH * packed)


def check_growth(path: Path, size: int) -> None:
    """Make sure that a packed file does not grow to more than data do. Raises: DataError: it does.

    Args:
        path: of the file.
        size: in bytes, as far as it is unpacked.
    """
    packed = path.stat().st_size
    if size > most_bytes(packed):
        raise DataError(
            f"{path}, of {packed:,} bytes, holds more than {most_bytes(packed):,}: no data shrink to a "
            f"{MOST_GROWTH}th, so it is not read"
        )


def is_packed(path: Path) -> bool:
    """Tell whether a file is packed by gzip, bzip2 or xz."""
    return _opener(path) is not None


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, plain or packed by gzip, bzip2 or xz, whatever its name."""
    unpack = _opener(path)
    with unpack(path) if unpack else path.open("rb") as file:
        yield file


def read_at_most(file: IO[bytes], size: int) -> bytes:
    """Return the next bytes of a file. Memory is allocated for bytes that are there, not for all that are promised."""
    content = bytearray()
    while len(content) < size and (block := file.read(min(size - len(content), _BLOCK))):
        content += block
    return bytes(content)


def _opener(path: Path) -> Callable[[Path], Any] | None:
    with path.open("rb") as start:
        head = start.read(5)
    return next((unpack for magic, unpack in _PACKED.items() if head.startswith(magic)), None)
