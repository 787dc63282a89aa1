"""Answers as a table of CSV: with all that is known, or with the columns that somebody else wants, as Kaggle."""

import contextlib
import csv
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from mnist_exp.config import wording
from mnist_exp.errors import SettingsError
from mnist_exp.inference.answers import Answer
from mnist_exp.inference.doubt import Doubt
from mnist_exp.runtime.terminal import check_stdout
from mnist_exp.tasks.task import Task

STDOUT = "-"
NUMBER = "number"  # of the answer, counted from 1

Columns = dict[str, str]  # what a column holds, by its name


def columns_of(words: str, task: Task, names: Sequence[str] | None, outputs: int) -> Columns:
    """Return the columns that `--csv-columns` asks for: `path,label` or `ImageId=number,Label=label`.

    Args:
        words: as they were given; empty for all but the number.
        task: of the run.
        names: of classes, labels or numbers; None counts them.
        outputs: how many numbers the model returns for an example.
    Raises: SettingsError: there is no such column.
    """
    known = _known(task, names, outputs)
    if not words:
        return {name: name for name in known if name != NUMBER}
    found: Columns = {}
    for word in words.split(","):
        name, _, what = word.rpartition("=")
        if what not in known:
            raise SettingsError(wording.unknown(f"--csv-columns={word}", what, known, ""))
        if (name or what) in found:
            raise SettingsError(f"--csv-columns={words} has two columns {wording.show(name or what)}")
        found[name or what] = what
    return found


def _known(task: Task, names: Sequence[str] | None, outputs: int) -> list[str]:
    """Return what a column can hold."""
    if task.activation == "linear":
        values = list(names or map(str, range(outputs)))
    elif task.has_classes:
        values = ["label", "probability", "calibrated_probability", "unlike"]
    else:
        values = ["labels", *(names or map(str, range(outputs))), "unlike"]
    return [NUMBER, "path", *values, "preprocessing", "error"]


def row(answer: Answer, number: int, task: Task, names: Sequence[str] | None, doubt: Doubt) -> dict[str, Any]:
    """Return the cells of an answer, by what they hold; an error has empty ones.

    Args:
        answer: the prediction, or an error.
        number: of it.
        task: of the model.
        names: of classes, labels or numbers; None counts them.
        doubt: what is known of the answers.
    """
    cells: dict[str, Any] = {NUMBER: number, "path": answer.path, "error": answer.error}
    if answer.output is None:
        return cells
    facts = task.as_json(answer.output, names) | doubt.as_json(answer.output, answer.is_unlike, names)
    if not facts.get("answered", True):
        facts |= {"label": None, "labels": []}
    if "labels" in facts:
        shown = list(names or map(str, range(len(answer.output))))
        facts |= dict(zip(shown, facts["probabilities"], strict=True)) | {"labels": " ".join(map(str, facts["labels"]))}
    elif "values" in facts:
        values = facts["values"]
        facts |= values if isinstance(values, dict) else {str(i): value for i, value in enumerate(values)}
    return cells | facts | {"preprocessing": "; ".join(answer.notes)}


@contextlib.contextmanager
def writer(place: str, columns: Columns) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Open a table and yield what writes a row, by what its cells hold.

    Args:
        place: of the file; - for standard output.
        columns: of the table.
    Raises: SettingsError: the file cannot be written.
    """
    with contextlib.ExitStack() as stack:
        file: IO[str] = sys.stdout
        if place != STDOUT:
            try:
                file = stack.enter_context(Path(place).open("w", newline="", encoding="utf-8"))
            except OSError as error:
                raise SettingsError(f"--csv={place} cannot be written: {error.strerror}") from error
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        yield lambda cells: table.writerow([_cell(cells.get(what)) for what in columns.values()])


def check(place: str | None, inputs: Sequence[str]) -> None:
    """Make sure that a table can be written, without writing it.

    Args:
        place: of the file; - for standard output, None for no table.
        inputs: the files that are read.
    Raises: SettingsError: it cannot be written, or is one of the inputs.
    """
    if place == STDOUT:
        check_stdout(f"--csv={STDOUT}")
    if place is None or place == STDOUT:
        return
    path = Path(place)
    folder = path.parent
    if not place or path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise SettingsError(f"--csv={place} cannot be written: it must be a file in a folder that you may write to")
    if any(Path(name).exists() and path.exists() and path.samefile(name) for name in inputs if name):
        raise SettingsError(f"--csv={place} is one of the files that are read: name another one")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
