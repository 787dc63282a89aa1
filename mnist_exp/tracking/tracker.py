"""Record a run in MLflow, or nowhere."""

import contextlib
import itertools
import math
import os
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.config.wording import text
from mnist_exp.data.dataset import Dataset
from mnist_exp.data.lazy import LazyArray
from mnist_exp.errors import SettingsError, TrackingError
from mnist_exp.runtime import retries, signals
from mnist_exp.runtime.redaction import redact
from mnist_exp.tracking import (
    creation,
    mlflow_writes,
    model_folder,
    names,
    query_statistics,
    run_folder,
    runs,
    store,
    system_metrics,
    ui_view,
)
from mnist_exp.tracking.mlflow_writes import TrainedModel
from mnist_exp.tracking.run_folder import RunFolder
from mnist_exp.tracking.runs import StoredRun
from mnist_exp.tracking.spool import Record, Spool
from mnist_exp.tracking.system_metrics import SystemMetrics
from mnist_exp.tracking.uploader import LAST_WORDS_S, Uploader, UploadError
from mnist_exp.tracking.wanted import Wanted
from mnist_exp.tracking.written import Written

if TYPE_CHECKING:
    from mlflow.entities import Run

# MLflow keeps 36 characters of a digest; the whole one is a tag.
_DIGEST_LENGTH = 36
_SURELY_WHOLE = 500  # characters; MLflow cuts values of some thousand


