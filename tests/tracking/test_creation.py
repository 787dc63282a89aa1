"""A new SQLite store: made by MLflow once, and copied from then on, as if MLflow had made each."""

import contextlib
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mnist_exp.tracking import creation, store


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """An empty store that MLflow made, as the cache has it."""
    folder = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("none yet")))
        begun = creation.begin(uri_of(folder / "mlflow.db"))
        assert begun is not None
        creation.finish(begun)
        return shutil.copyfile(creation.empty_store(), folder / "empty.db")


@pytest.fixture
def cached(kept, tmp_path, monkeypatch):
    """The same in this test's own cache."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "another"))
    creation.empty_store().parent.mkdir(parents=True)
    return Path(shutil.copyfile(kept, creation.empty_store()))


def uri_of(file):
    return f"sqlite:///{file}"


def content(file):
    """Return columns and indexes, and the rows of every table. MLflow's own SQL has its constraints in any order."""
    with contextlib.closing(sqlite3.connect(file)) as opened:
        opened.row_factory = sqlite3.Row
        tables = [name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        indexes = set(map(tuple, opened.execute("SELECT name, tbl_name FROM sqlite_master WHERE type = 'index'")))
        columns = {table: list(map(tuple, opened.execute(f"PRAGMA table_info({table})"))) for table in tables}
        rows = {table: [dict(row) for row in opened.execute(f"SELECT * FROM {table}")] for table in tables}
        return (columns, indexes), rows


def test_copied_store_is_as_mlflow_makes_it(cached, empty_store, alone):
    uri = uri_of(alone / "mlflow.db")
    assert creation.begin(uri) is None
    (schema, rows), (expected_schema, expected) = content("mlflow.db"), content(empty_store)
    assert schema == expected_schema
    (default,) = rows["experiments"]
    assert default["artifact_location"] == (alone / "mlartifacts").as_uri() + "/0"
    assert default["creation_time"] == default["last_update_time"] > 0
    assert (default["experiment_id"], default["name"], default["lifecycle_stage"]) == (0, "Default", "active")
    assert rows == expected | {"experiments": [default]}  # The command of `empty_store` makes tables only.

    made = store.experiment(uri, "mnist_exp")
    run = MlflowClient(uri).create_run(made.experiment_id)
    assert run.info.artifact_uri == f"{(alone / 'mlartifacts').as_uri()}/{run.info.run_id}/artifacts"
    assert sorted(each.name for each in alone.iterdir()) == ["mlflow.db"]


def truncated(file):
    file.write_bytes(file.read_bytes()[:5000])


def of_text(file):
    file.write_text("not a database")


def changed(sql):
    def change(file):
        with contextlib.closing(sqlite3.connect(file)) as opened, opened:
            opened.execute(sql)

    return change


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(truncated, id="truncated"),
        pytest.param(of_text, id="text"),
        pytest.param(changed("UPDATE alembic_version SET version_num = 'ffffffffffff'"), id="of another MLflow"),
        pytest.param(changed("DELETE FROM alembic_version"), id="of no MLflow"),
        pytest.param(changed("INSERT INTO runs (run_uuid) VALUES ('a')"), id="with a run"),
        pytest.param(changed("INSERT INTO experiments (name) VALUES ('another')"), id="with an experiment"),
        pytest.param(Path.unlink, id="none"),
    ],
)
def test_what_is_no_sound_empty_store_is_not_copied(cached, alone, spoil):
    spoil(cached)
    begun = creation.begin(uri_of(alone / "mlflow.db"))
    assert begun is not None
    begun.kill()
    begun.communicate()
    assert not Path("mlflow.db").exists()


def test_several_that_copy_at_once_make_one(cached, alone):
    uri, ids = uri_of(alone / "mlflow.db"), set()

    def use():
        assert creation.begin(uri) is None
        ids.add(store.experiment(uri, "mnist_exp").experiment_id)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ids == {"1"}


def test_store_that_is_there_is_left_alone(cached, alone):
    uri = uri_of(alone / "mlflow.db")
    creation.begin(uri)
    experiment = store.experiment(uri, "mine")
    MlflowClient(uri).create_run(experiment.experiment_id)
    before = Path("mlflow.db").read_bytes()
    assert creation.begin(uri) is None
    assert Path("mlflow.db").read_bytes() == before


@pytest.mark.slow
def test_cache_that_cannot_be_written_is_no_obstacle(alone, monkeypatch):
    Path("a file").touch()
    monkeypatch.setenv("KERAS_HOME", str(alone / "a file"))
    uri = uri_of(alone / "mlflow.db")
    creation.finish(creation.begin(uri))
    assert store.experiment(uri, "mnist_exp").name == "mnist_exp"
    assert sorted(each.name for each in alone.iterdir()) == ["a file", "mlflow.db"]
