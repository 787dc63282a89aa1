"""Bring a run's records to its store, in their order; what the store does not take waits on disk and is tried again."""

import contextlib
import importlib
import importlib.metadata
import logging
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_exp.errors import RunError, first_line
from mnist_exp.outbox import Message, Outbox
from mnist_exp.redaction import redact

if TYPE_CHECKING:
    import keras
    import mlflow

PATIENCE_S = 60.0
_RETRY_S = 2.0
_LONGEST_RETRY_S = 60.0
_ATTEMPTS = 10
_MODEL_FILE = "model.keras"
# MLflow's own would hold a training up for minutes: 7 retries, 120 s each.
_BRIEF = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
}
# They print a traceback, or a line for each retry, of what is told in one sentence here.
_LOUD = ("mlflow.store.db.utils", "urllib3.connectionpool", "mlflow.utils.requests_utils")
# Asking again later may help with these, whatever else the store may say.
_MAY_PASS = (401, 403, 408, 429)


class UndeliveredError(RunError):
    """The store did not take all that there is of a run; the rest is on disk."""


class Courier:
    """Brings the records of one run.

    Args:
        uri: address of the store.
        run_id: of the run.
        outbox: where records wait.
        warn: told when the store stops answering, and when it is back.
    """

    def __init__(self, uri: str, run_id: str, outbox: Outbox, warn: Callable[[str], None]) -> None:
        self.outbox = outbox
        self.reason = ""
        self._uri, self._run_id, self._warn = uri, run_id, warn
        self._wait_s, self._next_try = _RETRY_S, 0.0
        self._may_pass = True

    def send(self, message: Message, model: "keras.Model | None" = None) -> None:
        """Bring a record, behind those that wait; it waits too if the store does not take it now.

        Args:
            message: the record.
            model: that it is about, for the kind `model`.
        """
        if not len(self.outbox):
            try:
                bring(self._uri, self._run_id, message, model)
                return
            except lost() as error:
                self._lose(error)
        try:
            self.outbox.add(message if model is None else _packed(message, model))
        except OSError as error:
            raise UndeliveredError(f"the model can be neither recorded nor kept: {error.strerror or error}") from error
        if time.monotonic() >= self._next_try:
            self.deliver()

    def deliver(self, patience_s: float = 0.0) -> bool:
        """Bring what waits, and tell whether nothing does any more.

        Args:
            patience_s: how long to try again; not where trying again is of no use.
        """
        until = time.monotonic() + patience_s
        waited = len(self.outbox)
        while len(self.outbox):
            try:
                bring(self._uri, self._run_id, self.outbox.first())
                self.outbox.drop_first()
            except lost() as error:
                self._lose(error)
                self.outbox.store()
                if time.monotonic() + _RETRY_S > until or not self._may_pass:
                    return False
                time.sleep(_RETRY_S)
        if self.reason:
            self._warn(f"the tracking store is back: {_records(waited)} that had waited delivered")
        self.reason, self._wait_s = "", _RETRY_S
        return True

    def _lose(self, error: BaseException) -> None:
        if not self.reason:
            self._warn(
                f"the tracking store does not take records ({redact(_short(error))}); the training goes on, and they "
                f"wait in {self.outbox.folder}"
            )
        self.reason = redact(_short(error))
        status = getattr(error, "get_http_status_code", lambda: 500)()
        self._may_pass = status >= 500 or status in _MAY_PASS
        self._next_try = time.monotonic() + self._wait_s
        self._wait_s = min(self._wait_s * 2, _LONGEST_RETRY_S)


def lost() -> tuple[type[Exception], ...]:
    """Return the errors by which a record does not arrive. Imports MLflow."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, OSError  # The last is the first ancestor of those of `requests`.


def be_brief() -> None:
    """Let MLflow give up on a server in seconds, unless the user chose otherwise."""
    for name, value in _BRIEF.items():
        os.environ.setdefault(name, value)


def bring(uri: str, run_id: str, message: Message, model: "keras.Model | None" = None) -> None:
    """Bring one record; bringing it twice does no harm. Raises: one of `lost`."""
    import mlflow

    with _quiet():
        _BRINGERS[message.kind](mlflow.MlflowClient(tracking_uri=uri), uri, run_id, message, model)


def patiently(action: Callable[[], Any]) -> Any:
    """Do what a training cannot begin without, with patience for a busy store. Raises: one of `lost`."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            with _quiet():
                return action()
        except lost() as error:
            status = getattr(error, "get_http_status_code", lambda: 400)()
            if status < 500 or time.monotonic() + _RETRY_S > until:
                raise
            time.sleep(_RETRY_S)


