"""Build and compile the models of one run."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from mnist_exp.config import components, wording
from mnist_exp.config.schema import Settings, TrainerSettings
from mnist_exp.data.features import FEATURES
from mnist_exp.data.pixels import UNIT
from mnist_exp.data.scaling import PIXELS, Scaling
from mnist_exp.errors import SettingsError, first_line
from mnist_exp.mixing import Mixing
from mnist_exp.tasks.task import Array, Task
from mnist_exp.training import augmenting, devices, loss, optimizers, outputs
from mnist_exp.training.fast_ops import is_made_of_layers, quicken
from mnist_exp.training.optimizers import uses_fast_ops

# Names of a model's input, by whether it takes pixels.
INPUTS = {True: "pixels", False: FEATURES}


@dataclass(frozen=True)
class Goal:
    """What a model is trained for: the one place that says which loss and which metrics Keras computes.

    Args:
        task: what is learnt.
        loss: that is minimized.
        is_raw: whether the model that is trained returns what comes before the task's activation.
        is_weighted: whether images count differently in the loss.
        has_penalty: whether regularizers or layers of the model add to it.
        mixing: makes each training example of two; None where they are trained on as they are.
        outputs: how many numbers the model returns for an example.
        unmixed_loss: the loss as it is computed of examples that are not mixed; None if it is the same.
    """

    task: Task
    loss: keras.losses.Loss
    is_raw: bool
    is_weighted: bool = False
    has_penalty: bool = False
    mixing: Mixing | None = None
    outputs: int = 0
    unmixed_loss: keras.losses.Loss | None = None

    @property
    def tested_by(self) -> keras.losses.Loss:
        """The loss as it is computed of a set of examples, which are as they are."""
        return self.unmixed_loss or self.loss

    def mix(self, rng: np.random.Generator, x: Array, y: Array, *weights: Array) -> tuple[Array, ...]:
        """Return a batch as it is trained on: examples, labels (n, outputs), and weights if there are any."""
        assert self.mixing is not None
        are_numbers = self.task.activation == "linear"
        return self.mixing.mix(rng, x, self.task.shares(y, self.outputs), *weights, are_numbers=are_numbers)

    def compile(self, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        """Give a model its loss, its metrics and its optimizer."""
        metrics: list[Any] = [self._running_metric()]
        if self.is_weighted or self.has_penalty:
            name = loss.WITHOUT_PENALTY if self.has_penalty else loss.WITHOUT_WEIGHTS
            metrics.append(keras.metrics.MeanMetricWrapper(self.loss.call, name=name))
        model.compile(optimizer=optimizer, loss=self.loss, metrics=metrics)

    def _running_metric(self) -> Any:
        """Return the metric that Keras computes batch by batch, in the form that `compile` takes."""
        if self.task.running == "mae":
            return keras.metrics.MeanAbsoluteError(name="mae")
        if self.mixing is not None:
            return self._accuracy_of_mixed()
        if self.task.activation == "sigmoid":  # Keras compares logits with 0.5, too.
            return keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0 if self.is_raw else 0.5)
        return "accuracy"

    def _accuracy_of_mixed(self) -> keras.metrics.Metric:
        """Return the accuracy where the class, or label, of an example is the one with the larger share."""
        limit = 0.0 if self.is_raw else 0.5

        def are_right(y_true: Any, y_pred: Any) -> Any:
            if self.task.activation == "sigmoid":
                return keras.ops.equal(y_true > 0.5, y_pred > limit)
            is_whole = len(y_true.shape) < 2 or y_true.shape[-1] != self.outputs  # Of a validation, which is not mixed.
            classes = keras.ops.reshape(y_true, (-1,)) if is_whole else keras.ops.argmax(y_true, axis=-1)
            return keras.ops.equal(keras.ops.cast(classes, "int32"), keras.ops.argmax(y_pred, axis=-1))

        return keras.metrics.MeanMetricWrapper(are_right, name="accuracy")


@dataclass(frozen=True)
class Models:
    """Two models of the same weights.

    Args:
        training_model: with augmentation, compiled; returns logits if it can; on TensorFlow with the fast dropout.
        inference_model: without augmentation, not compiled, so that it needs nothing but Keras to be loaded; returns
            predictions.
        goal: of the training.
        remarks: sentences about what a user may not expect.
    """

    training_model: keras.Model
    inference_model: keras.Model
    goal: Goal
    remarks: tuple[str, ...] = ()


def build(
    settings: Settings,
    input_shape: tuple[int, ...],
    task: Task,
    count: int,
    images: int,
    scaling: Scaling = PIXELS,
    *,
    is_weighted: bool = False,
) -> Models:
    """Return the model for raw values, as pixels of 0 to 255.

    Args:
        settings: which model, optimizer, schedule, loss and augmentation.
        input_shape: of one example; height, width, channels for a picture.
        task: what is learnt.
        count: how many numbers the model returns for an example.
        images: training examples an epoch.
        scaling: of the raw values; it becomes part of the model.
        is_weighted: whether examples count differently in the loss.
    Raises: SettingsError: a builder refuses what it is given, or builds what does not fit the examples.
    """
    with devices.shared(settings.trainer):
        return _build(settings, input_shape, task, count, images, scaling, is_weighted=is_weighted)


def _build(
    settings: Settings,
    input_shape: tuple[int, ...],
    task: Task,
    count: int,
    images: int,
    scaling: Scaling,
    *,
    is_weighted: bool,
) -> Models:
    rescale = scaling_layer(scaling)  # First: Keras counts the names that it makes, and records hold them.
    with _mismatch_told(settings, input_shape):
        network = settings.model.build(input_shape, count)
    if not isinstance(network, keras.Model):
        raise SettingsError(f"model: {settings.model.target} must return a keras.Model, not {type(network).__name__}")
    outputs.check_training_methods(network, settings.model.target)
    # Ours give way, because no two layers of a model may have one name.
    rescale.name = _unlike(rescale.name, [network.name])
    pixels = keras.Input(input_shape, name=_unlike(INPUTS[scaling.pixels], [network.name]))
    scaled = rescale(pixels)
    with _mismatch_told(settings, input_shape):
        shape = tuple(network(scaled).shape)
    if shape != (None, count):
        raise SettingsError(f"model: {settings.model.target} must return {_wanted(task, count)}, not {shape}")
    returned, remarks = outputs.of(network, input_shape, settings.model.target, task.activation), []
    kept = _without(network, returned.head) if returned.is_replaced else network
    answers = kept(scaled)
    if returned.are_raw and task.activation != "linear":
        name = _unlike("probabilities", [pixels.name, rescale.name, network.name])
        answers = outputs.activation_layer(task.activation, name)(answers)
        if not returned.is_replaced:
            remarks.append(
                "the model returns logits: it is trained from them, and the recorded one returns probabilities"
            )
    if returned.is_replaced and not components.is_of_libraries(settings.model.target):
        instead = "nothing" if task.activation == "linear" else f"a {task.activation}"
        remarks.append(f"the softmax at the end of the model is for classes: for task={task.name} there is {instead}")
    if getattr(network, "compiled", False):
        remarks.append(f"{settings.model.target} compiles its model: that has no effect, the configuration decides")
    inference_model = keras.Model(pixels, answers, name=settings.model.name)
    mixing, layers = augmenting.of(settings.augment, scaling, task, network, settings.trainer.batch_size)
    augmented, names = scaled, [pixels.name, rescale.name, network.name]
    for layer in layers:
        own = layer if layer.name not in names else keras.Sequential([layer], name=_unlike(layer.name, names))
        augmented = own(augmented)
        names.append(own.name)
    if tuple(augmented.shape) != tuple(scaled.shape):
        raise SettingsError(
            f"augment: {settings.augment.target} makes images {_sides(augmented)} of {_sides(scaled)}, which is what "
            "the model gets outside of training: end with a keras.layers.Resizing, or take augment=shift"
        )
    trained = _trained(network, settings.trainer, returned.head)
    training_model = keras.Model(pixels, trained(augmented), name=settings.model.name)
    steps = settings.trainer.epochs * settings.trainer.steps(images)
    plain = loss.make(settings.loss, task.activation, count, from_logits=returned.trains_raw)
    minimized = plain
    if mixing is not None:
        by = settings.augment.name
        minimized = loss.make(settings.loss, task.activation, count, from_logits=returned.trains_raw, mixed_by=by)
    has_penalty = not components.is_of_libraries(settings.model.target) and _has_penalty(kept, input_shape)
    goal = Goal(task, minimized, returned.trains_raw, is_weighted, has_penalty, mixing, count, plain)
    optimizer = optimizers.build(settings, steps)
    remarks += optimizers.remarks(optimizer, training_model.trainable_variables)
    goal.compile(training_model, optimizer)
    build_optimizer(training_model)
    return Models(training_model, inference_model, goal, tuple(remarks))


def _has_penalty(network: keras.Model, input_shape: Sequence[int]) -> bool:
    """Tell whether a network adds to its loss; what layers add, in `call`, is known after a call only."""
    network(np.zeros((1, *input_shape), np.float32), training=False)
    return bool(network.losses)


def _sides(images: keras.KerasTensor) -> str:
    return "×".join(map(str, images.shape[1:]))


def _wanted(task: Task, count: int) -> str:
    """Return what a model must return, in words."""
    what = "numbers" if task.activation == "linear" else "probabilities, or logits,"
    return f"{what} of shape (None, {count}) for task={task.name}"


def scaling_layer(scaling: Scaling) -> keras.layers.Layer:
    """Return the layer that scales raw values, in float32 where it was learned."""
    if scaling.mean is not None and scaling.variance is not None:
        # In 16 bits, large values would lose what tells them apart before their mean is subtracted.
        mean, variance = scaling.mean.tolist(), scaling.variance.tolist()
        return keras.layers.Normalization(mean=mean, variance=variance, dtype="float32", name="standardization")
    if scaling.range is None or scaling.range == UNIT:
        return keras.layers.Identity(name="as_they_are")
    black, white = scaling.range
    if black == 0:
        return keras.layers.Rescaling(1 / white)
    return keras.layers.Rescaling(1 / (white - black), offset=-black / (white - black))


@contextlib.contextmanager
def _mismatch_told(settings: Settings, input_shape: tuple[int, ...]) -> Iterator[None]:
    """Turn what Keras says of a model that does not take the examples into one sentence."""
    try:
        yield
    except ValueError as error:
        if not _is_of_keras(error):
            raise
        raise SettingsError(
            f"model: {settings.model.target} cannot be built for {wording.examples(input_shape)}, input_shape="
            f"{input_shape}: {first_line(error)}; take a model for this shape, or model=mlp, which takes any"
        ) from error


def build_optimizer(model: keras.Model) -> None:
    """Make the optimizer's variables, once: the one that scales the loss for float16 would make them again."""
    if model.optimizer.built:
        return
    inner = getattr(model.optimizer, "inner_optimizer", None)
    if isinstance(inner, keras.optimizers.Nadam):
        # Built with the outer one, a number of it is in no list of variables (findings/keras-nadam-in-float16.sh).
        inner.build(model.trainable_variables)
    model.optimizer.build(model.trainable_variables)


def _is_of_keras(error: Exception) -> bool:
    """Tell whether Keras or its backend raised an error, not the code that called them."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    module = last.tb_frame.f_globals.get("__name__", "") if last else ""
    return str(module).partition(".")[0] in ("keras", "tensorflow", "jax", "torch")


def _unlike(name: str, names: Sequence[str]) -> str:
    """Return a name that is none of others, as like it as can be."""
    return name if name not in names else _unlike(f"{name}_", names)


def _without(network: keras.Model, head: keras.layers.Layer | None) -> keras.Model:
    """Return a network of the same weights without the activation of its last layer."""
    return outputs.replaced(network, lambda layer: outputs.without_activation(layer) if layer is head else layer)


def _trained(network: keras.Model, trainer: TrainerSettings, head: keras.layers.Layer | None) -> keras.Model:
    """Return a network of the same weights for the training: without its last activation, and with fast dropout."""

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer is head:
            return outputs.without_activation(layer)
        return quicken(layer) if uses_fast_ops(trainer) else layer

    # What cannot be taken apart, such as a subclass of Model, is trained as it is.
    return outputs.replaced(network, replace) if is_made_of_layers(network) else network
