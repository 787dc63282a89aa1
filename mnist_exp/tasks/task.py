"""What every task answers, by arrays alone: no Keras, no store."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from mnist_exp.config import wording
from mnist_exp.config.components import Component
from mnist_exp.config.objectives import VAL
from mnist_exp.config.wording import show
from mnist_exp.errors import SettingsError
from mnist_exp.evaluation.predictions import Predictions
from mnist_exp.losses import Activation
from mnist_exp.tasks.answers import Answers
from mnist_exp.tasks.evaluated import Evaluated

if TYPE_CHECKING:
    from mnist_exp.evaluation.figures import Picture

Array = npt.NDArray[Any]


class Task(ABC):
    """What is learnt. One of your own derives from one of the tasks here and changes what differs.

    Attributes:
        name: as the tag `mnist_exp.task` records it.
        activation: makes predictions of the model's raw outputs.
        running: the name of the metric that Keras computes beside the loss.
        scored_by: the metrics that are computed of all predictions of a set, by name: functions of `mnist_exp.metrics`.
        offered: further ones that are computed if they are the objective.
        parts: what its names are of: classes, labels or numbers.
        has_classes: whether the labels are whole numbers from 0 that stand for classes.
    """

    name: ClassVar[str]
    activation: ClassVar[Activation]
    running: ClassVar[str] = "accuracy"
    scored_by: ClassVar[tuple[str, ...]] = ()
    offered: ClassVar[tuple[str, ...]] = ()
    parts: ClassVar[str] = "classes"
    has_classes: ClassVar[bool] = False

    def resolve(self, y_train: Array, class_names: Sequence[str] | None) -> "Task":
        """Return the task that these labels are for; only `auto` is another one than itself."""
        return self

    @abstractmethod
    def problems(self, name: str, y: Array) -> Iterator[str]:
        """Yield why an array cannot be the labels of a set.

        Args:
            name: of the array, for messages.
            y: as the loader returned it, not empty.
        """

    @abstractmethod
    def prepared(self, y: Array) -> Array:
        """Return labels as they are kept, of a dtype that does not depend on how they were stored."""

    def problems_between(self, y_train: Array, y_test: Array, class_names: Sequence[str] | None) -> Iterator[str]:
        """Yield why prepared labels do not fit each other, or the names."""
        yield from ()

    @abstractmethod
    def names(self, y_train: Array, given: Sequence[str] | None) -> tuple[str, ...]:
        """Return one name for each class, label or number, of prepared labels."""

    def outputs(self, names: Sequence[str]) -> int:
        """Return how many numbers the model returns for one image."""
        return len(names)

    def counted(self, names: Sequence[str]) -> str:
        """Return how many classes, labels or numbers there are, in words: `3 labels`."""
        return f"1 {self.parts.removesuffix('s')}" if len(names) == 1 else f"{len(names)} {self.parts}"

    def strata(self, y: Array) -> Array | None:
        """Return the class of each image, by which a hold-out is stratified; None where it is drawn from all."""
        return y if self.has_classes else None

    def targets(self, y: Array) -> Array:
        """Return prepared labels as the loss takes them: whole numbers (n,), or float32 (n, outputs)."""
        return y

    def shares(self, y: Array, outputs: int) -> Array:
        """Return prepared labels in the form whose means are labels, too: float32 (n, outputs).

        Args:
            y: prepared labels.
            outputs: how many numbers the model returns for an image.
        Raises: SettingsError: what the loss gets has no such form.
        """
        targets = self.targets(y)
        if targets.shape == (len(y), outputs):
            return np.asarray(targets, np.float32)
        if self.activation != "softmax" or targets.shape != (len(y),) or targets.dtype.kind not in "iu":
            raise SettingsError(
                f"task={self.name}: its targets, {targets.dtype} of the shape {targets.shape}, cannot be mixed: they "
                f"must be (n, {outputs}), or whole numbers of classes; take another augment"
            )
        found = np.zeros((len(y), outputs), np.float32)
        found[np.arange(len(y)), targets] = 1
        return found

    def remarks(self, sets: Mapping[str, Array], names: Sequence[str]) -> list[str]:
        """Return a sentence for each thing that a user may not expect of the labels of a training or validation."""
        return []

    def metrics(self, objective: str) -> dict[str, Component]:
        """Return the metrics that are computed of all predictions of a set, by name.

        Args:
            objective: name of the metric that selects.
        """
        wanted = [name for name in self.offered if objective == f"{VAL}{name}"]
        return {name: _own_metric(name) for name in (*self.scored_by, *wanted)}

    def check_outputs(self, outputs: Array, what: str) -> str | None:
        """Return why an array cannot be predictions of this task; None if it can.

        Args:
            outputs: float32 (n, outputs).
            what: the model, for the message.
        """
        low, high = float(outputs.min()), float(outputs.max())  # Both are NaN if one value is.
        if self.activation == "linear":
            return None if np.isfinite(low + high) else f"{what} gives values that are not finite"
        if low >= 0 and high <= 1.01:  # Float16 probabilities can be slightly above 1.
            return None
        return f"{what} gives values from {low:g} to {high:g}, which are not probabilities"

    @abstractmethod
    def predictions(self, answers: Answers) -> Predictions:
        """Return the table of predictions that a run records of its test set."""

    @abstractmethod
    def figures(self, answers: Answers) -> "Mapping[str, Picture]":
        """Return the pictures of predictions, by file name."""

    def draw(self, folder: Path, history: Mapping[str, Sequence[float]], answers: Answers) -> None:
        """Write the pictures of a run that is done: its learning curves and those of its predictions.

        Args:
            folder: to write to; must exist.
            history: the values of each metric, one per epoch.
            answers: for the test images.
        """
        from mnist_exp.evaluation import figures

        curves = {"learning_curves.png": figures.learning_curves(history, self.running)}
        figures.write(folder, {**curves, **self.figures(answers)})

    @abstractmethod
    def evaluated(self, answers: Answers, loss: float) -> Evaluated:
        """Return all results of predictions for a set of images.

        Args:
            answers: for the images.
            loss: mean loss.
        """

    def described(self, metrics: Mapping[str, float], prefix: str = "test_") -> str:
        """Return the scores of a run as words: `accuracy 0.9901, loss 0.0312`."""
        added = [name.removeprefix(prefix) for name in metrics if name.startswith(prefix)]
        shown = [name for name in dict.fromkeys([self.running, "loss", *added]) if f"{prefix}{name}" in metrics]
        return ", ".join(f"{name} {wording.metric(metrics[prefix + name])}" for name in shown)

    @abstractmethod
    def as_json(self, output: Array, names: Sequence[str] | None) -> dict[str, Any]:
        """Return the prediction for one image for other programs.

        Args:
            output: float32 (outputs,).
            names: of classes, labels or numbers; None where they are not known.
        """

    @abstractmethod
    def as_words(self, output: Array, names: Sequence[str] | None, top: int) -> str:
        """Return the prediction for one image for people, at most `top` of its parts."""

    def objectives(self, metrics: Mapping[str, Any]) -> list[str]:
        """Return the names that `objective` may have, for a run with further metrics."""
        validated = dict.fromkeys([self.running, "loss", *self.metrics(""), *metrics, *self.offered])
        return [*(f"{VAL}{name}" for name in validated), self.running, "loss"]


def _own_metric(name: str) -> Component:
    if name == "top_5_accuracy":
        return Component("metrics", "mnist_exp.metrics.top_k_accuracy", {"k": 5})
    return Component("metrics", f"mnist_exp.metrics.{name}")


class OfColumns(Task):
    """A task whose labels are columns, (n, labels or numbers), with a name for each."""

    def problems_between(self, y_train: Array, y_test: Array, class_names: Sequence[str] | None) -> Iterator[str]:
        """Yield why prepared labels do not fit each other, or the names."""
        count = y_train.shape[1]
        if count != y_test.shape[1]:
            yield f"y_train has {count} {self.parts} and y_test {y_test.shape[1]}; they must be the same"
        if class_names is not None and len(class_names) != count:
            shown = ", ".join(map(show, class_names[:3]))
            yield f"there are {len(class_names)} class_names, {shown}, for {count} {self.parts}"


def shortest(values: Array) -> list[float]:
    """Return float32 numbers as the shortest decimals that are the same float32."""
    return [float(str(value)) for value in values]
