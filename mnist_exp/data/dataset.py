"""A data set in memory, and the checks that it must pass before a model is trained on it."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mnist_exp.config.wording import show
from mnist_exp.errors import DataError

Array = npt.NDArray[Any]
Pair = tuple[Array, Array]
SPLITS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class Source:
    """The arrays that a loader returned, unchecked.

    Args:
        train: images and labels.
        test: images and labels.
        place: where it was found, for people.
        class_names: one name a class, by label; the labels themselves if None.
        fallback: why this stands in for the data that were asked for, if it does.
        unread: sentences about what lies there and is not used.
    """

    train: Pair
    test: Pair
    place: str
    class_names: tuple[str, ...] | None = None
    fallback: str | None = None
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A checked data set.

    Args:
        name: its name in the configuration.
        x_train: uint8, or float32 in 0-255, shape (n, height, width, channels).
        y_train: int64 labels from 0, shape (n,).
        x_test: as `x_train`.
        y_test: as `y_train`.
        class_names: one name a class, by label.
        place: where it was found, for people.
        sha256: digest of the four arrays' bytes, shapes and dtypes.
        fallback: why this stands in for the data that were asked for, if it does.
        warnings: sentences about what a user may have meant otherwise.
    """

    name: str
    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    class_names: tuple[str, ...]
    place: str
    sha256: str
    fallback: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return tuple(self.x_train.shape[1:])

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


def from_source(name: str, source: Source) -> Dataset:
    """Return the checked data set of a source.

    Raises: DataError: with every reason why it cannot be trained on.
    """
    arrays = {}
    for split, values in zip(SPLITS, (*source.train, *source.test), strict=True):
        try:
            arrays[split] = np.asarray(values)
        except ValueError as error:
            raise DataError(f"data={name}, from {source.place}: {split} is not an array: {error}") from error
    problems = [problem for split in ("train", "test") for problem in _problems(split, arrays)]
    if not problems:
        problems = list(_problems_between(arrays, source.class_names))
    if problems:
        raise DataError([f"data={name}, from {source.place}: {problem}" for problem in problems])
    classes = int(arrays["y_train"].max()) + 1
    names = source.class_names or tuple(str(label) for label in range(classes))
    checked = {split: _images(a) if split[0] == "x" else _labels(a) for split, a in arrays.items()}
    return Dataset(
        name,
        **checked,
        class_names=names,
        place=source.place,
        sha256=digest(checked),
        fallback=source.fallback,
        warnings=(*source.unread, *_namesakes(name, names)),
    )


def _namesakes(name: str, class_names: Sequence[str]) -> Iterator[str]:
    """Yield a sentence if two classes have one name."""
    twice = [each for each, times in Counter(class_names).items() if times > 1]
    if twice:
        shown = ", ".join(map(show, twice[:3])) + (", …" if len(twice) > 3 else "")
        yield f"data={name} has several classes of one name, {shown}: what is shown by name cannot tell them apart"


def digest(arrays: dict[str, Array]) -> str:
    """Return the SHA-256, in hex, of named arrays: names, dtypes, shapes and bytes."""
    total = hashlib.sha256()
    for name, array in arrays.items():
        total.update(f"{name} {array.dtype.str} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def _images(x: Array) -> Array:
    x = x if x.ndim == 4 else x[..., np.newaxis]
    return x.astype(np.float32 if x.dtype.kind == "f" else np.uint8, copy=False)


def _labels(y: Array) -> Array:
    return y.reshape(len(y)).astype(np.int64)


def _problems(split: str, arrays: dict[str, Array]) -> Iterator[str]:
    x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
    yield from _image_problems(f"x_{split}", x)
    if y.ndim != 1 and not (y.ndim == 2 and y.shape[1] == 1):
        fix = "it must be one label an image, (n,), not one-hot: np.argmax(y, axis=1)"
        yield f"y_{split} has the shape {y.shape}; {fix}"
    elif y.dtype.kind not in "iu":
        yield f"y_{split} holds {y.dtype} values; labels must be whole numbers from 0"
    elif len(y) and int(y.min()) < 0:
        yield f"y_{split} holds the label {int(y.min())}; labels must be whole numbers from 0"
    if x.ndim and y.ndim and len(x) != len(y):
        yield f"x_{split} holds {len(x):,} images and y_{split} {len(y):,} labels; there must be as many"


def _image_problems(name: str, x: Array) -> Iterator[str]:
    if x.ndim not in (3, 4):
        yield f"{name} has the shape {x.shape}; it must be (n, height, width) or (n, height, width, channels)"
    elif x.size == 0:
        yield f"{name} is empty, shape {x.shape}; it must hold at least one image"
    elif x.ndim == 4 and x.shape[3] not in (1, 3, 4):
        yield f"{name} has the shape {x.shape}, so {x.shape[3]} channels; they come last and must be 1, 3 or 4"
    elif x.dtype.kind not in "uif":
        yield f"{name} holds {x.dtype} values; pixels must be uint8, 0 to 255"
    elif x.dtype != np.uint8:
        # np.min and np.max carry a NaN through, so that one pass each tells everything.
        low, high = float(x.min()), float(x.max())
        if np.isnan(low) or np.isnan(high):
            bad = int(np.argmax(np.isnan(x.reshape(len(x), -1)).any(axis=1)))
            yield f"{name} has NaN pixels, the first in image {bad}; pixels must be 0 to 255"
        elif low < 0 or high > 255:
            yield f"{name} has pixels from {low:g} to {high:g}; they must be 0 to 255"
        elif x.dtype.kind == "f" and high <= 1:
            yield f"{name} has pixels from {low:g} to {high:g}; give the raw ones, 0 to 255: the model scales them"


def _problems_between(arrays: dict[str, Array], class_names: tuple[str, ...] | None) -> Iterator[str]:
    x_train, x_test = _images(arrays["x_train"]), _images(arrays["x_test"])
    if x_train.shape[1:] != x_test.shape[1:]:
        yield f"x_train has images of {x_train.shape[1:]} and x_test of {x_test.shape[1:]}; they must be alike"
    if x_train.dtype != x_test.dtype:
        yield f"x_train holds {x_train.dtype} pixels and x_test {x_test.dtype}; they must be alike"
    y_train, y_test = _labels(arrays["y_train"]), _labels(arrays["y_test"])
    highest = int(y_train.max())
    classes = len(class_names) if class_names else highest + 1
    if highest >= classes:
        yield f"y_train holds the label {highest}, but there are {classes} class names; labels must be below {classes}"
        return
    if int(y_test.max()) >= classes:
        yield f"y_test holds the label {int(y_test.max())}, but the classes are 0 to {classes - 1}"
    if classes < 2:
        yield "y_train holds one class only; a classifier needs at least two"
    if highest > 10 * len(y_train):
        yield f"y_train holds the label {highest} but only {len(y_train):,} images; labels must be 0, 1, 2, …"
        return
    counts = np.bincount(y_train, minlength=classes)
    empty = [f"{label} ({class_names[label]})" if class_names else str(label) for label in np.flatnonzero(counts == 0)]
    if empty:
        named = ", ".join(empty[:10]) + (", …" if len(empty) > 10 else "")
        yield f"class {named} has no training image; labels must be 0, 1, 2, … without a gap"
