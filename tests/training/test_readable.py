"""A model that could not be read back is refused before it is trained; what is trusted is read back."""

import subprocess
import sys
from pathlib import Path

import keras
import pytest
from keras import layers
from real_runs import only_run, run

from mnist_exp.composition.compose import compose
from mnist_exp.errors import SettingsError
from mnist_exp.tasks.classification import Classification
from mnist_exp.training import readable
from mnist_exp.training.build import build

NETS = """
import keras
from keras import layers

{layer}

def net(input_shape, classes):
    last = layers.Dense(classes, activation="softmax", dtype="float32")
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), {made}, last])
"""
UNREGISTERED = """
class Twice(layers.Layer):
    def call(self, x):
        return 2 * x
"""
REGISTERED = '\n@keras.saving.register_keras_serializable("acme")' + UNREGISTERED


@pytest.fixture
def acme(alone, monkeypatch):
    """Make a package `acme` whose nets lie in a module that it does not import."""

    def make(layer, made):
        Path("acme").mkdir()
        Path("acme/__init__.py").touch()
        Path("acme/nets.py").write_text(NETS.format(layer=layer, made=made))
        Path("own/model").mkdir(parents=True)
        Path("own/model/mine.yaml").write_text("_target_: acme.nets.net\ntrusted_modules: [acme]\n")
        return ["--config-dir", "own", "model=mine", "data=mnist_5k", "data.limit=200", "trainer.epochs=1"]

    monkeypatch.syspath_prepend(alone)
    yield make
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme"]:
        del sys.modules[name]


@pytest.mark.slow
def test_layer_in_a_submodule_of_a_trusted_package_is_read_back(acme):
    run(*acme(REGISTERED, "Twice()"))
    run_id = only_run().info.run_id
    words = [sys.executable, "-m", "mnist_exp.evaluate", run_id, "--trusted-modules", "acme"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_unregistered_layer_costs_no_training(acme):
    said = run(*acme(UNREGISTERED, "Twice()"), code=2)
    assert "model: what acme.nets.net returns could not be read back once it is recorded" in said
    assert "keras.saving.register_keras_serializable" in said
    assert "epoch" not in said


def inference_model(*inner):
    inputs = keras.Input((4, 4, 1))
    answers = layers.Flatten()(inputs)
    for layer in inner:
        answers = layer(answers)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(answers))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.Lambda(lambda x: x), "holds code of its own"),
        (lambda: layers.Dense(3, activation=lambda x: x), "my.net"),
        (lambda: type("Own", (layers.Layer,), {"call": lambda self, x: x})(), "code of your own"),
    ],
    ids=["Lambda", "lambda as activation", "unregistered layer"],
)
def test_what_cannot_be_read_back_is_told(make, words):
    with pytest.raises(SettingsError, match=r"what my\.net returns could not be read back") as error:
        readable.check(inference_model(make()), "my.net", ())
    assert words in str(error.value)


def test_subclass_without_a_configuration_is_told():
    class Closed(keras.Model):
        def __init__(self, units):
            super().__init__()
            self.units = layers.Dense(units)

        def call(self, x):
            return self.units(x)

    with pytest.raises(SettingsError, match=r"could not be read back"):
        readable.check(inference_model(Closed(3)), "my.net", (__name__,))


@pytest.mark.parametrize("model", ["cnn", "convnet", "resnet", "mlp", "lenet5"])
def test_models_of_this_package_can_be_read_back_and_nothing_is_drawn(model):
    import random

    settings = compose(["data=mnist_5k", f"model={model}"])
    models = build(settings, (28, 28, 1), Classification(), 10, 100)
    before = random.getstate()
    readable.check(models.inference_model, settings.model.target, ())
    assert random.getstate() == before
