"""Floating-point operations of a model: exact for known layers, never guessed for others."""

import keras
import pytest
from keras import layers

from mnist_exp.models import cnn
from mnist_exp.training import flops


def of(*stack, shape=(8, 8, 3)):
    return flops.forward(keras.Sequential([keras.Input(shape), *stack]))


def test_flops_of_the_baseline():
    convolution, pooled, hidden, read = 2 * 25 * 32 * 24 * 24, 32 * 12 * 12, 2 * 4608 * 128, 2 * 128 * 10
    passed_on = pooled * 3  # by pooling, dropout, flattening
    assert flops.forward(cnn((28, 28, 1), 10)) == convolution + passed_on + hidden + read


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.Conv2D(4, 3), 2 * 9 * 3 * 4 * 36),
        (layers.Conv2D(4, 3, strides=2, padding="same"), 2 * 9 * 3 * 4 * 16),
        (layers.Conv2DTranspose(4, 3, strides=2), 2 * 9 * 3 * 4 * 64),
        (layers.DepthwiseConv2D(3), 2 * 9 * 3 * 36),
        (layers.SeparableConv2D(4, 3), 2 * (9 * 3 + 3 * 4) * 36),
        (layers.Dense(5), 2 * 3 * 5 * 64),
        (layers.ReLU(), 192),
        (layers.BatchNormalization(), 192),
    ],
    ids=lambda value: type(value).__name__,
)
def test_flops_of_each_layer(layer, expected):
    assert of(layer) == expected


def test_nested_models_count():
    inner = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)])
    assert of(inner, layers.ReLU()) == 2 * 9 * 3 * 4 * 36 + 4 * 36


def test_layer_of_a_user_is_not_guessed():
    class Own(layers.Layer):
        def call(self, x):
            return x

    assert of(Own()) is None
    assert of(layers.Reshape((8, 24)), layers.LSTM(4)) is None


def test_layer_called_twice_counts_twice():
    inputs, layer = keras.Input((8, 8, 3)), layers.Conv2D(3, 3, padding="same")
    assert flops.forward(keras.Model(inputs, layer(layer(inputs)))) == 2 * (2 * 9 * 3 * 3 * 64)


def test_model_with_its_own_call_is_not_guessed():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(4)

        def call(self, x):
            return self.dense(self.dense(x))

    own = Own()
    own(keras.ops.zeros((1, 4)))
    assert flops.forward(own) is None
    inputs = keras.Input((8, 8))
    assert flops.forward(keras.Model(inputs, layers.Dense(2)(keras.ops.matmul(inputs, inputs)))) is None
