"""The callback that gathers the metrics of each epoch."""

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from mnist_exp.evaluation.metrics import shortest
from mnist_exp.training.loss import WITHOUT_PENALTY, WITHOUT_WEIGHTS

Metrics = dict[str, float]


class EpochMetrics(keras.callbacks.Callback):  # type: ignore[misc]
    """Gather the metrics of each epoch, with its rate and speed, and hand them on; stop where they are not finite.

    The loss is looked at after each step, the weights after each epoch.

    Args:
        images: training images an epoch.
        steps: steps an epoch; Keras may do several at a time, and then calls the last of them even one past the end.
        on_epoch: called with the epoch's number, from 1, and its metrics; training stops if it returns false.
        on_step: called with the number of steps done in the epoch and the running metrics.
        scores: returns further metrics of the validation images, by the weights that the model has then.
        then: called with an epoch's number, from 0, and its metrics, before they are handed on; it may add some.
        clock: tells the seconds; slower than time where several trainings share it.
    """

    def __init__(
        self,
        images: int,
        steps: int,
        on_epoch: Callable[[int, Metrics], bool],
        on_step: Callable[[int, Metrics], None] | None,
        scores: Callable[[], Metrics] | None = None,
        then: Callable[[int, dict[str, Any]], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__()
        self._clock = clock
        self.history: dict[str, list[float]] = {}
        self.diverged: str | None = None
        self.stopped_by_callback = False
        self.was_stopping = False  # Whether a callback of the user's own stopped the training at the last epoch.
        self._epoch = 0
        self._images, self._steps, self._on_epoch, self._on_step = images, steps, on_epoch, on_step
        self._scores, self._then = scores, then
        self._first = 1
        self._began = self._trained = self._earlier_s = 0.0

    def facts(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        is_within = self._epoch > len(self.history.get("loss", ()))
        epoch_s = self._trained - self._began + self._earlier_s if is_within else 0.0
        # `is_refused`: as the checkpoints of before name it.
        return {"history": self.history, "epoch_s": epoch_s, "is_refused": self.stopped_by_callback}

    def restore(self, facts: dict[str, Any]) -> None:
        """Continue from what `facts` returned."""
        self.history = {name: list(values) for name, values in facts["history"].items()}
        self._earlier_s = facts["epoch_s"]
        self.stopped_by_callback = facts["is_refused"]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock of the epoch."""
        self._epoch = epoch + 1
        self._began = self._trained = self._clock()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Note the first of the steps that Keras does at a time."""
        self._first = batch + 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Show the progress; note when the step ended, and the first one whose loss is NaN or infinite."""
        self._trained = self._clock()
        done = min(batch + 1, self._steps)
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss) and self.diverged is None:
            # Stop instead of raising: an exception here would leave Keras's reading threads behind.
            where = f"step {done}" if self._first == done else f"steps {self._first} to {done}"
            self.diverged = f"the loss became {loss} in epoch {self._epoch}, {where}"
            self.model.stop_training = True
        if self._on_step is not None:
            self._on_step(done, logs or {})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Complete the metrics of the epoch, also for the other callbacks, and pass them on; not of half an epoch."""
        if self.diverged is not None:
            return
        logs = {} if logs is None else logs
        _separate_penalty(logs)
        if self._scores is not None:
            logs |= {f"val_{name}": value for name, value in self._scores().items()}
        rate = shortest(self.model.optimizer.learning_rate)
        if self._then is not None:
            self._then(epoch, logs)
        metrics = {name: shortest(value) for name, value in logs.items() if name != "learning_rate"}
        metrics["learning_rate"] = rate
        metrics["epoch_time_s"] = self._clock() - self._began + self._earlier_s
        metrics["images_per_s"] = self._images / (self._trained - self._began + self._earlier_s)
        self._earlier_s = 0.0
        for name, value in metrics.items():
            self.history.setdefault(name, []).append(value)
        spoilt = not_finite(self.model)
        self.was_stopping = bool(self.model.stop_training)
        if not self._on_epoch(epoch + 1, metrics):
            self.stopped_by_callback = self.model.stop_training = True
        if spoilt is not None:
            # The loss may never show it: on a CPU, TensorFlow's relu makes 0 of NaN.
            self.diverged = f"weights of {spoilt} became NaN or infinite in epoch {epoch + 1}"
            self.model.stop_training = True


def _separate_penalty(logs: dict[str, Any]) -> None:
    """Make the losses of an epoch those of the images alone, and name what regularizers and layers add to them.

    Keras's own have both in one, and class weights in that of the training: a search over the strength of a penalty
    would rank the penalties.
    """
    for name in (WITHOUT_PENALTY, WITHOUT_WEIGHTS):
        if name not in logs:
            continue
        penalty = float(np.float64(logs["val_loss"]) - np.float64(logs[f"val_{name}"]))
        for prefix in ("", "val_"):
            logs[f"{prefix}loss"] = logs.pop(f"{prefix}{name}")
        if name == WITHOUT_PENALTY:
            logs["penalty"] = penalty


def not_finite(model: keras.Model) -> str | None:
    """Return the path of the first variable of a model that has a NaN or an infinite value; None if none has."""
    for variable in model.variables:
        values = np.asarray(keras.ops.convert_to_numpy(variable))
        # NumPy does not take bfloat16 for one of its own kinds of float.
        if values.dtype.kind not in "biu" and not np.isfinite(values.astype(np.float32)).all():
            return str(variable.path)
    return None
