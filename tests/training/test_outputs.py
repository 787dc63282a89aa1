"""What a network returns is found out; trainings are from logits, and the recorded model returns probabilities."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

from mnist_exp.composition.compose import compose
from mnist_exp.errors import SettingsError
from mnist_exp.tasks.classification import Classification
from mnist_exp.training import outputs
from mnist_exp.training.build import build

SHAPE, CLASSES = (6, 6, 1), 3


@pytest.fixture(autouse=True)
def full_precision():
    yield
    keras.config.set_dtype_policy("float32")


def sequential(*last):
    return keras.Sequential([keras.Input(SHAPE), layers.Flatten(), *last])


def functional(*last):
    inputs = keras.Input(SHAPE)
    answers = layers.Flatten()(inputs)
    for layer in last:
        answers = layer(answers)
    return keras.Model(inputs, answers)


class Scaled(keras.Model):
    """One of whose answers Keras knows nothing."""

    def __init__(self, activation):
        super().__init__()
        self.inner = sequential(layers.Dense(CLASSES, activation=activation))

    def call(self, x):
        return self.inner(x)


def zero_start(activation):
    """A last layer whose untrained answers look like probabilities, whatever its activation."""
    bias = keras.initializers.Constant(1 / CLASSES)
    return layers.Dense(CLASSES, activation, kernel_initializer="zeros", bias_initializer=bias)


PROBABILITIES = {
    "dense": lambda: sequential(layers.Dense(CLASSES, activation="softmax")),
    "activation": lambda: functional(layers.Dense(CLASSES), layers.Activation("softmax")),
    "softmax layer": lambda: functional(layers.Dense(CLASSES), layers.Softmax()),
    "within another model": lambda: keras.Sequential(
        [keras.Input(SHAPE), sequential(layers.Dense(CLASSES, activation="softmax"))]
    ),
}
BY_THEIR_ANSWERS = {
    "cast after the softmax": lambda: sequential(
        layers.Dense(CLASSES, activation="softmax"), layers.Activation("linear", dtype="float32")
    ),
    "reshaped after the softmax": lambda: sequential(
        layers.Dense(CLASSES, activation="softmax"), layers.Reshape((CLASSES,))
    ),
    "subclass": lambda: Scaled("softmax"),
    "a function as activation": lambda: sequential(layers.Dense(CLASSES, activation=lambda x: keras.ops.softmax(x))),
}
LOGITS = {
    "dense": lambda: sequential(layers.Dense(CLASSES)),
    "with a start that looks like probabilities": lambda: sequential(zero_start(None)),
    "reshaped": lambda: sequential(layers.Dense(CLASSES), layers.Reshape((CLASSES,))),
    "subclass": lambda: Scaled(None),
    "cast": lambda: sequential(layers.Dense(CLASSES), layers.Activation("linear", dtype="float32")),
}


@pytest.mark.parametrize("kind", PROBABILITIES)
def test_softmax_is_found_and_taken_away_without_a_copy_of_the_weights(kind):
    network = PROBABILITIES[kind]()
    found = outputs.of(network, SHAPE, "t")
    assert not found.are_raw and found.head is not None
    before = network.get_config()

    def replace(layer):
        return outputs.without_activation(layer) if layer is found.head else layer

    logits = outputs.replaced(network, replace)
    assert [id(v) for v in logits.variables] == [id(v) for v in network.variables]
    x = np.random.default_rng(0).normal(size=(5, *SHAPE)).astype(np.float32)
    answers = keras.ops.convert_to_numpy(logits(x))
    assert not np.allclose(answers.sum(axis=1), 1, atol=0.1)
    np.testing.assert_allclose(keras.ops.softmax(answers), keras.ops.convert_to_numpy(network(x)), rtol=1e-6)
    assert network.get_config() == before, "what is saved has the softmax"


@pytest.mark.parametrize("kind", BY_THEIR_ANSWERS)
def test_probabilities_are_known_by_their_answers(kind):
    assert outputs.of(BY_THEIR_ANSWERS[kind](), SHAPE, "t") == outputs.Outputs(are_raw=False)


@pytest.mark.parametrize("kind", LOGITS)
def test_logits_are_known(kind):
    assert outputs.of(LOGITS[kind](), SHAPE, "t") == outputs.Outputs(are_raw=True)


@pytest.mark.parametrize("activation", ["sigmoid", "relu", "tanh"])
def test_other_activations_are_refused_with_what_to_write(activation):
    with pytest.raises(
        SettingsError, match=f"my.net ends with the activation {activation}, .*: let it end with softmax"
    ):
        outputs.of(sequential(layers.Dense(CLASSES, activation=activation)), SHAPE, "my.net")


def test_softmax_that_is_used_twice_stays():
    twice = layers.Activation("softmax")
    inputs = keras.Input(SHAPE)
    first = twice(layers.Dense(CLASSES)(layers.Flatten()(inputs)))
    network = keras.Model(inputs, twice(layers.Dense(CLASSES)(first)))
    assert outputs.of(network, SHAPE, "t") == outputs.Outputs(are_raw=False)


class Trains(keras.Model):
    def train_step(self, data):
        return {}


class Loses(keras.Sequential):
    def compute_loss(self, **given):
        return 0.0


@pytest.mark.parametrize(("kind", "method"), [(Trains, "train_step"), (Loses, "compute_loss")])
def test_model_that_trains_itself_is_refused(kind, method):
    with pytest.raises(SettingsError, match=rf"returns a {kind.__name__} with its own {method}\(\)"):
        outputs.check_training_methods(kind(), "t")
    outputs.check_training_methods(Scaled("softmax"), "t")


class Builder:
    """In place of a component that names a builder."""

    def __init__(self, network):
        self.network, self.target, self.name, self.arguments = network, "my.net", "net", {}

    def build(self, *given):
        return self.network


def built(network, *words):
    settings = compose(["data=mnist_5k", "model=mlp", *words])
    return build(dataclasses.replace(settings, model=Builder(network)), SHAPE, Classification(), CLASSES, 100)


def trained(models):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, *SHAPE)).astype(np.uint8), rng.integers(0, CLASSES, 60)
    history = models.training_model.fit(x, y, epochs=3, batch_size=20, shuffle=False, verbose=0).history
    return history, keras.ops.convert_to_numpy(models.inference_model(x))


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_logits_and_softmax_of_the_same_weights_train_alike_and_answer_alike(precision):
    keras.config.set_dtype_policy(precision)
    found = []
    for last in (None, "softmax"):
        keras.utils.set_random_seed(1)
        models = built(sequential(layers.Dense(CLASSES, activation=last, dtype="float32")))
        assert models.training_model.loss.from_logits
        found.append((*trained(models), models.remarks))
    (one, answers, remarks), (other, same, none) = found
    assert one == other
    np.testing.assert_allclose(answers, same, atol=1e-6)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    assert none == ()
    assert remarks == ("the model returns logits: it is trained from them, and the recorded one returns probabilities",)


def test_confident_mistake_costs_what_it_should():
    """Of the probability alone, 0 in float32, Keras would make a loss of 16."""
    network = sequential(layers.Dense(CLASSES, "softmax", kernel_initializer="zeros"))
    network.layers[-1].bias.assign([150.0, 0.0, 0.0])
    models = built(network, "optimizer=sgd", "optimizer.learning_rate=1e-9")
    x, y = np.zeros((4, *SHAPE), np.uint8), np.full(4, 2)
    assert models.training_model.evaluate(x, y, verbose=0)[0] == pytest.approx(150)


def test_compiled_model_is_told():
    network = sequential(layers.Dense(CLASSES, activation="softmax"))
    network.compile("sgd", "mse")
    assert built(network).remarks == ("my.net compiles its model: that has no effect, the configuration decides",)