def _params(client: "mlflow.MlflowClient", uri: str, run_id: str, message: Message, model: Any) -> None:
    from mlflow.entities import Param

    client.log_batch(run_id, params=[Param(key, value) for key, value in message.facts.items()])


def _metrics(client: "mlflow.MlflowClient", uri: str, run_id: str, message: Message, model: Any) -> None:
    from mlflow.entities import Metric

    at, step = message.facts["time"], message.facts["step"]
    client.log_batch(run_id, metrics=[Metric(k, v, at, step) for k, v in message.facts["metrics"].items()])


def _tags(client: "mlflow.MlflowClient", uri: str, run_id: str, message: Message, model: Any) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in message.facts.items()])


def _inputs(client: "mlflow.MlflowClient", uri: str, run_id: str, message: Message, model: Any) -> None:
    """Log inputs of the run; MLflow fails where two processes are the first to log the same one."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.exceptions import MlflowException

    for context, facts in message.facts.items():
        logged = DatasetInput(Dataset(**facts), [InputTag("mlflow.data.context", context)])
        for attempt in range(_ATTEMPTS):
            try:
                client.log_inputs(run_id, [logged])
                break
            except MlflowException as error:
                if "datasets" not in str(error) or attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(random.uniform(0.01, 0.1))  # noqa: S311


def _files(client: "mlflow.MlflowClient", uri: str, run_id: str, message: Message, model: Any) -> None:
    with unpacked(message.files) as folder:
        client.log_artifacts(run_id, str(folder))


def _model(client: "mlflow.MlflowClient", uri: str, run_id: str, message: Message, model: Any) -> None:
    """Log the model in Keras's format, with its signature and fixed requirements.

    Requirements are named here because MLflow infers them by importing the model in a child process, 10 s.
    """
    import mlflow.keras
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    facts = message.facts
    run = client.get_run(run_id)
    if "mnist_exp.model_uri" in run.data.tags:
        return
    experiment = run.info.experiment_id
    begun = client.search_logged_models([experiment], filter_string=f"source_run_id = '{run_id}'")
    pending = [each for each in begun if each.name == "model" and str(each.status) != "READY"]
    logged = pending[0] if pending else client.create_logged_model(experiment, "model", run_id, params=run.data.params)
    pixels = TensorSpec(np.dtype(facts["dtype"]), (-1, *facts["image_shape"]))
    probabilities = TensorSpec(np.dtype(np.float32), (-1, facts["classes"]))
    packages = ("tensorflow", "keras", "numpy", "mlflow")
    with _tracking_uri(uri):
        Model.log(
            artifact_path=None,
            flavor=mlflow.keras,
            name="model",
            model=_unpacked(message) if model is None else model,
            signature=ModelSignature(Schema([pixels]), Schema([probabilities])),
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in packages],
            run_id=run_id,
            model_id=logged.model_id,
        )
    client.set_tag(run_id, "mnist_exp.model_uri", f"models:/{logged.model_id}")


def _end(client: "mlflow.MlflowClient", uri: str, run_id: str, message: Message, model: Any) -> None:
    client.set_terminated(run_id, message.facts["status"], end_time=message.facts["time"])


_BRINGERS: dict[str, Callable[..., None]] = {
    "params": _params,
    "metrics": _metrics,
    "tags": _tags,
    "inputs": _inputs,
    "files": _files,
    "model": _model,
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


def _packed(message: Message, model: "keras.Model") -> Message:
    """Return the message with the model in it."""
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
def _tracking_uri(uri: str) -> Iterator[None]:
    """Point MLflow at a store; it notes that in the environment too, where the next run would take it for a choice."""
    import mlflow

    variable = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(variable)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _LOUD]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, was_disabled in zip(loggers, before, strict=True):
            logger.disabled = was_disabled


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count} records"


def _short(error: BaseException) -> str:
    """Return what went wrong without the chain of wrappers that `requests` and SQLAlchemy put around it."""
    text = first_line(error).removeprefix("MlflowException: ")
    for sign in ("Max retries exceeded", "(Background on this error"):
        text = text.partition(sign)[0]
    return text.strip(" (:")[:200]
