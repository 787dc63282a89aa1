"""One number, or several."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mnist_exp.errors import printable
from mnist_exp.evaluation.predictions import Predictions
from mnist_exp.losses import Activation
from mnist_exp.tasks import evaluated
from mnist_exp.tasks.answers import Answers
from mnist_exp.tasks.evaluated import Evaluated
from mnist_exp.tasks.task import Array, OfColumns, shortest

if TYPE_CHECKING:
    from mnist_exp.evaluation.figures import Picture

_FAR = 10.0  # where a network with the usual weights and rates is not within some epochs
_LARGEST = 1e15  # whose square, summed over the images, is a float32


class Regression(OfColumns):
    """One number an image, or several: the model returns them as they are."""

    name: ClassVar[str] = "regression"
    activation: ClassVar[Activation] = "linear"
    parts: ClassVar[str] = "numbers"
    running: ClassVar[str] = "mae"
    scored_by: ClassVar[tuple[str, ...]] = ("rmse", "r2")

    def problems(self, name: str, y: Array) -> Iterator[str]:
        """Yield why an array cannot be targets: they must be finite numbers, one or several an image."""
        if y.ndim not in (1, 2):
            yield f"{name} has the shape {y.shape}; for task=regression it must be (n,) or (n, numbers)"
        elif y.dtype.kind not in "iubf":
            yield f"{name} holds {y.dtype} values; for task=regression they must be numbers"
        elif not np.isfinite(y).all():
            bad = int(np.argmax(~np.isfinite(y.reshape(len(y), -1)).all(axis=1)))
            yield f"{name} has a value that is not finite, {y[bad]}, the first of image {bad}"
        elif (largest := float(np.abs(y.astype(np.float64)).max())) > _LARGEST:
            yield f"{name} has values up to {largest:g}, whose squares are beyond float32; scale them"

    def prepared(self, y: Array) -> Array:
        """Return float32 (n, numbers)."""
        return y.reshape(len(y), -1).astype(np.float32)

    def names(self, y_train: Array, given: Sequence[str] | None) -> tuple[str, ...]:
        """Return the names that are given, else `target`, or the columns' numbers."""
        count = y_train.shape[1]
        return tuple(given) if given else ("target",) if count == 1 else tuple(f"target_{i}" for i in range(count))

    def remarks(self, sets: Mapping[str, Array], names: Sequence[str]) -> list[str]:
        """Return a sentence for each target that is the same in a whole set, or far from what networks begin with."""
        y, far = sets["training"], []
        for name, mean, deviation in zip(names, y.mean(axis=0, dtype=np.float64), y.std(axis=0), strict=True):
            if deviation > 0 and max(abs(mean), deviation) > _FAR:
                far.append(
                    f"{name} is {mean:.3g} on average, with a deviation of {deviation:.3g}: a network begins near 0 "
                    "and takes long to get there; scale it in the data, as to mean 0 and deviation 1"
                )
        return far + [
            f"{name} has the same value, {values[0, i]:g}, in all {len(values):,} {what} images"
            for what, values in sets.items()
            for i, name in enumerate(names)
            if np.ptp(values[:, i]) == 0
        ]

    def predictions(self, answers: Answers) -> Predictions:
        """Return each target and its prediction, a column each."""
        return Predictions.of_columns(answers.y, answers.outputs, answers.names, "predicted")

    def figures(self, answers: Answers) -> "Mapping[str, Picture]":
        """Return the residuals of each number."""
        from mnist_exp.evaluation import figures

        return {"residuals.png": figures.residuals(answers.y, answers.outputs, answers.names, answers.words)}

    def evaluated(self, answers: Answers, loss: float) -> Evaluated:
        """Return all results of predictions for a set of images."""
        return evaluated.of_numbers(answers, loss, lambda: self.figures(answers))

    def as_json(self, output: Array, names: Sequence[str] | None) -> dict[str, Any]:
        """Return the numbers by their names."""
        values = shortest(output)
        return {"values": dict(zip(names, values, strict=True)) if names else values}

    def as_words(self, output: Array, names: Sequence[str] | None, top: int) -> str:
        """Return the numbers with their names."""
        shown = [f"{value:.6g}" for value in output]
        return (
            ", ".join(f"{printable(n)} {v}" for n, v in zip(names, shown, strict=True)) if names else ", ".join(shown)
        )
