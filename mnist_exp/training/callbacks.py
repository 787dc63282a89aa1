"""What happens at the end of each step and epoch: metrics, checkpoints."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.random import seed_generator

from mnist_exp.runtime import signals
from mnist_exp.training import checkpoints, random_state
from mnist_exp.training.checkpoints import Arrays, Checkpoint, Position, Saving

Metrics = dict[str, float]
_SHARED = "shared_seed_generator"


class EpochMetrics(keras.callbacks.Callback):  # type: ignore[misc]
    """Gather the metrics of each epoch, with its rate and speed, and hand them on; stop when the loss is lost.

    Args:
        images: training images an epoch.
        steps: steps an epoch; Keras may do several at a time, and then calls the last of them even one past the end.
        on_epoch: called with the epoch's number, from 1, and its metrics; training stops if it returns false.
        on_step: called with the number of steps done in the epoch and the running metrics.
        clock: tells the seconds; slower than time where several trainings share it.
    """

    def __init__(
        self,
        images: int,
        steps: int,
        on_epoch: Callable[[int, Metrics], bool],
        on_step: Callable[[int, Metrics], None] | None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__()
        self._clock = clock
        self.history: dict[str, list[float]] = {}
        self.diverged: str | None = None
        self.is_refused = False
        self._epoch = 0
        self._images, self._steps, self._on_epoch, self._on_step = images, steps, on_epoch, on_step
        self._first = 1
        self._began = self._trained = self._earlier_s = 0.0

    def facts(self) -> dict[str, Any]:
        """Return what a checkpoint has to keep."""
        is_within = self._epoch > len(self.history.get("loss", ()))
        epoch_s = self._trained - self._began + self._earlier_s if is_within else 0.0
        return {"history": self.history, "epoch_s": epoch_s, "is_refused": self.is_refused}

    def restore(self, facts: dict[str, Any]) -> None:
        """Go on from what `facts` returned."""
        self.history = {name: list(values) for name, values in facts["history"].items()}
        self._earlier_s = facts["epoch_s"]
        self.is_refused = facts["is_refused"]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self._epoch = epoch + 1
        self._began = self._trained = self._clock()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Note the first of the steps that are done at a time."""
        self._first = batch + 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Show the progress, and note when the last training step ended, and the first with a loss that is none."""
        self._trained = self._clock()
        done = min(batch + 1, self._steps)
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss) and self.diverged is None:
            # Stopped, not raised: an exception here would leave Keras's reading threads behind.
            where = f"step {done}" if self._first == done else f"steps {self._first} to {done}"
            self.diverged = f"the loss became {loss} in epoch {self._epoch}, {where}"
            self.model.stop_training = True
        if self._on_step is not None:
            self._on_step(done, logs or {})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Hand on the epoch's metrics; half an epoch has none."""
        if self.diverged is not None:
            return
        metrics = {name: shortest(value) for name, value in (logs or {}).items() if name != "learning_rate"}
        metrics["learning_rate"] = shortest(self.model.optimizer.learning_rate)
        metrics["epoch_time_s"] = self._clock() - self._began + self._earlier_s
        metrics["images_per_s"] = self._images / (self._trained - self._began + self._earlier_s)
        self._earlier_s = 0.0
        for name, value in metrics.items():
            self.history.setdefault(name, []).append(value)
        if not self._on_epoch(epoch + 1, metrics):
            self.is_refused = self.model.stop_training = True


