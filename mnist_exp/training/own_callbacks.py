"""Callbacks that the configuration names: called in their turn, their state kept, their mistakes told by name."""

import importlib.util
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import keras

from mnist_exp.config.components import Component
from mnist_exp.errors import SettingsError, first_line
from mnist_exp.training import callback_state
from mnist_exp.training.checkpoints import Arrays, Position

_PREFIX = "callbacks/"
_ID_LENGTH = 8  # of a run's id, in the name of its folder
_UNUSUAL = re.compile(r"[^\w.,=+-]+", re.ASCII)  # in names of folders
_LONGEST = 120


class CallbackError(RuntimeError):
    """A callback of the user's failed; the message has its name."""


@runtime_checkable
class HasState(Protocol):
    """A callback that says itself what a resumed training needs of it, as numbers, texts, arrays, lists and dicts."""

    def get_state(self) -> Any:
        """Return the state."""

    def set_state(self, state: Any) -> None:
        """Go on from a state."""


def build(named: Mapping[str, Component]) -> dict[str, keras.callbacks.Callback]:
    """Return the callbacks by name. Raises: SettingsError: one is none, or cannot be made."""
    made = {}
    for name, component in named.items():
        callback = component.build()
        if not isinstance(callback, keras.callbacks.Callback):
            kind = type(callback).__name__
            raise SettingsError(
                f"callbacks.{name}: {component.target} must return a keras.callbacks.Callback, not {kind}"
            )
        if isinstance(callback, keras.callbacks.TensorBoard) and importlib.util.find_spec("tensorboard") is None:
            raise SettingsError(f"callbacks.{name}: TensorBoard needs the package tensorboard: pip install tensorboard")
        made[name] = callback
    return made


def place(callbacks: Iterable[keras.callbacks.Callback], run_id: str, name: str) -> None:
    """Give what is written for TensorBoard a folder of its own for each run: it shows all files of one as one curve.

    TensorBoard shows the names of folders, so they begin with the name of the run.
    """
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.TensorBoard):
            callback.log_dir = str(_folder(Path(callback.log_dir), run_id, name))


def _folder(parent: Path, run_id: str, name: str) -> Path:
    """Return the folder of a run; a run that is resumed has one."""
    ending = run_id[:_ID_LENGTH]
    known = [parent / run_id, *parent.glob(f"*{ending}")]
    plain = _UNUSUAL.sub("_", name)[:_LONGEST].lstrip(".")
    return next((folder for folder in known if folder.is_dir()), parent / f"{plain}_{ending}")


class OwnCallbacks(keras.callbacks.Callback):  # type: ignore[misc]
    """Calls the user's callbacks, one after the other.

    The end of an epoch is not Keras's call, but `end_epoch`: after the metrics of the epoch are complete, and before
    they are recorded.

    Args:
        named: the callbacks by name.
        start: where the training goes on from; steps that are passed over are no calls of theirs.
    """

    def __init__(self, named: Mapping[str, keras.callbacks.Callback], start: Position) -> None:
        super().__init__()
        self._named, self._start = dict(named), start
        self._epoch = start.epoch
        self._before: tuple[Any, ...] = ()

    def set_params(self, params: Any) -> None:
        """Pass on what Keras says of the training."""
        super().set_params(params)
        for callback in self._named.values():
            callback.set_params(params)

    def set_model(self, model: keras.Model) -> None:
        """Pass on the model."""
        super().set_model(model)
        for callback in self._named.values():
            callback.set_model(model)

    def on_train_begin(self, logs: Any = None) -> None:
        """Pass it on; a state is restored after it."""
        self._before = _compiled(self.model)
        self._call("on_train_begin", logs)

    def on_train_end(self, logs: Any = None) -> None:
        """Pass it on; best weights are restored after it."""
        self._call("on_train_end", logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Pass it on, but for an epoch that goes on in its middle."""
        self._epoch = epoch
        if not self._is_passed_over(1):
            self._call("on_epoch_begin", epoch, logs)

    def end_epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        """Pass on the end of an epoch with its metrics; what the callbacks add to these is recorded."""
        if not self._named:
            return
        known = set(logs)
        self._call("on_epoch_end", epoch, logs)
        for name in set(logs) - known:
            value = logs[name]
            if not isinstance(value, int | float) and not (hasattr(value, "shape") and len(value.shape) == 0):
                raise CallbackError(f"callbacks: what is added to logs is recorded, so logs[{name!r}] must be a number")

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Pass it on."""
        if not self._is_passed_over(batch + 1):
            self._call("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Pass it on."""
        if not self._is_passed_over(batch + 1):
            self._call("on_train_batch_end", batch, logs)

    def on_test_begin(self, logs: Any = None) -> None:
        """Pass it on."""
        self._call("on_test_begin", logs)

    def on_test_end(self, logs: Any = None) -> None:
        """Pass it on."""
        self._call("on_test_end", logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Pass it on."""
        self._call("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Pass it on."""
        self._call("on_test_batch_end", batch, logs)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what a checkpoint must hold: facts by name, as JSON has them, and arrays."""
        facts: dict[str, Any] = {}
        arrays: Arrays = {}
        for name, callback in self._named.items():
            place = f"{_PREFIX}{name}"
            if isinstance(callback, HasState):
                try:
                    facts[name] = {"own": callback_state.encoded(callback.get_state(), arrays, place), "left": []}
                except callback_state.CannotBeSavedError as error:
                    raise CallbackError(f"callbacks.{name}: get_state() returned {error}") from error
            else:
                facts[name] = callback_state.of_attributes(callback, arrays, place)
        return facts, arrays

    def restore(self, facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> list[str]:
        """Continue from what `state` returned. Returns: a sentence for each callback of which something is missing."""
        told = []
        for name, callback in self._named.items():
            known = facts.get(name)
            if known is None:
                continue
            if "own" in known and isinstance(callback, HasState):
                callback.set_state(callback_state.decoded(known["own"], arrays))
                continue
            callback_state.restore_attributes(callback, known.get("attributes", {}), arrays)
            if known["left"] and not type(callback).__module__.startswith("keras."):  # Its writers of TensorBoard.
                told.append(
                    f"callbacks.{name}: {', '.join(known['left'])} cannot be kept in a checkpoint and begins anew; "
                    "give the callback get_state() and set_state(state)"
                )
        return told

    def _is_passed_over(self, step: int) -> bool:
        return self._epoch == self._start.epoch and step <= self._start.step

    def _call(self, hook: str, *arguments: Any) -> None:
        for name, callback in self._named.items():
            try:
                getattr(callback, hook)(*arguments)
            except Exception as error:
                raise CallbackError(f"callbacks.{name} failed in {hook}: {first_line(error)}") from error
            if _compiled(self.model) != self._before:
                raise CallbackError(
                    f"callbacks.{name} changed in {hook} which weights learn, or compiled the model anew, which has "
                    "no effect in a training that has begun. Make two runs, the second with model.weights=FILE"
                )


def _compiled(model: keras.Model) -> tuple[Any, ...]:
    """Return what a training in progress cannot change."""
    return (id(model.optimizer), *map(id, model.trainable_variables))
