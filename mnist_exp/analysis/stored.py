"""What mattered, as the file that a sweep's parent run has of it."""

import dataclasses
import json

import pydantic

from mnist_exp.analysis.mattered import Mattered
from mnist_exp.errors import SettingsError
from mnist_exp.tracking import run_files

FILE = "what_mattered.json"
LARGEST = 2_000_000  # bytes


def text(found: Mattered | None) -> str:
    """Return the content of the file; None says that there is nothing to tell."""
    return json.dumps(dataclasses.asdict(found) if found is not None else None, allow_nan=False, default=float) + "\n"


def of_run(uri: str, run_id: str) -> Mattered | None:
    """Return what mattered in a sweep, from its parent run. Raises: SettingsError: there is no record, or damaged."""
    return parse(run_files.read_text(uri, run_id, FILE, LARGEST), f"{FILE} of run {run_id}")


def parse(content: str, what: str) -> Mattered | None:
    """Return what mattered, from a file that may come from someone else; None if there is nothing to tell.

    Args:
        content: of the file.
        what: name of the file in an error message.
    Raises: SettingsError: it is not what mnist_exp writes.
    """
    try:
        return pydantic.TypeAdapter[Mattered | None](Mattered | None).validate_json(content)
    except ValueError as error:
        raise SettingsError(f"{what} is not what mnist_exp writes") from error
