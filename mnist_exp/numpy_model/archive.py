"""A .keras file, read without believing it: three members, names of harmless classes, plain arrays within itself.

What is made of it, a copy or a configuration and weights, holds nothing but what was checked.
"""

import io
import json
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mnist_exp.config import allow_list
from mnist_exp.config.allow_list import ForbiddenError
from mnist_exp.errors import first_line

if TYPE_CHECKING:
    import h5py

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
LARGEST = {CONFIG: 20_000_000, METADATA: 100_000, WEIGHTS: 4_000_000_000}  # bytes
_NUMBERS = "biuf"  # kinds of dtypes
_BFLOAT16 = "|V2"
_MOST_OBJECTS = 1_000_000
# What a damaged file may raise.
DAMAGE = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError)


@dataclass(frozen=True)
class Part:
    """The weights of a layer, or of a model within a model.

    Args:
        name: of the layer.
        arrays: in Keras's order.
        parts: those of the layers that a model is made of.
    """

    name: str
    arrays: tuple[npt.NDArray[Any], ...]
    parts: tuple["Part", ...]


def copy_checked(path: Path, copy: Path, trusted: Sequence[str] = ()) -> dict[str, Any]:
    """Check a model file, copy the parts that prediction needs, and return its configuration.

    Args:
        path: of the file.
        copy: where the copy goes.
        trusted: modules whose classes and functions it may name.
    Raises: ForbiddenError: it holds what it must not.
        OSError, ValueError, BadZipFile and their like: it is damaged.
    """
    import h5py

    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            raise ForbiddenError(
                "it is no .keras archive; old .h5 files and SavedModels run code when they are loaded, and are not "
                "read: save it again with model.save('NAME.keras')"
            )
        with zipfile.ZipFile(file) as archive:
            members = _members(archive)
            config = _config(archive, members, trusted)
            weights = copy.with_suffix(".h5")
            with archive.open(members[WEIGHTS]) as source, weights.open("wb") as target:
                _copy(source, target, LARGEST[WEIGHTS])
            with h5py.File(weights, "r") as opened:
                _check_weights(opened)
            with zipfile.ZipFile(copy, "w") as clean:
                clean.writestr(CONFIG, json.dumps(config))
                clean.writestr(METADATA, "{}")
                clean.write(weights, WEIGHTS)
            weights.unlink()
    return config


def read(content: bytes) -> tuple[dict[str, Any], Part]:
    """Check a model file as `copy_checked` does, and return its configuration and its weights.

    Args:
        content: of the file.
    Raises: as `copy_checked`.
    """
    import h5py

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = _members(archive)
        config = _config(archive, members, ())
        with archive.open(members[WEIGHTS]) as source:
            weights = io.BytesIO(source.read(members[WEIGHTS].file_size))
    with h5py.File(weights, "r") as file:
        _check_weights(file)
        return config, _part(file)


def _config(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], trusted: Sequence[str]) -> dict[str, Any]:
    config = _json(archive, members[CONFIG])
    allow_list.check(config := allow_list.without_training(config), trusted)
    _json(archive, members[METADATA])
    return dict(config)


def _part(group: "h5py.Group") -> Part:
    own, layers = group.get("vars", {}), group.get("layers", {})
    arrays = tuple(np.asarray(own[name]) for name in sorted(own, key=int))
    name = own.attrs.get("name", "") if own else ""
    return Part(str(name), arrays, tuple(_part(layers[each]) for each in layers))


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the three members of an archive. Raises: ForbiddenError: there are others, or they are odd."""
    found = archive.infolist()
    names = [info.filename for info in found]
    if sorted(names) != sorted(LARGEST):
        others = [name for name in names if name not in LARGEST] or sorted(set(names))
        shown = ", ".join(repr(name[:80]) for name in others[:5])
        raise ForbiddenError(f"it must hold {', '.join(LARGEST)}, each once, and nothing else, but holds {shown}")
    for info in found:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or info.flag_bits & 0x1:
            raise ForbiddenError(f"its {info.filename} is no plain file, but a link, a device or encrypted")
        if info.file_size > LARGEST[info.filename]:
            raise ForbiddenError(
                f"its {info.filename} has {info.file_size:,} bytes; at most {LARGEST[info.filename]:,} are read"
            )
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ForbiddenError(f"its {info.filename} is compressed in a way that Keras does not use")
        # Deflate makes nothing but a bomb a hundred times smaller: weights are noise.
        if info.filename == WEIGHTS and info.file_size > 100 * info.compress_size + 1_000_000:
            raise ForbiddenError(
                f"its {info.filename} would grow from {info.compress_size:,} to {info.file_size:,} bytes"
            )
    return {info.filename: info for info in found}


def _json(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Any:
    with archive.open(member) as opened:
        content = opened.read(LARGEST[member.filename])
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ForbiddenError(f"its {member.filename} is no JSON: {first_line(error)}") from error


def _copy(source: IO[bytes], target: IO[bytes], most: int) -> None:
    copied = 0
    while block := source.read(1 << 20):
        copied += len(block)
        if copied > most:
            raise ForbiddenError(f"it grows beyond {most:,} bytes")
        target.write(block)


def _check_weights(file: "h5py.File") -> None:
    """Make sure that an HDF5 file holds plain arrays, all within itself.

    Raises: ForbiddenError: it points to other files, or its arrays would grow.
    """
    import h5py

    for count, (name, item) in enumerate(_items(file, "")):
        what = f"its weights' {name[:80]}"
        if count > _MOST_OBJECTS:
            raise ForbiddenError(f"its weights have more than {_MOST_OBJECTS:,} parts")
        if isinstance(item, h5py.Group):
            continue
        if not isinstance(item, h5py.Dataset):
            raise ForbiddenError(f"{what} is no array")
        if item.external or item.is_virtual:
            raise ForbiddenError(f"{what} is taken from another file")
        if item.dtype.kind not in _NUMBERS and item.dtype.str != _BFLOAT16:
            raise ForbiddenError(f"{what} holds {item.dtype}, not numbers")
        if item.id.get_create_plist().get_nfilters() or item.id.get_storage_size() < item.nbytes:
            raise ForbiddenError(f"{what} is compressed, or larger than what is stored of it")


def _items(group: "h5py.Group", path: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    import h5py

    if depth > 100:
        raise ForbiddenError("its weights are nested without an end")
    for name in group:
        inner = f"{path}/{name}"
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ForbiddenError(f"its weights' {inner[:80]} is a link, maybe to another file")
        item = group[name]
        yield inner, item
        if isinstance(item, h5py.Group):
            yield from _items(item, inner, depth + 1)
