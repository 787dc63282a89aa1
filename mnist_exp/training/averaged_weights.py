"""Validate and select with averaged weights, which are kept: those of `use_ema`, or of a schedule-free optimizer."""

from typing import Any

import keras
import numpy as np

from mnist_exp.training import batch_statistics
from mnist_exp.training.batch_statistics import BatchStatistics
from mnist_exp.training.schedule_free import ScheduleFreeAdamW


class AveragedWeights(keras.callbacks.Callback):  # type: ignore[misc]
    """Put the averaged weights into the model from the validation of an epoch until its end, and the raw ones back.

    So those who select see and keep what was validated, and the training goes on from the raw weights. At the end the
    optimizer puts the averages into the model, before Keras restores the best weights of an early stop. Where the
    optimizer has no averages this does nothing.

    Keras's SwapEMAWeights swaps on TensorFlow by adding and subtracting, which changes the last bits of both.

    Args:
        statistics: of batch normalisation, which the averages have for themselves.

    Attributes:
        ending: a callback that gives the model at the end of a training the statistics of its averages; it is to be
            called before those that may restore others.
    """

    def __init__(self, statistics: BatchStatistics) -> None:
        super().__init__()
        self._statistics = statistics
        self._raw: list[tuple[Any, Any]] | None = None
        self.ending = _Ending(statistics)

    def on_test_begin(self, logs: Any = None) -> None:
        """Put the averaged weights into the model."""
        optimizer = averaging_optimizer(self.model)
        if optimizer is None or self._raw is not None:
            return
        pairs, normalised = _pairs(optimizer), batch_statistics.variables(self.model)
        self._raw = [(variable, _copied(variable)) for variable in [*(each for each, _ in pairs), *normalised]]
        for variable, average in pairs:
            # On JAX both would have one buffer otherwise, which a step on the one takes away from the other.
            variable.assign(_copied(average))
        if normalised:
            self._statistics.renew(self.model)
            self.ending.known = [_copied(variable) for variable in normalised]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Put the raw weights back."""
        self.take_out()

    def take_out(self) -> None:
        """Put the raw weights back, if the averaged ones are in the model."""
        if self._raw is None:
            return
        for variable, raw in self._raw:
            variable.assign(raw)
        self._raw = None


class _Ending(keras.callbacks.Callback):  # type: ignore[misc]
    """Give averages, which the optimizer has put into the model, their statistics of batch normalisation.

    Attributes:
        known: those of the last validation; None where there was none, as in a training that was over as it began.
    """

    def __init__(self, statistics: BatchStatistics) -> None:
        super().__init__()
        self._statistics = statistics
        self.known: list[Any] | None = None

    def on_train_end(self, logs: Any = None) -> None:
        """Do so."""
        if averaging_optimizer(self.model) is None or not (normalised := batch_statistics.variables(self.model)):
            return
        if self.known is None:
            self._statistics.renew(self.model)
            return
        for variable, value in zip(normalised, self.known, strict=True):
            variable.assign(value)


def averaging_optimizer(model: keras.Model) -> keras.optimizers.Optimizer | None:
    """Return the optimizer of a model that averages its weights; None if there is none.

    Args:
        model: compiled; for float16 its optimizer is within another one that scales the loss.
    """
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return optimizer if optimizer.use_ema or isinstance(optimizer, ScheduleFreeAdamW) else None


def _pairs(optimizer: keras.optimizers.Optimizer) -> list[tuple[Any, Any]]:
    """Return each trainable variable with its average; there is none for scales of float8."""
    if isinstance(optimizer, ScheduleFreeAdamW):
        return optimizer.averages()
    # In public, an optimizer does not tell which average is of which variable.
    pairs = zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True)
    return [(variable, average) for variable, average in pairs if average is not None]


def _copied(variable: Any) -> Any:
    return np.array(keras.ops.convert_to_numpy(variable))


def places_of_averages(model: keras.Model) -> list[int] | None:
    """Return where the average of each trainable variable is among those of the optimizer; None without `use_ema`."""
    optimizer = averaging_optimizer(model)
    if optimizer is None:
        return None
    places = {id(variable): place for place, variable in enumerate(model.optimizer.variables)}
    return [places[id(average)] for _, average in _pairs(optimizer)]
