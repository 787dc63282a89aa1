"""A data set: what a loader returns, and what it is once it has been checked."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mnist_exp.data import appearance, lazy, pixels
from mnist_exp.data.appearance import Appearance
from mnist_exp.data.lazy import Examples
from mnist_exp.data.pixels import BYTES, Range
from mnist_exp.tasks.task import Task
from mnist_exp.tasks.weights import ClassWeight, of_images

Array = lazy.Array
Pair = tuple[Examples, Array]
SPLITS = ("x_train", "y_train", "x_test", "y_test")


class Files(Protocol):
    """Names of files by the positions of examples."""

    def __getitem__(self, position: int, /) -> str:
        """Return the file of an example, as a person would name it."""


@dataclass(frozen=True)
class Source:
    """The arrays that a loader returned, unchecked and as the files have them.

    Args:
        train: examples and labels.
        test: examples and labels.
        place: where it was found, for people.
        class_names: one name a class, by label, or one for each column of the labels; a mapping names labels of any
            numbers or texts; the labels themselves if None.
        fallback: why this stands in for the data that were asked for, if it does.
        unread: sentences about what lies there and is not used, or was found out.
        weights: how much each training image counts in the loss, shape (n,); None if all count alike.
        pixels: whether the examples are pixels, or which values are black and white; None lets their dtype, dimensions
            and range say so.
        validation: the data set's own validation set, examples and labels; None if it has none.
        groups: of the training images, (n,): a hold-out never tears apart those of one value, as of one writer.
        depth: the values that became 0 and 255 of image files with more than 8 bits a pixel; None if there were none.
        files: for each of train, test and val, the file of each example, if each has one of its own.
        columns: names of the columns that an example's values were, in their order; None where they have no names.
    """

    train: Pair
    test: Pair
    place: str
    class_names: tuple[str, ...] | Mapping[Any, str] | None = None
    fallback: str | None = None
    unread: tuple[str, ...] = ()
    weights: Array | None = None
    pixels: bool | Range | None = None
    validation: Pair | None = None
    groups: Array | None = None
    depth: Range | None = None
    files: Mapping[str, Files] = field(default_factory=dict)
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Dataset:
    """A checked data set.

    Args:
        name: its name in the configuration.
        task: what is learnt: the one that was named, or that the labels say.
        x_train: (n, …), in memory or lazy: pixels as uint8 or float32, pictures as (n, height, width, channels); other
            features as float32.
        y_train: int64 labels from 0, shape (n,); for other tasks float32 (n, labels or numbers).
        x_test: as `x_train`.
        y_test: as `y_train`.
        class_names: one name a class, by label, or one for each column of the labels.
        place: where it was found, for people.
        sha256: digest of the arrays' bytes, shapes and dtypes.
        fallback: why this stands in for the data that were asked for, if it does.
        warnings: sentences about what a user may have meant otherwise.
        weights: how much each training image counts in the loss, float32 (n,); None if all count alike.
        pixel_range: the values of black and white; None where the examples are no pixels.
        x_val: the data set's own validation set, as `x_train`; None if it has none.
        y_val: as `y_train`.
        groups: of the training images, int64 (n,); None if each is one of its own.
        depth: as of the `Source`.
        columns: as of the `Source`.
        files: likewise.
        files: as of the `Source`.
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
    pixel_range: Range | None = BYTES
    x_val: Examples | None = None
    y_val: Array | None = None
    groups: Array | None = None
    depth: Range | None = None
    columns: tuple[str, ...] | None = None
    files: Mapping[str, Files] = field(default_factory=dict)

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
    def bytes_in_memory(self) -> int:
        """How many bytes its examples take; what is read as needed takes none."""
        examples = (self.x_train, self.x_test, self.x_val)
        return sum(0 if x is None or isinstance(x, lazy.LazyArray) else x.nbytes for x in examples)

    @property
    def pixels(self) -> bool:
        """Whether the examples are pixels."""
        return self.pixel_range is not None

    @property
    def are_pictures(self) -> bool:
        """Whether the examples can be shown."""
        return pixels.are_pictures(self.shape, self.pixels)

    def pictures(self, x: Examples) -> Examples | None:
        """Return examples as pixels of 0 to 255 if they can be shown, else None."""
        return pixels.converted(x, self.pixel_range, BYTES) if self.pixel_range and self.are_pictures else None

    @functools.cached_property
    def appearance(self) -> Appearance | None:
        """How its training images look, measured once; None if they cannot be shown."""
        if self.pixel_range is None or not self.are_pictures:
            return None
        return appearance.measure(self.x_train, self.pixel_range)

    @property
    def outputs(self) -> int:
        """How many numbers a model returns for one example."""
        return self.task.outputs(self.class_names)
