"""Write one record of a run to its MLflow store; `uploader` decides when."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_exp.errors import TrackingError
from mnist_exp.runtime import lazy_modules, retries
from mnist_exp.tracking import mlflow_log, model_folder, names, registry, store
from mnist_exp.tracking.background_call import BackgroundCall
from mnist_exp.tracking.spool import Record

if TYPE_CHECKING:
    import keras
    import mlflow

_AT_ONCE = 100  # run ids in one request: MLflow answers with 100 models at the most
_METRICS_AT_ONCE = 1000  # the most that MLflow takes in one request
_MODEL_FILE = "model.keras"
_ENVIRONMENT = {
    # With its defaults MLflow gives up after minutes: 7 retries of 120 s each.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    # MLflow would draw them over our own lines whenever it sends or fetches files.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
# HTTP statuses below 500 after which the store may still take the same record later.
TRANSIENT = (401, 403, 408, 429)


@dataclass(frozen=True)
class TrainedModel:
    """A model that is to be recorded.

    Args:
        keras: the model.
        tags_of: returns tags of the run by the content of the model's file.
    """

    keras: "keras.Model"
    tags_of: Callable[[bytes], Mapping[str, str]]


def write_errors() -> tuple[type[Exception], ...]:
    """Return the classes of the errors that a write may raise. Imports MLflow."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    # Those of `requests` are subclasses of OSError; `store.client` raises TrackingError.
    return MlflowException, SQLAlchemyError, TrackingError, OSError


def read_errors() -> tuple[type[Exception], ...]:
    """Return the classes of the errors that a download may raise.

    RecursionError is one of them: a server may list folders that contain each other.
    """
    return (*write_errors(), RecursionError)


def limit_waits() -> None:
    """Make MLflow give up on a server after seconds, without progress bars, unless the user has set it otherwise."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def context_tags() -> dict[str, str]:
    """Return MLflow's own tags of user and program; an active run of MLflow becomes the parent."""
    import mlflow

    parent = mlflow.active_run()
    return program_tags() | ({names.PARENT: parent.info.run_id} if parent else {})


def program_tags() -> dict[str, str]:
    """Return MLflow's own tags of user and program, as of a notebook or a Git commit."""
    from mlflow.tracking.context import registry

    # Whether this is a notebook MLflow asks of IPython, which a notebook has imported; anew it takes 8 MB.
    with lazy_modules.imported_later(frozenset(), absent=("IPython",)):
        return dict(registry.resolve_tags())


def write(uri: str, run_id: str, record: Record, model: TrainedModel | None = None) -> None:
    """Write one record to the store; writing it twice does no harm.

    Args:
        uri: address of the store.
        run_id: of the run.
        record: to write.
        model: the model of a record of kind `model`; None if the record holds it as a file.
    Raises: one of `write_errors`.
    """
    with mlflow_log.quiet():
        _WRITERS[record.kind](store.client(uri), run_id, record, model)


def call_patiently(action: Callable[[], Any]) -> Any:
    """Make a call that must succeed before a run can begin, and repeat it for a while if the store is busy.

    Args:
        action: called in a thread; its result is returned.
    Raises: one of `write_errors`.
    """
    from mlflow.exceptions import MlflowException

    def in_background() -> Any:
        # While SQLite waits for a lock, the thread that waits handles no signals.
        call = BackgroundCall(mlflow_log.quiet()(action))
        call.wait()
        return call.result()

    def is_away(error: BaseException) -> bool:
        return isinstance(error, MlflowException) and bool(error.get_http_status_code() >= 500)

    return retries.while_away(retries.PATIENCE_S, is_away)(in_background)


def _params(client: "mlflow.MlflowClient", run_id: str, record: Record, model: Any) -> None:
    from mlflow.entities import Param

    client.log_batch(run_id, params=[Param(key, value) for key, value in record.facts.items()])


def _metrics(client: "mlflow.MlflowClient", run_id: str, record: Record, model: Any) -> None:
    from mlflow.entities import Metric

    at, step = record.facts["time"], record.facts["step"]
    points = [Metric(name, value, at, step) for name, value in record.facts["metrics"].items()]
    for measured_at, measured_step, values in record.facts.get("measured", ()):
        points += [Metric(name, value, measured_at, measured_step) for name, value in values.items()]
    for start in range(0, len(points), _METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=points[start : start + _METRICS_AT_ONCE])


def _tags(client: "mlflow.MlflowClient", run_id: str, record: Record, model: Any) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in record.facts.items()])


