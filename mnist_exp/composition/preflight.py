"""Data, and whether the model fits it: what can go wrong before anything heavy is imported."""

import dataclasses

from mnist_exp import data
from mnist_exp.config import components
from mnist_exp.config.components import Component
from mnist_exp.config.schema import DataSettings, Settings, TrackingSettings
from mnist_exp.data import Dataset, Split
from mnist_exp.errors import DataError, SettingsError, TrackingError
from mnist_exp.runtime import backends
from mnist_exp.tracking import store


def load_data(settings: Settings, dataset: Dataset | None = None) -> tuple[Dataset, Split]:
    """Return the data set and what of it is used, and make sure that the model fits it and its backend is there.

    It needs no Keras.

    Args:
        settings: of the run.
        dataset: if it is loaded already.
    Raises: SettingsError: with everything that is wrong.
    """
    if problems := backends.problems(settings.trainer.backend):
        raise SettingsError(problems)
    dataset = dataset or data.load(settings.data)
    problems = components.check_sizes(settings.model, dataset.image_shape)
    try:
        split = data.split(dataset, limit=settings.data.limit, validation=settings.data.validation, seed=settings.seed)
    except DataError as error:
        problems += error.problems
    if problems:
        raise SettingsError(problems)
    return dataset, split


def store_problems(settings: TrackingSettings) -> list[str]:
    """Return why the tracking store cannot be used, if so."""
    try:
        if settings.store == "mlflow":
            store.check(store.locate(settings.uri))
    except TrackingError as error:
        return error.problems
    return []


def data_problems(settings: DataSettings, model: Component) -> list[str]:
    """Return what is wrong with the data, or with the model for them, when other mistakes are known already.

    Args:
        settings: valid in themselves.
        model: with the arguments that are valid in themselves.
    """
    offline = settings.loader
    if downloads := "mirrors" in offline.arguments:
        # Nobody should wait for a download to be told of a typo.
        offline = dataclasses.replace(offline, arguments=offline.arguments | {"mirrors": []})
    try:
        dataset = data.load(dataclasses.replace(settings, loader=offline))
    except SettingsError as error:
        needs_download = downloads and not data.is_named(offline.arguments.get("path"))
        return [] if needs_download else error.problems
    problems = components.check_sizes(model, dataset.image_shape)
    try:
        data.split(dataset, limit=settings.limit, validation=settings.validation, seed=0)
    except DataError as error:
        problems += error.problems
    return problems
