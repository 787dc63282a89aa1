"""Predict with a model, and identify its weights."""

import hashlib
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mnist_exp.training.batches import Batches

BATCH_SIZE = 500


def weights_sha256(model: keras.Model) -> str:
    """Return the SHA-256, in hex, of all weights of a model, in their order."""
    content = hashlib.sha256()
    for array in model.get_weights():
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()


def predict(model: keras.Model, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return class probabilities, shape (n, classes).

    Args:
        model: with or without augmentation, which is not in force here.
        x: raw pixels, shape (n, height, width, channels).
    """
    return np.asarray(model.predict(Batches(x, batch_size=BATCH_SIZE).feed(), verbose=0), np.float32)
