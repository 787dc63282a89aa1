"""Models for examples of any shape: what scales the raw values, and what is refused before a training."""

import keras
import numpy as np
import pytest

from mnist_exp import data
from mnist_exp.composition.compose import compose
from mnist_exp.data.checking import from_source
from mnist_exp.data.dataset import Source
from mnist_exp.data.scaling import Scaling
from mnist_exp.errors import SettingsError
from mnist_exp.tasks.builders import classification
from mnist_exp.training import setup
from mnist_exp.training.build import build
from mnist_exp.training.fit import TrainingRequest, fit
from mnist_exp.training.predict import predict

SHAPES = {"table": (6,), "series": (9, 2), "images": (5, 6, 7), "volumes": (3, 4, 5, 2), "longer": (2, 2, 2, 2, 2)}
CLASSES = classification()
MLP = ["model=mlp", "model.hidden_units=[8]", "tracking=none", "trainer.batch_size=20"]


@pytest.fixture(autouse=True)
def full_precision():
    yield
    keras.config.set_dtype_policy("float32")


def examples(shape, scale=1.0):
    """Return a data set of two classes, told apart by one feature, and far from 0 unless it is standardized."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 2
    x = rng.normal(size=(120, *shape))
    x[..., 0] += 6 * y.reshape(-1, *[1] * (len(shape) - 1))
    x = (x * scale + 50 * scale).astype(np.float32)
    return from_source("own", Source((x[:80], y[:80]), (x[80:], y[80:]), "here", pixels=False), CLASSES)


def train(dataset, *words):
    """Return the model that a training makes, as the runner does it, and its accuracy on the test set."""
    settings = compose([*MLP, *words])
    split = data.split(dataset, limit=settings.data.limit, validation=settings.data.validation, seed=settings.seed)
    setup.set_up(settings.seed, settings.trainer)
    scaling = data.scaling(settings.data, dataset, split)
    models = build(settings, dataset.shape, dataset.task, dataset.outputs, len(split.x_train), scaling)
    fit(TrainingRequest(models.training_model, models.goal, split, settings, lambda epoch, metrics: True))
    answers = predict(models.inference_model, dataset.x_test)
    return models.inference_model, split, float((answers.argmax(axis=1) == dataset.y_test).mean())


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHAPES)
def test_an_mlp_learns_from_examples_of_any_shape_that_are_standardized(kind):
    words = ["data.standardize=true", "trainer.epochs=30", "optimizer.learning_rate=0.01"]
    _, _, accuracy = train(examples(SHAPES[kind], scale=1000.0), *words)
    assert accuracy > 0.9


def test_standardizing_is_learned_from_what_is_trained_on_alone_and_kept_in_the_file(tmp_path):
    dataset = examples((9, 2))
    words = ["data.limit=60", "data.validation=20", "data.standardize=true", "trainer.epochs=1"]
    model, split, _ = train(dataset, *words)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    layer = loaded.get_layer("standardization")
    expected = split.x_train.reshape(-1, 2).astype(np.float64)
    assert len(split.x_train) == 40
    scaled = np.asarray(layer(split.x_train)).reshape(-1, 2)
    np.testing.assert_allclose(scaled, (expected - expected.mean(0)) / expected.std(0), atol=1e-5)
    np.testing.assert_array_equal(predict(loaded, dataset.x_test), predict(model, dataset.x_test))


def test_a_feature_that_never_changes_in_training_neither_gives_nan_nor_drowns_the_others():
    dataset = examples((6,))
    dataset.x_train[:, 3] = dataset.x_test[:, 3] = 0.1
    dataset.x_test[::2, 3] = 0.2  # It changes later.
    model, _, _ = train(dataset, "data.standardize=true", "trainer.epochs=1")
    scaled = np.asarray(model.get_layer("standardization")(dataset.x_test))
    assert sorted(set(scaled[:, 3].tolist())) == [0.0, pytest.approx(0.1, abs=1e-6)]
    assert np.isfinite(predict(model, dataset.x_test)).all()


def test_large_values_keep_their_differences_in_16_bits():
    """In bfloat16, 1,000,000 and 1,000,001 are one number: they are standardized before."""
    dataset = examples((6,))
    dataset.x_train[:] += 1e5
    words = ["trainer.precision=mixed_bfloat16", "data.standardize=true", "trainer.epochs=1"]
    model, _, _ = train(dataset, *words)
    scaled = np.asarray(model.get_layer("standardization")(dataset.x_train))
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-2)


def test_pixels_are_scaled_by_their_range_and_other_values_are_left_alone():
    settings = compose(MLP)
    ranges = (
        ((0, 255), 1 / 255),
        ((0, 1), 1.0),
        ((0, 16), 1 / 16),
        ((-1, 1), 1.0),
        ((-1024, 3071), 1025 / 4095),
        (None, 1.0),
    )
    for black_to_white, expected in ranges:
        model = build(settings, (4,), CLASSES, 2, 10, Scaling(black_to_white)).inference_model
        assert model.inputs[0].name == ("pixels" if black_to_white else "features")
        scaled = model.layers[1](np.ones((1, 4), np.float32))
        np.testing.assert_allclose(scaled, np.full((1, 4), expected), rtol=1e-6)


@pytest.mark.parametrize("name", ["cnn", "convnet", "lenet5", "resnet"])
@pytest.mark.parametrize(("shape", "words"), [((6,), "rows of 6 features"), ((9, 2), "series 9×2")])
def test_a_network_of_images_is_refused_for_other_examples(name, shape, words, tmp_path):
    x, y = np.zeros((20, *shape), np.float32), np.arange(20) % 2
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    from mnist_exp.composition.preflight import load_data

    settings = compose(["data=npz", f"data.path={tmp_path / 'a.npz'}", f"model={name}", "augment=affine"])
    with pytest.raises(SettingsError) as error:
        load_data(settings)
    network, augmentation = error.value.problems
    assert network.startswith(f"model={name} takes images, (height, width, channels), and not {words}: take model=mlp")
    assert augmentation == f"augment=affine moves images, and not {words}: take augment=none"


OWN = """
from keras import Input, Sequential, layers

