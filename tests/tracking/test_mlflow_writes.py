"""Records written to a real store: writing one twice does no harm, wherever the first process ended."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import keras
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2 as codes

from mnist_exp.tracking import mlflow_writes
from mnist_exp.tracking.mlflow_writes import TrainedModel
from mnist_exp.tracking.spool import Record

MODEL = Record("model", {"dtype": "uint8", "image_shape": [28, 28, 1], "classes": 10})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    return client, client.create_experiment("mnist_exp", artifact_location=(folder / "mlartifacts").as_uri())


@pytest.fixture
def run(store):
    client, experiment = store
    return client, client.create_run(experiment).info.run_id


@pytest.fixture(scope="module")
def model():
    layers = [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    return TrainedModel(keras.Sequential(layers), lambda content: {"digest": hashlib.sha256(content).hexdigest()})


def begun(client, run_id):
    """Create the logged model of a run, as a process does that begins to record it."""
    return client.create_logged_model(client.get_run(run_id).info.experiment_id, "model", run_id)


def linked(client, run_id):
    logged = begun(client, run_id)
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])


def whole(client, run_id, model):
    mlflow_writes.write(client.tracking_uri, run_id, MODEL, model)
    client.delete_tag(run_id, "mnist_exp.model_uri")


@pytest.mark.parametrize("died", ["before", "created", "linked", "all but the tag", "after"])
def test_model_is_recorded_once_after_any_interruption(run, model, died, monkeypatch):
    import mlflow

    client, run_id = run
    if died == "created":
        begun(client, run_id)
    elif died == "linked":
        linked(client, run_id)
    elif died == "all but the tag":
        whole(client, run_id, model)
    elif died == "after":
        mlflow_writes.write(client.tracking_uri, run_id, MODEL, model)
    mlflow_writes.write(client.tracking_uri, run_id, MODEL, model)
    found = client.get_run(run_id)
    (output,) = found.outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert str(logged.status) == "READY"
    assert found.data.tags["mnist_exp.model_uri"] == f"models:/{output.model_id}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    loaded = mlflow.pyfunc.load_model(f"runs:/{run_id}/model")
    digits = np.arange(2 * 784, dtype=np.uint8).reshape(2, 28, 28, 1)
    np.testing.assert_array_equal(loaded.predict(digits), model.keras.predict(digits, verbose=0))
    assert loaded.metadata.model_id == output.model_id
    file = Path(urlsplit(logged.artifact_location).path) / "data" / "model.keras"
    assert found.data.tags["digest"] == hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "record",
    [
        Record("params", {"model.filters": "4"}),
        Record("metrics", {"metrics": {"loss": 0.5}, "step": 1, "time": 1_700_000_000_000}),
        Record("tags", {"a": "b"}),
        Record("files", {}, {"a.txt": b"one", "inner/b.txt": b"two"}),
        Record("end", {"status": "FINISHED", "time": 1_700_000_000_000}),
    ],
    ids=lambda record: record.kind,
)
def test_record_that_is_written_twice_exists_once(run, record):
    client, run_id = run
    mlflow_writes.write(client.tracking_uri, run_id, record)
    once = client.get_run(run_id).to_dictionary()
    mlflow_writes.write(client.tracking_uri, run_id, record)
    assert client.get_run(run_id).to_dictionary() == once
    assert len(client.get_metric_history(run_id, "loss")) == (record.kind == "metrics")
    assert {item.path for item in client.list_artifacts(run_id)} == {name.split("/")[0] for name in record.files}


@pytest.fixture
def no_pauses(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def fails(times, *errors):
    """Return a function that raises these errors in turn, then returns its call's number; and the list of calls."""
    calls = []

    def act(*_):
        calls.append(1)
        if len(calls) <= times:
            raise errors[len(calls) % len(errors)]
        return len(calls)

    return act, calls


BUSY = MlflowException("the database is locked", codes.TEMPORARILY_UNAVAILABLE)


def test_call_is_repeated_while_the_store_is_busy(no_pauses):
    act, _ = fails(7, BUSY, MlflowException("it broke", codes.INTERNAL_ERROR))
    assert mlflow_writes.call_patiently(act) == 8


@pytest.mark.parametrize(
    "error",
    [MlflowException("no such run", codes.RESOURCE_DOES_NOT_EXIST), OSError("disk full"), ValueError("a bug")],
)
def test_refusal_by_the_store_is_raised_at_once(no_pauses, error):
    act, calls = fails(3, error)
    with pytest.raises(type(error)):
        mlflow_writes.call_patiently(act)
    assert len(calls) == 1


def test_waiting_for_a_store_ends(monkeypatch):
    monkeypatch.setattr("mnist_exp.runtime.retries.PATIENCE_S", 0.3)
    monkeypatch.setattr("mnist_exp.runtime.retries.RETRY_S", 0.05)
    act, calls = fails(1000, BUSY)
    with pytest.raises(MlflowException, match="locked"):
        mlflow_writes.call_patiently(act)
    assert 2 < len(calls) < 9


@pytest.mark.parametrize(
    ("message", "times", "calls"),
    [("duplicate key in datasets", 9, 10), ("duplicate key in datasets", 99, 10), ("no such run", 99, 1)],
)
def test_data_set_that_two_processes_record_first_is_retried(run, no_pauses, monkeypatch, message, times, calls):
    client, run_id = run
    act, made = fails(times, MlflowException(message))
    monkeypatch.setattr(MlflowClient, "log_inputs", act)
    facts = {"name": "mnist", "digest": "abc", "source_type": "local", "source": "{}"}
    record = Record("inputs", {"train": facts})
    if times < calls:
        mlflow_writes.write(client.tracking_uri, run_id, record)
    else:
        with pytest.raises(MlflowException, match=message):
            mlflow_writes.write(client.tracking_uri, run_id, record)
    assert len(made) == calls


_TELLS_ITS_PROGRAM = """
import sys
from mlflow.tracking.context import registry
from mnist_exp.tracking import mlflow_writes

tags = mlflow_writes.program_tags()
assert "IPython" not in sys.modules
assert tags == registry.resolve_tags(), tags
from IPython.core.interactiveshell import InteractiveShell

class ZMQInteractiveShell(InteractiveShell):
    pass

ZMQInteractiveShell.instance()
assert mlflow_writes.program_tags()["mlflow.source.type"] == "NOTEBOOK"
"""


def test_tags_of_the_program_are_those_of_mlflow_without_importing_ipython(alone):
    environment = os.environ | {"IPYTHONDIR": str(alone)}
    ended = subprocess.run(
        [sys.executable, "-c", _TELLS_ITS_PROGRAM], capture_output=True, text=True, env=environment, check=False
    )
    assert ended.returncode == 0, ended.stderr
