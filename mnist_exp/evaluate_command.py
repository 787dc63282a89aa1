"""What `python -m mnist_exp.evaluate` does: evaluate a run's model on labelled images."""

import argparse
import csv
import json
import math
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnist_exp import commands
from mnist_exp.config import wording
from mnist_exp.config.argument_parser import Parser
from mnist_exp.errors import RunError, SettingsError, first_line, plural
from mnist_exp.inference import labelled_images, scoring, shifted
from mnist_exp.inference.labelled_images import SPLITS, Images
from mnist_exp.runtime import imports, redacted_files
from mnist_exp.runtime.terminal import Screen
from mnist_exp.tasks.evaluated import Evaluated
from mnist_exp.tasks.task import Task
from mnist_exp.tracking import mlflow_log, mlflow_writes, names, store, tracker
from mnist_exp.tracking.runs import StoredRun

REPORT = "evaluation.json"


def main() -> None:
    """Run the command line."""
    commands.leave_with(lambda: evaluate(read(sys.argv[1:])))


def read(words: Sequence[str]) -> argparse.Namespace:
    """Parse a command line. Raises: SettingsError: the data set does not have one of the options."""
    # A positional argument of argparse would show the options of the data set as required.
    parser = _parser()
    options: argparse.Namespace
    options, rest = parser.parse_known_args(list(words))
    options.options = rest
    if unknown := parser.unknown(rest):
        raise SettingsError(unknown)
    labelled_images.check_words(options.options, options.data)
    return options


def evaluate(options: argparse.Namespace) -> int:
    """Evaluate a model and write the results.

    Args:
        options: the options of the command line.
    Returns: the exit code, 0.
    Raises:
        SettingsError: run, model or images cannot be found, or do not fit each other.
        RunError: the model's output is not probabilities, or the results cannot be written.
    """
    screen = Screen()
    run = commands.find(options)
    members, told = scoring.members(run, is_ensemble=options.ensemble)
    trusted = commands.trusted(options)
    images = scoring.images_of(
        members, options.split, options.data, options.options, trusted, options.config_dir, options.shifts
    )
    folder = _folder(run, images, options.output)
    scored = scoring.score(run, members, images, trusted)
    measured, report, tested = scored.measured, scored.report, scored.tested
    with tracker.folder() as made, imports.paused_collection():
        drawn = _write(made, measured, report)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for file in sorted(made.iterdir()):
                redacted_files.copy(file, folder / file.name)
        except OSError as error:
            raise RunError(f"the results cannot be written to {folder}: {first_line(error)}") from error
        if options.log:
            _log(run, images, measured, made)
    for warning in (*told, *scoring.warnings(members, images, report)):
        screen.warn(warning)
    if options.json:
        print(json.dumps(report))
    else:
        _show(screen, run, images, measured, report, tested, folder, drawn)
        if options.log:
            screen.table({"logged": f"to run {run.run_id}, as evaluation.{_key(images)}.* and under evaluation/"})
    return commands.DONE


def _folder(run: StoredRun, images: Images, output: str | None) -> Path:
    """Return the folder for the results, without creating it. Raises: SettingsError: it cannot be written to."""
    folder = Path(output or Path("evaluations") / f"{run.run_id[:8]}-{_key(images).replace('.', '-')}")
    shown = f"--output={wording.show(str(folder))}"
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:  # A name that is too long.
        raise SettingsError(f"{shown} cannot be written: {error.strerror}") from error
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise SettingsError(f"{shown} cannot be written: {there} is not a folder that you may write to")
    return folder


def _plain(name: str) -> str:
    """Return the name of a data set as a valid part of a path and of a metric's name."""
    return re.sub(r"[^\w-]+", "_", name, flags=re.ASCII)[:60].strip("_") or "data"


def _key(images: Images) -> str:
    """Return the part of the metrics' names that stands for these images."""
    moved = f"_shifts_{images.shifts}" if images.shifts else ""
    return f"{_plain(images.dataset.name)}.{images.split}{moved}"


