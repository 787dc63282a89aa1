"""The callback that takes digests of the weights while a training goes on."""

from typing import Any

import keras
import numpy as np

from mnist_exp.training import digests, random_state
from mnist_exp.training.checkpoints import Checkpoint, Position
from mnist_exp.training.digests import Digests


class Digesting(keras.callbacks.Callback):  # type: ignore[misc]
    """Take digests before the first step, within the first epoch, and after each epoch; it changes nothing.

    It asks for the model at these moments only: on JAX that alone writes the values of a step into it.

    Args:
        steps: steps an epoch; Keras may do several at a time, and then calls the last of them even one past the end.
        start: the checkpoint to go on from; None begins a new record.
    """

    def __init__(self, steps: int, start: Checkpoint | None) -> None:
        super().__init__()
        self._steps = steps
        self.record = _record(start)
        self._start = start.position if start else Position()
        self._last = self._start.step if self._start.epoch == 0 else steps
        self._epoch = self._start.epoch

    def on_train_begin(self, logs: Any = None) -> None:
        """Take those of the weights that a new training begins with."""
        if self._start == Position():
            self._add(Position())

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Take those after some steps of the first epoch."""
        if self._epoch == 0 and batch + 1 < self._steps and digests.is_due(batch + 1, self._last):
            if batch + 1 > self._start.step:  # Those before it are passed over, and the weights are of later.
                self._add(Position(0, batch + 1))
            self._last = batch + 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Take those of the end of an epoch."""
        self._add(Position(epoch + 1))

    def _add(self, position: Position) -> None:
        model = self.model
        values = {_name(variable): digests.of_arrays([_array(variable)]) for variable in model.variables}
        if len(values) < len(model.variables):  # Layers of the user's own may share a name.
            values = {
                f"{_name(variable)} ({number})": digests.of_arrays([_array(variable)])
                for number, variable in enumerate(model.variables, start=1)
            }
        shared = random_state.shared()
        states = [*([_array(shared)] if shared is not None else []), *random_state.states().values()]
        if states:
            values[digests.RANDOM] = digests.of_arrays(states)
        if position.step == 0:  # Two thirds of the bytes; within the first epoch it would cost more than it tells.
            values[digests.OPTIMIZER] = digests.of_arrays([_array(variable) for variable in model.optimizer.variables])
        self.record.add(position, values)


def _record(start: Checkpoint | None) -> Digests:
    """Return the record to go on with; a new one where there is none, or one whose digests could not be told apart."""
    try:
        return digests.of_data(start.facts["digests"]) if start and "digests" in start.facts else Digests()
    except ValueError:  # Until 2026-12 a random generator that was made with the first step had no name there.
        return Digests()


def _name(variable: Any) -> str:
    """Return the name of a weight without that of the whole model: `conv2d/kernel`."""
    layer, slash, rest = str(variable.path).partition("/")
    return rest if "/" in rest else f"{layer}{slash}{rest}"


def _array(variable: Any) -> Any:
    if keras.backend.backend() == "tensorflow":
        return np.asarray(variable.value)  # Keras's function copies twice.
    return np.asarray(keras.ops.convert_to_numpy(variable))
