"""How many floating-point operations a model takes, counted layer by layer.

The count is the metric `flops_per_image`, and decides how many steps run between two callbacks (training/fit). It works
on all backends; TensorFlow's profiler, which counts too, knows its own graphs only.
"""

import math
from typing import Any

import keras


def forward(model: keras.Model) -> int | None:
    """Return the operations of one pass over one image, None if it is made of what is not known here.

    A multiplication and the addition after it are two. A training step takes about three times as many, image by image:
    forward, and backward to the inputs and to the weights of each layer.

    Args:
        model: built.
    """
    times = _calls(model)
    if times is None:
        return None
    total = 0
    for layer in model.layers:
        found = forward(layer) if isinstance(layer, keras.Model) else _of(layer)
        if found is None:
            return None
        total += found * times[layer.name]
    return total


def _calls(model: keras.Model) -> dict[str, int] | None:
    """Return how often a model calls each of its layers, by name; None if it does more than that, or does not tell."""
    kind = type(model).__name__
    if kind == "Sequential":
        return {layer.name: 1 for layer in model.layers}
    if kind != "Functional":
        return None
    try:
        operations = model.get_config()["layers"]
    except (NotImplementedError, KeyError):  # A layer of someone's own.
        return None
    # An input is called by nobody.
    times = {each["name"]: len(each["inbound_nodes"]) for each in operations}
    return times if times.keys() == {layer.name for layer in model.layers} else None


def _of(layer: keras.layers.Layer) -> int | None:
    """Return the operations of a layer; one for each number that comes out, where it does not multiply matrices."""
    if not type(layer).__module__.startswith(("keras.", "mnist_exp.")) or isinstance(layer, keras.layers.Wrapper):
        return None
    if isinstance(layer, keras.layers.InputLayer):
        return 0
    try:
        out, into = _sizes(layer.output), _sizes(layer.input)
    except (AttributeError, TypeError, ValueError):
        return None
    kernels: list[int] = [math.prod(weight.shape) for weight in layer.weights if "kernel" in weight.name]
    if isinstance(layer, keras.layers.Dense):
        return 2 * sum(kernels) * math.prod(out[:-1])
    name = type(layer).__name__
    if "Conv" in name and kernels:
        is_last = getattr(layer, "data_format", None) != "channels_first"
        places = into if name.endswith("Transpose") else out
        return 2 * sum(kernels) * math.prod(places[:-1] if is_last else places[1:])
    return None if kernels else math.prod(out)


def _sizes(tensor: Any) -> tuple[int, ...]:
    """Return the shape of one image's part. Raises: TypeError: there are several tensors, or a size is not known."""
    return tuple(int(size) for size in tensor.shape[1:])
