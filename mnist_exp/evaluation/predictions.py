"""What a run read on the test set, image by image: so that two runs can be compared without their models."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnist_exp.data.dataset import Array
from mnist_exp.errors import SettingsError, first_line

FILE = "test_predictions.csv"
LARGEST = 50_000_000  # bytes


@dataclass(frozen=True)
class Predictions:
    """What was read, in the order of the data set.

    Args:
        labels: int64 (n,), what is true.
        predicted: int64 (n,).
        probability: float64 (n,), of what was predicted.
    """

    labels: Array
    predicted: Array
    probability: Array

    def write(self, file: Path) -> None:
        """Write a table that `parse` reads, probabilities to six digits."""
        table = np.column_stack([self.labels, self.predicted, self.probability])
        head = "label,predicted,probability"
        np.savetxt(file, table, fmt=("%d", "%d", "%.6f"), delimiter=",", header=head, comments="")


def of(probabilities: Array, labels: Array) -> Predictions:
    """Return what probabilities, shape (n, classes), say of images with these labels, shape (n,)."""
    return Predictions(labels, probabilities.argmax(axis=1), probabilities.max(axis=1).astype(np.float64))


def parse(text: str, what: str) -> Predictions:
    """Return the predictions of a table that may come from someone else.

    Args:
        text: of the file.
        what: it is called in an error.
    Raises: SettingsError: it is not what `write` writes.
    """
    try:
        label, predicted, probability = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, ndmin=2).T
    except (ValueError, UserWarning) as error:
        raise SettingsError(f"{what} cannot be read: {first_line(error)}") from error
    if not (np.isfinite([label, predicted, probability]).all() and min(label.min(), predicted.min()) >= 0):
        raise SettingsError(f"{what} holds what are no labels and probabilities")
    return Predictions(label.astype(np.int64), predicted.astype(np.int64), probability)
