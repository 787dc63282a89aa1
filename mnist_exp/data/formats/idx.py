"""Read IDX files, the format of MNIST and of what followed it: plain or gzipped, each split of EMNIST, QMNIST."""

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np

from mnist_exp.config.wording import show
from mnist_exp.data.dataset import Array, Pair
from mnist_exp.data.formats.parts import Parts, folder_of, some
from mnist_exp.data.limits import DAMAGE, check_growth, check_memory, is_packed, most_bytes, opened, read_at_most
from mnist_exp.errors import DataError

IDX_NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
# The third byte of a file, and the type of its values.
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_DIMENSIONS = 5
_NAME = re.compile(
    r"(?P<set>.*?)-?(?P<part>train|test|t10k|val|valid|validation)-(?P<what>images|labels)"
    r"[-.]idx(?P<dims>\d)-\w+?(?P<packed>\.gz)?"
)
_PARTS = {"t10k": "test", "val": "validation", "valid": "validation"}
_TRANSPOSED = "emnist"  # Its images lie in the files with rows and columns exchanged.
_BELOW = ("raw", "gzip")  # Folders that torchvision and EMNIST's own archive make.
_QMNIST_COLUMNS, _WRITER = 8, 2


@dataclass(frozen=True)
class Found:
    """The IDX files of one data set.

    Args:
        name: of the set, as `emnist-letters`; empty where the files name none.
        files: by part and kind, `("train", "images")`.
    """

    name: str
    files: Mapping[tuple[str, str], Path]

    @property
    def split(self) -> str:
        """What tells it from others of the same folder: `letters`."""
        return self.name.removeprefix(f"{_TRANSPOSED}-")

    @property
    def is_whole(self) -> bool:
        """Whether it has training images and their labels."""
        return {("train", "images"), ("train", "labels")} <= set(self.files)


def find_sets(place: Path) -> list[Found]:
    """Return the data sets of IDX files in a folder, or in the folder of a file, by name; none if there are none."""
    folder = folder_of(place)
    for each in (folder, *(folder / below for below in _BELOW)):
        if each.is_dir() and (found := _sets(each)):
            return found
    # The folder that torchvision is given: MNIST/raw, FashionMNIST/raw, … lie in it.
    inner = [found for each in sorted(folder.glob("*/raw")) if each.is_dir() and (found := _sets(each))]
    return inner[0] if len(inner) == 1 else []


def _sets(folder: Path) -> list[Found]:
    by_name: dict[str, dict[tuple[str, str], Path]] = {}
    # Plain files come before packed ones of the same name, which torchvision keeps beside them.
    files = sorted((each for each in folder.iterdir() if each.is_file()), key=lambda file: len(file.name))
    for file in files:
        if match := _NAME.fullmatch(file.name):
            part = _PARTS.get(match["part"], match["part"])
            by_name.setdefault(match["set"], {}).setdefault((part, match["what"]), file)
    return [found for name, each in sorted(by_name.items()) if (found := Found(name, each)).is_whole]


def read(place: Path, *, split: str | None = None, transposed: bool | None = None) -> Parts:
    """Return a data set of IDX files.

    Args:
        place: a folder with them, or one of the files.
        split: which of several sets of a folder, as `letters`.
        transposed: whether rows and columns of the images are exchanged in the files; None: those of EMNIST are.
    Raises: DataError: there is none, or several, or a file is damaged.
    Source: yann.lecun.com/exdb/mnist; Cohen et al. 2017, arXiv:1702.05373 (EMNIST); Yadav and Bottou 2019,
        arXiv:1905.10498 (QMNIST: of the eight columns of a label, 0 is the class and 2 the writer).
    """
    sets = find_sets(place)
    if not sets:
        lacks = some(tuple(IDX_NAMES.values()))
        raise DataError(f"{place} holds no IDX files of a training set; they are called {lacks}, also with .gz")
    chosen = _chosen(place, sets, split)
    found = Parts(_training(chosen), _pair(chosen, "test"), _pair(chosen, "validation"))
    told: tuple[str, ...] = ()
    is_transposed = chosen.name.startswith(_TRANSPOSED) if transposed is None else transposed
    if is_transposed:
        found = found.mapped(lambda x, y: (np.ascontiguousarray(np.swapaxes(x, 1, 2)), y))
        why = "" if transposed else ", as EMNIST has them"
        told += (f"{place}: rows and columns of the images are exchanged in the files{why}; they are put upright",)
    labels = found.train[1]
    if labels.ndim == 2 and labels.shape[1] == _QMNIST_COLUMNS:
        found = replace(found.mapped(lambda x, y: (x, y[:, 0])), groups=labels[:, _WRITER])
        told += (f"{place} holds labels of eight columns, as QMNIST: column 0 is the class, column 2 the writer",)
    names, unread = _names(chosen)
    return replace(found, class_names=names, told=(*told, *unread))


