"""What a network returns is found out; trainings are from logits, and the recorded model returns probabilities."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

from mnist_exp.composition.compose import compose
from mnist_exp.errors import SettingsError
from mnist_exp.tasks.classification import Binary, Classification
from mnist_exp.tasks.multilabel import Multilabel
from mnist_exp.tasks.regression import Regression
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


def built_for(network, task, count=1):
    settings = compose(["data=mnist_5k", "trainer.epochs=1"])
    return build(dataclasses.replace(settings, model=Builder(network)), SHAPE, task, count, 100)


TASKS = {"binary": (Binary(), 1), "multilabel": (Multilabel(), 3), "regression": (Regression(), 2)}
LAST = {
    "sigmoid": ("binary", "multilabel"),
    "softmax": ("binary", "multilabel", "regression"),  # As the models of this package end; it is taken away.
    None: ("binary", "multilabel", "regression"),
}


@pytest.mark.parametrize(("last", "name"), [(last, name) for last, names in LAST.items() for name in names])
def test_recorded_model_ends_as_its_task_needs_and_is_trained_from_what_comes_before(last, name):
    task, count = TASKS[name]
    made = built_for(sequential(layers.Dense(count, activation=last)), task, count)
    x = (np.random.default_rng(0).random((5, *SHAPE)) * 255).astype(np.float32)
    raw, predicted = (np.asarray(each(x)) for each in (made.training_model, made.inference_model))
    expected = raw if name == "regression" else 1 / (1 + np.exp(-raw.astype(np.float64)))
    np.testing.assert_allclose(predicted, expected, rtol=1e-5)
    assert made.goal.is_raw
    weights = [id(v) for v in made.training_model.trainable_variables]
    assert weights == [id(v) for v in made.inference_model.trainable_variables]
    assert not np.allclose(predicted.sum(axis=1), 1), "no softmax is left"


def test_activation_of_a_regression_stays_as_it_is():
    """Numbers above 0, by softplus: what the user wants, no probabilities."""
    made = built_for(sequential(layers.Dense(2, activation="softplus")), Regression(), 2)
    assert np.asarray(made.training_model(np.zeros((1, *SHAPE)))).min() > 0
    assert made.remarks == ()


def test_probabilities_of_labels_are_known_by_their_answers():
    for network, is_raw in ((ScaledTo("sigmoid"), False), (ScaledTo(None), True)):
        made = built_for(network, Multilabel(), 3)
        assert made.goal.is_raw == is_raw
        assert 0 <= np.asarray(made.inference_model(np.full((4, *SHAPE), 255.0))).min() <= 1


class ScaledTo(keras.Model):
    """One of whose answers Keras knows nothing, for any number of outputs."""

    def __init__(self, activation):
        super().__init__()
        self.inner = sequential(layers.Dense(3, activation=activation, kernel_initializer="normal"))

    def call(self, x):
        return self.inner(x)


def test_softmax_that_cannot_be_taken_away_is_refused_for_other_tasks():
    twice = layers.Activation("softmax")
    inputs = keras.Input(SHAPE)
    first = twice(layers.Dense(2)(layers.Flatten()(inputs)))
    network = keras.Model(inputs, twice(first))
    with pytest.raises(SettingsError, match=r"ends with a softmax, which is for classes, .* let it end with no activ"):
        built_for(network, Regression(), 2)


def test_number_of_outputs_that_does_not_fit_is_told_with_the_task():
    wanted = r"must return probabilities, or logits, of shape \(None, 1\) for task=binary, not \(None, 7\)"
    with pytest.raises(SettingsError, match=wanted):
        built_for(sequential(layers.Dense(7)), Binary(), 1)
    with pytest.raises(SettingsError, match=r"must return numbers of shape \(None, 2\) for task=regression"):
        built_for(sequential(layers.Dense(7)), Regression(), 2)


def behind_a_reshape(activation, count):
    """Nothing but the answers tells what they are."""
    return sequential(layers.Dense(count, activation=activation), layers.Reshape((count,)))


@pytest.mark.parametrize("name", TASKS)
def test_softmax_that_only_the_answers_tell_is_refused_for_other_tasks(name):
    task, count = TASKS[name]
    with pytest.raises(SettingsError, match="answers that add up to 1, as a softmax makes them, which is for classes"):
        built_for(behind_a_reshape("softmax", count), task, count)


def test_sigmoids_that_only_the_answers_tell_are_refused_for_classes():
    with pytest.raises(SettingsError, match=r"from 0 to 1 that do not add up to 1: .* let it end with softmax"):
        built_for(behind_a_reshape("sigmoid", 3), Classification(), 3)


def test_softmax_that_is_taken_away_is_told():
    made = built_for(sequential(layers.Dense(2, activation="softmax")), Regression(), 2)
    (remark,) = made.remarks
    assert remark == "the softmax at the end of the model is for classes: for task=regression there is nothing"


WITH_FEATURES = {
    **PROBABILITIES,
    "one sigmoid": lambda: sequential(layers.Dense(1, activation="sigmoid")),
    "softmax layer within another model": lambda: keras.Sequential(
        [keras.Input(SHAPE), functional(layers.Dense(CLASSES), layers.Softmax())]
    ),
    "after other layers": lambda: functional(
        layers.Dense(5, activation="relu"), layers.Dropout(0.5), layers.Dense(CLASSES, activation="softmax")
    ),
}


@pytest.mark.parametrize("make", WITH_FEATURES.values(), ids=WITH_FEATURES)
def test_features_are_what_the_last_layer_is_given(make):
    model = make()
    x = np.random.default_rng(0).random((4, *SHAPE), np.float32)
    before = np.asarray(model(x, training=False))
    twin = outputs.with_features(model)
    features, answers = (np.asarray(each) for each in twin(x, training=False))
    np.testing.assert_allclose(answers, before, atol=1e-6)
    kernel, bias = model.get_weights()[-2:]
    assert features.shape == (4, len(kernel))
    activate = keras.activations.sigmoid if kernel.shape[1] == 1 else keras.activations.softmax
    np.testing.assert_allclose(np.asarray(activate(features @ kernel + bias)), before, atol=1e-6)
    # The model itself stays what it was, and can be saved.
    assert outputs.with_features(model) is not None
    np.testing.assert_array_equal(np.asarray(model(x, training=False)), before)


def test_models_whose_layers_tell_nothing_have_no_features():
    own = Scaled("softmax")
    own(np.zeros((1, *SHAPE), np.float32))
    assert outputs.with_features(own) is None
    per_pixel = keras.Sequential([keras.Input(SHAPE), layers.Dense(1), layers.Flatten(), layers.Softmax()])
    assert outputs.with_features(per_pixel) is None


@pytest.mark.parametrize("name", ["cnn", "mlp", "convnet", "lenet5", "resnet"])
def test_every_model_of_ours_has_features(name):
    settings = compose([f"model={name}"])
    models = build(settings, (28, 28, 1), Classification(), 10, 100)
    x = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 1), dtype=np.uint8)
    features, answers = (np.asarray(each) for each in outputs.with_features(models.inference_model)(x, training=False))
    assert features.ndim == 2
    np.testing.assert_allclose(answers, np.asarray(models.inference_model(x, training=False)), atol=1e-6)
