"""Read CIFAR-10 and CIFAR-100 in their binary version.

Source: Krizhevsky 2009, cs.toronto.edu/~kriz/cifar.html: records of one label (CIFAR-100: the coarse and the fine one)
and 3,072 bytes, the planes of red, green and blue, each 32×32, row by row.
"""

from pathlib import Path

import numpy as np

from mnist_exp.data.dataset import Pair
from mnist_exp.data.formats.parts import Parts, some
from mnist_exp.data.limits import check_memory
from mnist_exp.errors import DataError

_SIDE, _PLANES = 32, 3
_IMAGE = _PLANES * _SIDE * _SIDE
_OF_10 = [f"data_batch_{number}.bin" for number in range(1, 6)]
_TEST_OF_10, _NAMES_OF_10 = "test_batch.bin", "batches.meta.txt"
_OF_100, _TEST_OF_100 = "train.bin", "test.bin"
_KINDS = ("coarse", "fine")  # labels of CIFAR-100, in their order
_PICKLED = ("data_batch_1", "test_batch", "batches.meta", "meta", "train", "test")
_PICKLE = b"\x80"
_LARGEST_NAMES = 100_000  # bytes


def read(place: Path, *, labels: str) -> Parts:
    """Return the data set of a folder with the binary files of CIFAR-10 or CIFAR-100.

    Args:
        place: of the folder.
        labels: fine or coarse, of CIFAR-100; CIFAR-10 has one kind.
    Raises: DataError: the files are not there, damaged, or those of the version for Python.
    """
    if not place.is_dir():
        raise DataError(f"{place} is not a folder: name the one with data_batch_1.bin, or with train.bin")
    if (place / _OF_10[0]).is_file():
        there = [place / name for name in _OF_10 if (place / name).is_file()]
        lacking = [name for name in _OF_10 if not (place / name).is_file()]
        told = (f"{place} has no {some(lacking)}: a part of CIFAR-10 is trained on",) if lacking else ()
        pairs = [_records(file, 1, 0) for file in there]
        train = np.concatenate([x for x, _ in pairs]), np.concatenate([y for _, y in pairs])
        test = _records(place / _TEST_OF_10, 1, 0) if (place / _TEST_OF_10).is_file() else None
        return Parts(train, test, class_names=_names(place / _NAMES_OF_10), told=told)
    if (place / _OF_100).is_file():
        column = _KINDS.index(labels)
        train = _records(place / _OF_100, 2, column)
        test = _records(place / _TEST_OF_100, 2, column) if (place / _TEST_OF_100).is_file() else None
        return Parts(train, test, class_names=_names(place / f"{labels}_label_names.txt"))
    _refuse_pickled(place)
    raise DataError(f"{place} holds no CIFAR: it has neither {_OF_10[0]} nor {_OF_100}")


def _records(file: Path, labels: int, column: int) -> Pair:
    """Return the images, uint8 (n, 32, 32, 3), and labels of a file.

    Args:
        file: of records.
        labels: how many bytes of labels a record begins with.
        column: which of these is the label.
    """
    size, length = file.stat().st_size, labels + _IMAGE
    if size == 0 or size % length:
        raise DataError(
            f"{file} has {size:,} bytes, which are no whole records of {length:,}: it is cut off, or another file"
        )
    check_memory(file, 2 * size)
    table = np.fromfile(file, np.uint8).reshape(-1, length)
    planes = table[:, labels:].reshape(-1, _PLANES, _SIDE, _SIDE)
    return np.ascontiguousarray(np.moveaxis(planes, 1, -1)), table[:, column].copy()


def _names(file: Path) -> tuple[str, ...] | None:
    """Return the names of the classes, a line each; None if there is no such file."""
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        text = opened.read(_LARGEST_NAMES).decode("utf-8", "replace")
    return tuple(line.strip() for line in text.splitlines() if line.strip()) or None


def _refuse_pickled(folder: Path) -> None:
    """Raise DataError if a folder holds the version for Python, whose files run code when they are opened."""
    for name in _PICKLED:
        file = folder / name
        if file.is_file():
            with file.open("rb") as opened:
                if opened.read(1) == _PICKLE:
                    raise DataError(
                        f"{file} is a pickle, which may run any code when it is opened: take the binary version of "
                        "CIFAR, cifar-10-binary.tar.gz or cifar-100-binary.tar.gz, from where this one came"
                    )
