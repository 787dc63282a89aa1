"""Train one model on several devices of this machine. Each has a copy of the model and its share of every batch."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from mnist_exp.config.schema import TrainerSettings
from mnist_exp.errors import SettingsError


def check(trainer: TrainerSettings, trained_on: int, validated_on: int) -> None:
    """Check that there are enough devices, and that they can share each batch equally.

    Args:
        trainer: how the model is trained.
        trained_on: training images an epoch.
        validated_on: images of each validation.
    Raises: SettingsError: there are too few devices, or a batch cannot be shared.
    """
    if trainer.devices == 1:
        return
    found = _names()
    count = len(found) if trainer.devices == "all" else trainer.devices
    if count > len(found):
        raise SettingsError(f"trainer.devices={count}: {trainer.backend} finds {len(found)} here, {', '.join(found)}")
    # A smaller share would have the same weight as a whole one in the mean; JAX refuses it.
    shared = {"trainer.batch_size": trainer.batch_size, "the last batch of an epoch": trained_on % trainer.batch_size}
    if trainer.backend == "jax":
        shared["the validation"] = validated_on
    problems = [
        f"trainer.devices={trainer.devices}: {count} devices cannot share {what}, {images} images, equally: change "
        "trainer.batch_size, data.limit or data.validation"
        for what, images in shared.items()
        if images % count
    ]
    if problems:
        raise SettingsError(problems)


def batch_of(trainer: TrainerSettings, at_most: int) -> int:
    """Return the largest batch size up to a limit that the devices share equally."""
    count = len(_names()) if trainer.devices == "all" else trainer.devices
    return max(at_most // count, 1) * count


@contextlib.contextmanager
def shared(trainer: TrainerSettings) -> Iterator[None]:
    """Make the models that are built inside this context train on `trainer.devices` devices.

    On JAX this lasts until `gather`.
    """
    if trainer.devices == 1:
        yield
        return
    names = _names()
    names = names if trainer.devices == "all" else names[: trainer.devices]
    if trainer.backend == "tensorflow":
        import tensorflow as tf

        with tf.distribute.MirroredStrategy(names).scope():
            yield
        return
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=names, auto_shard_dataset=False))
    yield


def gather(model: keras.Model, trainer: TrainerSettings) -> None:
    """Put the weights of a trained model on one device."""
    if trainer.devices == 1 or trainer.backend != "jax":
        return
    keras.distribution.set_distribution(None)
    for variable in model.variables:
        variable.assign(keras.ops.convert_to_numpy(variable))


def _names() -> list[str]:
    """Return the names of the GPUs that the backend finds; without GPUs, of its CPU devices."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        found: list[Any] = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return [device.name for device in found]
    return list(keras.distribution.list_devices())
