"""Which of the named arrays of a file are the examples and labels of which part."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mnist_exp.config.wording import show
from mnist_exp.data.dataset import SPLITS, Array, Pair
from mnist_exp.data.formats.parts import Parts, some
from mnist_exp.errors import DataError

# Beside the examples and labels, in each naming.
_SMALLEST_SIDE = 8  # of a flat image
CLASS_NAMES, WEIGHTS, GROUPS = "class_names", "w_train", "groups"


@dataclass(frozen=True)
class Naming:
    """What the arrays of a data set are called.

    Args:
        train: of examples and labels.
        test: likewise; None where the data set is not divided.
        validation: likewise.
    """

    train: tuple[str, str]
    test: tuple[str, str] | None = None
    validation: tuple[str, str] | None = None

    @property
    def required(self) -> tuple[str, ...]:
        """Names without which it is not the one."""
        if self.test is None and self.validation is not None:
            return (*self.train, *self.validation)
        return (*self.train, *(self.test or ()))

    @property
    def all(self) -> tuple[str, ...]:
        """Every name."""
        return (*self.train, *(self.test or ()), *(self.validation or ()))


OWN = Naming(("x_train", "y_train"), ("x_test", "y_test"), ("x_val", "y_val"))
NAMINGS = (
    OWN,
    # Yang et al. 2023, MedMNIST v2; github.com/MedMNIST/MedMNIST, medmnist/dataset.py.
    Naming(("train_images", "train_labels"), ("test_images", "test_labels"), ("val_images", "val_labels")),
    # USPS as kaggle.com/bistaumanga/usps-dataset has it.
    Naming(("train/data", "train/target"), ("test/data", "test/target"), ("val/data", "val/target")),
    Naming(("x_train", "y_train"), validation=("x_val", "y_val")),
    Naming(("x", "y")),
    Naming(("images", "labels")),
    Naming(("data", "target")),
)


def find(names: Collection[str], place: Path, wanted: Collection[str] | None = None) -> dict[str, str]:
    """Return the arrays that are read, by the names of the naming that fits: `{"x_train": "X_train"}`.

    Args:
        names: of all arrays that are there; their case does not matter.
        place: of the file, for messages.
        wanted: the only ones that are read, with x_train, y_train, x_test and y_test; None for all that are known.
    Raises: DataError: no naming fits.
    """
    by_lower = {name.lower(): name for name in reversed(list(names))}
    known = NAMINGS if wanted is None else (OWN,)
    naming = next((each for each in known if set(each.required) <= set(by_lower)), None)
    if naming is None:
        others = ", or ".join(" and ".join(each.train) for each in known[1:])
        lacks = ", ".join(name for name in SPLITS if name not in by_lower)
        raise DataError(
            f"{place} lacks the array {lacks}; it holds {some(list(map(show, names)))}"
            + (f". Also read are {others}" if others else "")
        )
    read = (*naming.all, CLASS_NAMES, WEIGHTS, GROUPS)
    return {name: by_lower[name] for name in read if name in by_lower and (wanted is None or name in wanted)}


def shaped(parts: Parts, place: Path, shape: Sequence[int] | None, told: tuple[str, ...] = ()) -> Parts:
    """Return parts with examples of a shape; flat images of bytes, or of 0 to 1, are squares where nobody says more.

    Args:
        parts: as they were read.
        place: of them, for messages.
        shape: of one example; None finds it out.
        told: further sentences for the user.
    Raises: DataError: the examples have another number of values.
    """
    parts = replace(parts, told=(*parts.told, *told))
    x = parts.train[0]
    if shape is not None:
        count = math.prod(x.shape[1:])
        if math.prod(shape) != count:
            raise DataError(
                f"data.shape={show(list(shape))} has {math.prod(shape):,} values, each example of {place} {count:,}"
            )
        return parts.mapped(lambda x, y: (x.reshape(len(x), *shape), y))
    side = math.isqrt(x.shape[1]) if x.ndim == 2 else 0
    if side < _SMALLEST_SIDE or side * side != x.shape[1]:
        return parts
    is_unit = x.dtype.kind == "f" and bool(x.min() >= 0 and x.max() <= 1)
    if x.dtype != np.uint8 and not is_unit:
        return parts
    sentence = f"the {x.shape[1]} values of each example of {place} are taken for an image {side}×{side} (data.shape)"
    squares = parts.mapped(lambda x, y: (x.reshape(len(x), side, side), y))
    return replace(squares, told=(*parts.told, sentence))


def parts_of(found: Mapping[str, str], read: Callable[[str], Array], place: Path) -> Parts:
    """Return the parts of a data set of named arrays.

    Args:
        found: as `find` returns it.
        read: returns the array of a name.
        place: of the file, for messages.
    Raises: DataError: the names of the classes are no texts.
    """
    naming = next(each for each in NAMINGS if set(each.required) <= set(found))
    names = read(found[CLASS_NAMES]) if CLASS_NAMES in found else None
    if names is not None and (names.ndim != 1 or names.dtype.kind != "U"):
        raise DataError(f"{place}: class_names must be a list of texts, not {names.dtype} of shape {names.shape}")
    weights, groups = (read(found[name]) if name in found else None for name in (WEIGHTS, GROUPS))

    def pair(named: tuple[str, str] | None) -> Pair | None:
        is_there = named is not None and set(named) <= set(found)
        return (read(found[named[0]]), read(found[named[1]])) if named and is_there else None

    train = pair(naming.train)
    assert train is not None
    if groups is not None and groups.shape != (len(train[1]),):
        raise DataError(
            f"{place}: groups must hold a value for each of the {len(train[1]):,} training examples, not {groups.shape}"
        )
    return Parts(
        train,
        pair(naming.test),
        pair(naming.validation),
        class_names=None if names is None else tuple(names.tolist()),
        groups=groups,
        weights=weights,
    )
