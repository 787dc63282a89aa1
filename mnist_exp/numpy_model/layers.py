"""What Keras's layers compute as they predict, in float32: a function for each, of its configuration and weights."""

from collections.abc import Callable, Mapping

import numpy as np

from mnist_exp.numpy_model import activations, window_layers, windows
from mnist_exp.numpy_model.activations import Array
from mnist_exp.numpy_model.weights import Compute, Config, UnknownError, Weights, activation_of, bias_of

_EPSILON = np.float32(1e-7)  # `keras.config.epsilon()`


def make(name: str, config: Config, weights: Weights) -> Compute:
    """Return what computes a layer or an operation.

    Args:
        name: of its class; that of an operation after `ops.`.
        config: of it.
        weights: of it; none of an operation.
    Raises: UnknownError: it is not known here, or has an option or weights that are not.
    """
    if (build := MAKERS.get(name)) is None:
        raise UnknownError(name)
    if str(config.get("data_format", "channels_last")) != "channels_last":
        raise UnknownError(f"{name} of data_format={config['data_format']}")
    try:
        made = build(config, weights)
        weights.check_all_taken()
    except (KeyError, TypeError, ValueError) as error:
        raise UnknownError(f"{name}: {error}") from error
    except UnknownError as error:
        raise UnknownError(f"{name} with {error}") from error
    return made


def _plain(*names: str) -> Callable[[Config, Weights], Compute]:
    """Return what makes a layer that only training changes, or that is unknown if an option has a value."""

    def build(config: Config, weights: Weights) -> Compute:
        for name in names:
            if config.get(name):
                raise UnknownError(name)
        return lambda x: x

    return build


def _dense(config: Config, weights: Weights) -> Compute:
    if config.get("quantization_config") or config.get("lora_rank"):
        raise UnknownError("quantization")
    kernel, activate = weights.take(2), activation_of(config)
    bias = bias_of(config, weights)
    return lambda x: activate(x @ kernel + bias)


def _global(join: Callable[..., Array]) -> Callable[[Config, Weights], Compute]:
    def build(config: Config, weights: Weights) -> Compute:
        keeps = bool(config["keepdims"])
        return lambda x: join(x, axis=tuple(range(1, x.ndim - 1)), keepdims=keeps)

    return build


def _batch_normalization(config: Config, weights: Weights) -> Compute:
    gamma = weights.take(1) if config["scale"] else np.float32(1)
    beta = weights.take(1) if config["center"] else np.float32(0)
    mean, variance = weights.take(1), weights.take(1)
    axis = config["axis"][0] if isinstance(config["axis"], list) else config["axis"]
    factor = gamma / np.sqrt(variance + np.float32(config["epsilon"]))
    offset = beta - mean * factor

    def compute(x: Array) -> Array:
        if axis not in (-1, x.ndim - 1):
            raise UnknownError("BatchNormalization of another axis")
        return x * factor + offset

    return compute


def _layer_normalization(config: Config, weights: Weights) -> Compute:
    if config.get("rms_scaling") or config["axis"] not in (-1, [-1], [3]):
        raise UnknownError("axis or rms_scaling")
    gamma = weights.take(1) if config["scale"] else np.float32(1)
    beta = weights.take(1) if config["center"] else np.float32(0)
    epsilon = np.float32(config["epsilon"])

    def compute(x: Array) -> Array:
        if config["axis"] not in (-1, [-1], [x.ndim - 1]):
            raise UnknownError("LayerNormalization of another axis")
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + epsilon)
        return np.asarray(centred / deviation * gamma + beta)

    return compute


def _normalization(config: Config, weights: Weights) -> Compute:
    if config["invert"] or config["axis"] not in (-1, [-1], [1], [2], [3]):
        raise UnknownError("axis or invert")
    if config["mean"] is None:  # It was adapted.
        mean, variance = weights.take(1), weights.take(1)
        weights.drop()  # How many examples it saw.
    else:
        mean, variance = (np.asarray(config[name], np.float32) for name in ("mean", "variance"))
    deviation = np.maximum(np.sqrt(variance), _EPSILON)

    def compute(x: Array) -> Array:
        if config["axis"] not in (-1, [-1], [x.ndim - 1]):
            raise UnknownError("Normalization of another axis")
        return (x - mean) / deviation

    return compute


def _rescaling(config: Config, weights: Weights) -> Compute:
    scale, offset = (np.asarray(config[name], np.float32) for name in ("scale", "offset"))
    return lambda x: x * scale + offset


def _relu(config: Config, weights: Weights) -> Compute:
    slope, threshold, most = config["negative_slope"], config["threshold"], config["max_value"]
    if threshold:
        raise UnknownError("threshold")

    def compute(x: Array) -> Array:
        found = activations.leaky_relu(x, slope) if slope else activations.relu(x)
        return found if most is None else np.minimum(found, np.float32(most))

    return compute


