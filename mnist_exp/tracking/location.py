"""Where the files of an SQLite store's runs lie: MLflow records absolute addresses, which a folder that is moved loses.

A store is beside its files: `mlflow.db` and `mlartifacts/` are in one folder. Where the recorded addresses name another
folder of that kind, the store was moved or copied. It is not used then, since MLflow would write into the other folder.
"""

import contextlib
import os
import sqlite3
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

ARTIFACTS = "mlartifacts"
# Each table of MLflow's that has addresses of files, and the columns that hold them.
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


@dataclass(frozen=True)
class Mended:
    """What `mend` did.

    Args:
        before: the addresses that were replaced, each of a folder.
        count: of the addresses that begin so.
        missing: how many runs have no files beside the store.
        copy: of the database as it was.
    """

    before: tuple[str, ...]
    count: int
    missing: int
    copy: Path


def beside(file: Path) -> Path:
    """Return the folder for the files of a store's runs."""
    return file.parent / ARTIFACTS


def moved_from(opened: sqlite3.Connection, file: Path) -> list[str]:
    """Return the addresses of the folders that a store's experiments name, though its files lie beside it now.

    An address is left alone if its folder is there and there is none beside the store: someone wants it so.

    Args:
        opened: connection to the store.
        file: of the store.
    """
    now = beside(file)
    found: dict[str, None] = {}
    for (address,) in opened.execute("SELECT DISTINCT artifact_location FROM experiments"):
        root, path = _root(address or "")
        if path is not None and (now.exists() or not path.exists()) and not _is_same(path, now):
            found[root] = None
    return list(found)


def mend(file: Path) -> Mended:
    """Make the addresses in a store name the folder beside it, and keep a copy of the database.

    Args:
        file: of the store.
    Raises: sqlite3.Error, OSError: it cannot be read or written.
    """
    new = beside(file).as_uri()
    copy = next(path for n in range(1, 1000) if not (path := file.with_name(f"{file.name}.before-move-{n}")).exists())
    with contextlib.closing(sqlite3.connect(file)) as opened:
        before = tuple(moved_from(opened, file))
        with contextlib.closing(sqlite3.connect(copy)) as kept:
            opened.backup(kept)
        count = 0
        with opened:
            for old in before:
                for table, column in _ADDRESSES:
                    count += opened.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608  names of this table
                        f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                        (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
                    ).rowcount
        runs = opened.execute("SELECT artifact_uri FROM runs WHERE lifecycle_stage = 'active'").fetchall()
    missing = sum(address.startswith(f"{new}/") and not _path(address).exists() for (address,) in runs)
    return Mended(before, count, missing, copy)


def _root(address: str) -> tuple[str, Path | None]:
    """Return the part of an experiment's address that ends with `mlartifacts`, and its path; None if it has none."""
    head, found, rest = address.rpartition(f"/{ARTIFACTS}")
    if not found or (rest and not rest[1:].isdigit()) or not address.startswith(("file:", "/")):
        return address, None
    return head + found, _path(head + found)


def _path(address: str) -> Path:
    return Path(urllib.parse.unquote(urllib.parse.urlsplit(address).path) if address.startswith("file:") else address)


def _is_same(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        return one.samefile(other)
    return os.path.realpath(one) == os.path.realpath(other)
