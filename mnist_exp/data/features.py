"""What the examples of a data set are, pixels or other numbers, and the checks that they must pass."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnist_exp.data.lazy import Array, Examples, LazyArray, chunks

FEATURES = "features"  # the name of a model's input that takes no pixels
_MOST_CHANNELS = 8  # more in a square beside 1, 3 or 4 are its side
_CHANNELS = (1, 3, 4)  # of images that can be shown: grey, colour, colour and transparency
_OF_PICTURES = (3, 4)  # dimensions: (n, height, width), (n, height, width, channels)
_LARGEST = float(np.finfo(np.float32).max)
SHAPES = "(n, features), (n, steps, features), (n, height, width), (n, height, width, channels) or a longer one"


@dataclass(frozen=True)
class Survey:
    """What a pass over the values of an array found.

    Args:
        low: the lowest value; NaN if one is.
        high: the highest.
        bad: the place of the first value that is NaN or infinite; None if there is none.
    """

    low: float
    high: float
    bad: tuple[int, ...] | None


def survey(x: Examples) -> Survey:
    """Return the range of an array, and where it is not a number; it is read once, some examples at a time.

    Bytes need not be read for that.
    """
    if x.dtype == np.uint8:
        return Survey(0, 255, None)
    low, high, start = np.inf, -np.inf, 0
    for part in chunks(x):
        # np.min and np.max carry a NaN through, so that one pass each tells everything.
        lows, highs = float(part.min()), float(part.max())
        if not (np.isfinite(lows) and np.isfinite(highs)):
            first, *rest = np.unravel_index(int(np.argmax(~np.isfinite(part))), part.shape)
            return Survey(lows, highs, (start + int(first), *map(int, rest)))
        low, high, start = min(low, lows), max(high, highs), start + len(part)
    return Survey(low, high, None)


def are_pixels(x: Examples, found: Survey) -> bool:
    """Tell whether values are pixels of 0 to 255, where the loader does not say so.

    Bytes are; so are whole numbers with the dimensions of pictures, and fractions with these dimensions that are
    nowhere below 0 or above 255, and not all below 1. All others are features, which stay as they are.

    Args:
        x: examples.
        found: in them.
    """
    if x.dtype == np.uint8:
        return True
    if x.ndim not in _OF_PICTURES:
        return False
    return x.dtype.kind in "iu" or bool(found.low >= 0 and 1 < found.high <= 255)


def ambiguous(name: str, x: Examples, pixels: bool) -> Iterator[str]:
    """Yield a sentence if values were taken for pixels that may well be something else.

    Args:
        name: of the data set.
        x: its training examples.
        pixels: whether they were taken for pixels.
    """
    if pixels and x.dtype.kind == "f" and x.ndim == 3:
        yield (
            f"{name} holds fractions from 0 to 255 of the shape {x.shape}: they are taken for grey images and divided "
            "by 255. If they are series, say so: data.pixels=false of data=npz, pixels=False in a loader's Source"
        )


def are_pictures(shape: Sequence[int], pixels: bool) -> bool:
    """Tell whether examples of a shape can be shown, and read from image files.

    Args:
        shape: of one of them.
        pixels: whether their values are pixels.
    """
    return pixels and len(shape) == 3 and shape[2] in _CHANNELS


def shape_problems(name: str, x: Examples) -> Iterator[str]:
    """Yield why an array cannot hold examples, by its shape and dtype alone."""
    if x.dtype.kind not in "uif":
        yield f"{name} holds {x.dtype} values; they must be numbers: pixels as uint8, other features as float32"
    elif x.ndim < 2:
        fix = ": with one feature an example, x.reshape(-1, 1)" if x.ndim == 1 else ""
        yield f"{name} has the shape {x.shape}; it must be {SHAPES}{fix}"
    elif x.size == 0:
        yield f"{name} is empty, shape {x.shape}; it must hold at least one example with one value"


def value_problems(name: str, x: Examples, found: Survey, pixels: bool) -> Iterator[str]:
    """Yield why the values of an array cannot be trained on.

    Args:
        name: of the array.
        x: it.
        found: in it.
        pixels: whether its values are pixels.
    """
    if found.bad is not None:
        what = "NaN" if np.isnan(x[found.bad[0] : found.bad[0] + 1][0][found.bad[1:]]) else "an infinite value"
        place = ", ".join(map(str, found.bad))
        yield f"{name} has {what} in example {found.bad[0]}, the first at [{place}]; every value must be finite"
    elif pixels and x.ndim == 4 and x.shape[1] in _CHANNELS and x.shape[2] == x.shape[3] > _MOST_CHANNELS:
        fix = f"np.moveaxis({name}, 1, -1)"
        yield f"{name} has the shape {x.shape}, so {x.shape[3]} channels; they come last: {fix} puts them there"
    elif pixels and not (found.low >= 0 and found.high <= 255):
        others = (
            ""
            if x.dtype.kind == "f"
            else f"; if they are other features, give them as floats, {name}.astype('float32')"
        )
        yield f"{name} has pixels from {found.low:g} to {found.high:g}; they must be 0 to 255{others}"
    elif max(-found.low, found.high) > _LARGEST:
        yield f"{name} has values from {found.low:g} to {found.high:g}; float32 holds at most {_LARGEST:.2g}"


def converted(x: Examples, pixels: bool) -> Examples:
    """Return examples as a model takes them: pixels as uint8 or float32, with an axis for channels; others as float32.

    Args:
        x: without a problem.
        pixels: whether they are pixels.
    """
    if isinstance(x, LazyArray):
        made = _Converted(x, pixels)
        return x if (made.shape, made.dtype) == (x.shape, x.dtype) else LazyArray(made)
    if pixels and x.ndim == 3:
        x = x[..., np.newaxis]
    return x.astype(_dtype(x, pixels), copy=False)


def _dtype(x: Examples, pixels: bool) -> "np.dtype[Any]":
    return np.dtype(np.uint8 if pixels and x.dtype.kind != "f" else np.float32)


class _Converted:
    """The rows of a lazy array, converted as they are read."""

    def __init__(self, x: LazyArray, pixels: bool) -> None:
        self._x, self._pixels = x, pixels
        self.shape = (*x.shape, 1) if pixels and x.ndim == 3 else x.shape
        self.dtype = _dtype(x, pixels)

    def read(self, positions: Array) -> Array:
        # The conversion of a part of rows is that of all.
        found: Array = converted(self._x[positions], self._pixels)
        return found

    def identity(self, positions: Array) -> str | None:
        return self._x.view(positions).identity()
