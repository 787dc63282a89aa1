"""Several labels, of which each is there or not."""

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
from mnist_exp.tasks.task import Array, OfColumns, shortest

if TYPE_CHECKING:
    from mnist_exp.evaluation.figures import Picture


class Multilabel(OfColumns):
    """Several labels an image: 0 and 1 in a column for each, the model returns the probability that it is there."""

    name: ClassVar[str] = "multilabel"
    activation: ClassVar[Activation] = "sigmoid"
    parts: ClassVar[str] = "labels"
    scored_by: ClassVar[tuple[str, ...]] = ("exact_match", "macro_f1")
    offered: ClassVar[tuple[str, ...]] = ("balanced_accuracy", "mcc", "precision", "recall", "auc")

    def problems(self, name: str, y: Array) -> Iterator[str]:
        """Yield why an array cannot be labels: they must be 0 and 1, in columns."""
        if y.ndim != 2:
            yield f"{name} has the shape {y.shape}; for task=multilabel it must be (n, labels), 0 or 1 in each column"
        elif y.dtype.kind not in "iubf" or not np.isin(y, (0, 1)).all():
            yield f"{name} holds other values than 0 and 1; for task=multilabel these say whether a label is there"

    def prepared(self, y: Array) -> Array:
        """Return float32 (n, labels)."""
        return y.astype(np.float32)

    def names(self, y_train: Array, given: Sequence[str] | None) -> tuple[str, ...]:
        """Return the names that are given, else the columns' numbers."""
        return tuple(given) if given else tuple(str(label) for label in range(y_train.shape[1]))

    def remarks(self, sets: Mapping[str, Array], names: Sequence[str]) -> list[str]:
        """Return a sentence for each set of images in which a label is never, or always, there."""
        found = []
        for what, labels in sets.items():
            for word, is_so in (("no", labels.max(axis=0) == 0), ("every", labels.min(axis=0) == 1)):
                named = [names[int(label)] for label in np.flatnonzero(is_so)]
                if named:
                    more = f" and {len(named) - 5} more" if len(named) > 5 else ""
                    which = "label" if len(named) == 1 else "labels"
                    found.append(f"{word} {what} image has the {which} {', '.join(map(show, named[:5]))}{more}")
        return found

    def predictions(self, answers: Answers) -> Predictions:
        """Return whether each label is there, and its probability, a column each."""
        return Predictions.of_columns(answers.y, answers.outputs, answers.names, "probability")

    def figures(self, answers: Answers) -> "Mapping[str, Picture]":
        """Return a table of each label's right and wrong predictions as a picture."""
        from mnist_exp.evaluation import figures

        said = answers.outputs > 0.5
        return {"label_counts.png": figures.label_counts(answers.y, said, answers.names, answers.words)}

    def evaluated(self, answers: Answers, loss: float) -> Evaluated:
        """Return all results of predictions for a set of images."""
        return evaluated.of_labels(answers, loss, lambda: self.figures(answers))

    def as_json(self, output: Array, names: Sequence[str] | None) -> dict[str, Any]:
        """Return the labels that are there, and the probabilities of all."""
        there = [names[i] if names else int(i) for i in map(int, np.flatnonzero(output > 0.5))]
        return {"labels": there, "probabilities": shortest(output)}

    def as_words(self, output: Array, names: Sequence[str] | None, top: int) -> str:
        """Return the labels that are there with their probabilities; a dash if none is."""
        order = [i for i in map(int, np.argsort(-output, kind="stable")) if output[i] > 0.5]
        shown = [f"{printable(names[i]) if names else i} {output[i]:.4f}" for i in order]
        return ", ".join(shown) or "-"
