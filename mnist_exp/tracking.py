"""Record a run in MLflow, or nowhere: one small class each, with the same methods."""

import contextlib
import importlib.metadata
import os
import random
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mnist_exp import store
from mnist_exp.data.dataset import Dataset
from mnist_exp.errors import TrackingError
from mnist_exp.fields import text
from mnist_exp.redaction import redact
from mnist_exp.settings import TrackingSettings

if TYPE_CHECKING:
    import keras
    import mlflow

# MLflow keeps 36 characters of a digest; the whole one is a tag.
_DIGEST_LENGTH = 36
_ATTEMPTS = 10


class Tracker(Protocol):
    """Where a run is recorded. `open_tracker` makes one; `start` comes first and `end` last."""

    run_id: str | None
    how_to_look: str

    def load(self) -> None:
        """Import what recording needs, all at once, where imports are quick."""

    def start(self, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Create the run, status RUNNING. Raises: TrackingError: the store refuses it."""

    def log_data(self, data: Dataset) -> None:
        """Log the training and the test set as inputs of the run, with their own SHA-256."""

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log metrics at one step, in one call."""

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags."""

    def log_files(self, folder: Path) -> None:
        """Log every file of a folder as an artifact."""

    def log_text(self, text: str, name: str) -> None:
        """Log a text as an artifact."""

    def log_model(self, model: "keras.Model", data: Dataset) -> None:
        """Log the model in Keras's format, with its signature and fixed requirements."""

    def end(self, status: str) -> None:
        """Close the run as FINISHED, FAILED or KILLED."""


def open_tracker(settings: TrackingSettings) -> Tracker:
    """Return the tracker that the settings name, its store checked and, if new, already being created.

    Raises: TrackingError: the store does not answer or cannot be written.
    """
    return MlflowTracker(settings) if settings.store == "mlflow" else NoTracker()


class NoTracker:
    """Records nothing."""

    run_id: str | None = None
    how_to_look = ""

    def load(self) -> None:
        """Do nothing."""

    def start(self, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Do nothing."""

    def log_data(self, data: Dataset) -> None:
        """Do nothing."""

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Do nothing."""

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Do nothing."""

    def log_files(self, folder: Path) -> None:
        """Do nothing."""

    def log_text(self, text: str, name: str) -> None:
        """Do nothing."""

    def log_model(self, model: "keras.Model", data: Dataset) -> None:
        """Do nothing."""

    def end(self, status: str) -> None:
        """Do nothing."""


class MlflowTracker:
    """Records in an MLflow store. Nothing of MLflow is imported before `load`."""

    def __init__(self, settings: TrackingSettings) -> None:
        self.run_id: str | None = None
        self._uri = store.locate(settings.uri)
        self._experiment = settings.experiment
        self._ended = contextlib.ExitStack()
        self.how_to_look = how_to_look(settings)
        store.check(self._uri)
        self._creation = store.begin_creation(self._uri, self._experiment)

    def load(self) -> None:
        """Import what recording needs, all at once, where imports are quick."""
        import mlflow.keras

        if not self._uri.startswith("http"):
            import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

    def start(self, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Create the run, status RUNNING. Raises: TrackingError: the store refuses it."""
        import mlflow
        from mlflow.entities import Param

        store.finish_creation(self._creation)
        self._ended.enter_context(_tracking_uri(self._uri))
        with _understood(self._uri):
            experiment = store.experiment_id(self._uri, self._experiment)
            client = mlflow.MlflowClient()
            # Not by start_run alone: it would take over the run that $MLFLOW_RUN_ID names.
            run = client.create_run(experiment, run_name=name, tags=_context_tags() | dict(tags))
            self.run_id = run.info.run_id
            mlflow.start_run(run_id=self.run_id, nested=True)
            client.log_batch(self.run_id, params=[Param(key, text(value)) for key, value in params.items()])

    def log_data(self, data: Dataset) -> None:
        """Log the training and the test set as inputs of the run, with their own SHA-256."""
        import mlflow
        from mlflow.data.code_dataset_source import CodeDatasetSource

        source = CodeDatasetSource(tags={"place": data.place})
        arrays = {"training": (data.x_train, data.y_train), "testing": (data.x_test, data.y_test)}
        for context, (x, y) in arrays.items():
            digest = data.sha256[:_DIGEST_LENGTH]
            logged = mlflow.data.from_numpy(x, source=source, targets=y, name=f"{data.name}_{context}", digest=digest)
            _log_input(logged, context)

    # By the run's id, not by MLflow's active run: without one it would begin another run.

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log metrics at one step, in one call."""
        from mlflow.entities import Metric

        now = round(time.time() * 1000)
        self._client().log_batch(self.run_id, metrics=[Metric(k, v, now, step) for k, v in metrics.items()])

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags."""
        from mlflow.entities import RunTag

        self._client().log_batch(self.run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def log_files(self, folder: Path) -> None:
        """Log every file of a folder as an artifact."""
        self._client().log_artifacts(self.run_id, str(folder))

    def log_text(self, text: str, name: str) -> None:
        """Log a text as an artifact."""
        self._client().log_text(self.run_id, text, name)

    def log_model(self, model: "keras.Model", data: Dataset) -> None:
        """Log the model in Keras's format, with its signature and fixed requirements.

        Requirements are named here because MLflow infers them by importing the model in a child process, 10 s.
        """
        import mlflow.keras
        import numpy as np
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

        pixels = TensorSpec(data.x_train.dtype, (-1, *data.image_shape))
        probabilities = TensorSpec(np.dtype(np.float32), (-1, data.classes))
        packages = ("tensorflow", "keras", "numpy", "mlflow")
        logged = mlflow.keras.log_model(
            model,
            name="model",
            signature=ModelSignature(Schema([pixels]), Schema([probabilities])),
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in packages],
        )
        self.log_tags({"mnist_exp.model_uri": logged.model_uri})

    def end(self, status: str) -> None:
        """Close the run as FINISHED, FAILED or KILLED."""
        import mlflow

        active = mlflow.active_run()
        if active is not None and active.info.run_id == self.run_id:
            mlflow.end_run(status)
        elif self.run_id is not None:  # Interrupted while it was being created.
            self._client().set_terminated(self.run_id, status)
        self._ended.close()

    def _client(self) -> "mlflow.MlflowClient":
        import mlflow

        return mlflow.MlflowClient(tracking_uri=self._uri)


def _log_input(dataset: Any, context: str) -> None:
    """Log an input of the run; MLflow fails where two processes are the first to log the same one."""
    import mlflow
    from mlflow.exceptions import MlflowException

    for attempt in range(_ATTEMPTS):
        try:
            mlflow.log_input(dataset, context=context)
            return
        except MlflowException as error:
            if "datasets" not in str(error) or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(random.uniform(0.01, 0.1))  # noqa: S311


def _context_tags() -> dict[str, str]:
    """Return what MLflow notes of user and program, and the run that is active already, as its parent."""
    import mlflow
    from mlflow.tracking.context import registry

    parent = mlflow.active_run()
    return dict(registry.resolve_tags()) | ({"mlflow.parentRunId": parent.info.run_id} if parent else {})


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
def folder() -> Iterator[Path]:
    """Yield a folder for files on their way to the tracker; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mnist_exp-") as name:
        yield Path(name)


@contextlib.contextmanager
def _understood(uri: str) -> Iterator[None]:
    """Turn what MLflow says when a store cannot be opened into one sentence."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        text = str(error).splitlines()[0]
        if "out-of-date database schema" in text:
            text = f"it was made by another version of MLflow; run `mlflow db upgrade {redact(uri)}`"
        raise TrackingError(f"tracking.uri={redact(uri)} refuses the run: {text}") from error


def how_to_look(settings: TrackingSettings) -> str:
    """Return what shows the runs in a browser: a server's address, or the command that starts one."""
    uri = store.locate(settings.uri)
    if uri.startswith(("http://", "https://")):
        return redact(uri)
    option = "" if uri == store.DEFAULT_URI else f" --backend-store-uri {redact(uri)}"
    return f"mlflow ui{option}   then open http://127.0.0.1:5000"
