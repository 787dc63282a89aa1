"""What a network returns, probabilities or logits: trainings are from logits wherever there are any.

The loss of a probability that is 0 in float32 is infinite, or clipped, and then it has no gradient; the loss of its
logits is exact. Keras finds the logits behind a softmax on TensorFlow in float32, and nowhere else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from mnist_exp.errors import SettingsError
from mnist_exp.training.fast_ops import is_made_of_layers

_TOLERANCE = 1e-3  # of the sum of probabilities; in float16 that of 1,000 classes is 9e-4 off
# Methods of a model of one's own by which Keras would train it; here its layers are part of another model.
_OF_TRAINING = ("train_step", "test_step", "compute_loss", "compute_metrics", "fit")


@dataclass(frozen=True)
class Outputs:
    """How the answers of a network are to be read.

    Args:
        are_logits: whether it returns logits.
        softmax: its last layer, if that makes probabilities of logits and can be taken away for the training.
    """

    are_logits: bool
    softmax: keras.layers.Layer | None = None

    @property
    def trains_from_logits(self) -> bool:
        """Whether the model that is trained returns logits."""
        return self.are_logits or self.softmax is not None


def of(network: keras.Model, input_shape: Sequence[int], target: str) -> Outputs:
    """Return how the answers of a network are to be read: by its last layer, else by its answers to a few images.

    Args:
        network: from pixels of 0 to 1 to an array (n, classes).
        input_shape: height, width, channels.
        target: dotted name of its builder, for messages.
    Raises: SettingsError: they are neither probabilities nor logits.
    """
    last = _last_layer(network)
    activation = "softmax" if isinstance(last, keras.layers.Softmax) else _activation(last)
    if activation == "softmax":
        # Of a layer that is used twice, both uses would lose the activation.
        is_used_once = last is not None and len(last._inbound_nodes) == 1
        return Outputs(are_logits=False, softmax=last if is_used_once and is_made_of_layers(network) else None)
    # One without weights may only cast what is before it: Activation("linear", dtype="float32").
    if activation == "linear" and last is not None and last.weights:
        return Outputs(are_logits=True)
    if _returns_probabilities(network, input_shape):
        return Outputs(are_logits=False)
    if activation not in (None, "linear"):
        raise SettingsError(
            f"model: {target} ends with the activation {activation}, and its answers are neither probabilities, as a "
            "softmax makes them, nor logits: let it end with softmax, or with no activation"
        )
    return Outputs(are_logits=True)


def check_training_methods(network: keras.Model, target: str) -> None:
    """Check that a network leaves its training to others. Raises: SettingsError: it has a train_step of its own."""
    for name in _OF_TRAINING:
        owner = next(kind for kind in type(network).__mro__ if name in vars(kind))
        if not owner.__module__.startswith("keras."):
            raise SettingsError(
                f"model: {target} returns a {type(network).__name__} with its own {name}(), which would not be called: "
                "the runner trains the layers. Add a further loss in a layer's call() by self.add_loss(…)"
            )


class Unchanged(keras.layers.Layer):  # type: ignore[misc]
    """Returns what it is given, called as a `keras.layers.Softmax` is."""

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Return the inputs."""
        return inputs


def without_softmax(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Return a layer of the same weights that leaves logits as they are."""
    if isinstance(layer, keras.layers.Softmax):
        return Unchanged(name=layer.name, dtype=layer.dtype_policy)
    # A copy that Keras makes, from its configuration, would have weights of its own; and those that `copy` makes go
    # through a file.
    twin = object.__new__(type(layer))
    vars(twin).update(vars(layer), activation=keras.activations.linear, _inbound_nodes=[], _outbound_nodes=[])
    return twin


def replaced(network: keras.Model, replace: Callable[[keras.layers.Layer], keras.layers.Layer]) -> keras.Model:
    """Return a model of the same layers, and so the same weights, but for those that are replaced.

    Args:
        network: that `is_made_of_layers`.
        replace: returns the layer in place of one, or the same.
    """
    return keras.models.clone_model(network, clone_function=replace, recursive=True)


def _last_layer(network: keras.Model) -> keras.layers.Layer | None:
    """Return the layer that makes the answer, also within other models; None if that cannot be known."""
    if type(network).__name__ not in ("Sequential", "Functional") or not network.built or len(network.outputs) != 1:
        return None
    # In public, a tensor does not tell which layer made it.
    last = network.outputs[0]._keras_history.operation
    if isinstance(last, keras.Model):
        return _last_layer(last)
    return last if isinstance(last, keras.layers.Layer) else None


def _activation(layer: keras.layers.Layer | None) -> str | None:
    """Return the name of a layer's activation; None if it has none."""
    function = getattr(layer, "activation", None)
    if function is None or not type(layer).__module__.startswith("keras."):
        return None
    name: str = getattr(function, "__name__", type(function).__name__)
    return name if getattr(function, "__module__", "").startswith("keras.") else f"{name} of your own"


def _returns_probabilities(network: keras.Model, input_shape: Sequence[int]) -> bool:
    """Tell whether the answers to a few images are probabilities. Those of untrained logits never were, in 300 nets."""
    images = np.random.default_rng(0).random((8, *input_shape), np.float32)
    answers = np.asarray(keras.ops.convert_to_numpy(network(images, training=False)), np.float32)
    if not np.isfinite(answers).all():
        return True  # The first step will tell it.
    return bool((answers >= 0).all() and np.allclose(answers.sum(axis=-1), 1, atol=_TOLERANCE))
