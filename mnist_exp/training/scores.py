"""Metrics of a whole set of images, from all its predictions at once: exact, whatever the batches."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from mnist_exp.config.components import Component
from mnist_exp.errors import SettingsError, first_line
from mnist_exp.tasks.task import Array, Task

# Metrics of Keras that are another quantity than their name says, by the forms of labels that a task has.
_OF_KERAS = {
    "AUC": ("has 200 thresholds and not all", "auc"),
    "F1Score": ("counts a class that does not occur as 0", "macro_f1"),
    "FBetaScore": ("counts a class that does not occur as 0", "macro_f1"),
    "R2Score": ("sums squares in float32, whose rounding may be larger than the variance", "r2"),
    "Accuracy": ("asks whether a probability is equal to a label", "accuracy"),
}
_OF_KERAS_FOR_CLASSES = {
    "BinaryAccuracy": ("asks of every class whether its probability is above 0.5", "accuracy"),
    "Precision": ("asks of every class whether its probability is above 0.5", "precision"),
    "Recall": ("asks of every class whether its probability is above 0.5", "recall"),
}
_FEW = 64  # images on which metrics are tried before the training


class Scores:
    """The metrics of a run beside those that Keras computes batch by batch.

    Args:
        task: what is learnt.
        named: the metrics of the configuration, by name; they come after the task's own.
        classes: how many classes, labels or numbers there are.
        objective: what selects; a metric that the task knows need not be named for that.
    Raises: SettingsError: a metric cannot be built, or is not what its name says.
    """

    def __init__(self, task: Task, named: Mapping[str, Component], classes: int, objective: str = "") -> None:
        self._task, self._classes = task, classes
        self._metrics = {name: self._made(name, each) for name, each in (task.metrics(objective) | dict(named)).items()}

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return bool(self._metrics)

    def of(self, labels: Array, outputs: Array) -> dict[str, float]:
        """Return each metric by its name.

        Args:
            labels: prepared, of all images of the set.
            outputs: predictions, float32 (n, outputs).
        Raises: SettingsError: a metric refuses them, or is not one number.
        """
        return {name: metric(labels, outputs) for name, metric in self._metrics.items()}

    def check(self, labels: Array, outputs: int) -> None:
        """Try each metric before the training, on a few images. Raises: SettingsError: as `of`.

        Args:
            labels: prepared, of the validation images.
            outputs: how many numbers the model returns for an image.
        """
        few = labels[:_FEW]
        made = np.random.default_rng(0).random((len(few), outputs), np.float32)
        if self._task.activation == "softmax":
            made /= made.sum(axis=1, keepdims=True)
        self.of(few, made)

    def _made(self, name: str, component: Component) -> Callable[[Array, Array], float]:
        option = f"metrics.{name}"
        if not component.is_class:
            return lambda labels, outputs: _number(option, lambda: component.build(labels, outputs))
        wrong = _OF_KERAS | (_OF_KERAS_FOR_CLASSES if self._task.activation == "softmax" else {})
        if component.target.startswith("keras.") and component.name in wrong:
            why, other = wrong[component.name]
            raise SettingsError(
                f"{option}._target_={component.target} {why}: take mnist_exp.metrics.{other}, which is exact"
            )
        metric = component.build()
        if not isinstance(metric, keras.metrics.Metric):
            raise SettingsError(f"{option}: {component.target} must be a keras.metrics.Metric or a function")

        def value(labels: Array, outputs: Array) -> Any:
            metric.reset_state()
            metric.update_state(self._form(component, labels), outputs)
            return keras.ops.convert_to_numpy(metric.result())

        return lambda labels, outputs: _number(option, lambda: value(labels, outputs))

    def _form(self, component: Component, labels: Array) -> Array:
        """Return labels as Keras's metrics take them beside predictions."""
        if self._task.activation == "softmax" and not component.name.startswith("Sparse"):
            return np.eye(self._classes, dtype=np.float32)[labels]
        return self._task.targets(labels)


def _number(option: str, compute: Callable[[], Any]) -> float:
    try:
        value = np.asarray(compute())
    except SettingsError:
        raise
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{option} cannot be computed here: {first_line(error)}") from error
    if value.dtype.kind not in "biuf" or value.size != 1:
        what = f"{value.size} numbers" if value.dtype.kind in "biuf" else type(value.item(0)).__name__
        raise SettingsError(f"{option} gives {what}: a metric is one number, as the mean over the classes")
    return float(value.reshape(()))
