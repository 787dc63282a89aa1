"""The tracking store: find its address, check that it answers, and open it. `creation` makes an SQLite store."""

import contextlib
import errno
import hashlib
import os
import shlex
import socket
import sqlite3
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mnist_exp.config.wording import show
from mnist_exp.errors import StoreAwayError, TrackingError
from mnist_exp.runtime import retries, start_folder
from mnist_exp.runtime.redaction import redact
from mnist_exp.tracking import admission, location, mlflow_log, schema_version
from mnist_exp.tracking.location import beside
from mnist_exp.tracking.redacted_client import RedactedClient

if TYPE_CHECKING:
    import filelock
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

DEFAULT_URI = "sqlite:///mlflow.db"
_TIMEOUT_S = 5.0
_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_SQLITE_MAGIC = b"SQLite format 3\0"


def locate(uri: str | None) -> str:
    """Return the address of the store: the configured one, else `$MLFLOW_TRACKING_URI`, else MLflow's default."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def check(uri: str, patience_s: float = 0.0, *, must_exist: bool = False, may_be_moved: bool = False) -> None:
    """Check that a store answers, or can be created, without importing MLflow.

    Args:
        uri: address of the store.
        patience_s: how long to wait for a store that does not answer.
        must_exist: whether the file of an SQLite store must be there.
        may_be_moved: whether its addresses may name another folder than its own.
    Raises: TrackingError: it cannot be used, or not be created; the message says why and what to do.
        StoreAwayError: it does not answer.
    """
    retries.while_away(patience_s, lambda error: isinstance(error, StoreAwayError))(_check, uri, must_exist)
    file = sqlite_file(uri)
    if file is not None and not may_be_moved and (before := moved_from(file)):
        command = shlex.join(["python", "-m", "mnist_exp.relocate", *_given(uri)])
        raise TrackingError(
            f"{_shown(uri)}: its folder was moved or copied: the files of its runs are recorded as in "
            f"{', '.join(map(redact, before))}, not in {beside(file)}, so they would be looked for and written there; "
            f"`{command}` mends the addresses"
        )


def moved_from(file: Path) -> list[str]:
    """Return the addresses of `location.moved_from` for the file of a store; none if it has none, or is locked."""
    if not is_made(file):
        return []
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=0)) as opened:
            return location.moved_from(opened, file)
    except sqlite3.OperationalError:
        return []


def _shown(uri: str) -> str:
    option = "$MLFLOW_TRACKING_URI" if uri == os.environ.get("MLFLOW_TRACKING_URI") else "tracking.uri"
    return f"{option}={show(redact(uri))}"


def _given(uri: str) -> list[str]:
    return [] if uri == locate(None) else ["--tracking-uri", redact(uri)]


def is_unusable(uri: str) -> bool:
    """Tell whether an SQLite store has a fault that does not pass: it is gone, or this user may not write it."""
    if sqlite_file(uri) is None:
        return False
    try:
        _check(uri, must_exist=True)
    except TrackingError as error:
        return not isinstance(error, StoreAwayError)
    return False


def _check(uri: str, must_exist: bool) -> None:
    shown = _shown(uri)
    try:
        scheme = urllib.parse.urlsplit(uri).scheme
    except ValueError as error:
        raise TrackingError(f"{shown} is no address: {error}") from error
    kind = scheme.partition("+")[0]
    if kind == "sqlite":
        _check_sqlite(uri, shown, must_exist)
    elif kind in ("http", "https"):
        admission.check(uri, shown)
    elif kind in _DATABASE_PORTS:
        _check_port(uri, shown, _DATABASE_PORTS[kind])
    elif kind in ("", "file"):
        raise TrackingError(
            f"{shown}: MLflow keeps no runs in plain folders any more; use sqlite:///FILE.db or a server"
        )
    elif kind not in ("databricks", "uc"):
        raise TrackingError(
            f"{shown} is not understood: it must begin with sqlite:///, http://, https:// or postgresql://"
        )


def sqlite_file(uri: str) -> Path | None:
    """Return the absolute path of an SQLite store's file; None for any other store."""
    if not uri.partition("://")[0].startswith("sqlite"):
        return None
    path = uri.partition(":///")[2].partition("?")[0]
    return start_folder.absolute(path) if path else None


def missing_file(uri: str) -> Path | None:
    """Return the file of an SQLite store that is not there yet, which asking the store would create; else None."""
    file = sqlite_file(uri)
    return file if file is not None and not file.exists() else None


