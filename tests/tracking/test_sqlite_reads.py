"""What is read from a store's file is what MLflow says of it; what may be otherwise is left to MLflow."""

import dataclasses
import math
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from real_runs import SMALL, client_of

from mnist_exp import compose, run
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import SettingsError
from mnist_exp.tracking import names, references, run_files, runs, sqlite_reads


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run whose model is registered, with a metric that is NaN: address, file, run id."""
    folder = tmp_path_factory.mktemp("a store, 100%")
    uri = f"sqlite:///{folder}/mlflow.db"
    options = [*SMALL, "trainer.epochs=1", "data.validation=0.1", "tracking.register_as=digits"]
    before = Path.cwd()
    os.chdir(folder)
    try:
        done = run(compose([*options, f"tracking.uri='{uri}'"]))
    finally:
        os.chdir(before)
    client = client_of(uri)
    client.log_metric(done.run_id, "not a number", math.nan)
    client.log_metric(done.run_id, "infinite", math.inf)
    client.set_tag(done.run_id, "own", "ä 'quoted' \"text\"")
    return uri, folder / "mlflow.db", done.run_id


def same(one, other):
    """Compare two runs; no NaN equals itself."""
    plain = [dataclasses.replace(each, metrics={}) for each in (one, other)]
    return plain[0] == plain[1] and repr(sorted(one.metrics.items())) == repr(sorted(other.metrics.items()))


def by_mlflow(uri, run_id):
    found = client_of(uri).get_run(run_id)
    return runs.stored(found, client_of(uri).get_experiment(found.info.experiment_id).name, uri)


@pytest.mark.parametrize(
    "reference", ["{0}", "runs:/{0}/model", "{0:.8}", "models:/digits/1", "models:/digits@champion"]
)
def test_run_is_as_mlflow_says(recorded, reference, monkeypatch):
    uri, _, run_id = recorded
    monkeypatch.setattr(runs, "open_store", lambda *_: pytest.fail("MLflow was asked"))
    found = references.find(TrackingSettings(uri=uri), reference.format(run_id))
    assert same(found, by_mlflow(uri, run_id))
    assert math.isnan(found.metrics["not a number"])


@pytest.mark.parametrize("name", ["config.yaml", "classes.yaml", "confidence.json", "test_predictions.csv"])
def test_files_are_those_of_mlflow(recorded, name, tmp_path):
    uri, file, run_id = recorded
    fetched = Path(client_of(uri).download_artifacts(run_id, name, str(tmp_path)))
    assert sqlite_reads.run_file(file, run_id, name).read_bytes() == fetched.read_bytes()


def test_model_is_that_of_mlflow(recorded):
    uri, file, run_id = recorded
    model_id = by_mlflow(uri, run_id).tags[names.MODEL_URI].rpartition("/")[2]
    place = Path(sqlite_reads.model_file(file, model_id, "data/model.keras"))
    assert place.parts[-5:] == ("models", model_id, "artifacts", "data", "model.keras")
    assert sqlite_reads.model_file(file, model_id, "data/other.keras") is None


def test_run_that_is_deleted_or_unknown_is_left_to_mlflow(recorded):
    uri, file, run_id = recorded
    client = client_of(uri)
    client.delete_run(run_id)
    try:
        assert sqlite_reads.run(file, run_id) is None
        assert sqlite_reads.id_of(file, run_id[:8]) is None
        with pytest.raises(SettingsError, match="was deleted: `mlflow runs restore"):
            references.find(TrackingSettings(uri=uri), run_id)
    finally:
        client.restore_run(run_id)
    assert sqlite_reads.run(file, "0" * 32) is None
    with pytest.raises(SettingsError, match="there is no run 0000"):
        references.find(TrackingSettings(uri=uri), "0" * 32)
    with pytest.raises(SettingsError, match="there is no model 'models:/digits@best'"):
        references.find(TrackingSettings(uri=uri), "models:/digits@best")


def test_start_of_several_ids_is_left_to_mlflow(recorded):
    uri, file, run_id = recorded
    with sqlite3.connect(file) as opened:
        copy = run_id[:10] + "0" * 22
        opened.execute("CREATE TEMP TABLE one AS SELECT * FROM runs WHERE run_uuid = ?", (run_id,))
        opened.execute("UPDATE one SET run_uuid = ?", (copy,))
        opened.execute("INSERT INTO runs SELECT * FROM one")
    try:
        assert sqlite_reads.id_of(file, run_id[:10]) is None
        with pytest.raises(SettingsError, match="begins the ids of 2 runs"):
            references.find(TrackingSettings(uri=uri), run_id[:10])
    finally:
        with sqlite3.connect(file) as opened:
            opened.execute("DELETE FROM runs WHERE run_uuid = ?", (copy,))


@pytest.mark.parametrize("variable", ["MLFLOW_ENABLE_WORKSPACES", "MLFLOW_WORKSPACE", "MLFLOW_REGISTRY_URI"])
def test_where_mlflow_would_look_elsewhere_nothing_is_read(recorded, variable, monkeypatch):
    _, file, run_id = recorded
    monkeypatch.setenv(variable, "1")
    assert sqlite_reads.run(file, run_id) is None
    assert sqlite_reads.id_of_alias(file, "digits", "champion") is None


def test_tables_of_another_form_and_other_files_are_left_to_mlflow(tmp_path):
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as opened:
        opened.execute("CREATE TABLE runs (run_uuid TEXT)")
    for file in (other, tmp_path / "none.db", tmp_path):
        assert sqlite_reads.run(file, "0" * 32) is None
        assert sqlite_reads.run_file(file, "0" * 32, "config.yaml") is None
        assert sqlite_reads.model_file(file, "m-1", "data/model.keras") is None


def test_locked_store_is_left_to_mlflow_which_waits(recorded, monkeypatch):
    uri, file, run_id = recorded
    monkeypatch.setattr(sqlite_reads, "_TIMEOUT_S", 0.0)
    held = sqlite3.connect(file, isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    try:
        assert sqlite_reads.run(file, run_id) is None
    finally:
        held.close()
    assert same(references.find(TrackingSettings(uri=uri), run_id), by_mlflow(uri, run_id))


def test_what_is_said_of_a_missing_file_is_what_mlflow_s_way_says(recorded, monkeypatch):
    uri, file, run_id = recorded
    said = []
    for real in (sqlite_reads.run_file, lambda *_: None):
        monkeypatch.setattr(sqlite_reads, "run_file", real)
        with pytest.raises(SettingsError) as error:
            run_files.read_leaderboard(uri, run_id)
        said.append(error.value.problems)
    assert said[0] == said[1]
    monkeypatch.undo()
    place = sqlite_reads.run_file(file, run_id, "classes.yaml").parent
    place.rename(place.with_name("away"))
    try:
        assert sqlite_reads.run_file(file, run_id, "classes.yaml") is None
        with pytest.raises(SettingsError, match=r"no file of the run is at .* any more; it was removed, or moved"):
            run_files.read_sections(uri, run_id, "classes.yaml")
    finally:
        place.with_name("away").rename(place)


def test_file_that_is_a_link_or_on_a_server_is_left_to_mlflow(recorded, tmp_path):
    uri, file, run_id = recorded
    place = sqlite_reads.run_file(file, run_id, "classes.yaml")
    link = place.with_name("link.yaml")
    link.symlink_to(place)
    assert sqlite_reads.run_file(file, run_id, "link.yaml") is None
    link.unlink()
    with pytest.raises(FileNotFoundError):
        sqlite_reads.run_file(file, run_id, "none.yaml")
    with pytest.raises(SettingsError, match=r"there is no none.yaml of run .*its process ended before"):
        run_files.read_sections(uri, run_id, "none.yaml")
    with sqlite3.connect(file) as opened:
        (before,) = opened.execute("SELECT artifact_uri FROM runs WHERE run_uuid = ?", (run_id,)).fetchone()
        for address in ("s3://bucket/run", "mlflow-artifacts:/1/run", "file://elsewhere/run", "relative/run"):
            opened.execute("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", (address, run_id))
            opened.commit()
            assert sqlite_reads.run_file(file, run_id, "classes.yaml") is None
        opened.execute("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", (before, run_id))


def test_run_is_found_without_importing_mlflow(recorded):
    uri, _, run_id = recorded
    words = (
        "import sys; from mnist_exp.tracking import references; from mnist_exp.config.schema import TrackingSettings; "
        "from mnist_exp.inference.table_record import TableRecord; "
        f"found = references.find(TrackingSettings(uri={uri!r}), {run_id!r}); found.config(); found.confidence(); "
        "assert TableRecord(found).columns is None; "  # Of pictures there is no such file.
        "print(sorted({'mlflow', 'hydra', 'keras', 'sqlalchemy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
