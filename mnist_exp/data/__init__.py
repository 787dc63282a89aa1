"""Data: from the configuration to checked arrays in memory. Needs numpy only."""

from mnist_exp.config.components import Component
from mnist_exp.config.schema import DataSettings, Settings
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
    found = settings.loader.build()
    if not isinstance(found, Source):
        try:
            train, test = found
            (x_train, y_train), (x_test, y_test) = train, test
        except (TypeError, ValueError) as error:
            wanted = "(x_train, y_train), (x_test, y_test)"
            raise DataError(
                f"data: {settings.loader.target} must return {wanted}, not {type(found).__name__}"
            ) from error
        found = Source((x_train, y_train), (x_test, y_test), place=settings.loader.target)
    return from_source(settings.name, found, task)
