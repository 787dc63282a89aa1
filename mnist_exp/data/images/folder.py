"""Folders of images: which files are of which class, and all of them as arrays."""

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnist_exp.config.wording import show
from mnist_exp.data import pixels
from mnist_exp.data.dataset import Array, Pair
from mnist_exp.data.images.files import SUFFIXES, read_picture, survey_of_deep
from mnist_exp.data.limits import check_memory
from mnist_exp.data.pixels import Range, Survey
from mnist_exp.errors import DataError

# The codes of digits and letters, in hexadecimal, by which NIST names the folders of its Special Database 19.
_HEX = re.compile(r"3[0-9]|4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a]")
_LOOKED_AT = 100  # images whose colours are looked at, to tell that they are lost


@dataclass(frozen=True)
class Listing:
    """Images of a folder with their labels; none of them is read yet.

    Args:
        folder: that was listed.
        names: of the classes.
        files: paths below the folder, in the bytes of the file system.
        labels: int64 (n,).
        depth: the values of black and white in files with more than 8 bits a pixel; None if there is none.
        classes: the folders of the classes, in the order of the names; empty if files are listed one by one.
    """

    folder: Path
    names: tuple[str, ...]
    files: Array
    labels: Array
    depth: Range | None = None
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.files)

    def path(self, position: int) -> Path:
        """Return the path of an image."""
        return self.folder / os.fsdecode(self.files[position])

    def of(self, positions: Array) -> "Listing":
        """Return some of the images."""
        return dataclasses.replace(self, files=self.files[positions], labels=self.labels[positions])

    @property
    def problems(self) -> list[str]:
        """A sentence for each folder of a class without an image."""
        kinds = ", ".join(sorted(SUFFIXES))
        empty = np.flatnonzero(np.bincount(self.labels, minlength=len(self.names)) == 0)
        return [f"{self.folder / self.classes[label]} has no image ({kinds})" for label in empty if self.classes]


@dataclass(frozen=True)
class FileNames:
    """The names of the files of a listing, by position."""

    listing: Listing

    def __getitem__(self, position: int, /) -> str:
        """Return the path of an image, as the user would write it."""
        return str(self.listing.path(position))


def list_folder(folder: Path, classes: Sequence[str] | None = None) -> Listing:
    """Return the images of a folder with one subfolder a class, and of the folders in these.

    Args:
        folder: with the subfolders.
        classes: their names, where they are known; one that is not there has no image.
    Raises: DataError: it has fewer than two.
    """
    found = tuple(classes) if classes is not None else class_folders(folder)
    if len(found) < 2:
        raise DataError(f"{folder} has {len(found)} subfolders; it needs one for each class, at least two")
    files, labels = [], []
    for label, name in enumerate(found):
        for path in _images(folder / name):
            files.append(os.fsencode(path.relative_to(folder)))
            labels.append(label)
    there = found if classes is None else ()
    return Listing(folder, found, np.array(files, np.bytes_), np.array(labels, np.int64), classes=there)


