"""Build and compile the models of one run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from mnist_exp.config.schema import Settings, TrainerSettings
from mnist_exp.errors import SettingsError
from mnist_exp.training import devices
from mnist_exp.training.fast_ops import QuickAdam, quicken


@dataclass(frozen=True)
class Models:
    """Two models of the same weights.

    Args:
        training_model: with augmentation, compiled; on TensorFlow with the fast dropout.
        inference_model: without augmentation, not compiled, so that it needs nothing but Keras to be loaded.
    """

    training_model: keras.Model
    inference_model: keras.Model


def build(settings: Settings, input_shape: tuple[int, int, int], classes: int, images: int) -> Models:
    """Return the model for raw pixels, 0 to 255.

    Args:
        settings: which model, optimizer, schedule and augmentation.
        input_shape: height, width, channels.
        classes: number of classes.
        images: training images an epoch.
    Raises: SettingsError: a builder refuses what it is given.
    """
    with devices.shared(settings.trainer):
        return _build(settings, input_shape, classes, images)


def _build(settings: Settings, input_shape: tuple[int, int, int], classes: int, images: int) -> Models:
    rescale = keras.layers.Rescaling(1 / 255)  # First: Keras counts the names that it makes, and records hold them.
    network = settings.model.build(input_shape, classes)
    if not isinstance(network, keras.Model):
        raise SettingsError(f"model: {settings.model.target} must return a keras.Model, not {type(network).__name__}")
    # Ours give way, because no two layers of a model may have one name.
    rescale.name = _unlike(rescale.name, [network.name])
    pixels = keras.Input(input_shape, name=_unlike("pixels", [network.name]))
    scaled = rescale(pixels)
    inference_model = keras.Model(pixels, network(scaled), name=settings.model.name)
    if inference_model.output_shape != (None, classes):
        wanted = f"probabilities of shape (None, {classes}), not {inference_model.output_shape}"
        raise SettingsError(f"model: {settings.model.target} must return {wanted}")
    augmented, names = scaled, [pixels.name, rescale.name, network.name]
    for layer in settings.augment.build():
        own = layer if layer.name not in names else keras.Sequential([layer], name=_unlike(layer.name, names))
        augmented = own(augmented)
        names.append(own.name)
    training_model = keras.Model(pixels, _fast(network, settings.trainer)(augmented), name=settings.model.name)
    steps = settings.trainer.epochs * math.ceil(images / settings.trainer.batch_size)
    compile_model(training_model, _optimizer(settings, steps))
    build_optimizer(training_model)
    return Models(training_model, inference_model)


def compile_model(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
    """Give a model its loss, its metrics and its optimizer: the one place that says which."""
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])


def build_optimizer(model: keras.Model) -> None:
    """Make the optimizer's variables, once: the one that scales the loss for float16 would make them again."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def uses_fast_ops(trainer: TrainerSettings) -> bool:
    """Tell whether the fast Adam and dropout can be used: on TensorFlow, on one device."""
    return keras.backend.backend() == "tensorflow" and trainer.devices == 1


def _optimizer(settings: Settings, steps: int) -> keras.optimizers.Optimizer:
    arguments = dict(settings.optimizer.arguments)
    if "learning_rate" in arguments:
        arguments["learning_rate"] = settings.schedule.build(arguments["learning_rate"], steps)
    if settings.optimizer.target == "keras.optimizers.Adam" and uses_fast_ops(settings.trainer):
        return QuickAdam(**arguments)
    return settings.optimizer.build(**arguments)


def _unlike(name: str, names: Sequence[str]) -> str:
    """Return a name that is none of others, as like it as can be."""
    return name if name not in names else _unlike(f"{name}_", names)


def _fast(network: keras.Model, trainer: TrainerSettings) -> keras.Model:
    return quicken(network) if uses_fast_ops(trainer) else network
