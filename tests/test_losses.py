"""Losses agree with their definitions, from logits and from probabilities, with whole and with one-hot labels."""

import keras
import numpy as np
import pytest

from mnist_exp.config.components import Component
from mnist_exp.errors import SettingsError
from mnist_exp.tasks.classification import Binary, Classification
from mnist_exp.tasks.multilabel import Multilabel
from mnist_exp.tasks.regression import Regression
from mnist_exp.training import loss

RNG = np.random.default_rng(0)
N, CLASSES = 40, 5
LABELS = RNG.integers(CLASSES, size=N)
LOGITS = RNG.normal(size=(N, CLASSES)).astype(np.float32) * 3
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
TRUE = PROBABILITIES[np.arange(N), LABELS].astype(np.float64)
ONE_HOT = np.eye(CLASSES, dtype=np.float32)[LABELS]
THERE = RNG.integers(2, size=(N, CLASSES)).astype(np.float32)
NUMBERS = RNG.normal(size=(N, CLASSES)).astype(np.float32)


def made(target, activation="softmax", *, from_logits=True, **arguments):
    target = target if "." in target else f"mnist_exp.losses.{target}"
    return loss.make(Component("loss", target, arguments), activation, CLASSES, from_logits=from_logits)


def test_auto_is_keras_own_with_the_same_bits():
    """So that the results of runs from before there was a choice stay as they were."""
    assert type(made("auto")) is keras.losses.SparseCategoricalCrossentropy
    assert type(made("crossentropy")) is keras.losses.SparseCategoricalCrossentropy
    assert type(made("auto", "sigmoid")) is keras.losses.BinaryCrossentropy
    assert type(made("auto", "linear")) is keras.losses.MeanSquaredError


OF_CLASSES = {
    "auto": ({}, -np.log(TRUE)),
    "crossentropy": ({}, -np.log(TRUE)),
    "focal": ({"gamma": 2.0, "alpha": 0.25}, -0.25 * (1 - TRUE) ** 2 * np.log(TRUE)),
    "mse": ({}, ((PROBABILITIES - ONE_HOT) ** 2).mean(axis=1)),
    "mae": ({}, np.abs(PROBABILITIES - ONE_HOT).mean(axis=1)),
    "keras.losses.CategoricalHinge": ({}, None),
    "keras.losses.CategoricalGeneralizedCrossEntropy": ({"q": 0.5}, (1 - TRUE**0.5) / 0.5),
    "keras.losses.KLDivergence": ({}, -np.log(TRUE)),
    "keras.losses.CategoricalFocalCrossentropy": ({}, -0.25 * (1 - TRUE) ** 2 * np.log(TRUE)),
}


@pytest.mark.parametrize("target", OF_CLASSES)
def test_loss_of_classes_is_its_definition_from_logits_and_from_probabilities(target):
    arguments, expected = OF_CLASSES[target]
    of_logits = loss.mean(made(target, **arguments), LABELS, LOGITS)
    of_probabilities = loss.mean(made(target, from_logits=False, **arguments), LABELS, PROBABILITIES)
    assert of_logits == pytest.approx(of_probabilities, rel=1e-4)
    if expected is not None:
        assert of_logits == pytest.approx(expected.mean(), rel=1e-4)


@pytest.mark.parametrize("target", ["focal", "mse", "keras.losses.CategoricalHinge", "crossentropy"])
def test_labels_may_be_mixed(target):
    """As augmentations make them that mix images; whole numbers are the same as one-hot labels."""
    arguments = {"label_smoothing": 0.1} if target == "crossentropy" else {}
    each = made(target, **arguments)
    assert loss.mean(each, LABELS, LOGITS) == pytest.approx(loss.mean(each, ONE_HOT, LOGITS), rel=1e-6)
    mixed = 0.7 * ONE_HOT + 0.3 * np.roll(ONE_HOT, 1, axis=0)
    assert np.isfinite(loss.mean(each, mixed, LOGITS))


