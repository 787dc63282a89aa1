"""A data set in memory, and the checks that it must pass before a model is trained on it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnist_exp.config.wording import show
from mnist_exp.data import features, identity, lazy
from mnist_exp.data.features import Survey
from mnist_exp.data.lazy import Examples, LazyArray
from mnist_exp.errors import DataError
from mnist_exp.tasks.task import Task
from mnist_exp.tasks.weights import ClassWeight, of_images

Array = lazy.Array
Pair = tuple[Examples, Array]
SPLITS = ("x_train", "y_train", "x_test", "y_test")
_PARTS = ("train", "test")


@dataclass(frozen=True)
class Source:
    """The arrays that a loader returned, unchecked.

    Args:
        train: examples and labels.
        test: examples and labels.
        place: where it was found, for people.
        class_names: one name a class, by label, or one for each column of the labels; the labels themselves if None.
        fallback: why this stands in for the data that were asked for, if it does.
        unread: sentences about what lies there and is not used.
        weights: how much each training image counts in the loss, shape (n,); None if all count alike.
        pixels: whether the examples are pixels of 0 to 255; None lets their dtype, dimensions and range say so.
    """

    train: Pair
    test: Pair
    place: str
    class_names: tuple[str, ...] | None = None
    fallback: str | None = None
    unread: tuple[str, ...] = ()
    weights: Array | None = None
    pixels: bool | None = None


@dataclass(frozen=True)
class Dataset:
    """A checked data set.

    Args:
        name: its name in the configuration.
        task: what is learnt: the one that was named, or that the labels say.
        x_train: (n, …), in memory or lazy: pixels as uint8 or float32, 0 to 255, pictures as (n, height, width,
            channels); other features as float32.
        y_train: int64 labels from 0, shape (n,); for other tasks float32 (n, labels or numbers).
        x_test: as `x_train`.
        y_test: as `y_train`.
        class_names: one name a class, by label, or one for each column of the labels.
        place: where it was found, for people.
        sha256: digest of the four arrays' bytes, shapes and dtypes, and of the weights where there are any.
        fallback: why this stands in for the data that were asked for, if it does.
        warnings: sentences about what a user may have meant otherwise.
        weights: how much each training image counts in the loss, float32 (n,); None if all count alike.
        pixels: whether the examples are pixels of 0 to 255, which a model divides by 255.
    """

    name: str
    task: Task
    x_train: Examples
    y_train: Array
    x_test: Examples
    y_test: Array
    class_names: tuple[str, ...]
    place: str
    sha256: str
    fallback: str | None = None
    warnings: tuple[str, ...] = ()
    weights: Array | None = None
    pixels: bool = True

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
    def shape(self) -> tuple[int, ...]:
        """Of one example; height, width, channels for a picture."""
        return tuple(self.x_train.shape[1:])

    @property
    def are_pictures(self) -> bool:
        """Whether the examples can be shown."""
        return features.are_pictures(self.shape, self.pixels)

    def pictures(self, x: Array) -> Array | None:
        """Return examples if they can be shown, else None."""
        return x if self.are_pictures else None

    @property
    def outputs(self) -> int:
        """How many numbers a model returns for one example."""
        return self.task.outputs(self.class_names)


def from_source(name: str, source: Source, task: Task) -> Dataset:
    """Return the checked data set of a source.

    Args:
        name: of the data set.
        source: what the loader returned.
        task: what is to be learnt.
    Raises: DataError: with every reason why it cannot be trained on.
    """
    arrays: dict[str, Examples] = {}
    for split, values in zip(SPLITS, (*source.train, *source.test), strict=True):
        try:
            arrays[split] = values if isinstance(values, LazyArray) else np.asarray(values)
        except ValueError as error:
            raise DataError(f"data={name}, from {source.place}: {split} is not an array: {error}") from error
    problems = [problem for split in _PARTS for problem in features.shape_problems(f"x_{split}", arrays[f"x_{split}"])]
    pixels = usual = True
    if not problems:
        surveys = {split: features.survey(arrays[f"x_{split}"]) for split in _PARTS}
        usual = _are_pixels(arrays, surveys)
        pixels = usual if source.pixels is None else source.pixels
        for split, found in surveys.items():
            problems += features.value_problems(f"x_{split}", arrays[f"x_{split}"], found, pixels)
    try:
        task = task.resolve(arrays["y_train"], source.class_names)
    except DataError as error:
        problems += error.problems
    else:
        problems += [problem for split in _PARTS for problem in _label_problems(split, arrays, task)]
    if not problems:
        problems = list(_problems_between(arrays, pixels))
        y_train, y_test = (task.prepared(arrays[name]) for name in ("y_train", "y_test"))
        problems += task.problems_between(y_train, y_test, source.class_names)
    if not problems and source.weights is not None:
        problems = list(_weight_problems(source.weights, len(arrays["x_train"])))
    if problems:
        raise DataError([f"data={name}, from {source.place}: {problem}" for problem in problems])
    checked = {
        split: features.converted(a, pixels) if split[0] == "x" else task.prepared(a) for split, a in arrays.items()
    }
    names = task.names(checked["y_train"], source.class_names)
    weighted = None if source.weights is None else np.asarray(source.weights, np.float32)
    told = [*source.unread, *_namesakes(name, names)]
    if source.pixels is None:
        told += features.ambiguous(f"data={name}", arrays["x_train"], pixels)
    return Dataset(
        name,
        task,
        **checked,
        class_names=names,
        place=source.place,
        sha256=identity.digest(
            checked if weighted is None else checked | {"weights": weighted},
            # The same bytes, read as something else, are other data.
            note="" if pixels == usual else f"pixels {pixels}",
        ),
        fallback=source.fallback,
        warnings=tuple(told),
        weights=weighted,
        pixels=pixels,
    )


def _namesakes(name: str, class_names: Sequence[str]) -> Iterator[str]:
    """Yield a sentence if two classes have one name."""
    twice = [each for each, times in Counter(class_names).items() if times > 1]
    if twice:
        shown = ", ".join(map(show, twice[:3])) + (", …" if len(twice) > 3 else "")
        yield f"data={name} has several classes of one name, {shown}: what is shown by name cannot tell them apart"


def _are_pixels(arrays: dict[str, Examples], surveys: dict[str, Survey]) -> bool:
    """Tell whether the examples are pixels, by both sets together."""
    low, high = min(each.low for each in surveys.values()), max(each.high for each in surveys.values())
    return features.are_pixels(arrays["x_train"], Survey(low, high, None))


def _label_problems(split: str, arrays: dict[str, Examples], task: Task) -> Iterator[str]:
    x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
    if y.size:
        yield from task.problems(f"y_{split}", y)
    if x.ndim and y.ndim and len(x) != len(y):
        yield f"x_{split} holds {len(x):,} images and y_{split} {len(y):,} labels; there must be as many"


def _weight_problems(weights: Any, images: int) -> Iterator[str]:
    found = np.asarray(weights)
    if found.shape != (images,) or found.dtype.kind not in "iuf":
        yield f"w_train holds {found.dtype} values of shape {found.shape}; it must be numbers, ({images},)"
    elif not ((abs(found) <= np.finfo(np.float32).max).all() and (found >= 0).all() and found.any()):
        yield "w_train, the weights of the training images, must be finite in float32, at least 0, and not all 0"


def _problems_between(arrays: dict[str, Examples], pixels: bool) -> Iterator[str]:
    x_train, x_test = (features.converted(arrays[f"x_{split}"], pixels) for split in _PARTS)
    if x_train.shape[1:] != x_test.shape[1:]:
        yield f"x_train has examples of {x_train.shape[1:]} and x_test of {x_test.shape[1:]}; they must be alike"
    if x_train.dtype != x_test.dtype:
        yield f"x_train holds {x_train.dtype} values and x_test {x_test.dtype}; they must be alike"
