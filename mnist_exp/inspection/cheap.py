"""The gravest fault of a data set, for the one line that each run warns with: test examples that it is trained on."""

import contextlib
import dataclasses
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnist_exp.config import wording
from mnist_exp.data import Dataset
from mnist_exp.data.download import keras_cache
from mnist_exp.data.lazy import Examples, LazyArray
from mnist_exp.inspection.parts import TEST, TRAIN, VALIDATION
from mnist_exp.inspection.survey import digests

if TYPE_CHECKING:
    from mnist_exp.inspection.look import Inspection

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
    count = _recall(dataset.sha256) if is_lazy else _seen(dataset.x_train, dataset.x_test)
    if not count:
        return dataset
    kind, are = wording.kind(dataset.shape), "is" if count == 1 else "are"
    text = (
        f"{count:,} of the {len(dataset.y_test):,} test {kind} {are} equal to training {kind}: a score on them says "
        "nothing about new ones; `python -m mnist_exp.inspect` shows them"
    )
    return dataclasses.replace(dataset, warnings=(*dataset.warnings, text))


def remember(inspection: "Inspection") -> None:
    """Keep how many test examples are training examples, for `warned`; where the folder cannot be written, nothing."""
    dataset = inspection.dataset
    in_training = sum(len(part) for part in inspection.parts if part.array == "x_train")
    if in_training < len(dataset.y_train):  # data.limit left some out.
        return
    across = [(TEST, TRAIN), (TEST, VALIDATION)] if dataset.x_val is None else [(TEST, TRAIN)]
    exact = [each for each in inspection.findings if not each.kind.startswith("nearly")]
    file = _file(dataset.sha256)
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        # Under another name first: a run that reads it meanwhile never sees half of it.
        handle, partial = tempfile.mkstemp(prefix=".", suffix=".partial", dir=file.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            json.dump({"test_in_training": sum(each.count for each in exact if each.sets in across)}, opened)
        Path(partial).replace(file)


def _seen(x_train: Examples, x_test: Examples) -> int:
    """Return how many test examples are equal to a training example; those of one colour are not counted."""
    train, test = (each.reshape(len(each), -1) for each in (x_train, x_test))
    known = set(digests(train))
    found = [row for row, digest in enumerate(digests(test)) if digest in known]
    return int((test[found].min(axis=1) != test[found].max(axis=1)).sum()) if found else 0


def _recall(sha256: str) -> int | None:
    try:
        found = json.loads(_file(sha256).read_bytes())["test_in_training"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, int) else None


def _file(sha256: str) -> Path:
    return keras_cache() / "mnist_exp-inspections" / f"{sha256}.json"
