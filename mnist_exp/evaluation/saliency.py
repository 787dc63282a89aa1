"""Saliency by occlusion: which pixels a prediction depends on, measured by covering parts of the image."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_POSITIONS, _FEW, _SMALL = 26, 14, 64  # squares along a side; fewer in an image whose side is longer than this
_COVER = 5 / 28  # side of the square, as a share of the image's shorter side
_BATCH = 500 * 28 * 28  # pixels in a batch
_SMALLEST = 1e-7  # resolution of float32 probabilities near 1


def occlusion_map(predict: Callable[[Array], Array], image: Array, label: int) -> Array:
    """Return how much each pixel supports a class.

    A square in the median colour of the border moves over the image. Where it covers the image, the log-odds of the
    class change. The value of a pixel is the mean loss of log-odds over all squares that cover the pixel. Log-odds are
    used because a probability near 1 hardly changes.

    Args:
        predict: maps images (n, height, width, channels) to probabilities (n, classes).
        image: uint8, shape (height, width, channels).
        label: number of the class.
    Returns: float32 (height, width); above 0 the pixel supports the class, below 0 it is evidence against it.
    Source: Zeiler & Fergus 2014, arXiv:1311.2901, section 4.2.
    """
    height, width = image.shape[:2]
    side = max(2, round(_COVER * min(height, width)))
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    fill = np.median(border, axis=0).astype(image.dtype)
    corners = [(row, column) for row in _corners(height, side) for column in _corners(width, side)]
    lost, covered = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    whole = _log_odds(predict(image[np.newaxis]), label)[0]
    batch = max(8, _BATCH // (height * width))
    for start in range(0, len(corners), batch):
        part = corners[start : start + batch]
        images = np.repeat(image[np.newaxis], len(part), axis=0)
        for covered_image, (row, column) in zip(images, part, strict=True):
            covered_image[row : row + side, column : column + side] = fill
        for value, (row, column) in zip(whole - _log_odds(predict(images), label), part, strict=True):
            lost[row : row + side, column : column + side] += value
            covered[row : row + side, column : column + side] += 1
    return lost / covered


def _corners(length: int, side: int) -> list[int]:
    """Return the first pixels of the squares along one side, so that they cover all of it."""
    last = max(length - side, 0)
    count = min(last + 1, max(_POSITIONS if length <= _SMALL else _FEW, -(-length // side) + 1))
    return sorted({round(corner) for corner in np.linspace(0, last, count)})


def _log_odds(probabilities: Array, label: int) -> Array:
    p = probabilities.astype(np.float64)
    others = np.delete(p, label, axis=1).sum(axis=1)
    odds = np.maximum(p[:, label], _SMALLEST) / np.maximum(others, _SMALLEST)
    return np.asarray(np.log(odds))
