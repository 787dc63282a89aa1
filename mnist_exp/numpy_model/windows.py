"""Convolutions and pooling of images (n, height, width, channels), float32, as Keras computes them."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Array = npt.NDArray[Any]
Pair = tuple[int, int]
_AT_ONCE = 1_000_000  # numbers of all windows that are laid out side by side for one multiplication


def padded(x: Array, size: Pair, strides: Pair, padding: str, value: float = 0.0) -> Array:
    """Return images with a border, so that windows give as many results as Keras's `same` padding does.

    Args:
        x: images.
        size: height and width of a window, with its dilation.
        strides: from one window to the next.
        padding: same or valid.
        value: of the border.
    """
    if padding == "valid":
        return x
    around = [(0, 0)]
    for side, window, step in zip(x.shape[1:3], size, strides, strict=True):
        lost = max((math.ceil(side / step) - 1) * step + window - side, 0)
        around.append((lost // 2, lost - lost // 2))
    if not any(map(sum, around)):
        return x
    return np.pad(x, [*around, (0, 0)], constant_values=np.float32(value))


def convolved(x: Array, kernel: Array, strides: Pair, dilation: Pair, padding: str) -> Array:
    """Return the convolution of images with a kernel (height, width, channels, filters)."""
    height, width, channels, filters = kernel.shape
    x = padded(x, _spread((height, width), dilation), strides, padding)
    if (height, width) == (1, 1):
        return np.asarray(x[:, :: strides[0], :: strides[1]] @ kernel[0, 0])
    windows = _windows(x, (height, width), strides, dilation)
    count, high, wide = windows.shape[:3]
    flat, out = kernel.reshape(-1, filters), np.empty((count, high, wide, filters), np.float32)
    each = max(1, _AT_ONCE // (high * wide * len(flat)))
    for start in range(0, count, each):
        rows = windows[start : start + each].transpose(0, 1, 2, 4, 5, 3).reshape(-1, height * width * channels)
        np.matmul(rows, flat, out=out[start : start + each].reshape(-1, filters))
    return out


def convolved_by_channel(x: Array, kernel: Array, strides: Pair, dilation: Pair, padding: str) -> Array:
    """Return the convolution of each channel with kernels of its own, (height, width, channels, kernels a channel)."""
    size = kernel.shape[:2]
    x = padded(x, _spread(size, dilation), strides, padding)
    out: Array | None = None
    for row, column, part in _shifted(x, size, strides, dilation):
        weighted = (part[..., np.newaxis] * kernel[row, column]).reshape(*part.shape[:3], -1)
        out = weighted if out is None else np.add(out, weighted, out=out)
    assert out is not None
    return out


def largest(x: Array, size: Pair, strides: Pair, padding: str) -> Array:
    """Return the largest value of each window."""
    parts = _shifted(padded(x, size, strides, padding, -math.inf), size, strides)
    return _joined(parts, np.maximum)


def mean(x: Array, size: Pair, strides: Pair, padding: str) -> Array:
    """Return the mean of each window, without what lies in the border."""
    sums = _joined(_shifted(padded(x, size, strides, padding), size, strides), np.add)
    inside = np.ones((1, *x.shape[1:3], 1), np.float32)
    return sums / _joined(_shifted(padded(inside, size, strides, padding), size, strides), np.add)


def resized(x: Array, height: int, width: int, interpolation: str) -> Array:
    """Return images of another size, nearest or bilinear, as TensorFlow scales them: by the centres of pixels."""
    for axis, size in ((1, height), (2, width)):
        before = x.shape[axis]
        if size == before:
            continue
        places = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(before / size)
        if interpolation == "nearest":
            x = x.take(np.minimum(places.astype(np.int64), before - 1), axis)
            continue
        places = places - np.float32(0.5)
        low = np.floor(places)
        share = (places - low).reshape([-1 if each == axis else 1 for each in range(4)])
        first, second = (np.clip(low.astype(np.int64) + i, 0, before - 1) for i in (0, 1))
        one = x.take(first, axis)
        x = one + (x.take(second, axis) - one) * share
    return x


def _joined(parts: Iterator[tuple[int, int, Array]], join: Callable[..., Array]) -> Array:
    out = next(parts)[2].copy()
    for _, _, part in parts:
        join(out, part, out=out)
    return out


def _windows(x: Array, size: Pair, strides: Pair, dilation: Pair) -> Array:
    """Return a view of all windows, (n, windows down, windows across, channels, height, width)."""
    windows = sliding_window_view(x, _spread(size, dilation), axis=(1, 2))
    return windows[:, :: strides[0], :: strides[1], :, :: dilation[0], :: dilation[1]]


def _shifted(x: Array, size: Sequence[int], strides: Pair, dilation: Pair = (1, 1)) -> Iterator[tuple[int, int, Array]]:
    """Yield for each place in a window its row, its column, and that value of all windows."""
    high, wide = (
        (side - (window - 1) * far - 1) // step + 1
        for side, window, far, step in zip(x.shape[1:3], size, dilation, strides, strict=True)
    )
    for row in range(size[0]):
        for column in range(size[1]):
            top, left = row * dilation[0], column * dilation[1]
            down, across = top + (high - 1) * strides[0] + 1, left + (wide - 1) * strides[1] + 1
            yield row, column, x[:, top : down : strides[0], left : across : strides[1]]


def _spread(size: Sequence[int], dilation: Pair) -> Pair:
    """Return height and width of a window whose values lie apart."""
    return (size[0] - 1) * dilation[0] + 1, (size[1] - 1) * dilation[1] + 1
