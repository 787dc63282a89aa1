"""Read arrays from HDF5 files; what lies in other files is never followed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mnist_exp.data.formats import arrays
from mnist_exp.data.formats.parts import Parts, some
from mnist_exp.data.lazy import Array
from mnist_exp.data.limits import check_memory, most_bytes
from mnist_exp.errors import DataError, first_line

MAGIC = b"\x89HDF\r\n\x1a\n"
_MOST = 10_000  # arrays of a file that are looked at


def read(place: Path, *, shape: Sequence[int] | None = None) -> Parts:
    """Return the data set of an HDF5 file: train/data, train/target, … as USPS has it, x_train, … or x and y.

    Args:
        place: of the file.
        shape: of one example; None leaves it, except for flat images.
    Raises: DataError: it is damaged, or its arrays lie in other files.
    """
    if not place.is_file():
        raise DataError(f"{place} is not an HDF5 file: name the file")
    with opened(place) as file:
        names = names_in(file)
        found = arrays.find(names, place)
        parts = arrays.parts_of(found, lambda name: load(place, file, name), place)
    others = [name for name in names if name not in found.values()]
    told = (f"{place} holds more than is used: {some(others)}",) if others else ()
    return arrays.shaped(parts, place, shape, told)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open an HDF5 file; what reading it raises becomes a DataError."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except DataError:
        raise
    except Exception as error:  # OSError, RuntimeError, KeyError, … of a file with wrong bytes.
        raise DataError(f"{path} is not a readable HDF5 file: {first_line(error)}") from error


def names_in(file: Any) -> list[str]:
    """Return the paths of all arrays of an open file, as `train/data`; links into other files are left out."""
    import h5py

    found: list[str] = []
    waiting = [("", file)]
    while waiting and len(found) < _MOST:
        prefix, group = waiting.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            item = group[name]
            if isinstance(item, h5py.Dataset):
                found.append(f"{prefix}{name}")
            elif isinstance(item, h5py.Group) and prefix.count("/") < _DEEPEST:
                waiting.append((f"{prefix}{name}/", item))
    return sorted(found)


_DEEPEST = 10  # A group may hold itself.


def load(path: Path, file: Any, name: str) -> Array:
    """Return an array of an open file. Raises: DataError: it lies in other files, or is larger than its file can hold.

    Args:
        path: of the file, for messages.
        file: open.
        name: path of the array in it.
    """
    data = file[name]
    if data.is_virtual or data.external:
        raise DataError(f"{path}: the values of {name} lie in other files, which are not followed")
    if data.dtype.kind == "O" or data.dtype.names:
        import h5py

        if h5py.check_string_dtype(data.dtype) is None:
            raise DataError(f"{path}: {name} holds {data.dtype}, neither numbers nor texts")
        check_memory(path, data.size * 64)
        texts: Array = np.asarray(data.asstr()[()], dtype=object)
        return texts.astype(str)
    size = data.size * data.dtype.itemsize
    if size > most_bytes(path.stat().st_size):
        raise DataError(f"{path}: {name} would be {size:,} bytes, which no file of {path.stat().st_size:,} holds")
    check_memory(path, size)
    found: Array = data[()]
    return found
