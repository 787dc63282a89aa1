"""Choose training and validation images by seed, stratified by class; the same arguments choose the same images."""

from dataclasses import dataclass

import numpy as np

from mnist_exp.config import wording
from mnist_exp.data.dataset import Array, Dataset
from mnist_exp.data.lazy import Examples, rows
from mnist_exp.errors import DataError

# Keeps the draws of this module apart from the order of the epochs, which is drawn from (seed, epoch).
_STREAM = 0x5917


@dataclass(frozen=True)
class Split:
    """The images that a run trains and validates on; shapes and dtypes as in `Dataset`, lazy where that is.

    Args:
        x_train: images.
        y_train: labels.
        x_val: images.
        y_val: labels.
        validated_on_test: whether they are those of the test set.
        trained: positions, among the data set's training images, of those trained on.
        held_out: likewise of those validated on; none where that is the test set.
    """

    x_train: Examples
    y_train: Array
    x_val: Examples
    y_val: Array
    validated_on_test: bool
    trained: Array
    held_out: Array


def split(data: Dataset, *, limit: int | None, validation: str | int | float, seed: int) -> Split:
    """Return the training images used, and those that each epoch is validated on.

    Args:
        data: the data set.
        limit: how many training images to use, hold-out included; all if None.
        validation: `test`, a number of training images to hold out, or a share of those used.
        seed: of the choice.
    Raises: DataError: there are not enough images for it.
    """
    total, kind = len(data.y_train), wording.kind(data.shape)
    if limit is not None and limit > total:
        raise DataError(f"data.limit={limit} is more than the {total:,} training {kind} of data={data.name}")
    used, none = np.arange(total), np.arange(0)
    if validation == "test" and limit in (None, total):
        return Split(data.x_train, data.y_train, data.x_test, data.y_test, True, used, none)
    if limit is not None and limit < total:
        used = chosen(data.task.strata(data.y_train), total, limit, np.random.default_rng([_STREAM, seed, 0]))
    if validation == "test":
        return Split(rows(data.x_train, used), data.y_train[used], data.x_test, data.y_test, True, used, none)
    assert not isinstance(validation, str)
    held = round(validation * len(used)) if isinstance(validation, float) else validation
    if not 1 <= held < len(used):
        raise DataError(
            f"data.validation={validation} would hold out {held:,} of {len(used):,} training {kind}; "
            "at least one must be held out and one left"
        )
    out = chosen(data.task.strata(data.y_train[used]), len(used), held, np.random.default_rng([_STREAM, seed, 1]))
    kept, held_out = np.delete(used, out), used[out]
    x, y = data.x_train, data.y_train
    return Split(rows(x, kept), y[kept], rows(x, held_out), y[held_out], False, kept, held_out)


def chosen(strata: Array | None, total: int, count: int, rng: np.random.Generator) -> Array:
    """Return the sorted positions of `count` of all images: each class by its share, or drawn from all.

    Args:
        strata: the class of each, whole numbers from 0; None if there are no classes.
        total: how many there are.
        count: how many to choose, 0 to total.
        rng: decides which.
    """
    return stratified(strata, count, rng) if strata is not None else np.sort(rng.permutation(total)[:count])


def stratified(labels: Array, count: int, rng: np.random.Generator) -> Array:
    """Return the sorted positions of `count` labels, each class by its share, to within one.

    Args:
        labels: whole numbers from 0, shape (n,).
        count: how many to choose, 0 to n.
        rng: decides which, and which classes get the ones left over by rounding.
    """
    sizes = np.bincount(labels)
    exact = sizes * (count / len(labels))
    quota = np.floor(exact).astype(np.int64)
    # The largest remainders first; equal ones in an order of chance.
    chance = rng.permutation(len(sizes))
    order = np.lexsort((chance, -(exact - quota)))
    quota[order[: count - int(quota.sum())]] += 1
    chosen = [rng.permutation(np.flatnonzero(labels == label))[:n] for label, n in enumerate(quota)]
    return np.sort(np.concatenate(chosen))
