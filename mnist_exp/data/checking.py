"""From what a loader returned to a data set that can be trained on, or every reason why it cannot."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mnist_exp.config.wording import listed, show
from mnist_exp.data import features, identity, labels, pixels
from mnist_exp.data.dataset import Array, Dataset, Source
from mnist_exp.data.labels import Labels
from mnist_exp.data.lazy import Examples, LazyArray
from mnist_exp.data.pixels import BYTES, UNIT, Range, Survey
from mnist_exp.errors import DataError
from mnist_exp.tasks.task import Task

Parts = dict[str, Any]  # by "train", "test" and, where the data have one, "val"


def from_source(name: str, source: Source, task: Task) -> Dataset:
    """Return the checked data set of a source.

    Args:
        name: of the data set.
        source: what the loader returned.
        task: what is to be learnt.
    Raises: DataError: with every reason why it cannot be trained on.
    """
    try:
        found, identified, note = _checked(name, source, task)
    except DataError as error:
        raise DataError([f"data={name}, from {source.place}: {problem}" for problem in error.problems]) from error
    return dataclasses.replace(found, sha256=identity.digest(identified, note))


def _checked(name: str, source: Source, task: Task) -> tuple[Dataset, Mapping[str, Examples], str]:
    """Return a data set, still without its digest, and what this is computed of."""
    given = {"train": source.train, "test": source.test} | ({"val": source.validation} if source.validation else {})
    xs: Parts = {part: _array(f"x_{part}", x) for part, (x, _) in given.items()}
    ys: Parts = {part: _array(f"y_{part}", y, is_label=True) for part, (_, y) in given.items()}
    problems = [problem for part, x in xs.items() for problem in features.shape_problems(f"x_{part}", x)]
    range_, note, taken_for = None, "", []
    if not problems:
        surveys = {part: pixels.survey(x) for part, x in xs.items()}
        range_, note = _pixel_range(xs["train"], surveys, source.pixels)
        for part, found in surveys.items():
            problems += features.value_problems(f"x_{part}", xs[part], found, range_)
        if not problems and source.pixels is None:
            problems = list(features.range_problems(xs["train"], surveys))
            taken_for = list(features.told(f"data={name}", xs["train"], range_))
    numbered = Labels((), None)
    try:
        task, numbered = _labelled(ys, task, source)
    except DataError as error:
        problems += error.problems
    else:
        ys = dict(zip(ys, numbered.parts, strict=True))
        problems += [problem for part in ys for problem in _label_problems(part, xs[part], ys[part], task)]
    names = numbered.names
    if not problems:
        xs = {part: features.converted(x, range_) for part, x in xs.items()}
        ys = {part: task.prepared(y) for part, y in ys.items()}
        problems = list(_problems_between(xs))
        for part in list(ys)[1:]:
            between = task.problems_between(ys["train"], ys[part], names)
            problems += [problem.replace("y_test", f"y_{part}") for problem in between]
        problems = list(dict.fromkeys(problems))  # What is wrong with the training labels is so beside each other set.
    if not problems and source.weights is not None:
        problems = list(_weight_problems(source.weights, len(xs["train"])))
    groups = None
    if not problems and source.groups is not None:
        groups, problems = _grouped(source.groups, len(xs["train"]))
    if problems:
        raise DataError(problems)
    names = task.names(np.concatenate(list(ys.values())), names)
    told = [*source.unread, *_namesakes(name, names), *numbered.told, *taken_for]
    weights = None if source.weights is None else np.asarray(source.weights, np.float32)
    arrays = {f"{kind}_{part}": of[part] for part in ("train", "test", "val") for kind, of in (("x", xs), ("y", ys))
              if part in of}  # fmt: skip
    further: dict[str, Any] = {"weights": weights, "groups": groups}
    identified = arrays | {key: each for key, each in further.items() if each is not None}
    dataset = Dataset(
        name,
        task,
        **arrays,
        class_names=names,
        place=source.place,
        sha256="",
        fallback=source.fallback,
        warnings=tuple(told),
        pixel_range=range_,
        depth=source.depth,
        columns=source.columns,
        files=source.files,
        **further,
    )
    return dataset, identified, note


def _array(name: str, values: Any, *, is_label: bool = False) -> Examples:
    if isinstance(values, LazyArray):
        return values
    try:
        found = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name} is not an array: {error}") from error
    return found.astype(np.uint8) if found.dtype == bool and not is_label else found  # Black and white.


def _pixel_range(
    x_train: Examples, surveys: Mapping[str, Survey], stated: bool | Range | None
) -> tuple[Range | None, str]:
    """Return the range of the pixels, None if they are none, and what tells these data from others of the same bytes.

    Recorded digests know two readings without a word: divided by 255, or as they are, by the rule of `_usual`.
    """
    all_of_them = next(iter(surveys.values()))
    for each in surveys.values():
        all_of_them = all_of_them.joined(each)
    if stated is None:
        found = pixels.measured(x_train, all_of_them)
    elif isinstance(stated, bool):
        found = pixels.said(all_of_them) if stated else None
    else:
        found = float(stated[0]), float(stated[1])
    is_as_it_is = found is None or found == UNIT
    if not (is_as_it_is or found == BYTES):
        return found, f"pixels {found}"
    return found, "" if is_as_it_is != _usual(x_train, all_of_them) else f"pixels {not is_as_it_is}"


def _usual(x: Examples, found: Survey) -> bool:
    """Tell whether values were divided by 255 before ranges were measured."""
    if x.dtype == np.uint8:
        return True
    if x.ndim not in (3, 4):
        return False
    return x.dtype.kind in "iu" or bool(found.low >= 0 and 1 < found.high <= 255)


def _labelled(ys: Parts, task: Task, source: Source) -> tuple[Task, Labels]:
    """Return the task that the labels are for, and the labels as it takes them. Raises: DataError: there is none."""
    parts, names = tuple(ys.values()), source.class_names
    texts = labels.texts_numbered(parts, names) if task.has_classes else None
    if texts is not None:
        return task.resolve(texts.parts[0], texts.names), texts
    given = tuple(map(str, names.values() if isinstance(names, Mapping) else names)) if names else None
    task = task.resolve(parts[0], given)
    return task, labels.renumbered(parts, names or None) if task.has_classes else Labels(parts, given)


def _namesakes(name: str, class_names: Sequence[str]) -> Iterator[str]:
    """Yield a sentence if two classes have one name."""
    twice = [each for each, times in Counter(class_names).items() if times > 1]
    if twice:
        shown = listed(twice, 3)
        yield f"data={name} has several classes of one name, {shown}: what is shown by name cannot tell them apart"


def _label_problems(part: str, x: Examples, y: Array, task: Task) -> Iterator[str]:
    if y.size:
        yield from task.problems(f"y_{part}", y)
    if x.ndim and y.ndim and len(x) != len(y):
        yield f"x_{part} holds {len(x):,} images and y_{part} {len(y):,} labels; there must be as many"


def _weight_problems(weights: Any, images: int) -> Iterator[str]:
    found = np.asarray(weights)
    if found.shape != (images,) or found.dtype.kind not in "iuf":
        yield f"w_train holds {found.dtype} values of shape {found.shape}; it must be numbers, ({images},)"
    elif not ((abs(found) <= np.finfo(np.float32).max).all() and (found >= 0).all() and found.any()):
        yield "w_train, the weights of the training images, must be finite in float32, at least 0, and not all 0"


def _grouped(groups: Any, images: int) -> tuple[Array | None, list[str]]:
    """Return the groups of the training images as whole numbers from 0, and why there are none."""
    found = np.asarray(groups)
    if found.shape != (images,) or found.dtype.kind not in "iuUSO":
        return None, [f"the groups are {found.dtype} values of shape {found.shape}; they must be one an image, "
                      f"whole numbers or texts, ({images},)"]  # fmt: skip
    values, codes = np.unique(found.astype(str) if found.dtype.kind == "O" else found, return_inverse=True)
    if len(values) < 2:
        return None, [f"all training images are of one group, {show(str(values[0]))}: none could be held out"]
    return codes.astype(np.int64), []


def _problems_between(xs: Mapping[str, Examples]) -> Iterator[str]:
    first = xs["train"]
    for part, x in xs.items():
        if x.shape[1:] != first.shape[1:]:
            yield f"x_train has examples of {first.shape[1:]} and x_{part} of {x.shape[1:]}; they must be alike"
        if x.dtype != first.dtype:
            yield f"x_train holds {first.dtype} values and x_{part} {x.dtype}; they must be alike"
