"""Whether a store's database has the tables of the installed MLflow. MLflow itself is not imported, which takes 2 s.

Each version of MLflow names its tables by a revision. A database with another one is refused before anything is done:
MLflow would change an older one without a word, if that lacks tables, and no older MLflow could read it from then on.
"""

import contextlib
import functools
import importlib.metadata
import importlib.util
import re
import shlex
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from mnist_exp.errors import TrackingError
from mnist_exp.runtime.redaction import redact

_REVISIONS = "store/db_migrations/versions"  # in MLflow's package: a file for each revision
_OWN, _BEFORE = (re.compile(rf"^{name}\b[^=]*=\s*[\"'](\w+)[\"']", re.M) for name in ("revision", "down_revision"))
_REFUSED = re.compile(r"out-of-date database schema \(found version (\S+),|Can't locate revision identified by '(\w+)'")


def check_file(file: Path, uri: str, shown: str) -> None:
    """Check an SQLite database that exists; one without tables is new.

    Args:
        file: of the database.
        uri: address of the store.
        shown: option and address, as the error message shows them.
    Raises: TrackingError: it was made by another version of MLflow, or it is damaged.
    """
    try:
        # Not with the default time limit: a database that others have locked is left to MLflow, which waits for it.
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=0)) as opened:
            tables = {name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "alembic_version" not in tables:
                return
            row = opened.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        return
    except sqlite3.DatabaseError as error:
        raise TrackingError(f"{shown}: {file} is damaged: {error}") from error
    if row is not None and (words := problem(str(row[0]), uri)):
        raise TrackingError(f"{shown}: {words}")


def explain(text: str, uri: str) -> str:
    """Return what MLflow says about a database that it refuses, with the fix where it is of another version."""
    found = _REFUSED.search(text)
    return (problem(found[1] or found[2], uri) if found else "") or text


def problem(revision: str, uri: str) -> str:
    """Return what is wrong with a database of this revision, and what to do; empty if nothing is.

    Args:
        revision: that the database names.
        uri: address of the store.
    """
    before = _revisions()
    is_newest = revision in before and revision not in before.values()
    if is_newest or not before:
        return ""
    installed = f"MLflow {importlib.metadata.version('mlflow')}"
    if revision in before:
        return (
            f"it was made by an older version than {installed}: copy it, then run "
            f"`mlflow db upgrade {shlex.quote(redact(uri))}`, after which older versions cannot use it"
        )
    return (
        f"it was made by a newer version than {installed}, or by another program: its tables have the revision "
        f"{revision[:40]!r}; use the version that made it, or name another store"
    )


@functools.cache
def _revisions() -> Mapping[str, str]:
    """Return the revision before each one that the installed MLflow knows; {} if its files are not there."""
    package = importlib.util.find_spec("mlflow")
    around = Path(package.origin).parent / _REVISIONS if package and package.origin else Path()
    texts = [file.read_text(encoding="utf-8") for file in around.glob("*_*.py")]
    found = [(_OWN.search(text), _BEFORE.search(text)) for text in texts]
    return {own[1]: before[1] if before else "" for own, before in found if own}
