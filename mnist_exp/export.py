"""Export a run's model as ONNX or another format, and check it: `python -m mnist_exp.export RUN_ID --format onnx`."""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnist_exp import commands
from mnist_exp.config import wording
from mnist_exp.data import lazy
from mnist_exp.data.dataset import Array
from mnist_exp.errors import DataError, RunError, SettingsError, first_line
from mnist_exp.inference import labelled_images, load, recorded_task
from mnist_exp.inference.exporting import cost, files, formats, parity, quantizing
from mnist_exp.inference.exporting.cost import THREADS, Cost
from mnist_exp.inference.exporting.exported import Exported
from mnist_exp.inference.exporting.formats import FORMATS
from mnist_exp.inference.labelled_images import Images
from mnist_exp.reports import exported as shown
from mnist_exp.runtime import backends, imports, signals
from mnist_exp.runtime.terminal import Screen
from mnist_exp.tasks.task import Task
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-4


def main() -> None:
    """Run the command line."""
    commands.leave_with(lambda: export(read(sys.argv[1:])))


def read(words: Sequence[str]) -> argparse.Namespace:
    """Parse a command line."""
    return _parser().parse_args(list(words))


def export(options: argparse.Namespace) -> int:
    """Export a model, and compare its predictions with those of Keras.

    Args:
        options: the options of the command line.
    Returns: the exit code: 0 if the predictions agree and a quantized model is good enough, otherwise 1.
    Raises:
        SettingsError: run, images or packages cannot be found, or the file may not be written.
        RunError: the model cannot be written in this format or read back.
    """
    screen = Screen()
    if options.json:
        screen.out = screen.err  # Standard output has the JSON alone.
    _check(options)
    formats.check_packages(options.format)
    if options.format != "keras":
        backends.choose(
            "tensorflow"
        )  # Keras needs TensorFlow to write these formats, whichever backend trained the model.
    run = commands.find(options)
    load.check_has_model(run)
    target = _target(run, options)
    trusted = commands.trusted(options)
    if options.max_drop is not None:
        _check_drop(options.max_drop, recorded_task.of_run(run, trusted))
    images, calibration = _images(run, options, trusted)
    model = _model(run, images, trusted)
    with files.made_beside(target) as made:
        exported = _export(run, model, made, options, images, calibration)
        if not exported.why_not:
            beside = shown.write(made.parent, target, exported) if exported.cost else []
            files.put(made, target)
            for file in beside:
                files.put(file, target.with_name(file.name))
    screen.table(shown.rows(exported, target))
    if exported.cost and exported.cost.drop.is_significant:
        screen.warn(f"the quantized model is worse, and not by chance: {shown.drop(exported.cost, None)}")
    if options.json:
        print(json.dumps(shown.plain(exported, target), ensure_ascii=False))
    if exported.why_not:
        screen.error(exported.why_not)
        return commands.FAILED
    return commands.DONE


def _check(options: argparse.Namespace) -> None:
    problems = []
    for name, needs, lowest in (
        ("tolerance", "a number, at least 0", 0.0),
        ("max_drop", "a number, at least 0", 0.0),
        ("images", "a whole number, at least 1", 1),
        ("calibration_images", "a whole number, at least 1", 1),
    ):
        value = getattr(options, name)
        if value is not None and not lowest <= value < math.inf:
            problems.append(f"--{name.replace('_', '-')}={value} is not allowed: it must be {needs}")
    suffix = FORMATS[options.format].suffix
    if options.output is not None and suffix and Path(options.output).suffix != suffix:
        problems.append(
            f"--output={wording.show(options.output)} is not allowed: --format={options.format} makes a file {suffix}"
        )
    if options.quantize is None:
        if options.max_drop is not None:
            problems.append("--max-drop is for --quantize: without it the model must agree with Keras (--tolerance)")
    elif options.tolerance is not None:
        problems.append("--tolerance is for an export without --quantize: with it say --max-drop")
    if options.calibration_images is not None and options.quantize != quantizing.INT8:
        problems.append(f"--calibration-images is for --quantize={quantizing.INT8}: nothing else is calibrated")
    if problems:
        raise SettingsError(problems)
    if options.quantize is not None:
        quantizing.check(options.format, options.quantize)


def _check_drop(most: float, task: Task) -> None:
    """Refuse what no share of answers can drop by; the error of numbers can rise by any amount."""
    if most > 1 and task.activation != "linear":
        share = f"; {most:g} % is {most / 100:g}" if most <= 100 else ""
        raise SettingsError(f"--max-drop={most:g} is not allowed: it must be 0 to 1{share}")


def _target(run: StoredRun, options: argparse.Namespace) -> Path:
    quantized = "" if options.quantize is None else f"-{options.quantize}"
    suffix = FORMATS[options.format].suffix or "-savedmodel"
    path = Path(options.output or Path("exports") / f"{run.run_id[:8]}{quantized}{suffix}")
    beside = () if options.quantize is None else (shown.PAGE, shown.RECORD)
    return files.target(path, is_folder=options.format == "savedmodel", is_forced=options.force, beside=beside)


