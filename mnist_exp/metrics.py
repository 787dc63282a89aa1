"""Metrics: functions from labels and a model's outputs to one number, as scikit-learn defines it.

The signature of a function is the schema of a metric in the group `metrics`. Each gets, as the runner has them for
all images of a set:

- classes: labels int64 (n,) from 0, outputs are probabilities (n, classes); with two classes also (n, 1), that of
  class 1;
- multilabel: labels float32 (n, labels) of 0 and 1, outputs are probabilities (n, labels);
- numbers: labels float32 (n, numbers), outputs (n, numbers).

A metric of a user's own has these two arguments too, and may have options. What is not defined, as the area under a
curve of one class alone, is NaN.
"""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from mnist_exp.config.fields import Count

Array = npt.NDArray[Any]


def accuracy(labels: Array, outputs: Array) -> float:
    """Return the share of correct predictions; of several labels, that of all labels of all images."""
    return float((_predicted(labels, outputs, "accuracy") == labels).mean())


def exact_match(labels: Array, outputs: Array) -> float:
    """Return the share of images of which every label is right (scikit-learn's accuracy of several labels)."""
    right = _predicted(labels, outputs, "exact_match") == labels
    return float(right.reshape(len(right), -1).all(axis=1).mean())


def macro_f1(labels: Array, outputs: Array) -> float:
    """Return the mean of the F1 of each class.

    A class that neither occurs nor is predicted is left out, as scikit-learn does: it has no F1.
    """
    from sklearn.metrics import f1_score

    predicted = _predicted(labels, outputs, "macro_f1")
    if labels.ndim == 1:
        return float(f1_score(labels, predicted, average="macro", zero_division=0))
    return _mean_of_labels(f1_score, labels, predicted, np.nan)


def balanced_accuracy(labels: Array, outputs: Array) -> float:
    """Return the mean of the recall of each class that occurs."""
    predicted = _predicted(labels, outputs, "balanced_accuracy")
    if labels.ndim == 1:
        return float(np.mean([(predicted[labels == label] == label).mean() for label in np.unique(labels)]))
    return float(
        np.mean([balanced_accuracy(labels[:, i].astype(int), outputs[:, [i]]) for i in range(labels.shape[1])])
    )


def mcc(labels: Array, outputs: Array) -> float:
    """Return Matthews's correlation coefficient, -1 to 1; of several labels, the mean over them.

    It is 0 where all labels, or all predictions, are of one class.
    Source: Gorodkin 2004, Computational Biology and Chemistry 28, 367–374.
    """
    from sklearn.metrics import matthews_corrcoef

    predicted = _predicted(labels, outputs, "mcc")
    if labels.ndim == 1:
        return _quiet(matthews_corrcoef, labels, predicted)
    return float(np.mean([_quiet(matthews_corrcoef, labels[:, i], predicted[:, i]) for i in range(labels.shape[1])]))


def precision(labels: Array, outputs: Array) -> float:
    """Return the share of a class's predictions that are right, the mean over the classes; 0 for one never predicted.

    Of two classes with one probability (task=binary) it is that of class 1.
    """
    from sklearn.metrics import precision_score

    predicted = _predicted(labels, outputs, "precision")
    if labels.ndim == 2:
        return _mean_of_labels(precision_score, labels, predicted, 0)
    average = "binary" if outputs.shape[-1] == 1 else "macro"
    return float(precision_score(labels, predicted, average=average, zero_division=0))


def recall(labels: Array, outputs: Array) -> float:
    """Return the share of a class's images that are found, the mean over the classes; 0 for one without images.

    Of two classes with one probability (task=binary) it is that of class 1.
    """
    from sklearn.metrics import recall_score

    predicted = _predicted(labels, outputs, "recall")
    if labels.ndim == 2:
        return _mean_of_labels(recall_score, labels, predicted, 0)
    average = "binary" if outputs.shape[-1] == 1 else "macro"
    return float(recall_score(labels, predicted, average=average, zero_division=0))


