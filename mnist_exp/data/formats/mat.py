"""Read arrays from MATLAB's mat files: SVHN, and others with arrays for examples and labels."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mnist_exp.data.dataset import Pair
from mnist_exp.data.formats import arrays, hdf5
from mnist_exp.data.formats.parts import Parts, folder_of, some
from mnist_exp.data.lazy import Array
from mnist_exp.data.limits import check_memory, most_bytes
from mnist_exp.errors import DataError, first_line

# Netzer et al. 2011, ufldl.stanford.edu/housenumbers, format 2.
_SVHN = {part: f"{part}_32x32.mat" for part in ("train", "test", "extra")}
_NUMBERS = {"double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "logical"}
_BYTES = {"double": 8, "int64": 8, "uint64": 8, "single": 4, "int32": 4, "uint32": 4, "int16": 2, "uint16": 2}
_TEN = 10


def read(place: Path, *, shape: Sequence[int] | None = None) -> Parts:
    """Return the data set of a mat file, or of a folder with those of SVHN.

    Args:
        place: of the file or folder.
        shape: of one example; None leaves it, except for flat images of bytes.
    Raises: DataError: it is damaged, holds objects, or lacks an array.
    """
    folder = folder_of(place)
    files = {part: folder / name for part, name in _SVHN.items() if (folder / name).is_file()}
    if place.is_file() and place not in files.values():
        names, load = _arrays(place)
        found = arrays.find(names, place)
        parts = arrays.parts_of(found, load, place).mapped(lambda x, y: _examples_first(place, x, y))
        others = [name for name in names if name not in found.values()]
        told = (f"{place} holds more than is used: {some(others)}",) if others else ()
        return arrays.shaped(parts, place, shape, told)
    if "train" not in files:
        raise DataError(f"{place} has no {_SVHN['train']} of SVHN; name a mat file")
    pairs = {part: _pair(file) for part, file in files.items() if part != "extra"}
    told = (
        (f"{files['extra']} is not read: its images are easier ones, more than all others",) if "extra" in files else ()
    )
    parts = Parts(pairs["train"], pairs.get("test"), told=told)
    # Its authors label the digit 0 by 10.
    labels = np.concatenate([y for _, y in pairs.values()])
    if labels.size and labels.min() >= 1 and labels.max() == _TEN:
        parts = parts.mapped(lambda x, y: (x, np.where(y == _TEN, 0, y).astype(np.int64)))
        parts = replace(parts, told=(*parts.told, "the digit 0 is labelled 10 in SVHN's files; here it is 0"))
    return parts


def _pair(path: Path) -> Pair:
    names, load = _arrays(path)
    if lacking := {"X", "y"} - set(names):
        raise DataError(
            f"{path} lacks {' and '.join(sorted(lacking))}, the images and labels of SVHN; it has {some(names)}"
        )
    return _examples_first(path, load("X"), load("y"))


def _examples_first(path: Path, x: Array, y: Array) -> Pair:
    """Return examples along the first axis and labels (n,), as MATLAB has examples along the last one."""
    labels = y.reshape(-1) if y.ndim == 2 and 1 in y.shape else y
    # MATLAB has doubles for everything that nobody made anything else.
    if labels.dtype == np.float64 and (labels == np.rint(labels)).all() and abs(labels).max(initial=0) < 2**31:
        labels = labels.astype(np.int64)
    count = len(labels)
    if x.ndim > 1 and x.shape[0] != count and x.shape[-1] == count:
        return np.ascontiguousarray(np.moveaxis(x, -1, 0)), labels
    if x.shape[:1] != (count,):
        raise DataError(
            f"{path} holds examples of the shape {x.shape} and {count:,} labels: none of its axes is as long"
        )
    return x, labels


def _arrays(path: Path) -> tuple[list[str], Callable[[str], Array]]:
    """Return the names of the arrays of numbers of a mat file, and what reads one."""
    with path.open("rb") as start:
        head = start.read(1024)
    if hdf5.MAGIC in head:
        return _arrays_of_73(path)
    import scipy.io

    try:
        held = scipy.io.whosmat(path)
    except Exception as error:  # Of a file with wrong bytes: ValueError, TypeError, zlib.error, MemoryError, …
        raise DataError(f"{path} is not a readable mat file: {first_line(error)}") from error
    sizes = {
        name: int(np.prod(shape, dtype=object)) * _BYTES.get(kind, 1) for name, shape, kind in held if kind in _NUMBERS
    }

    def load(name: str) -> Array:
        most = most_bytes(path.stat().st_size)
        if sizes[name] > most:
            raise DataError(f"{path}: {name} would be {sizes[name]:,} bytes, which no file of its size holds")
        check_memory(path, 2 * sizes[name])
        try:
            found: Array = scipy.io.loadmat(path, variable_names=[name])[name]
        except Exception as error:
            raise DataError(f"{path} is not a readable mat file: {name}: {first_line(error)}") from error
        if found.dtype.kind not in "uifb":
            raise DataError(f"{path}: {name} holds {found.dtype} values; they must be numbers")
        return found

    return list(sizes), load


def _arrays_of_73(path: Path) -> tuple[list[str], Callable[[str], Array]]:
    """Return the same for a file of version 7.3, which is one of HDF5 with its axes in the other order."""
    with hdf5.opened(path) as file:
        names = [name for name in hdf5.names_in(file) if not name.startswith("#")]

    def load(name: str) -> Array:
        with hdf5.opened(path) as file:
            return hdf5.load(path, file, name).T

    return names, load
