"""Whole models: NumPy's answers are Keras's, and the features are those by which strange images are told."""

import zipfile

import keras
import numpy as np
import pytest
from keras import layers as kl

from mnist_exp import models
from mnist_exp.data.scaling import PIXELS, Scaling
from mnist_exp.numpy_model.model import NumpyModel
from mnist_exp.numpy_model.weights import UnknownError
from mnist_exp.training import build, outputs

DIGIT = (28, 28, 1)
SHIPPED = {
    "cnn": lambda: models.cnn(DIGIT, 10),
    "convnet": lambda: models.convnet(DIGIT, 10, batch_norm=True, padding="same", depths=[2, 1]),
    "lenet5": lambda: models.lenet5(DIGIT, 10),
    "mlp": lambda: models.mlp(DIGIT, 10),
    "resnet": lambda: models.resnet(DIGIT, 10),
    "backbone": lambda: models.backbone(DIGIT, 10),
}
BACKBONES = [
    "ResNet50",
    "DenseNet121",
    "EfficientNetV2B0",
    "ConvNeXtTiny",
    "NASNetMobile",
    "InceptionResNetV2",
    "VGG16",
]


def recorded(network, folder, scaling=PIXELS):
    """Return a model as runs record it, with weights and statistics that are drawn, and the content of its file."""
    random = np.random.default_rng(0)
    for weight in network.weights:
        if weight.path.endswith(("moving_mean", "bias", "beta")):
            weight.assign(random.normal(0, 0.1, weight.shape))
        elif weight.path.endswith(("moving_variance", "gamma")):
            weight.assign(random.uniform(0.7, 1.3, weight.shape))
    pixels = keras.Input(network.input_shape[1:], name="pixels")
    model = keras.Model(pixels, network(build.scaling_layer(scaling)(pixels)), name=network.name)
    model.save(folder / "model.keras")
    return model, (folder / "model.keras").read_bytes()


def check_equal(network, folder, scaling=PIXELS, count=20):
    model, content = recorded(network, folder, scaling)
    low, high = scaling.range or (0.0, 1.0)
    x = np.random.default_rng(1).uniform(low, high, (count, *model.input_shape[1:]))
    x = np.rint(x).astype(np.uint8) if low == 0 and high > 1 else x.astype(np.float32)
    found = NumpyModel(content)
    features, answers = found.predict_both(x)
    meant_features, meant = (np.asarray(each) for each in outputs.with_features(model)(x, training=False))
    np.testing.assert_allclose(answers, meant, atol=1e-5)
    np.testing.assert_allclose(features, meant_features, rtol=1e-3, atol=1e-4)
    assert (found.input_shape, found.output_shape) == (model.input_shape, model.output_shape)
    assert (found.name, found.count_params()) == (model.name, model.count_params())
    assert found.inputs[0].name == model.inputs[0].name
    assert found.has_features
    return found


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_model_gives_what_keras_gives(name, tmp_path):
    assert check_equal(SHIPPED[name](), tmp_path).operations > 100_000


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_backbone_gives_what_keras_gives(name, tmp_path):
    check_equal(models.backbone(DIGIT, 10, name=name), tmp_path, count=4)


@pytest.mark.parametrize(
    "scaling",
    [Scaling((0.0, 15.0)), Scaling((-1.0, 1.0)), Scaling(None), Scaling(None, np.arange(1), np.ones(1))],
)
def test_every_scaling_of_raw_values(scaling, tmp_path):
    check_equal(models.mlp(DIGIT, 10), tmp_path, scaling)


def test_layers_that_are_shared_and_models_within_models(tmp_path):
    inner = keras.Sequential([keras.Input((4,)), kl.Dense(4, activation="relu")], name="inner")
    given = keras.Input((4,))
    twice = inner(inner(given))
    again = kl.Dense(4, name="again")
    network = keras.Model(given, kl.Dense(3, activation="softmax")(again(again(twice))), name="twice")
    check_equal(keras.Sequential([keras.Input((4,)), network], name="outer"), tmp_path)


def test_head_of_logits_and_a_softmax_of_its_own(tmp_path):
    layers = [keras.Input(DIGIT), kl.Flatten(), kl.Dense(12), kl.Dropout(0.5), kl.Dense(10), kl.Softmax()]
    found = check_equal(keras.Sequential(layers), tmp_path)
    assert found.predict_both(np.zeros((1, *DIGIT)))[0].shape == (1, 12)


def test_there_are_no_features_where_keras_tells_none(tmp_path):
    given = keras.Input(DIGIT)
    shared = kl.Dense(10)
    network = keras.Model(given, kl.Softmax()(kl.Add()([shared(kl.Flatten()(given)), shared(kl.Flatten()(given))])))
    model, content = recorded(network, tmp_path)
    assert outputs.with_features(model) is None
    assert not NumpyModel(content).has_features


def test_batches_of_any_size_give_the_same(tmp_path):
    _, content = recorded(models.cnn(DIGIT, 10, filters=4), tmp_path)
    found, x = NumpyModel(content), np.random.default_rng(1).integers(0, 256, (300, *DIGIT)).astype(np.uint8)
    np.testing.assert_allclose(found.predict(x)[[7, 130, 299]], found.predict(x[[7, 130, 299]]), atol=1e-6)
    assert found.predict(x).shape == (300, 10)


def test_several_inputs_or_outputs_are_refused(tmp_path):
    one, two = keras.Input((3,), name="one"), keras.Input((3,), name="two")
    keras.Model([one, two], kl.Add()([one, two])).save(tmp_path / "inputs.keras")
    keras.Model(one, [kl.Dense(2)(one), kl.Dense(2)(one)]).save(tmp_path / "outputs.keras")
    for name in ("inputs", "outputs"):
        with pytest.raises(UnknownError, match="several inputs"):
            NumpyModel((tmp_path / f"{name}.keras").read_bytes())


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"PK\x05\x06" + 18 * b"\0"])
def test_what_is_no_model_file_is_refused(content):
    with pytest.raises(UnknownError):
        NumpyModel(content)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_off_is_refused(share, tmp_path):
    _, content = recorded(models.mlp(DIGIT, 10), tmp_path)
    with pytest.raises(UnknownError):
        NumpyModel(content[: int(share * len(content))])


def test_code_in_a_file_is_refused_as_by_keras(tmp_path):
    """A Lambda never reaches Keras either: `archive` refuses it before."""
    _, content = recorded(models.mlp(DIGIT, 10), tmp_path)
    file = tmp_path / "model.keras"
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = members["config.json"].replace(b'"Flatten"', b'"Lambda"')
    with zipfile.ZipFile(file, "w") as archive:
        for name, inner in members.items():
            archive.writestr(name, inner)
    assert content != file.read_bytes()
    with pytest.raises(UnknownError, match="holds code of its own"):
        NumpyModel(file.read_bytes())
