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
from mnist_exp.tasks.task import Task
from mnist_exp.tasks.weights import ClassWeight, of_images

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
        class_names: one name a class, by label, or one for each column of the labels; the labels themselves if None.
        fallback: why this stands in for the data that were asked for, if it does.
        unread: sentences about what lies there and is not used.
        weights: how much each training image counts in the loss, shape (n,); None if all count alike.
    """

    train: Pair
    test: Pair
    place: str
    class_names: tuple[str, ...] | None = None
    fallback: str | None = None
    unread: tuple[str, ...] = ()
    weights: Array | None = None


@dataclass(frozen=True)
class Dataset:
    """A checked data set.

    Args:
        name: its name in the configuration.
        task: what is learnt: the one that was named, or that the labels say.
        x_train: uint8, or float32 in 0-255, shape (n, height, width, channels).
        y_train: int64 labels from 0, shape (n,); for other tasks float32 (n, labels or numbers).
        x_test: as `x_train`.
        y_test: as `y_train`.
        class_names: one name a class, by label, or one for each column of the labels.
        place: where it was found, for people.
        sha256: digest of the four arrays' bytes, shapes and dtypes, and of the weights where there are any.
        fallback: why this stands in for the data that were asked for, if it does.
        warnings: sentences about what a user may have meant otherwise.
        weights: how much each training image counts in the loss, float32 (n,); None if all count alike.
    """

    name: str
    task: Task
    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    class_names: tuple[str, ...]
    place: str
    sha256: str
    fallback: str | None = None
    warnings: tuple[str, ...] = ()
    weights: Array | None = None

    def weights_of(self, images: Array, class_weight: ClassWeight) -> Array | None:
        """Return how much training images count in the loss, float32 (n,); None if all count alike.

        Args:
            images: their positions.
            class_weight: of the trainer.
        Raises: SettingsError: a class is unknown, or the task has none.
        """
        own = None if self.weights is None else self.weights[images]
        return of_images(self.task, self.class_names, self.y_train[images], class_weight, own)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return tuple(self.x_train.shape[1:])

    @property
    def outputs(self) -> int:
        """How many numbers a model returns for one image."""
        return self.task.outputs(self.class_names)


def from_source(name: str, source: Source, task: Task) -> Dataset:
    """Return the checked data set of a source.

    Args:
        name: of the data set.
        source: what the loader returned.
        task: what is to be learnt.
    Raises: DataError: with every reason why it cannot be trained on.
    """
    arrays = {}
    for split, values in zip(SPLITS, (*source.train, *source.test), strict=True):
        try:
            arrays[split] = np.asarray(values)
        except ValueError as error:
            raise DataError(f"data={name}, from {source.place}: {split} is not an array: {error}") from error
    try:
        task = task.resolve(arrays["y_train"], source.class_names)
    except DataError as error:
        problems = error.problems
    else:
        problems = [problem for split in ("train", "test") for problem in _problems(split, arrays, task)]
    if not problems:
        problems = list(_problems_between(arrays))
        y_train, y_test = (task.prepared(arrays[name]) for name in ("y_train", "y_test"))
        problems += task.problems_between(y_train, y_test, source.class_names)
    if not problems and source.weights is not None:
        problems = list(_weight_problems(source.weights, len(arrays["x_train"])))
    if problems:
        raise DataError([f"data={name}, from {source.place}: {problem}" for problem in problems])
    checked = {split: _images(a) if split[0] == "x" else task.prepared(a) for split, a in arrays.items()}
    names = task.names(checked["y_train"], source.class_names)
    weighted = None if source.weights is None else np.asarray(source.weights, np.float32)
    return Dataset(
        name,
        task,
        **checked,
        class_names=names,
        place=source.place,
        sha256=digest(checked if weighted is None else checked | {"weights": weighted}),
        fallback=source.fallback,
        warnings=(*source.unread, *_namesakes(name, names)),
        weights=weighted,
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


def _problems(split: str, arrays: dict[str, Array], task: Task) -> Iterator[str]:
    x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
    yield from _image_problems(f"x_{split}", x)
    if y.size:
        yield from task.problems(f"y_{split}", y)
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


def _weight_problems(weights: Any, images: int) -> Iterator[str]:
    found = np.asarray(weights)
    if found.shape != (images,) or found.dtype.kind not in "iuf":
        yield f"the weights are {found.dtype} values of shape {found.shape}; they must be numbers, ({images},)"
    elif not (np.isfinite(found).all() and (found >= 0).all() and found.any()):
        yield "the weights of the training images must be finite, at least 0, and not all 0"


def _problems_between(arrays: dict[str, Array]) -> Iterator[str]:
    x_train, x_test = _images(arrays["x_train"]), _images(arrays["x_test"])
    if x_train.shape[1:] != x_test.shape[1:]:
        yield f"x_train has images of {x_train.shape[1:]} and x_test of {x_test.shape[1:]}; they must be alike"
    if x_train.dtype != x_test.dtype:
        yield f"x_train holds {x_train.dtype} pixels and x_test {x_test.dtype}; they must be alike"