def _leaky_relu(config: Config, weights: Weights) -> Compute:
    slope = float(config["negative_slope"])
    return lambda x: activations.leaky_relu(x, slope)


def _elu(config: Config, weights: Weights) -> Compute:
    alpha = float(config["alpha"])
    return lambda x: activations.elu(x, alpha)


def _prelu(config: Config, weights: Weights) -> Compute:
    alpha = weights.take(1, 2, 3)
    return lambda x: np.maximum(x, np.float32(0)) + alpha * np.minimum(x, np.float32(0))


def _softmax(config: Config, weights: Weights) -> Compute:
    axis = config["axis"]
    along = tuple(axis) if isinstance(axis, list) else int(axis)
    return lambda x: activations.softmax(x, along)


def _reshape(config: Config, weights: Weights) -> Compute:
    shape = tuple(map(int, config["target_shape"]))
    return lambda x: x.reshape(len(x), *shape)


def _permute(config: Config, weights: Weights) -> Compute:
    axes = (0, *map(int, config["dims"]))
    return lambda x: x.transpose(axes)


def _merge(join: Callable[[Array, Array], Array], *, is_mean: bool = False) -> Callable[[Config, Weights], Compute]:
    def build(config: Config, weights: Weights) -> Compute:
        def compute(arrays: list[Array]) -> Array:
            if len({each.ndim for each in arrays}) > 1:
                raise UnknownError("a layer that joins arrays of several ranks")
            found = arrays[0]
            for each in arrays[1:]:
                found = join(found, each)
            return found / np.float32(len(arrays)) if is_mean else found

        return compute

    return build


def _concatenate(config: Config, weights: Weights) -> Compute:
    axis = int(config["axis"])
    return lambda arrays: np.concatenate(arrays, axis)


def _scaled_by_weights(config: Config, weights: Weights) -> Compute:
    factor = weights.take(1)
    return lambda x: x * factor


def _residual_scale(config: Config, weights: Weights) -> Compute:
    scale = np.float32(config["scale"])
    return lambda arrays: arrays[0] + arrays[1] * scale


def _activation(config: Config, weights: Weights) -> Compute:
    return activation_of(config)


def _flatten(config: Config, weights: Weights) -> Compute:
    return lambda x: x.reshape(len(x), -1)


def _operation(join: Callable[..., Array]) -> Callable[[Config, Weights], Compute]:
    def build(config: Config, weights: Weights) -> Compute:
        return join

    return build


MAKERS: Mapping[str, Callable[[Config, Weights], Compute]] = {
    **dict.fromkeys(
        ("ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "Identity"), _plain()
    ),
    **dict.fromkeys(("SpatialDropout1D", "SpatialDropout2D", "StochasticDepth"), _plain()),
    "Activation": _activation,
    "Add": _merge(np.add),
    "Average": _merge(np.add, is_mean=True),
    "AveragePooling1D": window_layers.pooling_1d(windows.mean),
    "AveragePooling2D": window_layers.pooling(windows.mean),
    "BatchNormalization": _batch_normalization,
    "Concatenate": _concatenate,
    "Conv1D": window_layers.conv_1d,
    "Conv2D": window_layers.conv,
    "Cropping2D": window_layers.cropping,
    "CustomScaleLayer": _residual_scale,
    "Dense": _dense,
    "DepthwiseConv2D": window_layers.depthwise,
    "ELU": _elu,
    "Flatten": _flatten,
    "GlobalAveragePooling1D": _global(np.mean),
    "GlobalAveragePooling2D": _global(np.mean),
    "GlobalMaxPooling1D": _global(np.max),
    "GlobalMaxPooling2D": _global(np.max),
    "LayerNormalization": _layer_normalization,
    "LayerScale": _scaled_by_weights,
    "LeakyReLU": _leaky_relu,
    "MaxPooling1D": window_layers.pooling_1d(windows.largest),
    "MaxPooling2D": window_layers.pooling(windows.largest),
    "Maximum": _merge(np.maximum),
    "Minimum": _merge(np.minimum),
    "Multiply": _merge(np.multiply),
    "Normalization": _normalization,
    "PReLU": _prelu,
    "Permute": _permute,
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "Resizing": window_layers.resizing,
    "SeparableConv2D": window_layers.separable,
    "Softmax": _softmax,
    "Subtract": _merge(np.subtract),
    "UpSampling2D": window_layers.up_sampling,
    "ZeroPadding2D": window_layers.zero_padding,
    "ops.Add": _operation(np.add),
    "ops.GetItem": _operation(lambda x, key: x[tuple(key) if isinstance(key, list) else key]),
    "ops.Multiply": _operation(np.multiply),
    "ops.Subtract": _operation(np.subtract),
    "ops.TrueDivide": _operation(np.divide),
}
