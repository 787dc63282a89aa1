"""Batches whose order depends on nothing but the seed and the epoch."""

import math
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Arrays in batches; with a seed, in an order drawn afresh for each epoch from (seed, epoch).

    Args:
        arrays: images (n, height, width, channels), and labels (n,) where they are needed.
        batch_size: images a batch; the last one of an epoch may be smaller.
        seed: decides the orders; None keeps the order of the arrays.
        epoch: number of the first epoch, from 0.
    """

    def __init__(self, *arrays: Array, batch_size: int, seed: int | None = None, epoch: int = 0) -> None:
        # More than one worker makes Keras read ahead in threads of its own and turns tf.data's autotuning off, whose
        # thread held up the end of every second training for 5 s (docs/decisions/0003-batches.md).
        super().__init__(workers=2, use_multiprocessing=False)
        self._arrays = arrays
        self._batch_size, self._seed, self._epoch = batch_size, seed, epoch
        self._order = self._draw()

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil(len(self._arrays[0]) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[Array, ...]:
        """Return the arrays' parts for a batch."""
        part = slice(index * self._batch_size, (index + 1) * self._batch_size)
        chosen = part if self._order is None else self._order[part]
        return tuple(array[chosen] for array in self._arrays)

    def on_epoch_end(self) -> None:
        """Draw the order of the next epoch."""
        self._epoch += 1
        self._order = self._draw()

    def _draw(self) -> Array | None:
        if self._seed is None:
            return None
        return np.random.default_rng([self._seed, self._epoch]).permutation(len(self._arrays[0]))
