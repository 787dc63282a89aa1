"""What happens at the end of each epoch."""

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from mnist_exp import stopping

Metrics = dict[str, float]


class EpochMetrics(keras.callbacks.Callback):  # type: ignore[misc]
    """Gather the metrics of each epoch, with its rate and speed, and hand them on; stop when the loss is lost.

    Args:
        images: training images an epoch.
        on_epoch: called with the epoch's number, from 1, and its metrics; training stops if it returns false.
        on_step: called with the number of steps done in the epoch and the running metrics.
    """

    def __init__(
        self, images: int, on_epoch: Callable[[int, Metrics], bool], on_step: Callable[[int, Metrics], None] | None
    ) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.diverged: str | None = None
        self._epoch = 0
        self._images, self._on_epoch, self._on_step = images, on_epoch, on_step
        self._began = self._trained = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self._epoch = epoch + 1
        self._began = self._trained = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Show the progress, and note when the last training step ended, and the first with a loss that is none."""
        self._trained = time.perf_counter()
        stopping.check()
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss) and self.diverged is None:
            # Stopped, not raised: an exception here would leave Keras's reading threads behind.
            self.diverged = f"the loss became {loss} in epoch {self._epoch}, step {batch + 1}"
            self.model.stop_training = True
        if self._on_step is not None:
            self._on_step(batch + 1, logs or {})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Hand on the epoch's metrics; half an epoch has none."""
        if self.diverged is not None:
            return
        metrics = {name: shortest(value) for name, value in (logs or {}).items() if name != "learning_rate"}
        metrics["learning_rate"] = shortest(self.model.optimizer.learning_rate)
        metrics["epoch_time_s"] = time.perf_counter() - self._began
        metrics["images_per_s"] = self._images / (self._trained - self._began)
        for name, value in metrics.items():
            self.history.setdefault(name, []).append(value)
        if not self._on_epoch(epoch + 1, metrics):
            self.model.stop_training = True


def shortest(value: Any) -> float:
    """Return a float32 as the shortest decimal that is the same float32: 0.9763, not 0.9763000011444092."""
    return float(str(np.float32(value)))