def _chosen(place: Path, sets: list[Found], split: str | None) -> Found:
    """Return the one that is meant of the sets of a folder."""
    if split is not None:
        named = [each for each in sets if split in (each.split, each.name)]
        if not named:
            there = some([each.split or "one without a name" for each in sets])
            raise DataError(f"data.split={show(split)} is not in {place}: there is {there}")
        return named[0]
    if place.is_file():
        return next((each for each in sets if place in each.files.values()), sets[0])
    if len(sets) > 1:
        raise DataError(
            f"{place} holds IDX files of {len(sets)} data sets: say data.split=, one of "
            f"{some([each.split or each.name for each in sets])}"
        )
    return sets[0]


def _training(found: Found) -> Pair:
    pair = _pair(found, "train")
    assert pair is not None
    return pair


def _pair(found: Found, part: str) -> Pair | None:
    files = [found.files.get((part, what)) for what in ("images", "labels")]
    if files[0] is None or files[1] is None:
        if any(files):
            has = next(file for file in files if file)
            raise DataError(f"{has} has no {'labels' if files[0] else 'images'} beside it")
        return None
    x, y = read_idx(files[0]), read_idx(files[1])
    if x.ndim < 2:
        raise DataError(f"{files[0]} holds values of the shape {x.shape}; images have at least two dimensions")
    return x, y


def _names(found: Found) -> tuple[Mapping[int, str] | None, tuple[str, ...]]:
    """Return the names of the classes that a mapping file gives: a label, and the codes of its characters, a line."""
    folder = next(iter(found.files.values())).parent
    file = folder / f"{found.name}-mapping.txt"
    if not file.is_file():
        return None, ()
    try:
        # No mapping is longer; one of a million lines would name a million classes.
        lines = file.read_bytes()[:1_000_000].decode("ascii").split("\n")
        rows = [[int(cell) for cell in line.split()] for line in lines if line.strip()]
        # A label with two codes, as `1 65 97`, stands for the upper and the lower case.
        names = {label: "".join(map(chr, dict.fromkeys(codes))) for label, *codes in rows}
        if not names or not all(name and name.isprintable() for name in names.values()):
            raise ValueError("a code is of no character that can be shown")
    except ValueError as error:
        return None, (f"{file} names no classes: a line must be a label and the codes of its characters ({error})",)
    return names, ()


def missing_idx(folder: Path) -> list[str]:
    """Return the names of MNIST's IDX files that a folder lacks."""
    return [name for name in IDX_NAMES.values() if _idx_path(folder, name) is None]


def find_idx(folder: Path) -> dict[str, Path] | None:
    """Return MNIST's four IDX files of a folder, plain or gzipped, or None if one is missing."""
    found = {split: _idx_path(folder, name) for split, name in IDX_NAMES.items()}
    return {split: path for split, path in found.items() if path} if all(found.values()) else None


def _idx_path(folder: Path, name: str) -> Path | None:
    options = [folder / n for n in (name, f"{name}.gz", name.replace("-idx", ".idx"))]
    return next((path for path in options if path.is_file()), None)


def read_idx_files(paths: dict[str, Path]) -> tuple[Pair, Pair]:
    """Return the train and the test pair of four IDX files. Raises: DataError: one is damaged."""
    arrays = {split: read_idx(path) for split, path in paths.items()}
    return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])


def read_idx(path: Path) -> Array:
    """Return the array of an IDX file, plain or gzipped, in the byte order of this machine.

    Raises: DataError: it is damaged.
    Source: LeCun, the IDX file format: two zero bytes, a type, the number of dimensions, each size, the values.
    """
    try:
        with opened(path) as file:
            shape, dtype = _read_header(path, file)
            size = math.prod(shape) * dtype.itemsize
            check_memory(path, size)
            most = most_bytes(path.stat().st_size) if is_packed(path) else size
            # One more than promised tells a file that is too long, however much longer it is.
            content = read_at_most(file, min(size, most) + 1)
    except DAMAGE as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if len(content) > most:
        check_growth(path, len(content))
    if len(content) != size:
        has = f"{len(content):,}" if len(content) < size else "more"
        raise DataError(f"{path} should hold {size:,} bytes after its header, but has {has}")
    return np.frombuffer(content, dtype).astype(dtype.newbyteorder("="), copy=False).reshape(shape)


def _read_header(path: Path, file: IO[bytes]) -> tuple[tuple[int, ...], "np.dtype[np.generic]"]:
    start = file.read(4)
    is_idx = len(start) == 4 and start[:2] == b"\0\0" and start[2] in _TYPES and 1 <= start[3] <= _MOST_DIMENSIONS
    if not is_idx:
        raise DataError(f"{path} is not an IDX file of numbers: it begins with {start.hex() or 'nothing'}")
    sizes = file.read(4 * start[3])
    if len(sizes) < 4 * start[3]:
        raise DataError(f"{path} ends inside its header")
    return struct.unpack(f">{start[3]}I", sizes), np.dtype(_TYPES[start[2]])
