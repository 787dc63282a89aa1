"""The loss of a training: in one form for all builders, and computed once more, exactly, for a whole set of images."""

import warnings
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mnist_exp.config.components import Component
from mnist_exp.errors import SettingsError, first_line
from mnist_exp.losses import Activation
from mnist_exp.tasks.task import Task

Array = npt.NDArray[Any]
# The loss alone, beside Keras's own `loss`, which holds what regularizers and layers add, or weights of images.
WITHOUT_PENALTY, WITHOUT_WEIGHTS = "loss_without_penalty", "loss_without_weights"
_AT_ONCE = 10_000  # images
# The second one, too, though it is called categorical (Keras 3.15.1).
_OF_WHOLE_NUMBERS = ("Sparse", "CategoricalGeneralizedCrossEntropy")
_MEANS = ("sum_over_batch_size", "mean", "mean_with_sample_weight")


def make(
    component: Component, activation: Activation, outputs: int, *, from_logits: bool, mixed_by: str | None = None
) -> keras.losses.Loss:
    """Return the loss that a configuration names.

    It takes labels as a task's `targets` gives them, classes also as one probability each (n, outputs).

    Args:
        component: the loss.
        activation: of the task.
        outputs: how many numbers the model returns.
        from_logits: whether the model that is trained returns logits.
        mixed_by: the augmentation by which an image has shares of several classes; None if each has one.
    Raises: SettingsError: the builder refuses its arguments, or returns no loss, or none of shares.
    """
    is_mixed = mixed_by is not None
    own = {"activation": activation, "from_logits": from_logits, "outputs": outputs, "is_mixed": is_mixed}
    given = {name: value for name, value in own.items() if component.takes(name)}
    built = component.build(**given)
    if not isinstance(built, keras.losses.Loss):
        kind = type(built).__name__
        raise SettingsError(f"loss: {component.target} must return a keras.losses.Loss, not {kind}")
    if built.reduction not in _MEANS:
        raise SettingsError(
            f"loss.reduction={built.reduction} is not allowed: losses are means over the images, which do not depend "
            "on the batch; to scale the steps there is optimizer.learning_rate"
        )
    takes_logits = "from_logits" in given
    if activation != "softmax":
        return built if takes_logits or not from_logits or activation == "linear" else _OfLabels(built)
    if type(built).__name__.startswith(_OF_WHOLE_NUMBERS):
        if is_mixed:
            raise SettingsError(
                f"loss._target_={component.target} takes one class an image, and augment={mixed_by} makes shares of "
                "several: take loss=crossentropy, or another loss of probabilities"
            )
        return built if takes_logits or not from_logits else _OfProbabilities(built)
    return OfClasses(built, outputs, activates=from_logits and not takes_logits)


def check(
    component: Component,
    loss: keras.losses.Loss,
    task: Task,
    y: Array,
    outputs: int,
    *,
    is_raw: bool,
    mixed_by: str | None = None,
) -> None:
    """Try a loss before the training: it must be computed image by image, and be least where predictions are right.

    Keras takes any loss for anything: `CategoricalCrossentropy` of one output is 0, `BinaryCrossentropy` of numbers has
    its minimum elsewhere, and such trainings end as FINISHED. One of the user's own need not be least there.

    Args:
        component: that names it.
        loss: by `make`.
        task: what is learnt.
        y: prepared labels of some training images.
        outputs: how many numbers the model returns for an image.
        is_raw: whether these come before the task's activation.
        mixed_by: the augmentation by which an image has shares of several classes or labels, which is tried, too.
    Raises: SettingsError: it does not fit the task.
    """
    option = f"loss._target_={component.target} does not fit task={task.name}"
    _try(option, component, loss, *_known_cases(task, y, outputs, is_raw=is_raw))
    if mixed_by is not None and task.activation != "linear":
        _try(f"{option} with augment={mixed_by}", component, loss, *_mixed_cases(task, outputs, is_raw=is_raw))


def _try(
    option: str, component: Component, loss: keras.losses.Loss, targets: Array, right: Array, wrong: list[Array]
) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras's, of one output; that is refused below.
            best = _each(loss, targets, right)
            others = [_each(loss, targets, each) for each in wrong]
    except Exception as error:  # Each backend has its own for shapes that do not fit.
        raise SettingsError(f"{option}: {first_line(error)}") from error
    if best.ndim == 0:
        raise SettingsError(f"{option}: it is one number of a whole batch, so that its mean depends on the batches")
    if np.isnan(best).any():
        raise SettingsError(f"{option}: it is not a number for some of the labels")
    best, *others = (each.reshape(len(right), -1).mean(axis=1) for each in (best, *others))
    is_least = not any((each <= best).any() for each in others)
    if component.target.startswith("keras.") and not is_least:
        raise SettingsError(f"{option}: it is not least where the predictions are right")


