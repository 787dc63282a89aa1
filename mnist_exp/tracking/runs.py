"""The one reader of the store: what it says of a run, of a sweep's runs, and of those that meet a condition."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_exp.config import wording
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import SettingsError, first_line
from mnist_exp.evaluation.predictions import Predictions
from mnist_exp.runtime import imports, processes
from mnist_exp.runtime.redaction import redact
from mnist_exp.tracking import mlflow_writes, names, run_files, run_folder, store, tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_PAGE = 1000  # runs in one answer of the store
_AT_ONCE = 500  # runs asked for by their ids


@dataclass(frozen=True)
class StoredRun:
    """What the store says of one run.

    Args:
        run_id: of the run.
        name: of the run.
        experiment: its name.
        status: RUNNING, FINISHED, FAILED or KILLED.
        params: as logged.
        metrics: last value of each.
        tags: all of them.
        uri: address of the store.
        seconds: from its start to its end; 0 while it runs.
        folders: where unfinished runs keep theirs, which tell whether a process on another machine lives; None if
            nobody asks that.
    """

    run_id: str
    name: str
    experiment: str
    status: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    uri: str
    seconds: float = 0.0
    folders: Path | None = None

    @property
    def key(self) -> str:
        """Its job key; empty if it has none."""
        return self.tags.get(names.JOB_KEY, "")

    @property
    def is_sweep(self) -> bool:
        """Whether it is the parent of a sweep's runs."""
        return names.SWEEP in self.tags

    @property
    def is_pruned(self) -> bool:
        """Whether a sweep stopped it early, so that it stands for no whole run."""
        return names.PRUNED in self.tags

    @property
    def is_done(self) -> bool:
        """Whether it has the result that its job key promises."""
        return self.status == "FINISHED" and not self.is_pruned and names.OBJECTIVE in self.metrics

    @property
    def lives(self) -> bool:
        """Whether it says RUNNING, and its process may be at it."""
        process = self.tags.get(names.PROCESS, "")
        if self.status != "RUNNING" or processes.is_gone(process):
            return False
        if self.folders is None or processes.is_here(process):
            return True
        return not run_folder.is_silent(self.folders, self.run_id, process)

    def config(self) -> dict[str, Any]:
        """Return its configuration as nested plain values, unchecked. Raises: SettingsError: it has none."""
        return run_files.read_sections(self.uri, self.run_id, "config.yaml")

    def environment(self) -> dict[str, Any]:
        """Return the machine, versions and threads that it began with. Raises: SettingsError: it has none."""
        return run_files.read_sections(self.uri, self.run_id, "environment.yaml")

    def history(self, metric: str) -> dict[int, float]:
        """Return a metric's values by their steps."""
        return metric_history(self.uri, self.run_id, metric)

    def class_names(self) -> tuple[str, ...] | None:
        """Return one name a class, by label; None where it did not come to record them."""
        try:
            classes = run_files.read_sections(self.uri, self.run_id, "classes.yaml").get("classes")
        except SettingsError:
            return None
        return tuple(map(str, classes)) if isinstance(classes, list) and classes else None

    def predictions(self) -> Predictions:
        """Return what it predicted for the test set. Raises: SettingsError: it was not tested, or that is damaged."""
        return run_files.read_predictions(self.uri, self.run_id)

    def leaderboard(self) -> str:
        """Return a sweep's table as CSV. Raises: SettingsError: it has none."""
        return run_files.read_leaderboard(self.uri, self.run_id)


def open_store(settings: TrackingSettings, missing: str) -> str:
    """Return the address of a store that is there and answers. Imports MLflow.

    Args:
        settings: which store.
        missing: what an error says where there is none.
    Raises: SettingsError: there is no such store. TrackingError: it does not answer.
    """
    uri = store.locate(settings.uri)
    store.check(uri)
    file = store.sqlite_file(uri)
    if file is not None and not file.exists():
        raise SettingsError(missing)
    with imports.quick_imports():
        mlflow_writes.limit_waits()
        import mlflow  # noqa: F401
    return uri