def test_focal_loss_of_a_sure_mistake_has_a_gradient():
    """Keras 3.15.1's clips probabilities: the same mistake costs 0.25 × 16.1 at the most, and has no gradient."""
    import tensorflow as tf

    logits = tf.Variable([[0.0, 60.0, 0, 0, 0]])
    with tf.GradientTape() as tape:
        value = made("focal")(np.array([0]), logits)
    assert float(value) == pytest.approx(0.25 * 60, rel=1e-5)
    assert abs(np.asarray(tape.gradient(value, logits))[0, 0]) == pytest.approx(0.25, rel=1e-4)


def test_gamma_0_and_alpha_1_is_cross_entropy():
    plain = made("focal", gamma=0.0, alpha=1.0)
    assert loss.mean(plain, LABELS, LOGITS) == pytest.approx(-np.log(TRUE).mean(), rel=1e-5)


def test_alpha_may_be_a_weight_for_each_class():
    weights = [0.1, 0.2, 0.3, 0.4, 0.5]
    found = loss.mean(made("focal", gamma=0.0, alpha=weights), LABELS, LOGITS)
    assert found == pytest.approx(-(np.array(weights)[LABELS] * np.log(TRUE)).mean(), rel=1e-5)


def test_alpha_of_other_classes_is_told():
    with pytest.raises(SettingsError, match=r"alpha=\[0.1, 0.2\] has 2 numbers for 5 classes; it must be one for each"):
        made("focal", alpha=[0.1, 0.2])
    with pytest.raises(SettingsError, match=r"alpha=\[0.1, 0.2\] must be one number here"):
        made("focal", "sigmoid", alpha=[0.1, 0.2])


def test_smoothing_spreads_over_all_classes():
    found = loss.mean(made("crossentropy", label_smoothing=0.2), LABELS, LOGITS)
    log_p = np.log(PROBABILITIES.astype(np.float64))
    assert found == pytest.approx(-((0.8 * ONE_HOT + 0.2 / CLASSES) * log_p).sum(axis=1).mean(), rel=1e-5)


@pytest.mark.parametrize("target", ["auto", "crossentropy", "focal", "mse", "mae", "huber"])
def test_loss_of_labels_is_the_same_from_logits(target):
    sigmoid = 1 / (1 + np.exp(-LOGITS))
    of_logits = loss.mean(made(target, "sigmoid"), THERE, LOGITS)
    assert of_logits == pytest.approx(loss.mean(made(target, "sigmoid", from_logits=False), THERE, sigmoid), rel=1e-3)


def test_losses_of_numbers():
    errors = np.abs(LOGITS.astype(np.float64) - NUMBERS)
    assert loss.mean(made("auto", "linear"), NUMBERS, LOGITS) == pytest.approx((errors**2).mean(), rel=1e-5)
    assert loss.mean(made("mae", "linear"), NUMBERS, LOGITS) == pytest.approx(errors.mean(), rel=1e-5)
    huber = np.where(errors <= 0.5, errors**2 / 2, 0.5 * errors - 0.125)
    assert loss.mean(made("huber", "linear", delta=0.5), NUMBERS, LOGITS) == pytest.approx(huber.mean(), rel=1e-5)


@pytest.mark.parametrize("name", ["crossentropy", "focal"])
def test_loss_of_classes_refuses_numbers(name):
    with pytest.raises(SettingsError, match=f"loss={name} is for classes and labels: for numbers take loss=mse"):
        made(name, "linear")