def _images(run: StoredRun, options: argparse.Namespace, trusted: Sequence[str]) -> tuple[Images, Array]:
    """Return the run's test images, and some of its training to calibrate on, none where nothing is calibrated."""
    given = {} if options.data_path is None else {"path": options.data_path}
    try:
        splits = ["test", "train"] if options.quantize == quantizing.INT8 else ["test"]
        images, *others = labelled_images.own_splits(run, splits, given, trusted)
    except DataError as error:
        fix = "the comparison with Keras needs the run's own test images: say where they are with --data-path"
        raise DataError([*error.problems, fix]) from error
    if options.images is not None and options.images > len(images.x):
        raise SettingsError(f"--images={options.images} is more than the {len(images.x):,} {images.words()}")
    calibration = np.empty((0, *images.dataset.shape), np.float32)
    for training in others:
        count = options.calibration_images or min(quantizing.CALIBRATED_ON, len(training.x))
        if count > len(training.x):
            raise SettingsError(f"--calibration-images={count} is more than the {len(training.x):,} {training.words()}")
        calibration = quantizing.calibration(training.x, count)
    n = options.images or len(images.x)
    return replace(images, x=lazy.rows(images.x, slice(n)), y=images.y[:n]), calibration


def _model(run: StoredRun, images: Images, trusted: Sequence[str]) -> "keras.Model":
    with imports.quick_imports():
        model = load.of_run(run, trusted)
    labelled_images.check_fits(run, images.dataset, model)
    return model


def _export(
    run: StoredRun,
    model: "keras.Model",
    path: Path,
    options: argparse.Namespace,
    images: Images,
    calibration: Array,
) -> Exported:
    """Write the model, read it back and compare. Raises: RunError: one of these fails."""
    from mnist_exp.training.predict import predict

    form, task, x = FORMATS[options.format], images.dataset.task, images.x
    trusted, small = commands.trusted(options), None
    tolerance = TOLERANCE if options.tolerance is None else options.tolerance
    with formats.held_output():
        meant = formats.in_float32(model) if form.is_float32 else model
        reference = predict(meant, x)
    doing = f"the model cannot be exported as {options.format}"
    try:
        with formats.held_output():
            form.write(meant, path, formats.output_name(options.format, task))
            reader = form.open(path, trusted)
            outputs = parity.read_all(reader, x)
            agreed = parity.compare(reference, outputs, task, tolerance)
            latencies = []
            for n in (1, min(parity.BATCH, len(x))):
                there, here = parity.latencies_ms([reader, formats.reader_of(meant)], x[:n])
                latencies.append((n, there, here))
            size = files.size(path)
            if options.quantize is not None and agreed.is_kept:
                doing = f"the model is exported as {options.format}, but cannot be with --quantize={options.quantize}"
                small = _quantize(meant, path, options, images, calibration)
    except Exception as error:  # Converters raise all kinds of exceptions for what they do not support.
        signals.check()
        raise RunError(f"{doing}: {first_line(error)}") from error
    own = None if meant is model else parity.compare(predict(model, x), outputs, task, tolerance)
    return Exported(
        run, images, options.format, options.quantize, size, agreed, own, latencies, small, options.max_drop
    )


def _quantize(
    model: "keras.Model", path: Path, options: argparse.Namespace, images: Images, calibration: Array
) -> Cost:
    """Put a quantized model in the place of an exported one, and return what that costs."""
    dataset, form = images.dataset, FORMATS[options.format]
    whole = path.rename(path.parent / f"float32{path.suffix}")
    quantizing.write(options.format, options.quantize, quantizing.Source(model, whole, calibration), path)

    def opened(file: Path) -> formats.Reader:
        return form.open(file, (), THREADS)

    return cost.measure(
        dataset.task,
        dataset.class_names,
        images.x,
        images.y,
        (lambda: opened(whole), lambda: opened(path)),
        (files.size(whole), files.size(path)),
        len(calibration),
    )


def _parser() -> argparse.ArgumentParser:
    parser = commands.parser(
        "export",
        "Export the model of a run for another runtime, and compare both on the run's test images. With --quantize "
        "it is made small, and what that costs is measured.",
        "0 written, 1 it does not agree with Keras, is worse than --max-drop or failed, 2 something that it needs is "
        "missing.",
        [
            "RUN_ID --format onnx",
            "RUN_ID --format litert --output digits.tflite",
            "RUN_ID --format litert --quantize int8 --max-drop 0.001",
        ],
    )
    commands.add_run(parser)
    parser.add_argument("--format", required=True, choices=list(FORMATS), help="format of the exported model")
    parser.add_argument(
        "--quantize",
        choices=list(quantizing.MEANINGS),
        help="make an onnx or litert model small: "
        + "; ".join(f"{name}: {meaning}" for name, meaning in quantizing.MEANINGS.items()),
    )
    parser.add_argument(
        "--max-drop",
        type=float,
        metavar="X",
        help="write no quantized model whose accuracy on the test images drops by more than this (the exact match of "
        "several labels; of numbers, how much their mean absolute error rises); default: any is written",
    )
    parser.add_argument(
        "--calibration-images",
        type=int,
        metavar="N",
        help=f"training images that int8 is calibrated on, always the same ones; default {quantizing.CALIBRATED_ON}, "
        "or all there are",
    )
    parser.add_argument(
        "--output", metavar="PATH", help="file to write, or folder for savedmodel; default exports/RUN.SUFFIX"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    parser.add_argument(
        "--images", type=int, metavar="N", help="number of test images for the comparison; default: all"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        metavar="X",
        help=f"largest difference between probabilities that is allowed; default {TOLERANCE:g}",
    )
    parser.add_argument("--data-path", metavar="PATH", help="where the run's data are on this machine")
    commands.add_json(parser, "print the result as one JSON object; all else goes to standard error")
    return parser


if __name__ == "__main__":
    main()
