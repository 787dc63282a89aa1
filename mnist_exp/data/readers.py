"""Read arrays from npz and IDX files; never a pickle."""

import gzip
import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil

from mnist_exp.config.wording import show
from mnist_exp.data.dataset import SPLITS, Array, Pair
from mnist_exp.errors import DataError

IDX_NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
_UBYTE = 0x08
_BLOCK = 1 << 24  # bytes
_OPTIONAL = ("class_names", "w_train")
_WANTED = (*SPLITS, *_OPTIONAL)
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
# What zipfile and numpy's reader of headers are known to raise for a file with one wrong byte, beside ValueError.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, tokenize.TokenError, EOFError, OSError,
    AttributeError, RuntimeError, MemoryError, UserWarning,
)  # fmt: skip


def read_npz(path: Path) -> tuple[Pair, Pair, tuple[str, ...] | None, Array | None]:
    """Return the train pair, the test pair and, if any, the class names and the weights of the training images.

    Args:
        path: a file with the arrays x_train, y_train, x_test, y_test and, if wanted, class_names (text) and w_train.
    Raises: DataError: it is no npz file, is damaged, lacks an array, or holds Python objects.
    """
    try:
        # Opened here: np.load leaves a damaged file open, and takes any other file for a pickle.
        with path.open("rb") as opened:
            if opened.read(4) not in _ZIP_STARTS:
                raise DataError(f"{path} is not a readable npz file: save it with np.savez")
            opened.seek(0)
            arrays = _read_arrays(path, opened)
    except _DAMAGE as error:
        raise DataError(f"{path} is not a readable npz file: {error}") from error
    except ValueError as error:
        why = "it holds Python objects, which could run code" if "allow_pickle" in str(error) else str(error)
        raise DataError(f"{path} cannot be read: {why}") from error
    names, weights = (arrays.get(name) for name in _OPTIONAL)
    if names is not None and (names.ndim != 1 or names.dtype.kind != "U"):
        raise DataError(f"{path}: class_names must be a list of texts, not {names.dtype} of shape {names.shape}")
    pairs = (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])
    return *pairs, tuple(names.tolist()) if names is not None else None, weights


def unread(path: Path, used: Sequence[str] = _WANTED) -> tuple[str, ...]:
    """Return a sentence if an npz file, which `read_npz` has read, holds arrays that are not used.

    Args:
        path: of the file.
        used: the names of the arrays that are.
    """
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    others = [name for name in names if name not in used]
    if not others:
        return ()
    shown = ", ".join(map(show, others[:5])) + (", …" if len(others) > 5 else "")
    return (f"{path} holds more than is used: {shown}; of its arrays only {', '.join(used)} are read",)


def _read_arrays(path: Path, opened: IO[bytes]) -> dict[str, Array]:
    with np.load(opened, allow_pickle=False) as file:
        wanted = [info for info in file.zip.infolist() if info.filename.removesuffix(".npy") in _WANTED]
        # What they grow to, not what they take on the disk; no more than this is read of them.
        check_memory(path, sum(info.file_size for info in wanted))
        for info in wanted:
            _check_promise(path, file.zip, info)
        missing = [name for name in SPLITS if name not in file.files]
        if missing:
            has = ", ".join(file.files) or "nothing"
            raise DataError(f"{path} lacks the array {', '.join(missing)}; it holds {has}")
        return {name: file[name] for name in _WANTED if name in file.files}


def check_memory(path: Path, size: int) -> None:
    """Make sure that the arrays of a file fit into memory. Raises: DataError: they do not.

    Args:
        path: of the file.
        size: in bytes, once it is read.
    """
    free = psutil.virtual_memory().available
    if size > free:
        raise DataError(f"{path} would take {size:,} bytes of memory once it is read, but {free:,} are free")


def _check_promise(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Make sure that an array is no larger than its member: numpy allocates it before it reads."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    promised = math.prod(shape) * dtype.itemsize
    if promised > member.file_size and not dtype.hasobject:
        raise DataError(f"{path}: {member.filename} should hold {promised:,} bytes, but has {member.file_size:,}")


def missing_idx(folder: Path) -> list[str]:
    """Return the names of the IDX files that a folder lacks."""
    return [name for name in IDX_NAMES.values() if _idx_path(folder, name) is None]


def find_idx(folder: Path) -> dict[str, Path] | None:
    """Return the four IDX files of a folder, plain or gzipped, or None if one is missing."""
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
    """Return the uint8 array of an IDX file, plain or gzipped.

    Raises: DataError: it is damaged, or holds another type.
    Source: LeCun, the IDX file format: two zero bytes, a type, the number of dimensions, each size, the values.
    """
    try:
        with path.open("rb") as start:
            is_gzipped = start.read(2) == b"\x1f\x8b"
        opening: Callable[[], Any] = partial(gzip.open, path) if is_gzipped else partial(path.open, "rb")
        with opening() as file:
            shape = _read_header(path, file)
            check_memory(path, math.prod(shape))
            # One more than promised tells a file that is too long, however much longer it is.
            content = _read_at_most(file, math.prod(shape) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if len(content) != math.prod(shape):
        has = f"{len(content):,}" if len(content) < math.prod(shape) else "more"
        raise DataError(f"{path} should hold {math.prod(shape):,} bytes after its header, but has {has}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _read_at_most(file: IO[bytes], size: int) -> bytes:
    """Return the next bytes of a file. Memory is allocated for bytes that are there, not for all that are promised."""
    content = bytearray()
    while len(content) < size and (block := file.read(min(size - len(content), _BLOCK))):
        content += block
    return bytes(content)


def _read_header(path: Path, file: IO[bytes]) -> tuple[int, ...]:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] != _UBYTE or not 1 <= start[3] <= 4:
        raise DataError(f"{path} is not an IDX file of bytes: it begins with {start.hex() or 'nothing'}")
    sizes = file.read(4 * start[3])
    if len(sizes) < 4 * start[3]:
        raise DataError(f"{path} ends inside its header")
    return struct.unpack(f">{start[3]}I", sizes)
