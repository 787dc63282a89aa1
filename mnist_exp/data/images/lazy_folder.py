"""The images of a folder, read as they are needed, by several threads."""

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import PIL
from PIL import features as pillow

from mnist_exp.data.images import files
from mnist_exp.data.images.files import as_png, read_image
from mnist_exp.data.images.folder import Listing
from mnist_exp.data.images.jpeg import is_plain
from mnist_exp.data.lazy import Array
from mnist_exp.errors import DataError
from mnist_exp.runtime import threads

_MOST_READERS = 16
_FEW = 4  # images that are not worth the threads
_SETTLED_NS = 2_000_000_000  # A file that was written to a moment ago may be so again at what looks like the same time.


class FolderImages:
    """The rows of a lazy array: the images of a folder.

    A file that is changed after it was listed is an error: no training sees two contents of one image.

    Args:
        listing: of the folder.
        shape: height, width and channels that every image gets.
    Raises: DataError: a file cannot be looked at.
    """

    def __init__(self, listing: Listing, shape: tuple[int, int, int]) -> None:
        self.shape: tuple[int, ...] = (len(listing), *shape)
        self.dtype = np.dtype(np.uint8)
        self._listing, self._folder, self._shape = listing, str(listing.folder), shape
        self._listed_ns = time.time_ns()
        self._facts = np.array([_facts(listing.path(position)) for position in range(len(listing))], np.int64)

    def read(self, positions: Array) -> Array:
        """Return images, uint8 (n, height, width, channels). Raises: DataError: naming every file that is not good."""
        found = np.empty((len(positions), *self.shape[1:]), np.uint8)
        problems: list[tuple[int, str]] = []

        def fill(places: range) -> None:
            for place in places:
                try:
                    found[place] = self._read(int(positions[place]))
                except DataError as error:
                    problems.append((place, str(error)))

        readers = min(_readers(), len(positions) // _FEW)
        if readers < 2:
            fill(range(len(positions)))
        else:
            ends = np.linspace(0, len(positions), readers + 1).astype(int)
            list(_pool().map(fill, map(range, ends[:-1], ends[1:])))
        if problems:
            raise DataError([text for _, text in sorted(problems)])
        return found

    def identity(self, positions: Array) -> str | None:
        """Return the digest of the paths, sizes and times of files, and of what reads them; None if one is too new."""
        facts = self._facts[positions]
        if len(facts) and self._listed_ns - facts[:, 1:].max() < _SETTLED_NS:
            return None
        total = hashlib.sha256(f"{self.shape[1:]} {self._listing.depth} {_reader()}".encode())
        total.update(os.fsencode(self._listing.folder.resolve()) + b"\0")
        total.update(b"\0".join(self._listing.files[positions].tolist()))
        total.update(facts.tobytes())
        return total.hexdigest()

    def encoded(self, positions: Array) -> list[bytes]:
        """Return a file for each image that every decoder turns into the same pixels: its own, or a PNG of these."""
        files = []
        for position in positions.tolist():
            path, content = self._content(position)
            files.append(content if is_plain(content, self._shape) else as_png(self._decoded(path, content)))
        return files

    def _read(self, position: int) -> Array:
        return self._decoded(*self._content(position))

    def _decoded(self, path: str, content: bytes) -> Array:
        height, width, channels = self._shape
        return read_image(content, size=(height, width), channels=channels, what=path, depth=self._listing.depth)

    def _content(self, position: int) -> tuple[str, bytes]:
        path = f"{self._folder}{os.sep}{os.fsdecode(self._listing.files[position])}"
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123  a third of the time of Path.open
                now, content = os.fstat(file.fileno()), file.read()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        if _of(now) != tuple(self._facts[position].tolist()):
            raise DataError(f"{path} was changed while the data set was in use: start again")
        return path, content


def _facts(path: Path) -> tuple[int, int, int]:
    try:
        return _of(path.stat())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _of(found: os.stat_result) -> tuple[int, int, int]:
    # The time of change tells what the time of modification hides, as `cp -p` and `touch -d` do.
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


@cache
def _reader() -> str:
    """Return what decides which pixels a file becomes: Pillow, its decoders, and the code here."""
    decoders = {name: pillow.version(name) for name in ("jpg", "libjpeg_turbo", "zlib", "webp", "libtiff")}
    code = hashlib.sha256(Path(files.__file__).read_bytes()).hexdigest()
    return f"{PIL.__version__} {decoders} {code}"


def _readers() -> int:
    return min(threads.usable_cpus(), _MOST_READERS)


@cache
def _pool() -> ThreadPoolExecutor:
    """Return the threads that read; all data sets of the process share them."""
    return ThreadPoolExecutor(_readers(), thread_name_prefix="image-reader")
