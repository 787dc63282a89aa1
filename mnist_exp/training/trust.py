"""What the images that a run held out tell of its model's confidence. It takes a fraction of an epoch's validation."""

import math

import keras
import numpy as np

from mnist_exp.data import Dataset, Split
from mnist_exp.data.lazy import Examples, LazyArray
from mnist_exp.evaluation import confidence, likeness
from mnist_exp.evaluation.confidence import Confidence
from mnist_exp.tasks.task import Array
from mnist_exp.training import outputs
from mnist_exp.training.predict import BATCH_SIZE, predict

_MOST, _MOST_LAZY = 3000, 500  # held-out images that are asked
_TRAINED, _TRAINED_LAZY = 1000, 300  # training images whose features are looked at
_VALUES = 50_000_000  # of all images together: of large ones there are fewer
_AT_ONCE = 20_000_000  # values of the images that go through the model together
_LIKE = 1000  # held-out images that decide which are unlike


def measure(model: keras.Model, dataset: Dataset, split: Split) -> Confidence | None:
    """Return how far a trained model is to be trusted, by images that were held out.

    Args:
        model: takes raw values, returns predictions.
        dataset: all of the data.
        split: what was trained and validated on.
    Returns: None where no images were held out, or the task is not one of probabilities.
    """
    task = dataset.task
    if split.validated_on == "test" or task.activation == "linear":
        return None
    some = _some(split.x_val, _MOST_LAZY if isinstance(split.x_val, LazyArray) else _MOST)
    x, targets = split.x_val[some], task.targets(split.y_val[some])
    like, answers = None, None
    if (twin := outputs.with_features(model)) is not None:
        features, answers = features_of(twin, x)
        like = _likeness(twin, dataset, split, features, x)
    answers = predict(model, x) if answers is None else answers
    if not np.isfinite(answers).all() or task.check_outputs(answers, "the model") is not None:
        return None
    return confidence.measure(answers, np.asarray(targets), task.activation, like)


def features_of(twin: keras.Model, x: Array) -> tuple[Array, Array]:
    """Return features and predictions, float32 (n, …), of raw values; not compiled, which takes longer than few images.

    Args:
        twin: by `outputs.with_features`.
        x: raw values, (n, …).
    """
    step = max(1, min(BATCH_SIZE, _AT_ONCE // math.prod(x.shape[1:])))
    parts = [twin(x[start : start + step], training=False) for start in range(0, len(x), step)]
    features, answers = (
        np.concatenate([np.asarray(keras.ops.convert_to_numpy(part[i]), np.float32) for part in parts]) for i in (0, 1)
    )
    return features, answers


def _likeness(twin: keras.Model, dataset: Dataset, split: Split, features: Array, x: Array) -> likeness.Likeness | None:
    some = _some(split.x_train, _TRAINED_LAZY if isinstance(split.x_train, LazyArray) else _TRAINED)
    x_train: Array = split.x_train[some]
    known, _ = features_of(twin, x_train)
    classes = dataset.task.strata(split.y_train[some])
    classes = np.zeros(len(some), np.int64) if classes is None else classes
    few = _some(x, _LIKE)
    return likeness.measure(known, classes, dataset.pictures(x_train), features[few], dataset.pictures(x[few]))


def _some(x: Examples, most: int) -> Array:
    """Return at most so many positions of examples, spread evenly."""
    count = min(len(x), most, max(1, _VALUES // math.prod(x.shape[1:])))
    return np.unique(np.linspace(0, len(x) - 1, count).astype(np.int64))
