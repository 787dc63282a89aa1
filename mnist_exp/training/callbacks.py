"""The callbacks of a training, in the order in which Keras calls them: the one place that lists them."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from mnist_exp.config.schema import Settings
from mnist_exp.data.lazy import Examples
from mnist_exp.training.averaged_weights import AveragedWeights
from mnist_exp.training.batch_statistics import BatchStatistics
from mnist_exp.training.batches import Array
from mnist_exp.training.checkpointing import Checkpointing
from mnist_exp.training.checkpoints import CheckpointPolicy, Position
from mnist_exp.training.digesting import Digesting
from mnist_exp.training.epoch_metrics import EpochMetrics, Metrics
from mnist_exp.training.own_callbacks import OwnCallbacks


@dataclass(frozen=True)
class TrainingCallbacks:
    """The callbacks of one training.

    Args:
        metrics: first, so that the others see the learning rate of the epoch before they change it.
        own: those that the configuration names; the end of an epoch comes to them by `metrics`.
        selecting: those that act on the objective.
        averages: puts the raw weights back after those that select have seen the averaged ones.
        digesting: takes digests of the raw weights.
        checkpointing: last, so that it keeps what the others know.
    """

    metrics: EpochMetrics
    own: OwnCallbacks
    selecting: list[keras.callbacks.Callback]
    averages: AveragedWeights
    digesting: Digesting
    checkpointing: Checkpointing

    @property
    def in_order(self) -> list[keras.callbacks.Callback]:
        """All of them, as Keras is to call them."""
        before = [self.metrics, self.averages.ending, self.own, *self.selecting]
        return [*before, self.averages, self.digesting, self.checkpointing]


def make(
    settings: Settings,
    x: Examples,
    target: Array,
    on_epoch: Callable[[int, Metrics], bool],
    *,
    on_step: Callable[[int, Metrics], None] | None = None,
    policy: CheckpointPolicy | None = None,
    scores: Callable[[], Metrics] | None = None,
    own: Mapping[str, keras.callbacks.Callback] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> TrainingCallbacks:
    """Return the callbacks of a training.

    Args:
        settings: what selects, and the batch size.
        x: training examples, (n, …).
        target: what the loss gets of one image that is not mixed, shape (1, …).
        on_epoch: called with the epoch's number, from 1, and its metrics; training stops if it returns false.
        on_step: called with the number of steps done in the epoch and the running metrics.
        policy: where checkpoints go, and which to go on from; None keeps none.
        scores: returns further metrics of the validation images, by the weights that the model has then.
        own: those that the configuration names.
        clock: tells the seconds; slower than time where several trainings share it.
    """
    start = policy.start.position if policy and policy.start else Position()
    called = OwnCallbacks(own or {}, start)
    steps = settings.trainer.steps(len(x))
    metrics = EpochMetrics(len(x), steps, on_epoch, on_step, scores, called.end_epoch, clock)
    selecting = _selecting(settings)
    averages = AveragedWeights(BatchStatistics(x, settings.trainer.batch_size))
    digesting = Digesting(steps, policy.start if policy else None)
    checkpointing = Checkpointing(policy, steps, target, metrics, called, selecting, averages, digesting.record, clock)
    return TrainingCallbacks(metrics, called, selecting, averages, digesting, checkpointing)


class EarlyStopping(keras.callbacks.EarlyStopping):  # type: ignore[misc]
    """Keras's, but that an epoch without a value is not the best one: with NaN nothing later would be better.

    Its name is Keras's, by which checkpoints know it.
    """

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Pass over an epoch whose objective is not a number."""
        if not math.isnan((logs or {}).get(self.monitor, 0.0)):
            super().on_epoch_end(epoch, logs)


def _selecting(settings: Settings) -> list[keras.callbacks.Callback]:
    """Return Keras's callbacks that act on the objective."""
    trainer, callbacks = settings.trainer, []
    watched = {"monitor": settings.objective, "mode": settings.direction[:3]}
    if trainer.restore_best or trainer.early_stopping_patience is not None:
        patience = trainer.early_stopping_patience or math.inf
        stop = EarlyStopping(patience=patience, restore_best_weights=trainer.restore_best, **watched)
        callbacks.append(stop)
    if trainer.plateau_patience is not None:
        callbacks.append(
            keras.callbacks.ReduceLROnPlateau(
                patience=trainer.plateau_patience, factor=trainer.plateau_factor, min_delta=0, **watched
            )
        )
    return callbacks
