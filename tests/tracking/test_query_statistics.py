"""The queries of MLflow's page take no quadratic time in a store that grows."""

import contextlib
import os
import shutil
import sqlite3
import sys
import threading
import time
from pathlib import Path

import pytest
from many_runs import fill

from mnist_exp.tracking import query_statistics, store

URI = "sqlite:///mlflow.db"


@pytest.fixture
def here(empty_store, alone):
    """A store of 1,500 runs, nothing of which was counted."""
    shutil.copyfile(empty_store, "mlflow.db")
    store.experiment(URI, "mnist_exp")
    fill("mlflow.db", 1_500, params=3, tags=1, epochs=1)
    return alone / "mlflow.db"


def steps_to_sort(file):
    """Return how many thousand steps SQLite's machine takes for the page that MLflow sorts by a metric."""
    from mlflow import MlflowClient
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    counted = [0]

    def count():
        counted[0] += 1

    def connected(connection, _):
        connection.set_progress_handler(count, 1_000)

    event.listen(Engine, "connect", connected)
    try:
        copy = shutil.copyfile(file, file.with_name(f"{time.time_ns()}.db"))
        client = MlflowClient(f"sqlite:///{copy}")
        by = ["metrics.`val_accuracy` DESC"]
        found = client.search_runs(["1"], order_by=by, max_results=100)
    finally:
        event.remove(Engine, "connect", connected)
    values = [run.data.metrics["val_accuracy"] for run in found if "val_accuracy" in run.data.metrics]
    assert values == sorted(values, reverse=True)
    assert len(values) == 100
    return counted[0]


def test_page_sorted_by_a_metric_takes_no_quadratic_time(here):
    before = steps_to_sort(here)
    assert query_statistics.refresh(URI)
    after = steps_to_sort(here)
    assert before > 1_500**2 * 2 / 1_000  # Each run is compared with each metric.
    assert after < before / 10
    fill(here, 1_400, params=3, tags=1, epochs=1)  # The same plan holds, though twice as many have come.
    assert steps_to_sort(here) < 4 * after


def test_runs_are_counted_anew_only_when_they_have_doubled(here):
    assert query_statistics.refresh(URI)
    assert not query_statistics.refresh(URI)
    fill(here, 1_000, params=1, tags=1, epochs=1)
    assert not query_statistics.refresh(URI)
    assert query_statistics.refresh(URI, growth=1.5)
    fill(here, 2_600, params=1, tags=1, epochs=1)
    assert query_statistics.refresh(URI)
    with contextlib.closing(sqlite3.connect(here)) as opened:
        assert opened.execute("SELECT stat FROM sqlite_stat1 WHERE tbl = 'runs'").fetchone()[0].startswith("5100 ")


def test_store_that_another_process_writes_is_left_alone(here):
    with contextlib.closing(sqlite3.connect(here, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        assert not query_statistics.refresh(URI)
        assert time.monotonic() - began < 2
        other.execute("ROLLBACK")
    assert query_statistics.refresh(URI)


def test_writers_do_not_notice_that_runs_are_counted(here):
    failed, over = [], threading.Event()

    def write():
        with contextlib.closing(sqlite3.connect(here, timeout=20, isolation_level=None)) as other:
            while not over.is_set():
                try:
                    other.execute("UPDATE runs SET name = 'again' WHERE rowid = 1")
                except sqlite3.Error as error:
                    failed.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert any(query_statistics.refresh(URI, growth=0) for _ in range(20))
    finally:
        over.set()
        writer.join()
    assert not failed


@pytest.mark.parametrize(
    "uri", ["sqlite:///none.db", "http://127.0.0.1:1", "postgresql://u@127.0.0.1:1/d", "sqlite://"]
)
def test_other_stores_are_left_alone(uri):
    assert not query_statistics.refresh(uri)
    assert not Path("none.db").exists()


def test_what_is_no_store_is_no_error():
    Path("mlflow.db").write_bytes(b"no database at all" * 100)
    assert not query_statistics.refresh(URI)
    Path("empty.db").touch()
    assert not query_statistics.refresh("sqlite:///empty.db")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everything")
def test_store_that_may_not_be_written_is_no_error(here):
    here.chmod(0o444)
    assert not query_statistics.refresh(URI)


def test_small_store_is_not_counted(empty_store):
    shutil.copyfile(empty_store, "mlflow.db")
    assert not query_statistics.refresh(URI)


@pytest.mark.slow
def test_run_that_ends_counts_a_store_that_has_grown(here):
    """As the jobs of a long sweep do, while its user looks at MLflow's page."""
    from mnist_exp.config.schema import TrackingSettings
    from mnist_exp.tracking.tracker import open_tracker

    tracker = open_tracker(TrackingSettings(), print)
    tracker.load()
    tracker.start("one more", {"objective": "val_accuracy", "direction": "maximize"}, {"mnist_exp.job_key": "k"})
    tracker.end("FINISHED")
    assert not query_statistics.refresh(URI)
    with contextlib.closing(sqlite3.connect(here)) as opened:
        assert opened.execute("SELECT stat FROM sqlite_stat1 WHERE tbl = 'runs'").fetchone()[0].startswith("1501 ")