def _write(folder: Path, measured: Evaluated, report: Mapping[str, Any]) -> list[str]:
    """Write all files of an evaluation, and return the names of the pictures."""
    from mnist_exp.evaluation import figures

    drawn = measured.draw()
    figures.write(folder, drawn)
    with (folder / measured.file).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(measured.table[0]))
        table.writeheader()
        table.writerows(measured.table)
    (folder / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return list(drawn)


def _log(run: StoredRun, images: Images, measured: Evaluated, folder: Path) -> None:
    """Add the results to the run without changing its status. Raises: RunError: the tracking store refuses them."""
    from mlflow.entities import Metric

    name = _key(images)
    values = {name: value for name, value in measured.logged.items() if math.isfinite(value)}
    if images.seen is not None:
        values["trained_on"] = float(images.seen.sum())
    now = round(time.time() * 1000)
    client = store.client(run.uri)
    try:
        client.log_batch(run.run_id, metrics=[Metric(names.evaluated(name, k), v, now, 0) for k, v in values.items()])
        client.log_artifacts(run.run_id, str(folder), f"evaluation/{name.replace('.', '-')}")
    except mlflow_writes.write_errors() as error:
        raise RunError(f"the tracking store refused the results: {mlflow_log.reason(error)}") from error


def _show(
    screen: Screen,
    run: StoredRun,
    images: Images,
    measured: Evaluated,
    report: Mapping[str, Any],
    tested: Mapping[str, float],
    folder: Path,
    drawn: Sequence[str],
) -> None:
    task = images.dataset.task
    rows = {
        "run": f"{run.run_id}, {wording.short_name(run.name)}",
        **_of_members(report.get("members", {}), task),
        **_of_shifts(images.shifts, task),
        "images": f"{len(images.y):,} {images.words()}, from {images.dataset.place}",
        **measured.rows,
        **_other_metrics(run, measured, tested),
    }
    if "logged" in report and not scoring.differences(report):
        first = (task.running, "loss")
        *names_before, last = [*first, *(name for name in report["logged"] if name not in first)]
        rows["check"] = f"{', '.join(names_before)} and {last} are as the run recorded them"
    screen.table(rows)
    if measured.note:
        screen.out.print(measured.note)
    head, cells = measured.shown
    screen.columns(head, cells, left=(head[0], "most often taken for"))
    screen.out.print()
    screen.table({"files": f"{folder}/: {', '.join([*drawn, measured.file, REPORT])}"})


def _other_metrics(run: StoredRun, measured: Evaluated, tested: Mapping[str, float]) -> dict[str, str]:
    """Return the rows of the metrics that the task does not show: the one that selected, and those of `metrics`."""
    shown = {name.lower().replace(" ", "_") for name in measured.rows}
    selects = run.params.get(names.SELECTED_BY, "").removeprefix("val_")
    return {
        name: f"{wording.metric(value)}{', which selected' if name == selects else ''}"
        for name, value in tested.items()
        if name not in shown
    }


def _of_members(scores: Mapping[str, float], task: Task) -> dict[str, str]:
    """Return the row about the models of an ensemble; {} for a single model."""
    if not scores:
        return {}
    values = list(scores.values())
    own = f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f} (std), {min(values):.4f} to {max(values):.4f}"
    a = "an" if task.running == "accuracy" else "a"
    return {
        "ensemble": f"the mean {_outputs(task)} of {len(values)} models; each alone has {a} {task.running} of {own}"
    }


def _of_shifts(shifts: int, task: Task) -> dict[str, str]:
    """Return the row about moved images; {} without."""
    if not shifts:
        return {}
    count = len(shifted.moves(shifts))
    return {"shifts": f"the mean {_outputs(task)} of {count}: each image, and moved by up to {plural(shifts, 'pixel')}"}


def _outputs(task: Task) -> str:
    """Return what a model of a task says, in a word."""
    return "numbers" if task.activation == "linear" else "probabilities"


def _parser() -> Parser:
    parser = commands.parser(
        "evaluate",
        "Evaluate the model of a run on labelled images: accuracy with its interval, scores per class, calibration, "
        "mistakes. Options of the data set are written data.OPTION=VALUE, for example data.path=/folder.",
        "0 done, 1 failed, 2 run, model or images cannot be found or do not fit each other.",
        [
            "RUN_ID",
            "RUN_ID --split validation --log",
            "RUN_ID data.path=/where/they/lie/now",
            "PARENT --ensemble --shifts 1",
            "RUN_ID --data image_folder data.path=photos 'data.size=[28,28]'",
        ],
    )
    commands.add_run(parser)
    parser.add_argument(
        "--data",
        metavar="NAME",
        help="another data set, named as for run: auto, mnist, npz, csv, image_folder, … or your own",
    )
    parser.add_argument("--config-dir", metavar="DIR", help="your own folder with data/NAME.yaml")
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default="test",
        help="which images: test (default), train (the images for training), validation (the images held out), "
        "reporting (those of data.reporting), all",
    )
    parser.add_argument(
        "--ensemble",
        action="store_true",
        help="RUN_ID is a sweep: evaluate the mean probabilities of all its models",
    )
    parser.add_argument(
        "--shifts",
        type=int,
        default=0,
        metavar="PIXELS",
        help="evaluate the mean prediction for each image and its shifts by up to so many pixels: 1 makes nine of one",
    )
    parser.add_argument("--log", action="store_true", help="add the results to the run as metrics and artifacts")
    parser.add_argument(
        "--output", metavar="DIR", help="folder for figures and report; default evaluations/RUN-DATA-SPLIT"
    )
    commands.add_json(parser)
    return parser
