"""Feed images of files to TensorFlow, decoded by its own threads where that gives the pixels that Pillow gives.

Pillow holds Python's lock for a part of its work, and two threads of it decode hardly more than one; TensorFlow's
decoder takes half the time an image and knows no such lock (benchmarks/lazy_folder.py).
"""

import functools
import io
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mnist_exp.runtime import threads

_METHOD = "INTEGER_ACCURATE"  # As Pillow has it; the default is quicker by little, and gives other pixels.
_MOST_DECODERS = 16


def pipeline(
    steps: int, read: Callable[[Any], list[Any]], types: list[Any], shapes: list[tuple[int, ...]], batch_size: int
) -> tf.data.Dataset:
    """Return the batches of an epoch, their images decoded ahead of the training, in order.

    Args:
        steps: batches an epoch.
        read: returns, for the number of a batch, its images as JPEG or PNG files, and its part of the other arrays.
        types: of the other arrays.
        shapes: of one image, and of one row of each of the other arrays.
        batch_size: images a batch.
    """

    def rows(number: Any) -> tuple[Any, ...]:
        return in_python(read, [number], [tf.string, *types], [(), *shapes[1:]])

    decoders = min(threads.usable_cpus(), _MOST_DECODERS)
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = decoders + 1
    # A batch is read while the one before it is decoded and the one before that is trained on.
    data = tf.data.Dataset.range(steps).map(rows).prefetch(1).unbatch()
    data = data.map(
        lambda file, *others: (_decode(file, shapes[0]), *others), num_parallel_calls=decoders, deterministic=True
    )
    data = data.batch(batch_size).prefetch(2)
    return data.apply(tf.data.experimental.assert_cardinality(steps)).with_options(options)


def mixed(data: tf.data.Dataset, mix: Callable[..., tuple[Any, ...]], rows: Sequence[Any]) -> tf.data.Dataset:
    """Return batches that are changed ahead of the training.

    Args:
        data: of the batches.
        mix: returns, for the number of a batch and its arrays, the arrays to train on.
        rows: one row of each of these, (1, …).
    """

    def changed(number: Any, parts: tuple[Any, ...]) -> tuple[Any, ...]:
        return in_python(mix, [number, *parts], [row.dtype for row in rows], [row.shape[1:] for row in rows])

    return data.enumerate().map(changed).prefetch(1)


def in_python(
    function: Callable[..., Sequence[Any]],
    given: Sequence[Any],
    types: Sequence[Any],
    shapes: Sequence[tuple[int, ...]],
) -> tuple[Any, ...]:
    """Return the arrays of a batch that a function of Python returns, as tensors of known shapes.

    Args:
        function: called with what is given, as NumPy's.
        given: tensors.
        types: of the arrays.
        shapes: of one row of each.
    """
    found = tf.numpy_function(function, given, types)
    for part, shape in zip(found, shapes, strict=True):
        part.set_shape((None, *shape))
    return tuple(found)


@functools.cache
def decodes_as_pillow() -> bool:
    """Tell whether TensorFlow's decoder and Pillow's give the same pixels, tried on images of each kind in question."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for channels, sampling, progressive, size in itertools.product((1, 3), (0, 1, 2), (False, True), (16, 37)):
        pixels = rng.integers(0, 256, (size, size + 3, channels), np.uint8)
        file = io.BytesIO()
        image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
        image.save(file, "JPEG", quality=80, subsampling=sampling, progressive=progressive)
        with Image.open(file) as opened:
            expected = np.asarray(opened).reshape(pixels.shape)
        if not np.array_equal(_decode(file.getvalue(), pixels.shape).numpy(), expected):
            return False
    return True


def _decode(file: Any, shape: tuple[int, ...]) -> Any:
    # This operation knows PNG, too.
    image = tf.io.decode_jpeg(file, channels=shape[-1], dct_method=_METHOD)
    return tf.ensure_shape(image, shape)
