"""One run's model behind the demo page: predictions, saliency maps, and its mistakes on the test set."""

import base64
import io
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mnist_exp.data.dataset import Array
from mnist_exp.errors import DataError, SettingsError
from mnist_exp.evaluation import saliency
from mnist_exp.inference import preprocessing
from mnist_exp.inference.answers import Predictor
from mnist_exp.inference.doubt import Doubt
from mnist_exp.inference.mnist_style import Prepared
from mnist_exp.inference.preprocessing import MNIST, PLAIN, Reader
from mnist_exp.tasks.classification import Classification
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    import keras

    from mnist_exp.config.schema import Settings
    from mnist_exp.numpy_model.model import NumpyModel

MOST_MISTAKES = 60


@dataclass(frozen=True)
class Mistakes:
    """The wrong predictions of a run on its test set, highest confidence first.

    Args:
        images: pixels 0-255, uint8 or float32 (n, height, width, channels).
        labels: true classes, int64 (n,).
        predicted: predicted classes, int64 (n,).
        probability: probability of the predicted class, float64 (n,).
        count: number of all mistakes; n is at most `MOST_MISTAKES`.
        tested: number of test images.
        why_none: why there are no images to show; empty if there are some.
    """

    images: Array = field(default_factory=lambda: np.zeros((0, 1, 1, 1), np.uint8))
    labels: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    predicted: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    probability: Array = field(default_factory=lambda: np.zeros(0))
    count: int = 0
    tested: int = 0
    why_none: str = ""


def find_mistakes(run: StoredRun, settings: "Settings") -> Mistakes:
    """Return the mistakes of a run on its test set.

    Args:
        run: the run.
        settings: its settings, with the place of the data on this machine.
    Raises: SettingsError: its predictions or its data cannot be found here, or do not fit each other.
    """
    from mnist_exp.experiment import recall

    recorded = run.predictions()
    dataset = recall.load_data(run, settings)
    is_of_these = np.array_equal(recorded.labels, dataset.y_test) and recorded.probability is not None
    if not is_of_these or int(recorded.predicted.max()) >= len(dataset.class_names):
        raise DataError("the recorded predictions do not fit the test set found here")
    assert recorded.probability is not None
    wrong = np.flatnonzero(recorded.predicted != recorded.labels)
    if not len(wrong):
        return Mistakes(tested=len(recorded.labels), why_none="it made no mistake")
    chosen = wrong[np.argsort(-recorded.probability[wrong], kind="stable")][:MOST_MISTAKES]
    parts = (recorded.labels[chosen], recorded.predicted[chosen], recorded.probability[chosen])
    images = dataset.pictures(dataset.x_test[chosen])
    if images is None:
        raise DataError("its test examples are no images")
    return Mistakes(images, *parts, count=len(wrong), tested=len(recorded.labels))


