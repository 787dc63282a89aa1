"""Runs as they stand in the file of an SQLite store, read without MLflow.

MLflow takes 1 to 2 ms to read a run and 2 s to be imported; this takes 0.1 ms and nothing. It only reads, and only
from tables as the installed MLflow makes them (`schema_version`). Every function returns None where it cannot answer,
as of a store that is locked or damaged, or an experiment that is new or deleted: then MLflow is asked, and says why.
"""

import contextlib
import itertools
import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from mnist_exp.tracking import names, sqlite_reads, store
from mnist_exp.tracking.sqlite_reads import Row
from mnist_exp.tracking.wanted import AT_ONCE, Wanted

Answer = TypeVar("Answer")
# A reader waits only while a writer ends its transaction, and Python handles no signal meanwhile.
_PATIENCE_S = 1.0
_PENDING = 1  # MLflow's number for a model whose files are still being written


@dataclass(frozen=True)
class Experiment:
    """An experiment of the store: its id and its tags."""

    experiment_id: str
    tags: dict[str, str]


class Point(NamedTuple):
    """A value of a metric.

    Attributes:
        run_id: of its run.
        metric: its name.
        step: when it was measured, mostly an epoch.
        value: NaN where that was recorded.
        time_ms: when it was recorded, in ms since 1970.
    """

    run_id: str
    metric: str
    step: int
    value: float
    time_ms: int


def experiment(uri: str, name: str) -> Experiment | None:
    """Return an experiment; None if there is none that is active, or if this store is read by MLflow only."""

    def ask(opened: sqlite3.Connection) -> Experiment | None:
        found = _id(opened, name)
        if found is None:
            return None
        tags = opened.execute("SELECT key, value FROM experiment_tags WHERE experiment_id = ?", (found,))
        return Experiment(str(found), dict(tags.fetchall()))

    return _answer(uri, ask)


def find(uri: str, name: str, wanted: Wanted, *, oldest_first: bool = False) -> dict[str, Row] | None:
    """Return the runs of an experiment that are wanted by their ids, in MLflow's order; None if MLflow must be asked.

    Args:
        uri: address of the store.
        name: of the experiment.
        wanted: says which.
        oldest_first: whether the oldest comes first; else the newest.
    """

    def ask(opened: sqlite3.Connection) -> dict[str, Row] | None:
        number = _id(opened, name)
        return None if number is None else _read(opened, (number, name), wanted, oldest_first)

    return _answer(uri, ask)


def of_key(uri: str, name: str, tag: str, value: str) -> dict[str, Row] | None:
    """Return the runs of an experiment with this value of a tag, oldest first; None if MLflow must be asked.

    Who asks again, as each job of a sweep does, reads only the rows that were added meanwhile: MLflow has no index of
    values, so that a search looks at the tag of every run.
    """

    def ask(opened: sqlite3.Connection) -> dict[str, Row] | None:
        number = _id(opened, name)
        if number is None:
            return None
        file = Path(opened.execute("PRAGMA database_list").fetchone()[2]).stat()
        index = _indexes.setdefault((file.st_dev, file.st_ino, tag), _Index(tag))
        wanted = Wanted(tag, (value,), run_ids=index.read(opened).get(value, ()))
        return _read(opened, (number, name), wanted, oldest_first=True)

    return _answer(uri, ask)


def histories(uri: str, run_ids: Sequence[str], metric: str) -> dict[str, dict[int, float]] | None:
    """Return the values of a metric by step for each of some runs; None if MLflow must be asked."""

    def ask(opened: sqlite3.Connection) -> dict[str, dict[int, float]]:
        found: dict[str, dict[int, float]] = {run_id: {} for run_id in run_ids}
        columns = "run_uuid, step, value, is_nan"
        for run_id, step, value, is_nan in _of_runs(opened, "metrics", columns, run_ids, " AND key = ?", metric):
            found[run_id][step] = math.nan if is_nan else value
        return {run_id: dict(sorted(points.items())) for run_id, points in found.items()}

    return _answer(uri, ask)


