"""Which format a file or folder has, told by what it holds and not by what it is called alone."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from mnist_exp.config.wording import show
from mnist_exp.data.formats import hdf5
from mnist_exp.data.formats.idx import find_sets
from mnist_exp.data.formats.parts import some
from mnist_exp.data.images import table
from mnist_exp.data.images.files import SUFFIXES
from mnist_exp.data.limits import DAMAGE, opened
from mnist_exp.errors import DataError

FORMATS = ("parquet", "cifar", "mat", "idx", "npz", "npy", "hdf5", "image_folder", "csv")
_IDX = re.compile(rb"\x00\x00[\x08\x09\x0b\x0c\x0d\x0e][\x01-\x04]")
_TABLES = (".csv", ".tsv", ".txt")
_PACKED = (".gz", ".bz2", ".xz")
_LOOKED_AT = 20_000  # files of a folder
_CIFAR = {"data_batch_1.bin", "data_batch_1", "test_batch.bin", "coarse_label_names.txt", "fine_label_names.txt"}
_DEEPEST = 3


def format_of(place: Path) -> str:
    """Return the format of a file or folder, the name of a choice of `data`.

    Args:
        place: that exists, and is no archive.
    Raises: DataError: it has none that is known, or several.
    """
    if place.is_file():
        found = _of_file(place)
        if found is None:
            what = "a single image: name the folder of all" if place.suffix.lower() in SUFFIXES else _first_bytes(place)
            raise DataError(f"{place} is {what}; data=auto knows {', '.join(FORMATS)}")
        return found
    found_in = dict.fromkeys(_of_folder(place))
    if not found_in:
        held = [each.name for each in islice(sorted(place.iterdir()), 8)]
        raise DataError(f"{place} holds no data that are known: {some(list(map(show, held)))}; data=auto knows "
                        f"{', '.join(FORMATS)}")  # fmt: skip
    # A table beside other data names their classes, or is a part of their description.
    kinds = [each for each in FORMATS if each in found_in and each != "csv"] or ["csv"]
    if len(kinds) > 1:
        raise DataError(
            f"{place} holds data of several formats: say which, {' or '.join(f'data={each}' for each in kinds)}"
        )
    return kinds[0]


def _of_file(path: Path) -> str | None:
    try:
        with opened(path) as file:
            head = file.read(1024)
    except DAMAGE:
        return None
    kinds = {
        "parquet": head[:4] == b"PAR1",
        "npy": head[:6] == b"\x93NUMPY",
        "npz": head[:4] in (b"PK\x03\x04", b"PK\x05\x06") and path.suffix.lower() == ".npz",
        "mat": head[:7] == b"MATLAB ",
        "hdf5": head[:8] == hdf5.MAGIC,
        "idx": _IDX.match(head) is not None,
    }
    found = next((kind for kind, is_so in kinds.items() if is_so), None)
    if found is None and _suffix(path) in _TABLES and b"\0" not in head:
        return "csv"
    return found


def _suffix(path: Path) -> str:
    """Return the suffix of a file, that before `.gz` of a packed one."""
    return (path.with_suffix("") if path.suffix.lower() in _PACKED else path).suffix.lower()


def _of_folder(folder: Path) -> Iterator[str]:
    """Yield what is found in a folder, and in folders within it."""
    if table.find(folder) is not None:
        yield "image_folder"
        return
    if find_sets(folder):
        yield "idx"
    for path in islice(_files(folder, _DEEPEST), _LOOKED_AT):
        suffix = _suffix(path)
        if path.name in _CIFAR:
            yield "cifar"
        elif suffix in SUFFIXES:
            if path.parent != folder:
                yield "image_folder"
        elif suffix in (".parquet", ".npz", ".npy", ".mat"):
            yield suffix[1:]
        elif suffix in (".h5", ".hdf5"):
            yield "hdf5"
        elif suffix in _TABLES[:2]:
            yield "csv"


def _files(folder: Path, depth: int) -> Iterator[Path]:
    folders = []
    for each in sorted(folder.iterdir()):
        if each.name.startswith("."):
            continue
        if each.is_dir() and not each.is_symlink():
            folders.append(each)
        elif each.is_file():
            yield each
    for each in folders if depth else ():
        yield from _files(each, depth - 1)


def _first_bytes(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(8)
    if head[:1] == b"\x80":
        return "a pickle, which may run any code when it is opened, and is not read"
    return f"a file of no known format, which begins with {head.hex(' ') or 'nothing'}"
