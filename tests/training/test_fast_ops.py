"""Fast dropout and Adam compute what those of Keras compute."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from mnist_exp.training.fast_ops import QuickAdam, QuickDropout, is_made_of_layers, quicken
from mnist_exp.training.outputs import replaced


def trained(kind, steps, **arguments):
    rng = np.random.default_rng(0)
    variables = [keras.Variable(rng.normal(size=shape).astype(np.float32)) for shape in ((3, 4), (5,))]
    optimizer = kind(**arguments)
    for _ in range(steps):
        gradients = [keras.ops.convert_to_tensor(rng.normal(size=v.shape).astype(np.float32)) for v in variables]
        optimizer.apply(gradients, variables)
    return [np.asarray(v) for v in (*variables, *optimizer.variables)]


def assert_equal(arguments, steps=7):
    ours, keras_own = trained(QuickAdam, steps, **arguments), trained(keras.optimizers.Adam, steps, **arguments)
    assert len(ours) == len(keras_own)
    for one, other in zip(ours, keras_own, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)


# Up to 0.999, the default: float32 has few digits of 1 - 0.9999, and Keras and TensorFlow round it differently.
@settings(max_examples=30, deadline=None)
@given(
    st.floats(1e-5, 0.1), st.floats(0, 0.99), st.floats(0.1, 0.999), st.sampled_from([1e-7, 1e-3]), st.integers(1, 9)
)
def test_updates_equal_those_of_keras(learning_rate, beta_1, beta_2, epsilon, steps):
    assert_equal({"learning_rate": learning_rate, "beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}, steps)


@pytest.mark.parametrize(
    "arguments",
    [
        {"amsgrad": True},
        {"weight_decay": 0.01},
        {"global_clipnorm": 0.5},
        {"use_ema": True, "ema_overwrite_frequency": 3},
        {"gradient_accumulation_steps": 2},
        {"learning_rate": keras.optimizers.schedules.ExponentialDecay(0.01, 3, 0.5)},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_optional_arguments_of_keras_adam_work(arguments):
    assert_equal({"learning_rate": 0.01} | arguments)


def quick(rate, seed=1):
    return QuickDropout(layers.Dropout(rate, seed=seed))


@pytest.mark.parametrize("rate", [0.003, 0.1, 0.3, 0.5, 0.95])
def test_dropout_has_the_right_share_and_scale(rate):
    out = np.asarray(quick(rate)(np.ones((1000, 201), np.float32), training=True))
    values = np.unique(out)
    assert len(values) == 2
    assert values[0] == 0
    assert values[1] == pytest.approx(1 / (1 - rate), rel=2e-4)
    n = out.size
    dropped = (out == 0).sum()
    assert abs(dropped - n * rate) < 5 * np.sqrt(n * rate * (1 - rate))


def test_dropout_of_neighbours_rows_and_steps_is_independent():
    layer, ones = quick(0.5), np.ones((1000, 200), np.float32)
    first, second = (np.asarray(layer(ones, training=True)) > 0 for _ in range(2))
    for one, other in ((first[:, 1:], first[:, :-1]), (first[1:], first[:-1]), (first, second)):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(one.size)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=2, max_size=4), st.sampled_from(["float32", "bfloat16", "float16"]))
def test_dropout_takes_any_shape_and_precision(shape, dtype):
    layer = QuickDropout(layers.Dropout(0.4, dtype=dtype))
    x = keras.ops.cast(np.ones(shape), dtype)
    out = layer(x, training=True)
    assert tuple(out.shape) == tuple(shape)
    assert keras.backend.standardize_dtype(out.dtype) == dtype
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(x)), keras.ops.convert_to_numpy(x))


def test_gradient_passes_only_kept_values():
    import tensorflow as tf

    x = tf.Variable(np.ones((50, 50), np.float32))
    with tf.GradientTape() as tape:
        out = quick(0.3)(x, training=True)
    np.testing.assert_array_equal(np.asarray(tape.gradient(out, x)), np.asarray(out))


def test_fast_model_shares_everything_but_its_dropout():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.Dropout(0.2)], name="inner")
    inputs = keras.Input((4,))
    network = keras.Model(inputs, layers.Dropout(0.5)(inner(inputs)) + inputs)
    found = replaced(network, quicken)
    assert [type(layer).__name__ for layer in found.layers if "drop" in layer.name] == ["QuickDropout"]
    assert type(found.get_layer("inner").layers[-1]) is QuickDropout
    assert found.get_layer("inner").layers[0] is inner.layers[0]
    assert [id(v) for v in found.variables] == [id(v) for v in network.variables]
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_array_equal(found(x), network(x))
    assert type(network.layers[-1]) is not QuickDropout


def test_dropout_in_an_inner_model_only_is_found():
    inner = keras.Sequential([keras.Input((4,)), layers.Dropout(0.2)])
    assert type(replaced(keras.Sequential([keras.Input((4,)), inner]), quicken).layers[0].layers[0]) is QuickDropout


def test_special_layers_are_not_replaced():
    class Own(keras.Model):
        def call(self, x):
            return x

    class Kind(layers.Dropout):
        pass

    assert not is_made_of_layers(Own())
    for layer in (
        Kind(0.3),
        layers.Dropout(0.3, noise_shape=(None, 1)),
        layers.Dropout(0),
        layers.Dropout(1e-6),
        layers.Dropout(1 - 1e-6),
        layers.SpatialDropout1D(0.1),
    ):
        assert quicken(layer) is layer


def test_inner_model_with_its_own_call_is_not_replaced():
    class Net(keras.Model):
        def __init__(self):
            inputs = keras.Input((4,))
            super().__init__(inputs, layers.Dropout(0.5)(inputs))

        def call(self, x, training=False):
            return 100 * super().call(x, training=training)

    inputs = keras.Input((4,))
    network = keras.Model(inputs, Net()(layers.Dropout(0.1)(inputs)))
    assert not is_made_of_layers(network)
