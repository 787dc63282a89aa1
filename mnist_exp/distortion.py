"""Distortion: a layer that moves the pixels of each training image at random, as if it were of rubber.

Keras has `RandomElasticTransform`. In Keras 3.15.1 it draws the same numbers for both directions, so that all moves
along a diagonal; on images of less than 20 pixels, and with little strength on larger ones, it does not smooth them,
so that an image becomes noise; and in a graph whose batches differ in size it puts the first image of a batch in place
of all others (findings/keras-elastic-transform-*.sh).
"""

import math
from typing import Any

import keras
import numpy as np
from keras import ops


class Distortion(keras.layers.Layer):  # type: ignore[misc]
    """Moves the pixels of each image, in training: by a smooth random field, a rotation, a shift, a zoom and a slant.

    All of it is one resampling, linear between pixels, so that the image is blurred once.

    Args:
        strength: greatest root mean square of the distances by which the field moves pixels, in tenths of the shorter
            side; each image has its own, between half of this and this. 0 for no field.
        smoothness: standard deviation of the Gaussian filter that the field is smoothed by, as a share of the side.
        probability: that an image is moved by a field.
        rotation: largest angle either way, as a share of a full turn.
        shift: largest shift in each direction, as a share of the side.
        zoom: largest change of the size, as a share of it.
        shear: largest slant either way: 0.1 moves the upper edge by a tenth of the height against the lower one.
        fill_value: what moves in from outside.
        seed: of the drawings; None draws one.
    Source: Simard, Steinkraus & Platt 2003, Best practices for convolutional neural networks, section 2.
    """

    def __init__(
        self,
        *,
        strength: float,
        smoothness: float,
        probability: float = 1.0,
        rotation: float = 0.0,
        shift: float = 0.0,
        zoom: float = 0.0,
        shear: float = 0.0,
        fill_value: float = 0.0,
        seed: int | None = None,
        **named: Any,
    ) -> None:
        super().__init__(**named)
        self.strength, self.smoothness, self.probability = strength, smoothness, probability
        self.rotation, self.shift, self.zoom, self.shear = rotation, shift, zoom, shear
        self.fill_value = fill_value
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        """Return images (n, height, width, channels), distorted if it is a training."""
        if not training:
            return images
        count, (height, width) = ops.shape(images)[0], images.shape[1:3]
        down, right = 0.0, 0.0
        if self.rotation or self.shift or self.zoom or self.shear:
            down, right = self._affine(count, height, width)
        if self.strength:
            field = self._field(count, height, width)
            down, right = down + field[:, 0], right + field[:, 1]
        # Places need more digits than 16 bits have.
        return ops.cast(_taken_at(ops.cast(images, "float32"), down, right, self.fill_value), images.dtype)

    def _field(self, count: Any, height: int, width: int) -> Any:
        """Draw by how many pixels each pixel is moved, down and to the right, float32 (n, 2, height, width)."""
        noise = keras.random.normal((count, 2, height, width), dtype="float32", seed=self.seed_generator)
        field = ops.matmul(_smoothing(height, self.smoothness), noise)
        field = ops.matmul(field, ops.transpose(_smoothing(width, self.smoothness)))
        strength = self._drawn(count, 0.5, 1.0) * self.strength
        is_moved = ops.cast(self._drawn(count, 0.0, 1.0) < self.probability, "float32")
        # Each of two directions has half of the mean square.
        scale = strength * is_moved * (0.1 * min(height, width) / math.sqrt(2))
        return field * ops.reshape(scale, (-1, 1, 1, 1))

    def _affine(self, count: Any, height: int, width: int) -> tuple[Any, Any]:
        """Draw by how many pixels each pixel is moved, down and to the right, float32 (n, height, width) each."""
        angle = self._drawn(count, -1.0, 1.0) * (2 * math.pi * self.rotation)
        size = 1 / (1 + self._drawn(count, -1.0, 1.0) * self.zoom)
        slant = self._drawn(count, -1.0, 1.0) * self.shear
        sine, cosine = ops.sin(angle) * size, ops.cos(angle) * size
        y = _numbers(height)[:, np.newaxis] - (height - 1) / 2
        x = _numbers(width) - (width - 1) / 2
        x = x + slant * y
        down = cosine * y + sine * x - y + self._drawn(count, -1.0, 1.0) * (self.shift * height)
        right = cosine * x - sine * y - (x - slant * y) + self._drawn(count, -1.0, 1.0) * (self.shift * width)
        return down, right

    def _drawn(self, count: Any, low: float, high: float) -> Any:
        """Draw a number for each image, float32 (n, 1, 1)."""
        return keras.random.uniform((count, 1, 1), low, high, dtype="float32", seed=self.seed_generator)


def _numbers(side: int) -> Any:
    return ops.arange(side, dtype="float32")


def _smoothing(side: int, smoothness: float) -> Any:
    """Return a matrix (side, side) that smooths random numbers of variance 1, and keeps that variance everywhere."""
    away = np.subtract.outer(np.arange(side), np.arange(side)) / (smoothness * side)
    weights = np.exp(-0.5 * away**2)
    return ops.convert_to_tensor(weights / np.sqrt((weights**2).sum(axis=1, keepdims=True)), "float32")


def _taken_at(images: Any, down: Any, right: Any, fill_value: float) -> Any:
    """Return the values of images (n, height, width, channels) at places that lie so many pixels from their own."""
    count, (height, width, channels) = ops.shape(images)[0], images.shape[1:]
    # A frame of one pixel stands for all that is outside.
    framed = ops.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=fill_value)
    flat = ops.reshape(framed, (-1, channels))
    y = ops.clip(_numbers(height)[:, np.newaxis] + 1 + down, 0, height + 1)
    x = ops.clip(_numbers(width) + 1 + right, 0, width + 1)
    top, left = ops.minimum(ops.floor(y), height), ops.minimum(ops.floor(x), width)
    row = width + 2
    first = ops.reshape(ops.arange(count, dtype="int32") * ((height + 2) * row), (-1, 1, 1))
    corner = first + ops.cast(top, "int32") * row + ops.cast(left, "int32")
    below, beside = ops.expand_dims(y - top, -1), ops.expand_dims(x - left, -1)
    upper = _between(ops.take(flat, corner, axis=0), ops.take(flat, corner + 1, axis=0), beside)
    lower = _between(ops.take(flat, corner + row, axis=0), ops.take(flat, corner + row + 1, axis=0), beside)
    return _between(upper, lower, below)


def _between(one: Any, other: Any, share: Any) -> Any:
    return one + (other - one) * share
