"""Predict with a model, and identify its weights."""

import hashlib

import keras
import numpy as np
import numpy.typing as npt

from mnist_exp.data.lazy import Examples
from mnist_exp.losses import Activation
from mnist_exp.training import outputs
from mnist_exp.training.batches import Batches

BATCH_SIZE = 500


def weights_sha256(model: keras.Model) -> str:
    """Return the SHA-256, in hex, of all weights of a model, in their order."""
    content = hashlib.sha256()
    for array in model.get_weights():
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()


def predict(model: keras.Model, x: Examples) -> npt.NDArray[np.float32]:
    """Return what a model says of images, float32 (n, outputs): predictions, or what comes before them.

    Args:
        model: with or without augmentation, which is not in force here; not the one that is being trained.
        x: raw values, (n, …), as pixels; in memory or lazy.
    """
    # Of several batches at a time Keras makes a graph of each, and of those that are left over, too.
    model.steps_per_execution = 1
    return np.asarray(model.predict(Batches(x, batch_size=BATCH_SIZE).feed(), verbose=0), np.float32)


def predict_both(model: keras.Model, x: Examples) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return what a model with two outputs says of images, float32 (n, …) each: features, and predictions.

    Args:
        model: by `outputs.with_features`.
        x: raw values, (n, …), as pixels; in memory or lazy.
    """
    first, second = model.predict(Batches(x, batch_size=BATCH_SIZE).feed(), verbose=0)
    return np.asarray(first, np.float32), np.asarray(second, np.float32)


def predict_raw(
    model: keras.Model, twin: keras.Model | None, activation: Activation, x: Examples
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return a model's predictions, and what comes before them, from which a loss is exact.

    Args:
        model: returns predictions.
        twin: of the same weights, returns what comes before; None where there is none.
        activation: that makes predictions of it.
        x: raw values, (n, …), as pixels; in memory or lazy.
    Returns: both float32 (n, outputs); the same array where there is no twin.
    """
    if twin is None or activation == "linear":
        predictions = predict(model, x)
        return predictions, predictions
    raw = predict(twin, x)
    # In lower precision the model itself rounds on the way, which a second pass has as well.
    if model.compute_dtype == "float32":
        return outputs.activate(raw, activation), raw
    return predict(model, x), raw
