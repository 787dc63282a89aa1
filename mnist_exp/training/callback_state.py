"""The state of a callback as a checkpoint can hold it: JSON and arrays, never pickles."""

import types
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from mnist_exp.training.checkpoints import Arrays

_OF_KERAS = ("_model", "model", "params", "validation_data")


class CannotBeSavedError(TypeError):
    """A value is no number, text or array, nor a list, tuple or dict of these; the message says what it is."""


def encoded(value: Any, arrays: Arrays, place: str) -> Any:
    """Return a value as JSON has it.

    Args:
        value: a number, text, None, array, tensor, or list, tuple or dict with texts as keys, of these.
        arrays: takes those of the value, by names that begin with `place`.
        place: of the value.
    Raises: CannotBeSavedError: it is another thing.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return value.item()
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [encoded(each, arrays, f"{place}/{number}") for number, each in enumerate(value)]}
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {"dict": {name: encoded(each, arrays, f"{place}/{name}") for name, each in value.items()}}
    if isinstance(value, np.ndarray | keras.Variable) or keras.ops.is_tensor(value):
        array = np.asarray(keras.ops.convert_to_numpy(value))
        if array.dtype.kind in "biufcUS":
            arrays[place] = array
            return {"array": place}
    raise CannotBeSavedError(f"a {type(value).__name__}")


def decoded(value: Any, arrays: Mapping[str, Any]) -> Any:
    """Return the value that `encoded` was given; tensors come back as arrays."""
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "array":
        return np.array(arrays[inner])
    if kind == "dict":
        return {name: decoded(each, arrays) for name, each in inner.items()}
    values = [decoded(each, arrays) for each in inner]
    return tuple(values) if kind == "tuple" else values


def of_attributes(holder: Any, arrays: Arrays, place: str) -> dict[str, Any]:
    """Return the attributes of an object as JSON, and the names of those that cannot be saved."""
    attributes, left = {}, []
    for name, value in vars(holder).items():
        if name in _OF_KERAS or callable(value) or isinstance(value, types.ModuleType):
            continue
        try:
            attributes[name] = encoded(value, arrays, f"{place}/{name}")
        except CannotBeSavedError:
            left.append(name)
    return {"attributes": attributes, "left": left}


def restore_attributes(holder: Any, attributes: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Give an object the attributes that `of_attributes` returned; a variable keeps its place, and gets the value."""
    for name, known in attributes.items():
        value = decoded(known, arrays)
        if isinstance(current := vars(holder).get(name), keras.Variable):
            current.assign(value)
        else:
            vars(holder)[name] = value
