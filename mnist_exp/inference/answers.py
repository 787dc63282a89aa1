"""From prepared images, or rows of arrays, to answers: read ahead in threads, predicted a batch at a time."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mnist_exp.data.dataset import Array
from mnist_exp.errors import DataError
from mnist_exp.evaluation.likeness import Likeness
from mnist_exp.inference import load, preprocessing
from mnist_exp.numpy_model.model import NumpyModel

if TYPE_CHECKING:
    import keras

BATCH = 500
_MOST_THREADS = 4
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Ready:
    """One example, ready for a model, or why it is not.

    Args:
        path: of it, for people.
        values: raw, as the model takes them.
        picture: the same as pixels of 0 to 255, (height, width, channels); None if it is no image.
        notes: what was done to it.
        error: why there are no values; empty if there are.
    """

    path: str
    values: Array | None = None
    picture: Array | None = None
    notes: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Answer:
    """The prediction for one image, or an error.

    Args:
        path: path of the image; `-` for standard input.
        output: the prediction, float32 (outputs,); None if there was an error.
        notes: how the image was made ready.
        error: why there is no prediction; empty if there is one.
        is_unlike: whether the image is unlike all training images; None if that is not known.
    """

    path: str
    output: Array | None = None
    notes: tuple[str, ...] = ()
    error: str = ""
    is_unlike: bool | None = None


class Predictor:
    """A model, and what is known of the images that it was trained on.

    Args:
        model: maps raw values to predictions; of Keras, or as NumPy computes it.
        likeness: of these images; None if it is not known.
        of_keras: loads the same model of Keras, which is sooner done with many examples; None where they are few.
    """

    def __init__(
        self,
        model: "keras.Model | NumpyModel",
        likeness: Likeness | None = None,
        of_keras: "Callable[[], keras.Model] | None" = None,
    ) -> None:
        self._likeness, self._of_keras, self._operations = likeness, of_keras, 0
        self._use(model)

    def _use(self, model: "keras.Model | NumpyModel") -> None:
        self._model = model
        self._twin: Any = None if self._likeness is None else _with_features(model)

    def predict(self, values: Array, pictures: Array | None) -> tuple[Array, Array | None]:
        """Return predictions, float32 (n, outputs), and whether each example is unlike the training images, or None.

        Args:
            values: raw, (n, …).
            pictures: the same as pixels of 0 to 255, (n, height, width, channels); None if they are no images.
        """
        if isinstance(self._model, NumpyModel):
            self._operations += self._model.operations * len(values)
            if self._of_keras is None or self._operations <= load.MOST_OPERATIONS:
                return self.ask(values, pictures)
            self._use(self._of_keras())
        from mnist_exp.training.predict import predict, predict_both

        if self._twin is None or self._likeness is None:
            return predict(self._model, values), None
        features, outputs = predict_both(self._twin, values)
        return outputs, self._are_unlike(features, pictures)

    def ask(self, values: Array, pictures: Array | None) -> tuple[Array, Array | None]:
        """Return what `predict` does, sooner for a few images: `Model.predict` starts threads, which takes 20 ms."""
        if isinstance(self._model, NumpyModel):
            features, outputs = self._model.predict_both(values)
            return outputs, self._are_unlike(features, pictures)
        import keras

        from mnist_exp.training import trust

        if self._twin is None or self._likeness is None:
            outputs = keras.ops.convert_to_numpy(self._model(values, training=False))
            return np.asarray(outputs, np.float32), None
        features, outputs = trust.features_of(self._twin, values)
        return outputs, self._are_unlike(features, pictures)

    def _are_unlike(self, features: Array, pictures: Array | None) -> Array | None:
        if self._twin is None or self._likeness is None:
            return None
        return self._likeness.distances(features, pictures) > self._likeness.threshold


def _with_features(model: "keras.Model | NumpyModel") -> "keras.Model | NumpyModel | None":
    """Return what gives the features of a model beside its predictions; None where that is not known."""
    if isinstance(model, NumpyModel):
        return model if model.has_features else None
    from mnist_exp.training import outputs

    return outputs.with_features(model)


def of_ready(predictor: Predictor, examples: Iterable[Ready]) -> Iterator[Answer]:
    """Yield the predictions for examples, in order. Only some batches are in memory at a time.

    Args:
        predictor: of the model.
        examples: ready for it, or not to be had.
    """
    examples = iter(examples)
    while batch := list(islice(examples, BATCH)):
        good = [each for each in batch if each.values is not None]
        rows = iter(_rows(predictor, good))
        for each in batch:
            if each.values is None:
                yield Answer(each.path, error=each.error)
                continue
            row, is_unlike = next(rows)
            if np.isfinite(row).all():
                yield Answer(each.path, row, each.notes, is_unlike=is_unlike)
            else:  # JSON has no NaN.
                yield Answer(each.path, error=f"{each.path}: {preprocessing.NO_NUMBER}")


def _rows(predictor: Predictor, good: list[Ready]) -> Iterator[tuple[Array, bool | None]]:
    if not good:
        return
    values = np.stack([each.values for each in good if each.values is not None])
    pictures = [each.picture for each in good if each.picture is not None]
    outputs, unlike = predictor.predict(values, np.stack(pictures) if len(pictures) == len(good) else None)
    for number, row in enumerate(outputs):
        yield row, None if unlike is None else bool(unlike[number])


def ahead(prepare: Callable[[_Item], Ready], items: Iterable[_Item]) -> Iterator[Ready]:
    """Yield what a function returns for items, in their order, made by threads ahead of who takes it.

    Args:
        prepare: reads one; it raises nothing.
        items: to be read; they are asked for in this thread.
    """
    items = iter(items)
    waiting: deque[Future[Ready]] = deque()
    pool = ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1), "read")
    try:
        while True:
            # One more batch than is asked for: what the model is busy with does not wait.
            for item in islice(items, 2 * BATCH - len(waiting)):
                waiting.append(pool.submit(prepare, item))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def failed(path: str, error: DataError) -> Ready:
    """Return what there is of an example that cannot be read."""
    return Ready(path, error=str(error))
