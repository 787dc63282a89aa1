"""The reason of a failure is one sentence with the user's own line, whatever Keras and TensorFlow put before it."""

import importlib
import sys

import numpy as np
import pytest

from mnist_exp.errors import SettingsError
from mnist_exp.runtime import reasons

NETS = """
import keras
import numpy as np
import tensorflow as tf

class Unknown(keras.layers.Layer):
    def call(self, x):
        return x + undefined

class Shapes(keras.layers.Layer):
    def call(self, x):
        return keras.ops.matmul(x, keras.ops.ones((3, 3)))

class InTraining(keras.layers.Layer):
    def call(self, x, training=None):
        return keras.ops.reshape(x, (5,)) if training else x

class InGraph(keras.layers.Layer):
    def call(self, x):
        with tf.control_dependencies([tf.debugging.assert_less(x, -1.0, "too large")]):
            return tf.identity(x)

def fit(layer):
    model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(np.ones((8, 4)), np.zeros(8), verbose=0)

def large():
    return tf.ones((200_000, 500_000_000))
"""


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "shop").mkdir()
    (folder / "shop/__init__.py").write_text("")
    (folder / "shop/nets.py").write_text(NETS)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("shop.nets")
    sys.path.remove(str(folder))
    del sys.modules["shop.nets"], sys.modules["shop"]


def raised(action):
    with pytest.raises(Exception) as caught:
        action()
    return caught.value


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ("Unknown", "NameError: name 'undefined' is not defined (shop/nets.py, line 8)"),
        ("Shapes", "ValueError: Dimensions must be equal, but are 4 and 3 with input shapes: [?,4], [3,3]. (shop/nets"),
        (
            "InTraining",
            "ValueError: Dimension size must be evenly divisible by 4 but is 5 with input shapes: [?,4], [1]",
        ),
        ("InGraph", "InvalidArgumentError: assertion failed: [too large] [Condition x < y did not hold element-wise:]"),
    ],
)
def test_reason_is_the_point_and_the_own_line(nets, layer, expected):
    error = raised(lambda: nets.fit(getattr(nets, layer)()))
    assert reasons.reason(error).startswith(expected)
    lines = {"Unknown": 8, "Shapes": 12, "InTraining": 16, "InGraph": 20}
    assert reasons.where(error) == f"shop/nets.py, line {lines[layer]}"
    assert "\x1b" not in reasons.reason(error)
    assert reasons.out_of_memory(error) == ""


def test_reason_of_an_error_of_this_package_is_its_message():
    assert reasons.reason(SettingsError("seed=-1 is not allowed")) == "seed=-1 is not allowed"
    assert reasons.reason(KeyError()) == "KeyError"


def test_cause_of_a_wrapped_error_has_the_line(nets):
    def wrapped():
        try:
            nets.fit(None)
        except Exception as error:
            raise SettingsError("model: it refuses its arguments") from error

    assert reasons.reason(raised(wrapped)).startswith("model: it refuses its arguments (shop/nets.py, line ")


@pytest.mark.slow
def test_memory_that_ran_out_is_told_with_the_size(nets):
    error = raised(nets.large)
    assert reasons.out_of_memory(error) == "out of memory: an array of the shape 200000×500000000 needs 400,000.0 GB"
    assert reasons.out_of_memory(raised(lambda: np.empty((1 << 40, 1 << 10)))).endswith("needs 9,007,199.3 GB")
    assert reasons.out_of_memory(MemoryError()) == "out of memory"
    assert reasons.out_of_memory(ValueError("RESOURCE_EXHAUSTED: Out of memory")) == "out of memory"
