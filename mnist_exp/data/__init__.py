"""Data: from the configuration to checked arrays in memory. Needs numpy only."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from mnist_exp.config.components import Component
from mnist_exp.config.schema import DataSettings, Settings
from mnist_exp.data import sequences
from mnist_exp.data.checking import from_source
from mnist_exp.data.dataset import Dataset, Source
from mnist_exp.data.mnist import is_named
from mnist_exp.data.scaling import Scaling, standardized, words
from mnist_exp.data.splits import Split, split
from mnist_exp.errors import DataError, SettingsError
from mnist_exp.tasks.task import Task

__all__ = [
    "Dataset",
    "Scaling",
    "Source",
    "Split",
    "is_named",
    "load",
    "load_section",
    "scaling",
    "scaling_words",
    "split",
    "split_of",
]


def scaling(settings: DataSettings, dataset: Dataset, split: Split) -> Scaling:
    """Return how a model scales the raw values: as the data say, or by what it learns of the training part."""
    if settings.standardize:
        return standardized(split.x_train, dataset.pixel_range)
    return Scaling(dataset.pixel_range)


def scaling_words(settings: DataSettings, dataset: Dataset) -> str:
    """Return how a model scales the raw values, for people; empty for the usual."""
    return words(dataset.pixel_range, settings.standardize)


def split_of(dataset: Dataset, settings: Settings) -> Split:
    """Return what of a data set a run of these settings is trained, validated and reported on. Raises: as `split`."""
    of = settings.data
    return split(dataset, limit=of.limit, validation=of.validation, seed=settings.seed, reporting=of.reporting)


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
        validation = None
        if isinstance(found, Mapping) and {"train", "test"} <= set(found):
            validation = found.get("validation")
            found = found["train"], found["test"]
        is_pair = isinstance(found, tuple | list) and len(found) == 2
        if not is_pair or any(isinstance(part, np.ndarray) for part in found):
            wanted = "(x_train, y_train), (x_test, y_test)"
            raise DataError(f"data: {loader.target} must return {wanted}, not {type(found).__name__}")
        source = Source(found[0], found[1], place=loader.target, validation=validation)
    parts = {"train": source.train, "test": source.test, "validation": source.validation}
    try:
        made = {name: sequences.pair_of(part, name) for name, part in parts.items() if part is not None}
    except DataError as error:
        raise DataError([f"data: {loader.target} returned what cannot be used: {p}" for p in error.problems]) from error
    pairs: dict[str, Any] = {name: pair for name, (pair, _) in made.items()}
    told = tuple(sentence for _, sentences in made.values() for sentence in sentences)
    return dataclasses.replace(source, **pairs, unread=(*source.unread, *told))
