"""Everything that can go wrong before anything heavy is imported: options, backend, data and store."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from mnist_exp import data
from mnist_exp.config import components, objectives, parse, rules
from mnist_exp.config.components import Component
from mnist_exp.config.schema import DataSettings, Settings, TrackingSettings
from mnist_exp.data import Dataset, Split, splits, unreadable
from mnist_exp.errors import DataError, SettingsError, TrackingError
from mnist_exp.inspection import cheap
from mnist_exp.runtime import backends
from mnist_exp.tasks import weights
from mnist_exp.tasks.task import Task
from mnist_exp.tracking import store

_PRESETS = ("experiment=", "+experiment=", "sweep=", "+sweep=")


def check(config: DictConfig | Mapping[str, Any], overrides: Sequence[str] = ()) -> Settings:
    """Return the settings that a composed configuration means.

    Nothing heavy is imported, and nothing named in it is run. Data and store are looked at only if there are problems
    already, so that a person sees all of them at once.

    Args:
        config: the composed configuration.
        overrides: what the user changed, for the record.
    Raises: SettingsError: with every problem there is, one sentence each.
    """
    settings, problems = find_problems(config, overrides)
    if settings is None or problems:
        raise SettingsError(problems)
    return settings


def find_problems(
    config: DictConfig | Mapping[str, Any], overrides: Sequence[str] = ()
) -> tuple[Settings | None, list[str]]:
    """Return the settings, where no option has a problem of its own, and all problems."""
    parsed = parse.parse(config, overrides)
    problems = list(parsed.problems)
    if parsed.settings is None:
        parts = parsed.parts
        problems += backends.problems(parts["trainer"].backend) if parts.get("trainer") else []
        task = parts.get("task", Settings.task)
        problems += _data_problems(parts["data"], parts["model"], task) if parts.get("data") else []
        problems += _store_problems(parts["tracking"]) if parts.get("tracking") else []
    elif components.is_of_libraries(parsed.settings.task.target):  # Code of the user's own runs later.
        problems += _objective_problems(parsed.settings, parsed.settings.task.build())
    return parsed.settings, [_with_origin(problem, overrides) for problem in problems]


def _with_origin(problem: str, overrides: Sequence[str]) -> str:
    """Add to a problem with an option that a preset sets, not the user, how to leave the option out."""
    option, is_unknown, _ = problem.partition(" does not exist: ")
    keys = [text.lstrip("+~").partition("=")[0] for text in overrides]
    presets = [text for text in overrides if text.startswith(_PRESETS)]
    if not is_unknown or not presets or any(f"{option}.".startswith(f"{key}.") for key in keys if "." in key):
        return problem
    return f"{problem}; {' or '.join(presets)} sets it: ~{option} leaves it out"


def _objective_problems(settings: Settings, task: Task) -> list[str]:
    """Return why the objective is no metric of a run, if so."""
    problem = objectives.problem(settings.objective, task.objectives(settings.metrics), task.name)
    return [problem] if problem else []


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
    dataset = dataset or cheap.warned(data.load(settings))
    problems = [
        problem
        for each in (settings.model, settings.augment)
        for problem in components.check_sizes(each, dataset.shape, for_numbers=dataset.task.activation == "linear")
    ]
    problems += _objective_problems(settings, dataset.task)
    problems += weights.check(dataset.task, dataset.class_names, settings.trainer.class_weight)
    try:
        split = data.split_of(dataset, settings)
    except DataError as error:
        problems += error.problems
    else:
        problems += rules.problems_of_size(settings, len(split.y_train))
    if problems:
        raise SettingsError(problems)
    return dataset, split


def resolved(settings: Settings, dataset: Dataset) -> Settings:
    """Return settings with what is meant for a data set in place of what was written: the validation set it brings."""
    meant = splits.resolved(settings.data.validation, dataset)
    if meant == settings.data.validation:
        return settings
    return dataclasses.replace(settings, data=dataclasses.replace(settings.data, validation=meant))


def load_inspected(settings: Settings) -> tuple[Dataset, Split, tuple[str, ...]]:
    """Return the data set of files that can be read, what of it is used, and a sentence for each other file.

    No model need fit it. It needs no Keras.

    Args:
        settings: of the data, the task and the seed.
    Raises: SettingsError: with everything else that is wrong.
    """
    with unreadable.left_out() as told:
        dataset = data.load(settings)
    split = data.split_of(dataset, settings)
    return dataset, split, tuple(told)


def _store_problems(settings: TrackingSettings) -> list[str]:
    """Return why the tracking store cannot be used, if so."""
    try:
        if settings.store == "mlflow":
            store.check(store.locate(settings.uri))
    except TrackingError as error:
        return error.problems
    return []


def _data_problems(settings: DataSettings, model: Component, task: Component) -> list[str]:
    """Return what is wrong with the data, or with the model for them, when there are other problems already.

    Args:
        settings: valid in themselves.
        model: with the arguments that are valid in themselves.
        task: the same; without a target if it has a problem.
    """
    if not task.target:
        return []
    offline = settings.loader
    if downloads := "mirrors" in offline.arguments:
        # Nobody should wait for a download to learn of a typo.
        offline = dataclasses.replace(offline, arguments=offline.arguments | {"mirrors": []})
    try:
        dataset = data.load_section(dataclasses.replace(settings, loader=offline), task)
    except SettingsError as error:
        needs_download = downloads and not data.is_named(offline.arguments.get("path"))
        return [] if needs_download else error.problems
    problems = components.check_sizes(model, dataset.shape)
    try:
        data.split(dataset, limit=settings.limit, validation=settings.validation, seed=0, reporting=settings.reporting)
    except DataError as error:
        problems += error.problems
    return problems
