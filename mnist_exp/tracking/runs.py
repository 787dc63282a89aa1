"""Read recorded runs from the store: one run, the runs of a sweep, or those that meet a condition."""

import csv
import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_exp.config import wording
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import SettingsError, first_line
from mnist_exp.evaluation.confidence import Confidence
from mnist_exp.evaluation.predictions import Predictions
from mnist_exp.runtime import imports, processes
from mnist_exp.runtime.redaction import redact
from mnist_exp.tracking import mlflow_writes, names, run_files, run_folder, sqlite_reads, sqlite_runs, store
from mnist_exp.tracking.sqlite_runs import Point
from mnist_exp.tracking.wanted import Wanted
from mnist_exp.training.digests import Digests

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_PAGE = 1000  # runs in one answer of the store


@dataclass(frozen=True)
class StoredRun:
    """One run as the store has it.

    Args:
        run_id: of the run.
        name: of the run.
        experiment: name of its experiment.
        status: RUNNING, FINISHED, FAILED or KILLED.
        params: as logged.
        metrics: the last value of each metric.
        tags: all tags.
        uri: address of the store.
        seconds: from its start to its end; 0 while it runs.
        folders: the folder of all unfinished runs, whose heartbeats show whether a process on another machine still
            runs; None if that is not needed.
        started_ms: when it began, in ms since 1970; 0 if that is not known.
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
    started_ms: int = 0

    @property
    def key(self) -> str:
        """The job key of the run; empty if it has none."""
        return self.tags.get(names.JOB_KEY, "")

    @property
    def is_sweep(self) -> bool:
        """Whether the run is the parent run of a sweep."""
        return names.SWEEP in self.tags

    @property
    def is_pruned(self) -> bool:
        """Whether a sweep stopped the run early, so that it counts as no finished job."""
        return names.PRUNED in self.tags

    @property
    def is_done(self) -> bool:
        """Whether the run is finished and has an objective, so that a sweep can reuse it."""
        return self.status == "FINISHED" and not self.is_pruned and names.OBJECTIVE in self.metrics

    @property
    def has_model(self) -> bool:
        """Whether its model is recorded, and no removal of it has begun."""
        return names.MODEL_URI in self.tags and names.NO_MODEL not in self.tags

    @property
    def counts(self) -> bool:
        """Whether a sweep may count the run: a repetition of another one only if it was found to be equal."""
        return names.RERUN_OF not in self.tags or self.tags.get(names.RERUN_EQUAL) == "true"

    @property
    def lives(self) -> bool:
        """Whether the status is RUNNING and the process of the run may still be running."""
        process = self.tags.get(names.PROCESS, "")
        if self.status != "RUNNING" or processes.is_gone(process):
            return False
        if self.folders is None or processes.is_here(process):
            return True
        return not run_folder.is_silent(self.folders, self.run_id, process)

    def config(self) -> dict[str, Any]:
        """Return the configuration as nested plain values, unchecked. Raises: SettingsError: the run has none."""
        return run_files.read_sections(self.uri, self.run_id, "config.yaml")

    def environment(self) -> dict[str, Any]:
        """Return the machine, versions and threads at its start, unchecked. Raises: SettingsError: the run has none."""
        return run_files.read_sections(self.uri, self.run_id, "environment.yaml")

    def own_code(self) -> str:
        """Return the user's own modules that took part, unchecked. Raises: SettingsError: there is no record."""
        return run_files.read_own_code(self.uri, self.run_id)

    def history(self, metric: str) -> dict[int, float]:
        """Return the values of a metric by step."""
        return metric_history(self.uri, self.run_id, metric)

    def class_names(self) -> tuple[str, ...] | None:
        """Return the names of the classes, ordered by label; None if the run ended before recording them."""
        try:
            classes = run_files.read_sections(self.uri, self.run_id, "classes.yaml").get("classes")
        except SettingsError:
            return None
        return tuple(map(str, classes)) if isinstance(classes, list) and classes else None

    def predictions(self) -> Predictions:
        """Return the predictions for the test set. Raises: SettingsError: there are none, or they are damaged."""
        return run_files.read_predictions(self.uri, self.run_id)

    def confidence(self) -> Confidence:
        """Return how far its model is to be trusted. Raises: SettingsError: there is no record, or it is damaged."""
        return run_files.read_confidence(self.uri, self.run_id)

    def digests(self) -> Digests:
        """Return the digests of its weights. Raises: SettingsError: there are none, or they are damaged."""
        return run_files.read_digests(self.uri, self.run_id)

    def leaderboard(self) -> str:
        """Return the leaderboard of a sweep as CSV. Raises: SettingsError: the run has none."""
        return run_files.read_leaderboard(self.uri, self.run_id)


