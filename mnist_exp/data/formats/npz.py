"""Read arrays from npz files, one with all of them or one for each; never a pickle."""

import csv
import lzma
import math
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from mnist_exp.config.wording import listed, show
from mnist_exp.data.dataset import Array, Pair
from mnist_exp.data.formats import arrays
from mnist_exp.data.formats.parts import Parts, folder_of, some
from mnist_exp.data.limits import check_memory
from mnist_exp.errors import DataError

_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
# What zipfile and numpy's reader of headers are known to raise for a file with one wrong byte, beside ValueError.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, tokenize.TokenError, EOFError, OSError,
    AttributeError, RuntimeError, MemoryError, UserWarning,
)  # fmt: skip
# KMNIST and Kuzushiji-49 (Clanuwat et al. 2018, github.com/rois-codh/kmnist): kmnist-train-imgs.npz, …-labels.npz, with
# one array each, and kmnist_classmap.csv.
_ALONE = re.compile(r"(?P<set>.+)-(?P<part>train|test|val)-(?P<what>imgs|images|labels)\.npz")
_CLASS_MAP = 1_000_000  # bytes that are read of one


def read(place: Path, *, split: str | None = None) -> Parts:
    """Return the data set of an npz file, of a folder with one, or of the files with one array each of a folder.

    Args:
        place: of the file or folder.
        split: which of several data sets in files of one array, as `kmnist`.
    Raises: DataError: there is none, or several, or a file is damaged.
    """
    sets = _files_of_one_array(folder_of(place))
    if place.is_file() and not any(place in files.values() for files in sets.values()):
        if split is not None:
            raise DataError(f"data.split={show(split)} does not fit: {place} holds one data set")
        return read_npz(place)
    if sets:
        return _read_set(*_chosen(place, sets, split))
    found = sorted(place.glob("*.npz")) if place.is_dir() else []
    if len(found) != 1:
        holds = some([each.name for each in found]) if found else "none"
        raise DataError(f"{place} is not a readable npz file: it is a folder with {holds} in it; name one npz file")
    return read_npz(found[0])


def read_npz(path: Path, names: Collection[str] | None = None) -> Parts:
    """Return the data set of an npz file.

    Args:
        path: of a file with the arrays x_train, y_train, x_test, y_test and, if wanted, x_val, y_val, class_names
            (text), w_train and groups; or named as MedMNIST does; or x and y.
        names: of the arrays that are read; all that are known if None.
    Raises: DataError: it is no npz file, is damaged, lacks an array, or holds Python objects.
    """
    held, found, values = _read(path, names)
    parts = arrays.parts_of(found, values.__getitem__, path)
    others = [name for name in held if name not in found.values()]
    told: tuple[str, ...] = (_unread(path, others, names),) if others else ()
    x = parts.train[0]
    if x.ndim == 4 and x.shape[1] == x.shape[2] == x.shape[3]:
        told += (
            f"{path} holds volumes, {'×'.join(map(str, x.shape[1:]))}: networks for images take their last axis for "
            "channels",
        )
    return replace(parts, told=told)


def _unread(path: Path, others: list[str], names: Collection[str] | None) -> str:
    used = names or (*arrays.OWN.all, arrays.CLASS_NAMES, arrays.WEIGHTS, arrays.GROUPS)
    return f"{path} holds more than is used: {listed(others, 5)}; of its arrays only {', '.join(used)} are read"


def _read(path: Path, names: Collection[str] | None) -> tuple[list[str], dict[str, str], dict[str, Array]]:
    """Return the names of all arrays, those that are read by their usual names, and these arrays by their own."""
    with _opened(path) as file:
        held = list(file.files)
        found = arrays.find(held, path, names)
        return held, found, _load(path, file, set(found.values()))


