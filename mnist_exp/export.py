"""Export a run's model as ONNX or another format, and check it: `python -m mnist_exp.export RUN_ID --format onnx`."""

import argparse
import contextlib
import math
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_exp import commands
from mnist_exp.config import wording
from mnist_exp.data import lazy, pixels
from mnist_exp.data.lazy import Examples
from mnist_exp.errors import DataError, RunError, SettingsError, first_line, plural
from mnist_exp.inference import export_formats, labelled_images, load
from mnist_exp.inference.export_formats import BATCH, FORMATS, Parity
from mnist_exp.inference.labelled_images import Images
from mnist_exp.runtime import backends, imports, signals
from mnist_exp.runtime.terminal import Screen
from mnist_exp.tasks.task import Task
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Args:
        size: size of the exported model, bytes.
        parity: agreement with the Keras model; with a float32 copy of it if the runtime supports float32 only.
        own_parity: agreement with the Keras model in its own precision, if `parity` is with a copy; otherwise None.
        latencies: (images in the batch, ms in the runtime, ms in Keras), for one image and for `BATCH`.
    """

    size: int
    parity: Parity
    own_parity: Parity | None
    latencies: list[tuple[int, float, float]]


def main() -> None:
    """Run the command line."""
    commands.leave_with(lambda: export(_parser().parse_args(sys.argv[1:])))


def export(options: argparse.Namespace) -> int:
    """Export a model, and compare its predictions with those of Keras.

    Args:
        options: the options of the command line.
    Returns: the exit code: 0 if the predictions agree, otherwise 1.
    Raises:
        SettingsError: run, images or packages cannot be found, or the file may not be written.
        RunError: the model cannot be written in this format or read back.
    """
    screen = Screen()
    _check(options)
    export_formats.check_packages(options.format)
    if options.format != "keras":
        backends.choose(
            "tensorflow"
        )  # Keras needs TensorFlow to write these formats, whichever backend trained the model.
    run = commands.find(options)
    load.check_has_model(run)
    target = _target(run, options)
    trusted = commands.trusted(options)
    images = _images(run, options, trusted)
    x = lazy.rows(images.x, slice(options.images))
    model = _model(run, images, trusted)
    with _made_beside(target) as made:
        exported = _export(model, made, options, x, images.dataset.task, trusted)
        if exported.parity.is_kept:
            _put(made, target)
    _show(screen, run, images, options.format, target, exported)
    if not exported.parity.is_kept:
        screen.error(_disagreement(exported.parity))
        return commands.FAILED
    return commands.DONE


def _check(options: argparse.Namespace) -> None:
    problems = []
    if not 0 <= options.tolerance < math.inf:
        problems.append(f"--tolerance={options.tolerance} is not allowed: it must be a number, at least 0")
    if options.images is not None and options.images < 1:
        problems.append(f"--images={options.images} is not allowed: it must be a whole number, at least 1")
    suffix = FORMATS[options.format].suffix
    if options.output is not None and suffix and Path(options.output).suffix != suffix:
        shown = wording.show(options.output)
        problems.append(f"--output={shown} is not allowed: --format={options.format} makes a file {suffix}")
    if problems:
        raise SettingsError(problems)


def _target(run: StoredRun, options: argparse.Namespace) -> Path:
    """Return the path to write to, and create its folder. Raises: SettingsError: it may not or cannot be written."""
    suffix = FORMATS[options.format].suffix or "-savedmodel"
    target = Path(options.output or Path("exports") / f"{run.run_id[:8]}{suffix}")
    shown = f"--output={wording.show(str(target))}"
    is_folder = options.format == "savedmodel"
    try:
        if target.is_file() and is_folder:
            raise SettingsError(f"{shown} is a file: --format=savedmodel makes a folder, and does not replace it")
        if target.exists() and not options.force:
            raise SettingsError(f"{shown} exists: name another one, or replace it with --force")
        if target.is_dir() and not (is_folder and (target / "saved_model.pb").is_file()):
            raise SettingsError(f"{shown} is a folder but not a SavedModel: it is not replaced, even with --force")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise SettingsError(f"{shown} cannot be written: {error.strerror}") from error
    return target


def _images(run: StoredRun, options: argparse.Namespace, trusted: Sequence[str]) -> Images:
    given = {} if options.data_path is None else {"path": options.data_path}
    try:
        images = labelled_images.own(run, "test", given, trusted)
    except DataError as error:
        fix = "the comparison with Keras needs the run's own test images: say where they are with --data-path"
        raise DataError([*error.problems, fix]) from error
    if options.images is not None and options.images > len(images.x):
        raise SettingsError(f"--images={options.images} is more than the {len(images.x):,} {images.words()}")
    return images


def _model(run: StoredRun, images: Images, trusted: Sequence[str]) -> "keras.Model":
    with imports.quick_imports():
        model = load.of_run(run, trusted)
    labelled_images.check_fits(run, images.dataset, model)
    return model


@contextlib.contextmanager
def _made_beside(target: Path) -> Iterator[Path]:
    """Yield a temporary path on the same disk as the target, so that the target appears complete or not at all."""
    with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as folder:
        yield Path(folder) / target.name


def _put(made: Path, target: Path) -> None:
    try:
        if target.is_dir():
            shutil.rmtree(target)
        made.replace(target)
    except OSError as error:
        raise RunError(f"{target} cannot be replaced: {error.strerror}") from error


def _export(
    model: "keras.Model", path: Path, options: argparse.Namespace, x: Examples, task: Task, trusted: Sequence[str]
) -> Exported:
    """Write the model, read it back and compare. Raises: RunError: one of these fails."""
    from mnist_exp.training.predict import predict

    form = FORMATS[options.format]
    with export_formats.held_output():
        meant = export_formats.in_float32(model) if form.is_float32 else model
        reference = predict(meant, x)
    try:
        with export_formats.held_output():
            form.write(meant, path, export_formats.output_name(options.format, task))
            reader = form.open(path, trusted)
            outputs = export_formats.read_all(reader, x)
            keras_reader = export_formats.reader_of(meant)
            latencies = [
                (n, export_formats.latency_ms(reader, x[:n]), export_formats.latency_ms(keras_reader, x[:n]))
                for n in (1, min(BATCH, len(x)))
            ]
    except Exception as error:  # Converters raise all kinds of exceptions for what they do not support.
        signals.check()
        raise RunError(f"the model cannot be exported as {options.format}: {first_line(error)}") from error
    parity = export_formats.compare(reference, outputs, task, options.tolerance)
    own = None if meant is model else export_formats.compare(predict(model, x), outputs, task, options.tolerance)
    return Exported(export_formats.size(path), parity, own, latencies)


def _show(screen: Screen, run: StoredRun, images: Images, name: str, target: Path, exported: Exported) -> None:
    shape = ", ".join(["n", *map(str, images.dataset.shape)])
    parity, runtime, task = exported.parity, FORMATS[name].runtime, images.dataset.task
    called, black_to_white = export_formats.output_name(name, task), images.dataset.pixel_range
    rows = {
        "run": f"{run.run_id}, {wording.short_name(run.name)}",
        "file": f"{target}, {exported.size / 1e6:.2f} MB" + ("" if parity.is_kept else ", not written"),
        "input": f"{export_formats.input_name(images.dataset.pixels)}, float32 ({shape}), "
        + (f"raw, {pixels.words(black_to_white)}" if black_to_white else "as the data set has them"),
        "output": f"{called}, float32 (n, {images.dataset.outputs}){_MEANING[task.activation]}",
        "parity": f"{_words(parity)}; {images.words()}",
    }
    if exported.own_parity is not None:
        rows["precision"] = f"float32 here; against the 16 bits of the training: {_words(exported.own_parity)}"
    for n, there, here in exported.latencies:
        rows[plural(n, "image")] = f"{there:.3g} ms in {runtime}, {here:.3g} ms in Keras (median)"
    screen.table(rows)


_MEANING = {"softmax": ", each row adds up to 1", "sigmoid": ", each from 0 to 1", "linear": ""}


def _words(parity: Parity) -> str:
    ties = f" and {parity.ties} ties" if parity.ties else ""
    return (
        f"{parity.agreeing:,} of {parity.images:,} predictions equal to those of Keras{ties}; largest difference "
        f"{parity.difference:.2g}"
    )


def _disagreement(parity: Parity) -> str:
    wrong = parity.images - parity.agreeing - parity.ties
    return (
        f"it does not agree with Keras: {wrong:,} predictions differ, by up to {parity.difference:.2g} "
        f"(allowed: {parity.tolerance:g}); nothing was written. To allow a larger difference, use --tolerance"
    )


def _parser() -> argparse.ArgumentParser:
    parser = commands.parser(
        "export",
        "Export the model of a run for another runtime, and compare both on the run's test images.",
        "0 written, 1 it does not agree with Keras or failed, 2 something that it needs is missing.",
        [
            "RUN_ID --format onnx",
            "RUN_ID --format litert --output digits.tflite",
        ],
    )
    commands.add_run(parser)
    parser.add_argument("--format", required=True, choices=list(FORMATS), help="format of the exported model")
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
        default=TOLERANCE,
        metavar="X",
        help=f"largest difference between probabilities that is allowed; default {TOLERANCE:g}",
    )
    parser.add_argument("--data-path", metavar="PATH", help="where the run's data are on this machine")
    return parser


if __name__ == "__main__":
    main()
