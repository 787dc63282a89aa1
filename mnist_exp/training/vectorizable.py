"""Which trainings can be one program on JAX, and which of their numbers become inputs of it."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import jax
import keras
import numpy as np
from jax import numpy as jnp
from keras.optimizers.schedules import LearningRateSchedule

from mnist_exp.data.lazy import LazyArray
from mnist_exp.distortion import Distortion
from mnist_exp.training import batch_statistics
from mnist_exp.training.averaged_weights import averaging_optimizer
from mnist_exp.training.batches import Array
from mnist_exp.training.build import Goal
from mnist_exp.training.checkpointing import variables
from mnist_exp.training.fast_ops import is_made_of_layers
from mnist_exp.training.fit import TrainingRequest
from mnist_exp.training.outputs import Unchanged
from mnist_exp.training.schedule_free import ScheduleFreeAdamW

_KNOWN = ("keras", Distortion.__module__)  # Beside those within Keras.
_OF_A_SCHEDULE = ("initial_learning_rate", "warmup_target")


def why_not(first: TrainingRequest, other: TrainingRequest) -> str | None:
    """Return why a training cannot be vectorized with another one, in words; None if it can.

    Args:
        first: the training that the others join.
        other: the training in question; if it is `first`, whether it can be vectorized at all.
    """
    if first.own or other.own:
        return "it has callbacks"
    start = other.checkpoints.start if other.checkpoints else None
    if start is not None and start.position.step:
        return f"it goes on within an epoch, from {start.position}"
    if not all(is_made_of_layers(each.model) and _is_of_keras(each.model) for each in (first, other)):
        return "its model is not made of Keras's own layers alone"
    if isinstance(other.split.x_train, LazyArray):
        return "its data are read as they are needed, and do not lie in the device's memory"
    if other.goal.mixing is not None:
        return "its examples are mixed, two by two"
    if other.weights is not None:
        return "its images count differently in the loss"
    if first.settings.loss != other.settings.loss:
        return "its loss is another one"
    ours, theirs = (_description(each.model) for each in (first, other))
    if ours is None or theirs is None:
        return "its model has dropout within another layer"
    if averaging_optimizer(other.model) is not None and batch_statistics.variables(other.model):
        return "its averaged weights have statistics of batch normalisation of their own"
    if isinstance(other.model.optimizer, ScheduleFreeAdamW):
        return "its optimizer is evaluated with weights that are computed from its own"
    shapes = [{name: (v.shape, v.dtype) for name, v in variables(each.model).items()} for each in (first, other)]
    return None if ours == theirs and shapes[0] == shapes[1] else "its model, or its optimizer, is another program"


class TracedDropout(keras.layers.Layer):  # type: ignore[misc]
    """A `keras.layers.Dropout` for JAX whose rate is an input of the program.

    Args:
        layer: whose rate, seeds and name are taken.
    """

    def __init__(self, layer: keras.layers.Dropout) -> None:
        super().__init__(name=layer.name, dtype=layer.dtype_policy)
        self.seed_generator = layer.seed_generator
        self.kept = number(layer, "rate")
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the inputs, some of them zero while training."""
        if not training:
            return inputs
        mask = jax.random.bernoulli(self.seed_generator.next(), p=self.kept, shape=inputs.shape)
        return jnp.where(mask, inputs / jnp.asarray(self.kept, inputs.dtype), jnp.zeros_like(inputs))


def template(model: keras.Model, goal: Goal, y: Array) -> keras.Model:
    """Return a model with the same variables whose dropout rates are inputs of the program.

    Args:
        model: compiled.
        goal: that it is compiled for.
        y: the label of one image, shape (1, …).
    """
    model.compiled = False  # Keras would compile the copy by the configuration of the loss, which ours have not all.
    try:
        made = keras.models.clone_model(
            model, clone_function=lambda layer: TracedDropout(layer) if _is_dropout(layer) else layer, recursive=True
        )
    finally:
        model.compiled = True
    # The optimizer, which is the model's, tells variables by their place among them.
    assert list(map(id, made.trainable_variables)) == list(map(id, model.trainable_variables))
    goal.compile(made, model.optimizer)
    # Now, because no variables may be created while the program is traced.
    targets, answers = goal.task.targets(y), np.zeros((1, model.output_shape[-1]), np.float32)
    made.compute_loss(None, targets, answers)
    made.compute_metrics(None, targets, answers)
    made.reset_metrics()
    return made


