"""Read arrays from npy files, one for each: x.npy and y.npy, or x_train.npy and so on; never a pickle."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mnist_exp.data.formats import arrays
from mnist_exp.data.formats.parts import Parts, folder_of, some
from mnist_exp.data.lazy import Array
from mnist_exp.data.limits import check_memory
from mnist_exp.errors import DataError, first_line


def read(place: Path, *, shape: Sequence[int] | None = None) -> Parts:
    """Return the data set of a folder of npy files.

    Args:
        place: of the folder, or of a file in it.
        shape: of one example; None leaves it, except for flat images of bytes.
    Raises: DataError: an array is not there, damaged, or of Python objects.
    """
    folder = folder_of(place)
    files = {file.stem: file for file in sorted(folder.glob("*.npy"))}
    if not files:
        raise DataError(f"{place} has no npy files: save arrays with np.save, as x.npy and y.npy")
    found = arrays.find(list(files), folder)
    parts = arrays.parts_of(found, lambda name: load(files[name]), folder)
    others = [files[name].name for name in files if name not in found.values()]
    told = (f"{folder} holds more than is used: {some(others)}",) if others else ()
    return arrays.shaped(parts, folder, shape, told)


def load(path: Path) -> Array:
    """Return the array of an npy file. Raises: DataError: it is damaged, or holds Python objects."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(file)
            if dtype.hasobject:
                raise DataError(f"{path} holds Python objects, which could run code: save numbers or texts")
            promised, there = math.prod(shape) * dtype.itemsize, path.stat().st_size - file.tell()
            # NumPy allocates the array before it reads.
            if promised > there:
                raise DataError(f"{path} should hold {promised:,} bytes, but has {there:,}")
            check_memory(path, promised)
            file.seek(0)
            found: Array = np.load(file, allow_pickle=False)
            return found
    except DataError:
        raise
    except Exception as error:  # Of a header with one wrong byte: SyntaxError, tokenize.TokenError and others.
        raise DataError(f"{path} is not a readable npy file: {first_line(error)}") from error
