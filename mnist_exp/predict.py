"""Predict images, or rows of arrays, with a run's model: `python -m mnist_exp.predict RUN_ID IMAGE…`."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from mnist_exp import commands
from mnist_exp.data.dataset import Array
from mnist_exp.errors import DataError, SettingsError, printable
from mnist_exp.inference import array_inputs, image_inputs, labelled_images, preprocessing, recorded_task
from mnist_exp.inference.array_inputs import Example
from mnist_exp.inference.image_inputs import Image
from mnist_exp.inference.preprocessing import Reader
from mnist_exp.runtime import imports
from mnist_exp.tasks.task import Task
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    import keras

BATCH = 500
_WIDEST = 40  # characters of a column of paths


@dataclass(frozen=True)
class Answer:
    """The prediction for one image, or an error.

    Args:
        path: path of the image; `-` for standard input.
        output: the prediction, float32 (outputs,); None if there was an error.
        notes: changes made to the image before the prediction.
        error: why there is no prediction; empty if there is one.
    """

    path: str
    output: Array | None = None
    notes: tuple[str, ...] = ()
    error: str = ""


def main() -> None:
    """Run the command line."""
    commands.leave_with(lambda: predict(_parser().parse_args()))


def predict(options: argparse.Namespace) -> int:
    """Print the predictions of a run's model for images.

    Args:
        options: the options of the command line.
    Returns: the exit code: 0 if there is a prediction for each image, otherwise 1.
    Raises: SettingsError: there is no such run, it has no model, or no image was named. Nothing was predicted.
    """
    if options.top < 1:
        raise SettingsError(f"--top={options.top} is not allowed: it must be at least 1")
    images = image_inputs.find(options.images)
    run = commands.find(options)
    from mnist_exp.inference import load

    with imports.quick_imports():  # TensorFlow prints messages about GPUs when it creates its first array.
        model = load.of_run(run, commands.trusted(options))
    found, paths = _answers(run, model, options, images)
    task = recorded_task.of_run(run, commands.trusted(options))
    names = preprocessing.class_names(run, task, model.output_shape[-1])
    wide = min(max((len(printable(path)) for path in paths), default=1), _WIDEST)
    is_good = True
    for answer in found:
        is_good = is_good and not answer.error
        if answer.error:
            sys.stdout.flush()
            print(printable(answer.error), file=sys.stderr)
        if options.json:
            print(json.dumps(as_json(answer, task, names)))
        elif not answer.error:
            print(line(answer, task, names, options.top, wide))
    return commands.DONE if is_good else commands.FAILED


def _answers(
    run: StoredRun, model: "keras.Model", options: argparse.Namespace, images: Sequence[Image | None]
) -> tuple[Iterator[Answer], Sequence[str]]:
    """Return the predictions to come, and the paths that are known already."""
    if preprocessing.takes_images(model):
        reader = preprocessing.reader(run, preprocessing.shape_of(model, run), options.preprocess)
        return answers(model, reader, image_inputs.all_of(images)), [image.path for image in images if image]
    if options.preprocess == preprocessing.MNIST:
        raise SettingsError(f"--preprocess=mnist is for images: the model of run {run.run_id} takes arrays")
    names, pixels = array_inputs.find(options.images), labelled_images.takes_pixels(model)
    return of_arrays(model, array_inputs.all_of(names, model.input_shape[1:], pixels)), [f"{n}:0000" for n in names]


def of_arrays(model: "keras.Model", examples: Iterable[Example]) -> Iterator[Answer]:
    """Yield the predictions for examples that are no images, in order, a batch at a time.

    Args:
        model: maps them to predictions.
        examples: as it takes them.
    """
    from mnist_exp.training.predict import predict

    examples = iter(examples)
    while batch := list(islice(examples, BATCH)):
        good = [each.values for each in batch if not isinstance(each.values, DataError)]
        outputs = iter(predict(model, np.stack(good)) if good else ())
        for each in batch:
            error = str(each.values) if isinstance(each.values, DataError) else ""
            yield Answer(each.path, error=error) if error else _answer(each.path, next(outputs))


def _answer(path: str, row: Array, notes: tuple[str, ...] = ()) -> Answer:
    """Return the prediction of a model's output; JSON has no NaN."""
    if np.isfinite(row).all():
        return Answer(path, row, notes)
    return Answer(path, error=f"{path}: {preprocessing.NO_NUMBER}")


