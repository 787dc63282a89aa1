"""Trainings of one graph, one after the other in a process: it is traced for the first of them only.

The trainings of a sweep over seeds or learning rates are one graph with other numbers in its variables. TensorFlow
takes as long to trace it as the training of a small model. So a training may lend its model to those after it: their
numbers are copied into it before the training, and back afterwards. Nothing else of a training is in a model.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

import keras

from mnist_exp.config import components
from mnist_exp.config.schema import Settings
from mnist_exp.data import Split
from mnist_exp.training import random_state
from mnist_exp.training.build import Goal
from mnist_exp.training.optimizers import uses_fast_ops

_OWN_MODELS = ("mnist_exp.models.", "mnist_exp.backbones.")


@dataclass
class _Kept:
    """A model whose functions are traced.

    Args:
        model: that has them.
        key: of its graph.
        stands_for: the model whose numbers it has.
    """

    model: keras.Model
    key: str
    stands_for: keras.Model


_kept: list[_Kept] = []


@contextlib.contextmanager
def lent(model: keras.Model, key: str | None) -> Iterator[keras.Model]:
    """Yield the model to train in place of one, which has all numbers of the training at the end.

    Args:
        model: compiled, and its optimizer built.
        key: of its graph; None lets no other one be trained.
    """
    before = _kept.pop() if _kept else None  # Not kept where the training fails: it may have been left in the middle.
    if key is None:
        yield model
        return
    lender = before.model if before is not None and before.key == key else model
    _copy(model, lender)
    yield lender
    _copy(lender, model)
    if random_state.shared() is None:
        _kept.append(_Kept(lender, key, model))


def traced(model: keras.Model) -> keras.Model:
    """Return the model that was trained in place of this one and has the same numbers; itself if there is none."""
    return _kept[0].model if _kept and _kept[0].stands_for is model else model


def _copy(source: keras.Model, target: keras.Model) -> None:
    """Give one model the numbers of another."""
    if source is target:
        return
    there, here = ([*model.variables, *model.optimizer.variables] for model in (source, target))
    for variable, value in zip(here, there, strict=True):
        variable.assign(value)


def key_of(model: keras.Model, settings: Settings, goal: Goal, split: Split, steps_at_a_time: int) -> str | None:
    """Return what the graph of a training depends on; None if it may depend on more than can be seen.

    Args:
        model: compiled, and its optimizer built.
        settings: of the training.
        goal: that the model is compiled for.
        split: what it trains and is validated on.
        steps_at_a_time: how many steps Keras does at a time.
    """
    parts = (settings.optimizer, settings.loss, settings.schedule)
    if (
        not uses_fast_ops(settings.trainer)
        or not settings.model.target.startswith(_OWN_MODELS)
        or not all(components.is_of_libraries(part.target) for part in parts)
        or settings.augment.target != "mnist_exp.augmentation.none"
        or goal.mixing is not None
        or settings.callbacks
    ):
        return None
    optimizer = model.optimizer.get_config()
    if isinstance(optimizer.get("learning_rate"), float):
        del optimizer["learning_rate"]  # It is a variable.
    facts = {
        "model": model.get_config(),
        "optimizer": [type(model.optimizer).__name__, optimizer],
        "loss": [settings.loss.target, settings.loss.arguments],
        "task": [settings.task.target, settings.task.arguments],
        "goal": [goal.task.name, goal.is_raw, goal.is_weighted, goal.has_penalty, goal.outputs],
        "data": [[part.shape, str(part.dtype)] for part in (split.x_train, split.y_train, split.x_val, split.y_val)],
        "trainer": [vars(settings.trainer), steps_at_a_time],  # All of it, so that no new option can be forgotten.
    }
    try:
        return json.dumps(facts)
    except TypeError:  # What is no plain value may depend on anything.
        return None
