"""Every layer that NumPy computes gives what Keras gives, for each of its options; other options are refused."""

import io
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers as kl

from mnist_exp.numpy_model import activations, layers
from mnist_exp.numpy_model.model import NumpyModel
from mnist_exp.numpy_model.weights import UnknownError

PICTURE, ROWS, FLAT = (9, 8, 4), (7, 4), (6,)


def scaled_by_weights():
    from keras.src.applications.convnext import LayerScale

    return LayerScale(0.3, 4)


def stochastic_depth():
    from keras.src.applications.convnext import StochasticDepth

    return StochasticDepth(0.5)


def residual_scale(x):
    from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

    return CustomScaleLayer(0.2)([x, kl.Conv2D(4, 1)(x)])


def joined(layer):
    return lambda x: layer([x, kl.Conv2D(4, 1)(x), kl.Conv2D(4, 1)(x)])


def pair(layer):
    return lambda x: layer([x, kl.Conv2D(4, 1)(x)])


def adapted():
    layer = kl.Normalization()
    layer.adapt(np.random.default_rng(1).normal(3, 2, (50, *PICTURE)).astype(np.float32))
    return layer


CASES = {
    "Activation": (PICTURE, kl.Activation("tanh")),
    "ActivityRegularization": (PICTURE, kl.ActivityRegularization(0.1)),
    "Add": (PICTURE, joined(kl.Add())),
    "AlphaDropout": (PICTURE, kl.AlphaDropout(0.5)),
    "Average": (PICTURE, joined(kl.Average())),
    "AveragePooling1D": (ROWS, kl.AveragePooling1D(3, 2, "same")),
    "AveragePooling2D": (PICTURE, kl.AveragePooling2D(2)),
    "AveragePooling2D same": (PICTURE, kl.AveragePooling2D((3, 2), (2, 3), "same")),
    "BatchNormalization": (PICTURE, kl.BatchNormalization()),
    "BatchNormalization plain": (FLAT, kl.BatchNormalization(scale=False, center=False, epsilon=0.1)),
    "Concatenate": (PICTURE, joined(kl.Concatenate())),
    "Concatenate down": (PICTURE, joined(kl.Concatenate(axis=1))),
    "Conv1D": (ROWS, kl.Conv1D(5, 3, 2, "same", activation="relu")),
    "Conv1D dilated": (ROWS, kl.Conv1D(5, 2, dilation_rate=2, use_bias=False)),
    "Conv2D": (PICTURE, kl.Conv2D(5, (3, 2), activation="elu")),
    "Conv2D 1x1": (PICTURE, kl.Conv2D(5, 1, 2, use_bias=False)),
    "Conv2D same": (PICTURE, kl.Conv2D(5, 4, (2, 3), "same")),
    "Conv2D dilated": (PICTURE, kl.Conv2D(5, 3, padding="same", dilation_rate=(2, 1))),
    "Conv2D groups": (PICTURE, kl.Conv2D(6, 3, groups=2)),
    "Conv2D by channel": (PICTURE, kl.Conv2D(8, 3, groups=4, padding="same")),
    "Cropping2D": (PICTURE, kl.Cropping2D(((1, 0), (0, 2)))),
    "CustomScaleLayer": (PICTURE, residual_scale),
    "Dense": (FLAT, kl.Dense(3, activation="softmax")),
    "Dense of pictures": (PICTURE, kl.Dense(3, use_bias=False)),
    "DepthwiseConv2D": (PICTURE, kl.DepthwiseConv2D((2, 3), 2, "same", depth_multiplier=2, activation="relu6")),
    "Dropout": (PICTURE, kl.Dropout(0.5)),
    "ELU": (PICTURE, kl.ELU(0.7)),
    "Flatten": (PICTURE, kl.Flatten()),
    "GaussianDropout": (PICTURE, kl.GaussianDropout(0.5)),
    "GaussianNoise": (PICTURE, kl.GaussianNoise(0.5)),
    "GlobalAveragePooling1D": (ROWS, kl.GlobalAveragePooling1D()),
    "GlobalAveragePooling2D": (PICTURE, kl.GlobalAveragePooling2D(keepdims=True)),
    "GlobalMaxPooling1D": (ROWS, kl.GlobalMaxPooling1D()),
    "GlobalMaxPooling2D": (PICTURE, kl.GlobalMaxPooling2D()),
    "Identity": (PICTURE, kl.Identity()),
    "LayerNormalization": (PICTURE, kl.LayerNormalization()),
    "LayerNormalization plain": (FLAT, kl.LayerNormalization(scale=False, center=False, epsilon=1e-5)),
    "LayerScale": (PICTURE, scaled_by_weights()),
    "LeakyReLU": (PICTURE, kl.LeakyReLU(0.1)),
    "MaxPooling1D": (ROWS, kl.MaxPooling1D(2, 3, "same")),
    "MaxPooling2D": (PICTURE, kl.MaxPooling2D(2)),
    "MaxPooling2D same": (PICTURE, kl.MaxPooling2D((3, 2), (2, 3), "same")),
    "Maximum": (PICTURE, joined(kl.Maximum())),
    "Minimum": (PICTURE, joined(kl.Minimum())),
    "Multiply": (PICTURE, joined(kl.Multiply())),
    "Normalization": (FLAT, kl.Normalization(mean=[0.1, 0, 2, 3, 4, 5], variance=[1, 2, 0, 4, 5, 6])),
    "Normalization adapted": (PICTURE, adapted()),
    "PReLU": (PICTURE, kl.PReLU("uniform", shared_axes=[1])),
    "Permute": (PICTURE, kl.Permute((3, 1, 2))),
    "ReLU": (PICTURE, kl.ReLU(1.5)),
    "ReLU of a slope": (PICTURE, kl.ReLU(negative_slope=0.1)),
    "Rescaling": (PICTURE, kl.Rescaling([1, 2, 3, 4], [0.1, 0, 0, 1])),
    "Reshape": (PICTURE, kl.Reshape((4, -1))),
    "Resizing": (PICTURE, kl.Resizing(13, 5)),
    "Resizing nearest": (PICTURE, kl.Resizing(5, 12, "nearest")),
    "SeparableConv2D": (PICTURE, kl.SeparableConv2D(5, 3, 2, "same", depth_multiplier=2, activation="silu")),
    "Softmax": (PICTURE, kl.Softmax(axis=1)),
    "SpatialDropout1D": (ROWS, kl.SpatialDropout1D(0.5)),
    "SpatialDropout2D": (PICTURE, kl.SpatialDropout2D(0.5)),
    "StochasticDepth": (PICTURE, stochastic_depth()),
    "Subtract": (PICTURE, pair(kl.Subtract())),
    "UpSampling2D": (PICTURE, kl.UpSampling2D((2, 3))),
    "ZeroPadding2D": (PICTURE, kl.ZeroPadding2D(((1, 0), (0, 2)))),
    "ops.Add": (PICTURE, lambda x: x + 3.0),
    "ops.GetItem": (PICTURE, lambda x: x[..., ::-1]),
    "ops.Multiply": (PICTURE, lambda x: x * kl.Conv2D(4, 1)(x)),
    "ops.Subtract": (PICTURE, lambda x: 1.0 - x),
    "ops.TrueDivide": (PICTURE, lambda x: x / 3.0),
}