def class_folders(folder: Path) -> tuple[str, ...]:
    """Return the names of the subfolders that stand for classes, sorted."""
    return tuple(sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")))


def characters(names: Sequence[str]) -> tuple[str, ...] | None:
    """Return the characters whose codes are the names of all folders, in hexadecimal; None if they are none.

    Source: P. Grother, K. Hanaoka 2016, NIST Special Database 19, second edition, section 2: `30` holds the digit 0.
    """
    if not all(_HEX.fullmatch(name) for name in names):
        return None
    return tuple(chr(int(name, 16)) for name in names)


def depth_of(listings: Sequence[Listing]) -> Range | None:
    """Return the values of black and white in all files with more than 8 bits a pixel; None if there is none.

    Raises: DataError: some are fractions of 0 to 1, and others are not.
    """
    found: Survey | None = None
    by_kind: dict[bool, Path] = {}
    for listing in listings:
        for position in range(len(listing)):
            path, one = listing.path(position), None
            with contextlib.suppress(DataError):  # It is named when it is read.
                one = survey_of_deep(path)
            if one is None or one.bad is not None:
                continue
            if pixels.is_unit(one) or one.high > 1:  # All black, or black and white, is of any kind.
                by_kind.setdefault(pixels.is_unit(one), path)
            found = one if found is None else found.joined(one)
    if len(by_kind) > 1:
        raise DataError(
            f"{by_kind[True]} has values up to 1 and {by_kind[False]} larger ones: one range for both would make one "
            "of them black; save all images alike"
        )
    return None if found is None else pixels.said(found)


def shape_of_first(listing: Listing, *, size: tuple[int, int] | None, channels: int) -> tuple[int, int, int] | None:
    """Return height, width and channels of the first good image, once it is scaled; None if there is none."""
    for position in range(len(listing)):
        with contextlib.suppress(DataError):
            height, width, _ = read_picture(listing.path(position), size=size, channels=channels).pixels.shape
            return height, width, channels
    return None


def read_folder(listing: Listing, *, size: tuple[int, int] | None, channels: int, seen: "Seen | None" = None) -> Pair:
    """Return the images and labels of a folder.

    Args:
        listing: of the folder.
        size: height and width to which every image is scaled; None takes the first image's.
        channels: 1 for grey, 3 for colour.
        seen: is told what was seen of the files.
    Returns: uint8 images (n, height, width, channels) and labels (n,).
    Raises: DataError: naming every file that is not a good image, and every class without one.
    """
    problems, read = listing.problems, 0
    images: list[Array] = []
    for position in range(len(listing)):
        path = listing.path(position)
        try:
            look = seen is not None and read < _LOOKED_AT
            picture = read_picture(path, size=size, channels=channels, depth=listing.depth, look_for_colour=look)
        except DataError as error:
            problems.append(str(error))
            continue
        if not images:
            check_memory(listing.folder, picture.pixels.nbytes * len(listing))
        read += 1
        size = size or (picture.pixels.shape[0], picture.pixels.shape[1])
        images.append(picture.pixels)
        if seen is not None:
            seen.add(path, animated=picture.is_animated, coloured=picture.is_coloured, resized=picture.size != size)
    if problems:
        raise DataError(problems)
    return np.stack(images), listing.labels


class Seen:
    """What was seen of the files of a folder that a user may not expect."""

    def __init__(self) -> None:
        self._found: dict[str, list[Path]] = {}

    def add(self, path: Path, **kinds: bool) -> None:
        """Take a file and what is so of it."""
        for kind, is_so in kinds.items():
            if is_so:
                self._found.setdefault(kind, []).append(path)

    def sentences(self, folder: Path, *, size: tuple[int, int], is_given: bool) -> Iterator[str]:
        """Yield a sentence for each kind.

        Args:
            folder: that was read.
            size: of the images now, height and width.
            is_given: whether the user gave it.
        """
        if (resized := self._found.get("resized")) and not is_given:
            yield (
                f"{folder}: {_counted(resized, folder)} another size than {size[0]}×{size[1]}, which the first image "
                "has, and were scaled to it: data.size=[height,width] decides"
            )
        if coloured := self._found.get("coloured"):
            yield f"{folder} holds images in colour, as {_named(coloured[0], folder)}: now grey (data.channels=1)"
        if animated := self._found.get("animated"):
            yield f"{folder}: {_counted(animated, folder)} several pictures in one file: the first of each is read"


def _counted(paths: Sequence[Path], folder: Path) -> str:
    if len(paths) == 1:
        return f"1 image, {_named(paths[0], folder)}, has"
    return f"{len(paths):,} images, as {_named(paths[0], folder)}, have"


def _named(path: Path, folder: Path) -> str:
    return show(str(path.relative_to(folder)))


def unread_files(folder: Path, parts: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return a sentence for each kind of files and folders that lie in a folder of images and are not read.

    Args:
        folder: as `read_folder` has read it.
        parts: those of its folders that hold the folders of the classes; none if it holds these itself.
    """
    names = list((parts or {}).values())
    beside = [each for each in _visible(folder) if each.name not in names] if names else []
    of_classes = [each for name in names or ("",) for each in _visible(folder / name)]
    loose = [each for each in of_classes if not each.is_dir()]
    other = [
        each for name in of_classes if name.is_dir() for each in files_of(name) if each.suffix.lower() not in SUFFIXES
    ]
    kinds = {
        f"beside {' and '.join(names)}": beside,
        "in no folder of a class": loose,
        f"names that do not end in one of {', '.join(sorted(SUFFIXES))}": other,
    }
    return tuple(
        f"{folder} holds more than is read: {some(found, folder)} ({why})" for why, found in kinds.items() if found
    )


def some(found: Sequence[Path], folder: Path) -> str:
    """Return the first paths of many, below a folder, and how many more there are."""
    shown = ", ".join(show(str(each.relative_to(folder))) for each in found[:3])
    return shown + (f" and {len(found) - 3:,} more" if len(found) > 3 else "")


def _visible(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if not each.name.startswith("."))


def files_of(folder: Path) -> Iterator[Path]:
    """Yield the visible files of a folder and of those in it, sorted."""
    for each in _visible(folder):
        # A link to a folder may lead back to where it lies.
        if each.is_dir() and not each.is_symlink():
            yield from files_of(each)
        elif not each.is_dir():
            yield each


def _images(folder: Path) -> Iterator[Path]:
    return (each for each in (files_of(folder) if folder.is_dir() else ()) if each.suffix.lower() in SUFFIXES)
