"""How good a classifier is on labelled images: accuracy and how sure that is, each class, calibration, mistakes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnist_exp.data.dataset import Array

BINS = 15
LEVEL = 0.95
RESAMPLES = 5000
MISTAKES = 25
_SEED = 0
_FEWEST = 10
_NUMBERS_AT_A_TIME = 10_000_000


@dataclass(frozen=True)
class Interval:
    """Where the accuracy on all such images lies, as far as these tell.

    Args:
        low: of the accuracy.
        high: of the accuracy.
        method: by which it was found.
        level: share of such intervals that hold the true accuracy.
    """

    low: float
    high: float
    method: str
    level: float = LEVEL


@dataclass(frozen=True)
class Bin:
    """The images of which the model was about as sure.

    Args:
        low: confidence above which they lie.
        high: confidence up to which they lie.
        images: how many.
        confidence: their mean; None where there is none.
        accuracy: share of them that is right; None where there is none.
    """

    low: float
    high: float
    images: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class ClassScore:
    """How one class is read.

    Args:
        name: of the class.
        precision: share of what was read as it that is it; None where nothing was.
        recall: share of it that was read as it; None where no image is.
        f1: harmonic mean of both; None where there is neither.
        images: of it.
        taken_for: class that it was taken for most often; None where it never was for another.
        times: how often that was.
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
    """One wrongly read image: its number among those evaluated, what it is, what was read, and how surely."""

    image: int
    is_class: str
    read_as: str
    probability: float


@dataclass(frozen=True)
class Evaluation:
    """All measures of one model on one set of images.

    Args:
        images: how many.
        loss: mean cross-entropy.
        accuracy: share that is right.
        interval: of the accuracy.
        ece: expected calibration error.
        confidence: mean probability of what was read.
        bins: that make the reliability diagram.
        classes: one a class, by label.
        confusion: images by true class (rows) and class read (columns).
        mistakes: the surest, surest first.
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
    """Return every measure. Imports scipy and scikit-learn.

    Args:
        probabilities: float32 (n, classes), as the model gives them.
        labels: whole numbers from 0, shape (n,).
        names: one a class.
        loss: mean cross-entropy, as the training computes it.
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
    """Return the 95 % interval of an accuracy by the bootstrap; the same for the same images.

    With fewer than 10 mistakes, or right ones, resamples vary too little, with none not at all, and the interval would
    be too narrow: it is the exact binomial one then.

    Args:
        right: bool (n,), whether each image was read rightly.
    Source: Efron & Tibshirani 1993, chapter 13 (percentile); Clopper & Pearson 1934.
    """
    from scipy import stats

    count, n = int(right.sum()), len(right)
    if min(count, n - count) < _FEWEST:
        exact = stats.binomtest(count, n).proportion_ci(LEVEL, method="exact")
        return Interval(float(exact.low), float(exact.high), "exact binomial")
    found = stats.bootstrap(
        (right.astype(np.float64),),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(_NUMBERS_AT_A_TIME // n, 1),
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return Interval(float(found.low), float(found.high), f"bootstrap, {RESAMPLES:,} resamples")


def reliability(confidence: Array, right: Array, bins: int = BINS) -> list[Bin]:
    """Return confidence and accuracy in bins of equal width, each with its upper end.

    Args:
        confidence: (n,), probability of what was read, in (0, 1].
        right: bool (n,), whether that is true.
        bins: how many.
    Source: Guo, Pleiss, Sun & Weinberger 2017, arXiv:1706.04599, section 2.
    """
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    sure, true = (np.bincount(place, weights=values, minlength=bins) for values in (confidence, right))
    return [
        Bin(
            float(edges[i]),
            float(edges[i + 1]),
            int(counts[i]),
            float(sure[i] / counts[i]) if counts[i] else None,
            float(true[i] / counts[i]) if counts[i] else None,
        )
        for i in range(bins)
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return the expected calibration error: the mean gap between confidence and accuracy, weighted by images.

    Source: Naeini, Cooper & Hauskrecht 2015, AAAI, "Obtaining well calibrated probabilities using Bayesian binning".
    """
    total = sum(each.images for each in bins)
    return sum(
        each.images / total * abs(each.confidence - each.accuracy)
        for each in bins
        if each.confidence is not None and each.accuracy is not None
    )


def score(probabilities: Array, labels: Array) -> dict[str, float]:
    """Return mean cross-entropy and accuracy.

    Args:
        probabilities: shape (n, classes).
        labels: shape (n,).
    """
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    loss = -np.log(np.maximum(true, np.finfo(np.float32).tiny)).mean()
    return {"loss": shortest(loss), "accuracy": float((probabilities.argmax(axis=1) == labels).mean())}


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
