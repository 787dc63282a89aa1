"""One conformance suite over every builder that conf/model names."""

import inspect
import itertools

import keras
import numpy as np
import pytest
import yaml

from mnist_exp import models
from mnist_exp.composition.compose import CONF
from mnist_exp.config import components

BUILDERS = sorted(file.stem for file in (CONF / "model").glob("*.yaml"))
BATCH_NORM = 4  # parameters a channel: scale, offset, moving mean and variance


def _residual_block(before, channels, *, projected):
    convolutions = 9 * before * channels + 9 * channels**2 + 2 * BATCH_NORM * channels
    return convolutions + (before * channels + BATCH_NORM * channels if projected else 0)


# Counted by hand from the published layers, for images of 28×28×1 and ten classes.
PARAMETERS = {
    "cnn": (25 * 32 + 32) + (12 * 12 * 32 * 128 + 128) + (128 * 10 + 10),
    "mlp": (784 * 512 + 512) + (512 * 512 + 512) + (512 * 10 + 10),
    "convnet": (25 * 24 + 24) + (9 * 24 * 32 + 32) + (5 * 5 * 32 * 256 + 256) + (256 * 10 + 10),
    "lenet5": (25 * 6 + 6) + (25 * 6 * 16 + 16) + (5 * 5 * 16 * 120 + 120) + (120 * 84 + 84) + (84 * 10 + 10),
    "resnet": (9 * 16 + BATCH_NORM * 16)
    + 2 * _residual_block(16, 16, projected=False)
    + _residual_block(16, 32, projected=True)
    + _residual_block(32, 32, projected=False)
    + _residual_block(32, 64, projected=True)
    + _residual_block(64, 64, projected=False)
    + (64 * 10 + 10),
    # As keras.applications documents MobileNetV3Small without its last layers.
    "backbone": 939_120 + (576 * 10 + 10),
}


@pytest.fixture(autouse=True)
def fresh():
    keras.utils.clear_session()
    keras.utils.set_random_seed(7)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="module")
def images(digits):
    (x, y), _ = digits
    chosen = np.random.default_rng(0).permutation(len(x))[:64]
    return (x[chosen, ..., np.newaxis] / np.float32(255)).astype(np.float32), y[chosen].astype(np.int64)


def build(name, input_shape=(28, 28, 1), classes=10):
    section = yaml.safe_load((CONF / "model" / f"{name}.yaml").read_text())
    component, problems = components.check("model", section, ())
    assert not problems
    return component.build(input_shape, classes)


def test_every_builder_has_a_file_and_a_count():
    assert sorted(PARAMETERS) == BUILDERS
    own = [name for name, member in vars(models).items() if getattr(member, "__module__", "") == models.__name__]
    assert sorted(name for name in own if not name.startswith(("check_", "_"))) == BUILDERS
    assert (PARAMETERS["cnn"], PARAMETERS["lenet5"]) == (592_074, 61_706)


@pytest.mark.parametrize("name", BUILDERS)
def test_returns_probabilities(name, images):
    probabilities = build(name)(images[0]).numpy()
    assert probabilities.shape == (64, 10)
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("name", BUILDERS)
def test_has_the_published_number_of_parameters(name):
    assert build(name).count_params() == PARAMETERS[name]


@pytest.mark.parametrize("name", BUILDERS)
def test_takes_colour_images_and_other_classes(name, images):
    colour = np.repeat(np.pad(images[0], ((0, 0), (2, 2), (2, 2), (0, 0))), 3, axis=-1)
    model = build(name, (32, 32, 3), 5)
    assert model.output_shape == (None, 5)
    np.testing.assert_allclose(model(colour).numpy().sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("name", BUILDERS)
def test_gives_float32_whatever_the_precision(name, images):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = build(name)
    assert any(layer.compute_dtype == "bfloat16" for layer in model.layers)
    assert model(images[0]).dtype == "float32"


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILDERS)
def test_is_the_same_after_saving_and_loading(name, images, tmp_path):
    model = build(name)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(images[0]), model(images[0]))


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILDERS)
def test_learns(name, images):
    model = build(name)
    model.compile("adam", "sparse_categorical_crossentropy")
    losses = [model.train_on_batch(*images) for _ in range(12)]
    # Each is the mean over the steps so far.
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("name", [name for name in BUILDERS if hasattr(models, f"check_{name}")])
def test_check_has_the_defaults_of_its_builder(name):
    builder = inspect.signature(getattr(models, name)).parameters
    twin = inspect.signature(getattr(models, f"check_{name}")).parameters
    for argument in set(twin) - {"_"}:
        assert twin[argument].default == builder[argument].default, argument


def _keras_builds(builder, *arguments, **options):
    try:
        builder(*arguments, **options)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("shape", [(4, 4, 1), (4, 7, 1), (7, 4, 3)])
def test_check_cnn_agrees_with_keras(shape):
    for kernel, pool in itertools.product(range(1, 9), range(1, 9)):
        options = {"kernel_size": kernel, "pool_size": pool}
        problems = list(models.check_cnn(shape, **options))
        assert _keras_builds(models.cnn, shape, 2, filters=1, dense_units=1, **options) == (not problems), options


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(side, side, 1) for side in range(8, 15)] + [(11, 40, 3), (40, 11, 3), (12, 40, 3)])
def test_check_lenet5_agrees_with_keras(shape):
    assert _keras_builds(models.lenet5, shape, 2) == (not list(models.check_lenet5(shape)))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(side, side, 1) for side in range(1, 16)] + [(9, 40, 3), (40, 9, 3)])
def test_check_convnet_agrees_with_keras(shape):
    for size, depth, padding in itertools.product((1, 2, 3, 5), (1, 2), ("valid", "same")):
        options = {"filters": [1, 1], "kernel_sizes": [size, 3], "depths": [depth, 1], "padding": padding}
        problems = list(models.check_convnet(shape, **options))
        assert _keras_builds(models.convnet, shape, 2, dense_units=[1], **options) == (not problems), options


def test_check_convnet_needs_a_size_for_each_stage():
    (problem,) = models.check_convnet((28, 28, 1), filters=[8], kernel_sizes=[3, 3])
    assert "a number for each stage, not 1, 2 and 2" in problem


def test_normalised_convnet_normalises_each_layer_but_the_last():
    kinds = [type(layer).__name__ for layer in models.convnet((28, 28, 1), 10, depths=[1, 3], batch_norm=True).layers]
    assert kinds.count("BatchNormalization") == 5
    assert kinds.count("MaxPooling2D") == 2


@pytest.mark.parametrize("name", [name for name in BUILDERS if not hasattr(models, f"check_{name}")])
def test_model_without_a_check_takes_any_size(name):
    assert build(name, (1, 1, 1), 2).output_shape == (None, 2)


def test_check_names_the_option_its_value_and_the_limit():
    component, _ = components.check("model", {"_target_": "mnist_exp.models.cnn", "kernel_size": 29}, ())
    (problem,) = components.check_sizes(component, (28, 30, 1))
    assert "model.kernel_size=29" in problem
    assert "at most 28" in problem