def _known_cases(task: Task, y: Array, outputs: int, *, is_raw: bool) -> tuple[Array, Array, list[Array]]:
    """Return targets, right outputs for them, and some wrong ones."""
    if task.activation == "linear":
        right = task.targets(y).astype(np.float32)
        far = np.maximum(np.abs(right).max(axis=0), 1.0) * np.float32(0.5)
        return right, right, [right + far, right - far]
    high, low = (8.0, -8.0) if is_raw else (1 - 1e-3, 1e-3)
    if task.activation == "sigmoid":
        # One label there, none there, all there: a softmax over the labels would not tell the last two apart.
        targets = np.concatenate([np.eye(outputs), np.zeros((1, outputs)), np.ones((1, outputs))]).astype(np.float32)
    else:
        targets = np.eye(outputs, dtype=np.float32)
    right = np.where(targets > 0, high, low).astype(np.float32)
    wrong = np.where(targets > 0, low, high).astype(np.float32)
    if task.activation == "softmax":
        if not is_raw:
            right, wrong = (each / each.sum(axis=1, keepdims=True) for each in (right, wrong))
        return np.arange(outputs), right, [wrong]
    return targets, right, [wrong]


def _mixed_cases(task: Task, outputs: int, *, is_raw: bool) -> tuple[Array, Array, list[Array]]:
    """Return targets with shares of two classes or labels, right outputs for them, and wrong ones."""
    one = np.eye(outputs, dtype=np.float32)
    if task.activation == "softmax":
        other = np.roll(one, 1, axis=1)
        targets, wrong = (0.8 * a + 0.2 * b for a, b in ((one, other), (other, one)))
    else:
        targets = 0.2 + 0.6 * np.concatenate([one, 0 * one])
        wrong = 1 - targets
    right, wrong = (np.clip(each, 1e-3, 1 - 1e-3) for each in (targets, wrong))
    if task.activation == "softmax":
        right, wrong = (each / each.sum(axis=1, keepdims=True) for each in (right, wrong))
    if is_raw:
        right, wrong = (np.log(p) - (0 if task.activation == "softmax" else np.log(1 - p)) for p in (right, wrong))
    return targets.astype(np.float32), right.astype(np.float32), [wrong.astype(np.float32)]


def _each(loss: keras.losses.Loss, targets: Array, raw: Array) -> Array:
    losses = loss.call(keras.ops.convert_to_tensor(targets), keras.ops.convert_to_tensor(raw))
    return np.asarray(keras.ops.convert_to_numpy(losses), np.float64)


class OfClasses(keras.losses.Loss):  # type: ignore[misc]
    """A loss of one-hot labels for whole numbers, too.

    Args:
        loss: of labels (n, classes) and predictions (n, classes).
        classes: how many.
        activates: whether the predictions are logits, and the loss takes probabilities.
    """

    def __init__(self, loss: keras.losses.Loss, classes: int, *, activates: bool) -> None:
        super().__init__(name=loss.name, reduction=loss.reduction, dtype=loss.dtype)
        self._loss, self._classes, self._activates = loss, classes, activates

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each image."""
        if y_true.shape[-1] != self._classes or len(y_true.shape) != len(y_pred.shape):
            labels = keras.ops.reshape(keras.ops.cast(y_true, "int32"), (-1,))
            y_true = keras.ops.one_hot(labels, self._classes, dtype=y_pred.dtype)
        return self._loss.call(y_true, keras.ops.softmax(y_pred, axis=-1) if self._activates else y_pred)


class _OfProbabilities(keras.losses.Loss):  # type: ignore[misc]
    def __init__(self, loss: keras.losses.Loss) -> None:
        super().__init__(name=loss.name, reduction=loss.reduction, dtype=loss.dtype)
        self._loss = loss

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self._loss.call(y_true, keras.ops.softmax(y_pred, axis=-1))


class _OfLabels(_OfProbabilities):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self._loss.call(y_true, keras.ops.sigmoid(y_pred))


def mean(loss: keras.losses.Loss, targets: Array, raw: Array) -> float:
    """Return the mean loss of a set of images, in float64 over the float32 losses of its images.

    Args:
        loss: by `make`.
        targets: as the loss takes them.
        raw: what the model that is trained returns for the images, in the same order.
    """
    total = 0.0
    for start in range(0, len(raw), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        each = _each(loss, targets[part], raw[part])
        total += float(each.reshape(len(raw[part]), -1).mean(axis=1).sum())
    return total / len(raw)
