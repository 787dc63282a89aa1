"""The task that the labels say."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mnist_exp.errors import DataError
from mnist_exp.tasks.classification import Classification
from mnist_exp.tasks.multilabel import Multilabel
from mnist_exp.tasks.regression import Regression
from mnist_exp.tasks.task import Array, Task


class Auto(Classification):
    """Becomes another task as soon as there are labels; before, it answers as a classification does."""

    name = "auto"

    def objectives(self, metrics: Mapping[str, Any]) -> list[str]:
        """Return the names that `objective` may have for any task: which one it is, only the data tell."""
        kinds = (Classification(), Multilabel(), Regression())
        return list(dict.fromkeys(name for kind in kinds for name in kind.objectives(metrics)))

    def resolve(self, y_train: Array, class_names: Sequence[str] | None) -> Task:
        """Return the task that labels are for.

        Raises: DataError: they may be for several.
        """
        if y_train.dtype.kind == "f" and not _may_be_labels(y_train):
            return Regression()
        if y_train.dtype.kind == "f" and not _is_zero_or_one_in_columns(y_train):
            raise DataError(
                f"y_train holds {y_train.dtype} values that are all whole numbers: say task=regression if they are "
                "numbers, and task=classification if they stand for classes"
            )
        # Rows with a single 1 each are one-hot labels, more likely than several labels that never meet.
        if _is_zero_or_one_in_columns(y_train) and not (y_train.sum(axis=1) == 1).all():
            return Multilabel()
        return Classification()


def _may_be_labels(y: Array) -> bool:
    return bool((y == np.round(y)).all())


def _is_zero_or_one_in_columns(y: Array) -> bool:
    return y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind in "iubf" and bool(np.isin(y, (0, 1)).all())
