"""Unpack zip and tar archives of data sets, once, into a cache folder that is named by their content; never a link."""

import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from mnist_exp.config.wording import show
from mnist_exp.data.download import keras_cache
from mnist_exp.data.limits import DAMAGE, check_growth, is_packed, opened
from mnist_exp.errors import DataError, first_line

MOST_FILES = 2_000_000
_BLOCK = 1 << 20  # bytes
_FREE = 500_000_000  # bytes that stay free on the disk
_DEEPEST = 20  # folders within folders
_TAR_MAGIC, _TAR_PLACE = b"ustar", 257
_NOT_DATA = ("__MACOSX", ".DS_Store")


@dataclass(frozen=True)
class Member:
    """A file or folder of an archive.

    Args:
        name: as the archive has it.
        is_folder: whether it is a folder.
        is_file: whether it is a plain file; neither, for links, devices and pipes.
        file: its content, to be read before the next member is asked for.
    """

    name: str
    is_folder: bool
    is_file: bool
    file: IO[bytes] | None


def is_archive(path: Path) -> bool:
    """Tell whether a file is a zip archive, but no npz file, or a tar archive, plain or packed."""
    return path.is_file() and (_is_zip(path) or _is_tar(path))


def unpacked(path: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the folder or file that an archive holds, and a sentence on it; the path itself if it is none.

    What was unpacked before is taken from the cache. What lies alone in a folder is meant instead of the folder.

    Raises: DataError: a member would lie outside the folder, is no plain file, or the archive is damaged, or too large.
    """
    if not is_archive(path):
        return path, ()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    folder = keras_cache() / "mnist_exp-unpacked" / digest
    if not folder.is_dir():
        _unpack(path, folder)
    return _inner(folder), (f"{path} is an archive; it was unpacked into {folder}, which you may delete",)


def _unpack(path: Path, folder: Path) -> None:
    """Unpack an archive, so that the folder is there whole or not at all."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".", suffix=".partial", dir=folder.parent))
    except OSError as error:
        raise DataError(f"{path} cannot be unpacked into {folder.parent}: {error.strerror}") from error
    try:
        with _members(path) as members:
            _write(path, members, partial)
        try:
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():  # Another process has done the same meanwhile.
                raise
    except (*DAMAGE, zipfile.BadZipFile, tarfile.TarError, RuntimeError, NotImplementedError, ValueError) as error:
        # RuntimeError: it is encrypted; NotImplementedError: packed in a way that zipfile does not know.
        raise DataError(f"{path} cannot be unpacked: {first_line(error)}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(path: Path, members: Iterator[Member], folder: Path) -> None:
    """Write the members of an archive, and count what is written, whatever their headers say."""
    total, free = 0, shutil.disk_usage(folder).free - _FREE
    for count, member in enumerate(members):
        if count >= MOST_FILES:
            raise DataError(f"{path} holds more than {MOST_FILES:,} files: unpack it yourself, and name the folder")
        place = folder.joinpath(*_parts(path, member.name))
        if member.is_folder:
            place.mkdir(parents=True, exist_ok=True)
            continue
        if place == folder or not member.is_file or member.file is None:
            raise DataError(f"{path} holds {show(member.name)}, which is no plain file: links are not unpacked")
        place.parent.mkdir(parents=True, exist_ok=True)
        # x: never over a file that is there, which a second member of one name would do.
        with place.open("xb") as file:
            while block := member.file.read(_BLOCK):
                total += len(block)
                check_growth(path, total)
                if total > free:
                    raise DataError(f"{path} would take more than the {max(free, 0):,} bytes that are free for it")
                file.write(block)


def _parts(path: Path, name: str) -> tuple[str, ...]:
    """Return the folders and the name of a member. Raises: DataError: it would lie elsewhere."""
    parts = PurePosixPath(name).parts
    is_odd = "\0" in name or "\\" in name or name[1:2] == ":" or len(parts) > _DEEPEST
    if is_odd or name.startswith("/") or ".." in parts or any(len(os.fsencode(part)) > 255 for part in parts):
        raise DataError(f"{path} holds {show(name)}, a path that does not stay within a folder: it is not unpacked")
    return parts


@contextmanager
def _members(path: Path) -> Iterator[Iterator[Member]]:
    """Open an archive, for its members in their order."""
    if _is_zip(path):
        # Closed in this order: a member that is being read keeps the archive open.
        with zipfile.ZipFile(path) as archive, closing(_of_zip(archive)) as members:
            yield members
    else:
        with opened(path) as file, tarfile.open(fileobj=_Bounded(path, file), mode="r:") as tar:  # type: ignore[call-overload]
            yield _of_tar(tar)


class _Bounded:
    """A tar archive's bytes: not more than its size explains, and no more at once than a name needs or a block has."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path, self._file, self.tell = path, file, file.tell

    def read(self, size: int) -> bytes:
        if size > 16 * _BLOCK:
            raise DataError(f"{self._path} has a header of {size:,} bytes: no name is that long")
        check_growth(self._path, self.tell() + size)
        return self._file.read(size)

    def seek(self, place: int) -> int:
        check_growth(self._path, place)
        return self._file.seek(place)


def _of_zip(archive: zipfile.ZipFile) -> Generator[Member, None, None]:
    for info in archive.infolist():
        kind = info.external_attr >> 28  # Of Unix: 8 is a plain file, 10 a link; 0 where it is from elsewhere.
        if info.is_dir():
            yield Member(info.filename, True, False, None)
        elif kind not in (0, 8):
            yield Member(info.filename, False, False, None)
        else:
            with archive.open(info) as file:
                yield Member(info.filename, False, True, file)


def _of_tar(archive: tarfile.TarFile) -> Iterator[Member]:
    for info in archive:
        yield Member(info.name, info.isdir(), info.isreg(), archive.extractfile(info) if info.isreg() else None)


def _inner(path: Path) -> Path:
    """Return a folder, or the folder or file that lies alone in it."""
    for _ in range(_DEEPEST):
        inside = [each for each in path.iterdir() if each.name not in _NOT_DATA] if path.is_dir() else []
        if len(inside) != 1:
            break
        path = inside[0]
    return path


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        if file.read(4) not in (b"PK\x03\x04", b"PK\x05\x06"):
            return False
    if path.suffix.lower() == ".npz":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return not all(name.endswith(".npy") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return True  # It says so when it is unpacked.


def _is_tar(path: Path) -> bool:
    try:
        if is_packed(path) and not path.name.lower().endswith((".tgz", ".tar", ".gz", ".bz2", ".xz", ".tbz2", ".txz")):
            return False
        with opened(path) as file:
            return file.read(512)[_TAR_PLACE : _TAR_PLACE + 5] == _TAR_MAGIC
    except DAMAGE:
        return False
