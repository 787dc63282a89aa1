"""What a training minimizes and what it says of it: one loss everywhere, penalties apart, images that count more."""

import dataclasses

import keras
import numpy as np
import pytest

from mnist_exp import compose, data
from mnist_exp.tasks.classification import Classification
from mnist_exp.training import setup, testing
from mnist_exp.training.build import Goal
from mnist_exp.training.fit import fit
from mnist_exp.training.prepare import prepare
from mnist_exp.training.scores import Scores

SMALL = ["data=mnist_5k", "data.limit=300", "data.validation=100", "model=mlp", "model.hidden_units=[16]"]
SMALL += ["trainer.epochs=2", "trainer.batch_size=50"]


@pytest.fixture(scope="module")
def dataset():
    return data.load(compose(SMALL))


class WithPenalty:
    """A builder of a model whose weights, or answers, cost something by themselves."""

    target, name, trusted = "own.net", "net", ()

    def __init__(self, strength, *, of_answers=False):
        self._strength, self._of_answers = strength, of_answers

    def build(self, input_shape, classes):
        layers = [keras.Input(input_shape), keras.layers.Flatten()]
        if self._of_answers:
            layers.append(keras.layers.ActivityRegularization(l2=self._strength))
        penalty = None if self._of_answers else keras.regularizers.L2(self._strength)
        layers.append(keras.layers.Dense(classes, activation="softmax", kernel_regularizer=penalty))
        return keras.Sequential(layers)


def trained(dataset, *overrides, model=None):
    settings = compose([*SMALL, *overrides])
    if model is not None:
        settings = dataclasses.replace(settings, model=model)
    setup.set_up(settings.seed, settings.trainer)
    split = data.split(dataset, limit=settings.data.limit, validation=settings.data.validation, seed=settings.seed)
    training = prepare(settings, dataset, split)
    return training, fit(training.request(lambda epoch, metrics: True, None)).history


@pytest.mark.parametrize("of_answers", [False, True])
def test_penalty_has_its_own_name_and_is_in_no_loss(of_answers, dataset):
    """Keras's own val_loss holds it: a search over its strength would rank the penalties."""
    training, history = trained(dataset, model=WithPenalty(0.1, of_answers=of_answers))
    model, split = training.models.training_model, training.split
    theirs = model.evaluate(split.x_val, split.y_val, batch_size=100, verbose=0)[0]
    assert history["val_loss"][-1] + history["penalty"][-1] == pytest.approx(theirs, rel=1e-3)
    assert history["penalty"][-1] > 0.1
    outputs, tested = training.test()
    true = outputs[np.arange(len(outputs)), dataset.y_test].astype(np.float64)
    assert tested["loss"] == pytest.approx(-np.log(true).mean(), rel=1e-5)
    if not of_answers:
        kernel = model.trainable_variables[-2].numpy()
        assert history["penalty"][-1] == pytest.approx(0.1 * (kernel**2).sum(), rel=1e-3)


@pytest.mark.slow
def test_validation_and_test_of_the_same_images_have_one_loss(dataset):
    """Whatever the loss, the metrics and the penalty."""
    for words in ([], ["loss=focal"], ["loss=mse"], ["loss=crossentropy", "loss.label_smoothing=0.1"]):
        overrides = [*words, "metrics=imbalanced", "data.validation=test"]
        training, history = trained(dataset, *overrides, model=WithPenalty(0.01))
        _, tested = training.test()
        for name, value in tested.items():
            assert history[f"val_{name}"][-1] == pytest.approx(value, rel=1e-5), name


@pytest.mark.slow
def test_model_without_penalty_has_no_metric_of_it(dataset):
    assert "penalty" not in trained(dataset)[1]


def test_weights_change_the_training_and_not_what_is_said_of_it(dataset):
    """A class that does not count is not learnt; the losses and accuracies are those of all images alike."""
    training, history = trained(dataset, "trainer.class_weight={3: 0}", "trainer.epochs=8")
    outputs, tested = training.test()
    said = outputs.argmax(axis=1)
    assert (said[dataset.y_test == 3] == 3).sum() == 0
    assert tested["accuracy"] > 0.3
    assert "penalty" not in history
    model, split = training.models.training_model, training.split
    plain = model.evaluate(split.x_val, split.y_val, batch_size=100, verbose=0)[0]
    assert history["val_loss"][-1] == pytest.approx(plain, rel=1e-5)


def test_weight_of_the_data_is_as_often_as_it_says(dataset):
    """Twice the weight of an image is, in the sum, the image twice."""
    weights = np.ones(len(dataset.y_train), np.float32)
    weights[dataset.y_train == 7] = 0
    training, _ = trained(dataclasses.replace(dataset, weights=weights), "trainer.epochs=8")
    outputs, _ = training.test()
    assert (outputs.argmax(axis=1)[dataset.y_test == 7] == 7).sum() == 0


def test_loss_of_a_sure_mistake_is_not_cut_off():
    """A probability below 1e-38 is 0 in float32, and its loss was 87 at most; its logits have the true one."""
    raw = np.array([[200.0, 0.0], [0.0, 1.0]], np.float32)
    outputs = np.array([[1.0, 0.0], [0.26894143, 0.7310586]], np.float32)
    task = Classification()
    goal = Goal(task, keras.losses.SparseCategoricalCrossentropy(from_logits=True), is_raw=True)
    y = np.array([1, 1])
    found = testing.measured(outputs, raw, goal.loss, task, Scores(task, {}, 2), y)
    assert found["loss"] == pytest.approx((200 + 0.31326) / 2, rel=1e-5)
    assert found["loss"] == pytest.approx(float(goal.loss(y, raw)), rel=1e-5)


def test_predictions_from_logits_are_those_of_the_recorded_model_to_the_last_bit(dataset):
    from mnist_exp.training.predict import predict

    training, _ = trained(dataset)
    outputs, _ = training.test()
    np.testing.assert_array_equal(outputs, predict(training.models.inference_model, dataset.x_test))
