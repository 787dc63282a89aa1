"""The predictions of a run on the test set, one row per image.

With this file two runs can be compared without loading their models.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mnist_exp.errors import SettingsError, first_line, printable

Array = npt.NDArray[Any]
FILE = "test_predictions.csv"
LARGEST = 50_000_000  # bytes
_OF_CLASSES = ["label", "predicted", "probability"]


@dataclass(frozen=True)
class Predictions:
    """Predictions for n images, in the order of the data set.

    Args:
        labels: true classes, int64 (n,); or float64 (n, columns): labels of 0 and 1, or numbers.
        predicted: predicted classes, int64 (n,), or float64 (n, columns).
        probability: probability of the predicted class, float64 (n,), or that of each label, (n, columns); None for
            numbers.
        names: of the columns; empty for classes.
    """

    labels: Array
    predicted: Array
    probability: Array | None
    names: tuple[str, ...] = ()

    @classmethod
    def of_classes(cls, probabilities: Array, labels: Array) -> "Predictions":
        """Return the predictions that follow from the probabilities of classes.

        Args:
            probabilities: shape (n, classes).
            labels: true classes, integers from 0, shape (n,).
        """
        return cls(labels, probabilities.argmax(axis=1), probabilities.max(axis=1).astype(np.float64))

    @classmethod
    def of_columns(
        cls, labels: Array, outputs: Array, names: Sequence[str], what: Literal["probability", "predicted"]
    ) -> "Predictions":
        """Return the predictions of several labels, or of numbers.

        Args:
            labels: the true ones, shape (n, columns).
            outputs: probabilities of labels, or predicted numbers, shape (n, columns).
            names: one for each column.
            what: what the outputs are.
        """
        values = outputs.astype(np.float64)
        if what == "predicted":
            return cls(labels, values, None, tuple(names))
        return cls(labels, (values > 0.5).astype(np.float64), values, tuple(names))

    @property
    def is_right(self) -> Array | None:
        """Whether each prediction is right, of several labels all of them, bool (n,); None for numbers."""
        if self.probability is None:
            return None
        right = np.asarray(self.predicted == self.labels)
        return np.asarray(right.reshape(len(right), -1).all(axis=1))

    def write(self, file: Path) -> None:
        """Write a CSV table that `parse` reads; numbers have all digits of a float32."""
        if not self.names:
            assert self.probability is not None
            table = [self.labels, self.predicted, self.probability]
            head, formats = _OF_CLASSES, ["%d", "%d", "%.9g"]
        else:
            shown, what = self.predicted, "predicted"
            if self.probability is not None:
                shown, what = self.probability, "probability"
            table = [each[:, i] for i in range(len(self.names)) for each in (self.labels, shown)]
            head = [text for name in self.names for text in (printable(name), f"{printable(name)} {what}")]
            formats = ["%.9g"] * len(table)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(head)
        # As `numpy.savetxt` writes it, in a third of the time.
        row = ",".join(formats) + "\n"
        text.writelines(row % tuple(values) for values in np.column_stack(table).tolist())
        file.write_text(text.getvalue(), encoding="utf-8")


def parse(text: str, what: str) -> Predictions:
    """Return the predictions of a CSV table. The table may come from another user, so everything is checked.

    Args:
        text: content of the file.
        what: how an error names the file.
    Raises: SettingsError: the text is not a table as `Predictions.write` writes it.
    """
    try:
        head = next(csv.reader(io.StringIO(text)), [])
        columns = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, ndmin=2).T
        if len(head) != len(columns):
            raise ValueError(f"{len(columns)} columns, with {len(head)} names")
        if head != _OF_CLASSES and len(columns) % 2:
            raise ValueError("a column has no partner")
    except (ValueError, UserWarning, csv.Error) as error:
        raise SettingsError(f"{what} cannot be read: {first_line(error)}") from error
    if not np.isfinite(columns).all():
        raise SettingsError(f"{what} has values that are not finite")
    if head == _OF_CLASSES:
        label, predicted, probability = columns
        if min(label.min(), predicted.min()) < 0:
            raise SettingsError(f"{what} has values that are not labels or probabilities")
        return Predictions(label.astype(np.int64), predicted.astype(np.int64), probability)
    is_labels = head[1].endswith(" probability")
    return Predictions.of_columns(
        columns[::2].T, columns[1::2].T, head[::2], "probability" if is_labels else "predicted"
    )
