"""Mixing: training examples that are made of two, with labels that are made of both, in numbers alone.

Keras has layers of these names, `MixUp` and `CutMix`. Within a model they mix the images and not the labels; the labels
of `CutMix` are 0.012 off what is seen on images of 28×28, on average, and 0.055 on 8×8 (Keras 3.15.1); and their random
states would be ahead of the training where batches are read ahead. Here all is drawn from numbers that a step of the
training is known by, so that a resumed training sees the same.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Mixing(ABC):
    """A way to make an example of two.

    Args:
        alpha: both parameters of the beta distribution that shares are drawn from: near 0 one of the two is nearly all
            of it, 1 makes all shares alike, more brings them near a half.
    """

    alpha: float
    is_of_areas: ClassVar[bool] = False

    def mix(
        self,
        rng: np.random.Generator,
        x: Array,
        labels: Array,
        weights: Array | None = None,
        *,
        are_numbers: bool = False,
    ) -> tuple[Array, ...]:
        """Return a batch in which each example is mixed with another one, or with itself.

        Args:
            rng: decides which, and the shares.
            x: examples (n, …).
            labels: float32 (n, outputs).
            weights: how much each example counts in the loss, float32 (n,).
            are_numbers: whether the labels are numbers to predict, and not classes or labels of which there are shares.
        Returns: examples, labels and, if given, weights. Of classes and labels each counts by its own weight: a loss
            that is linear in them, as the cross-entropy is, is then the sum of what both would add. Numbers are mixed
            as the examples are.
        """
        partner = rng.permutation(len(x))
        mixed, share = self._mixed(rng, x, partner)
        one, other = share[:, np.newaxis], (1 - share)[:, np.newaxis]
        mean = one * labels + other * labels[partner]
        if weights is None:
            return mixed, mean
        one, other = one * weights[:, np.newaxis], other * weights[partner, np.newaxis]
        total = one + other
        if are_numbers:
            return mixed, mean, total[:, 0]
        both = one * labels + other * labels[partner]
        return mixed, np.where(total > 0, both / np.where(total > 0, total, 1), labels), total[:, 0]

    @abstractmethod
    def _mixed(self, rng: np.random.Generator, x: Array, partner: Array) -> tuple[Array, Array]:
        """Return mixed examples, and the share that each keeps of itself, float32 (n,)."""

    def _shares(self, rng: np.random.Generator, count: int) -> Array:
        return rng.beta(self.alpha, self.alpha, count).astype(np.float32)


class Mixup(Mixing):
    """The mean of two examples, weighted by their shares.

    Source: Zhang, Cisse, Dauphin & Lopez-Paz 2018, arXiv:1710.09412, equation 2.
    """

    def _mixed(self, rng: np.random.Generator, x: Array, partner: Array) -> tuple[Array, Array]:
        share = self._shares(rng, len(x))
        own = share.reshape(-1, *(1,) * (x.ndim - 1))
        return own * x + (1 - own) * x[partner], share


class Cutmix(Mixing):
    """An image with a rectangle of another one; its share is that of the pixels which the rectangle leaves.

    Source: Yun, Han, Oh, Chun, Choe & Yoo 2019, arXiv:1905.04899, section 3.1: the centre of the rectangle is anywhere
        in the image, and what is outside is cut off.
    """

    is_of_areas: ClassVar[bool] = True

    def _mixed(self, rng: np.random.Generator, x: Array, partner: Array) -> tuple[Array, Array]:
        count, height, width = x.shape[:3]
        side = np.sqrt(1 - self._shares(rng, count))
        rows, columns = (self._between(rng, side, length) for length in (height, width))
        inside = (rows[:, :, np.newaxis] & columns[:, np.newaxis, :])[..., np.newaxis]
        area = rows.sum(axis=1) * columns.sum(axis=1)
        return np.where(inside, x[partner], x), (1 - area / (height * width)).astype(np.float32)

    @staticmethod
    def _between(rng: np.random.Generator, side: Array, length: int) -> Array:
        """Return which rows, or columns, each rectangle has, bool (n, length)."""
        wide = np.rint(side * length).astype(np.int64)[:, np.newaxis]
        first = rng.integers(0, length, len(side))[:, np.newaxis] - wide // 2
        places = np.arange(length)
        inside: Array = (places >= first) & (places < first + wide)
        return inside
