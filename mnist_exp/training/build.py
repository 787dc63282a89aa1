"""Build and compile the models of one run."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from mnist_exp.config.schema import Settings, TrainerSettings
from mnist_exp.errors import SettingsError
from mnist_exp.training import devices, outputs
from mnist_exp.training.fast_ops import QuickAdam, is_made_of_layers, quicken


@dataclass(frozen=True)
class Models:
    """Two models of the same weights.

    Args:
        training_model: with augmentation, compiled; returns logits if it can; on TensorFlow with the fast dropout.
        inference_model: without augmentation, not compiled, so that it needs nothing but Keras to be loaded; returns
            probabilities.
        remarks: sentences about what a user may not expect.
    """

    training_model: keras.Model
    inference_model: keras.Model
    remarks: tuple[str, ...] = ()


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
    outputs.check_training_methods(network, settings.model.target)
    # Ours give way, because no two layers of a model may have one name.
    rescale.name = _unlike(rescale.name, [network.name])
    pixels = keras.Input(input_shape, name=_unlike("pixels", [network.name]))
    scaled = rescale(pixels)
    answers = network(scaled)
    if tuple(answers.shape) != (None, classes):
        wanted = f"probabilities, or logits, of shape (None, {classes}), not {tuple(answers.shape)}"
        raise SettingsError(f"model: {settings.model.target} must return {wanted}")
    returned, remarks = outputs.of(network, input_shape, settings.model.target), []
    if returned.are_logits:
        name = _unlike("probabilities", [pixels.name, rescale.name, network.name])
        answers = keras.layers.Softmax(name=name, dtype="float32")(answers)
        remarks.append("the model returns logits: it is trained from them, and the recorded one returns probabilities")
    if getattr(network, "compiled", False):
        remarks.append(f"{settings.model.target} compiles its model: that has no effect, the configuration decides")
    inference_model = keras.Model(pixels, answers, name=settings.model.name)
    augmented, names = scaled, [pixels.name, rescale.name, network.name]
    for layer in settings.augment.build():
        own = layer if layer.name not in names else keras.Sequential([layer], name=_unlike(layer.name, names))
        augmented = own(augmented)
        names.append(own.name)
    trained = _trained(network, settings.trainer, returned.softmax)
    training_model = keras.Model(pixels, trained(augmented), name=settings.model.name)
    steps = settings.trainer.epochs * settings.trainer.steps(images)
    compile_model(training_model, _optimizer(settings, steps), from_logits=returned.trains_from_logits)
    build_optimizer(training_model)
    return Models(training_model, inference_model, tuple(remarks))


def compile_model(model: keras.Model, optimizer: keras.optimizers.Optimizer, *, from_logits: bool) -> None:
    """Give a model its loss, its metrics and its optimizer: the one place that says which.

    Args:
        model: to be trained.
        optimizer: of it.
        from_logits: whether it returns logits.
    """
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])


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


def _trained(network: keras.Model, trainer: TrainerSettings, softmax: keras.layers.Layer | None) -> keras.Model:
    """Return a network of the same weights for the training: without its softmax, and with fast dropout."""

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer is softmax:
            return outputs.without_softmax(layer)
        return quicken(layer) if uses_fast_ops(trainer) else layer

    # What cannot be taken apart, such as a subclass of Model, is trained as it is.
    return outputs.replaced(network, replace) if is_made_of_layers(network) else network
