"""The range of pixels: which values are black and white. It is measured where nobody says it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnist_exp.data.lazy import Array, Examples, LazyArray, chunks

Range = tuple[float, float]  # the values of black and of white
BYTES: Range = (0.0, 255.0)
UNIT: Range = (0.0, 1.0)
SIXTEEN_BITS: Range = (0.0, 65535.0)
SIGNED: Range = (-1.0, 1.0)
_BYTES_WITH_SIGN: Range = (-128.0, 127.0)
# White of the usual depths, by whole numbers: 0/1, 4 bits, scikit-learn's digits, 8, 10, 12, 14 and 16 bits.
_WHITES = (1, 15, 16, 255, 1023, 4095, 16383, 65535)
_OVERSHOOT = 0.1  # by which resizing leaves the range of fractions
_DIM = 16  # fractions up to this are no pixels of 8 bits
_CHANNELS = (1, 3, 4)  # of images that can be shown: grey, colour, colour and transparency
_SMALLEST_SIDE = 8  # of grey images of fractions from 0 to 1, whose shape is that of series


@dataclass(frozen=True)
class Survey:
    """What a pass over the values of an array found.

    Args:
        low: the lowest value; NaN if one is.
        high: the highest.
        bad: the place of the first value that is NaN or infinite; None if there is none.
        are_whole: whether all values are whole numbers.
    """

    low: float
    high: float
    bad: tuple[int, ...] | None = None
    are_whole: bool = True

    def joined(self, other: "Survey") -> "Survey":
        """Return what a pass over both arrays would have found."""
        whole = self.are_whole and other.are_whole
        return Survey(min(self.low, other.low), max(self.high, other.high), self.bad or other.bad, whole)


def survey(x: Examples) -> Survey:
    """Return the range of an array, and where it is not a number; it is read once, some examples at a time.

    Lazy arrays of bytes are those of image files, which go from 0 to 255: they are not read for that.
    """
    if isinstance(x, LazyArray) and x.dtype == np.uint8:
        return Survey(*BYTES)
    low, high, start, whole = np.inf, -np.inf, 0, True
    for part in chunks(x):
        # np.min and np.max carry a NaN through, so that one pass each tells everything.
        lows, highs = float(part.min()), float(part.max())
        if not (np.isfinite(lows) and np.isfinite(highs)):
            first, *rest = np.unravel_index(int(np.argmax(~np.isfinite(part))), part.shape)
            return Survey(lows, highs, (start + int(first), *map(int, rest)), False)
        low, high, start = min(low, lows), max(high, highs), start + len(part)
        whole = whole and (part.dtype.kind != "f" or bool((part == np.rint(part)).all()))
    return Survey(low, high, None, whole)


def measured(x: Examples, found: Survey) -> Range | None:
    """Return the range of pixels where the loader does not say it; None where the values are other features.

    Bytes are pixels, whatever their shape. So are, with the dimensions of images: whole numbers; fractions from 0 to
    255, and those from 0 to 1, or -1 to 1, of 1, 3 or 4 channels or of squares. The range is the smallest usual one
    that holds all values.

    Args:
        x: examples.
        found: in all sets.
    """
    if x.dtype == np.uint8:
        return _of_whole(found)
    if x.ndim not in (3, 4):
        return None
    if x.dtype.kind in "iu":
        return _of_whole(found)
    if found.low >= -_OVERSHOOT and found.high <= 1 + _OVERSHOOT:
        return UNIT if _are_like_images(x.shape) else None
    if found.low >= -1 - _OVERSHOOT and found.high <= 1 + _OVERSHOOT:
        return SIGNED if _are_like_images(x.shape) else None
    if found.low < 0 or found.high > (_WHITES[-1] if found.are_whole else BYTES[1]):
        return None
    return _of_fractions(found)


def is_unit(found: Survey) -> bool:
    """Tell whether values are fractions of 0 to 1, or -1 to 1."""
    return not found.are_whole and found.high <= 1 + _OVERSHOOT and found.low >= -1 - _OVERSHOOT


def said(found: Survey) -> Range:
    """Return the range of values that a loader calls pixels without saying more.

    Args:
        found: in all sets.
    """
    if found.are_whole:
        return _of_whole(found)
    if found.high <= 1 + _OVERSHOOT and found.low >= -1 - _OVERSHOOT:
        return UNIT if found.low >= -_OVERSHOOT else SIGNED
    return _of_fractions(found)


def _of_whole(found: Survey) -> Range:
    """Return the smallest usual range of whole numbers, else their own."""
    if found.low < 0:
        low, high = _BYTES_WITH_SIGN
        return _BYTES_WITH_SIGN if found.low >= low and found.high <= high else (found.low, found.high)
    if found.high == 0:  # All black: nothing tells.
        return BYTES
    return 0.0, float(next((white for white in _WHITES if found.high <= white), found.high))


def _of_fractions(found: Survey) -> Range:
    if found.are_whole and found.low >= 0:
        return _of_whole(found)
    if found.low >= 0 and _DIM < found.high <= BYTES[1]:
        return BYTES
    return min(found.low, 0.0), found.high


def _are_like_images(shape: Sequence[int]) -> bool:
    if len(shape) == 4:
        return shape[3] in _CHANNELS
    return shape[1] == shape[2] >= _SMALLEST_SIDE


def are_pictures(shape: Sequence[int], pixels: bool) -> bool:
    """Tell whether examples of a shape can be shown, and read from image files.

    Args:
        shape: of one of them.
        pixels: whether their values are pixels.
    """
    return pixels and len(shape) == 3 and shape[2] in _CHANNELS


def words(pixels: Range) -> str:
    """Return a range for people: `0 to 255`."""
    return f"{pixels[0]:g} to {pixels[1]:g}"


def converted(x: Examples, source: Range, wanted: Range) -> Examples:
    """Return pixels of one range as those of another: bytes, rounded, where that is `BYTES`; else float32.

    Args:
        x: (n, …), in memory or lazy.
        source: their range.
        wanted: the other.
    """
    if source == wanted:
        return x
    if isinstance(x, LazyArray):
        return LazyArray(_Converted(x, source, wanted))
    found = np.empty(x.shape, np.uint8 if wanted == BYTES else np.float32)
    start = 0
    for part in chunks(x):
        scaled = (part.astype(np.float32) - source[0]) * ((wanted[1] - wanted[0]) / (source[1] - source[0])) + wanted[0]
        # Where they leave the range, bytes would wrap around.
        found[start : start + len(part)] = np.clip(np.rint(scaled), 0, 255) if wanted == BYTES else scaled
        start += len(part)
    return found


class _Converted:
    """The rows of a lazy array, in another range."""

    def __init__(self, x: LazyArray, source: Range, wanted: Range) -> None:
        self._x, self._source, self._wanted = x, source, wanted
        self.shape, self.dtype = x.shape, np.dtype(np.uint8 if wanted == BYTES else np.float32)

    def read(self, positions: Array) -> Array:
        found: Array = converted(self._x[positions], self._source, self._wanted)
        return found

    def identity(self, positions: Array) -> str | None:
        own = self._x.view(positions).identity()
        return None if own is None else f"{own} {self._source} {self._wanted}"
