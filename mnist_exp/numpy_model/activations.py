"""Keras's activations, by their names, on float32 arrays."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Activation = Callable[[Array], Array]


def relu(x: Array) -> Array:
    """Return the positive part."""
    return np.maximum(x, np.float32(0))


def relu6(x: Array) -> Array:
    """Return the values cut to 0 and 6."""
    return np.clip(x, np.float32(0), np.float32(6))


def leaky_relu(x: Array, slope: float = 0.2) -> Array:
    """Return the values, the negative ones times a slope."""
    return np.where(x >= 0, x, np.float32(slope) * x)


def elu(x: Array, alpha: float = 1.0) -> Array:
    """Return the values, the negative ones as alpha·(exp(x) − 1)."""
    return np.where(x >= 0, x, np.float32(alpha) * np.expm1(np.minimum(x, np.float32(0))))


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(−x)), exact for large values too."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, np.float32(1), small) / (np.float32(1) + small)


def softmax(x: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """Return shares that add up to 1 along an axis."""
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    found: Array = powers / powers.sum(axis=axis, keepdims=True)
    return found


def softplus(x: Array) -> Array:
    """Return log(1 + exp(x))."""
    return np.maximum(x, np.float32(0)) + np.log1p(np.exp(-np.abs(x)))


def gelu(x: Array) -> Array:
    """Return x·Φ(x), Φ the normal distribution's."""
    from scipy.special import erf

    found: Array = np.float32(0.5) * x * (np.float32(1) + erf(x * np.float32(1 / math.sqrt(2))))
    return found


def hard_sigmoid(x: Array) -> Array:
    """Return the line through 0.5 of slope 1/6, cut to 0 and 1."""
    return relu6(x + np.float32(3)) * np.float32(1 / 6)


def silu(x: Array) -> Array:
    """Return x·sigmoid(x)."""
    return x * sigmoid(x)


def hard_silu(x: Array) -> Array:
    """Return x·hard_sigmoid(x)."""
    return x * hard_sigmoid(x)


def mish(x: Array) -> Array:
    """Return x·tanh(softplus(x))."""
    return x * np.tanh(softplus(x))


def selu(x: Array) -> Array:
    """Return the scaled elu that keeps mean and variance."""
    return np.float32(1.05070098735548049342) * elu(x, 1.67326324235437728481)


def linear(x: Array) -> Array:
    """Return the values."""
    return x


BY_NAME: dict[str, Activation] = {
    "elu": elu,
    "exponential": np.exp,
    "gelu": gelu,
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": hard_silu,
    "hard_swish": hard_silu,
    "leaky_relu": leaky_relu,
    "linear": linear,
    "mish": mish,
    "relu": relu,
    "relu6": relu6,
    "selu": selu,
    "sigmoid": sigmoid,
    "silu": silu,
    "softmax": softmax,
    "softplus": softplus,
    "swish": silu,
    "tanh": np.tanh,
}