def model_of(shape, layer):
    """Return a model of a layer, or of a function of tensors, all of whose weights are drawn."""
    inputs = keras.Input(shape, name="pixels")
    model = keras.Model(inputs, layer(inputs))
    random = np.random.default_rng(0)
    for weight in model.weights:
        if weight.dtype == "float32" and "variance" not in weight.path and not weight.path.endswith("/mean"):
            weight.assign(random.normal(0, 0.5, weight.shape))
        elif weight.path.endswith("moving_variance"):
            weight.assign(random.uniform(0.5, 2, weight.shape))
    return model


def content_of(model, folder):
    file = Path(folder) / "model.keras"
    model.save(file)
    return file.read_bytes()


def test_every_layer_that_is_known_is_tried():
    assert {name.partition(" ")[0] for name in CASES} == set(layers.MAKERS)


@pytest.mark.parametrize("name", CASES)
def test_layer_gives_what_keras_gives(name, tmp_path):
    model = model_of(*CASES[name])
    x = np.random.default_rng(2).normal(0, 2, (3, *model.input_shape[1:])).astype(np.float32)
    meant = np.asarray(model(x, training=False))
    found = NumpyModel(content_of(model, tmp_path)).predict(x)
    assert (found.shape, found.dtype) == (meant.shape, np.float32)
    np.testing.assert_allclose(found, meant, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", sorted(activations.BY_NAME))
def test_activation_gives_what_keras_gives(name):
    x = np.concatenate([np.linspace(-8, 8, 333), [-200, -90, 90, 200]]).astype(np.float32)
    if name == "exponential":
        x = np.clip(x, -80, 80)
    meant = np.asarray(keras.activations.get(name)(x[np.newaxis]))[0]
    np.testing.assert_allclose(activations.BY_NAME[name](x[np.newaxis])[0], meant, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("shape", "layer", "words"),
    [
        (ROWS, kl.LSTM(3), "LSTM"),
        (PICTURE, kl.Conv2D(3, 3, activation="sparsemax"), "activation=sparsemax"),
        (PICTURE, kl.BatchNormalization(axis=1), "BatchNormalization of another axis"),
        (PICTURE, kl.Resizing(5, 5, "bicubic"), "interpolation=bicubic"),
        (PICTURE, kl.UpSampling2D(2, interpolation="bilinear"), "interpolation=bilinear"),
        (ROWS, kl.Conv1D(3, 2, padding="causal"), "padding"),
        (PICTURE, kl.ReLU(threshold=1.0), "threshold"),
        (PICTURE, kl.Dense(3, dtype="mixed_float16"), "a precision of mixed_float16"),
        (PICTURE, kl.Conv2DTranspose(3, 3), "Conv2DTranspose"),
        (PICTURE, kl.Conv2D(3, 3, data_format="channels_first"), "data_format=channels_first"),
        (PICTURE, lambda x: kl.Dropout(0.5)(x, training=True), "a call with training"),
        (PICTURE, lambda x: keras.ops.sin(x), "Sin"),
        ((None, 8, 4), kl.Conv2D(3, 3), "an input of shape"),
    ],
)
def test_what_is_not_known_is_refused(shape, layer, words, tmp_path):
    content = content_of(model_of(shape, layer), tmp_path)
    with pytest.raises(UnknownError, match=words):
        NumpyModel(content)


def test_weights_of_another_form_are_refused(tmp_path):
    content = content_of(model_of(FLAT, kl.Dense(3)), tmp_path)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = members["config.json"].replace(b'"use_bias": true', b'"use_bias": false')
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as archive:
        for name, inner in members.items():
            archive.writestr(name, inner)
    with pytest.raises(UnknownError, match="Dense with more weights"):
        NumpyModel(changed.getvalue())
