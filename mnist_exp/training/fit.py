"""Build, train and test a Keras model; nothing here knows of Hydra, MLflow or the screen."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mnist_exp.config.schema import Settings, TrainerSettings
from mnist_exp.data.splits import Split
from mnist_exp.errors import SettingsError, TrainingError
from mnist_exp.runtime import backends, signals
from mnist_exp.training import devices, flops
from mnist_exp.training.batches import Batches
from mnist_exp.training.callbacks import Checkpointing, EpochMetrics, Metrics, shortest, variables
from mnist_exp.training.checkpoints import Checkpoint, Position, Saving
from mnist_exp.training.fast_adam import QuickAdam
from mnist_exp.training.fast_dropout import quicken

EVALUATION_BATCH = 500
# Steps that Keras does at a time, without coming back to Python: as many as a slow CPU does in about a second.
_AT_A_TIME, _FLOPS_AT_A_TIME = 16, 20e9


@dataclass(frozen=True)
class Built:
    """A model to train and the same, weights shared, to keep.

    Args:
        trained: with augmentation, compiled; on TensorFlow its dropout is quick.
        kept: without augmentation, not compiled, so that it needs nothing but Keras to be loaded.
    """

    trained: keras.Model
    kept: keras.Model


def set_up(seed: int, trainer: TrainerSettings) -> None:
    """Make the process ready for one training: fresh names, seeds, precision, threads.

    Raises: SettingsError: the number of threads cannot be changed any more.
    """
    backends.leave_tensorflow_out()
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(trainer.precision)
    if trainer.threads is not None:
        _set_threads(trainer.threads)


def forget() -> None:
    """Give back the memory of a training that is over; keep nothing of it that Keras still has to run.

    TensorFlow never forgets a custom gradient, of which each training makes two, and each holds its graph, the batches
    and their arrays: 10 MB a training and a copy of its images (measured over 30 of them; none with this).
    """
    if keras.backend.backend() == "tensorflow":
        from tensorflow.python.framework import ops

        registry = getattr(ops.gradient_registry, "_registry", {})
        for name in [name for name in registry if name.startswith("CustomGradient-")]:
            del registry[name]
    keras.utils.clear_session()
    if keras.backend.backend() == "jax":
        import jax

        jax.clear_caches()


def build(settings: Settings, input_shape: tuple[int, int, int], classes: int, images: int) -> Built:
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


def _build(settings: Settings, input_shape: tuple[int, int, int], classes: int, images: int) -> Built:
    pixels = keras.Input(input_shape, name="pixels")
    scaled = keras.layers.Rescaling(1 / 255)(pixels)
    network = settings.model.build(input_shape, classes)
    if not isinstance(network, keras.Model):
        raise SettingsError(f"model: {settings.model.target} must return a keras.Model, not {type(network).__name__}")
    kept = keras.Model(pixels, network(scaled), name=settings.model.name)
    if kept.output_shape != (None, classes):
        wanted = f"probabilities of shape (None, {classes}), not {kept.output_shape}"
        raise SettingsError(f"model: {settings.model.target} must return {wanted}")
    augmented = scaled
    for layer in settings.augment.build():
        augmented = layer(augmented)
    trained = keras.Model(pixels, _quick(network, settings.trainer)(augmented), name=settings.model.name)
    steps = settings.trainer.epochs * math.ceil(images / settings.trainer.batch_size)
    trained.compile(optimizer=_optimizer(settings, steps), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    _build_optimizer(trained)
    return Built(trained, kept)


@dataclass(frozen=True)
class Training:
    """One training to be done.

    Args:
        model: compiled, and its optimizer built.
        split: what it trains and is validated on.
        settings: how long, and what selects.
        on_epoch: called with the epoch's number, from 1, and its metrics; training stops if it returns false.
        saving: where checkpoints go, and which to go on from; None keeps none.
    """

    model: keras.Model
    split: Split
    settings: Settings
    on_epoch: Callable[[int, Metrics], bool]
    saving: Saving | None = None


@dataclass(frozen=True)
class Fitted:
    """What a training came to.

    Args:
        history: each metric's values, epoch by epoch.
        seconds: that it took, those before an interruption included.
        is_refused: whether `on_epoch` stopped it.
    """

    history: dict[str, list[float]]
    seconds: float
    is_refused: bool


def fit(
    model: keras.Model,
    split: Split,
    settings: Settings,
    on_epoch: Callable[[int, Metrics], bool],
    on_step: Callable[[int, Metrics], None] | None = None,
    saving: Saving | None = None,
) -> Fitted:
    """Train.

    Args:
        model: compiled.
        split: what it trains and is validated on.
        settings: how long, and what selects.
        on_epoch: called with the epoch's number, from 1, and its metrics; training stops if it returns false.
        on_step: called with the number of steps done in the epoch and the running metrics.
        saving: where checkpoints go, and which to go on from, which fits the model; None keeps none.
    Raises: TrainingError: the loss became NaN or infinite.
    """
    trainer = settings.trainer
    _build_optimizer(model)
    start = saving.start if saving else None
    batches = Batches(split.x_train, split.y_train, batch_size=trainer.batch_size, seed=settings.seed)
    metrics = EpochMetrics(len(split.x_train), len(batches), on_epoch, on_step)
    model.steps_per_execution = _at_a_time(model, trainer, start)
    selecting = selecting_callbacks(settings)
    checkpointing = Checkpointing(saving, len(batches), metrics, selecting)
    evaluation_batch = devices.batch_of(trainer, EVALUATION_BATCH)
    with signals.deferred():
        model.fit(
            batches.feed(),
            validation_data=Batches(split.x_val, split.y_val, batch_size=evaluation_batch).feed(),
            initial_epoch=first_epoch(start, trainer.epochs),
            epochs=trainer.epochs,
            shuffle=False,
            verbose=0,
            callbacks=[batches.counted(), metrics, *selecting, checkpointing],
        )
    devices.gather(model, trainer)
    return outcome(metrics, checkpointing)


def outcome(metrics: EpochMetrics, checkpointing: Checkpointing) -> Fitted:
    """Return what a training came to. Raises: TrainingError: the loss became NaN or infinite."""
    if metrics.diverged is not None:
        fix = "lower optimizer.learning_rate, or clip with optimizer.global_clipnorm=1"
        raise TrainingError(f"{metrics.diverged}: {fix}")
    return Fitted(metrics.history, checkpointing.seconds, metrics.is_refused)


def check_fits(model: keras.Model, start: Checkpoint) -> None:
    """Make sure that a checkpoint is of this model. Raises: SettingsError: with the differences."""
    _build_optimizer(model)
    kinds = ("model/", "optimizer/")
    here = {name: tuple(v.shape) for name, v in variables(model).items() if name.startswith(kinds)}
    there = {name: array.shape for name, array in start.arrays.items() if name.startswith(kinds)}
    differences = [
        f"{name.partition('/')[2].partition('/')[2]} has the shape {here.get(name, 'none')}, "
        f"in the checkpoint {there.get(name, 'none')}"
        for name in dict.fromkeys([*here, *there])
        if here.get(name) != there.get(name)
    ]
    if differences:
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise SettingsError(f"the checkpoint is of another model: {'; '.join(differences[:3])}{more}")


def weights_sha256(model: keras.Model) -> str:
    """Return the SHA-256, in hex, of all weights of a model, in their order."""
    content = hashlib.sha256()
    for array in model.get_weights():
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()


def predict(model: keras.Model, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return class probabilities, shape (n, classes).

    Args:
        model: with or without augmentation, which is not in force here.
        x: raw pixels, shape (n, height, width, channels).
    """
    return np.asarray(model.predict(Batches(x, batch_size=EVALUATION_BATCH).feed(), verbose=0), np.float32)


