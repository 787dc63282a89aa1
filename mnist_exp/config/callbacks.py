"""Callbacks of Keras: those that a training has no place for, with the option that does the same; and TensorBoard's."""

from collections.abc import Mapping
from typing import Any, Protocol

PACKAGE = "keras.callbacks"
TENSORBOARD = f"{PACKAGE}.TensorBoard"

_INSTEAD = {
    "BackupAndRestore": "an interrupted run goes on by resume=RUN_ID, to the same bits (trainer.checkpoint_every)",
    "CSVLogger": "each epoch's metrics are recorded (tracking=mlflow)",
    "Callback": "it is the base of the others",
    "CallbackList": "name each callback for itself",
    "EarlyStopping": "take trainer.early_stopping_patience and trainer.restore_best, which follow the objective",
    "History": "each epoch's metrics are recorded (tracking=mlflow)",
    "LambdaCallback": "a configuration holds no functions: write a class in a module of your own, in trusted_modules",
    "LearningRateScheduler": "take schedule=NAME, or a schedule of your own",
    "ModelCheckpoint": "the model is recorded at the end (trainer.restore_best: the best one); checkpoints are kept by "
    "trainer.checkpoint_every",
    "OrbaxCheckpoint": "checkpoints are kept by trainer.checkpoint_every",
    "ProgbarLogger": "the progress is shown",
    "ReduceLROnPlateau": "take trainer.plateau_patience and trainer.plateau_factor, which follow the objective",
    "RemoteMonitor": "each epoch's metrics go to the store that tracking.uri names",
    "SwapEMAWeights": "+optimizer.use_ema=true validates, selects and keeps the averages by itself",
    "TerminateOnNaN": "a loss or weights that become NaN end every run",
}


class Named(Protocol):
    """A callback as the configuration names it."""

    @property
    def target(self) -> str:
        """Its dotted name."""

    @property
    def arguments(self) -> dict[str, Any]:
        """Its arguments."""


def tensorboard_folders(callbacks: Mapping[str, Named]) -> list[str]:
    """Return the folders in which callbacks write for TensorBoard."""
    return [str(each.arguments.get("log_dir", "logs")) for each in callbacks.values() if each.target == TENSORBOARD]


def instead_of(name: str) -> str | None:
    """Return what to do instead of a class of `keras.callbacks`; None if it can be taken."""
    return _INSTEAD.get(name)
