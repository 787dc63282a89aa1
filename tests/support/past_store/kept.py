"""Unpack the kept store of an earlier version."""

import json
import sqlite3
import tarfile
from pathlib import Path

ARCHIVE = Path(__file__).with_name("store.tar.xz")


def unpack(folder):
    """Write the store into a folder, moved: addresses of its artifacts are absolute."""
    with tarfile.open(ARCHIVE) as archive:
        # Python has the filter since 3.11.4: docs.python.org/3/library/tarfile.html.
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    then = json.loads((folder / "whole.json").read_text())["folder"]
    with sqlite3.connect(folder / "mlflow.db") as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for _, column, kind, *_ in database.execute(f"PRAGMA table_info({table})").fetchall():
                if "CHAR" in kind or "TEXT" in kind:
                    database.execute(f'UPDATE {table} SET "{column}" = REPLACE("{column}", ?, ?)', (then, str(folder)))
