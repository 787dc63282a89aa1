"""The examples that a command line names where a model takes no images: rows of csv, npy and npz files."""

import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from mnist_exp.config import wording
from mnist_exp.data import features
from mnist_exp.data.dataset import Array
from mnist_exp.data.limits import check_memory
from mnist_exp.data.pixels import BYTES
from mnist_exp.errors import DataError, SettingsError, first_line
from mnist_exp.inference.image_inputs import LARGEST, STDIN

SUFFIXES = (".csv", ".npy", ".npz")
_PREFERRED = ("x", "x_test")  # arrays of an npz file that holds several


@dataclass(frozen=True)
class Example:
    """One example to predict.

    Args:
        path: the file and the example's number in it, from 0: `rows.csv:3`.
        values: float32, or uint8 for pixels, of the shape that the model takes; or why there are none.
    """

    path: str
    values: Array | DataError


def find(names: Sequence[str]) -> list[str]:
    """Return the names of a command line. Raises: SettingsError: one is neither a file nor - ."""
    problems = []
    for name in names:
        if name == STDIN:
            continue
        suffix = Path(name).suffix.lower()
        if not name or not Path(name).is_file():
            problems.append(f"{name or repr(name)} is not a file: this model takes examples of {', '.join(SUFFIXES)}")
        elif suffix not in SUFFIXES:
            problems.append(f"{name} must end in {', '.join(SUFFIXES)}: this model takes arrays, not images")
    if names.count(STDIN) > 1:
        problems.append("IMAGE=- is named twice, but standard input can be read once")
    if problems:
        raise SettingsError(problems)
    return list(names)


def all_of(
    names: Sequence[str], shape: tuple[int, ...], pixels: bool, stdin: BinaryIO | None = None
) -> Iterator[Example]:
    """Yield the examples of files, in order; - reads rows of numbers, with commas between them, from standard input.

    Args:
        names: as `find` returns them.
        shape: of one example, as the model takes it.
        pixels: whether its values are pixels of 0 to 255.
        stdin: standard input.
    """
    for name in names:
        try:
            rows = _shaped(_read(name, stdin), shape, pixels)
        except DataError as error:
            yield Example(name, DataError(f"{name}: {error}"))
            continue
        for number, row in enumerate(rows):
            good = bool(np.isfinite(row).all())
            place = f"{name}:{number}"
            yield Example(place, row if good else DataError(f"{place}: it has a value that is NaN or infinite"))


def _read(name: str, stdin: BinaryIO | None) -> Array:
    try:
        if name == STDIN:
            content = (stdin or sys.stdin.buffer).read(LARGEST + 1)
            if len(content) > LARGEST:
                raise DataError(f"standard input has more than {LARGEST:,} bytes: name a file")
            return _csv(io.StringIO(content.decode("utf-8")))
        path = Path(name)
        check_memory(path, path.stat().st_size)
        if path.suffix.lower() == ".csv":
            with path.open(encoding="utf-8") as text:
                return _csv(text)
        # Opened here: np.load leaves a damaged file open.
        with path.open("rb") as file:
            return _array(np.load(file, allow_pickle=False))
    except DataError:
        raise
    except Exception as error:  # NumPy and zipfile say by all kinds of exceptions what is damaged.
        raise DataError(f"it cannot be read: {first_line(error)}") from error


def _array(found: Any) -> Array:
    """Return the array of an npy file, or that of the examples in an npz file."""
    if isinstance(found, np.ndarray):
        return found
    arrays = list(found.files)
    chosen = arrays if len(arrays) == 1 else [each for each in _PREFERRED if each in arrays]
    if not chosen:
        raise DataError(f"it holds {', '.join(arrays) or 'nothing'}: name the array of the examples x")
    values: Array = found[chosen[0]]
    return values


def _csv(file: IO[str]) -> Array:
    """Return the rows of a table, without a line of names above them."""
    first = file.readline()
    are_names = not any(map(_is_number, first.split(",")))
    rest = io.StringIO(("" if are_names else first) + file.read())
    if not rest.getvalue().strip():
        raise DataError("it has no rows of numbers")
    values: Array = np.loadtxt(rest, delimiter=",", ndmin=2, dtype=np.float64)
    return values


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _shaped(values: Array, shape: tuple[int, ...], pixels: bool) -> Array:
    """Return examples as the model takes them. Raises: DataError: they have another shape."""
    if values.dtype.kind not in "uif":
        raise DataError(f"it holds {values.dtype} values; they must be numbers")
    if values.shape == shape:
        values = values[np.newaxis]  # One example alone.
    if values.shape[1:] != shape and values.ndim == 2 and values.shape[1] == int(np.prod(shape)):
        values = values.reshape(-1, *shape)  # As a table holds them.
    if values.shape[1:] != shape and values.shape[1:] == shape[:-1] and shape[-1] == 1:
        values = values[..., np.newaxis]
    if values.shape[1:] != shape or not len(values):
        raise DataError(
            f"its shape is {values.shape}; the model takes (n, {', '.join(map(str, shape))}): {wording.examples(shape)}"
        )
    shaped: Array = features.converted(values, BYTES if pixels and values.dtype == np.uint8 else None)
    return shaped
