"""Files that builders read, as weights to begin with: known by their bytes, like data, not by name and place."""

import functools
import hashlib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnist_exp.config import components, fields
from mnist_exp.config.components import Component
from mnist_exp.config.signatures import ReadsFile
from mnist_exp.errors import SettingsError
from mnist_exp.runtime import start_folder


@dataclass(frozen=True)
class ReadFile:
    """A file that a builder reads.

    Args:
        named: as the configuration names it.
        sha256: of its bytes, in hex.
    """

    named: str
    sha256: str


def of(component: Component) -> dict[str, ReadFile]:
    """Return each file that a builder reads, by the argument that names it.

    These are arguments annotated as `config.fields.InputFile`, given or by default. One that names no file, as a word
    for known weights, or a file that is gone, is left out.

    Raises: SettingsError: a file cannot be read.
    """
    found = {}
    for name, parameter in components.parameters_of(component).items():
        value = component.arguments.get(name, parameter.default)
        if isinstance(value, str) and _reads_file(parameter.annotation):
            path = start_folder.named(value)
            if fields.is_file(path):
                found[name] = ReadFile(value, _sha256(path, f"{component.group}.{name}={value}"))
    return found


def all_of(settings: Any) -> dict[str, ReadFile]:
    """Return each file that the builders of a configuration read, by the option that names it."""
    return {f"{each.group}.{name}": file for each in _components(settings) for name, file in of(each).items()}


def _components(settings: Any) -> Iterator[Component]:
    for value in vars(settings).values():
        for each in value.values() if isinstance(value, Mapping) else (value,):
            if isinstance(each, Component):
                yield each


def _reads_file(annotation: Any) -> bool:
    if any(isinstance(each, ReadsFile) for each in getattr(annotation, "__metadata__", ())):
        return True
    return any(_reads_file(each) for each in typing.get_args(annotation))


def _sha256(path: Path, option: str) -> str:
    try:
        status = path.stat()
        return _sha256_of(path, status.st_ino, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise SettingsError(f"{option} cannot be read: {error.strerror}") from error


@functools.lru_cache(maxsize=100)
def _sha256_of(path: Path, *_unchanged: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