def open_store(settings: TrackingSettings, missing: str) -> str:
    """Return the address of an existing store that answers. Imports MLflow.

    Args:
        settings: name the store.
        missing: message of the error if there is no such store.
    Raises: SettingsError: there is no such store. TrackingError: it does not answer.
    """
    uri = checked_store(settings, missing)
    with imports.quick_imports():
        mlflow_writes.limit_waits()
        import mlflow  # noqa: F401
    return uri


def checked_store(settings: TrackingSettings, missing: str) -> str:
    """Return what `open_store` does, without importing MLflow. Raises: as there."""
    uri = store.locate(settings.uri)
    store.check(uri)
    if store.missing_file(uri) is not None:
        raise SettingsError(missing)
    return uri


def in_file(file: Path, run_id: str, uri: str) -> StoredRun | None:
    """Return a run as `stored` does, read from an SQLite store's file; None where MLflow must be asked.

    Args:
        file: of the store.
        run_id: of the run.
        uri: address of the store.
    """
    row = sqlite_reads.run(file, run_id)
    return None if row is None else _of_row(run_id, row, uri)


def each_run(
    client: "MlflowClient", experiments: Sequence[str], condition: str = "", *, oldest_first: bool = False
) -> "Iterator[Run]":
    """Yield MLflow's runs that meet a condition, page by page.

    Args:
        client: of the store.
        experiments: ids of the experiments.
        condition: a filter in MLflow's syntax; empty for all runs.
        oldest_first: whether the oldest run comes first; else the newest.
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
    """Convert a run of MLflow to a `StoredRun`.

    Args:
        run: from MLflow.
        experiment: name of its experiment.
        uri: address of the store.
        folders: the folder of all unfinished runs; None if heartbeats are not needed.
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
        started_ms=info.start_time or 0,
    )


def _of_row(run_id: str, row: sqlite_reads.Row, uri: str, folders: Path | None = None) -> StoredRun:
    seconds = max(row.end_ms - row.start_ms, 0) / 1000 if row.end_ms else 0.0
    facts = (row.params, row.metrics, row.tags, uri, seconds, folders, row.start_ms)
    return StoredRun(run_id, row.name or run_id, row.experiment, row.status, *facts)


def find(
    uri: str,
    experiment: str,
    wanted: Wanted,
    *,
    oldest_first: bool = False,
    folders: Path | None = None,
    experiment_id: str | None = None,
) -> list[StoredRun]:
    """Return the runs of an experiment that are wanted; without MLflow, where the store is an SQLite file.

    Args:
        uri: address of the store.
        experiment: its name.
        wanted: says which.
        oldest_first: whether the oldest comes first; else the newest.
        folders: the folder of all unfinished runs; None if heartbeats are not needed.
        experiment_id: of the experiment, if it is known.
    Raises: SettingsError: there is no such experiment. One of MLflow's errors: the store does not answer.
    """
    rows = sqlite_runs.find(uri, experiment, wanted, oldest_first=oldest_first)
    if rows is not None:
        return [_of_row(run_id, row, uri, folders) for run_id, row in rows.items()]
    in_store = experiment_id or _experiment_id(uri, experiment)
    found = (
        stored(run, experiment, uri, folders)
        for condition in wanted.conditions()
        for run in each_run(store.client(uri), [in_store], condition, oldest_first=oldest_first)
        if wanted.allows(run.data.tags)
    )
    return list(itertools.islice(found, wanted.most))


def metric_history(uri: str, run_id: str, metric: str) -> dict[int, float]:
    """Return the values of a run's metric by step, sorted by step."""
    with store.understood(uri):
        points = store.client(uri).get_metric_history(run_id, metric)
    return {point.step: point.value for point in sorted(points, key=lambda point: point.step)}


def metric_histories(uri: str, run_ids: Sequence[str], metric: str) -> dict[str, dict[int, float]]:
    """Return the values of a metric by step for each of some runs, sorted by step."""
    found = sqlite_runs.histories(uri, run_ids, metric)
    return {run_id: metric_history(uri, run_id, metric) for run_id in run_ids} if found is None else found


def points(uri: str, run_ids: Sequence[str], metrics: Sequence[str] | None = None) -> list[Point]:
    """Return each recorded value of some runs, in the order of the runs, metrics and steps.

    Args:
        uri: address of the store.
        run_ids: of the runs.
        metrics: their names; None for all.
    """
    found = sqlite_runs.points(uri, run_ids, metrics)
    if found is not None:
        return found
    client, found = store.client(uri), []
    with store.understood(uri):
        for run_id in run_ids:
            recorded = client.get_run(run_id).data.metrics
            for name in sorted(recorded if metrics is None else recorded.keys() & set(metrics)):
                history = sorted(client.get_metric_history(run_id, name), key=lambda point: point.step)
                found += [Point(run_id, name, each.step, each.value, each.timestamp) for each in history]
    return found


