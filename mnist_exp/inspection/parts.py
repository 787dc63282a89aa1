"""The sets of examples that are inspected, and how one finds a single example again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnist_exp.data import Dataset, Split
from mnist_exp.data.lazy import Array, Examples, rows

TRAIN, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True)
class Part:
    """One set of examples.

    Args:
        split: train, validation or test.
        array: the array of the data set that they are in: x_train, x_val, x_test.
        x: examples, (n, …), in memory or lazy.
        y: their labels, prepared.
        positions: theirs in that array, (n,).
        pictures: the examples as pixels of 0 to 255, if they can be shown.
    """

    split: str
    array: str
    x: Examples
    y: Array
    positions: Array
    pictures: Examples | None

    def __len__(self) -> int:
        """Return how many examples it has."""
        return len(self.y)


@dataclass(frozen=True)
class Example:
    """One example, so that it can be looked up.

    Args:
        part: number of its set among the parts.
        row: its row there.
        split: train, validation or test.
        array: the array of the data set that it is in.
        index: its position in that array.
        label: its class, labels or numbers, in words.
        file: where its pixels came from, if that is known.
    """

    part: int
    row: int
    split: str
    array: str
    index: int
    label: str
    file: str = ""

    @property
    def place(self) -> str:
        """Where to look it up: its file, or its index in the array."""
        return self.file or f"{self.array}[{self.index}]"


def of(dataset: Dataset, split: Split) -> list[Part]:
    """Return the sets of a data set, as a run of this split would have them; empty ones are left out.

    Args:
        dataset: the data set.
        split: what of it is trained and validated on.
    """
    found = [_part(dataset, TRAIN, "x_train", dataset.x_train, dataset.y_train, split.trained)]
    if len(split.held_out):
        held = np.sort(np.concatenate([split.held_out, split.reported]))
        found.append(_part(dataset, VALIDATION, "x_train", dataset.x_train, dataset.y_train, held))
    elif not split.validated_on_test:
        found.append(_part(dataset, VALIDATION, "x_val", split.x_val, split.y_val, np.arange(len(split.y_val))))
        if len(split.reported):
            found.append(_part(dataset, VALIDATION, "x_train", dataset.x_train, dataset.y_train, split.reported))
    found.append(_part(dataset, TEST, "x_test", dataset.x_test, dataset.y_test, np.arange(len(dataset.y_test))))
    return [part for part in found if len(part)]


def example(parts: Sequence[Part], dataset: Dataset, part: int, row: int) -> Example:
    """Return a row of a part with what one needs to look it up."""
    own = parts[part]
    index = int(own.positions[row])
    files = dataset.files.get(own.array.removeprefix("x_"))
    return Example(part, row, own.split, own.array, index, label(dataset, own.y[row]), files[index] if files else "")


def label(dataset: Dataset, y: Array) -> str:
    """Return one prepared label in words: its class, the labels that are there, or the numbers."""
    if dataset.task.has_classes:
        return dataset.class_names[int(y)]
    if dataset.task.activation == "linear":
        return ", ".join(f"{float(value):g}" for value in y)
    return ", ".join(dataset.class_names[i] for i in np.flatnonzero(y)) or "none"


def located(parts: Sequence[Part]) -> tuple[Array, Array]:
    """Return for each example of all parts, one part after the other, its part and its row there, int64 (n,)."""
    sizes = [len(part) for part in parts]
    return np.repeat(np.arange(len(parts)), sizes), np.concatenate([np.arange(size) for size in sizes])


def _part(dataset: Dataset, split: str, array: str, x: Examples, y: Array, positions: Array) -> Part:
    if len(positions) != len(y):
        x, y = rows(x, positions), y[positions]
    return Part(split, array, x, y, positions, dataset.pictures(x))
