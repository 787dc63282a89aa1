"""Batches of images. Their order depends only on the seed and the epoch; how they are mixed, also on the step."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Union

import keras
import numpy as np

from mnist_exp.data import lazy
from mnist_exp.data.images.lazy_folder import FolderImages
from mnist_exp.data.lazy import Examples, LazyArray

if TYPE_CHECKING:
    import tensorflow as tf

Array = lazy.Array
# Changes the arrays' parts of a batch at random.
Mix = Callable[..., tuple[Array, ...]]


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Arrays in batches; with a seed, in an order drawn from (seed, epoch) by `start_epoch`.

    Keras calls `on_epoch_end` of a PyDataset once before the first epoch, too, so counting these calls would tell the
    epoch wrongly: give `fit` the callback that `counted` returns.

    Args:
        arrays: examples (n, …), in memory or lazy, and labels (n,) where they are needed.
        batch_size: images a batch; the last one of an epoch may be smaller.
        seed: decides the orders; None keeps the order of the arrays.
        mix: called with a random generator for each batch, and the arrays' parts; needs a seed.
    """

    def __init__(self, *arrays: Examples, batch_size: int, seed: int | None = None, mix: Mix | None = None) -> None:
        # More than one worker makes Keras read ahead in threads of its own and turns tf.data's autotuning off, whose
        # thread held up the end of every second training for 5 s (docs/decisions/0003-batches.md). Other backends have
        # no tf.data, and threads that a signal leaves behind would keep the process from ending.
        super().__init__(workers=2 if keras.backend.backend() == "tensorflow" else 1, use_multiprocessing=False)
        self._arrays = arrays
        self._batch_size, self._seed, self._mix = batch_size, seed, mix
        self._order: Array | None = None
        self.start_epoch(0)
        # What a batch has of each array: what mixes may make another type of it.
        self._rows = self._mixed(0, *(np.zeros((1, *array.shape[1:]), array.dtype) for array in arrays))

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil(len(self._arrays[0]) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[Array, ...]:
        """Return the arrays' parts for a batch."""
        chosen = self._chosen(index)
        return self._mixed(index, *(array[chosen] for array in self._arrays))

    def _encoded(self, index: int) -> list[Any]:
        """Return the images of a batch as files, and the other arrays' parts."""
        images, *others = self._arrays
        chosen = self._chosen(index)
        files = images.source.encoded(images.positions[chosen])
        return [np.array(files, object), *(array[chosen] for array in others)]

    def _mixed(self, index: int, *parts: Array) -> tuple[Array, ...]:
        """Return the parts for a batch as they are trained on."""
        if self._mix is None or self._seed is None:
            return parts
        # From 1: NumPy's generators of [seed, epoch] and of [seed, epoch, 0] are the same.
        return self._mix(np.random.default_rng([self._seed, self._epoch, index + 1]), *parts)

    def _chosen(self, index: int) -> slice | Array:
        """Return which rows a batch has."""
        part = slice(index * self._batch_size, (index + 1) * self._batch_size)
        return part if self._order is None else self._order[part]

    def feed(self) -> Union["Batches", "tf.data.Dataset"]:
        """Return the form that Keras reads fastest: on TensorFlow a pipeline that reads ahead, else this object.

        Keras's own pipeline around a PyDataset costs about 1 ms a batch more, and where it may tune itself, it may hold
        up the end of a training for 5 s (docs/decisions/0003-batches.md).
        """
        if keras.backend.backend() != "tensorflow":
            return self
        import tensorflow as tf

        from mnist_exp.training import image_feed

        images, *others = self._arrays
        is_folder = isinstance(images, LazyArray) and isinstance(images.source, FolderImages)
        if is_folder and image_feed.decodes_as_pillow():
            shapes = [array.shape[1:] for array in self._arrays]
            types = [array.dtype for array in others]
            data = image_feed.pipeline(len(self), self._encoded, types, shapes, self._batch_size)
            return data if self._mix is None else image_feed.mixed(data, self._mixed, self._rows)
        types, shapes = [row.dtype for row in self._rows], [row.shape[1:] for row in self._rows]

        def read(index: Any) -> tuple[Any, ...]:
            return image_feed.in_python(self.__getitem__, [index], types, shapes)

        options = tf.data.Options()
        options.autotune.enabled = False
        options.threading.private_threadpool_size = 1
        return tf.data.Dataset.range(len(self)).map(read).prefetch(2).with_options(options)

    def start_epoch(self, epoch: int) -> None:
        """Draw the order of the images of an epoch, counted from 0."""
        self._epoch = epoch
        if self._seed is not None:
            self._order = order(self._seed, epoch, len(self._arrays[0]))

    def counted(self) -> keras.callbacks.Callback:
        """Return the callback that draws the order of each epoch."""
        return keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: self.start_epoch(epoch))


def order(seed: int, epoch: int, count: int) -> Array:
    """Return the positions of the images in the order of an epoch, int64 (count,).

    Args:
        seed: of the run.
        epoch: from 0.
        count: how many images there are.
    """
    return np.random.default_rng([seed, epoch]).permutation(count)
