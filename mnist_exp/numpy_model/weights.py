"""The weights of a layer, and the refusal of what is not known here."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mnist_exp.numpy_model import activations
from mnist_exp.numpy_model.activations import Activation, Array

Config = Mapping[str, Any]
Compute = Callable[..., Array]


class UnknownError(Exception):
    """A model is not computed here; the message says what of it is not known."""


class Weights:
    """The arrays of one layer, in Keras's order; each is taken once.

    Args:
        arrays: of the layer.
    """

    def __init__(self, arrays: list[Array]) -> None:
        self._left = list(reversed(arrays))
        self.size = sum(each.size for each in arrays)

    def take(self, *ranks: int) -> Array:
        """Return the next array. Raises: UnknownError: there is none, or it does not have one of these ranks."""
        if not self._left or self._left[-1].ndim not in ranks or self._left[-1].dtype != np.float32:
            raise UnknownError("other weights")
        return np.ascontiguousarray(self._left.pop())

    def drop(self) -> None:
        """Leave the next array out: predictions do not take it."""
        if self._left:
            self._left.pop()

    def check_all_taken(self) -> None:
        """Check that nothing is left. Raises: UnknownError: there is."""
        if self._left:
            raise UnknownError("more weights")


def bias_of(config: Config, weights: Weights) -> Array:
    """Return the numbers that a layer adds, taken from its weights; 0 if it adds none."""
    return weights.take(1) if config["use_bias"] else np.zeros((), np.float32)


def activation_of(config: Config) -> Activation:
    """Return the activation that a layer names. Raises: UnknownError: it is not known here."""
    name = config["activation"]
    if name is not None and name not in activations.BY_NAME:
        raise UnknownError(f"activation={str(name)[:40]}")
    return activations.BY_NAME[name or "linear"]