def tag(uri: str, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of a run that has ended."""
    with store.understood(uri):
        for name, value in tags.items():
            store.client(uri).set_tag(run_id, name, value)


def of_sweep(parent: StoredRun) -> list[StoredRun]:
    """Return the runs of a sweep: first its own, the oldest first, then those of earlier sweeps that it reuses.

    Of several runs of a job, as by code that was changed meanwhile, the one that stands on its leaderboard.
    """
    with store.understood(parent.uri):
        children = Wanted(names.PARENT, (parent.run_id,))
        runs = find(parent.uri, parent.experiment, children, oldest_first=True)
        on_board = _on_board(parent)
        decided = {run.key for run in runs if run.run_id in on_board and run.key}
        runs = [run for run in runs if run.run_id in on_board or run.key not in decided]
        missing = sorted(on_board - {run.run_id for run in runs})
        if missing:
            runs += find(parent.uri, parent.experiment, Wanted(run_ids=missing), oldest_first=True)
    return runs


def of_job(settings: TrackingSettings, key: str) -> list[StoredRun]:
    """Return the runs of the experiment that have a job key, oldest first; they know whether their process lives."""
    uri, folders = store.locate(settings.uri), run_folder.root(settings)
    rows = sqlite_runs.of_key(uri, settings.experiment, names.JOB_KEY, key)
    if rows is not None:
        return [_of_row(run_id, row, uri, folders) for run_id, row in rows.items()]
    client = store.client(uri)

    def ask() -> list[StoredRun]:
        in_store = client.get_experiment_by_name(settings.experiment)
        found = each_run(client, [in_store.experiment_id], f"tags.`{names.JOB_KEY}` = '{key}'", oldest_first=True)
        return [stored(run, settings.experiment, uri, folders) for run in found]

    with store.understood(uri):
        answer: list[StoredRun] = mlflow_writes.call_patiently(ask)
    return answer


def search(settings: TrackingSettings, condition: str, *, sweeps: bool = False) -> list[StoredRun]:
    """Return the runs of the experiment that meet a condition, oldest first.

    Args:
        settings: name the store and the experiment.
        condition: a filter in MLflow's syntax.
        sweeps: whether the parent runs of sweeps are among them.
    Raises: SettingsError: there is no such experiment, or MLflow does not understand the condition.
    """
    shown = redact(store.locate(settings.uri))
    uri = open_store(settings, f"there is no store {shown}: name the one that has the runs")
    from mlflow.exceptions import MlflowException

    try:
        matching = _of_experiment(uri, settings.experiment, condition)
    except MlflowException as error:
        if error.get_http_status_code() != 400:
            with store.understood(uri):
                raise
        raise SettingsError(f"{condition!r} is no condition that MLflow understands: {first_line(error)}") from error
    return [run for run in matching if sweeps or not run.is_sweep]


def _of_experiment(uri: str, experiment: str, condition: str) -> list[StoredRun]:
    client, in_store = store.client(uri), _experiment_id(uri, experiment)
    return [stored(run, experiment, uri) for run in each_run(client, [in_store], condition, oldest_first=True)]


def _experiment_id(uri: str, name: str) -> str:
    """Return the id of an experiment. Raises: SettingsError: there is none of this name."""
    client = store.client(uri)
    in_store = client.get_experiment_by_name(name)
    if in_store is None:
        known = [each.name for each in client.search_experiments(max_results=1000)]
        guess = wording.nearest(name, known)
        hint = f"did you mean {guess}?" if guess else f"there are {', '.join(sorted(known)[:20])}"
        raise SettingsError(f"there is no experiment {name!r} in {redact(uri)}: {hint}")
    return str(in_store.experiment_id)


def _on_board(parent: StoredRun) -> set[str]:
    """Return the run ids on a sweep's leaderboard; none if it has no leaderboard yet."""
    if parent.status == "RUNNING" and "leaderboard.csv" not in run_files.names(parent.uri, parent.run_id):
        return set()  # MLflow tries for long to get a file that is not there.
    try:
        run_ids = {row.get("run_id") or "" for row in csv.DictReader(io.StringIO(parent.leaderboard()))}
    except (csv.Error, SettingsError):
        return set()
    return {run_id for run_id in run_ids if run_folder.is_run_id(run_id)}