class Checkpointing(keras.callbacks.Callback):  # type: ignore[misc]
    """Keep all that a training needs to go on, and stop it after a step when a signal asks for that.

    Keras's BackupAndRestore keeps neither the state of random generators, nor the position in an epoch, nor what other
    callbacks and metrics know, and may leave half a file.

    Args:
        saving: where; None keeps nothing.
        steps: steps an epoch.
        metrics: the epochs so far.
        others: callbacks of Keras's, all before this one.
        clock: tells the seconds; slower than time where several trainings share it.
    """

    def __init__(
        self,
        saving: Saving | None,
        steps: int,
        metrics: EpochMetrics,
        others: Sequence[keras.callbacks.Callback],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__()
        self._clock = clock
        self.seconds = 0.0
        self._saving, self._steps, self._metrics, self._others = saving, steps, metrics, others
        self._start = saving.start if saving else None
        self._position = self._start.position if self._start else Position()
        self._running: Arrays = {}
        self._began, self._earlier_s = self._clock(), 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Put everything back where it was."""
        if self._start is None:
            return
        arrays, facts = self._start.arrays, self._start.facts
        if _SHARED in arrays:
            seed_generator.global_seed_generator()
        for name, variable in variables(self.model).items():
            if name in arrays:
                variable.assign(arrays[name])
        for callback, known in zip(self._others, facts["callbacks"], strict=True):
            vars(callback).update(known)
            prefix = f"{type(callback).__name__}/"
            best = [arrays[name] for name in sorted(arrays) if name.startswith(prefix)]
            callback.best_weights = best or None
        self._metrics.restore(facts)
        self._earlier_s = facts["seconds"]
        if (steps := self._position.step) > 0:
            # Keras makes the metrics' variables with the first step only, or here.
            self.model.compute_metrics(None, np.zeros(1), np.zeros((1, self.model.output_shape[-1])))
            _pass_over(self.model, steps, lambda: random_state.restore(arrays))
        else:
            random_state.restore(arrays)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Put the metrics of half an epoch back, which Keras has just reset."""
        if self._start is not None and self._position.step and epoch == self._position.epoch:
            for name, variable in _metric_variables(self.model).items():
                variable.assign(self._start.arrays[name])

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stop here if a signal asks for it."""
        done = min(batch + 1, self._steps)
        self._position = Position(self._position.epoch, max(done, self._position.step))
        if done == self._steps or signals.is_asked():
            # Validation will use the same variables, and PyTorch draws a number for each pass over data.
            self._running = _values(_metric_variables(self.model)) | random_state.states()
        self._stop_if_asked()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stop here if a signal asks for it: validation, in which nothing is learnt, will begin again."""
        self._stop_if_asked()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save, if it is time."""
        if self._metrics.diverged is not None:
            return
        self._position, self._running = Position(epoch + 1), {}
        every = self._saving.every if self._saving else None
        if signals.is_asked() or (every is not None and ((epoch + 1) % every == 0 or self.model.stop_training)):
            self._save()
        signals.check()

    def on_train_end(self, logs: Any = None) -> None:
        """Say how long it took."""
        self.seconds = self._elapsed()

    def _elapsed(self) -> float:
        return self._clock() - self._began + self._earlier_s

    def _stop_if_asked(self) -> None:
        if signals.is_asked():
            self._save()
            signals.check()

    def _save(self) -> None:
        if self._saving is None:
            return
        arrays = _values(variables(self.model))
        if not all(np.isfinite(array).all() for name, array in arrays.items() if name.startswith("model/")):
            # The next step's loss will tell; what is to be mended then is not to be begun from here.
            self._saving.warn(f"no checkpoint at {self._position}, the last one stays: weights are not finite")
            return
        arrays |= random_state.states() | self._running
        known = []
        for callback in self._others:
            known.append({name: _plain(value) for name, value in vars(callback).items() if _is_scalar(value)})
            best = getattr(callback, "best_weights", None) or []
            arrays |= {f"{type(callback).__name__}/{i:05d}": np.asarray(array) for i, array in enumerate(best)}
        facts = {"callbacks": known, "is_over": bool(self.model.stop_training), "seconds": self._elapsed()}
        try:
            checkpoints.save(self._saving.folder, Checkpoint(self._position, arrays, facts | self._metrics.facts()))
        except OSError as error:
            self._saving.warn(f"no checkpoint at {self._position}, the last one stays: {error.strerror or error}")


def variables(model: keras.Model) -> dict[str, Any]:
    """Return what training changes in a model, by name: weights, random generators' states, the optimizer's variables.

    Args:
        model: compiled, and its optimizer built.
    """
    kinds = [("model", v) for v in model.variables] + [("optimizer", v) for v in model.optimizer.variables]
    named = {f"{kind}/{number:05d}/{variable.path}": variable for number, (kind, variable) in enumerate(kinds)}
    # Keras has it for layers that draw without a generator of their own.
    shared = global_state.get_global_attribute(seed_generator.GLOBAL_SEED_GENERATOR)
    return named | ({_SHARED: shared.state} if shared is not None else {})


def _metric_variables(model: keras.Model) -> dict[str, Any]:
    return {f"metrics/{number:05d}/{v.path}": v for number, v in enumerate(model.metrics_variables)}


def _values(named: dict[str, Any]) -> Arrays:
    return {name: keras.ops.convert_to_numpy(variable) for name, variable in named.items()}


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str | np.generic) or keras.ops.is_tensor(value)


def _plain(value: Any) -> Any:
    """Return a number of NumPy's or the backend's as JSON knows it; a float32 stays what it is."""
    return value if value is None or isinstance(value, bool | int | float | str) else np.asarray(value).item()


def _pass_over(model: keras.Model, steps: int, on_end: Callable[[], None]) -> None:
    """Make the first steps of the next `fit` read their batch and learn nothing; `on_end` is called after them."""
    model.make_train_function()
    learn, left = model.train_function, steps
    backend, known = keras.backend.backend(), model.get_metrics_result()

    def train_function(*given: Any) -> Any:
        """Take what Keras gives: the batches, on JAX behind the state, which comes back; on torch one of them."""
        nonlocal left
        for _ in range(min(model.steps_per_execution, left)):
            if backend != "torch":
                next(given[-1])
            left -= 1
        if left == 0:
            model.train_function = learn
            on_end()
        if backend == "jax":
            return known, given[0]  # The variables are not the model's meanwhile.
        return model.get_metrics_result()

    model.train_function = train_function


def shortest(value: Any) -> float:
    """Return a float32 as the shortest decimal that is the same float32: 0.9763, not 0.9763000011444092."""
    return float(str(np.float32(value)))
