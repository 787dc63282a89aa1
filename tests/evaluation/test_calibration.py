"""The temperature is the one with the highest likelihood, and takes away the confidence that is too much."""

import numpy as np
import pytest
from scipy import optimize

from mnist_exp.evaluation import calibration


def drawn(activation, temperature, count=4000, outputs=5):
    """Return probabilities that are too sharp by a temperature, and labels of the true ones."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (count, outputs))
    if activation == "softmax":
        true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        targets = np.array([random.choice(outputs, p=row) for row in true])
        sharp = np.exp(logits * temperature)
        return (sharp / sharp.sum(axis=1, keepdims=True)).astype(np.float32), targets
    targets = (random.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    return (1 / (1 + np.exp(-logits * temperature))).astype(np.float32), targets


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_known_temperature_is_found_and_has_the_least_loss(activation, temperature):
    outputs, targets = drawn(activation, temperature)
    found = calibration.fitted(outputs, targets, activation)
    assert found == pytest.approx(temperature, rel=0.06)

    def loss(inverse):
        return calibration.loss(calibration.softened(outputs, activation, 1 / inverse), targets, activation)

    reference = optimize.minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-8})
    assert loss(1 / found) == pytest.approx(reference.fun, abs=1e-9)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_temperature_of_1_changes_nothing_and_no_answer_changes(activation):
    outputs, targets = drawn(activation, 2.0)
    np.testing.assert_allclose(calibration.softened(outputs, activation, 1.0), outputs, atol=1e-6)
    soft = calibration.softened(outputs, activation, 3.0)
    assert np.array_equal(
        calibration.are_right(soft, targets, activation), calibration.are_right(outputs, targets, activation)
    )


def test_without_a_mistake_there_is_no_temperature():
    outputs = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    assert calibration.fitted(outputs, np.array([0, 1]), "softmax") is None
    assert calibration.fitted(outputs, np.array([[1, 0], [0, 1]], np.float32), "sigmoid") is None


def test_probabilities_of_0_and_1_are_finite():
    outputs = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], np.float32)
    for activation, targets in (("softmax", np.array([0, 1, 1])), ("sigmoid", np.array([[1, 0], [0, 1], [0, 1]]))):
        temperature = calibration.fitted(outputs, targets, activation)
        soft = calibration.softened(outputs, activation, temperature)
        assert np.isfinite(soft).all()
        assert 0 < soft[0, 0] < 1


def test_confidence_is_that_of_the_class_or_of_the_label_that_is_least_sure():
    outputs = np.array([[0.7, 0.2, 0.1]], np.float32)
    assert calibration.confidence(outputs, "softmax") == pytest.approx(0.7)
    assert calibration.confidence(outputs, "sigmoid") == pytest.approx(0.7)
    assert calibration.confidence(outputs[:, 1:], "sigmoid") == pytest.approx(0.8)
