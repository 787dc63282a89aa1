"""How the values of a data set are scaled before a model sees them: the data say it, or it is learned from them."""

from dataclasses import dataclass

import numpy as np

from mnist_exp.data import pixels
from mnist_exp.data.lazy import Array, Examples, chunks
from mnist_exp.data.pixels import BYTES, Range


@dataclass(frozen=True)
class Scaling:
    """What the first layer of a model does to raw values.

    Args:
        range: the raw values of black and white, which become 0 and 1; None where the values are no pixels.
        mean: float64 (features,), subtracted from the last axis; None where nothing is learned: pixels are scaled by
            their range then, and other values stay as they are.
        variance: float64 (features,), by whose root they are divided then; 1 for a feature that never changes.
    """

    range: Range | None = BYTES
    mean: Array | None = None
    variance: Array | None = None

    @property
    def pixels(self) -> bool:
        """Whether the raw values are pixels."""
        return self.range is not None


def words(range_: Range | None, standardize: bool) -> str:
    """Return what is done to raw values, for people; nothing of the usual, pixels of 0 to 255."""
    if standardize:
        return "standardized"
    if range_ is None:
        return "as they are"
    return "" if range_ == BYTES else f"pixels of {pixels.words(range_)}"


PIXELS = Scaling()


def standardized(x: Examples, range_: Range | None) -> Scaling:
    """Return the scaling that gives each feature, along the last axis, mean 0 and variance 1 on these examples.

    Args:
        x: the training examples, (n, …, features); read once, some at a time.
        range_: of the pixels; None if they are none.
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
    return Scaling(range_, mean, variance)