def top_k_accuracy(labels: Array, outputs: Array, *, k: Count = 5) -> float:
    """Return the share of images whose class is among the most probable ones.

    Of classes with equal probability, those that come later count as more probable: all must not be right at once.

    Args:
        labels: classes.
        outputs: probabilities.
        k: how many classes; at most their number.
    """
    if labels.ndim != 1 or labels.dtype.kind == "f" or outputs.shape[-1] < 2:
        raise ValueError("top_k_accuracy is for one of several classes: leave it out, with null for the metric")
    if k > outputs.shape[1]:
        raise ValueError(f"k={k} is more than the {outputs.shape[1]} classes: take fewer, or null for the metric")
    best = np.argsort(outputs, axis=1, kind="stable")[:, -k:]
    return float((best == labels[:, np.newaxis]).any(axis=1).mean())


def auc(labels: Array, outputs: Array) -> float:
    """Return the exact area under the ROC curve; of more than two classes, the mean of each one against the rest.

    Only classes that some, but not all images have are counted; NaN where there is none.
    Source: Hand & Till 2001, Machine Learning 45, 171–186, for one class against the rest.
    """
    from sklearn.metrics import roc_auc_score

    _refuse_numbers(labels, "auc")
    if labels.ndim == 1 and outputs.shape[1] == 1:
        is_there = labels[:, np.newaxis] == 1
    elif labels.ndim == 1 and outputs.shape[1] == 2:  # Both classes have the same area.
        is_there, outputs = labels[:, np.newaxis] == 1, outputs[:, 1:]
    else:
        is_there = labels[:, np.newaxis] == np.arange(outputs.shape[1]) if labels.ndim == 1 else labels > 0
    counted = [i for i in range(is_there.shape[1]) if 0 < is_there[:, i].sum() < len(labels)]
    if not counted:
        return float("nan")
    return float(np.mean([roc_auc_score(is_there[:, i], outputs[:, i]) for i in counted]))


def mae(labels: Array, outputs: Array) -> float:
    """Return the mean absolute error, in the unit of the target."""
    return float(np.abs(_errors(labels, outputs, "mae")).mean())


def rmse(labels: Array, outputs: Array) -> float:
    """Return the root of the mean squared error, in the unit of the target; of several numbers, the mean over them."""
    return float(np.sqrt((_errors(labels, outputs, "rmse") ** 2).mean(axis=0)).mean())


def r2(labels: Array, outputs: Array) -> float:
    """Return the coefficient of determination, the mean over several numbers; NaN for fewer than two images."""
    from sklearn.metrics import r2_score

    _errors(labels, outputs, "r2")
    return _quiet(r2_score, labels.astype(np.float64), outputs.astype(np.float64))


def _predicted(labels: Array, outputs: Array, name: str) -> Array:
    """Return the predicted classes (n,), or labels (n, labels) of 0 and 1."""
    _refuse_numbers(labels, name)
    if labels.ndim == 2:
        return (outputs > 0.5).astype(labels.dtype)
    predicted: Array = (outputs[:, 0] > 0.5).astype(np.int64) if outputs.shape[1] == 1 else outputs.argmax(axis=1)
    return predicted


def _mean_of_labels(score: Any, labels: Array, predicted: Array, undefined: float) -> float:
    """Return the mean of a score over the labels, without those that have none; NaN where all have none."""
    # One by one: of a single column scikit-learn takes both values for classes.
    each = [score(labels[:, i], predicted[:, i], zero_division=undefined) for i in range(labels.shape[1])]
    return float("nan") if np.isnan(each).all() else float(np.nanmean(each))


def _refuse_numbers(labels: Array, name: str) -> None:
    if labels.ndim == 2 and not np.isin(labels, (0, 1)).all():
        raise ValueError(f"{name} is for classes and labels; for numbers there are mae, rmse and r2")


def _errors(labels: Array, outputs: Array, name: str) -> Array:
    if labels.ndim != 2:
        raise ValueError(f"{name} is for numbers; for classes there are accuracy, macro_f1 and others")
    return outputs.astype(np.float64) - labels


def _quiet(function: Any, *arguments: Any) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # That it is not defined, which its value says too.
        return float(function(*arguments))