def points(uri: str, run_ids: Sequence[str], metrics: Sequence[str] | None = None) -> list[Point] | None:
    """Return each recorded value of some runs, ordered by run, metric and step; None if MLflow must be asked.

    Args:
        uri: address of the store.
        run_ids: of the runs.
        metrics: their names; None for all.
    """

    def ask(opened: sqlite3.Connection) -> list[Point]:
        order = {run_id: number for number, run_id in enumerate(run_ids)}
        chosen = "" if metrics is None else f" AND key IN ({', '.join('?' * len(metrics))})"
        columns = "run_uuid, key, step, value, timestamp, is_nan"
        found = _of_runs(opened, "metrics", columns, run_ids, chosen, *(metrics or ()))
        all_points = [
            Point(run_id, key, step, math.nan if is_nan else value, time_ms)
            for run_id, key, step, value, time_ms, is_nan in found
        ]
        return sorted(all_points, key=lambda point: (order[point.run_id], point.metric, point.step))

    return _answer(uri, ask)


def ended(uri: str, name: str, tag: str) -> set[str] | None:
    """Return the values that a tag has in runs that are FINISHED or FAILED; None if MLflow must be asked."""

    def ask(opened: sqlite3.Connection) -> set[str] | None:
        number = _id(opened, name)
        asked = (
            "SELECT value FROM tags JOIN runs ON runs.run_uuid = tags.run_uuid WHERE key = ? AND experiment_id = ? "
            "AND lifecycle_stage = 'active' AND status IN ('FINISHED', 'FAILED')"
        )
        return None if number is None else {value for (value,) in opened.execute(asked, (tag, number))}

    return _answer(uri, ask)


def pending(uri: str, name: str) -> list[str] | None:
    """Return the ids of the runs whose model is not complete; None if MLflow must be asked."""

    def ask(opened: sqlite3.Connection) -> list[str] | None:
        number = _id(opened, name)
        asked = "SELECT DISTINCT source_run_id FROM logged_models WHERE experiment_id = ? AND status = ?"
        return None if number is None else [run_id for (run_id,) in opened.execute(asked, (number, _PENDING)) if run_id]

    return _answer(uri, ask)


def _answer(uri: str, ask: Callable[[sqlite3.Connection], Answer]) -> Answer | None:
    file = store.sqlite_file(uri)
    if file is None or not file.exists() or sqlite_reads.is_elsewhere():
        return None
    with contextlib.suppress(sqlite3.Error, OSError):
        # Not read-only: then SQLite could not take back what a process left half written when it was killed.
        address = f"{file.as_uri()}?mode=rw"
        with contextlib.closing(
            sqlite3.connect(address, uri=True, timeout=_PATIENCE_S, isolation_level=None)
        ) as opened:
            return ask(opened)
    return None


def _id(opened: sqlite3.Connection, name: str) -> int | None:
    """Return the number of an active experiment; None if there is none, or several, as of several workspaces."""
    found = opened.execute("SELECT experiment_id, lifecycle_stage FROM experiments WHERE name = ?", (name,)).fetchall()
    return int(found[0][0]) if len(found) == 1 and found[0][1] == "active" else None