class Tracker:
    """Records a run. This class records nothing (`tracking=none`); its subclass `MlflowTracker` records in MLflow.

    `open_tracker` makes a tracker. Call `start` or `resume` first, and `end` last.

    Attributes:
        run_id: of the run; None if the run is not recorded.
        folder: the folder of the run on disk, locked for this process; None if the run is not recorded.
        how_to_look: how to see the run in a browser; empty if the run is not recorded.
        registered: after the end, the registered version of the model, and why it is the champion or not.
        written: what it was given to record.
    """

    def __init__(self, settings: TrackingSettings) -> None:
        self.written = Written(settings)
        self.run_id: str | None = None
        self.folder: RunFolder | None = None
        self.how_to_look = ""
        self.registered = ""

    def load(self) -> None:
        """Import what recording needs, all at once, where imports are quick."""

    def start(self, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Create the run, status RUNNING. Raises: TrackingError: the store refuses it."""
        self.written.begin(name, params, tags)

    def resume(self, folder: RunFolder, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Go on with the run of a folder, status RUNNING again. Raises: TrackingError: the store refuses it."""

    def log_data(self, data: Dataset) -> None:
        """Log the training and the test set as inputs of the run, with their own SHA-256."""

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log metrics at one step; a resumed run keeps the values that it has at this step already."""
        self.written.metrics |= metrics

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags."""
        self.written.tags |= tags

    def log_files(self, folder: Path) -> None:
        """Log every file of a folder as an artifact."""

    def log_model(self, model: TrainedModel, data: Dataset) -> None:
        """Log the model in Keras's format, with its signature and fixed requirements."""

    def register_model(self) -> None:
        """Register the logged model if `tracking.register_as` is set; at the end, `registered` holds the result."""

    def end(self, status: str, patience_s: float = 0.0) -> None:
        """Close the run as FINISHED, FAILED or KILLED.

        Args:
            status: of the run.
            patience_s: how long to wait for a store that does not take records; a KILLED run has no time for that.
        Raises: UploadError: the store did not take all records of a FINISHED run. For other runs this is a warning.
        """
        self.written.end(status)

    def recorded(self) -> StoredRun:
        """Return the run as it is recorded, once it has ended; its id is empty if it is not recorded."""
        return self.written.stored(self.run_id)


def load_mlflow(*, is_remote: bool) -> None:
    """Import of MLflow what recording needs, where imports are quick.

    Args:
        is_remote: whether the store is a server.
    """
    import mlflow
    import mlflow.models
    import mlflow.types

    if not is_remote:
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401


def open_tracker(settings: TrackingSettings, warn: Callable[[str], None]) -> Tracker:
    """Return the tracker that the settings name, its store checked and, if new, already being created.

    Raises: SettingsError: the store does not answer, or it or the folder of unfinished runs cannot be written.
    """
    return MlflowTracker(settings, warn) if settings.store == "mlflow" else Tracker(settings)


class MlflowTracker(Tracker):
    """Records in an MLflow store, by the run's id. Nothing of MLflow is imported before `load`.

    A store that stops answering does not stop the run: see `uploader`.
    """

    def __init__(self, settings: TrackingSettings, warn: Callable[[str], None]) -> None:
        super().__init__(settings)
        self._settings, self._warn = settings, warn
        self._uri = store.locate(settings.uri)
        self._uploader: Uploader | None = None
        self._recorded: set[tuple[str, int]] = set()
        self._is_delivered = False
        self._latest_ms = 0
        # What the store need not be asked of a run that was created here: nobody else has written to it.
        self._created: dict[str, Any] | None = None
        self._system: SystemMetrics | None = None
        system_metrics.check()
        if (other := os.environ.get("MLFLOW_EXPERIMENT_NAME", settings.experiment)) != settings.experiment:
            warn(
                f"$MLFLOW_EXPERIMENT_NAME={other} has no effect here: tracking.experiment={settings.experiment} counts"
            )
        store.check(self._uri)
        run_folder.check(settings)
        self._creation = creation.begin(self._uri)

    def load(self) -> None:
        """Import what recording needs, all at once, where imports are quick."""
        load_mlflow(is_remote=self._uri.startswith("http"))
        mlflow_writes.limit_waits()

    def start(self, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Create the run, status RUNNING. Raises: TrackingError: the store refuses it."""
        from mlflow.exceptions import MlflowException

        creation.finish(self._creation)
        client = store.client(self._uri)
        tags = mlflow_writes.context_tags() | dict(tags)  # Here: MLflow's active run is this thread's.
        view = ui_view.of_runs(params[names.SELECTED_BY], params[names.DIRECTION], params)
        began_ms, tries = self._now_ms(), itertools.count()
        self.written.begin(name, params, tags, began_ms)
        shown = self.written.params

        def create() -> str:
            is_again = next(tries) > 0
            experiment_id, page = ui_view.place(self._uri, self._settings.experiment, view, anew=is_again)
            self.how_to_look = how_to_look(self._settings, page)
            if is_again:  # The server may have created the run, and died before it answered.
                for run in client.search_runs([experiment_id], f"attributes.start_time = {began_ms}"):
                    if tags.items() <= run.data.tags.items():
                        return str(run.info.run_id)
            try:
                run = client.create_run(experiment_id, start_time=began_ms, run_name=name, tags=tags)
            except MlflowException as error:
                if is_again or error.get_http_status_code() >= 500:
                    raise
                return create()  # The experiment was deleted since it was found, or the whole store.
            if max(map(len, shown.values()), default=0) < _SURELY_WHOLE:
                self._created = {"experiment": experiment_id, "params": shown}
            return str(run.info.run_id)

        with store.understood(self._uri):
            self.run_id = mlflow_writes.call_patiently(create)
        try:
            self._open(run_folder.folder_of(self._settings, self.run_id))
        except SettingsError:
            with contextlib.suppress(*mlflow_writes.write_errors()):
                client.set_terminated(self.run_id, "FAILED")
            raise
        self._send("params", shown)
        self._measure_machine()

    def resume(self, folder: RunFolder, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Go on with the run of a folder, status RUNNING again. Raises: TrackingError: the store refuses it."""
        self.run_id = folder.path.name
        client = store.client(self._uri)
        view = ui_view.of_runs(params[names.SELECTED_BY], params[names.DIRECTION], params)
        self._open(folder)
        assert self._uploader is not None
        if not self._uploader.flush(retries.PATIENCE_S):
            raise TrackingError(f"tracking.uri={redact(self._uri)} does not take what waits: {self._uploader.reason}")

        def reopen() -> "Run":
            run = client.get_run(self.run_id)
            for metric in run.data.metrics:
                self._recorded |= {(metric, point.step) for point in client.get_metric_history(self.run_id, metric)}
            client.update_run(self.run_id, status="RUNNING")
            # After the status: without its tag, a run that a search has paused would look like one that is done. The
            # traceback of a failure stays.
            for tag in (names.FAILURE, names.PRUNED):
                if tag in run.data.tags:
                    client.delete_tag(self.run_id, tag)
            experiment = client.get_experiment(run.info.experiment_id)
            self.how_to_look = how_to_look(self._settings, ui_view.page(client, experiment, view))
            return run

        with store.understood(self._uri):
            run = mlflow_writes.call_patiently(reopen)
        self.written.begin(run.info.run_name, run.data.params, run.data.tags, run.info.start_time)
        self.written.metrics |= run.data.metrics
        missing = {key: text(value) for key, value in params.items() if key not in run.data.params}
        self.written.params |= missing
        if missing:
            self._send("params", missing)
        self.log_tags(tags)
        self._measure_machine()

    def log_data(self, data: Dataset) -> None:
        """Log the training and the test set as inputs of the run, with their own SHA-256."""
        import mlflow
        from mlflow.data.code_dataset_source import CodeDatasetSource

        source = CodeDatasetSource(tags={"place": data.place})
        arrays = {"training": (data.x_train, data.y_train), "testing": (data.x_test, data.y_test)}
        inputs = {}
        for context, (x, y) in arrays.items():
            digest = data.sha256[:_DIGEST_LENGTH]
            shown = x.stand_in() if isinstance(x, LazyArray) else x
            logged = mlflow.data.from_numpy(
                shown, source=source, targets=y, name=f"{data.name}_{context}", digest=digest
            )
            facts = logged.to_dict()
            names = ("name", "digest", "source_type", "source", "schema", "profile")
            inputs[context] = {name: facts.get(name) for name in names}
        self._send("inputs", inputs)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log metrics at one step; those that a resumed run has at this step already are left as they are."""
        super().log_metrics(metrics, step)
        new = {name: value for name, value in metrics.items() if (name, step) not in self._recorded}
        self._send_metrics(new, step)

    def _send_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Send metrics at a step, and with them what was measured of the machine: one transaction does for both."""
        facts = {"metrics": metrics, "step": step, "time": self._now_ms()}
        if self._system is not None and (measured := self._system.take()):
            facts["measured"] = measured
        if metrics or "measured" in facts:
            self._send("metrics", facts)

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags."""
        super().log_tags(tags)
        self._send("tags", dict(tags))

    def log_files(self, folder: Path) -> None:
        """Log every file of a folder as an artifact."""
        self._send("files", {}, mlflow_writes.packed(folder))

    def log_model(self, model: TrainedModel, data: Dataset) -> None:
        """Log the model in Keras's format, with its signature and fixed requirements."""
        assert self._uploader is not None
        facts = {"image_shape": data.shape, "dtype": str(data.x_train.dtype), "classes": data.outputs}
        facts |= {"made_by": model_folder.made_by()} | ({"created": self._created} if self._created else {})
        self._uploader.send(Record("model", facts), model)

    def register_model(self) -> None:
        """Register the logged model if `tracking.register_as` is set; at the end, `registered` holds the result."""
        if self._settings.register_as is not None:
            self._send("registration", {"name": self._settings.register_as})

    def end(self, status: str, patience_s: float = 0.0) -> None:
        """Close the run; its folder stays if it is not FINISHED, or kept. Raises: UploadError: records wait in it."""
        super().end(status)
        if self._uploader is None or self.folder is None:
            return
        if self._system is not None:
            self._system.finish()
            self._send_metrics({}, 0)
        uploader, at_most_s = self._uploader, LAST_WORDS_S if status == "KILLED" else math.inf
        try:
            uploader.spool.put(Record("end", {"status": status, "time": self._now_ms()}))
            try:
                is_delivered = uploader.flush(patience_s, at_most_s)
            except BaseException:  # A signal: it must not hide that records wait.
                self._warn(self._what_waits(uploader))
                raise
            # What a signal ends has no time to ask the store.
            self._is_delivered = is_delivered and status != "KILLED"
            if is_delivered and status == "FINISHED":
                self.folder.finish()
                self._read_registration()
                query_statistics.refresh(self._uri)
            elif status == "FINISHED" and not signals.is_asked():
                raise UploadError(self._what_waits(uploader))
            elif not is_delivered:
                self._warn(self._what_waits(uploader))
                if status == "FINISHED":
                    signals.check()
        finally:
            self.folder.release()

    def recorded(self) -> StoredRun:
        """Return the run as the store has it, once it has ended; what is not delivered, as it was written."""
        if self._is_delivered and self.run_id is not None:
            with contextlib.suppress(SettingsError, *mlflow_writes.write_errors()):
                if found := runs.find(self._uri, self._settings.experiment, Wanted(run_ids=[self.run_id])):
                    return found[0]
        return super().recorded()

    def _read_registration(self) -> None:
        if self._settings.register_as is not None:
            with contextlib.suppress(*mlflow_writes.write_errors()):
                self.registered = store.client(self._uri).get_run(self.run_id).data.tags.get(names.REGISTERED, "")

    def _what_waits(self, uploader: Uploader) -> str:
        waiting, unsaved = len(uploader.spool), uploader.spool.in_memory
        if unsaved:
            return (
                f"the tracking store does not take records ({uploader.reason}), and {unsaved} of the {waiting} that "
                f"wait could not be written to {uploader.spool.folder} either ({uploader.spool.reason}): repair that, "
                f"then go on from the last checkpoint with resume={self.run_id}"
            )
        return (
            f"the tracking store did not take all records of the run ({uploader.reason}); nothing is lost: "
            f"{'1 record waits' if waiting == 1 else f'{waiting} records wait'} in {uploader.spool.folder}\n"
            f"when it is back:\n  {self._how_to_deliver()}"
        )

    def _how_to_deliver(self) -> str:
        local = ["--local-dir", self._settings.local_dir] if self._settings.local_dir is not None else []
        return how_to("deliver", [str(self.run_id), *local], self._uri)

    def _open(self, folder: RunFolder) -> None:
        folder.claim()
        self.folder = folder
        self._uploader = Uploader(store.absolute(self._uri), folder.path.name, Spool(folder.spool), self._warn)

    def _measure_machine(self) -> None:
        if system_metrics.are_wanted(option=self._settings.system_metrics):
            self._system = SystemMetrics(system_metrics.next_step(self._recorded), self._warn)

    def _send(self, kind: str, facts: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> None:
        assert self._uploader is not None
        self._uploader.send(Record(kind, facts, files or {}))

    def _now_ms(self) -> int:
        """Return the time in ms, never less than before, so that records keep their order if the clock is set back."""
        self._latest_ms = max(self._latest_ms, round(time.time() * 1000))
        return self._latest_ms


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Yield a temporary folder for files that are to be logged."""
    with tempfile.TemporaryDirectory(prefix="mnist_exp-") as name:
        yield Path(name)


def how_to(command: str, words: Sequence[str], uri: str) -> str:
    """Return the command line of a command of this package.

    Args:
        command: its name, such as `report`.
        words: its arguments.
        uri: address of the store.
    """
    place = [] if uri == store.DEFAULT_URI else ["--tracking-uri", redact(uri)]
    return shlex.join(["python", "-m", f"mnist_exp.{command}", *words, *place])


def how_to_look(settings: TrackingSettings, page: str) -> str:
    """Return what shows a page of MLflow in a browser: a server's address, or the command that starts one."""
    uri = store.locate(settings.uri)
    if uri.startswith(("http://", "https://")):
        return redact(uri.rstrip("/")) + page
    option = "" if uri == store.DEFAULT_URI else f" --backend-store-uri {redact(uri)}"
    return f"mlflow ui{option}   then open http://127.0.0.1:5000{page}"
