"""A folder of images as a data set: by subfolders, by train, val and test in it, or by a table beside the images."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mnist_exp.config.wording import show
from mnist_exp.data import labels, pixels, unreadable
from mnist_exp.data.dataset import Pair, Source
from mnist_exp.data.images import sound_files
from mnist_exp.data.images import table as table_files
from mnist_exp.data.images.folder import (
    FileNames,
    Listing,
    Seen,
    characters,
    class_folders,
    depth_of,
    list_folder,
    read_folder,
    shape_of_first,
    unread_files,
)
from mnist_exp.data.images.lazy_folder import FolderImages
from mnist_exp.data.images.table import PARTS
from mnist_exp.data.lazy import Array, LazyArray
from mnist_exp.data.pixels import BYTES, SIXTEEN_BITS
from mnist_exp.data.splits import test_part
from mnist_exp.errors import DataError

MB = 1_000_000


@dataclasses.dataclass(frozen=True)
class Options:
    """How the images of a folder are read; `data.loaders.image_folder` says what each means."""

    size: tuple[int, int] | None
    channels: int
    test_share: float
    default_share: float
    in_memory_mb: int | None
    label: str | None = None
    group_by: str | None = None


def source(folder: Path, options: Options) -> Source:
    """Return the images of a folder.

    Args:
        folder: that exists.
        options: how they are read.
    Raises: DataError: naming every image and class in it that is bad.
    """
    table = table_files.find(folder)
    parts = _parts(folder)
    if table is not None and not parts:
        return _by_table(folder, table, options)
    for name, value in (("label", options.label), ("group_by", options.group_by)):
        if value is not None:
            raise DataError(
                f"data.{name}={show(value)} is a column of {' or '.join(table_files.NAMES)}, which {folder} has not"
            )
    if parts:
        return _by_parts(folder, parts, options)
    _refuse_half(folder)
    listing = list_folder(folder)
    told = list(unread_files(folder))
    return _divided(listing, listing.names, listing.labels, None, options, told)


def _parts(folder: Path) -> dict[str, str]:
    """Return the folders of the sets, by train, test and val; {} where the folder holds classes, or half of them."""
    found = {}
    for part, names in PARTS.items():
        there = [each.name for each in folder.iterdir() if each.is_dir() and each.name.lower() in names]
        if len(there) > 1:
            raise DataError(
                f"data.path={folder} has {' and '.join(sorted(there))}, which are one set: keep one of them"
            )
        if there:
            found[part] = there[0]
    is_whole = {"train", "test"} <= set(found) or {"train", "val"} <= set(found)
    return found if is_whole and all(_has_folders(folder / name) for name in found.values()) else {}


def _has_folders(folder: Path) -> bool:
    return any(each.is_dir() for each in folder.iterdir())


def _by_parts(folder: Path, parts: Mapping[str, str], options: Options) -> Source:
    names = class_folders(folder / parts["train"])
    for part, name in parts.items():
        own = class_folders(folder / name)
        # A validation set may lack a class, which is told; in the test set that would be a mistake of the folder.
        if set(own) - set(names) or (part == "test" and own != names):
            different = ", ".join(sorted(set(names) ^ set(own)))
            raise DataError(
                f"data.path={folder}: {parts['train']} and {name} must have the same classes; only one has {different}"
            )
    listed = {part: list_folder(folder / name, None if part != "val" else names) for part, name in parts.items()}
    told, problems = list(unread_files(folder, parts)), [each for one in listed.values() for each in one.problems]
    if "test" not in listed:
        told.append(
            f"{folder} has {parts['val']}/ and no test/: {parts['val']}/ is the validation set, and data.test_share="
            f"{options.test_share} of {parts['train']}/ became the test set"
        )
        out = test_part(listed["train"].labels, options.test_share)
        rest = np.delete(np.arange(len(listed["train"])), out)
        listed = {"train": listed["train"].of(rest), "test": listed["train"].of(out), "val": listed["val"]}
    elif options.test_share != options.default_share:
        told.append(
            f"data.test_share={options.test_share} has no effect: {folder} brings its own test set, in {parts['test']}/"
        )
    shown, more = _named(names)
    found = {part: each.labels for part, each in listed.items()}
    return _read(folder, listed, found, shown, options, [*told, *more], problems=problems)


def _by_table(folder: Path, file: Path, options: Options) -> Source:
    table = table_files.read(file, folder, label=options.label, group_by=options.group_by)
    numbered = labels.texts_numbered([table.labels], None)
    assert numbered is not None and numbered.names is not None
    listing = dataclasses.replace(table.listing, names=numbered.names, labels=numbered.parts[0])
    told = list(table.told)
    if not table.parts:
        return _divided(listing, numbered.names, numbered.parts[0], table.groups, options, told)
    if "train" not in table.parts:
        raise DataError(f"{file}: no image is of the set train")
    train, groups = table.parts["train"], table.groups
    if groups is not None:
        told += _torn(file, {part: groups[found] for part, found in table.parts.items()})
    rest = {part: found for part, found in table.parts.items() if part != "train"}
    if "test" not in rest:
        own = None if groups is None else groups[train]
        out = test_part(listing.labels[train], options.test_share, own)
        rest["test"], train = train[out], np.delete(train, out)
        told.append(f"{file.name} names no test images: data.test_share={options.test_share} of train became these")
    listed = {part: listing.of(found) for part, found in {"train": train, **rest}.items()}
    found = {part: each.labels for part, each in listed.items()}
    return _read(folder, listed, found, numbered.names, options, told, None if groups is None else groups[train])


def _torn(file: Path, groups: Mapping[str, Array]) -> list[str]:
    """Return a sentence for each set that has groups of the training set, by the table's own division."""
    trained = set(groups["train"].tolist())
    return [
        f"{file.name} puts {len(torn):,} groups into train and {part}, as {show(sorted(torn)[0])}: what is measured on "
        f"{part} is too good for new ones"
        for part, found in groups.items()
        if part != "train" and (torn := trained & set(found.tolist()))
    ]


