"""The predictions of a run on the test set, one row per image.

With this file two runs can be compared without loading their models.
"""

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
    """Predictions for n images, in the order of the data set.

    Args:
        labels: true classes, int64 (n,).
        predicted: predicted classes, int64 (n,).
        probability: probability of the predicted class, float64 (n,).
    """

    labels: Array
    predicted: Array
    probability: Array

    def write(self, file: Path) -> None:
        """Write a CSV table that `parse` reads; probabilities have all digits of a float32."""
        table = np.column_stack([self.labels, self.predicted, self.probability])
        head = "label,predicted,probability"
        np.savetxt(file, table, fmt=("%d", "%d", "%.9g"), delimiter=",", header=head, comments="")


def of(probabilities: Array, labels: Array) -> Predictions:
    """Return the predictions that follow from a model's output.

    Args:
        probabilities: the model's output, shape (n, classes).
        labels: true classes, integers from 0, shape (n,).
    """
    return Predictions(labels, probabilities.argmax(axis=1), probabilities.max(axis=1).astype(np.float64))


def parse(text: str, what: str) -> Predictions:
    """Return the predictions of a CSV table. The table may come from another user, so everything is checked.

    Args:
        text: content of the file.
        what: how an error names the file.
    Raises: SettingsError: the text is not a table as `Predictions.write` writes it.
    """
    try:
        label, predicted, probability = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, ndmin=2).T
    except (ValueError, UserWarning) as error:
        raise SettingsError(f"{what} cannot be read: {first_line(error)}") from error
    if not (np.isfinite([label, predicted, probability]).all() and min(label.min(), predicted.min()) >= 0):
        raise SettingsError(f"{what} has values that are not labels or probabilities")
    return Predictions(label.astype(np.int64), predicted.astype(np.int64), probability)
