"""The same images moved by whole pixels: the mean of what a model says of them all is test-time augmentation."""

import itertools

import numpy as np

from mnist_exp.config import wording
from mnist_exp.data import Dataset
from mnist_exp.data.dataset import Array
from mnist_exp.data.lazy import Examples, LazyArray
from mnist_exp.errors import SettingsError


def check(shifts: int) -> None:
    """Make sure that it is a number of pixels. Raises: SettingsError: it is not."""
    if shifts < 0:
        raise SettingsError(f"--shifts={shifts} is not allowed: it must be a number of pixels, 0 for none")


def check_fits(shifts: int, dataset: Dataset) -> None:
    """Make sure that images can be moved by a number of pixels. Raises: SettingsError: they cannot."""
    if not shifts:
        return
    if len(dataset.shape) != 3:
        raise SettingsError(
            f"--shifts={shifts} moves images: data={wording.show(dataset.name)} has {wording.examples(dataset.shape)}"
        )
    if shifts >= (side := min(dataset.shape[:2])):
        raise SettingsError(
            f"--shifts={shifts} moves images out of sight: data={wording.show(dataset.name)} has "
            f"{wording.examples(dataset.shape)}, so it must be less than {side}; 1 or 2 is usual"
        )


def moves(shifts: int) -> list[tuple[int, int]]:
    """Return the shifts by up to so many pixels in each direction: down and right of each, (2 shifts + 1)² of them."""
    steps = range(-shifts, shifts + 1)
    return list(itertools.product(steps, steps))


def moved(x: Examples, down: int, right: int, black: float) -> Examples:
    """Return images moved by whole pixels.

    Args:
        x: (n, height, width, channels), in memory or lazy.
        down: pixels that they move down; up if negative.
        right: likewise.
        black: what moves in from outside.
    """
    if not down and not right:
        return x
    if isinstance(x, LazyArray):
        return LazyArray(_Moved(x, down, right, black))
    found = np.full_like(x, black)
    found[:, _there(down), _there(right)] = x[:, _there(-down), _there(-right)]
    return found


def _there(by: int) -> slice:
    """Return the rows, or columns, that a move has filled from inside."""
    return slice(by, None) if by >= 0 else slice(None, by)


class _Moved:
    """The rows of a lazy array, moved."""

    def __init__(self, x: LazyArray, down: int, right: int, black: float) -> None:
        self._x, self._move = x, (down, right, black)
        self.shape, self.dtype = x.shape, x.dtype

    def read(self, positions: Array) -> Array:
        found: Array = moved(self._x[positions], *self._move)
        return found

    def identity(self, positions: Array) -> str | None:
        own = self._x.view(positions).identity()
        return None if own is None else f"{own} {self._move}"
