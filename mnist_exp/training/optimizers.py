"""The optimizer of a training, with the rate of its schedule."""

import re
from collections.abc import Sequence

import keras

from mnist_exp.config.schema import Settings, TrainerSettings
from mnist_exp.training.fast_ops import QuickAdam
from mnist_exp.training.schedule_free import ScheduleFreeAdamW


def build(settings: Settings, steps: int) -> keras.optimizers.Optimizer:
    """Return the optimizer that the settings name.

    Args:
        settings: of the run.
        steps: in the whole training.
    Raises: SettingsError: it refuses its arguments.
    """
    arguments = dict(settings.optimizer.arguments)
    if "learning_rate" in arguments:
        arguments["learning_rate"] = settings.schedule.build(arguments["learning_rate"], steps)
    if settings.optimizer.target == "keras.optimizers.Adam" and uses_fast_ops(settings.trainer):
        return QuickAdam(**arguments)
    if settings.optimizer.target == "keras.optimizers.ScheduleFreeAdamW":
        return ScheduleFreeAdamW(**arguments)
    return settings.optimizer.build(**arguments)


def uses_fast_ops(trainer: TrainerSettings) -> bool:
    """Tell whether the fast Adam and dropout can be used: on TensorFlow, on one device."""
    return keras.backend.backend() == "tensorflow" and trainer.devices == 1


def remarks(optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]) -> list[str]:
    """Return a sentence for each argument that changes nothing for the variables of a model.

    Args:
        optimizer: of Keras.
        variables: that it updates.
    """
    if not isinstance(optimizer, keras.optimizers.Muon):
        return []
    kernels = [variable.path for variable in variables if len(variable.shape) == 2]
    found = [
        f"optimizer.exclude_layers: {pattern!r} has no effect, for no kernel that Muon would update has it in its "
        f"path: {', '.join(kernels) or 'there is none'}"
        for pattern in optimizer.exclude_layers
        if not any(re.search(pattern, path) for path in kernels)
    ]
    if not optimizer.exclude_embeddings and not any("embedding" in path.lower() for path in kernels):
        found.append("optimizer.exclude_embeddings=false has no effect: the model has no embedding")
    return found
