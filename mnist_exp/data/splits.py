"""Choose training and validation images by seed, stratified by class; the same arguments choose the same images."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from mnist_exp.config import wording
from mnist_exp.data.dataset import Array, Dataset
from mnist_exp.data.lazy import Examples, rows
from mnist_exp.errors import DataError

# Keeps the draws of this module apart from the order of the epochs, which is drawn from (seed, epoch).
_STREAM = 0x5917
_TENTHS = 10  # so many images and more have a tenth to hold out


Validation = Literal["test", "own"] | int | float
OWN: Literal["own"] = "own"
TEST: Literal["test"] = "test"


@dataclass(frozen=True)
class Split:
    """The images that a run trains and validates on; shapes and dtypes as in `Dataset`, lazy where that is.

    Args:
        x_train: images.
        y_train: labels.
        x_val: images.
        y_val: labels.
        validated_on: the test set, the data set's own validation set, or training images that are held out.
        trained: positions, among the data set's training images, of those trained on.
        held_out: likewise of those validated on; none where these are not training images.
        told: sentences about what a user may not expect of the choice.
        reported: likewise of the training images that nothing is trained or selected on.
    """

    x_train: Examples
    y_train: Array
    x_val: Examples
    y_val: Array
    validated_on: Literal["test", "own", "held out"]
    trained: Array
    held_out: Array
    told: tuple[str, ...] = ()
    reported: Array = field(default_factory=lambda: np.arange(0))

    @property
    def validated_on_test(self) -> bool:
        """Whether the validation images are those of the test set."""
        return self.validated_on == TEST


def resolved(validation: Validation, data: Dataset) -> Validation:
    """Return what an option means for a data set: `test` is its own validation set, where it has one."""
    return OWN if validation == TEST and data.y_val is not None else validation


def split(
    data: Dataset, *, limit: int | None, validation: Validation, seed: int, reporting: int | float | None = None
) -> Split:
    """Return the training images used, and those that each epoch is validated on.

    Args:
        data: the data set.
        limit: how many training images to use, hold-out included; all if None.
        validation: `own`, the data set's own validation set; `test`, the same, or the test set where there is none; a
            number of training images to hold out, or a share of those used.
        seed: of the choice.
        reporting: a number of training images that nothing is trained or selected on, or a share of those used; None
            for none. They are the same for every seed, so that no seed has helped to select on those of another one.
    Raises: DataError: there are not enough images for it, or nothing could be learnt from those that are left.
    """
    total, kind = len(data.y_train), wording.kind(data.shape)
    if limit is not None and limit > total:
        raise DataError(f"data.limit={limit} is more than the {total:,} training {kind} of data={data.name}")
    used, none = np.arange(total), np.arange(0)
    given = resolved(validation, data)
    aside = none if reporting is None else _set_aside(data, limit or total, given, reporting)
    rest, wanted = np.delete(used, aside), (limit or total) - len(aside)
    used = rest
    if wanted < len(rest):
        strata = data.task.strata(data.y_train)
        rng = np.random.default_rng([_STREAM, seed, 0])
        used = rest[chosen(None if strata is None else strata[rest], len(rest), wanted, rng)]
    if isinstance(given, str):
        if given == OWN and (data.x_val is None or data.y_val is None):
            raise DataError(
                f"data.validation=own: data={data.name} brings no validation set of its own: hold training {kind} out, "
                "data.validation=0.1"
            )
        _refuse_one_class(data, data.y_train[used], f"data.limit={limit}")
        x, y = (data.x_train, data.y_train) if len(used) == total else (rows(data.x_train, used), data.y_train[used])
        if given == OWN and data.y_val is not None:
            return Split(x, y, data.x_val, data.y_val, OWN, used, none, reported=aside)
        return Split(x, y, data.x_test, data.y_test, TEST, used, none)
    held = round(given * (len(used) + len(aside))) if isinstance(given, float) else given
    if not 1 <= held < len(used):
        fits = isinstance(given, int) and len(used) >= _TENTHS
        fix = ": use a smaller number or a share, data.validation=0.1" if fits else ""
        raise DataError(
            f"data.validation={validation} would hold out {held:,} of {len(used):,} training {kind}; "
            f"at least one must be held out and one left{fix}"
        )
    out = _held_out(data, used, held, np.random.default_rng([_STREAM, seed, 1]))
    kept, held_out = np.delete(used, out), used[out]
    _refuse_one_class(data, data.y_train[kept], f"data.validation={validation}")
    x, y = data.x_train, data.y_train
    told = tuple(_told(data, validation, held, len(out)))
    return Split(rows(x, kept), y[kept], rows(x, held_out), y[held_out], "held out", kept, held_out, told, aside)


def _set_aside(data: Dataset, total: int, validation: Validation, reporting: int | float) -> Array:
    """Return the sorted positions of the training images to report on. Raises: DataError: there are too few."""
    option, kind = f"data.reporting={reporting}", wording.kind(data.shape)
    if validation == TEST:
        raise DataError(
            f"{option} is for the honest value of what a validation set has chosen, and data.validation=test may "
            f"choose nothing: hold training {kind} out, data.validation=0.1"
        )
    count = round(reporting * total) if isinstance(reporting, float) else reporting
    if not 1 <= count < total:
        raise DataError(
            f"{option} would set aside {count:,} of {total:,} training {kind}; at least one must be set aside and one "
            "left"
        )
    return _held_out(data, np.arange(len(data.y_train)), count, np.random.default_rng([_STREAM, 0, 2]))


def _told(data: Dataset, validation: Validation, held: int, found: int) -> Iterator[str]:
    if data.y_val is not None:
        yield (
            f"data.validation={validation} holds training {wording.kind(data.shape)} out: the {len(data.y_val):,} of "
            f"the validation set that data={data.name} brings are not used (data.validation=own does)"
        )
    if found != held:
        yield f"data.validation={validation} holds {found:,} out, not {held:,}: whole groups stay together"


def _refuse_one_class(data: Dataset, y: Array, option: str) -> None:
    """Raise DataError if all training images that are left are of one class."""
    if data.task.has_classes and len(y) and int(y.min()) == int(y.max()):
        only = data.class_names[int(y[0])]
        count = f"{len(y):,} training {wording.kind(data.shape)}" if len(y) > 1 else "one training image"
        raise DataError(
            f"{option} leaves {count}, of the class {wording.show(only)} alone: nothing can be learnt of one class; "
            "leave more"
        )


def _held_out(data: Dataset, used: Array, count: int, rng: np.random.Generator) -> Array:
    """Return the sorted positions, among those used, of about `count` images to hold out."""
    strata = data.task.strata(data.y_train[used])
    if data.groups is not None:
        return _of_groups(data.groups[used], strata, count, rng)
    if strata is None:
        return chosen(None, len(used), count, rng)
    return stratified(strata, count, rng, leave_one=True)


def test_part(labels: Array, share: float, groups: Array | None = None) -> Array:
    """Return the sorted positions of the images that become the test set of data that bring none.

    Args:
        labels: of all images, (n,); of any type. A class leaves one image at least for the training.
        share: of each class, in (0, 1).
        groups: (n,), of which each stays whole; None if there are none.
    Raises: DataError: there are fewer than two images, or groups.
    """
    if len(labels) < 2:
        raise DataError(f"there {'is' if len(labels) == 1 else 'are'} {len(labels)} image: give two at least, to "
                        "train and to test")  # fmt: skip
    count, rng = min(max(round(share * len(labels)), 1), len(labels) - 1), np.random.default_rng(0)
    are_classes = labels.ndim == 1 and labels.dtype.kind != "f"
    strata = np.unique(labels.astype(str) if labels.dtype.kind == "O" else labels, return_inverse=True)[1]
    if groups is not None:
        codes = np.unique(groups.astype(str) if groups.dtype.kind == "O" else groups, return_inverse=True)[1]
        return _of_groups(codes, strata if are_classes else None, count, rng)
    if not are_classes:
        return chosen(None, len(labels), count, rng)
    spare = len(labels) - len(np.unique(strata))
    if not spare:
        raise DataError(f"each of the {len(labels):,} classes has one image: none is left for a test set, give more")
    return stratified(strata, min(count, spare), rng, leave_one=True)


def _of_groups(groups: Array, strata: Array | None, count: int, rng: np.random.Generator) -> Array:
    """Return the sorted positions of about `count` images that are all those of their groups, each class by its share.

    Raises: DataError: all are of one group.
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    known = len(np.unique(groups))
    if known < 2:
        raise DataError("all training images are of one group: none could be held out")
    folds = min(known, max(2, round(len(groups) / count)))
    kind = StratifiedGroupKFold if strata is not None and np.bincount(strata).max() >= folds else GroupKFold
    order = kind(n_splits=folds, shuffle=True, random_state=int(rng.integers(2**31)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Of a class with fewer images than folds.
        found = [out for _, out in order.split(groups, strata, groups)]
    # The fold whose size is closest to what was asked for; scikit-learn 1.9 may give an empty one (its issue 34828).
    return np.sort(min((each for each in found if len(each)), key=lambda each: abs(len(each) - count)))


def chosen(strata: Array | None, total: int, count: int, rng: np.random.Generator) -> Array:
    """Return the sorted positions of `count` of all images: each class by its share, or drawn from all.

    Args:
        strata: the class of each, whole numbers from 0; None if there are no classes.
        total: how many there are.
        count: how many to choose, 0 to total.
        rng: decides which.
    """
    return stratified(strata, count, rng) if strata is not None else np.sort(rng.permutation(total)[:count])


def stratified(labels: Array, count: int, rng: np.random.Generator, *, leave_one: bool = False) -> Array:
    """Return the sorted positions of `count` labels, each class by its share, to within one.

    Args:
        labels: whole numbers from 0, shape (n,).
        count: how many to choose, 0 to n.
        rng: decides which, and which classes get the ones left over by rounding.
        leave_one: whether to leave one of each class, if `count` allows it.
    """
    sizes = np.bincount(labels)
    exact = sizes * (count / len(labels))
    quota = np.floor(exact).astype(np.int64)
    # The largest remainders first; equal ones in an order of chance.
    chance = rng.permutation(len(sizes))
    order = np.lexsort((chance, -(exact - quota)))
    quota[order[: count - int(quota.sum())]] += 1
    if leave_one and count <= len(labels) - np.count_nonzero(sizes):
        quota = _leaving_one(quota, sizes, order)
    chosen = [rng.permutation(np.flatnonzero(labels == label))[:n] for label, n in enumerate(quota)]
    return np.sort(np.concatenate(chosen))


def _leaving_one(quota: Array, sizes: Array, order: Array) -> Array:
    """Return quotas of the same sum that leave one of each class; what a class may not give, the next ones do."""
    most = np.maximum(sizes - 1, 0)
    lacking = int(np.maximum(quota - most, 0).sum())
    quota = np.minimum(quota, most)
    while lacking:
        able = order[quota[order] < most[order]][:lacking]
        quota[able] += 1
        lacking -= len(able)
    return quota
