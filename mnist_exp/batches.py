"""Training batches whose order depends on nothing but the seed and the epoch."""

import math
from typing import Any

import keras
import numpy as np
import numpy.typing as npt


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Arrays in batches, in an order drawn afresh for each epoch from (seed, epoch).

    Args:
        x: images, shape (n, height, width, channels).
        y: labels, shape (n,).
        batch_size: images a batch; the last one of an epoch may be smaller.
        seed: decides the orders.
        epoch: number of the first epoch, from 0.
    """

    def __init__(self, x: npt.NDArray[Any], y: npt.NDArray[Any], batch_size: int, seed: int, epoch: int = 0) -> None:
        super().__init__()
        self._x, self._y = x, y
        self._batch_size, self._seed, self._epoch = batch_size, seed, epoch
        self._order = self._draw()

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil(len(self._x) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return images and labels of a batch."""
        chosen = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        return self._x[chosen], self._y[chosen]

    def on_epoch_end(self) -> None:
        """Draw the order of the next epoch."""
        self._epoch += 1
        self._order = self._draw()

    def _draw(self) -> npt.NDArray[np.int64]:
        return np.random.default_rng([self._seed, self._epoch]).permutation(len(self._x))
