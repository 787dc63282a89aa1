"""Look at a data set before training on it: `python -m mnist_exp.inspect data=npz data.path=FILE`."""

import argparse
import json
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from mnist_exp import commands, data
from mnist_exp.composition import compose, overrides
from mnist_exp.composition.preflight import load_inspected
from mnist_exp.config import wording
from mnist_exp.config.argument_parser import Parser
from mnist_exp.data import Dataset
from mnist_exp.errors import DataError, RunError, SettingsError, first_line, plural, printable
from mnist_exp.inspection import cheap, labels, record
from mnist_exp.inspection.findings import Finding
from mnist_exp.inspection.look import Inspection, look
from mnist_exp.runtime import redacted_files
from mnist_exp.runtime.terminal import Screen

VALUES = "inspection.json"
_MOST_GROUPS = 3  # of a finding, on the screen
_MOST_EXAMPLES = 4  # of a group
_MOST_ROWS = 30
_OF_EVERY_TASK = ("objective=val_loss", "direction=minimize")  # The usual objective is none of a regression.
_MANY = 20_000  # images; to compare these with each other takes seconds
_CHECKS = {"equal": "equal ones, classes and values", "nearly_equal": "nearly equal ones"}
_MARKS = {"grave": "bold red", "doubtful": "bold yellow", "note": "bold"}


def main() -> None:
    """Run the command line."""
    commands.leave_with(lambda: inspect(read(sys.argv[1:])))


