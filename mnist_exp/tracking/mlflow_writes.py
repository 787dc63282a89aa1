"""Bring one record of a run to its store, in MLflow's words; `courier` brings them all."""

import contextlib
import importlib
import importlib.metadata
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_exp.runtime import retries
from mnist_exp.tracking import names, registry, store
from mnist_exp.tracking.background import Attempt
from mnist_exp.tracking.spool import Message

if TYPE_CHECKING:
    import keras
    import mlflow

_MODEL_FILE = "model.keras"
_ENVIRONMENT = {
    # MLflow's own would take minutes to give up: 7 retries, 120 s each.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    # It draws them over what is told here, each time it sends or fetches files.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
# They print a traceback, or a line for each retry, of what is told in one sentence here.
_LOUD = ("mlflow.store.db.utils", "urllib3.connectionpool", "mlflow.utils.requests_utils")
# Asking again later may help with these, whatever else the store may say.
MAY_PASS = (401, 403, 408, 429)


def lost() -> tuple[type[Exception], ...]:
    """Return the errors by which a record does not arrive. Imports MLflow."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, OSError  # The last is the first ancestor of those of `requests`.


def unfetched() -> tuple[type[Exception], ...]:
    """Return the errors by which a file does not come from a store; the last is of folders without an end."""
    return (*lost(), RecursionError)


def be_brief() -> None:
    """Let MLflow give up on a server in seconds, and draw no bars, unless the user chose otherwise."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def bring(uri: str, run_id: str, message: Message, model: "keras.Model | None" = None) -> None:
    """Bring one record; bringing it twice does no harm. Raises: one of `lost`."""
    with _quiet():
        _BRINGERS[message.kind](store.client(uri), run_id, message, model)


def patiently(action: Callable[[], Any]) -> Any:
    """Do what a training cannot begin without, with patience for a busy store. Raises: one of `lost`."""
    from mlflow.exceptions import MlflowException

    def in_background() -> Any:
        # A signal would not come through to a thread that waits for SQLite.
        attempt = Attempt(_quiet()(action))
        attempt.wait()
        return attempt.result()

    def is_away(error: BaseException) -> bool:
        return isinstance(error, MlflowException) and bool(error.get_http_status_code() >= 500)

    return retries.while_away(retries.PATIENCE_S, is_away)(in_background)


def _params(client: "mlflow.MlflowClient", run_id: str, message: Message, model: Any) -> None:
    from mlflow.entities import Param

    client.log_batch(run_id, params=[Param(key, value) for key, value in message.facts.items()])


def _metrics(client: "mlflow.MlflowClient", run_id: str, message: Message, model: Any) -> None:
    from mlflow.entities import Metric

    at, step = message.facts["time"], message.facts["step"]
    client.log_batch(run_id, metrics=[Metric(k, v, at, step) for k, v in message.facts["metrics"].items()])


def _tags(client: "mlflow.MlflowClient", run_id: str, message: Message, model: Any) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in message.facts.items()])


def _inputs(client: "mlflow.MlflowClient", run_id: str, message: Message, model: Any) -> None:
    """Log inputs of the run; MLflow fails where two processes are the first to log the same one."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.exceptions import MlflowException

    def is_lost(error: BaseException) -> bool:
        return isinstance(error, MlflowException) and "datasets" in str(error)

    for context, facts in message.facts.items():
        logged = DatasetInput(Dataset(**facts), [InputTag(names.CONTEXT, context)])
        retries.after_race(10, (0.01, 0.1), is_lost)(client.log_inputs, run_id, [logged])


def _files(client: "mlflow.MlflowClient", run_id: str, message: Message, model: Any) -> None:
    with unpacked(message.files) as folder:
        client.log_artifacts(run_id, str(folder))


def _model(client: "mlflow.MlflowClient", run_id: str, message: Message, model: Any) -> None:
    """Log the model in Keras's format, with its signature and fixed requirements.

    Step by step, each of which can be done again: MLflow's `log_model` cannot go on where an earlier process ended, and
    fails. Requirements are named here because it infers them by importing the model in a child process, 10 s.
    """
    import mlflow.keras
    import numpy as np
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    facts = message.facts
    run = client.get_run(run_id)
    if names.MODEL_URI in run.data.tags:
        return
    experiment = run.info.experiment_id
    begun = client.search_logged_models([experiment], filter_string=f"source_run_id = '{run_id}'")
    logged = next((each for each in begun if each.name == "model"), None) or client.create_logged_model(
        experiment, "model", run_id, params=run.data.params
    )
    pixels = TensorSpec(np.dtype(facts["dtype"]), (-1, *facts["image_shape"]))
    probabilities = TensorSpec(np.dtype(np.float32), (-1, facts["classes"]))
    packages = ("tensorflow", "keras", "numpy", "mlflow")
    with tempfile.TemporaryDirectory(prefix="mnist_exp-") as name:
        mlflow.keras.save_model(
            _unpacked(message) if model is None else model,
            str(Path(name) / "model"),
            mlflow_model=Model(logged.artifact_location, run_id, model_uuid=logged.model_id, model_id=logged.model_id),
            signature=ModelSignature(Schema([pixels]), Schema([probabilities])),
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in packages],
        )
        client.log_model_artifacts(logged.model_id, str(Path(name) / "model"))
    outputs = run.outputs.model_outputs if run.outputs else []
    if logged.model_id not in {output.model_id for output in outputs}:
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    client.finalize_logged_model(logged.model_id, "READY")
    client.set_tag(run_id, names.MODEL_URI, f"models:/{logged.model_id}")


def _registration(client: "mlflow.MlflowClient", run_id: str, message: Message, model: Any) -> None:
    registry.register(client, client.tracking_uri, run_id, message.facts["name"])


def _end(client: "mlflow.MlflowClient", run_id: str, message: Message, model: Any) -> None:
    client.set_terminated(run_id, message.facts["status"], end_time=message.facts["time"])


_BRINGERS: dict[str, Callable[..., None]] = {
    "params": _params,
    "metrics": _metrics,
    "tags": _tags,
    "inputs": _inputs,
    "files": _files,
    "model": _model,
    "registration": _registration,
    "end": _end,
}


@contextlib.contextmanager
def unpacked(files: Mapping[str, bytes]) -> Iterator[Path]:
    """Yield a folder with these files; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mnist_exp-") as name:
        for inner, content in files.items():
            file = Path(name) / inner
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        yield Path(name)


def packed(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def packed_model(message: Message, model: "keras.Model") -> Message:
    """Return the message with the model in it. Raises: OSError: there is no room for that."""
    with tempfile.TemporaryDirectory(prefix="mnist_exp-") as folder:
        model.save(Path(folder) / _MODEL_FILE)
        return Message(message.kind, message.facts, packed(Path(folder)))


def _unpacked(message: Message) -> "keras.Model":
    import keras

    for module in message.facts["trusted_modules"]:
        importlib.import_module(module)  # Where Keras finds the layers that the user has made.
    with unpacked(message.files) as folder:
        return keras.saving.load_model(folder / _MODEL_FILE, compile=False, safe_mode=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep from the log what MLflow says of errors in this thread."""
    for name in _LOUD:
        logging.getLogger(name).addFilter(_is_audible)
    _silenced.add(threading.get_ident())
    try:
        yield
    finally:
        _silenced.discard(threading.get_ident())


_silenced: set[int] = set()


def _is_audible(record: logging.LogRecord) -> bool:
    return record.thread not in _silenced