def test_what_is_no_loss_is_refused(tmp_path, monkeypatch):
    (tmp_path / "own_losses.py").write_text("def none():\n    return 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingsError, match=r"loss: own_losses.none must return a keras.losses.Loss, not int"):
        loss.make(Component("loss", "own_losses.none", {}, ("own_losses",)), "softmax", CLASSES, from_logits=True)


def test_loss_of_ones_own_gets_one_hot_labels_and_probabilities(tmp_path, monkeypatch):
    (tmp_path / "own_loss.py").write_text(
        "import keras\n\n\nclass Plain(keras.losses.Loss):\n"
        "    def __init__(self, factor: float = 1.0):\n        super().__init__()\n        self.factor = factor\n\n"
        "    def call(self, y_true, y_pred):\n"
        "        return self.factor * keras.ops.sum((y_true - y_pred) ** 2, axis=-1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    component = Component("loss", "own_loss.Plain", {"factor": 2.0}, ("own_loss",))
    found = loss.mean(loss.make(component, "softmax", CLASSES, from_logits=True), LABELS, LOGITS)
    assert found == pytest.approx(2 * ((PROBABILITIES - ONE_HOT) ** 2).sum(axis=1).mean(), rel=1e-5)


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_loss_that_is_no_mean_over_the_images_is_refused(reduction):
    with pytest.raises(SettingsError, match=rf"loss.reduction={reduction}.* is not allowed: losses are means"):
        made("keras.losses.Huber", "linear", reduction=reduction)


TASKS = {"softmax": Classification(), "sigmoid": Multilabel(), "linear": Regression()}
LABELS_OF = {"softmax": LABELS, "sigmoid": THERE, "linear": np.abs(NUMBERS) + 0.1}


def check(name, activation, task=None, y=None, outputs=CLASSES):
    component = Component("loss", f"keras.losses.{name}", {})
    each = loss.make(component, activation, outputs, from_logits=True)
    labels = LABELS_OF[activation] if y is None else y
    loss.check(component, each, task or TASKS[activation], labels, outputs, is_raw=True)


# Of Keras 3.15.1. What is not here is least elsewhere than at right predictions, no number, or of a whole batch.
FIT = {
    "softmax": {
        "CategoricalCrossentropy", "CategoricalFocalCrossentropy", "CategoricalGeneralizedCrossEntropy",
        "CategoricalHinge", "CosineSimilarity", "Huber", "KLDivergence", "LogCosh", "MeanAbsoluteError",
        "MeanSquaredError", "MeanSquaredLogarithmicError", "SparseCategoricalCrossentropy", "BinaryCrossentropy",
        "BinaryFocalCrossentropy", "Hinge", "SquaredHinge", "Poisson", "MeanAbsolutePercentageError",
    },
    "sigmoid": {
        "BinaryCrossentropy", "BinaryFocalCrossentropy", "Hinge", "Huber", "LogCosh", "MeanAbsoluteError",
        "MeanSquaredError", "MeanSquaredLogarithmicError", "SquaredHinge", "CategoricalHinge", "Poisson",
        "MeanAbsolutePercentageError",
    },
    "linear": {
        "Huber", "LogCosh", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError",
        "MeanSquaredLogarithmicError", "Poisson", "CosineSimilarity",
    },
}  # fmt: skip


@pytest.mark.parametrize("activation", FIT)
def test_every_loss_of_keras_fits_a_task_or_is_refused_before_the_training(activation):
    """Keras itself takes each of them for anything, and the training ends as if all were well."""
    found = set()
    for name in sorted(vars(keras.losses)):
        kind = getattr(keras.losses, name)
        if not (isinstance(kind, type) and issubclass(kind, keras.losses.Loss)) or name == "Loss":
            continue
        try:
            check(name, activation)
        except SettingsError as error:
            assert "fit" in str(error), error
        else:
            found.add(name)
    assert found == FIT[activation]


@pytest.mark.parametrize("name", ["CategoricalCrossentropy", "CategoricalFocalCrossentropy", "KLDivergence", "Dice"])
def test_loss_that_learns_nothing_of_one_probability_is_refused(name):
    with pytest.raises(SettingsError, match=rf"keras.losses.{name} does not fit task=binary: it is"):
        check(name, "sigmoid", Binary(), np.array([0, 1]), 1)
    check("BinaryCrossentropy", "sigmoid", Binary(), np.array([0, 1]), 1)


def test_loss_of_probabilities_is_refused_for_numbers():
    with pytest.raises(SettingsError, match="it is not least where the predictions are right"):
        check("BinaryCrossentropy", "linear", y=NUMBERS)
