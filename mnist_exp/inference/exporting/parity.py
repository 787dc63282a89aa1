"""Whether two runtimes agree on the same images, and how long they take."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnist_exp.data.dataset import Array
from mnist_exp.data.lazy import Examples
from mnist_exp.inference.exporting.formats import Reader
from mnist_exp.tasks.task import Task

BATCH = 200
_PARITY_BATCH = 500
_REPEATS = 50
_LONGEST_S = 2.0  # of timing one thing


@dataclass(frozen=True)
class Parity:
    """How well two runtimes agree on the same images.

    Args:
        images: how many.
        agreeing: for how many the prediction is the same class, the same labels, or the same number.
        ties: how many of the others are none, as the two highest probabilities are closer than the tolerance.
        difference: the largest of any probability, or number.
        tolerance: up to which they agree.
    """

    images: int
    agreeing: int
    ties: int
    difference: float
    tolerance: float

    @property
    def is_kept(self) -> bool:
        """Whether they agree."""
        return self.agreeing + self.ties == self.images and self.difference <= self.tolerance


def compare(reference: Array, exported: Array, task: Task, tolerance: float) -> Parity:
    """Compare predictions for the same images, both of shape (n, outputs).

    Those of numbers are compared in the unit of the largest of them, if that is above 1.
    """
    far = np.abs(reference.astype(np.float64) - exported).max(axis=1)
    if task.activation == "linear":
        far = far / max(float(np.abs(reference).max()), 1.0)
        differs, is_tie = far > tolerance, np.zeros(len(far), bool)
    elif task.activation == "sigmoid":
        changed = (reference > 0.5) != (exported > 0.5)
        differs = changed.any(axis=1)
        is_tie = differs & (~changed | (np.abs(reference - 0.5) < tolerance)).all(axis=1)
    else:
        differs = reference.argmax(axis=1) != exported.argmax(axis=1)
        highest = np.sort(reference, axis=1)[:, -2:].astype(np.float64)
        is_tie = differs & (highest[:, 1] - highest[:, 0] < tolerance)
    difference = float(far.max())
    return Parity(len(reference), int((~differs).sum()), int(is_tie.sum()), difference, tolerance)


def read_all(reader: Reader, x: Examples, at_a_time: int = _PARITY_BATCH) -> Array:
    """Return what a runtime says of images, so many at a time: (n, outputs)."""
    step = max(_PARITY_BATCH // at_a_time, 1) * at_a_time
    found = []
    for start in range(0, len(x), step):
        part = np.ascontiguousarray(x[start : start + step], np.float32)
        found += [reader(part[first : first + at_a_time]) for first in range(0, len(part), at_a_time)]
    return np.concatenate(found)


def latencies_ms(readers: Sequence[Reader], x: Array) -> list[float]:
    """Return the median time that each reader takes for a batch of images at once.

    They take turns, so that other work on the machine disturbs all alike.
    """
    x = np.ascontiguousarray(x, np.float32)
    for reader in [*readers] * 3:
        reader(x)
    times: list[list[float]] = [[] for _ in readers]
    until = time.perf_counter() + _LONGEST_S * len(readers)
    while len(times[-1]) < _REPEATS and (time.perf_counter() < until or len(times[-1]) < 3):
        for reader, taken in zip(readers, times, strict=True):
            began = time.perf_counter()
            reader(x)
            taken.append(time.perf_counter() - began)
    return [float(np.median(taken)) * 1000 for taken in times]
