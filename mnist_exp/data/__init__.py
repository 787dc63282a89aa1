"""Data: from the configuration to checked arrays in memory. Needs numpy only."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from mnist_exp.config.components import Component
from mnist_exp.config.schema import DataSettings, Settings
from mnist_exp.data import sequences
from mnist_exp.data.dataset import Dataset, Source, from_source
from mnist_exp.data.mnist import is_named
from mnist_exp.data.scaling import Scaling, standardized
from mnist_exp.data.splits import Split, split
from mnist_exp.errors import DataError, SettingsError
from mnist_exp.tasks.task import Task

__all__ = ["Dataset", "Scaling", "Source", "Split", "is_named", "load", "load_section", "scaling", "split"]


def scaling(settings: DataSettings, dataset: Dataset, split: Split) -> Scaling:
    """Return how a model scales the raw values: as the data say, or by what it learns of the training part."""
    if settings.standardize:
        return standardized(split.x_train, dataset.pixels)
    return Scaling(dataset.pixels)


def load(settings: Settings) -> Dataset:
    """Return the checked data set that the settings name, for their task.

    Raises: DataError: it is missing, damaged, or cannot be trained on.
        SettingsError: the task is none.
    """
    return load_section(settings.data, settings.task)


def load_section(settings: DataSettings, named: Component) -> Dataset:
    """Return the checked data set of a section.

    Args:
        settings: the section.
        named: the task.
    Raises: as `load`.
    """
    task = named.build()
    if not isinstance(task, Task):
        raise SettingsError(f"task: {named.target} must return a mnist_exp.tasks.task.Task, not {type(task).__name__}")
    return from_source(settings.name, _source(settings.loader), task)


def _source(loader: Component) -> Source:
    """Return what a loader gives, with pairs of arrays for both parts."""
    found = loader.build()
    if isinstance(found, Source):
        source = found
    else:
        if isinstance(found, Mapping) and {"train", "test"} <= set(found):
            found = found["train"], found["test"]
        is_pair = isinstance(found, tuple | list) and len(found) == 2
        if not is_pair or any(isinstance(part, np.ndarray) for part in found):
            wanted = "(x_train, y_train), (x_test, y_test)"
            raise DataError(f"data: {loader.target} must return {wanted}, not {type(found).__name__}")
        source = Source(found[0], found[1], place=loader.target)
    try:
        (train, told), (test, told_too) = (
            sequences.pair_of(part, name) for part, name in ((source.train, "train"), (source.test, "test"))
        )
    except DataError as error:
        raise DataError([f"data: {loader.target} returned what cannot be used: {p}" for p in error.problems]) from error
    return dataclasses.replace(source, train=train, test=test, unread=(*source.unread, *told, *told_too))
