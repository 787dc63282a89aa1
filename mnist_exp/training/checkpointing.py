"""The callback that keeps checkpoints, and puts a training back where one of them stands."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras.src.random import seed_generator

from mnist_exp.errors import SettingsError
from mnist_exp.runtime import signals
from mnist_exp.training import checkpoints, random_state
from mnist_exp.training.averaged_weights import AveragedWeights
from mnist_exp.training.batches import Array
from mnist_exp.training.build import build_optimizer
from mnist_exp.training.checkpoints import Arrays, Checkpoint, CheckpointPolicy, Position
from mnist_exp.training.digests import Digests
from mnist_exp.training.epoch_metrics import EpochMetrics
from mnist_exp.training.own_callbacks import OwnCallbacks

_SHARED = "shared_seed_generator"


class Checkpointing(keras.callbacks.Callback):  # type: ignore[misc]
    """Save all that a training needs to resume, and stop it after a step when a signal asks for that.

    Keras's BackupAndRestore saves neither the states of random generators, nor the position in an epoch, nor the state
    of other callbacks and of metrics, and it may leave half a file.

    Args:
        policy: where and how often; None keeps nothing.
        steps: steps an epoch.
        target: what the loss gets of one image, shape (1, …).
        metrics: the epochs so far.
        own: the user's callbacks, before this one.
        others: callbacks of Keras's, all before this one.
        averages: puts averaged weights into the model for a validation; the checkpoint has the raw ones.
        digests: of the weights so far.
        clock: tells the seconds; slower than time where several trainings share it.
    """

    def __init__(
        self,
        policy: CheckpointPolicy | None,
        steps: int,
        target: Array,
        metrics: EpochMetrics,
        own: OwnCallbacks,
        others: Sequence[keras.callbacks.Callback],
        averages: AveragedWeights,
        digests: Digests,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__()
        self._clock = clock
        self.seconds = 0.0
        self._policy, self._steps, self._metrics, self._others = policy, steps, metrics, others
        self._averages, self._target, self._own, self._digests = averages, target, own, digests
        self._own_state: tuple[dict[str, Any], Arrays] | None = None
        self._start = policy.start if policy else None
        self._position = self._start.position if self._start else Position()
        self._running: Arrays = {}
        self._began, self._earlier_s = self._clock(), 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Restore the checkpoint that the training starts from."""
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
        for sentence in self._own.restore(facts.get("own_callbacks", {}), arrays):
            self._policy.warn(sentence)  # type: ignore[union-attr]
        self._metrics.restore(facts)
        self._earlier_s = facts["seconds"]
        if (steps := self._position.step) > 0:
            # Keras creates the variables of metrics with the first step, or here.
            self.model.compute_metrics(None, self._target, np.zeros((1, self.model.output_shape[-1]), np.float32))
            _pass_over(self.model, steps, lambda: random_state.restore(arrays))
        else:
            random_state.restore(arrays)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Restore the metrics of a part of an epoch, which Keras has just reset."""
        if self._start is not None and self._position.step and epoch == self._position.epoch:
            for name, variable in _metric_variables(self.model).items():
                variable.assign(self._start.arrays[name])

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stop after this step if a signal asks for that."""
        done = min(batch + 1, self._steps)
        self._position = Position(self._position.epoch, max(done, self._position.step))
        if done == self._steps or signals.is_asked():
            # Validation uses the same variables, and PyTorch draws a random number for each pass over data.
            self._running = _values(_metric_variables(self.model)) | random_state.states()
            self._own_state = self._own.state()
        self._stop_if_asked()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stop here if a signal asks for that; the validation will begin again, since nothing is learnt in it."""
        self._stop_if_asked()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save a checkpoint, if it is time."""
        if self._metrics.diverged is not None:
            return
        self._position, self._running, self._own_state = Position(epoch + 1), {}, None
        every = self._policy.every if self._policy else None
        is_last = self.model.stop_training or epoch + 1 == (self.params or {}).get("epochs")
        is_wanted = is_last and self._policy is not None and self._policy.at_end
        if signals.is_asked() or is_wanted or self._is_time(every, epoch):
            self.save()
        signals.check()

    def _is_time(self, every: int | None, epoch: int) -> bool:
        return every is not None and ((epoch + 1) % every == 0 or bool(self.model.stop_training))

    def on_train_end(self, logs: Any = None) -> None:
        """Note how long the training took."""
        self.seconds = self._elapsed()

    def _elapsed(self) -> float:
        return self._clock() - self._began + self._earlier_s

    def _stop_if_asked(self) -> None:
        if signals.is_asked():
            self.save()
            signals.check()

    def save(self) -> None:
        """Write a checkpoint of where the training is, unless none is wanted or the weights are not finite."""
        if self._policy is None:
            return
        self._averages.take_out()
        arrays = _values(variables(self.model))
        if not all(np.isfinite(array).all() for name, array in arrays.items() if name.startswith("model/")):
            # The next loss will end the run. It must not be resumed from such weights.
            self._policy.warn(f"no checkpoint at {self._position}, the last one stays: weights are not finite")
            return
        own, own_arrays = self._own_state or self._own.state()
        arrays |= random_state.states() | self._running | own_arrays
        known = []
        for callback in self._others:
            known.append({name: _plain(value) for name, value in vars(callback).items() if _is_scalar(value)})
            best = getattr(callback, "best_weights", None) or []
            arrays |= {f"{type(callback).__name__}/{i:05d}": np.asarray(array) for i, array in enumerate(best)}
        facts = {
            "callbacks": known,
            "own_callbacks": own,
            "is_over": bool(self.model.stop_training),
            "is_over_anyway": self._metrics.was_stopping or any(getattr(c, "stopped_epoch", 0) for c in self._others),
            "seconds": self._elapsed(),
            "digests": self._digests.as_data(),
        }
        try:
            checkpoints.save(self._policy.folder, Checkpoint(self._position, arrays, facts | self._metrics.facts()))
        except OSError as error:
            self._policy.warn(f"no checkpoint at {self._position}, the last one stays: {error.strerror or error}")


