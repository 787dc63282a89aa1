"""What a network returns, predictions or what comes before them: trainings are from logits wherever there are any.

The loss of a probability that is 0 in float32 is infinite, or clipped, and then it has no gradient; the loss of its
logits is exact. Keras finds the logits behind a softmax on TensorFlow in float32, and nowhere else.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from mnist_exp.errors import SettingsError
from mnist_exp.losses import Activation
from mnist_exp.training.fast_ops import is_made_of_layers

_TOLERANCE = 1e-3  # of the sum of probabilities; in float16 that of 1,000 classes is 9e-4 off
# Methods of a model of one's own by which Keras would train it; here its layers are part of another model.
_OF_TRAINING = ("train_step", "test_step", "compute_loss", "compute_metrics", "fit")


@dataclass(frozen=True)
class Outputs:
    """How the answers of a network are to be read.

    Args:
        are_raw: whether it returns what comes before the task's activation: logits, or numbers.
        head: its last layer, if its activation can be taken away.
        is_replaced: whether the head is of another task, so that the recorded model must not have it either.
    """

    are_raw: bool
    head: keras.layers.Layer | None = None
    is_replaced: bool = False

    @property
    def trains_raw(self) -> bool:
        """Whether the model that is trained returns what comes before the task's activation."""
        return self.are_raw or self.head is not None


def of(network: keras.Model, input_shape: Sequence[int], target: str, wanted: Activation = "softmax") -> Outputs:
    """Return how the answers of a network are to be read: by its last layer, else by its answers to a few images.

    Args:
        network: from pixels of 0 to 1 to an array (n, outputs).
        input_shape: of an image.
        target: dotted name of its builder, for messages.
        wanted: what makes predictions of its raw outputs.
    Raises: SettingsError: they are neither predictions nor raw outputs.
    """
    last = _last_layer(network)
    found = "softmax" if isinstance(last, keras.layers.Softmax) else _activation(last)
    can_be_taken = last is not None and _can_be_taken(last, network)
    if found == wanted and wanted != "linear":
        return Outputs(are_raw=False, head=last if can_be_taken else None)
    if found == "softmax":  # Of a builder for classes, as ours are.
        if not can_be_taken:
            raise SettingsError(
                f"model: {target} ends with a softmax, which is for classes, and it cannot be taken away: let it end "
                f"with {'no activation' if wanted == 'linear' else wanted} for this task"
            )
        return Outputs(are_raw=True, head=last, is_replaced=True)
    # One without weights may only cast what is before it: Activation("linear", dtype="float32").
    if found == "linear" and last is not None and last.weights:
        return Outputs(are_raw=True)
    answers = _answers(network, input_shape)
    if answers is None:  # Not finite: the first step will tell it.
        return Outputs(are_raw=wanted == "linear")
    sums_to_one, is_within = answers
    if sums_to_one and wanted != "softmax":
        raise SettingsError(
            f"model: {target} gives answers that add up to 1, as a softmax makes them, which is for classes: let it "
            f"end with {'no activation' if wanted == 'linear' else wanted} for this task"
        )
    if wanted == "linear":
        return Outputs(are_raw=True)
    if sums_to_one or (wanted == "sigmoid" and is_within):
        return Outputs(are_raw=False)
    if found is None and is_within:
        raise SettingsError(
            f"model: {target} gives answers from 0 to 1 that do not add up to 1: they are neither probabilities of "
            "classes nor logits; let it end with softmax, or with no activation"
        )
    if found not in (None, "linear"):
        raise SettingsError(
            f"model: {target} ends with the activation {found}, and its answers are neither probabilities, as a "
            f"{wanted} makes them, nor logits: let it end with {wanted}, or with no activation"
            + (" (one sigmoid for two classes: task=binary)" if found == "sigmoid" else "")
        )
    return Outputs(are_raw=True)


def raw_twin(model: keras.Model, wanted: Activation) -> keras.Model | None:
    """Return a model of the same weights that returns what comes before a recorded model's activation.

    Args:
        model: as it is recorded.
        wanted: the activation of its task.
    Returns: the model; None where its last layer does not tell, or cannot be taken away.
    """
    last = _last_layer(model)
    found = "softmax" if isinstance(last, keras.layers.Softmax) else _activation(last)
    if found != wanted or last is None or not _can_be_taken(last, model):
        return None
    return replaced(model, lambda layer: without_activation(layer) if layer is last else layer)


