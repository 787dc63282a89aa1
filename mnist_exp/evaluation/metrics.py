"""Metrics of a classifier on labelled images: accuracy with its interval, scores per class, calibration, mistakes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BINS = 15
LEVEL = 0.95
RESAMPLES = 5000
MISTAKES = 25
_SEED = 0
_FEWEST = 10  # mistakes, or correct predictions, below which the bootstrap is not used
_NUMBERS_AT_A_TIME = 10_000_000  # limits the memory that the bootstrap takes


@dataclass(frozen=True)
class Interval:
    """Confidence interval of an accuracy.

    Args:
        low: lower end, in [0, 1].
        high: upper end, in [0, 1].
        method: name of the method, for people.
        level: share of such intervals that contain the true accuracy.
    """

    low: float
    high: float
    method: str
    level: float = LEVEL


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability diagram: the images whose confidence lies in (low, high].

    The confidence of a prediction is the highest of its probabilities.

    Args:
        low: lower end of the bin.
        high: upper end of the bin.
        images: number of images in the bin.
        confidence: mean confidence; None if the bin is empty.
        accuracy: share of correct predictions; None if the bin is empty.
    """

    low: float
    high: float
    images: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class ClassScore:
    """The scores of one class.

    Args:
        name: name of the class.
        precision: share of the predictions of this class that are correct; None if it was never predicted.
        recall: share of the images of this class that were predicted as it; None if it has no images.
        f1: harmonic mean of precision and recall; None if both are None.
        images: number of images of this class.
        taken_for: the wrong class that was predicted most often for it; None if there was no mistake.
        times: how often that wrong class was predicted.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    images: int
    taken_for: str | None
    times: int


@dataclass(frozen=True)
class Mistake:
    """One wrong prediction.

    Args:
        image: position of the image among those evaluated, from 0.
        is_class: name of its true class.
        read_as: name of the predicted class.
        probability: probability of the predicted class.
    """

    image: int
    is_class: str
    read_as: str
    probability: float


@dataclass(frozen=True)
class Evaluation:
    """All metrics of one model on one set of images.

    Args:
        images: number of images.
        loss: mean cross-entropy.
        accuracy: share of correct predictions.
        interval: confidence interval of the accuracy.
        ece: expected calibration error.
        confidence: mean probability of the predicted classes.
        bins: the bins of the reliability diagram.
        classes: the scores of each class, in the order of the labels.
        confusion: number of images by true class (rows) and predicted class (columns).
        mistakes: the wrong predictions with the highest confidence, highest first.
    """

    images: int
    loss: float
    accuracy: float
    interval: Interval
    ece: float
    confidence: float
    bins: list[Bin]
    classes: list[ClassScore]
    confusion: list[list[int]]
    mistakes: list[Mistake]


def measure(probabilities: Array, labels: Array, names: Sequence[str], loss: float) -> Evaluation:
    """Return all metrics of a model's predictions. Imports scipy and scikit-learn.

    Args:
        probabilities: the model's output, float32 (n, classes).
        labels: true classes, integers from 0, shape (n,).
        names: one name per class.
        loss: mean cross-entropy, computed as in training.
    """
    predicted = probabilities.argmax(axis=1)
    right, confidence = predicted == labels, probabilities.max(axis=1).astype(np.float64)
    bins = reliability(confidence, right)
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    wrong = np.flatnonzero(~right)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    return Evaluation(
        images=len(labels),
        loss=loss,
        accuracy=float(right.mean()),
        interval=accuracy_interval(right),
        ece=calibration_error(bins),
        confidence=float(confidence.mean()),
        bins=bins,
        classes=_classes(labels, predicted, confusion, names),
        confusion=confusion.tolist(),
        mistakes=[Mistake(int(i), names[labels[i]], names[predicted[i]], float(confidence[i])) for i in surest],
    )


def accuracy_interval(right: Array) -> Interval:
    """Return the 95 % confidence interval of an accuracy, by the bootstrap with a fixed seed.

    With fewer than 10 mistakes (or fewer than 10 correct predictions) the resamples hardly vary, and a bootstrap
    interval would be too narrow. The exact binomial interval is returned in that case.

    Args:
        right: whether each prediction is correct, bool (n,).
    Source: Efron & Tibshirani 1993, chapter 13 (percentile); Clopper & Pearson 1934.
    """
    from scipy import stats

    count, n = int(right.sum()), len(right)
    if min(count, n - count) < _FEWEST:
        exact = stats.binomtest(count, n).proportion_ci(LEVEL, method="exact")
        return Interval(float(exact.low), float(exact.high), "exact binomial")
    return mean_interval(right.astype(np.float64))


def mean_interval(values: Array) -> Interval:
    """Return the 95 % confidence interval of a mean, by the bootstrap with a fixed seed.

    Args:
        values: float64 (n,).
    Source: Efron & Tibshirani 1993, chapter 13 (percentile).
    """
    from scipy import stats

    if np.ptp(values) == 0:  # Of one image, or of equal values, scipy gives NaN.
        return Interval(float(values[0]), float(values[0]), "all values are equal")
    bootstrapped = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(_NUMBERS_AT_A_TIME // len(values), 1),
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return Interval(float(bootstrapped.low), float(bootstrapped.high), f"bootstrap, {RESAMPLES:,} resamples")


def reliability(confidence: Array, right: Array, bins: int = BINS) -> list[Bin]:
    """Return mean confidence and accuracy in bins of equal width.

    Args:
        confidence: probability of the predicted class, in (0, 1], shape (n,).
        right: whether each prediction is correct, bool (n,).
        bins: number of bins.
    Source: Guo, Pleiss, Sun & Weinberger 2017, arXiv:1706.04599, section 2.
    """
    edges = np.linspace(0, 1, bins + 1)
    bin_of_image = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(bin_of_image, minlength=bins)
    confidence_sums = np.bincount(bin_of_image, weights=confidence, minlength=bins)
    right_sums = np.bincount(bin_of_image, weights=right, minlength=bins)
    return [
        Bin(
            float(edges[i]),
            float(edges[i + 1]),
            int(counts[i]),
            float(confidence_sums[i] / counts[i]) if counts[i] else None,
            float(right_sums[i] / counts[i]) if counts[i] else None,
        )
        for i in range(bins)
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return the expected calibration error: the gap between confidence and accuracy, averaged over the images.

    Source: Naeini, Cooper & Hauskrecht 2015, AAAI, "Obtaining well calibrated probabilities using Bayesian binning".
    """
    total = sum(each.images for each in bins)
    return sum(
        each.images / total * abs(each.confidence - each.accuracy)
        for each in bins
        if each.confidence is not None and each.accuracy is not None
    )


def shortest(value: Any) -> float:
    """Return a float32 as the shortest decimal that is the same float32: 0.9763, not 0.9763000011444092."""
    return float(str(np.float32(value)))


def _classes(labels: Array, predicted: Array, confusion: Array, names: Sequence[str]) -> list[ClassScore]:
    from sklearn.metrics import precision_recall_fscore_support

    every = np.arange(len(names))
    scores = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=np.nan)
    others = confusion.copy()
    np.fill_diagonal(others, 0)
    rows = []
    for label, (precision, recall, f1, images) in enumerate(zip(*scores, strict=True)):
        worst = int(others[label].argmax())
        times = int(others[label, worst])
        taken_for = names[worst] if times else None
        rows.append(
            ClassScore(names[label], _number(precision), _number(recall), _number(f1), int(images), taken_for, times)
        )
    return rows


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