def each_run(
    client: "MlflowClient", experiments: Sequence[str], condition: str = "", *, oldest_first: bool = False
) -> "Iterator[Run]":
    """Yield MLflow's runs that meet a condition, asked for page by page.

    Args:
        client: of the store.
        experiments: their ids.
        condition: in MLflow's words; empty is met by all.
        oldest_first: in what order; else the newest first.
    """
    order = ["attributes.start_time ASC"] if oldest_first else None
    token = None
    while True:
        page = client.search_runs(list(experiments), condition, max_results=_PAGE, order_by=order, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def stored(run: "Run", experiment: str, uri: str, folders: Path | None = None) -> StoredRun:
    """Return what MLflow tells of a run.

    Args:
        run: as MLflow gives it.
        experiment: name of its experiment.
        uri: address of the store.
        folders: where unfinished runs keep theirs.
    """
    info, data = run.info, run.data
    return StoredRun(
        run_id=info.run_id,
        name=info.run_name or info.run_id,
        experiment=experiment,
        status=info.status,
        params=dict(data.params),
        metrics=dict(data.metrics),
        tags=dict(data.tags),
        uri=uri,
        seconds=max(info.end_time - info.start_time, 0) / 1000 if info.end_time else 0.0,
        folders=folders,
    )


def metric_history(uri: str, run_id: str, metric: str) -> dict[int, float]:
    """Return the values of a run's metric by their steps, in the order of these."""
    with tracker.understood(uri):
        points = store.client(uri).get_metric_history(run_id, metric)
    return {point.step: point.value for point in sorted(points, key=lambda point: point.step)}


def of_sweep(parent: StoredRun) -> list[StoredRun]:
    """Return the runs of a sweep, its own oldest first, then those of earlier sweeps that it counts."""
    with tracker.understood(parent.uri):
        runs = _of_experiment(parent.uri, parent.experiment, f"tags.`{names.PARENT}` = '{parent.run_id}'")
        missing = sorted(_on_board(parent) - {run.run_id for run in runs})
        for start in range(0, len(missing), _AT_ONCE):
            listed = ", ".join(f"'{run_id}'" for run_id in missing[start : start + _AT_ONCE])
            runs += _of_experiment(parent.uri, parent.experiment, f"attributes.run_id IN ({listed})")
    return runs


def search(settings: TrackingSettings, condition: str) -> list[StoredRun]:
    """Return the runs of the experiment that meet a condition in MLflow's words, oldest first, without sweeps' parents.

    Raises: SettingsError: there is no such experiment, or the condition is not understood.
    """
    shown = redact(store.locate(settings.uri))
    uri = open_store(settings, f"there is no store {shown}: name the one that has the runs")
    from mlflow.exceptions import MlflowException

    try:
        found = _of_experiment(uri, settings.experiment, condition)
    except MlflowException as error:
        if error.get_http_status_code() != 400:
            with tracker.understood(uri):
                raise
        raise SettingsError(f"{condition!r} is no condition that MLflow understands: {first_line(error)}") from error
    return [run for run in found if not run.is_sweep]


def _of_experiment(uri: str, experiment: str, condition: str) -> list[StoredRun]:
    client = store.client(uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        known = [each.name for each in client.search_experiments(max_results=1000)]
        guess = wording.nearest(experiment, known)
        hint = f"did you mean {guess}?" if guess else f"there are {', '.join(sorted(known)[:20])}"
        raise SettingsError(f"there is no experiment {experiment!r} in {redact(uri)}: {hint}")
    runs = each_run(client, [found.experiment_id], condition, oldest_first=True)
    return [stored(run, experiment, uri) for run in runs]


def _on_board(parent: StoredRun) -> set[str]:
    """Return the ids on a sweep's leaderboard; none while it has no such table."""
    try:
        found = {row.get("run_id") or "" for row in csv.DictReader(io.StringIO(parent.leaderboard()))}
    except (csv.Error, SettingsError):
        return set()
    return {run_id for run_id in found if run_folder.is_run_id(run_id)}
