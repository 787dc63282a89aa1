"""How the values of a data set are scaled before a model sees them: the data say it, or it is learned from them."""

from dataclasses import dataclass

import numpy as np

from mnist_exp.data.lazy import Array, Examples, chunks


@dataclass(frozen=True)
class Scaling:
    """What the first layer of a model does to raw values.

    Args:
        pixels: whether the raw values are pixels of 0 to 255.
        mean: float64 (features,), subtracted from the last axis; None where nothing is learned: pixels are divided by
            255 then, and other values stay as they are.
        variance: float64 (features,), by whose root they are divided then; 1 for a feature that never changes.
    """

    pixels: bool = True
    mean: Array | None = None
    variance: Array | None = None

    @property
    def words(self) -> str:
        """What it does, for people."""
        if self.mean is not None:
            return "standardized"
        return "scaled by 1/255" if self.pixels else "as they are"


PIXELS = Scaling()


def standardized(x: Examples, pixels: bool) -> Scaling:
    """Return the scaling that gives each feature, along the last axis, mean 0 and variance 1 on these examples.

    Args:
        x: the training examples, (n, …, features); read once, some at a time.
        pixels: whether they are pixels.
    Source: Chan, Golub, LeVeque 1983, Algorithms for computing the sample variance, for means of parts.
    """
    count, mean, squares = 0, np.zeros(x.shape[-1]), np.zeros(x.shape[-1])
    for part in chunks(x):
        values = part.reshape(-1, x.shape[-1]).astype(np.float64)
        own = values.mean(axis=0)
        step, total = own - mean, count + len(values)
        squares += ((values - own) ** 2).sum(axis=0) + step**2 * (count * len(values) / total)
        mean += step * (len(values) / total)
        count = total
    variance = squares / count
    # As scikit-learn's StandardScaler: a constant is not divided by the rounding errors of its mean.
    noise = count * np.finfo(np.float64).eps
    variance[variance <= noise * variance + (noise * mean) ** 2] = 1.0
    return Scaling(pixels, mean, variance)
