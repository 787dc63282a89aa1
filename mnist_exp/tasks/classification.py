"""One of several classes, with a probability for each; of two classes also with one probability."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mnist_exp.config.wording import show
from mnist_exp.errors import printable
from mnist_exp.evaluation.predictions import Predictions
from mnist_exp.losses import Activation
from mnist_exp.tasks import evaluated
from mnist_exp.tasks.answers import Answers
from mnist_exp.tasks.evaluated import Evaluated
from mnist_exp.tasks.task import Array, Task, shortest

if TYPE_CHECKING:
    from mnist_exp.evaluation.figures import Picture


class Classification(Task):
    """One of several classes: labels are whole numbers from 0, the model returns a probability for each class."""

    name: ClassVar[str] = "classification"
    activation: ClassVar[Activation] = "softmax"
    has_classes: ClassVar[bool] = True
    offered: ClassVar[tuple[str, ...]] = (
        "macro_f1",
        "balanced_accuracy",
        "mcc",
        "precision",
        "recall",
        "auc",
        "top_5_accuracy",
    )

    def problems(self, name: str, y: Array) -> Iterator[str]:
        """Yield why an array cannot be labels: they must be whole numbers from 0, one an image."""
        if y.ndim != 1 and not (y.ndim == 2 and y.shape[1] == 1):
            yield f"{name} has the shape {y.shape}; {self._fix_of_shape(y)}"
        elif y.dtype.kind not in "iub":
            yield f"{name} holds {y.dtype} values; labels must be whole numbers from 0 (for numbers: task=regression)"
        elif int(y.min()) < 0:
            fix = "labels must be whole numbers from 0 (for numbers: task=regression)"
            yield f"{name} holds the label {int(y.min())}; {fix}"

    def _fix_of_shape(self, y: Array) -> str:
        """Return what labels of several columns should be."""
        one = "it must be one label an image, (n,)"
        if y.ndim != 2:
            return one
        if not np.isin(y, (0, 1)).all():
            return f"{one}: the column that holds the class, as y[:, 0]; for several numbers there is task=regression"
        if (y.sum(axis=1) == 1).all():
            return f"{one}, not one-hot: np.argmax(y, axis=1); for numbers: task=regression"
        return f"for task={self.name} {one}; for several there is task=multilabel"

    def prepared(self, y: Array) -> Array:
        """Return int64 (n,)."""
        return y.reshape(len(y)).astype(np.int64)

    def problems_between(self, y_train: Array, y_test: Array, class_names: Sequence[str] | None) -> Iterator[str]:
        """Yield why prepared labels do not fit each other, or the names; of one class nothing can be learnt."""
        if class_names:
            for which, highest in (("y_train", int(y_train.max())), ("y_test", int(y_test.max()))):
                if highest >= len(class_names):
                    names, used = len(class_names), np.unique(y_train)
                    anew = f"write the {names} different labels as 0 to {names - 1}, in the order of the names"
                    fix = anew if len(used) == names else f"give {highest + 1} names, one a label from 0 on"
                    yield (
                        f"{which} holds the label {highest}, but there are {names} class names, 0 to {names - 1}; {fix}"
                    )
        if int(y_train.min()) == int(y_train.max()):
            yield "y_train holds one class only; a classifier needs at least two"

    def names(self, y_train: Array, given: Sequence[str] | None) -> tuple[str, ...]:
        """Return the names that are given, else the labels."""
        return tuple(given) if given else tuple(str(label) for label in range(int(y_train.max()) + 1))

    def remarks(self, sets: Mapping[str, Array], names: Sequence[str]) -> list[str]:
        """Return a sentence for each set of images in which classes are missing."""
        found = []
        for what, labels in sets.items():
            counts = np.bincount(labels, minlength=len(names))
            missing = [names[int(label)] for label in np.flatnonzero(counts == 0)]
            if len(missing) == len(names) - 1:
                only = names[int(counts.argmax())]
                all_of_them = (
                    f"all {len(labels):,} {what} images are" if len(labels) > 1 else f"the only {what} image is"
                )
                found.append(f"{all_of_them} of the class {show(only)}")
            elif missing:
                named = ", ".join(map(show, missing[:5])) + (
                    f" and {len(missing) - 5} more" if len(missing) > 5 else ""
                )
                which = "class" if len(missing) == 1 else "classes"
                found.append(f"none of the {len(labels):,} {what} images is of the {which} {named}")
        return found

    def probabilities(self, outputs: Array) -> Array:
        """Return the probability of each class, (n, classes)."""
        return outputs

    def predictions(self, answers: Answers) -> Predictions:
        """Return each image's class, the predicted one and its probability."""
        return Predictions.of_classes(self.probabilities(answers.outputs), answers.y)

    def figures(self, answers: Answers) -> "Mapping[str, Picture]":
        """Return the confusion matrix and, of images, the most confident mistakes."""
        from mnist_exp.evaluation import figures
        from mnist_exp.evaluation.confusion import confusion_matrix

        probabilities = self.probabilities(answers.outputs)
        y, names, words = answers.y, answers.names, answers.words
        drawn = {"confusion_matrix.png": confusion_matrix(y, probabilities.argmax(axis=1), names, words)}
        if answers.x is not None:
            mistakes = figures.confident_mistakes(answers.x, y, probabilities, names, f"the {words}")
            drawn["confident_mistakes.png"] = mistakes
        return drawn

    def evaluated(self, answers: Answers, loss: float) -> Evaluated:
        """Return all results of predictions for a set of images."""
        probabilities = self.probabilities(answers.outputs)
        return evaluated.of_classes(probabilities, answers, loss, lambda: self.figures(answers))

    def as_json(self, output: Array, names: Sequence[str] | None) -> dict[str, Any]:
        """Return the label, its probability, and those of all classes."""
        row = self.probabilities(output[np.newaxis])[0]
        best, values = int(row.argmax()), shortest(row)
        return {"label": names[best] if names else best, "probability": values[best], "probabilities": values}

    def as_words(self, output: Array, names: Sequence[str] | None, top: int) -> str:
        """Return the label and its probability, then the next ones."""
        row = self.probabilities(output[np.newaxis])[0]
        order = np.argsort(-row, kind="stable")[:top]
        best, *others = [(printable(names[label]) if names else str(label), row[label]) for label in order]
        wide = max(map(len, map(printable, names))) if names else 1
        text = f"{best[0]:<{wide}}  {best[1]:.4f}"
        return text + ("   " + ", ".join(f"{name} {p:.4f}" for name, p in others) if others else "")


class Binary(Classification):
    """Two classes: labels are 0 and 1, the model returns one number, the probability of class 1."""

    name: ClassVar[str] = "binary"
    activation: ClassVar[Activation] = "sigmoid"
    offered: ClassVar[tuple[str, ...]] = Classification.offered[:-1]

    def problems_between(self, y_train: Array, y_test: Array, class_names: Sequence[str] | None) -> Iterator[str]:
        """Yield why prepared labels do not fit each other; there must be two classes."""
        problems = list(super().problems_between(y_train, y_test, class_names))
        classes = len(class_names) if class_names else max(int(y_train.max()), int(y_test.max())) + 1
        if not problems and classes != 2:
            problems.append(f"y_train has {classes} classes; task=binary is for two, task=classification for more")
        yield from problems

    def outputs(self, names: Sequence[str]) -> int:
        """Return 1."""
        return 1

    def targets(self, y: Array) -> Array:
        """Return float32 (n, 1)."""
        return y[:, np.newaxis].astype(np.float32)

    def probabilities(self, outputs: Array) -> Array:
        """Return the probability of both classes, (n, 2)."""
        return np.concatenate([1 - outputs, outputs], axis=1)
