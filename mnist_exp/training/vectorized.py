"""Train several models as one program, on JAX: models that differ only in numbers.

On accelerators it is vectorized over their variables; on a CPU it does the step of one after that of the other. All but
the steps is as for a single training: each has its own order of images, its own random states, callbacks and
checkpoints, and ends with its own weights in its own model.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from mnist_exp.data import Dataset
from mnist_exp.runtime import signals
from mnist_exp.training import batches, vectorizable
from mnist_exp.training.averaged_weights import places_of_averages
from mnist_exp.training.epoch_metrics import Metrics
from mnist_exp.training.fit import FitResult, TrainingRequest, callbacks_of, first_epoch, result_of
from mnist_exp.training.predict import BATCH_SIZE

_Joining = Callable[[Callable[..., Any]], Callable[..., Any]]
_State = tuple[list[Any], list[Any], list[Any], list[Any]]


def fit(requests: Sequence[TrainingRequest], dataset: Dataset) -> list[FitResult | Exception]:
    """Train several models that `vectorizable.why_not` allows to be trained together.

    The seconds of each are the shared seconds divided by the number of trainings.

    Args:
        requests: of one program.
        dataset: that their splits are of.
    Returns: the result of each, or its own error: a TrainingError if its loss became NaN or infinite.
    """
    members = [_Member(each, _shared_clock(len(requests))) for each in requests]
    with signals.deferred():
        for member in members:
            member.begin()
        program = _Program(members, dataset)
        while any(member.goes_on for member in members):
            program.run_epoch()
    return [member.outcome for member in members if member.outcome is not None]


class _Member:
    """One of the trainings: its callbacks, its epoch and its result.

    Args:
        request: the training.
        clock: returns its seconds.
    """

    def __init__(self, request: TrainingRequest, clock: Callable[[], float]) -> None:
        self.model, self.split, self.settings = request.model, request.split, request.settings
        self.goal = request.goal
        self.outcome: FitResult | Exception | None = None
        count, trainer = len(self.split.x_train), self.settings.trainer
        self.steps = trainer.steps(count)
        self._called = callbacks_of(request, clock=clock)
        self._epoch = first_epoch(request.checkpoints.start if request.checkpoints else None, trainer.epochs)

    @property
    def goes_on(self) -> bool:
        """Whether the training is not over."""
        return self.outcome is None

    @property
    def changes_rate(self) -> bool:
        """Whether a callback may change the learning rate."""
        return self.settings.trainer.plateau_patience is not None

    def begin(self) -> None:
        self.model.stop_training = False
        for callback in self._called.in_order:
            callback.set_model(self.model)
        with self._own_errors():
            for callback in self._called.in_order:
                callback.on_train_begin()
            self._end_if_over()

    def begin_epoch(self) -> np.ndarray:
        """Return the positions of the images in the order of this epoch."""
        for callback in self._called.in_order:
            callback.on_epoch_begin(self._epoch)
        return self.split.trained[batches.order(self.settings.seed, self._epoch, len(self.split.trained))]

    def end_step(self, step: int, logs: Metrics) -> None:
        # Only these: `Checkpointing` would save the model, which still has the weights of the last epoch.
        self._called.metrics.on_train_batch_begin(step)
        self._called.metrics.on_train_batch_end(step, logs)
        if self._called.metrics.diverged is not None:
            with self._own_errors():
                result_of(self._called)

    def end_epoch(self, logs: Metrics) -> None:
        with self._own_errors():
            self._called.averages.on_test_begin()  # `_Program` has validated them, without the model.
            for callback in self._called.in_order:
                callback.on_epoch_end(self._epoch, logs)
            self._epoch += 1
            self._end_if_over()

    def _end_if_over(self) -> None:
        if self.model.stop_training or self._epoch >= self.settings.trainer.epochs:
            self.model.optimizer.finalize_variable_values(self.model.trainable_weights)
            for callback in self._called.in_order:
                callback.on_train_end()
            self.outcome = result_of(self._called)

    @contextlib.contextmanager
    def _own_errors(self) -> Iterator[None]:
        """Keep an error of this training away from the others."""
        try:
            yield
        except Exception as error:
            self.outcome = error


class _Program:
    """The program that all trainings share, and the values of all their variables.

    Args:
        members: that have begun.
        dataset: that their splits are of.
    """

    def __init__(self, members: Sequence[_Member], dataset: Dataset) -> None:
        self._members = members
        first = members[0]
        self._goal = first.goal
        self._template = template = vectorizable.template(first.model, first.goal, first.split.y_train[:1])
        self._places = vectorizable.places(template)
        self._averages = places_of_averages(template)
        numbers = [[vectorizable.number(*place) for place in vectorizable.places(member.model)] for member in members]
        self._numbers = [jnp.asarray(each, jnp.float32) for each in zip(*numbers, strict=True)]
        self._variables = [vectorizable.variables_as_in(template, members[0].model, member.model) for member in members]
        self._zeros = [jnp.stack([v.value] * len(members)) for v in template.metrics_variables]
        self._state = self._stacked()
        self._trained_on = self._validated_on = self._on_device(dataset.x_train, dataset.y_train)
        is_held_out = members[0].split.validated_on == "held out"
        if not is_held_out:  # The same images for all members.
            self._validated_on = self._on_device(members[0].split.x_val, members[0].split.y_val)
        held_out = [m.split.held_out if is_held_out else np.arange(len(m.split.x_val)) for m in members]
        self._held_out = np.stack(held_out).astype(np.int32)
        self._order = np.zeros((len(members), len(members[0].split.x_train)), np.int32)
        joint = _one_after_the_other(numbers) if jax.default_backend() == "cpu" else _vectorized
        self._step = jax.jit(joint(self._train_one), donate_argnums=0)
        self._evaluate = jax.jit(joint(self._test_one))

    def _on_device(self, x: Any, y: Any) -> tuple[Any, Any]:
        return jnp.asarray(x), jnp.asarray(self._goal.task.targets(y))

    def run_epoch(self) -> None:
        """Train all for one epoch, and give its metrics to those that are not over."""
        for number, member in enumerate(self._members):
            if member.goes_on:
                self._order[number] = member.begin_epoch()
        self._state = (*self._state[:3], list(map(jnp.copy, self._zeros)))
        logs = self._run_steps(self._members[0].settings.trainer.batch_size)
        if not any(member.goes_on for member in self._members):
            return
        logs |= {f"val_{name}": values for name, values in self._validated().items()}
        self._write_back()
        for number, member in enumerate(self._members):
            if member.goes_on:
                member.end_epoch({name: values[number] for name, values in logs.items()})
        if any(member.goes_on and member.changes_rate for member in self._members):
            self._state = self._stacked()

    def _run_steps(self, size: int) -> dict[str, np.ndarray]:
        """Return the running metrics of the last step."""
        logs: dict[str, np.ndarray] = {}
        running = None
        for step, start in enumerate(range(0, self._order.shape[1], size)):
            rows = self._order[:, start : start + size]
            before, (running, self._state) = running, self._step(self._state, self._numbers, rows, *self._trained_on)
            # Metrics of the step before: so the device never waits, and is never more than one step ahead.
            if before is not None:
                logs = self._end_step(step - 1, before)
            signals.check()
            if not any(member.goes_on for member in self._members):
                return logs
        return self._end_step(self._members[0].steps - 1, running)

    def _end_step(self, step: int, running: Any) -> dict[str, np.ndarray]:
        logs = {name: np.asarray(values) for name, values in running.items()}
        for number, member in enumerate(self._members):
            if member.goes_on:
                member.end_step(step, {name: values[number] for name, values in logs.items()})
        return logs

    def _validated(self) -> dict[str, np.ndarray]:
        trainable, fixed, optimizer, metrics = self._state
        metrics, running, validated = self._zeros, {}, trainable
        if self._averages is not None:
            validated = [optimizer[place] for place in self._averages]
        for start in range(0, self._held_out.shape[1], BATCH_SIZE):
            rows = self._held_out[:, start : start + BATCH_SIZE]
            running, (validated, fixed, metrics) = self._evaluate(
                (validated, fixed, metrics), self._numbers, rows, *self._validated_on
            )
            signals.check()
        self._state = (trainable, fixed, optimizer, self._state[3])
        return {name: np.asarray(values) for name, values in running.items()}

    def _train_one(self, state: Any, numbers: Any, rows: Any, images: Any, labels: Any) -> Any:
        with self._replaced(numbers):
            return self._template.train_step(state, (images[rows], labels[rows]))

    def _test_one(self, state: Any, numbers: Any, rows: Any, images: Any, labels: Any) -> Any:
        with self._replaced(numbers):
            return self._template.test_step(state, (images[rows], labels[rows]))

    @contextlib.contextmanager
    def _replaced(self, numbers: Sequence[Any]) -> Iterator[None]:
        """Replace numbers of the model and its optimizer by inputs of the program, while it is traced."""
        before = [getattr(*place) for place in self._places]
        try:
            for place, number in zip(self._places, numbers, strict=True):
                setattr(*place, number)
            yield
        finally:
            for place, number in zip(self._places, before, strict=True):
                setattr(*place, number)

    def _stacked(self) -> _State:
        """Return the values of all variables; the first axis of each counts the trainings."""
        trainable, fixed, optimizer = (
            [jnp.stack([v.value for v in each]) for each in zip(*kinds, strict=True)]
            for kinds in zip(*self._variables, strict=True)
        )
        return trainable, fixed, optimizer, self._zeros

    def _write_back(self) -> None:
        """Write the values into the models of the trainings that are not over."""
        values = [[np.asarray(value) for value in kind] for kind in self._state[:3]]
        for number, (member, kinds) in enumerate(zip(self._members, self._variables, strict=True)):
            if member.goes_on:
                for kind, stacked in zip(kinds, values, strict=True):
                    for variable, value in zip(kind, stacked, strict=True):
                        variable.assign(value[number])


def _vectorized(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of all trainings, whose steps are single operations on the stacked values of all."""
    vectorized: Callable[..., Any] = jax.vmap(function, (0, 0, 0, None, None))
    return vectorized


def _one_after_the_other(numbers: Sequence[Sequence[float]]) -> _Joining:
    """Return what makes a function of all trainings that does for each what is done alone, to the last bit.

    On a CPU that is faster: there XLA is slow at the grouped convolutions that `jax.vmap` makes of convolutions. Their
    numbers are constants here, as alone: with inputs of the program in their place, the last digits were others.

    Args:
        numbers: of each training.
    """

    def joined(function: Callable[..., Any]) -> Callable[..., Any]:
        def of_all(state: Any, _: Any, rows: Any, images: Any, labels: Any) -> Any:
            done = []
            for place, its_numbers in enumerate(numbers):
                own = jax.tree.map(lambda stacked: stacked[place], state)  # noqa: B023
                done.append(function(own, its_numbers, rows[place], images, labels))
            return jax.tree.map(lambda *values: jnp.stack(values), *done)

        return of_all

    return joined


def _shared_clock(count: int) -> Callable[[], float]:
    return lambda: time.perf_counter() / count