def variables_as_in(template: keras.Model, first: keras.Model, model: keras.Model) -> tuple[list[Any], ...]:
    """Return a model's variables, trainable, fixed and its optimizer's, in the order that the template has them in.

    Args:
        template: of the first model, and of its variables.
        first: the model.
        model: of the same program.
    """
    own = dict(zip(map(id, first.variables), model.variables, strict=True))
    return (
        [own[id(v)] for v in template.trainable_variables],
        [own[id(v)] for v in template.non_trainable_variables],
        list(model.optimizer.variables),
    )


def places(model: keras.Model) -> list[tuple[Any, str]]:
    """Return the numbers of a model or template that may differ, each as an object and the name of its attribute."""
    found: list[tuple[Any, str]] = []
    for layer in _layers(model):
        if isinstance(layer, TracedDropout):
            found.append((layer, "kept"))
        elif _is_dropout(layer):
            found.append((layer, "rate"))
    optimizer = model.optimizer
    schedule = optimizer._learning_rate  # A variable, if the rate is constant: as any other one it may differ.
    if isinstance(schedule, LearningRateSchedule):
        found += [(schedule, name) for name in _OF_A_SCHEDULE if isinstance(getattr(schedule, name, None), float)]
    return found + ([(optimizer, "weight_decay")] if isinstance(optimizer.weight_decay, float) else [])


def number(holder: Any, name: str) -> float:
    """Return the number at a place; for dropout the share that is kept, rounded as Keras does."""
    return 1.0 - holder.rate if name == "rate" else float(getattr(holder, name))


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yield the layers of a model and of those within it, in an order that depends on nothing but the names."""
    for layer in sorted(model.layers, key=lambda each: str(each.name)):
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _is_dropout(layer: keras.layers.Layer) -> bool:
    return type(layer) is keras.layers.Dropout and layer.noise_shape is None and 0 < layer.rate < 1


def _is_of_keras(model: keras.Model) -> bool:
    """Tell whether a model's configuration says all that it computes, as those of Keras's own parts do.

    A layer or a function of someone's own may hold numbers that its configuration does not name.
    """
    # `model.layers` leaves out those within others, as in Bidirectional.
    layers = [each for each in model._flatten_layers(include_self=False) if not isinstance(each, Unchanged)]
    if any(isinstance(each, keras.layers.Lambda) for each in layers):
        return False
    sections = [each for each in _sections(model.get_config()) if each.get("module") and "class_name" in each]
    modules = {*(type(each).__module__ for each in layers), *(each["module"] for each in sections)}
    return all(module in _KNOWN or module.startswith("keras.") for module in modules)


def _description(model: keras.Model) -> str | None:
    """Return all that makes a program but the numbers that may differ; None if some of these cannot be found."""
    config = model.get_config()
    named = [each for each in _sections(config) if each.get("class_name") == "Dropout"]
    found = [each["config"] for each in named if each["config"].get("rate")]
    if len(found) != sum(map(_is_dropout, _layers(model))):
        return None
    for dropout in found:
        del dropout["rate"]
    config["mnist_exp"] = {}
    # `learning_rate` would be the rate of this step, not the schedule.
    for each in (model.optimizer, model.optimizer._learning_rate):
        if isinstance(each, keras.optimizers.Optimizer | LearningRateSchedule):
            numbers = [name for holder, name in places(model) if holder is each]
            own = {name: value for name, value in each.get_config().items() if name not in ("learning_rate", *numbers)}
            config["mnist_exp"] |= {type(each).__name__: [own, numbers]}
    return json.dumps(_without_seeds(config), default=repr, sort_keys=True)


def _sections(config: Any) -> Iterator[dict[str, Any]]:
    """Yield each part of a configuration that has names."""
    if isinstance(config, dict):
        yield config
    inner = config.values() if isinstance(config, dict) else config if isinstance(config, list | tuple) else ()
    yield from itertools.chain.from_iterable(map(_sections, inner))


def _without_seeds(config: Any) -> Any:
    """Return a configuration without the seeds, which end up in variables."""
    if isinstance(config, dict):
        return {name: _without_seeds(value) for name, value in config.items() if name != "seed"}
    return [_without_seeds(each) for each in config] if isinstance(config, list | tuple) else config