class DemoSession:
    """A run and its model, which answer the requests of the page.

    All methods may be called from several threads. The model itself works on one request at a time.

    Args:
        run: the run that recorded the model.
        model: maps pixels to predictions; of Keras, or as NumPy computes it.
        task: of the model, one of classes.
        mistakes: the run's mistakes on its test set.
        doubt: what is known of the model's answers.
    """

    def __init__(
        self,
        run: StoredRun,
        model: "keras.Model | NumpyModel",
        task: Classification,
        mistakes: Mistakes,
        doubt: Doubt,
    ) -> None:
        self.mistakes, self.doubt = mistakes, doubt
        self._run, self._model, self._lock, self._reading = run, model, threading.Lock(), threading.Lock()
        self._task, self._predictor = task, Predictor(model, doubt.likeness)
        self._shape = preprocessing.shape_of(model, run)
        outputs = int(model.output_shape[-1])
        classes = task.probabilities(np.zeros((1, outputs), np.float32)).shape[1]
        self._names = preprocessing.class_names(run, task, outputs) or tuple(map(str, range(classes)))
        usual = preprocessing.reader(run, self._shape)
        self._raw = usual.raw
        ways = (MNIST, PLAIN) if usual.way == MNIST else (PLAIN,)
        self._readers: Mapping[str, Reader] = {way: preprocessing.reader(run, self._shape, way) for way in ways}

    def about(self) -> dict[str, Any]:
        """Return the facts about the run that the page shows, and the list of its mistakes."""
        run, mistakes = self._run, self.mistakes
        accuracy = run.metrics.get(names.TEST_ACCURACY)
        return {
            "run_id": run.run_id,
            "name": run.name,
            "experiment": run.experiment,
            "model": run.params.get("model.name") or self._model.name,
            "parameters": self._model.count_params(),
            "data": run.params.get(names.DATA_NAME, ""),
            "test_accuracy": accuracy if accuracy is not None and math.isfinite(accuracy) else None,
            "classes": self._names,
            "shape": self._shape,
            "ways": list(self._readers),
            "can_draw": MNIST in self._readers,
            "mistakes": [
                {"label": int(label), "predicted": int(predicted), "probability": round(float(probability), 4)}
                for label, predicted, probability in zip(
                    mistakes.labels, mistakes.predicted, mistakes.probability, strict=True
                )
            ],
            "mistakes_count": mistakes.count,
            "tested": mistakes.tested,
            "no_mistakes": mistakes.why_none,
        }

    def read(self, content: bytes) -> dict[str, Any]:
        """Return the prediction for an image, for each way to preprocess it.

        Args:
            content: an image file.
        Returns: way → label, probabilities, notes, doubt and the pixels given to the model, or the error.
        """
        answers_by_way: dict[str, Any] = {}
        good: dict[str, Prepared] = {}
        for way, reader in self._readers.items():
            try:
                good[way] = self._prepared(reader, content)
            except DataError as error:
                answers_by_way[way] = {"error": str(error)}
        if good:
            outputs, unlike = self._ask(np.stack([prepared.pixels for prepared in good.values()]))
            rows = self._task.probabilities(outputs)
            for number, (way, prepared) in enumerate(good.items()):
                row, is_unlike = rows[number], None if unlike is None else bool(unlike[number])
                answers_by_way[way] = {
                    "label": int(row.argmax()),
                    "probabilities": [round(float(p), 6) for p in row],
                    "notes": prepared.notes,
                    "doubt": self.doubt.notes(outputs[number], is_unlike, None),
                    "sees": "data:image/png;base64," + base64.b64encode(png(prepared.pixels)).decode(),
                }
        return answers_by_way

    def look(self, content: bytes, way: str) -> dict[str, Any]:
        """Return the saliency map of the predicted class, scaled so that the largest absolute value is 1.

        Args:
            content: an image file.
            way: how to preprocess it: mnist or plain.
        Raises: DataError: the image cannot be used, or there is no such way.
        """
        if way not in self._readers:
            raise DataError(f"way={way[:20]!r} is not allowed: it must be {' or '.join(self._readers)}")
        pixels = self._prepared(self._readers[way], content).pixels
        label = int(self._predict(pixels[np.newaxis])[0].argmax())
        heat = saliency.occlusion_map(self._predict, pixels, label)
        scaled = heat / max(float(np.abs(heat).max()), 1e-6)
        return {"label": label, "heat": (np.round(scaled.astype(np.float64), 3) + 0.0).tolist()}

    def warm_up(self) -> None:
        """Make one prediction each way, so that the first request need not wait for Keras to compile."""
        image = np.zeros((64, 64, 1), np.uint8)
        image[20:44, 30:34] = 255
        for way in self._readers:
            self.look(png(image), way)
        self.read(png(image))

    def _prepared(self, reader: Reader, content: bytes) -> Prepared:
        with self._reading:  # One at a time: decoding the largest image takes more than a gigabyte.
            return reader.read(content)

    def _predict(self, images: Array) -> Array:
        return self._task.probabilities(self._ask(images)[0])

    def _ask(self, images: Array) -> tuple[Array, Array | None]:
        """Return the model's outputs for prepared images, and whether each is unlike all training images, or None."""
        with self._lock:
            outputs, unlike = self._predictor.ask(self._raw(images), images)
        if not np.isfinite(outputs).all():
            raise DataError(preprocessing.NO_NUMBER)
        return outputs, unlike


def png(pixels: Array) -> bytes:
    """Return the bytes of a PNG file. `pixels` has shape (height, width, channels) and values 0 to 255."""
    from PIL import Image

    whole = np.rint(pixels).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(whole[..., 0] if whole.shape[2] == 1 else whole).save(content, "PNG")
    return content.getvalue()


def mistakes_or_why_none(run: StoredRun, settings: "Settings | SettingsError") -> Mistakes:
    """Return the mistakes of a run, or `Mistakes.why_none` if they cannot be shown here."""
    try:
        if isinstance(settings, SettingsError):
            raise settings
        return find_mistakes(run, settings)
    except SettingsError as error:
        return Mistakes(why_none=error.problems[0])
