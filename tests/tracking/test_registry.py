"""Registered models: which version becomes the champion, and how a reference to a model finds its run."""

import http.server
import json
import os
import threading

import pytest
from mlflow.exceptions import MlflowException
from real_runs import SMALL, client_of

from mnist_exp import SettingsError, compose, load_model, run
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.tracking import mlflow_writes, references, registry, runs
from mnist_exp.tracking.spool import Record

pytestmark = pytest.mark.slow

HELD_OUT = "data.validation=0.2"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with trained and registered runs: address, client, run ids, and the tag of each registration."""
    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{folder}/mlflow.db"

    def train(*overrides, name="digits"):
        words = [
            *SMALL,
            HELD_OUT,
            "trainer.epochs=1",
            f"tracking.uri={uri}",
            f"tracking.register_as={name}",
            *overrides,
        ]
        return run(compose(words)).run_id

    ids = {
        "first": train(),
        "worse": train("optimizer.learning_rate=1e-9"),
        "better": train("trainer.epochs=6", "optimizer.learning_rate=0.01"),
        "other hold-out": train("trainer.epochs=8", "optimizer.learning_rate=0.01", "data.validation=0.3"),
        "other objective": train("objective=val_loss", "direction=minimize"),
        "lower loss": train("objective=val_loss", "direction=minimize", "trainer.epochs=3", name="losses"),
        "lowest loss": train("objective=val_loss", "direction=minimize", "trainer.epochs=5", name="losses"),
    }
    client = client_of(uri)
    registered = {what: client.get_run(run_id).data.tags["mnist_exp.registered"] for what, run_id in ids.items()}
    return uri, client, ids, registered


def test_only_a_better_comparable_model_becomes_champion(store):
    _, client, ids, registered = store
    assert registered["first"] == "digits version 1, the champion: there was none"
    assert registered["worse"].startswith("digits version 2, not the champion: val_accuracy 0.")
    assert registered["better"].startswith("digits version 3, the champion: val_accuracy 0.")
    assert (
        registered["other hold-out"]
        == "digits version 4, not the champion: version 3 is, and it has another data.validation"
    )
    assert registered["other objective"].endswith("version 3 is, and it has another objective")
    assert registered["lowest loss"].startswith("losses version 2, the champion: val_loss ")
    champion = client.get_model_version_by_alias("digits", "champion")
    assert (champion.version, champion.run_id) == (3, ids["better"])
    assert champion.tags["mnist_exp.data_sha256"] == client.get_run(ids["better"]).data.tags["mnist_exp.data_sha256"]


def test_version_can_be_loaded_with_mlflow(store, digits):
    import mlflow

    uri, *_ = store
    mlflow.set_tracking_uri(uri)
    try:
        model = mlflow.pyfunc.load_model("models:/digits@champion")
    finally:
        mlflow.set_tracking_uri(None)
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    x = digits[1][0][:20, ..., None]
    assert (model.predict(x) == load_model("models:/digits@champion", uri).predict(x, verbose=0)).all()


@pytest.mark.parametrize(
    "written", ["models:/digits@champion", "models:/digits/3", "runs:/{}/model", "{}", "{:.8}", "{uri}"]
)
def test_run_is_found_by_references_to_its_model(store, written):
    uri, client, ids, _ = store
    model_uri = client.get_run(ids["better"]).data.tags["mnist_exp.model_uri"]
    found = references.find(TrackingSettings(uri=uri), written.format(ids["better"], uri=model_uri))
    assert found.run_id == ids["better"]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("models:/digit@champion", "did you mean models:/digits@champion?"),
        ("models:/digits@champoin", "did you mean models:/digits@champion?"),
        ("models:/digits/99", "digits has the aliases champion"),
        ("models:/nothing/1", "registered are digits, losses"),
        ("models:/m-" + "0" * 32, "there is no model"),
        ("models:/digits", "write models:/NAME@champion"),
        ("models:/a' or name like '%@b", "there is no model"),
        ("{id:.3}", "did you mean {id} ("),
        ("{other}", "'{other}' is no run id"),
        ("{id:.31}x", "did you mean {id} ("),
        ("{slip}", "did you mean {id} ("),
        ("better than all", "did you mean {named} (better than all)?"),
        ("../../etc/passwd", "'../../etc/passwd' is no run id"),
        ("", "'' is no run id"),
    ],
)
def test_wrong_reference_suggests_the_nearest(store, written, message):
    uri, client, ids, _ = store
    client.set_tag(ids["worse"], "mlflow.runName", "better than all")
    run_id = ids["better"]
    slip = run_id[:5] + ("0" if run_id[5] != "0" else "1") + run_id[6:]
    with pytest.raises(SettingsError) as caught:
        references.find(TrackingSettings(uri=uri), written.format(id=run_id, slip=slip, other=slip[:12]))
    assert message.format(id=run_id, named=ids["worse"], other=slip[:12]) in str(caught.value)


@pytest.mark.parametrize("written", ["0" * 32, "models:/digits@champion"])
def test_server_that_is_not_mlflow_gets_a_message(written):
    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with pytest.raises(SettingsError, match="name another store"):
                references.find(TrackingSettings(uri=f"http://127.0.0.1:{server.server_port}"), written)
        finally:
            server.shutdown()


@pytest.mark.parametrize("name", ["", " ", " digits", "a/b", "a:b", "a@b", "it's", "a" * 201])
def test_invalid_name_of_a_model_is_a_mistake(name):
    with pytest.raises(SettingsError, match="a name, without"):
        compose([f"tracking.register_as={json.dumps(name)}", "data.validation=100"])


def test_runs_of_an_experiment_are_searched(store):
    uri, _, ids, _ = store
    settings = TrackingSettings(uri=uri)
    found = runs.search(settings, "params.`data.validation` = '0.2'")
    assert {run.run_id for run in found} == set(ids.values()) - {ids["other hold-out"]}
    assert runs.of_sweep(found[0]) == []
    with pytest.raises(SettingsError, match="no condition that MLflow understands"):
        runs.search(settings, "parms.x ~ 1")
    with pytest.raises(SettingsError, match=r"there is no experiment 'mnist_ex' in .*: did you mean mnist_exp"):
        runs.search(TrackingSettings(uri=uri, experiment="mnist_ex"), "")


def test_run_holds_its_class_names_and_predictions(store, digits):
    uri, _, ids, _ = store
    found = references.find(TrackingSettings(uri=uri), ids["better"])
    assert found.class_names() == tuple("0123456789")
    read = found.predictions()
    assert (read.labels == digits[1][1]).all()
    probabilities = load_model(ids["better"], uri).predict(digits[1][0][..., None], verbose=0)
    assert (read.predicted == probabilities.argmax(axis=1)).all()
    assert abs(read.probability - probabilities.max(axis=1)).max() < 1e-5
    assert (read.labels == read.predicted).mean() == found.metrics["test_accuracy"]


def test_waiting_registration_is_made_once(store):
    uri, client, ids, _ = store
    client.delete_tag(ids["first"], "mnist_exp.registered")
    for _ in range(2):
        mlflow_writes.write(uri, ids["first"], Record("registration", {"name": "late"}))
    (version,) = client.search_model_versions("name = 'late'")
    assert version.run_id == ids["first"]
    assert client.get_run(ids["first"]).data.tags["mnist_exp.registered"].startswith("late version 1, the champion")


def test_deleted_champion_is_replaced_by_hand_only(store):
    uri, client, ids, _ = store
    client.delete_run(ids["lowest loss"])
    client.delete_tag(ids["lower loss"], "mnist_exp.registered")
    registry.register(client, uri, ids["lower loss"], "losses")
    assert "version 1, not the champion" in client.get_run(ids["lower loss"]).data.tags["mnist_exp.registered"]
    assert len(client.search_model_versions("name = 'losses'")) == 2  # None was made twice.
    with pytest.raises(MlflowException):
        registry.register(client, uri, "0" * 32, "losses")