def _divided(
    listing: Listing,
    names: Sequence[str],
    found: Array,
    groups: Array | None,
    options: Options,
    told: Sequence[str],
) -> Source:
    """Return images of which a share becomes the test set."""
    out = test_part(found, options.test_share, groups)
    rest = np.delete(np.arange(len(found)), out)
    shown, more = _named(names) if listing.classes else (tuple(names), [])
    listed = {"train": listing.of(rest), "test": listing.of(out)}
    own = None if groups is None else groups[rest]
    of_sets = {"train": found[rest], "test": found[out]}
    return _read(listing.folder, listed, of_sets, shown, options, [*told, *more], own, listing.problems)


def _named(names: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the names of the classes by those of their folders, and what a user should know of that."""
    found = characters(names)
    if found is None:
        return tuple(names), []
    return found, [
        f"the folders are named by codes of characters in hexadecimal, as those of NIST SD19: {names[0]} is the class "
        f"{show(found[0])}"
    ]


def _read(
    folder: Path,
    listed: Mapping[str, Listing],
    found: Mapping[str, Array],
    names: Sequence[str],
    options: Options,
    told: Sequence[str],
    groups: Array | None = None,
    problems: Sequence[str] = (),
) -> Source:
    """Return the images of each set, all of the size of the first one, lazy where they are too large.

    Raises: DataError: with the problems that are known, and all that the files have.
    """
    depth = depth_of(list(listed.values()))
    listed = {part: dataclasses.replace(each, depth=depth, classes=()) for part, each in listed.items()}
    good = {part: sound_files.positions(each) for part, each in listed.items()}
    if any(len(good[part]) < len(each) for part, each in listed.items()):
        listed = {part: each.of(good[part]) for part, each in listed.items()}
        found = {part: each[good[part]] for part, each in found.items()}
        groups = groups if groups is None else groups[good["train"]]
    problems = [each for each in problems if not unreadable.leave_out(each)]
    size, channels = options.size, options.channels
    shape = shape_of_first(listed["train"], size=size, channels=channels)
    size = size or (shape and (shape[0], shape[1]))
    total = sum(map(len, listed.values())) * math.prod(shape or ())
    sentences = [*told]
    if shape is None or options.in_memory_mb is None or total <= options.in_memory_mb * MB:
        seen = Seen()
        bad, pairs = list(problems), {}
        for part, each in listed.items():
            try:
                pairs[part] = read_folder(each, size=size, channels=channels, seen=seen)[0], found[part]
            except DataError as error:
                bad += error.problems
        if bad:
            raise DataError(bad)
        if size is not None:
            sentences += seen.sentences(folder, size=size, is_given=options.size is not None)
    else:
        if problems:
            raise DataError(problems)
        pairs = {part: (LazyArray(FolderImages(each, shape)), found[part]) for part, each in listed.items()}
    if depth is not None and depth not in (BYTES, SIXTEEN_BITS):
        sentences.append(
            f"{folder} holds images of more than 8 bits a pixel, whose values are {pixels.words(depth)}: they were "
            "scaled to 0 to 255"
        )
    validation: Pair | None = pairs.get("val")
    return Source(
        pairs["train"],
        pairs["test"],
        place=str(folder),
        class_names=tuple(names),
        unread=tuple(sentences),
        validation=validation,
        groups=groups,
        pixels=BYTES,  # As files have them, however dark the images are.
        depth=depth,
        files={part: FileNames(each) for part, each in listed.items()},
    )


def _refuse_half(folder: Path) -> None:
    """Raise DataError if one of the sets is there alone: it holds folders, and is no class with images."""
    for part in ("train", "test"):
        if (folder / part).is_dir() and _has_folders(folder / part) and not _images_in(folder / part):
            lacking = "test" if part == "train" else "train"
            raise DataError(
                f"data.path={folder} has {part}/ with folders in it, and no {lacking}/: add {lacking}/, or take "
                f"data.path={folder / part}, of which data.test_share becomes the test set"
            )


def _images_in(folder: Path) -> bool:
    """Tell whether images lie in a folder itself, as in one of a class."""
    from mnist_exp.data.images.files import SUFFIXES

    return any(each.suffix.lower() in SUFFIXES for each in folder.iterdir() if each.is_file())
