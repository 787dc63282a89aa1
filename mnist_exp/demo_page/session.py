"""What the page shows of one run: its answers, what it sees, where it looks, its mistakes."""

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
from mnist_exp.inference.mnist_style import Prepared
from mnist_exp.inference.preprocessing import MNIST, PLAIN, Reader
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    import keras

    from mnist_exp.config.schema import Settings

MOST_MISTAKES = 60


@dataclass(frozen=True)
class Mistakes:
    """What a run got wrong on its test set, the surest first.

    Args:
        images: uint8 or float32 (n, height, width, channels).
        labels: int64 (n,), what is true.
        predicted: int64 (n,).
        probability: float64 (n,), of what was predicted.
        count: how many there are in all.
        tested: images that were tested.
        why_none: a sentence where there is nothing to show.
    """

    images: Array = field(default_factory=lambda: np.zeros((0, 1, 1, 1), np.uint8))
    labels: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    predicted: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    probability: Array = field(default_factory=lambda: np.zeros(0))
    count: int = 0
    tested: int = 0
    why_none: str = ""


def find_mistakes(run: StoredRun, settings: "Settings") -> Mistakes:
    """Return what a run got wrong, as far as its record and its data are to be had here. Raises: SettingsError."""
    from mnist_exp.experiment import recall

    seen = run.predictions()
    dataset = recall.load_data(run, settings)
    if not np.array_equal(seen.labels, dataset.y_test) or int(seen.predicted.max()) >= dataset.classes:
        raise DataError("what was recorded of the test set does not fit the data found here")
    wrong = np.flatnonzero(seen.predicted != seen.labels)
    if not len(wrong):
        return Mistakes(tested=len(seen.labels), why_none="it made none")
    chosen = wrong[np.argsort(-seen.probability[wrong], kind="stable")][:MOST_MISTAKES]
    parts = (seen.labels[chosen], seen.predicted[chosen], seen.probability[chosen])
    return Mistakes(dataset.x_test[chosen], *parts, count=len(wrong), tested=len(seen.labels))


class Exhibit:
    """A model and what is known of its run. Methods may be called from several threads; the model works for one.

    Args:
        run: that recorded it.
        model: from pixels to probabilities.
        mistakes: of the run.
    """

    def __init__(self, run: StoredRun, model: "keras.Model", mistakes: Mistakes) -> None:
        self.mistakes = mistakes
        self._run, self._model, self._lock, self._reading = run, model, threading.Lock(), threading.Lock()
        self._shape = preprocessing.shape_of(model.input_shape, run)
        self._classes = int(model.output_shape[-1])
        self._names = preprocessing.class_names(run, self._classes) or tuple(map(str, range(self._classes)))
        usual = preprocessing.reader(run, self._shape)
        ways = (MNIST, PLAIN) if usual.way == MNIST else (PLAIN,)
        self._readers: Mapping[str, Reader] = {way: preprocessing.reader(run, self._shape, way) for way in ways}

    def about(self) -> dict[str, Any]:
        """Return what stands above and below the drawing."""
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
        """Return, for each way to prepare it, what the model reads in an image and the pixels that it was given."""
        found: dict[str, Any] = {}
        good: dict[str, Prepared] = {}
        for way, reader in self._readers.items():
            try:
                good[way] = self._prepared(reader, content)
            except DataError as error:
                found[way] = {"error": str(error)}
        if good:
            answers = self._predict(np.stack([prepared.pixels for prepared in good.values()]))
            for (way, prepared), row in zip(good.items(), answers, strict=True):
                found[way] = {
                    "label": int(row.argmax()),
                    "probabilities": [round(float(p), 6) for p in row],
                    "notes": prepared.notes,
                    "sees": "data:image/png;base64," + base64.b64encode(png(prepared.pixels)).decode(),
                }
        return found

    def look(self, content: bytes, way: str) -> dict[str, Any]:
        """Return how much each pixel speaks for what the model reads, most first scaled to 1.

        Raises: DataError: the image is not good, or there is no such way to prepare it.
        """
        if way not in self._readers:
            raise DataError(f"way={way[:20]!r} is not allowed: it must be {' or '.join(self._readers)}")
        pixels = self._prepared(self._readers[way], content).pixels
        label = int(self._predict(pixels[np.newaxis])[0].argmax())
        heat = saliency.occlusion_map(self._predict, pixels, label)
        scaled = heat / max(float(np.abs(heat).max()), 1e-6)
        return {"label": label, "heat": (np.round(scaled.astype(np.float64), 3) + 0.0).tolist()}

    def warm_up(self) -> None:
        """Let Keras and the image library make what they make once."""
        image = np.zeros((64, 64, 1), np.uint8)
        image[20:44, 30:34] = 255
        for way in self._readers:
            self.look(png(image), way)
        self.read(png(image))

    def _prepared(self, reader: Reader, content: bytes) -> Prepared:
        with self._reading:  # One at a time: the largest image takes more than a gigabyte while it is read.
            return reader.read(content)

    def _predict(self, images: Array) -> Array:
        # Called as a function of arrays: `Model.predict` starts threads and callbacks, 20 ms for a single image.
        with self._lock:
            found = np.asarray(self._call(images), np.float32)
        if not np.isfinite(found).all():
            raise DataError(preprocessing.NO_NUMBER)
        return found

    def _call(self, images: Array) -> Any:
        import keras

        return keras.ops.convert_to_numpy(self._model(images, training=False))


def png(pixels: Array) -> bytes:
    """Return an image of shape (height, width, channels), 0 to 255, as a PNG file."""
    from PIL import Image

    whole = np.rint(pixels).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(whole[..., 0] if whole.shape[2] == 1 else whole).save(content, "PNG")
    return content.getvalue()


def mistakes_or_why_none(run: StoredRun, settings: "Settings | SettingsError") -> Mistakes:
    """Return what a run got wrong, or a sentence on why that cannot be shown here."""
    try:
        if isinstance(settings, SettingsError):
            raise settings
        return find_mistakes(run, settings)
    except SettingsError as error:
        return Mistakes(why_none=error.problems[0])
