"""What Keras's layers compute that look at windows of images, or change their size: convolutions, pooling, borders."""

from collections.abc import Callable
from typing import Any

import numpy as np

from mnist_exp.numpy_model import windows
from mnist_exp.numpy_model.activations import Array
from mnist_exp.numpy_model.weights import Compute, Config, UnknownError, Weights, activation_of, bias_of
from mnist_exp.numpy_model.windows import Pair


def conv(config: Config, weights: Weights) -> Compute:
    """Return a 2-D convolution, in one group or several."""
    groups, shape, activate = int(config["groups"]), _shape(config), activation_of(config)
    if config.get("lora_rank"):
        raise UnknownError("lora_rank")
    kernel, bias = weights.take(4), bias_of(config, weights)
    if groups == 1:
        return lambda x: activate(windows.convolved(x, kernel, *shape) + bias)
    if kernel.shape[2] == 1:  # A group is a channel.
        by_channel = kernel.reshape(*kernel.shape[:2], groups, -1)
        return lambda x: activate(windows.convolved_by_channel(x, by_channel, *shape) + bias)

    def compute(x: Array) -> Array:
        parts = zip(np.split(x, groups, axis=3), np.split(kernel, groups, axis=3), strict=True)
        rows = [windows.convolved(part, own, *shape) for part, own in parts]
        return activate(np.concatenate(rows, axis=3) + bias)

    return compute


def depthwise(config: Config, weights: Weights) -> Compute:
    """Return a convolution of each channel alone."""
    kernel, bias = weights.take(4), bias_of(config, weights)
    shape, activate = _shape(config), activation_of(config)
    return lambda x: activate(windows.convolved_by_channel(x, kernel, *shape) + bias)


def separable(config: Config, weights: Weights) -> Compute:
    """Return a convolution of each channel alone, and one across channels."""
    depthwise, pointwise = weights.take(4), weights.take(4)
    bias = bias_of(config, weights)
    shape, activate = _shape(config), activation_of(config)
    return lambda x: activate(windows.convolved_by_channel(x, depthwise, *shape) @ pointwise[0, 0] + bias)


def conv_1d(config: Config, weights: Weights) -> Compute:
    """Return a 1-D convolution."""
    if config["groups"] != 1 or config.get("lora_rank") or config["padding"] not in ("same", "valid"):
        raise UnknownError("groups or padding")
    kernel, bias = weights.take(3)[np.newaxis], bias_of(config, weights)
    (stride,), (dilation,), activate = config["strides"], config["dilation_rate"], activation_of(config)

    def compute(x: Array) -> Array:
        rows = windows.convolved(x[:, np.newaxis], kernel, (1, stride), (1, dilation), config["padding"])
        return activate(rows[:, 0] + bias)

    return compute


def _shape(config: Config) -> tuple[Pair, Pair, str]:
    if config["padding"] not in ("same", "valid"):
        raise UnknownError(f"padding={config['padding']}")
    return _pair(config["strides"]), _pair(config["dilation_rate"]), config["padding"]


def pooling(join: Callable[[Array, Pair, Pair, str], Array]) -> Callable[[Config, Weights], Compute]:
    """Return what makes a 2-D pooling that joins the values of a window so."""

    def build(config: Config, weights: Weights) -> Compute:
        size, strides, padding = _pair(config["pool_size"]), _pair(config["strides"]), str(config["padding"])
        return lambda x: join(x, size, strides, padding)

    return build


def pooling_1d(join: Callable[[Array, Pair, Pair, str], Array]) -> Callable[[Config, Weights], Compute]:
    """Return what makes a 1-D pooling that joins the values of a window so."""

    def build(config: Config, weights: Weights) -> Compute:
        (size,), (stride,), padding = config["pool_size"], config["strides"], str(config["padding"])
        return lambda x: join(x[:, np.newaxis], (1, size), (1, stride), padding)[:, 0]

    return build


def resizing(config: Config, weights: Weights) -> Compute:
    """Return a change of size."""
    if config["crop_to_aspect_ratio"] or config.get("pad_to_aspect_ratio") or config.get("antialias"):
        raise UnknownError("aspect ratio")
    if config["interpolation"] not in ("bilinear", "nearest"):
        raise UnknownError(f"interpolation={config['interpolation']}")
    height, width, how = int(config["height"]), int(config["width"]), str(config["interpolation"])
    return lambda x: windows.resized(x, height, width, how)


def zero_padding(config: Config, weights: Weights) -> Compute:
    """Return a border of zeros."""
    around = [(0, 0), *map(_pair, config["padding"]), (0, 0)]
    return lambda x: np.pad(x, around)


def cropping(config: Config, weights: Weights) -> Compute:
    """Return the part within a border."""
    (top, bottom), (left, right) = map(_pair, config["cropping"])
    return lambda x: x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]


def up_sampling(config: Config, weights: Weights) -> Compute:
    """Return the repetition of rows and columns."""
    if config["interpolation"] != "nearest":
        raise UnknownError(f"interpolation={config['interpolation']}")
    high, wide = _pair(config["size"])
    return lambda x: x.repeat(high, axis=1).repeat(wide, axis=2)


def _pair(value: Any) -> Pair:
    high, wide = (value, value) if isinstance(value, int) else value
    return int(high), int(wide)