def convolution(input_shape, classes):
    return Sequential([Input(input_shape), layers.Conv2D(4, 5), layers.Flatten(), layers.Dense(classes)])

def fixed(input_shape, classes):
    return Sequential([Input((28, 28, 1)), layers.Flatten(), layers.Dense(classes)])

def broken(input_shape, classes):
    raise ValueError("a mistake of the builder's own")
"""


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("convolution", (6,), r"convolution cannot be built for rows of 6 features, input_shape=\(6,\): .*ndim=2"),
        ("convolution", (3, 3, 1), r"convolution cannot be built for images 3×3×1.*zero or negative"),
        ("fixed", (14, 14, 1), r"fixed cannot be built for images 14×14×1, input_shape=\(14, 14, 1\)"),
    ],
)
def test_a_network_of_ones_own_that_does_not_fit_is_told_in_a_sentence(name, shape, words, tmp_path, monkeypatch):
    with pytest.raises(SettingsError, match=words):
        build(own(name, tmp_path, monkeypatch), shape, CLASSES, 2, 10)


def test_an_error_of_the_builders_own_keeps_its_traceback(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="a mistake of the builder's own"):
        build(own("broken", tmp_path, monkeypatch), (6,), CLASSES, 2, 10)


def own(name, tmp_path, monkeypatch):
    (tmp_path / "shape_nets.py").write_text(OWN)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "own.yaml").write_text(f"_target_: shape_nets.{name}\n")
    monkeypatch.syspath_prepend(tmp_path)
    return compose(["model=own", "trusted_modules=[shape_nets]"], config_dir=tmp_path)
