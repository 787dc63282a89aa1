"""Ask a run's model about images, or rows of arrays: from what is named to answers, one by one."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mnist_exp.errors import DataError, SettingsError
from mnist_exp.inference import answers, doubt, load, pixel_record, preprocessing, recorded_task
from mnist_exp.inference.answers import Answer, Predictor, Ready
from mnist_exp.inference.doubt import Doubt
from mnist_exp.inference.inputs import arrays as array_inputs
from mnist_exp.inference.inputs import images as image_inputs
from mnist_exp.inference.inputs.arrays import Example
from mnist_exp.inference.inputs.images import Image
from mnist_exp.inference.preprocessing import Reader
from mnist_exp.inference.table_record import TableRecord
from mnist_exp.runtime import imports
from mnist_exp.tasks.task import Task
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    import keras

    from mnist_exp.numpy_model.model import NumpyModel


@dataclass(frozen=True)
class Asked:
    """A model that is asked, and its answers to come.

    Args:
        task: of its run.
        known: of its answers.
        names: of classes, labels or numbers; None counts them.
        outputs: how many numbers it returns for an image.
        total: how many answers there will be; None if that is not known.
        paths: of the examples, as far as they are known already.
        answers: in order; each is computed as it is asked for, a batch at a time.
    """

    task: Task
    known: Doubt
    names: Sequence[str] | None
    outputs: int
    total: int | None
    paths: Sequence[str]
    answers: Iterator[Answer]

    def as_json(self, answer: Answer) -> dict[str, Any]:
        """Return an answer for other programs."""
        return as_json(answer, self.task, self.names, self.known)


def of_files(
    run: StoredRun,
    images: Sequence[Image | None],
    named: Sequence[str],
    *,
    trusted: Sequence[str],
    way: str,
    abstain: float | None,
    tell: Callable[[str], None],
) -> Asked:
    """Ask about files.

    Args:
        run: recorded.
        images: as `inputs.images.find` returns them.
        named: the same as they were named, for a model that takes no images.
        trusted: modules whose code the model may use.
        way: how images are made ready: auto, mnist or plain.
        abstain: the accuracy that answers must have; None gives all.
        tell: called with a sentence on what was chosen, or left out, of a file.
    Raises: SettingsError: the run has no model, or what is named does not fit it.
    """
    total = _total(images)
    task, known, model = _opened(run, trusted, abstain, total)
    items, paths = _items(run, model, images, named, way, tell)
    return _asked(run, trusted, task, known, model, total, paths, items)


def of_values(
    run: StoredRun,
    make: "Callable[[keras.Model | NumpyModel], Iterator[Ready]]",
    total: int,
    *,
    trusted: Sequence[str],
    abstain: float | None,
) -> Asked:
    """Ask about values in memory.

    Args:
        run: recorded.
        make: returns the examples, ready for a model.
        total: how many they are.
        trusted: modules whose code the model may use.
        abstain: the accuracy that answers must have; None gives all.
    Raises: SettingsError: the run has no model, or they do not fit it.
    """
    task, known, model = _opened(run, trusted, abstain, total)
    return _asked(run, trusted, task, known, model, total, (), make(model))


def _opened(
    run: StoredRun, trusted: Sequence[str], abstain: float | None, total: int | None
) -> "tuple[Task, Doubt, keras.Model | NumpyModel]":
    load.check_has_model(run)  # A sweep has no task of its own either.
    task = recorded_task.of_run(run, trusted)
    known = doubt.of_run(run, task, abstain)
    with imports.quick_imports():  # TensorFlow prints messages about GPUs when it creates its first array.
        return task, known, load.to_answer(run, trusted, total)


def _asked(
    run: StoredRun,
    trusted: Sequence[str],
    task: Task,
    known: Doubt,
    model: "keras.Model | NumpyModel",
    total: int | None,
    paths: Sequence[str],
    items: Iterator[Ready],
) -> Asked:
    outputs = model.output_shape[-1]
    names = preprocessing.class_names(run, task, outputs)
    predictor = Predictor(model, known.likeness, lambda: load.by_keras(run, trusted))
    return Asked(task, known, names, outputs, total, paths, answers.of_ready(predictor, items))


def _total(images: Sequence[Image | None]) -> int | None:
    """Return how many images there are; None if only reading them tells."""
    is_known = all(image is not None and not array_inputs.is_array(image.path) for image in images)
    return len(images) if is_known else None


def _items(
    run: StoredRun,
    model: "keras.Model | NumpyModel",
    images: Sequence[Image | None],
    named: Sequence[str],
    way: str,
    tell: Callable[[str], None],
) -> tuple[Iterator[Ready], Sequence[str]]:
    """Return the examples to come, and the paths that are known already."""
    shape = model.input_shape[1:]
    taken = pixel_record.recorded_range(run)
    examples_of = functools.partial(array_inputs.all_of, taken=taken, record=TableRecord(run), tell=tell)
    if preprocessing.takes_images(model):
        reader = preprocessing.reader(run, preprocessing.shape_of(model, run), way)

        def each() -> Iterator[Image | Example]:
            for image in image_inputs.all_of(images):
                if isinstance(image.source, DataError | bytes) or not array_inputs.is_array(image.path):
                    yield image
                else:
                    yield from examples_of([image.path], shape, True, reader=reader)

        return answers.ahead(lambda item: ready(reader, item), each()), [image.path for image in images if image]
    if way == preprocessing.MNIST:
        raise SettingsError(f"--preprocess=mnist is for images: the model of run {run.run_id} takes arrays")
    names, pixels = array_inputs.find(named), pixel_record.takes_pixels(model)
    examples = examples_of(names, shape, pixels)
    return map(as_ready, examples), [f"{name}:0000" for name in names]


def ready(reader: Reader, item: Image | Example) -> Ready:
    """Return an image ready for the model, or why it cannot be."""
    if isinstance(item, Example):
        return as_ready(item)
    if isinstance(item.source, DataError):
        return answers.failed(item.path, item.source)
    try:
        prepared = reader.read(item.source, "standard input" if isinstance(item.source, bytes) else "")
    except DataError as error:
        what = "standard input" if item.path == image_inputs.STDIN else item.path
        return answers.failed(item.path, error if what in str(error) else DataError(f"{what}: {error}"))
    return Ready(item.path, reader.raw(prepared.pixels[np.newaxis])[0], prepared.pixels, prepared.notes)


def as_ready(example: Example) -> Ready:
    """Return an example of an array ready for the model, or why it cannot be."""
    if isinstance(example.values, DataError):
        return answers.failed(example.path, example.values)
    return Ready(example.path, example.values, example.picture, example.notes)


def as_json(answer: Answer, task: Task, names: Sequence[str] | None, known: Doubt) -> dict[str, Any]:
    """Return a prediction for other programs.

    Args:
        answer: the prediction, or an error.
        task: of the model.
        names: names of the classes, labels or numbers. With None they are counted.
        known: of the answers of the run's model.
    """
    if answer.output is None:
        return {"path": answer.path, "error": answer.error}
    facts = task.as_json(answer.output, names)
    if not known.is_answered(answer.output):
        facts |= {key: None for key in ("label", "labels") if key in facts}
    added = known.as_json(answer.output, answer.is_unlike, names)
    return {"path": answer.path, **facts, "preprocessing": list(answer.notes), **added}
