"""Create an SQLite store.

MLflow takes 3 to 4 s to make its tables, and two processes that do it at once damage them. So one process does it under
a lock, while the caller imports Keras: `python -m mnist_exp.tracking.creation URI`. What it has made is kept in the
cache: the next store of this version of MLflow is a copy of it, which takes some milliseconds.
"""

import contextlib
import importlib.metadata
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mnist_exp.data.download import keras_cache
from mnist_exp.errors import TrackingError
from mnist_exp.runtime.redaction import redact
from mnist_exp.tracking import schema_version, store
from mnist_exp.tracking.location import beside

_IS_ERROR = re.compile(r"[\w.]+(Error|Exception): ")
_DEFAULT_ID = 0  # of the one experiment that MLflow gives each store


def begin(uri: str) -> "subprocess.Popen[str] | None":
    """Create an SQLite store: at once if an empty one is in the cache, else in a process of its own.

    Args:
        uri: address of the store.
    Returns: the process; None if the store is there, or is not SQLite.
    """
    file = store.sqlite_file(uri)
    if file is None or store.is_made(file) or _copied(uri, file):
        return None
    words = [sys.executable, "-m", __name__, store.absolute(uri)]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(creation: "subprocess.Popen[str] | None") -> None:
    """Wait for the process of `begin`. Raises: TrackingError: the store could not be created."""
    if creation is None:
        return
    _, errors = creation.communicate()
    if creation.returncode != 0:
        lines = errors.strip().splitlines() or ["no reason given"]
        # After the error, SQLAlchemy prints the SQL statement and advice.
        reason = next((line for line in reversed(lines) if _IS_ERROR.match(line)), lines[-1])
        raise TrackingError(f"the tracking store could not be created: {redact(reason)}")


def empty_store() -> Path:
    """Return where an empty store is kept for the installed MLflow. SQLAlchemy writes its tables for it."""
    versions = "-".join(f"{name}-{importlib.metadata.version(name)}" for name in ("mlflow", "sqlalchemy"))
    return keras_cache() / "mnist_exp-stores" / f"{versions}.db"


def _copied(uri: str, file: Path) -> bool:
    """Make the store a copy of the empty one; return False if there is none that is sound, or it cannot be written."""
    kept = empty_store()
    if not kept.is_file():
        return False
    new = _unfinished(file)
    try:
        with store.lock(uri):
            if not store.is_made(file):
                try:
                    shutil.copyfile(kept, new)
                    _settle(new, file, uri)
                    new.replace(file)
                finally:
                    new.unlink(missing_ok=True)
    except (OSError, sqlite3.Error, TrackingError):
        return False  # MLflow makes it, or says what is wrong.
    return True


def _settle(new: Path, file: Path, uri: str) -> None:
    """Make a copy of the empty store one that was made now, for its place.

    Raises: sqlite3.Error: it is damaged, or is not an empty store.
        TrackingError: it is of another MLflow.
    """
    now = int(time.time() * 1000)
    with contextlib.closing(sqlite3.connect(new)) as opened:
        sound = opened.execute("PRAGMA quick_check").fetchone()
        experiments = opened.execute("SELECT experiment_id FROM experiments").fetchall()
        used = opened.execute("SELECT EXISTS (SELECT 1 FROM runs), EXISTS (SELECT 1 FROM tags)").fetchone()
        revision = opened.execute("SELECT version_num FROM alembic_version").fetchone()
        if sound != ("ok",) or experiments != [(_DEFAULT_ID,)] or any(used) or revision is None:
            raise sqlite3.DatabaseError("it is damaged, or not empty")
        if words := schema_version.problem(str(revision[0]), uri):
            raise TrackingError(words)
        with opened:
            opened.execute(
                "UPDATE experiments SET artifact_location = ?, creation_time = ?, last_update_time = ?",
                (f"{beside(file).as_uri()}/{_DEFAULT_ID}", now, now),
            )


def _keep(made: Path) -> None:
    """Keep a copy of a store that MLflow has just made, for those to come. A cache that cannot be written is none."""
    kept = empty_store()
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=kept.parent, prefix=f".{kept.name}.")
        os.close(handle)
        try:
            shutil.copyfile(made, name)
            Path(name).replace(kept)
        finally:
            Path(name).unlink(missing_ok=True)


def _unfinished(file: Path) -> Path:
    return file.with_name(f".{file.name}.new")


def _create(uri: str) -> None:
    """Create a store under another name, then rename it, so that a killed process leaves no incomplete store."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    file = store.sqlite_file(uri)
    assert file is not None
    with store.lock(uri):
        if not store.is_made(file):
            new = _unfinished(file)
            new.unlink(missing_ok=True)
            try:
                SqlAlchemyStore(f"sqlite:///{new}", beside(file).as_uri()).engine.dispose()
                _keep(new)
                new.replace(file)
            finally:
                new.unlink(missing_ok=True)  # It must not stay on a disk that is full.


if __name__ == "__main__":
    from mnist_exp.runtime.imports import quick_exit, quick_imports

    with quick_imports():
        import mlflow  # noqa: F401
    _create(sys.argv[1])
    quick_exit()