def absolute(uri: str) -> str:
    """Return the address of a store with an absolute path, so that it is the same in every working folder."""
    file = sqlite_file(uri)
    if file is None:
        return uri
    head, _, rest = uri.partition(":///")
    _, mark, options = rest.partition("?")
    return f"{head}:///{file}{mark}{options}"


def client(uri: str) -> "MlflowClient":
    """Return MLflow's client of a store, which writes no secrets. This is the one place that makes one.

    The address is made absolute: MLflow caches stores by their address.
    Raises: TrackingError: the store cannot be opened.
    """
    from mlflow import MlflowClient

    with understood(uri), mlflow_log.quiet():
        return cast("MlflowClient", RedactedClient(MlflowClient(tracking_uri=absolute(uri))))


@contextlib.contextmanager
def understood(uri: str) -> Iterator[None]:
    """Turn an error of MLflow, or of its database, into a TrackingError of one sentence."""
    try:
        yield
    except Exception as error:
        from alembic.util import CommandError
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        if not isinstance(error, MlflowException | SQLAlchemyError | CommandError):
            raise
        text = schema_version.explain(mlflow_log.reason(error), uri)
        raise TrackingError(f"tracking.uri={redact(uri)} cannot be used: {redact(text)}") from error


def experiment(uri: str, name: str) -> "Experiment":
    """Return an experiment; create it if it is new. Several processes may call this at once.

    Raises: TrackingError: the experiment was deleted.
    """
    from mlflow.exceptions import MlflowException

    opened = client(uri)
    existing = opened.get_experiment_by_name(name)
    if existing is None:
        with lock(uri):
            existing = opened.get_experiment_by_name(name)
            if existing is None:
                file = sqlite_file(uri)
                # Without a location MLflow would put the artifacts into the working folder.
                location = beside(file).as_uri() if file else None
                try:
                    return opened.get_experiment(opened.create_experiment(name, artifact_location=location))
                except MlflowException:
                    existing = opened.get_experiment_by_name(name)  # Another machine was quicker.
                    if existing is None:
                        raise
    if existing.lifecycle_stage != "active":
        raise TrackingError(
            f"tracking.experiment={name} was deleted in MLflow: restore it with "
            f"`mlflow experiments restore --experiment-id {existing.experiment_id}` or choose another name"
        )
    return existing


def _check_sqlite(uri: str, shown: str, must_exist: bool) -> None:
    file = sqlite_file(uri)
    if file is None:
        raise TrackingError(f"{shown} names no file: it must be sqlite:///FILE.db")
    if not file.parent.is_dir():
        raise TrackingError(f"{shown}: there is no folder {file.parent}")
    try:
        if file.exists():
            with file.open("r+b") as opened:
                start = opened.read(len(_SQLITE_MAGIC))
            if start and start != _SQLITE_MAGIC:
                raise TrackingError(f"{shown}: {file} is not an SQLite database")
            schema_version.check_file(file, uri, shown)
        elif must_exist:
            raise TrackingError(f"{shown}: there is no file {file} any more")
        for folder in (file.parent, beside(file)):
            if folder == file.parent or folder.exists():
                with tempfile.TemporaryFile(dir=folder):
                    pass
    except OSError as error:
        kind = TrackingError if error.errno in _FORBIDDEN else StoreAwayError
        raise kind(f"{shown} cannot be written: {error.strerror}: {error.filename or file.parent}") from error


def _check_port(uri: str, shown: str, default_port: int) -> None:
    parts = urllib.parse.urlsplit(uri)
    try:
        with socket.create_connection((parts.hostname or "localhost", parts.port or default_port), timeout=_TIMEOUT_S):
            pass
    except (OSError, ValueError) as error:
        raise StoreAwayError(f"{shown}: nothing answers there ({error})") from error


def is_made(file: Path) -> bool:
    """Tell whether the file of an SQLite store has tables; an empty one is none yet."""
    return file.exists() and file.stat().st_size > 0


def lock(uri: str, what: str = "") -> "filelock.BaseFileLock":
    """Return the lock of a store, or of something in it. It holds for the processes of one user on this machine."""
    import filelock

    name = hashlib.sha256(f"{sqlite_file(uri) or uri}{what}".encode()).hexdigest()[:16]
    user = os.getuid() if hasattr(os, "getuid") else 0
    return filelock.FileLock(Path(tempfile.gettempdir()) / f"mnist_exp-{user}-{name}.lock")
