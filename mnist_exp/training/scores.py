"""Metrics of a whole set of images, from all its predictions at once: exact, whatever the batches."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from mnist_exp.config.components import Component
from mnist_exp.config.metric_names import HOME
from mnist_exp.config.objectives import VAL
from mnist_exp.errors import SettingsError, TrainingError, plural
from mnist_exp.runtime.reasons import reason
from mnist_exp.tasks.task import Array, Task

# Metrics of Keras that are another quantity than their name says, and which of ours is meant.
_WRONG = {
    "AUC": ("has 200 thresholds and not all", "auc"),
    "F1Score": ("counts a class that does not occur as 0", "macro_f1"),
    "FBetaScore": ("counts a class that does not occur as 0", "macro_f1"),
    "R2Score": ("sums squares in float32, whose rounding may be larger than the variance", "r2"),
    "Accuracy": ("asks whether a probability is equal to a label", "accuracy"),
    "BinaryAccuracy": ("asks of every class whether its probability is above 0.5", "accuracy"),
    "Precision": ("asks of every class whether its probability is above 0.5", "precision"),
    "Recall": ("asks of every class whether its probability is above 0.5", "recall"),
}
# Those that are what they say, by what makes predictions of a task's raw outputs.
_ERRORS = ("MeanSquaredError", "MeanAbsoluteError", "RootMeanSquaredError", "CosineSimilarity", "LogCoshError")
_OF_LABELS = ("BinaryAccuracy", "BinaryCrossentropy", "Precision", "Recall", "TruePositives", "TrueNegatives")
_RIGHT = {
    "softmax": (
        "CategoricalAccuracy", "SparseCategoricalAccuracy", "TopKCategoricalAccuracy", "SparseTopKCategoricalAccuracy",
        "CategoricalCrossentropy", "SparseCategoricalCrossentropy", "CategoricalHinge", "KLDivergence", "OneHotIoU",
        "OneHotMeanIoU", *_ERRORS,
    ),
    "sigmoid": (*_OF_LABELS, "FalsePositives", "FalseNegatives", "BinaryIoU", *_ERRORS),
    "linear": (
        "MeanAbsolutePercentageError", "MeanSquaredLogarithmicError", "Poisson", "ConcordanceCorrelation",
        "PearsonCorrelation", *_ERRORS,
    ),
}  # fmt: skip
_OF_NUMBERS = ("mae", "rmse", "r2")  # of our own


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
        self._task, self._classes, self._objective = task, classes, objective
        self._metrics = {name: self._made(name, each) for name, each in (task.metrics(objective) | dict(named)).items()}

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return bool(self._metrics)

    def of(self, labels: Array, outputs: Array) -> dict[str, float]:
        """Return each metric by its name.

        Args:
            labels: prepared, of all images of the set.
            outputs: predictions, float32 (n, outputs).
        Raises: TrainingError: a metric refuses them, or is not one number.
        """
        return {name: metric(labels, outputs) for name, metric in self._metrics.items()}

    def check(self, labels: Array, outputs: int) -> None:
        """Try each metric before the training, on predictions by chance.

        Args:
            labels: prepared, of the validation images.
            outputs: how many numbers the model returns for an image.
        Raises: SettingsError: a metric refuses them, is not one number, or selects and is not defined for the labels.
        """
        made = np.random.default_rng(0).random((len(labels), outputs), np.float32)
        if self._task.activation == "softmax":
            made /= made.sum(axis=1, keepdims=True)
        try:
            found = self.of(labels, made)
        except TrainingError as error:
            raise SettingsError(str(error)) from error
        name = self._objective.removeprefix(VAL)
        if self._objective.startswith(VAL) and np.isnan(found.get(name, 0.0)):
            raise SettingsError(
                f"objective={self._objective} has no value on the {plural(len(labels), 'validation image')}, as with "
                "one class alone: hold more out with data.validation"
            )

    def _made(self, name: str, component: Component) -> Callable[[Array, Array], float]:
        option = f"metrics.{name}"
        is_ours = component.target.startswith(f"{HOME}.")
        if is_ours and (component.name in _OF_NUMBERS) != (self._task.activation == "linear"):
            what = "numbers" if component.name in _OF_NUMBERS else "classes and labels"
            raise SettingsError(f"{option}: {component.name} is for {what}, not for task={self._task.name}")
        if component.target.startswith("keras."):
            self._check_is_right(option, component)
        if not component.is_class:
            # Ours change nothing; a function of the user's own may.
            copied = np.asarray if is_ours else np.array
            return lambda labels, outputs: _number(option, lambda: component.build(copied(labels), copied(outputs)))
        metric = component.build()
        if not isinstance(metric, keras.metrics.Metric):
            raise SettingsError(f"{option}: {component.target} must be a keras.metrics.Metric or a function")

        def value(labels: Array, outputs: Array) -> Any:
            metric.reset_state()
            metric.update_state(self._form(component, labels), outputs)
            return keras.ops.convert_to_numpy(metric.result())

        return lambda labels, outputs: _number(option, lambda: value(labels, outputs))

    def _check_is_right(self, option: str, component: Component) -> None:
        """Check that a class of Keras is, for this task, what its name says."""
        right = _RIGHT[self._task.activation]
        if component.name in right:
            return
        if component.name in _WRONG:
            why, other = _WRONG[component.name]
            raise SettingsError(f"{option}._target_={component.target} {why}: take {HOME}.{other}, which is exact")
        raise SettingsError(
            f"{option}._target_={component.target} does not fit task={self._task.name}: of Keras's there are "
            f"{', '.join(right)}, and there are the functions of {HOME}"
        )

    def _form(self, component: Component, labels: Array) -> Array:
        """Return labels as Keras's metrics take them beside predictions."""
        if self._task.activation == "softmax" and not component.name.startswith("Sparse"):
            return np.eye(self._classes, dtype=np.float32)[labels]
        return self._task.targets(labels)


def _number(option: str, compute: Callable[[], Any]) -> float:
    try:
        value = np.asarray(compute())
    except Exception as error:
        raise TrainingError(f"{option} cannot be computed: {reason(error)}") from error
    if value.dtype.kind not in "biuf" or value.size != 1:
        what = f"{value.size} numbers" if value.dtype.kind in "biuf" else type(value.item(0)).__name__
        raise TrainingError(f"{option} gives {what}: a metric is one number, as the mean over the classes")
    return float(value.reshape(()))
