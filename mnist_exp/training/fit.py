"""Train a Keras model; nothing here knows of Hydra, MLflow or the screen."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import keras

from mnist_exp.config.optimizers import LEAST_EPSILON_1
from mnist_exp.config.schema import Settings, TrainerSettings
from mnist_exp.data.splits import Split
from mnist_exp.errors import TrainingError
from mnist_exp.runtime import signals
from mnist_exp.training import callbacks, devices, flops, kept_graph
from mnist_exp.training.batches import Array, Batches
from mnist_exp.training.build import Goal, build_optimizer
from mnist_exp.training.callbacks import TrainingCallbacks
from mnist_exp.training.checkpoints import Checkpoint, CheckpointPolicy, Position
from mnist_exp.training.digests import Digests
from mnist_exp.training.epoch_metrics import Metrics
from mnist_exp.training.optimizers import uses_fast_ops
from mnist_exp.training.predict import BATCH_SIZE

# Steps that Keras does at a time, without coming back to Python: as many as a slow CPU does in about a second. Of fewer
# steps than this the loop around them takes longer to be traced than it saves.
_MOST_STEPS_AT_A_TIME, _FLOPS_AT_A_TIME = 16, 20e9


@dataclass(frozen=True)
class TrainingRequest:
    """One training to be done.

    Args:
        model: compiled, and its optimizer built.
        goal: that it is compiled for.
        split: what it trains and is validated on.
        settings: how long, and what selects.
        on_epoch: called with the epoch's number, from 1, and its metrics; training stops if it returns false.
        checkpoints: where checkpoints go, and which to go on from, which fits the model; None keeps none.
        weights: how much each training image counts in the loss, float32 (n,); None if all count alike.
        scores: returns further metrics of the validation images, by the weights that the model has then.
        own: the callbacks that the configuration names.
        shares_graph: whether another model of the same graph may be trained in its place, and take its numbers.
    """

    model: keras.Model
    goal: Goal
    split: Split
    settings: Settings
    on_epoch: Callable[[int, Metrics], bool]
    checkpoints: CheckpointPolicy | None = None
    weights: Array | None = None
    scores: Callable[[], Metrics] | None = None
    own: Mapping[str, keras.callbacks.Callback] = field(default_factory=dict)
    shares_graph: bool = False


@dataclass(frozen=True)
class FitResult:
    """What a training came to.

    Args:
        history: each metric's values, epoch by epoch.
        seconds: that it took, those before an interruption included.
        stopped_by_callback: whether `on_epoch` stopped it.
        digests: of its weights, at moments of it.
    """

    history: dict[str, list[float]]
    seconds: float
    stopped_by_callback: bool
    digests: Digests


def fit(request: TrainingRequest, on_step: Callable[[int, Metrics], None] | None = None) -> FitResult:
    """Train.

    Args:
        request: what is to be trained.
        on_step: called with the number of steps done in the epoch and the running metrics.
    Raises: TrainingError: the loss became NaN or infinite.
    """
    model, split, trainer = request.model, request.split, request.settings.trainer
    build_optimizer(model)
    start = request.checkpoints.start if request.checkpoints else None
    task = request.goal.task
    weights = () if request.weights is None else (request.weights,)
    labels = task.targets(split.y_train) if request.goal.mixing is None else split.y_train
    arrays = (split.x_train, labels, *weights)
    mix = None if request.goal.mixing is None else request.goal.mix
    batches = Batches(*arrays, batch_size=trainer.batch_size, seed=request.settings.seed, mix=mix)
    called = callbacks_of(request, on_step)
    # The user's callbacks are called for each step, as their batches are numbered.
    steps = 1 if request.own else _steps_at_a_time(model, trainer, len(split.x_train), start)
    validation = Batches(split.x_val, task.targets(split.y_val), batch_size=devices.batch_of(trainer, BATCH_SIZE))
    # What is measured after each epoch is by another model of the same weights.
    is_alone = not request.shares_graph or request.scores is not None
    key = None if is_alone else kept_graph.key_of(model, request.settings, request.goal, split, steps)
    with kept_graph.lent(model, key) as lender:
        lender.steps_per_execution = steps
        with signals.deferred():
            lender.fit(
                batches.feed(),
                validation_data=validation.feed(),
                initial_epoch=first_epoch(start, trainer.epochs),
                epochs=trainer.epochs,
                shuffle=False,
                verbose=0,
                callbacks=[batches.counted(), *called.in_order],
            )
    devices.gather(model, trainer)
    return result_of(called)


def callbacks_of(
    request: TrainingRequest,
    on_step: Callable[[int, Metrics], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> TrainingCallbacks:
    """Return the callbacks of a training.

    Args:
        request: what is to be trained.
        on_step: called with the number of steps done in the epoch and the running metrics.
        clock: tells the seconds; slower than time where several trainings share it.
    """
    split = request.split
    return callbacks.make(
        request.settings,
        split.x_train,
        request.goal.task.targets(split.y_train[:1]),
        request.on_epoch,
        on_step=on_step,
        policy=request.checkpoints,
        scores=request.scores,
        own=request.own,
        clock=clock,
    )


def result_of(called: TrainingCallbacks) -> FitResult:
    """Return what a training came to, by its callbacks. Raises: TrainingError: the loss became NaN or infinite."""
    metrics = called.metrics
    if metrics.diverged is not None:
        fix = "lower optimizer.learning_rate, or clip with optimizer.global_clipnorm=1"
        if getattr(metrics.model.optimizer, "epsilon_1", 1) < LEAST_EPSILON_1:
            fix = "raise optimizer.epsilon_1, as to 1e-16"  # A division of 0 by 0, whatever the rate is.
        raise TrainingError(f"{metrics.diverged}: {fix}")
    return FitResult(
        metrics.history, called.checkpointing.seconds, metrics.stopped_by_callback, called.digesting.record
    )


def first_epoch(start: Checkpoint | None, epochs: int) -> int:
    """Return the epoch to begin with, from 0; past the last one if the training was over already."""
    position = start.position if start else Position()
    return epochs if start and start.facts["is_over"] else position.epoch


def _steps_at_a_time(model: keras.Model, trainer: TrainerSettings, images: int, start: Checkpoint | None) -> int:
    """Return how many steps to do at a time, of which the position to go on from is a multiple."""
    if trainer.epochs * trainer.steps(images) < _MOST_STEPS_AT_A_TIME:
        return 1
    # On JAX Keras does them one by one all the same, on torch it refuses to, and on several devices TensorFlow fails.
    if not uses_fast_ops(trainer) or (an_image := flops.forward(model)) is None:
        return 1
    a_step = 3 * max(an_image, 1) * trainer.batch_size
    steps = max(1, min(_MOST_STEPS_AT_A_TIME, int(_FLOPS_AT_A_TIME / a_step)))
    return math.gcd(steps, start.position.step) if start and start.position.step else steps