def _inputs(client: "mlflow.MlflowClient", run_id: str, record: Record, model: Any) -> None:
    """Log inputs of the run; MLflow fails where two processes are the first to log the same one."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.exceptions import MlflowException

    def is_lost(error: BaseException) -> bool:
        return isinstance(error, MlflowException) and "datasets" in str(error)

    logged = [DatasetInput(Dataset(**facts), [InputTag(names.CONTEXT, name)]) for name, facts in record.facts.items()]
    retries.after_race(10, (0.01, 0.1), is_lost)(client.log_inputs, run_id, logged)


def _files(client: "mlflow.MlflowClient", run_id: str, record: Record, model: Any) -> None:
    with unpacked(record.files) as folder:
        client.log_artifacts(run_id, str(folder))


def _model(client: "mlflow.MlflowClient", run_id: str, record: Record, model: TrainedModel | None) -> None:
    """Log the model in Keras's format, with its signature and fixed requirements.

    Each step can be repeated, so a process can continue where an earlier one ended; MLflow's `log_model` fails then.
    """
    import numpy as np
    from mlflow.entities import LoggedModelOutput, RunTag
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    facts = record.facts
    logged, outputs = None, set()
    if model is not None and (created := facts.get("created")):
        experiment, params = created["experiment"], created["params"]
    else:
        run = client.get_run(run_id)
        if names.MODEL_URI in run.data.tags:
            return
        experiment, params = run.info.experiment_id, run.data.params
        begun = client.search_logged_models([experiment], filter_string=f"source_run_id = '{run_id}'")
        logged = next((each for each in begun if each.name == "model"), None)
        outputs = {output.model_id for output in run.outputs.model_outputs} if run.outputs else set()
    logged = logged or client.create_logged_model(experiment, "model", run_id, params=params)
    pixels = TensorSpec(np.dtype(facts["dtype"]), (-1, *facts["image_shape"]))
    probabilities = TensorSpec(np.dtype(np.float32), (-1, facts["classes"]))
    described = Model(
        logged.artifact_location,
        run_id,
        signature=ModelSignature(Schema([pixels]), Schema([probabilities])),
        model_uuid=logged.model_id,
        model_id=logged.model_id,
    )
    with unpacked(record.files) as files:
        if model is not None:
            with _failed_unless_saved(client, logged.model_id):
                model.keras.save(files / _MODEL_FILE)
        tags = {} if model is None else model.tags_of((files / _MODEL_FILE).read_bytes())
        made_by = facts.get("made_by") or model_folder.made_by()
        model_folder.write(files / "model", files / _MODEL_FILE, described, made_by)
        client.log_model_artifacts(logged.model_id, str(files / "model"))
    if logged.model_id not in outputs:
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    client.finalize_logged_model(logged.model_id, "READY")
    tags = {**tags, names.MODEL_URI: f"models:/{logged.model_id}"}
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


@contextlib.contextmanager
def _failed_unless_saved(client: "mlflow.MlflowClient", model_id: str) -> Iterator[None]:
    """Mark a logged model FAILED where Keras cannot save the model: otherwise it would be PENDING for ever."""
    try:
        yield
    except Exception:
        with contextlib.suppress(*write_errors()):
            client.finalize_logged_model(model_id, "FAILED")
        raise


def fail_pending_models(client: "mlflow.MlflowClient", experiment_id: str, run_ids: Sequence[str]) -> None:
    """Mark the models FAILED that these runs began to record; a run that is resumed makes its model READY.

    Args:
        client: of the store.
        experiment_id: of the runs.
        run_ids: of runs that have ended without a model.
    Raises: one of `write_errors`.
    """
    for start in range(0, len(run_ids), _AT_ONCE):
        # Not by `status = 'PENDING'`: MLflow keeps the status as a number, and finds none by its name.
        listed = ", ".join(f"'{run_id}'" for run_id in run_ids[start : start + _AT_ONCE])
        for model in client.search_logged_models([experiment_id], f"source_run_id IN ({listed})"):
            if str(model.status) == "PENDING":
                client.finalize_logged_model(model.model_id, "FAILED")


def _registration(client: "mlflow.MlflowClient", run_id: str, record: Record, model: Any) -> None:
    registry.register(client, client.tracking_uri, run_id, record.facts["name"])


def _end(client: "mlflow.MlflowClient", run_id: str, record: Record, model: Any) -> None:
    client.set_terminated(run_id, record.facts["status"], end_time=record.facts["time"])


_WRITERS: dict[str, Callable[..., None]] = {
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
    """Yield a temporary folder with these files."""
    with tempfile.TemporaryDirectory(prefix="mnist_exp-") as name:
        for inner, content in files.items():
            file = Path(name) / inner
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        yield Path(name)


def packed(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder, by its relative path."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def packed_model(record: Record, model: "keras.Model") -> Record:
    """Return the record with the model as a file in it. Raises: OSError: the disk is full."""
    with tempfile.TemporaryDirectory(prefix="mnist_exp-") as folder:
        model.save(Path(folder) / _MODEL_FILE)
        return Record(record.kind, record.facts, packed(Path(folder)))
