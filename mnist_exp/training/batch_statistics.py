"""The statistics of batch normalisation, for weights that no training step has had, as averaged ones."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from mnist_exp.data.lazy import Examples
from mnist_exp.training import random_state

_MOST_BATCHES = 50


class BatchStatistics:
    """What layers that normalise batches are to know of the training examples, by the weights that a model has.

    They follow the weights of the training, step by step. Averages of these weights make other values of the examples,
    of another mean and deviation: with `use_ema`, whose averages Keras leaves in a model with the statistics of the
    others, networks lost eleven points of accuracy (findings/keras-averages-keep-other-statistics.sh).

    Args:
        x: training examples, raw values (n, …), in memory or lazy. `_MOST_BATCHES` batches of them, spread evenly, are
            looked at, changed by the augmentation as in the training.
        batch_size: examples a batch.
    Source: Izmailov et al. 2018, arXiv:1803.05407, section 3.2.
    """

    def __init__(self, x: Examples, batch_size: int) -> None:
        self._x, self._size = x, min(batch_size, len(x))

    def renew(self, model: keras.Model) -> None:
        """Let the layers of a model have the mean statistics of the batches; nothing else changes, no random state."""
        layers = normalising(model)
        momenta = [layer.momentum for layer in layers]
        with _unchanged_but_for(model, variables(model)):
            try:
                for number, batch in enumerate(self._batches()):
                    for layer in layers:
                        layer.momentum = number / (number + 1)  # All batches count alike.
                    model(batch, training=True)
            finally:
                for layer, momentum in zip(layers, momenta, strict=True):
                    layer.momentum = momentum

    def _batches(self) -> Iterator[Any]:
        count = min(_MOST_BATCHES, len(self._x) // self._size)
        chosen = np.linspace(0, len(self._x) - 1, count * self._size).astype(int)
        for number in range(count):
            yield self._x[chosen[number::count]]


def normalising(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Return the layers of a model, also within others, that normalise batches and follow their statistics."""
    # In public, a model does not tell the layers within others that are no models.
    found = [each for each in model._flatten_layers() if isinstance(each, keras.layers.BatchNormalization)]
    return [layer for layer in found if layer.trainable]  # Frozen ones keep what they have.


def variables(model: keras.Model) -> list[Any]:
    """Return the variables with the statistics of a model."""
    return [each for layer in normalising(model) for each in (layer.moving_mean, layer.moving_variance)]


@contextlib.contextmanager
def _unchanged_but_for(model: keras.Model, some: list[Any]) -> Iterator[None]:
    """Give all other variables, and the random generators, what they had before a `with` block."""
    changed = set(map(id, some))
    others = [each for each in model.non_trainable_variables if id(each) not in changed]
    shared = random_state.shared()
    others += [shared] if shared is not None else []
    before = [np.array(keras.ops.convert_to_numpy(each)) for each in others]
    states = random_state.states()
    try:
        with _without_gradients():
            yield
    finally:
        for variable, value in zip(others, before, strict=True):
            variable.assign(value)
        random_state.restore(states)


@contextlib.contextmanager
def _without_gradients() -> Iterator[None]:
    if keras.backend.backend() != "torch":
        yield
        return
    import torch

    with torch.no_grad():
        yield
