"""What a file or folder of a data set holds: its parts, with the names of its classes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mnist_exp.data.dataset import Array, Pair, Source
from mnist_exp.data.lazy import Examples, rows
from mnist_exp.data.pixels import Range
from mnist_exp.data.splits import test_part
from mnist_exp.errors import DataError

TEST_SHARE = 0.2
MOST_NAMED = 10  # names that a message lists


@dataclass(frozen=True)
class Parts:
    """The arrays of a data set, as they were read.

    Args:
        train: examples and labels.
        test: likewise; None if the data set has no test part.
        validation: the data set's own; None if it has none.
        class_names: of the classes, by label, or by the label as the file has it.
        groups: of the training examples (n,): those of one value stay together.
        weights: of the training examples (n,).
        pixels: as in `Source`.
        depth: as in `Source`.
        columns: as in `Source`.
        told: sentences for the user.
        kept: for each of train, test and val the rows that its examples are, (n,), where unreadable ones are left out.
    """

    train: Pair
    test: Pair | None = None
    validation: Pair | None = None
    class_names: tuple[str, ...] | Mapping[Any, str] | None = None
    groups: Array | None = None
    weights: Array | None = None
    pixels: bool | Range | None = None
    depth: Range | None = None
    columns: tuple[str, ...] | None = None
    told: tuple[str, ...] = ()
    kept: Mapping[str, Array] = field(default_factory=dict)

    def mapped(self, change: Callable[[Examples, Array], Pair]) -> "Parts":
        """Return the parts with the examples and labels of each changed alike."""
        test, validation = (None if pair is None else change(*pair) for pair in (self.test, self.validation))
        return replace(self, train=change(*self.train), test=test, validation=validation)


@dataclass(frozen=True)
class Rows:
    """The names of examples by the rows of a file.

    Args:
        place: of the file.
        rows: of the examples, (n,).
    """

    place: str
    rows: Array

    def __getitem__(self, position: int, /) -> str:
        """Return where an example lies."""
        return f"{self.place}, row {self.rows[position]}"


def to_source(parts: Parts, place: str, test_share: float) -> Source:
    """Return the parts as a source, with a test set taken from the training examples where there is none.

    Args:
        parts: as they were read.
        place: where.
        test_share: of the examples, of each class alike, that become the test set.
    Raises: DataError: that leaves no training example.
    """
    train, test, groups, weights, told = parts.train, parts.test, parts.groups, parts.weights, list(parts.told)
    if test is not None and test_share != TEST_SHARE:
        told.append(f"data.test_share={test_share} has no effect: {place} brings its own test set")
    files = {part: Rows(place, found) for part, found in parts.kept.items()}
    if test is None:
        x, y = train
        if len(y) != len(x):
            raise DataError(f"{place} holds {len(x):,} examples and {len(y):,} labels; there must be as many")
        labels = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        taken = test_part(labels, test_share, groups)
        rest = np.delete(np.arange(len(y)), taken)
        train, test = (rows(x, rest), y[rest]), (rows(x, taken), y[taken])
        groups, weights = (None if each is None else each[rest] for each in (groups, weights))
        known = parts.kept.get("train", np.arange(len(y)))
        files |= {"train": Rows(place, known[rest]), "test": Rows(place, known[taken])}
        told.append(
            f"{place} has no test set: {len(taken):,} of its {len(y):,} examples, {test_share:.0%} of each class, are "
            "it (data.test_share)"
        )
    return Source(
        train,
        test,
        place,
        class_names=parts.class_names,
        validation=parts.validation,
        groups=groups,
        weights=weights,
        pixels=parts.pixels,
        depth=parts.depth,
        columns=parts.columns,
        unread=tuple(told),
        files=files,
    )


def some(names: list[str] | tuple[str, ...]) -> str:
    """Return names for a message, not more than a line of them."""
    shown = ", ".join(names[:MOST_NAMED])
    return shown + (f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else "") if names else "nothing"


def folder_of(path: Path) -> Path:
    """Return a folder, or that of a file."""
    return path if path.is_dir() else path.parent
