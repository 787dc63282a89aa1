"""A training in sittings: stopped at a step, gone on with from its checkpoint, and compared with a whole one."""

import signal

import keras
import numpy as np

from mnist_exp import data
from mnist_exp.runtime import signals
from mnist_exp.training import checkpoints, setup
from mnist_exp.training.checkpointing import check_fits, variables
from mnist_exp.training.checkpoints import CheckpointPolicy
from mnist_exp.training.fit import fit
from mnist_exp.training.prepare import prepare

_TIMES = ("epoch_time_s", "images_per_s")


def sitting(settings, dataset, folder, stop_at=None, pause_at=None):
    """Train to the end, or until a signal comes at a step of an epoch, or until a search pauses it after an epoch.

    Returns: models, history and warnings.
    """
    split = data.split(dataset, limit=settings.data.limit, validation=settings.data.validation, seed=settings.seed)
    setup.set_up(settings.seed, settings.trainer)
    training = prepare(settings, dataset, split)
    start, _ = checkpoints.load(folder)
    if start is not None:
        check_fits(training.models.training_model, start)
        start = start.to_go_on() if start.facts["is_refused"] else start
    epochs, messages = [start.position.epoch if start else 0], []

    def on_epoch(epoch, metrics):
        epochs[0] = epoch
        return epoch != pause_at

    def on_step(step, metrics):
        if (epochs[0], step) == stop_at:
            signals._asked.append(signal.SIGTERM)

    policy = CheckpointPolicy(
        folder, settings.trainer.checkpoint_every, start, messages.append, at_end=pause_at is not None
    )
    try:
        fitted = fit(training.request(on_epoch, policy), on_step)
    finally:
        signals._asked.clear()
    return training.models, fitted, messages


def state(models):
    """Return everything that training has changed."""
    named = variables(models.training_model)
    return {name: keras.ops.convert_to_numpy(variable) for name, variable in named.items()}


def assert_same(one, other):
    """Check that two sittings came to the same bits."""
    (models, fitted, _), (other_models, other_fitted, _) = one, other
    names = [name for name in fitted.history if name not in _TIMES]
    assert {"loss", "val_loss", "learning_rate"} < set(names)
    for name in names:
        assert fitted.history[name] == other_fitted.history[name]
    assert len(fitted.history["epoch_time_s"]) == len(other_fitted.history["epoch_time_s"])
    here, there = state(models), state(other_models)
    assert here.keys() == there.keys()
    for name, array in here.items():
        np.testing.assert_array_equal(array, there[name], err_msg=name)
