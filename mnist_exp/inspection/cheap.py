"""The gravest fault of a data set, for the one line that each run warns with: test examples that it is trained on."""

import dataclasses

import numpy as np

from mnist_exp.config import wording
from mnist_exp.data import Dataset
from mnist_exp.data.lazy import Examples, LazyArray
from mnist_exp.inspection import memory
from mnist_exp.inspection.survey import digests

# MNIST and the bundled digits: no two of their images are equal.
_WITHOUT = (
    "41aee7e6d12160fb22744ebda73c0dd0a335c51bf9f51741dd82ba69b4f2a99a",
    "4d1c246efd6eda225892ea4f6f3d817f03ba8cf31c5b167d749c2e5ea372c166",
)
_FEWEST_VALUES = 64  # of an example; shorter rows are equal by chance


def warned(dataset: Dataset) -> Dataset:
    """Return a data set with a warning if some of its test examples are among the training examples.

    Lazy ones are not read for that: what the last inspection found is told.
    """
    if dataset.sha256 in _WITHOUT or int(np.prod(dataset.shape)) < _FEWEST_VALUES:
        return dataset
    is_lazy = isinstance(dataset.x_train, LazyArray) or isinstance(dataset.x_test, LazyArray)
    count = memory.recall(dataset.sha256) if is_lazy else seen(dataset.x_train, dataset.x_test)
    if not count:
        return dataset
    kind, are = wording.kind(dataset.shape), "is" if count == 1 else "are"
    text = (
        f"{count:,} of the {len(dataset.y_test):,} test {kind} {are} equal to training {kind}: a score on them says "
        "nothing about new ones; `python -m mnist_exp.inspect` shows them"
    )
    return dataclasses.replace(dataset, warnings=(*dataset.warnings, text))


def seen(x_train: Examples, x_test: Examples) -> int:
    """Return how many test examples are equal to a training example; those of one colour are not counted.

    Args:
        x_train: (n, …), in memory.
        x_test: likewise.
    """
    train, test = (each.reshape(len(each), -1) for each in (x_train, x_test))
    known = set(digests(train))
    found = [row for row, digest in enumerate(digests(test)) if digest in known]
    return int((test[found].min(axis=1) != test[found].max(axis=1)).sum()) if found else 0
