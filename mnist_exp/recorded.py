"""Find a run that was recorded before, and read what it was made of; nothing that it says is believed unchecked."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mnist_exp import delivery, startup, store, tracking, unfinished
from mnist_exp.errors import SettingsError
from mnist_exp.redaction import redact
from mnist_exp.settings import TrackingSettings

if TYPE_CHECKING:
    import mlflow

_LARGEST_FILE = 1_000_000  # bytes


@dataclass(frozen=True)
class RecordedRun:
    """What the store says of one run.

    Args:
        run_id: of the run.
        name: of the run.
        status: RUNNING, FINISHED, FAILED or KILLED.
        params: as logged.
        metrics: last value of each.
        tags: all of them.
        uri: address of the store.
    """

    run_id: str
    name: str
    status: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    uri: str

    @property
    def is_pruned(self) -> bool:
        """Whether a sweep stopped it early."""
        return "pruned" in self.tags

    def config(self) -> dict[str, Any]:
        """Return its configuration as nested plain values, unchecked. Raises: SettingsError: it has none."""
        return self._read("config.yaml")

    def environment(self) -> dict[str, Any]:
        """Return the machine, versions and threads that it began with. Raises: SettingsError: it has none."""
        return self._read("environment.yaml")

    def history(self, metric: str) -> dict[int, float]:
        """Return a metric's values by their steps."""
        points = _client(self.uri).get_metric_history(self.run_id, metric)
        return {point.step: point.value for point in points}

    def _read(self, name: str) -> dict[str, Any]:
        what = f"{name} of run {self.run_id}"
        with tracking.folder() as folder:
            try:
                file = Path(_client(self.uri).download_artifacts(self.run_id, name, str(folder)))
                content = file.read_bytes() if file.stat().st_size <= _LARGEST_FILE else None
            except delivery.lost() as error:
                raise SettingsError(f"there is no {what}: its process ended before it was recorded") from error
        if content is None:
            raise SettingsError(f"{what} has more than {_LARGEST_FILE:,} bytes: it was not written by mnist_exp")
        return parse(content.decode("utf-8", errors="replace"), what)


def find(settings: TrackingSettings, run_id: str) -> RecordedRun:
    """Return a run. Imports MLflow.

    Raises: SettingsError: that is no run id, or there is no such run in the store.
    """
    unfinished.checked(run_id)
    uri = store.locate(settings.uri)
    store.check(uri)
    file = store.sqlite_file(uri)
    missing = f"there is no run {run_id} in {redact(uri)}: see the ids with `mlflow ui`, or name another store"
    if file is not None and not file.exists():
        raise SettingsError(missing)
    with startup.quick_imports():
        delivery.be_brief()
        from mlflow.exceptions import MlflowException
    try:
        run = _client(uri).get_run(run_id)
    except MlflowException as error:
        if error.get_http_status_code() == 404:
            raise SettingsError(missing) from error
        with tracking.understood(uri):
            raise
    if run.info.lifecycle_stage != "active":
        raise SettingsError(f"run {run_id} was deleted: `mlflow runs restore --run-id {run_id}` brings it back")
    data = run.data
    name, status = run.info.run_name or run_id, run.info.status
    return RecordedRun(run_id, name, status, dict(data.params), dict(data.metrics), dict(data.tags), uri)


def parse(text: str, what: str) -> dict[str, Any]:
    """Return the sections of a YAML file that may come from someone else.

    Args:
        text: of the file.
        what: it is called in an error.
    Raises: SettingsError: it is not what mnist_exp writes.
    """
    try:
        content = yaml.load(text, Loader=_PlainLoader)  # noqa: S506  a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SettingsError(f"{what} cannot be read: {reason}") from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise SettingsError(f"{what} is not a configuration: it must be sections with names")
    if "${" in text:
        raise SettingsError(f"{what} has interpolations (${{…}}), which a recorded run has not: they are not resolved")
    return content


class _PlainLoader(yaml.SafeLoader):
    """Reads plain values; refuses aliases, with which a small text can become a giant one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)


def _client(uri: str) -> "mlflow.MlflowClient":
    import mlflow

    return mlflow.MlflowClient(tracking_uri=uri)