def _read(
    opened: sqlite3.Connection, experiment: tuple[int, str], wanted: Wanted, oldest_first: bool
) -> dict[str, Row]:
    number, name = experiment
    ids = None if wanted.run_ids is None else set(wanted.run_ids)
    if wanted.tag and ids is None:
        values = None if wanted.values is None else set(wanted.values)
        tagged = opened.execute("SELECT run_uuid, value FROM tags WHERE key = ?", (wanted.tag,))
        ids = {run_id for run_id, value in tagged if values is None or value in values}
    columns, active = "run_uuid, name, status, start_time, end_time", " AND lifecycle_stage = 'active'"
    if ids is None:
        asked = f"SELECT {columns} FROM runs WHERE experiment_id = ?{active}"  # noqa: S608  constants
        found = opened.execute(asked, (number,)).fetchall()
    else:
        found = list(_of_runs(opened, "runs", columns, list(ids), f" AND experiment_id = ?{active}", number))
    sign = 1 if oldest_first else -1
    found.sort(key=lambda columns: (columns[3] is None, sign * (columns[3] or 0), columns[0]))
    jobs: set[str] = set()
    if wanted.is_top:
        jobs = {run_id for (run_id,) in opened.execute("SELECT run_uuid FROM tags WHERE key = ?", (names.PARENT,))}
    meant = (
        columns for columns in found if columns[0] not in jobs and (not wanted.status or columns[2] == wanted.status)
    )
    rows = {
        run_id: Row(called or "", name, status, start_ms or 0, end_ms, {}, {}, {})
        for run_id, called, status, start_ms, end_ms in itertools.islice(meant, wanted.most)
    }
    _complete(opened, rows)
    # Meanwhile it may have another value.
    return {run_id: row for run_id, row in rows.items() if wanted.allows(row.tags)}


def _complete(opened: sqlite3.Connection, rows: dict[str, Row]) -> None:
    """Read params, metrics and tags of some runs. Equal texts are kept once: thousands of runs have the same names."""
    kept: dict[str, str] = {}
    for run_id, key, value in _of_runs(opened, "tags", "run_uuid, key, value", list(rows)):
        rows[run_id].tags[kept.setdefault(key, key)] = kept.setdefault(value, value)
    for run_id, key, value in _of_runs(opened, "params", "run_uuid, key, value", list(rows)):
        rows[run_id].params[kept.setdefault(key, key)] = kept.setdefault(value, value)
    columns = "run_uuid, key, value, is_nan"
    for run_id, key, number, is_nan in _of_runs(opened, "latest_metrics", columns, list(rows)):
        rows[run_id].metrics[kept.setdefault(key, key)] = math.nan if is_nan else number


def _of_runs(
    opened: sqlite3.Connection, table: str, columns: str, run_ids: Sequence[str], further: str = "", *values: object
) -> Iterator[tuple]:  # type: ignore[type-arg]
    for start in range(0, len(run_ids), AT_ONCE):
        some = run_ids[start : start + AT_ONCE]
        marks = ", ".join("?" * len(some))
        yield from opened.execute(
            f"SELECT {columns} FROM {table} WHERE run_uuid IN ({marks}){further}",  # noqa: S608  constants and marks
            (*some, *values),
        )


class _Index:
    """The runs by the value of one tag. It reads the rows of the table in the order in which they were added.

    SQLite numbers them so; only where the last rows were removed, or the file was packed, are numbers given again. Then
    the last row that was read is not there any more under its number, and all is read anew.
    """

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._last: tuple[int, str, str] | None = None
        self._runs: dict[str, set[str]] = {}

    def read(self, opened: sqlite3.Connection) -> dict[str, set[str]]:
        """Return the runs by value, with what was added since the last call."""
        row = "SELECT rowid, key, run_uuid FROM tags WHERE rowid = ?"
        if self._last is not None and opened.execute(row, self._last[:1]).fetchone() != self._last:
            self._last, self._runs = None, {}
        # First the newest, for more may come meanwhile.
        newest = opened.execute("SELECT rowid, key, run_uuid FROM tags ORDER BY rowid DESC LIMIT 1").fetchone()
        asked = "SELECT value, run_uuid FROM tags WHERE key = ?"
        values: tuple[object, ...] = (self._tag,)
        if self._last is not None:
            asked = "SELECT value, run_uuid FROM tags WHERE rowid > ? AND +key = ?"  # The + keeps it from the index.
            values = (self._last[0], self._tag)
        for value, run_id in opened.execute(asked, values):
            self._runs.setdefault(value, set()).add(run_id)
        self._last = newest
        return self._runs


_indexes: dict[tuple[int, int, str], _Index] = {}
