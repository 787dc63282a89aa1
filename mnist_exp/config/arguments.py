"""Arguments of the functions for notebooks and scripts: what is said of a wrong one, by the name it has there."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mnist_exp.errors import SettingsError

OVERRIDES = 'overrides as on the command line, ["model.dropout=0.5", "data=mnist_5k"]'
_QUOTED = re.compile(r"(`[^`]*`)")  # A command to copy keeps its options.


def wrong(name: str, value: Any, allowed: str) -> SettingsError:
    """Return the error for an argument of a type that is not allowed.

    Args:
        name: of the argument, or of the part of it: `images[2]`.
        value: that was given.
        allowed: what it must be, as the end of a sentence.
    """
    kind = type(value).__name__
    shown = f"{name}={value!r}" if isinstance(value, bool | int | float) else name
    is_what = "is None" if value is None else f"is of type {kind}"
    return SettingsError(f"{shown} {is_what}: it must be {allowed}")


def texts(name: str, value: Any, allowed: str = OVERRIDES) -> list[str]:
    """Return an argument of one text or several. Raises: SettingsError: it is anything else."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Iterable) or isinstance(value, Mapping | bytes):
        raise wrong(name, value, allowed)
    found = list(value)
    for number, each in enumerate(found):
        if not isinstance(each, str):
            raise wrong(f"{name}[{number}]", each, f"a text, as all of {name} are: {allowed}")
    return found


def check_text(name: str, value: Any, allowed: str) -> None:
    """Make sure that an argument is a text, or None. Raises: SettingsError: it is anything else."""
    if not (value is None or isinstance(value, str)):
        raise wrong(name, value, allowed)


def check_folder(name: str, value: Any) -> None:
    """Make sure that an argument can name a folder, or is None. Raises: SettingsError: it is anything else."""
    if not (value is None or isinstance(value, str | Path)):
        raise wrong(name, value, "the path of a folder")


@contextmanager
def named(**options: str) -> Iterator[None]:
    """Let the errors of what is called name arguments, where they name the options of a command.

    Args:
        options: the argument's name for each option, which is written without its dashes: `config_dir` for
            `--config-dir`.
    """
    try:
        yield
    except SettingsError as error:
        error.problems = [_in_python(problem, options) for problem in error.problems]
        error.args = ("\n".join(error.problems),)
        raise


def _in_python(problem: str, options: Mapping[str, str]) -> str:
    parts = _QUOTED.split(problem)
    for option, argument in options.items():
        of_a_command = re.compile(rf"--{option.replace('_', '-')}(?![\w-])")
        parts = [part if part.startswith("`") else of_a_command.sub(argument, part) for part in parts]
    return "".join(parts)
