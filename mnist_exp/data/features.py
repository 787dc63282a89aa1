"""What the examples of a data set are, pixels or other numbers, and the checks that they must pass."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mnist_exp.data import pixels
from mnist_exp.data.lazy import Array, Examples, LazyArray
from mnist_exp.data.pixels import Range, Survey

FEATURES = "features"  # the name of a model's input that takes no pixels
_MOST_CHANNELS = 8  # more in a square beside 1, 3 or 4 are its side
_CHANNELS = (1, 3, 4)  # of images that can be shown: grey, colour, colour and transparency
_FAR_FROM_ONE = 16  # Pixels up to this, and none above 1 in another set, may be of one range.
_LARGEST = float(np.finfo(np.float32).max)
SHAPES = "(n, features), (n, steps, features), (n, height, width), (n, height, width, channels) or a longer one"


def told(name: str, x: Examples, found: Range | None) -> Iterator[str]:
    """Yield a sentence if values were taken for pixels of an unusual range, or may well be something else.

    Args:
        name: of the data set.
        x: its training examples.
        found: the range of pixels that was measured; None for other features.
    """
    if found is None:
        return
    fix = "data.pixels=false of data=npz, pixels=False in a loader's Source"
    if x.dtype.kind == "f" and x.ndim == 3:
        yield (
            f"{name} holds fractions of the shape {x.shape}: they are taken for grey images, black to white being "
            f"{pixels.words(found)}. If they are series, say so: {fix}"
        )
    elif found not in (pixels.BYTES, pixels.UNIT):
        yield (
            f"{name} has pixels of {pixels.words(found)}, by its values: the model takes the first for black and the "
            f"last for white. If that is wrong, say which are, as data.pixels=[0,255]; if they are no pixels, {fix}"
        )


def shape_problems(name: str, x: Examples) -> Iterator[str]:
    """Yield why an array cannot hold examples, by its shape and dtype alone."""
    if x.dtype.kind not in "uif":
        yield f"{name} holds {x.dtype} values; they must be numbers: pixels as uint8, other features as float32"
    elif x.ndim < 2:
        fix = ": with one feature an example, x.reshape(-1, 1)" if x.ndim == 1 else ""
        yield f"{name} has the shape {x.shape}; it must be {SHAPES}{fix}"
    elif x.size == 0:
        yield f"{name} is empty, shape {x.shape}; it must hold at least one example with one value"


def value_problems(name: str, x: Examples, found: Survey, range_: Range | None) -> Iterator[str]:
    """Yield why the values of an array cannot be trained on.

    Args:
        name: of the array.
        x: it.
        found: in it.
        range_: of its pixels; None if its values are none.
    """
    if found.bad is not None:
        what = "NaN" if np.isnan(x[found.bad[0] : found.bad[0] + 1][0][found.bad[1:]]) else "an infinite value"
        place = ", ".join(map(str, found.bad))
        yield f"{name} has {what} in example {found.bad[0]}, the first at [{place}]; every value must be finite"
    elif range_ and x.ndim == 4 and x.shape[1] in _CHANNELS and x.shape[2] == x.shape[3] > _MOST_CHANNELS:
        fix = f"np.moveaxis({name}, 1, -1)"
        yield f"{name} has the shape {x.shape}, so {x.shape[3]} channels; they come last: {fix} puts them there"
    elif max(-found.low, found.high) > _LARGEST:
        yield f"{name} has values from {found.low:g} to {found.high:g}; float32 holds at most {_LARGEST:.2g}"


def range_problems(x_train: Examples, surveys: Mapping[str, Survey]) -> Iterator[str]:
    """Yield why the sets cannot be pixels of one range: one of them was scaled, it seems, and the other was not."""
    first = surveys["train"]
    usual = pixels.measured(x_train, first)
    if usual is None or usual[0] not in (0.0, -1.0, -128.0):
        return
    for part, found in surveys.items():
        if part == "train":
            continue
        is_beyond = pixels.measured(x_train, first.joined(found)) != usual
        is_within_one = first.high > _FAR_FROM_ONE and 0 < found.high <= 1 and found.low >= 0
        if is_beyond or is_within_one:
            yield (
                f"x_train has pixels from {first.low:g} to {first.high:g} and x_{part} from {found.low:g} to "
                f"{found.high:g}; they must be alike: if both are as they should be, say which values are black and "
                "white, as data.pixels=[0,255]"
            )


def converted(x: Examples, range_: Range | None) -> Examples:
    """Return examples as a model takes them: pixels with an axis for channels, as uint8 if they fit; others float32.

    Args:
        x: without a problem.
        range_: of the pixels; None if they are none.
    """
    if isinstance(x, LazyArray):
        made = _Converted(x, range_)
        return x if (made.shape, made.dtype) == (x.shape, x.dtype) else LazyArray(made)
    if range_ and x.ndim == 3:
        x = x[..., np.newaxis]
    return x.astype(_dtype(x, range_), copy=False)


def _dtype(x: Examples, range_: Range | None) -> "np.dtype[Any]":
    are_bytes = range_ is not None and x.dtype.kind != "f" and range_[0] >= 0 and range_[1] <= pixels.BYTES[1]
    return np.dtype(np.uint8 if are_bytes else np.float32)


class _Converted:
    """The rows of a lazy array, converted as they are read."""

    def __init__(self, x: LazyArray, range_: Range | None) -> None:
        self._x, self._range = x, range_
        self.shape = (*x.shape, 1) if range_ and x.ndim == 3 else x.shape
        self.dtype = _dtype(x, range_)

    def read(self, positions: Array) -> Array:
        # The conversion of a part of rows is that of all.
        found: Array = converted(self._x[positions], self._range)
        return found

    def identity(self, positions: Array) -> str | None:
        return self._x.view(positions).identity()
