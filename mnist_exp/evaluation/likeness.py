"""Tell an image that is unlike all that a model was trained on, by what its last layer is given and by its pixels.

The cosine between the features of an image and the nearest of a few prototypes of each class; and two numbers of the
pixels, how much is drawn and how rough it is, by which noise is told. Compared in benchmarks/unlike_images.py.
"""

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ALARMS = 0.01  # share of the held-out images that are called unlike
_WIDTH = 128  # numbers that features are folded to
_BYTES = 8_000  # of all prototypes
_EACH = 5  # prototypes a class
_ROUNDS = 10
_MULTIPLIER = 2_654_435_761  # Knuth's, of hashing by multiplication
_WHITE = 255.0
_LEAST = 1e-6


@dataclass(frozen=True)
class Likeness:
    """What the images that a model was trained on are like.

    Args:
        prototypes: of their features, folded, of length 1, float32 (prototypes, width).
        pixels: means of the two numbers of the pixels, then the rows of their inverse covariance, (6,); empty where the
            examples are no images.
        scales: of both distances the median, and what lies between it and the quantile of `ALARMS`, (2, 2) or (1, 2).
        threshold: an image above it is unlike them.
    """

    prototypes: Array
    pixels: tuple[float, ...]
    scales: tuple[tuple[float, float], ...]
    threshold: float

    def distances(self, features: Array, images: Array | None) -> Array:
        """Return how far images are from all that the model was trained on, (n,); above `threshold` they are unlike.

        Args:
            features: what the last layer is given, (n, features).
            images: pixels of 0 to 255, (n, height, width, channels); None where the examples are none.
        """
        found = [1 - (_folded(features) @ self.prototypes.T).max(axis=1)]
        if self.pixels and images is not None:
            found.append(_of_pixels(images, self.pixels))
        each = [(d - middle) / spread for d, (middle, spread) in zip(found, self.scales, strict=False)]
        return np.asarray(np.max(each, axis=0))

    def to_facts(self) -> dict[str, Any]:
        """Return it as plain values; a number of a prototype takes a byte."""
        whole = np.rint(self.prototypes * 127).astype(np.int8)
        return {
            "prototypes": base64.b64encode(whole.tobytes()).decode(),
            "count": len(whole),
            "pixels": list(self.pixels),
            "scales": [list(each) for each in self.scales],
            "threshold": self.threshold,
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Likeness":
        """Return what `to_facts` returned. Raises: ValueError, KeyError, TypeError: it is something else."""
        content = np.frombuffer(base64.b64decode(facts["prototypes"], validate=True), np.int8)
        pixels, threshold = tuple(map(float, facts["pixels"])), float(facts["threshold"])
        scales = tuple((float(middle), float(spread)) for middle, spread in facts["scales"])
        numbers = (*pixels, threshold, *(number for pair in scales for number in pair))
        good = all(map(math.isfinite, numbers)) and len(pixels) in (0, 6) and len(scales) == 1 + bool(pixels)
        if not good or not all(spread > 0 for _, spread in scales):
            raise ValueError("likeness")
        return cls(_unit(content.reshape(int(facts["count"]), -1).astype(np.float32)), pixels, scales, threshold)


def measure(
    features: Array, classes: Array, images: Array | None, held_out: Array, held_out_images: Array | None
) -> Likeness | None:
    """Return what images are like; None where the features do not tell.

    Args:
        features: of training images, (n, features).
        classes: theirs, whole numbers (n,); any partition where there are no classes.
        images: their pixels, 0 to 255, (n, height, width, channels); None where they are no images.
        held_out: features of images that the model was not trained on, which decide the threshold.
        held_out_images: their pixels.
    """
    if not (np.isfinite(features).all() and np.isfinite(held_out).all()):
        return None
    folded = _folded(features)
    known = np.unique(classes)
    most = _BYTES // folded.shape[1]
    if len(known) > most:
        prototypes = _centres(folded, most)
    else:
        each = min(_EACH, most // len(known))
        prototypes = np.concatenate([_centres(folded[classes == label], each) for label in known])
    # As they are read again.
    prototypes = _unit(np.rint(_unit(prototypes) * 127).astype(np.int8).astype(np.float32))
    pixels: tuple[float, ...] = ()
    if images is not None and held_out_images is not None:
        numbers = numbers_of(images)
        spread = np.cov(numbers.T) + _LEAST * np.eye(2)
        pixels = (*numbers.mean(axis=0), *np.linalg.inv(spread).ravel())
    found = [1 - (_folded(held_out) @ prototypes.T).max(axis=1)]
    if pixels and held_out_images is not None:
        found.append(_of_pixels(held_out_images, pixels))
    scales = tuple((float(np.median(d)), float(_quantile(d) - np.median(d))) for d in found)
    if not all(spread > _LEAST**2 for _, spread in scales):
        return None
    plain = Likeness(prototypes, tuple(map(float, pixels)), scales, 0.0)
    return Likeness(prototypes, plain.pixels, scales, float(_quantile(plain.distances(held_out, held_out_images))))


def _quantile(distances: Array) -> float:
    """Return the distance that the share of `ALARMS` exceeds; of few images that is the largest."""
    return float(np.quantile(distances, 1 - ALARMS, method="higher"))


def _folded(features: Array) -> Array:
    """Return features of length 1, those of more than `_WIDTH` numbers added up in so many sums with signs of chance.

    Source: Weinberger et al. 2009, arXiv:0902.2206: inner products stay what they are on average.
    """
    flat = features.reshape(len(features), -1).astype(np.float32)
    wide = flat.shape[1]
    if wide > _WIDTH:
        hashed = (np.arange(wide, dtype=np.uint64) * _MULTIPLIER) % (1 << 32)
        signs = np.where((hashed >> np.uint64(20)) & np.uint64(1), 1, -1).astype(np.float32)
        places = np.zeros((wide, _WIDTH), np.float32)
        places[np.arange(wide), hashed >> np.uint64(25)] = signs
        flat = flat @ places
    return _unit(flat)


def _unit(rows: Array) -> Array:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, _LEAST), np.float32)


