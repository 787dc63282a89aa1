"""Where a network looks: what it loses when a part of the image is covered."""

from collections.abc import Callable

import numpy as np

from mnist_exp.data.dataset import Array

_POSITIONS, _FEW, _SMALL = 26, 14, 64  # squares along a side; fewer in an image whose side is longer than this
_COVER = 5 / 28  # of a side
_BATCH = 500 * 28 * 28  # pixels
_CERTAIN = 1e-7  # probabilities of float32 tell no more


def occlusion_map(predict: Callable[[Array], Array], image: Array, label: int) -> Array:
    """Return how much each pixel speaks for a class, float32 (height, width); below 0 it speaks against it.

    A square is moved over the image, filled with what the border shows. The value is what covering costs the class in
    log-odds, the mean over all squares that cover the pixel: probabilities near 1 would hardly move.

    Args:
        predict: from images (n, height, width, channels) to probabilities (n, classes).
        image: uint8, shape (height, width, channels).
        label: of the class.
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
        for each, (row, column) in zip(images, part, strict=True):
            each[row : row + side, column : column + side] = fill
        for value, (row, column) in zip(whole - _log_odds(predict(images), label), part, strict=True):
            lost[row : row + side, column : column + side] += value
            covered[row : row + side, column : column + side] += 1
    return lost / covered


def _corners(length: int, side: int) -> list[int]:
    """Return where squares begin, such that they reach both ends and leave no gap."""
    last = max(length - side, 0)
    count = min(last + 1, max(_POSITIONS if length <= _SMALL else _FEW, -(-length // side) + 1))
    return sorted({round(each) for each in np.linspace(0, last, count)})


def _log_odds(probabilities: Array, label: int) -> Array:
    p = probabilities.astype(np.float64)
    others = np.delete(p, label, axis=1).sum(axis=1)
    odds = np.maximum(p[:, label], _CERTAIN) / np.maximum(others, _CERTAIN)
    return np.asarray(np.log(odds))
