"""Test a trained model: its predictions for a set of images, and all metrics of them."""

import keras
import numpy as np

from mnist_exp import metrics
from mnist_exp.evaluation.metrics import shortest
from mnist_exp.tasks.task import Array, Task
from mnist_exp.training import loss as losses
from mnist_exp.training.predict import predict_raw
from mnist_exp.training.scores import Scores

_TINY = np.finfo(np.float32).tiny
_RUNNING = {"accuracy": metrics.accuracy, "mae": metrics.mae}


def test(
    model: keras.Model,
    twin: keras.Model | None,
    loss: keras.losses.Loss,
    task: Task,
    scores: Scores,
    x: Array,
    y: Array,
) -> tuple[Array, dict[str, float]]:
    """Return the predictions of a model, float32 (n, outputs), and each metric of them by its name.

    Args:
        model: returns predictions.
        twin: of the same weights, returns what comes before them; None where there is none.
        loss: takes what the twin returns; without one, predictions.
        task: what was learnt.
        scores: the metrics beside the loss and the running one.
        x: raw pixels.
        y: prepared labels.
    """
    outputs, raw = predict_raw(model, twin, task.activation, x)
    return outputs, measured(outputs, raw, loss, task, scores, y)


def measured(
    outputs: Array, raw: Array, loss: keras.losses.Loss, task: Task, scores: Scores, y: Array
) -> dict[str, float]:
    """Return each metric of predictions by its name, the loss and the running one first.

    Args:
        outputs: predictions, float32 (n, outputs).
        raw: what comes before them; the same array where that is not known.
        loss: takes `raw`.
        task: what was learnt.
        scores: the metrics beside these two.
        y: prepared labels.
    """
    is_plain = type(loss) is keras.losses.SparseCategoricalCrossentropy
    mean = _crossentropy(outputs, raw, y) if is_plain else losses.mean(loss, task.targets(y), raw)
    return {"loss": shortest(mean), task.running: _RUNNING[task.running](y, outputs), **scores.of(y, outputs)}


def _crossentropy(probabilities: Array, raw: Array, y: Array) -> float:
    """Return the mean cross-entropy, in float64: of probabilities, and of logits where those are rounded to 0."""
    rows = np.arange(len(y))
    true = probabilities[rows, y].astype(np.float64)
    each = -np.log(np.maximum(true, _TINY))
    lost = np.flatnonzero(true < _TINY)
    if lost.size and raw is not probabilities:
        logits = raw[lost].astype(np.float64)
        highest = logits.max(axis=1, keepdims=True)
        each[lost] = (
            highest[:, 0] + np.log(np.exp(logits - highest).sum(axis=1)) - logits[np.arange(len(lost)), y[lost]]
        )
    return float(each.mean())
