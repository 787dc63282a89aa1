"""Files that builders read, as weights to begin with: known by their bytes, like data, not by name and place."""

import functools
import hashlib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mnist_exp.config import components
from mnist_exp.config.components import Component
from mnist_exp.config.signatures import ReadsFile
from mnist_exp.runtime import start_folder


def of(component: Component) -> dict[str, str]:
    """Return the SHA-256, in hex, of each file that a builder reads, by the argument that names it.

    These are arguments annotated as `config.fields.InputFile`. One that names no file, as a word for known weights, or
    a file that is gone, is left out.
    """
    found = {}
    for name, value in component.arguments.items():
        if isinstance(value, str) and ("." in value or "/" in value):
            parameter = components.parameter(component, name)
            path = start_folder.absolute(Path(value).expanduser())
            if parameter is not None and _reads_file(parameter.annotation) and path.is_file():
                found[name] = _sha256(path)
    return found


def all_of(settings: Any) -> dict[str, str]:
    """Return the SHA-256 of each file that the builders of a configuration read, by the option that names it."""
    return {f"{each.group}.{name}": sha256 for each in _components(settings) for name, sha256 in of(each).items()}


def _components(settings: Any) -> Iterator[Component]:
    for value in vars(settings).values():
        for each in value.values() if isinstance(value, Mapping) else (value,):
            if isinstance(each, Component):
                yield each


def _reads_file(annotation: Any) -> bool:
    if any(isinstance(each, ReadsFile) for each in getattr(annotation, "__metadata__", ())):
        return True
    return any(_reads_file(each) for each in typing.get_args(annotation))


def _sha256(path: Path) -> str:
    status = path.stat()
    return _sha256_of(path, status.st_ino, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=100)
def _sha256_of(path: Path, *_unchanged: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