@contextmanager
def _opened(path: Path) -> "Iterator[np.lib.npyio.NpzFile]":
    """Open an npz file; what reading it raises becomes a DataError."""
    try:
        # Opened here: np.load leaves a damaged file open, and takes any other file for a pickle.
        with path.open("rb") as file:
            if file.read(4) not in _ZIP_STARTS:
                raise DataError(f"{path} is not a readable npz file: save it with np.savez")
            file.seek(0)
            with np.load(file, allow_pickle=False) as held:
                yield held
    except _DAMAGE as error:
        raise DataError(f"{path} is not a readable npz file: {error}") from error
    except ValueError as error:
        why = "it holds Python objects, which could run code" if "allow_pickle" in str(error) else str(error)
        raise DataError(f"{path} cannot be read: {why}") from error


def _load(path: Path, file: "np.lib.npyio.NpzFile", names: Collection[str]) -> dict[str, Array]:
    """Return arrays of an open npz file, once their sizes are known to be true."""
    archive = file.zip
    assert archive is not None
    members = [info for info in archive.infolist() if info.filename.removesuffix(".npy") in names]
    # What they grow to, not what they take on the disk; no more than this is read of them.
    check_memory(path, sum(info.file_size for info in members))
    for info in members:
        _check_promise(path, archive, info)
    return {name: file[name] for name in names}


def _check_promise(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Make sure that an array is no larger than its member: numpy allocates it before it reads."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    promised = math.prod(shape) * dtype.itemsize
    if promised > member.file_size and not dtype.hasobject:
        raise DataError(f"{path}: {member.filename} should hold {promised:,} bytes, but has {member.file_size:,}")


Files = Mapping[tuple[str, str], Path]  # by part and kind, `("train", "images")`


def _files_of_one_array(folder: Path) -> dict[str, Files]:
    """Return the data sets of a folder whose files hold one array each, by the name of the set."""
    sets: dict[str, dict[tuple[str, str], Path]] = {}
    for file in sorted(folder.glob("*.npz")):
        if match := _ALONE.fullmatch(file.name):
            what = "labels" if match["what"] == "labels" else "images"
            sets.setdefault(match["set"], {})[match["part"], what] = file
    return {name: files for name, files in sets.items() if {("train", "images"), ("train", "labels")} <= set(files)}


def _chosen(place: Path, sets: dict[str, Files], split: str | None) -> tuple[str, Files]:
    if split is not None:
        if split not in sets:
            raise DataError(f"data.split={show(split)} is not in {place}: there is {some(list(sets))}")
        return split, sets[split]
    if place.is_file():
        return next(
            ((name, files) for name, files in sets.items() if place in files.values()), next(iter(sets.items()))
        )
    if len(sets) > 1:
        raise DataError(f"{place} holds npz files of {len(sets)} data sets: say data.split=, one of {some(list(sets))}")
    return next(iter(sets.items()))


def _read_set(name: str, files: Files) -> Parts:
    """Return the data set of files that hold one array each."""

    def pair(part: str) -> Pair | None:
        found = [files.get((part, what)) for what in ("images", "labels")]
        if found[0] is None or found[1] is None:
            return None
        return _only_array(found[0]), _only_array(found[1])

    train = pair("train")
    assert train is not None
    names, told = _class_map(files["train", "images"].parent / f"{name}_classmap.csv")
    return Parts(train, pair("test"), pair("val"), class_names=names, told=told)


def _only_array(path: Path) -> Array:
    with _opened(path) as file:
        if len(file.files) != 1:
            raise DataError(f"{path} must hold one array, as its name says; it holds {some(file.files)}")
        return _load(path, file, file.files)[file.files[0]]


def _class_map(file: Path) -> tuple[Mapping[int, str] | None, tuple[str, ...]]:
    """Return the names of the classes by label, from a table with the columns index, codepoint and char."""
    if not file.is_file():
        return None, ()
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            rows = list(csv.DictReader(text.read(_CLASS_MAP).splitlines()))
        names = {int(row["index"]): row["char"] for row in rows}
        if not names or not all(names.values()):
            raise ValueError("a row is missing, or too short")
        return names, ()
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        return None, (f"{file} names no classes: it must have the columns index and char ({error})",)
