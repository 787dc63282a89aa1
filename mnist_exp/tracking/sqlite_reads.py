"""Read a run from the file of an SQLite store without MLflow, whose import takes 2 s and 90 MB.

Only what a finished run has written is read, and only where it is as MLflow 3 writes it. In any other case nothing is
returned, and the caller asks MLflow, which knows what is wrong: a run that is not there, a file on a server, a table of
another version.
"""

import contextlib
import math
import os
import sqlite3
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

_ACTIVE = "active"
# With these MLflow looks in one workspace only, or for models in another store.
_ELSEWHERE = ("MLFLOW_ENABLE_WORKSPACES", "MLFLOW_WORKSPACE", "MLFLOW_REGISTRY_URI")
_LATEST = "latest"  # an alias that no table has
_DELETED = "Deleted_Internal"  # stage of a version
_FILES = "SELECT artifact_uri FROM runs WHERE run_uuid = ?"
_TIMEOUT_S = 5.0
_Found = TypeVar("_Found")
Ask = Callable[..., list[Any]]  # a query and its values


@dataclass(frozen=True)
class Row:
    """A run as the tables have it.

    Args:
        name: of the run; empty if it has none.
        experiment: name of its experiment.
        status: RUNNING, FINISHED, FAILED or KILLED.
        start_ms: when it began, in ms.
        end_ms: when it ended, in ms; None while it runs.
        params: as logged.
        metrics: the last value of each metric.
        tags: all tags.
    """

    name: str
    experiment: str
    status: str
    start_ms: int
    end_ms: int | None
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]


def run(file: Path, run_id: str) -> Row | None:
    """Return a run that is not deleted; None where MLflow must be asked.

    Args:
        file: of the store.
        run_id: all 32 characters of its id.
    """

    def read(ask: Ask) -> Row | None:
        rows = ask(
            "SELECT runs.name, experiments.name, status, start_time, end_time FROM runs JOIN experiments "
            "USING (experiment_id) WHERE run_uuid = ? AND runs.lifecycle_stage = ?",
            run_id,
            _ACTIVE,
        )
        if len(rows) != 1:
            return None
        params = dict(ask("SELECT key, value FROM params WHERE run_uuid = ?", run_id))
        tags = dict(ask("SELECT key, value FROM tags WHERE run_uuid = ?", run_id))
        found = ask("SELECT key, value, is_nan FROM latest_metrics WHERE run_uuid = ?", run_id)
        metrics = {key: math.nan if is_nan else value for key, value, is_nan in found}
        name, experiment, status, start_ms, end_ms = rows[0]
        return Row(name or "", experiment, status, start_ms, end_ms, params, metrics, tags)

    return _read(file, read)


def id_of(file: Path, start: str) -> str | None:
    """Return the one run id that begins with these characters, 0-9 and a-f; None where MLflow must be asked."""
    query = (
        "SELECT run_uuid FROM runs JOIN experiments USING (experiment_id) WHERE run_uuid LIKE ? AND "
        "runs.lifecycle_stage = ? AND experiments.lifecycle_stage = ?"
    )
    return _read(file, lambda ask: _only(ask(query, f"{start}%", _ACTIVE, _ACTIVE)))


def id_of_version(file: Path, name: str, version: str) -> str | None:
    """Return the run of a registered model's version; None where MLflow must be asked."""
    query = "SELECT run_id FROM model_versions WHERE name = ? AND version = ? AND current_stage != ?"
    return _read(file, lambda ask: _only(ask(query, name, int(version), _DELETED)))


def id_of_alias(file: Path, name: str, alias: str) -> str | None:
    """Return the run of the version of a registered model that has an alias; None where MLflow must be asked."""
    query = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?"
    version = None if alias.lower() == _LATEST else _read(file, lambda ask: _only(ask(query, name, alias)))
    return version and id_of_version(file, name, version)


def run_file(file: Path, run_id: str, name: str) -> Path | None:
    """Return the path of a file that a run recorded on this machine; None where MLflow must be asked.

    Args:
        file: of the store.
        run_id: of the run.
        name: of the file, a plain one.
    Raises: FileNotFoundError: the run has its files on this machine, and this one is not among them.
    """
    folder = _folder(_read(file, lambda ask: _only(ask(_FILES, run_id))))
    path = _plain(folder, name)
    if path is None and folder is not None and os.access(folder, os.R_OK | os.X_OK):
        names = [path.name for path in folder.iterdir()]
        if names and name not in names:
            raise FileNotFoundError(name)
    return path


def run_files(file: Path, run_id: str) -> Path | None:
    """Return the folder with the files of a run on this machine, to add some; None where MLflow must do it.

    Args:
        file: of the store.
        run_id: of the run.
    """
    folder = _folder(_read(file, lambda ask: _only(ask(_FILES, run_id))))
    return folder if folder is not None and folder.is_dir() and os.access(folder, os.W_OK) else None


def model_file(file: Path, model_id: str, name: str) -> Path | None:
    """Return the path of a file of a logged model on this machine; None where MLflow must be asked.

    Args:
        file: of the store.
        model_id: of the model.
        name: of the file, below the model.
    """
    query = "SELECT artifact_location FROM logged_models WHERE model_id = ? AND lifecycle_stage = ?"
    return _plain(_folder(_read(file, lambda ask: _only(ask(query, model_id, _ACTIVE)))), name)


def is_elsewhere() -> bool:
    """Tell whether the environment makes MLflow look for runs or models in another place than the whole file."""
    return any(map(os.environ.get, _ELSEWHERE))


def _read(file: Path, read: Callable[[Ask], _Found | None]) -> _Found | None:
    """Return what is read from a store; None where the database does not understand it, or holds it back."""
    if is_elsewhere():
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=_TIMEOUT_S)) as opened:
            return read(lambda query, *values: opened.execute(query, values).fetchall())
    except sqlite3.Error:
        return None


def _only(rows: list[Any]) -> str | None:
    """Return the one value that was found, as text; None if there is none, or several."""
    return str(rows[0][0]) if len(rows) == 1 and rows[0][0] else None


def _folder(address: str | None) -> Path | None:
    """Return the folder of an address; None if it is not on this machine."""
    if address is None or not address.startswith("file:///"):
        return None
    return Path(urllib.parse.unquote(urllib.parse.urlsplit(address).path))


def _plain(folder: Path | None, name: str) -> Path | None:
    """Return the path of a file in a folder; None if it cannot be read, or is a link."""
    if folder is None:
        return None
    path = folder / name
    return path if os.access(path, os.R_OK) and path.is_file() and not path.is_symlink() else None