def with_features(model: keras.Model) -> keras.Model | None:
    """Return a model of the same weights that returns what its last layer with weights is given, and its predictions.

    Args:
        model: as it is recorded.
    Returns: the model, whose features are (n, features); None where its layers do not tell.
    """
    layer = _last_layer(model)
    if layer is None or not _can_be_taken(layer, model):
        return None
    head = [layer]
    while not head[0].weights:  # Softmax, or an activation, of its own.
        if len(head[0]._inbound_nodes) != 1 or isinstance(head[0].input, list):
            return None
        before = head[0].input._keras_history.operation
        before = _last_layer(before) if isinstance(before, keras.Model) else before
        if not isinstance(before, keras.layers.Layer) or isinstance(before, keras.layers.InputLayer):
            return None
        head.insert(0, before)
    if len(head[0]._inbound_nodes) != 1 or len(getattr(head[0].input, "shape", ())) != 2:
        return None
    taken = {id(each) for each in head}

    def body_of(each: keras.layers.Layer) -> keras.layers.Layer:
        return Unchanged(name=f"{each.name}_features", dtype=each.dtype_policy) if id(each) in taken else each

    body = replaced(model, body_of)
    features = answer = body.outputs[0]
    for each in head:
        answer = _twin(each)(answer)
    return keras.Model(body.inputs[0], [features, answer])


def activate(raw: Any, activation: Activation) -> Any:
    """Return predictions of raw outputs, float32 (n, outputs), as a layer with the activation makes them."""
    if activation == "linear":
        return raw
    return keras.ops.convert_to_numpy(getattr(keras.ops, activation)(keras.ops.convert_to_tensor(raw)))


def activation_layer(activation: Activation, name: str) -> keras.layers.Layer:
    """Return the layer that makes predictions of raw outputs, in float32 whatever the precision of the rest."""
    if activation == "softmax":
        return keras.layers.Softmax(name=name, dtype="float32")
    return keras.layers.Activation(activation, name=name, dtype="float32")


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


def without_activation(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Return a layer of the same weights that leaves logits as they are."""
    if isinstance(layer, keras.layers.Softmax | keras.layers.Activation):
        return Unchanged(name=layer.name, dtype=layer.dtype_policy)
    twin = _twin(layer)
    twin.activation = keras.activations.linear
    return twin


def _twin(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Return a layer of the same weights that is not part of any model yet."""
    # A copy that Keras makes, from its configuration, would have weights of its own; and those that `copy` makes go
    # through a file.
    twin = object.__new__(type(layer))
    vars(twin).update(vars(layer), _inbound_nodes=[], _outbound_nodes=[])
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
    if type(network).__name__ not in ("Sequential", "Functional") or not network.built:
        return None
    if len(network.outputs) != 1:
        return None
    # In public, a tensor does not tell which layer made it.
    last = network.outputs[0]._keras_history.operation
    if isinstance(last, keras.Model):
        return _last_layer(last)
    return last if isinstance(last, keras.layers.Layer) else None


def _can_be_taken(last: keras.layers.Layer, network: keras.Model) -> bool:
    # Of a layer that is used twice, both uses would lose the activation; in public, a layer does not tell its uses.
    return len(last._inbound_nodes) == 1 and is_made_of_layers(network)


def _activation(layer: keras.layers.Layer | None) -> str | None:
    """Return the name of a layer's activation; None if it has none."""
    function = getattr(layer, "activation", None)
    if function is None or not type(layer).__module__.startswith("keras."):
        return None
    name: str = getattr(function, "__name__", type(function).__name__)
    return name if getattr(function, "__module__", "").startswith("keras.") else f"{name} of your own"


def _answers(network: keras.Model, input_shape: Sequence[int]) -> tuple[bool, bool] | None:
    """Return whether the answers to a few images add up to 1, and whether all lie between 0 and 1; None for NaN.

    Those of untrained logits never added up to 1, in 300 nets. Images of large values are among those asked, for whose
    logits it is not likely to lie between 0 and 1.
    """
    images = np.random.default_rng(0).random((8, *input_shape), np.float32)
    images = np.concatenate([images, 100 * (images - 0.5), -1000 * images])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras's, of a softmax over one output, which is refused.
        answers = np.asarray(keras.ops.convert_to_numpy(network(images, training=False)), np.float32)
    few = answers[:8]
    if not np.isfinite(few).all():
        return None
    adds_up = bool((few >= 0).all() and np.allclose(few.sum(axis=-1), 1, atol=_TOLERANCE))
    known = answers[np.isfinite(answers).all(axis=-1)]
    return adds_up, bool((known >= 0).all() and (known <= 1 + _TOLERANCE).all())