def score(probabilities: npt.NDArray[np.float32], labels: npt.NDArray[Any]) -> Metrics:
    """Return mean cross-entropy and accuracy.

    Args:
        probabilities: shape (n, classes).
        labels: shape (n,).
    """
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    loss = -np.log(np.maximum(true, np.finfo(np.float32).tiny)).mean()
    return {"loss": shortest(loss), "accuracy": float((probabilities.argmax(axis=1) == labels).mean())}


def selecting_callbacks(settings: Settings) -> list[keras.callbacks.Callback]:
    """Return Keras's callbacks that act on the objective."""
    trainer, callbacks = settings.trainer, []
    watched = {"monitor": settings.objective, "mode": settings.direction[:3]}
    if trainer.restore_best or trainer.early_stopping_patience is not None:
        patience = trainer.early_stopping_patience or math.inf
        stop = keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=trainer.restore_best, **watched)
        callbacks.append(stop)
    if trainer.plateau_patience is not None:
        callbacks.append(
            keras.callbacks.ReduceLROnPlateau(
                patience=trainer.plateau_patience, factor=trainer.plateau_factor, min_delta=0, **watched
            )
        )
    return callbacks


def first_epoch(start: Checkpoint | None, epochs: int) -> int:
    """Return the epoch to begin with, from 0; past the last one if the training was over already."""
    position = start.position if start else Position()
    return epochs if start and start.facts["is_over"] else position.epoch


def _at_a_time(model: keras.Model, trainer: TrainerSettings, start: Checkpoint | None) -> int:
    """Return how many steps to do at a time, of which the position to go on from is a multiple."""
    # On JAX Keras does them one by one all the same, on torch it refuses to, and on several devices TensorFlow fails.
    if not _is_quick(trainer) or (an_image := flops.forward(model)) is None:
        return 1
    a_step = 3 * max(an_image, 1) * trainer.batch_size
    steps = max(1, min(_AT_A_TIME, int(_FLOPS_AT_A_TIME / a_step)))
    return math.gcd(steps, start.position.step) if start and start.position.step else steps


def _build_optimizer(model: keras.Model) -> None:
    """Make the optimizer's variables, once: the one that scales the loss for float16 would make them again."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def _optimizer(settings: Settings, steps: int) -> keras.optimizers.Optimizer:
    arguments = dict(settings.optimizer.arguments)
    if "learning_rate" in arguments:
        arguments["learning_rate"] = settings.schedule.build(arguments["learning_rate"], steps)
    if settings.optimizer.target == "keras.optimizers.Adam" and _is_quick(settings.trainer):
        return QuickAdam(**arguments)
    return settings.optimizer.build(**arguments)


def _quick(network: keras.Model, trainer: TrainerSettings) -> keras.Model:
    return quicken(network) if _is_quick(trainer) else network


def _is_quick(trainer: TrainerSettings) -> bool:
    """Tell whether what makes trainings quick can be used, which is for one device of TensorFlow's."""
    return keras.backend.backend() == "tensorflow" and trainer.devices == 1


def _set_threads(threads: int) -> None:
    if keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(threads)
        return
    if keras.backend.backend() != "tensorflow":
        raise SettingsError(f"trainer.threads={threads} can be set for TensorFlow and torch only")
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError as error:
        now = tf.config.threading.get_intra_op_parallelism_threads()
        if now != threads:
            raise SettingsError(
                f"trainer.threads={threads} comes too late: TensorFlow already runs with {now} (0: its own choice) in "
                "this process and cannot change; start a new one"
            ) from error
