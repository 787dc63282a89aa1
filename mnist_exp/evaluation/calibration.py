"""Probabilities that are as often right as they say: one temperature, fitted on images that were held out.

Source: Guo, Pleiss, Sun & Weinberger 2017, arXiv:1706.04599, section 4.2.
"""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Activation = Literal["softmax", "sigmoid"]

_TINY = float(np.finfo(np.float32).tiny)
_NEAR_ONE = 2.0**-25  # closer to 1, float32 has no number
_SHARPEST, _SOFTEST = 0.05, 20.0
_STEPS = 40  # of the bisection: each halves the interval


def softened(outputs: Array, activation: Activation, temperature: float) -> Array:
    """Return the probabilities of logits that are divided by a temperature, float64 (n, outputs).

    Args:
        outputs: probabilities, (n, outputs).
        activation: softmax if they are of classes and add up to 1, sigmoid if each is of a label alone.
        temperature: above 1 for less confidence, below 1 for more.
    """
    z = _logits(outputs, activation) / temperature
    if activation == "sigmoid":
        return np.asarray(_sigmoid(z))
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def fitted(outputs: Array, targets: Array, activation: Activation) -> float | None:
    """Return the temperature with the lowest mean negative log-likelihood; None if there is none.

    Without a mistake there is none: the sharper the probabilities, the better. The likelihood is concave in the
    inverse of the temperature, so that its derivative is 0 at one place.

    Args:
        outputs: probabilities, (n, outputs).
        targets: whole numbers (n,) for softmax, else 0 or 1 (n, outputs).
        activation: as of `softened`.
    """
    if are_right(outputs, targets, activation).all():
        return None
    z = _logits(outputs, activation)
    low, high = 1 / _SOFTEST, 1 / _SHARPEST
    for _ in range(_STEPS):
        middle = np.sqrt(low * high)
        if _slope(z, targets, activation, middle) < 0:
            low = middle
        else:
            high = middle
    return float(1 / np.sqrt(low * high))


def loss(probabilities: Array, targets: Array, activation: Activation) -> float:
    """Return the mean negative log-likelihood; arguments as of `fitted`."""
    if activation == "softmax":
        true = probabilities[np.arange(len(targets)), targets]
    else:
        true = np.where(targets > 0.5, probabilities, 1 - probabilities)
    return float(-np.log(np.maximum(true, _TINY)).mean())


def confidence(probabilities: Array, activation: Activation) -> Array:
    """Return how sure an answer is: the probability of its class, or of the label that is least sure, (n,)."""
    if activation == "softmax":
        return np.asarray(probabilities.max(axis=1))
    return np.asarray(np.maximum(probabilities, 1 - probabilities).min(axis=1))


def are_right(outputs: Array, targets: Array, activation: Activation) -> Array:
    """Return whether each answer is right, of several labels all of them, bool (n,); arguments as of `fitted`."""
    if activation == "softmax":
        return np.asarray(outputs.argmax(axis=1) == targets)
    return np.asarray(((outputs > 0.5) == (targets > 0.5)).all(axis=1))


def _logits(outputs: Array, activation: Activation) -> Array:
    """Return logits that have these probabilities, float64; of a softmax up to a constant."""
    p = outputs.astype(np.float64)
    if activation == "softmax":
        return np.asarray(np.log(np.maximum(p, _TINY)))
    p = np.clip(p, _TINY, 1 - _NEAR_ONE)
    return np.asarray(np.log(p) - np.log1p(-p))


def _sigmoid(z: Array) -> Array:
    return np.asarray(np.exp(-np.logaddexp(0, -z)))


def _slope(z: Array, targets: Array, activation: Activation, sharpness: float) -> float:
    """Return the derivative of the mean negative log-likelihood by the inverse of the temperature."""
    if activation == "sigmoid":
        return float(((_sigmoid(z * sharpness) - (targets > 0.5)) * z).mean())
    e = np.exp(sharpness * (z - z.max(axis=1, keepdims=True)))
    expected = (e * z).sum(axis=1) / e.sum(axis=1)
    return float((expected - z[np.arange(len(z)), targets]).mean())
