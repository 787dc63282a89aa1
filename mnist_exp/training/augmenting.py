"""What changes the training examples: the mixing that an augmentation begins with, and its layers."""

from collections.abc import Mapping

import keras

from mnist_exp.config.components import Component
from mnist_exp.data.scaling import Scaling
from mnist_exp.errors import SettingsError
from mnist_exp.mixing import Mixing
from mnist_exp.tasks.task import Task

_MIXES = "which mixes images and not their labels"
# Layers of Keras after which images are not what their labels say: why, what to take, on which backend (None: all).
_WRONG: Mapping[str, tuple[str, str, str | None]] = {
    "MixUp": (_MIXES, "mixup(alpha=0.2) before its layers", None),
    "CutMix": (_MIXES, "cutmix() before its layers", None),
    "RandomElasticTransform": (
        "which in Keras 3.15.1 puts the first image of a batch in place of all others",
        "elastic()",
        "tensorflow",
    ),
}


def of(
    augment: Component, scaling: Scaling, task: Task, network: keras.Model, batch_size: int
) -> tuple[Mixing | None, list[keras.layers.Layer]]:
    """Return how training examples are mixed, if they are, and the layers that change them then.

    Args:
        augment: what the configuration names.
        scaling: of the raw values.
        task: what is learnt.
        network: the model itself, in which nothing may mix.
        batch_size: examples a batch.
    Raises: SettingsError: labels would not be what is seen.
    """
    value_range = (0.0, 1.0) if scaling.pixels and scaling.mean is None else None
    given = {"value_range": value_range} if augment.takes("value_range") else {}
    made = list(augment.build(**given))
    mixings = [each for each in made if isinstance(each, Mixing)]
    layers = [each for each in made if not isinstance(each, Mixing)]
    for where, target, parts in (("augment", augment.target, layers), ("model", network.name, [network])):
        # In public, a model does not tell the layers within others that are no models, as in Pipeline.
        for layer in (inner for part in parts for inner in part._flatten_layers()):
            _check(where, target, layer)
    if not mixings:
        return None, layers
    if made[0] is not mixings[0] or len(mixings) > 1:
        raise SettingsError(f"augment: {augment.target} must return one mixing at most, and before the layers")
    if batch_size == 1:
        raise SettingsError(
            f"augment={augment.name} mixes the examples of a batch with each other: trainer.batch_size=1 must be at "
            "least 2"
        )
    if mixings[0].is_of_areas and task.activation == "linear":
        raise SettingsError(
            f"augment={augment.name} is for classes and labels, which parts of an image have, and not for task="
            f"{task.name}: take augment=mixup"
        )
    return mixings[0], layers


def _check(where: str, target: str, layer: keras.layers.Layer) -> None:
    """Raise SettingsError if a layer makes other images than the labels say."""
    for name, (why, instead, backend) in _WRONG.items():
        if isinstance(layer, getattr(keras.layers, name)) and backend in (None, keras.backend.backend()):
            raise SettingsError(
                f"{where}: {target} has a keras.layers.{name}, {why}: let a builder of augment return "
                f"mnist_exp.augmentation.{instead}"
            )
