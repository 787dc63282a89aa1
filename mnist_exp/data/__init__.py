"""Data: from the configuration's section to checked arrays in memory. Needs numpy only."""

from mnist_exp.config.schema import DataSettings
from mnist_exp.data.dataset import Dataset, Source, from_source
from mnist_exp.data.mnist import is_named
from mnist_exp.data.splits import Split, split
from mnist_exp.errors import DataError

__all__ = ["Dataset", "Source", "Split", "is_named", "load", "split"]


def load(settings: DataSettings) -> Dataset:
    """Return the checked data set that the settings name.

    Raises: DataError: it is missing, damaged, or cannot be trained on.
    """
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
    return from_source(settings.name, found)