def _centres(rows: Array, count: int) -> Array:
    """Return the centres of at most so many clusters of rows of length 1, by Lloyd's algorithm from rows far apart."""
    centres = rows[:1]
    while len(centres) < min(count, len(rows)):
        centres = np.concatenate([centres, rows[[int((rows @ centres.T).max(axis=1).argmin())]]])
    for _ in range(_ROUNDS):
        nearest = (rows @ centres.T).argmax(axis=1)
        sums = np.stack([rows[nearest == i].sum(axis=0) for i in range(len(centres))])
        centres = np.where(np.bincount(nearest, minlength=len(centres))[:, np.newaxis] > 0, _unit(sums), centres)
    return np.asarray(centres)


def numbers_of(images: Array) -> Array:
    """Return how much of images is light, and how rough they are, float64 (n, 2)."""
    x = images.astype(np.float32).mean(axis=3) / _WHITE
    mean, rest = x.mean(axis=(1, 2)), (len(x), -1)
    steps = [np.abs(np.diff(x, axis=axis)).reshape(rest) for axis in (1, 2) if x.shape[axis] > 1]
    rough = np.concatenate(steps, axis=1).mean(axis=1) if steps else np.zeros(len(x))
    return np.stack([mean, rough], axis=1).astype(np.float64)


def _of_pixels(images: Array, known: tuple[float, ...]) -> Array:
    """Return the squared Mahalanobis distance of the numbers of the pixels from those of the training images, (n,)."""
    off = numbers_of(images) - np.array(known[:2])
    inverse = np.array(known[2:]).reshape(2, 2)
    return np.asarray(np.einsum("ij,jk,ik->i", off, inverse, off))