def read(words: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; `run_id` is None where the words are those of `run`."""
    parser = _parser()
    options: argparse.Namespace
    options, rest = parser.parse_known_args(list(words))
    if unknown := parser.unknown(rest):
        raise SettingsError(unknown)
    options.words = rest
    options.run_id = rest.pop(0) if rest and "=" not in rest[0] and not rest[0].startswith("~") else None
    return options


def inspect(options: argparse.Namespace) -> int:
    """Look at a data set, and write what was found.

    Args:
        options: of the command line.
    Returns: the exit code, 0: what was found is no failure of the command.
    Raises:
        SettingsError: the data set or the run cannot be found, or an option is wrong.
        RunError: the results cannot be written.
    """
    screen = Screen()
    inspection, name = _of_run(options) if options.run_id is not None else _of_words(options)
    cheap.remember(inspection)
    folder = commands.output_folder(options.output or str(Path("inspections") / _plain(name)))
    try:
        _write(folder, inspection)
    except OSError as error:
        raise RunError(f"the results cannot be written to {folder}: {first_line(error)}") from error
    if options.json:
        print(json.dumps(record.as_values(inspection)))
    else:
        _show(screen, inspection, folder)
    return commands.DONE


def _of_words(options: argparse.Namespace) -> tuple[Inspection, str]:
    """Return the inspection of the data set that words of `run` name."""
    words = list(options.words)
    if not any(word.lstrip("+").startswith("objective=") for word in words):
        words += _OF_EVERY_TASK
    settings = compose.compose(words, config_dir=options.config_dir)
    dataset, split, unreadable = load_inspected(settings)
    _announce(dataset, options)
    return look(dataset, split, unreadable, fast=options.fast), dataset.name


def _of_run(options: argparse.Namespace) -> tuple[Inspection, str]:
    """Return the inspection of the data that a run was trained on, with the labels that its models doubt."""
    from mnist_exp.inference import held_out, labelled_images

    if wrong := [word for word in options.words if not re.match(r"\+*data\.\w+=", word)]:
        raise SettingsError(
            [f"{wording.show(word)} is not understood: beside a run there are data.OPTION=VALUE" for word in wrong]
        )
    if several := [word for word in options.words if overrides.read(word).is_sweep_override()]:
        raise SettingsError([f"{wording.show(word)} has several values: give one" for word in several])
    run, trusted = commands.find(options), commands.trusted(options)
    asked, left_out = held_out.members(run)
    try:
        dataset = labelled_images.own(asked[0], "test", labelled_images.values(options.words), trusted).dataset
    except DataError as error:
        raise DataError([*error.problems, "say where the run's data are with data.path=/folder"]) from error
    # The models of a sweep hold out other images each: there is no one validation set.
    split = (
        data.split(dataset, limit=None, validation="test", seed=0) if run.is_sweep else held_out.split_of(run, dataset)
    )
    _announce(dataset, options)
    inspection = look(dataset, split, fast=options.fast)
    if left_out:
        inspection = inspection.noting(f"{plural(left_out, 'model')} of the sweep had other data, and no say")
    name = f"{run.run_id[:8]}-{dataset.name}"
    if not held_out.can_judge(dataset):
        return inspection.noting("wrong labels are looked for where there are classes only"), name
    probabilities = held_out.probabilities(asked, inspection, trusted)
    return inspection.with_suspects(labels.find(inspection.parts, dataset, probabilities)), name


def _announce(dataset: Dataset, options: argparse.Namespace) -> None:
    """Say what will take long, to people who wait for it."""
    total = len(dataset.y_train) + len(dataset.y_test)
    if total > _MANY and dataset.are_pictures and not options.fast:
        kind = wording.kind(dataset.shape)
        Screen().err.print(f"comparing {total:,} {kind} with each other; --fast leaves out those that are nearly equal")


def _plain(name: str) -> str:
    """Return the name of a data set as a valid part of a path."""
    return re.sub(r"[^\w-]+", "_", name, flags=re.ASCII)[:60].strip("_") or "data"


def _write(folder: Path, inspection: Inspection) -> None:
    from mnist_exp.reports import inspection as page

    page.write(folder, inspection, shlex.join(["python", "-m", "mnist_exp.inspect", *sys.argv[1:]]))
    redacted_files.write(folder / VALUES, json.dumps(record.as_values(inspection), indent=1) + "\n")


def _show(screen: Screen, inspection: Inspection, folder: Path) -> None:
    from mnist_exp.reports import inspection as page

    dataset = inspection.dataset
    screen.table(
        {
            "data": f"{wording.show(dataset.name)}, {page.summary(inspection)}",
            **({"judged": inspection.suspects.words} if inspection.suspects else {}),
        }
    )
    for table in (page.sets(inspection), page.classes(inspection)):
        rows = [[wording.short_name(row[0]), *row[1:]] for row in table.rows[:_MOST_ROWS]]
        screen.columns(table.head, rows, left=(table.head[0],))
        if len(table.rows) > _MOST_ROWS:
            screen.out.print(f"and {len(table.rows) - _MOST_ROWS:,} more, on the page")
        screen.out.print()
    for finding in inspection.findings:
        screen.marked(finding.gravity, printable(finding.text), _MARKS[finding.gravity])
        for line in _examples(finding, inspection):
            screen.out.print(f"    {printable(line)}", markup=False)
    if not inspection.findings:
        screen.out.print("nothing was found that spoils a training or a score")
    for note in inspection.notes:
        screen.out.print(f"note: {note}", markup=False)
    screen.out.print()
    took = [f"{seconds:.1f} s for {_CHECKS[name]}" for name, seconds in inspection.seconds.items()]
    screen.table({"time": ", ".join(took), "files": f"{folder}/: index.html, {VALUES}"})


def _examples(finding: Finding, inspection: Inspection) -> list[str]:
    """Return lines that name some examples of a finding."""
    doubted = {}
    if inspection.suspects and finding.kind == "likely_wrong_label":
        doubted = {each.example: f" → {each.suggested} {each.probability:.4f}" for each in inspection.suspects.listed}
    lines = []
    most = _MOST_GROUPS if not doubted else 10
    for group in finding.groups[:most]:
        shown = [f"{each.place} ({each.split}, {each.label}){doubted.get(each, '')}" for each in group[:_MOST_EXAMPLES]]
        more = f" and {len(group) - _MOST_EXAMPLES:,} more" if len(group) > _MOST_EXAMPLES else ""
        lines.append(" = ".join(shown) + more)
    lines += finding.details[:most]
    left = max(finding.count if finding.details else len(finding.groups), len(finding.details)) - len(lines)
    return [*lines, f"and {left:,} more, on the page and in {VALUES}"] if left > 0 and lines else lines


def _parser() -> Parser:
    parser = commands.parser(
        "inspect",
        "Look at a data set before training on it: counts, shapes, values, some of each class, equal and nearly equal "
        "images within and across sets, classes that are missing, files that cannot be read. The words are those of "
        "`run`; with the id of a run, its data, and the labels that its model doubts on images it was not trained on.",
        "0 done, whatever was found; 1 the results cannot be written; 2 the data set or the run cannot be found, or an "
        "option is wrong.",
        [
            "data=image_folder data.path=photos",
            "data=npz data.path=digits.npz data.validation=0.2 --json",
            "RUN_ID",
            "PARENT_ID data.path=/where/they/lie/now",
        ],
    )
    parser.usage = "python -m mnist_exp.inspect [OPTIONS] data=NAME data.OPTION=VALUE …\n       "
    parser.usage += "python -m mnist_exp.inspect [OPTIONS] RUN_ID [data.OPTION=VALUE …]"
    parser.add_argument("--fast", action="store_true", help="leave out nearly equal images, which take longest")
    parser.add_argument(
        "--output", metavar="DIR", help="folder for the page and inspection.json; default inspections/NAME"
    )
    commands.add_json(parser)
    parser.add_argument("--config-dir", metavar="DIR", help="your own folder with groups or experiments")
    commands.add_tracking(parser)
    commands.add_trusted(parser)
    return parser


if __name__ == "__main__":
    main()
