"""The only client of MLflow in this package: it removes secrets from what it writes, and keeps MLflow's log quiet."""

import contextlib
import copy
import functools
import inspect
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_exp.runtime import redacted_files
from mnist_exp.runtime.redaction import redact_many, redact_record
from mnist_exp.tracking import mlflow_log

if TYPE_CHECKING:
    import mlflow

_READS = ("get_", "search_", "list_", "download_", "load_", "delete_")
# These identify something, or are addresses, so they must not be changed.
_IDENTITIES = ("key", "alias", "version", "source", "artifact_path", "artifact_file", "artifact_location")
_FILES = ("local_path", "local_dir")
_OF_MODELS = "log_model_artifact"  # A model's files must stay as they are.


class RedactedClient:
    """An `MlflowClient` whose writing methods remove secrets from their arguments.

    All texts are redacted: tags, params, notes, names of runs, and text files in a folder that is logged. A method that
    is used later is covered too. Ids, numbers, pictures and models are not changed.
    """

    def __init__(self, client: "mlflow.MlflowClient") -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if not callable(attribute) or name.startswith("_"):
            return attribute
        return functools.partial(_read if name.startswith(_READS) else _write, attribute)


def _read(method: Callable[..., Any], *values: Any, **named: Any) -> Any:
    with mlflow_log.quiet():
        return method(*values, **named)


def _write(method: Callable[..., Any], *values: Any, **named: Any) -> Any:
    """Call a method without the secrets in its arguments."""
    bound, hide = inspect.signature(method).bind(*values, **named), redact_many()
    with contextlib.ExitStack() as made:
        made.enter_context(mlflow_log.quiet())
        for name, value in bound.arguments.items():
            if name in _FILES and not method.__name__.startswith(_OF_MODELS):
                folder = made.enter_context(tempfile.TemporaryDirectory(prefix="mnist_exp-"))
                bound.arguments[name] = _copied(Path(value), Path(folder))
            elif not _is_identity(method.__name__, name):
                bound.arguments[name] = _redacted(value, hide, str(bound.arguments.get("key", "")))
        return method(*bound.args, **bound.kwargs)


def _is_identity(method: str, name: str) -> bool:
    return name in (*_IDENTITIES, *_FILES) or name.endswith("_id") or (name == "name" and not method.endswith("_run"))


def _redacted(value: Any, hide: Callable[[str], str], name: str = "") -> Any:
    """Return texts redacted, also within MLflow's own objects: `RunTag`, `Param`, `Dataset`, …"""
    if isinstance(value, list | tuple):
        return [_redacted(inner, hide, name) for inner in value]
    if not type(value).__module__.startswith("mlflow.entities"):
        return redact_record(value, name, hide)
    own, called = copy.copy(value), getattr(value, "key", name)
    vars(own).update({key: _redacted(inner, hide, called) for key, inner in vars(value).items() if key != "_key"})
    return own


def _copied(path: Path, folder: Path) -> str:
    if path.is_dir():
        return str(shutil.copytree(path, folder / path.name, copy_function=redacted_files.copy))
    return redacted_files.copy(path, folder / path.name)