def check_fits(model: keras.Model, start: Checkpoint) -> None:
    """Check that a checkpoint is of this model. Raises: SettingsError: with the differences."""
    build_optimizer(model)
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


def variables(model: keras.Model) -> dict[str, Any]:
    """Return all variables that a training changes, by name: weights, states of random generators, the optimizer's.

    Args:
        model: compiled, and its optimizer built.
    """
    kinds = [("model", v) for v in model.variables] + [("optimizer", v) for v in model.optimizer.variables]
    named = {f"{kind}/{number:05d}/{variable.path}": variable for number, (kind, variable) in enumerate(kinds)}
    # The generator of layers that have none of their own.
    shared = random_state.shared()
    return named | ({_SHARED: shared} if shared is not None else {})


def _metric_variables(model: keras.Model) -> dict[str, Any]:
    return {f"metrics/{number:05d}/{v.path}": v for number, v in enumerate(model.metrics_variables)}


def _values(named: dict[str, Any]) -> Arrays:
    return {name: keras.ops.convert_to_numpy(variable) for name, variable in named.items()}


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str | np.generic) or keras.ops.is_tensor(value)


def _plain(value: Any) -> Any:
    """Return a number of NumPy or of the backend as a Python number, for JSON; a float32 keeps its value."""
    return value if value is None or isinstance(value, bool | int | float | str) else np.asarray(value).item()


def _pass_over(model: keras.Model, steps: int, on_end: Callable[[], None]) -> None:
    """Make the next `fit` read the batches of its first steps and learn nothing from them; then call `on_end`."""
    model.make_train_function()
    learn, left = model.train_function, steps
    backend, known = keras.backend.backend(), model.get_metrics_result()

    def train_function(*given: Any) -> Any:
        """Skip a step. Keras passes an iterator of batches, on JAX after the state, on torch one batch."""
        nonlocal left
        for _ in range(min(model.steps_per_execution, left)):
            if backend != "torch":
                next(given[-1])
            left -= 1
        if left == 0:
            model.train_function = learn
            on_end()
        if backend == "jax":
            return known, given[0]  # On JAX the variables are in the state, not in the model.
        return model.get_metrics_result()

    model.train_function = train_function