def answers(model: "keras.Model", reader: Reader, images: Iterable[Image]) -> Iterator[Answer]:
    """Yield the predictions for images, in order. Only one batch of images is in memory at a time.

    Args:
        model: maps pixels to predictions.
        reader: reads an image file into the model's pixels.
        images: the images.
    """
    from mnist_exp.training.predict import predict

    images = iter(images)
    while batch := list(islice(images, BATCH)):
        inputs = [_read(reader, image) for image in batch]
        good = [prepared.pixels for prepared in inputs if not isinstance(prepared, DataError)]
        outputs = iter(predict(model, reader.raw(np.stack(good))) if good else ())
        for image, prepared in zip(batch, inputs, strict=True):
            if isinstance(prepared, DataError):
                yield Answer(image.path, error=str(prepared))
                continue
            yield _answer(image.path, next(outputs), prepared.notes)


def _read(reader: Reader, image: Image) -> Any:
    """Return the pixels for the model, or the error if the image cannot be read."""
    if isinstance(image.source, DataError):
        return image.source
    try:
        return reader.read(image.source, "standard input" if isinstance(image.source, bytes) else "")
    except DataError as error:
        what = "standard input" if image.path == image_inputs.STDIN else image.path
        return error if what in str(error) else DataError(f"{what}: {error}")


def as_json(answer: Answer, task: Task, names: Sequence[str] | None) -> dict[str, Any]:
    """Return a prediction for other programs.

    Args:
        answer: the prediction, or an error.
        task: of the model.
        names: names of the classes, labels or numbers. With None they are counted.
    """
    if answer.output is None:
        return {"path": answer.path, "error": answer.error}
    return {"path": answer.path, **task.as_json(answer.output, names), "preprocessing": list(answer.notes)}


def line(answer: Answer, task: Task, names: Sequence[str] | None, top: int, wide: int) -> str:
    """Return a prediction for people: path, label, probability, the next classes, notes.

    Args:
        answer: a prediction without an error.
        task: of the model.
        names: names of the classes, labels or numbers; None counts them.
        top: number of classes to show.
        wide: width of the column of paths, in characters.
    """
    assert answer.output is not None
    text = f"{printable(answer.path):<{wide}}  {task.as_words(answer.output, names, top)}"
    return text + (f"   {'; '.join(answer.notes)}" if answer.notes else "")


def _parser() -> argparse.ArgumentParser:
    parser = commands.parser(
        "predict",
        "Predict images, or rows of .csv, .npy and .npz files, with the model of a run: one line each, in order.",
        "0 all predicted, 1 some images could not be read, 2 there is no such run or no image was named.",
        [
            "RUN_ID scan.jpg photos/ 'more/*.png'",
            "RUN_ID --json - < digit.png",
        ],
    )
    commands.add_run(parser)
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="file, folder (with its subfolders), quoted pattern, or - for standard input: an image, or one path per "
        "line; PNG, JPEG and others, of any size and colour, dark on light or light on dark. For a model that takes no "
        "images: .csv, .npy and .npz files of examples, or - for rows of numbers",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object per line: path, label, probability, probabilities by class, preprocessing; "
        "or path and error",
    )
    parser.add_argument(
        "--top", type=int, default=3, metavar="N", help="number of classes in a line, most probable first; default 3"
    )
    parser.add_argument(
        "--preprocess",
        choices=preprocessing.WAYS,
        default="auto",
        help="mnist: as in MNIST, the digit scaled to 20×20 and centred by its mass in 28×28; plain: scaled to the "
        "model's input size; auto, the default: mnist for a model trained on images of that style, else plain",
    )
    return parser


if __name__ == "__main__":
    main()
