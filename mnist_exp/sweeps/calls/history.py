"""The runs of an experiment in MLflow, as a sweep reads and writes them.

A sweep looks for earlier runs of its jobs, opens its parent run, records jobs that failed, and gives runs whose process
has died the status KILLED.
"""

import contextlib
import functools
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_exp.config.nested import flatten
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.config.wording import text
from mnist_exp.runtime import imports, processes
from mnist_exp.tracking import (
    backlog,
    creation,
    mlflow_writes,
    names,
    run_folder,
    runs,
    sqlite_runs,
    store,
    tracker,
    ui_view,
)
from mnist_exp.tracking.runs import StoredRun
from mnist_exp.tracking.sqlite_runs import Experiment
from mnist_exp.tracking.ui_view import View
from mnist_exp.tracking.wanted import Wanted

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SEEN_S = 1.0  # Then all machines see what one of them has recorded.
_RUNS = "RUNNING"


class SweepHistory:
    """The runs of one experiment. The store is checked first, and created if it is new.

    Args:
        settings: name the store and the experiment.
    Raises: TrackingError: the store does not answer, or cannot be created.
    """

    def __init__(self, settings: TrackingSettings) -> None:
        self.uri = store.locate(settings.uri)
        self.how_to_look = ""
        self._settings = settings
        self._experiment = settings.experiment
        self._folders = run_folder.root(settings)
        store.check(self.uri)
        mlflow_writes.limit_waits()
        self._found = sqlite_runs.experiment(self.uri, self._experiment)
        if self._found is None:
            begun = creation.begin(self.uri)
            with imports.quick_imports():
                import mlflow  # noqa: F401  while the store is being made
            creation.finish(begun)
            self._client  # noqa: B018  It tells at once what is wrong with the store.

    @functools.cached_property
    def _client(self) -> "MlflowClient":
        """MLflow's client: it is not needed as long as an SQLite store is only read, and takes 2 s to be imported."""
        with imports.quick_imports():
            import mlflow  # noqa: F401
        client = store.client(self.uri)
        if self._found is None:
            with store.understood(self.uri):
                made = store.experiment(self.uri, self._experiment)
            self._found = Experiment(str(made.experiment_id), dict(made.tags))
        return client

    @property
    def experiment_id(self) -> str:
        """The id of the experiment."""
        assert self._found is not None
        return self._found.experiment_id

    def open_view(self, view: View) -> None:
        """Choose what MLflow's page shows of the sweep; `how_to_look` tells then where it is."""
        assert self._found is not None
        kept, own = self._found.tags, self.experiment_id
        for each in (ui_view.of_sweeps(), view):
            is_kept = ui_view.tag(each) in kept or ui_view.keep(self._client, own, each, kept)
        self.how_to_look = tracker.how_to_look(
            self._settings, ui_view.address(self.experiment_id, view, is_kept=is_kept)
        )

    def jobs(self, keys: Collection[str] | None = None) -> list[StoredRun]:
        """Return the runs of the experiment that have a job key, and that a sweep may count, newest first.

        Runs whose process has died get the status KILLED first.

        Args:
            keys: only runs with these job keys are needed; None for all. MLflow cannot ask for many at once: then all
                are returned.
        """
        jobs = self._search(Wanted(names.JOB_KEY, keys))
        dead = self._end_dead([*jobs, *self._running()])
        return [replace(run, status="KILLED") if run.run_id in dead else run for run in jobs if run.counts]

    def tidy(self, jobs: Sequence[StoredRun]) -> None:
        """Remove what processes left that were killed: folders of runs that are FINISHED, models that are PENDING.

        Args:
            jobs: from `jobs`, all of them.
        """
        backlog.tidy(self._settings, self._finished)
        unready = sqlite_runs.pending(self.uri, self._experiment)
        if unready is not None:
            jobs = self._search(Wanted(run_ids=unready)) if unready else []
        ended = [run.run_id for run in jobs if run.status in ("FAILED", "KILLED") and names.MODEL_URI not in run.tags]
        if ended:
            with contextlib.suppress(*mlflow_writes.write_errors()):
                mlflow_writes.fail_pending_models(self._client, self.experiment_id, ended)

    def _finished(self, run_ids: Sequence[str]) -> set[str]:
        """Return which of these runs are FINISHED."""
        return {run.run_id for run in self._search(Wanted(status="FINISHED", run_ids=run_ids))} if run_ids else set()

    def mark_killed(self) -> None:
        """Give the status KILLED to jobs and sweeps with status RUNNING whose process has ended."""
        self._end_dead(self._running())

    def _running(self) -> list[StoredRun]:
        return [*self._search(Wanted(names.JOB_KEY, status=_RUNS)), *self._search(Wanted(names.SWEEP, status=_RUNS))]

    def these(self, run_ids: Sequence[str]) -> list[StoredRun]:
        """Return the runs with these ids."""
        return self._search(Wanted(run_ids=run_ids)) if run_ids else []

    def finished(self, most: int) -> list[StoredRun]:
        """Return the newest runs that are FINISHED and no sweeps."""
        return self._search(Wanted(names.JOB_KEY, status="FINISHED", most=most))

    def sweeps(self, most: int) -> list[StoredRun]:
        """Return the parent runs of the newest sweeps that are FINISHED."""
        return self._search(Wanted(names.SWEEP, status="FINISHED", most=most))

    def children(self, parent: str) -> list[StoredRun]:
        """Return the runs of a sweep's jobs, newest first.

        Args:
            parent: id of the sweep's parent run.
        """
        return self._search(Wanted(names.PARENT, (parent,)))

    def find_parent(self, sweep_key: str) -> StoredRun | None:
        """Return the parent run that an earlier call of the same sweep has made; None if there is none.

        If there are several, one whose process still runs comes first, then the newest.
        """
        parents = self._search(Wanted(names.SWEEP, (sweep_key,)))
        return next((run for run in parents if run.lives), parents[0] if parents else None)

    def parents(self, sweep_keys: Collection[str]) -> list[StoredRun]:
        """Return the parent runs of sweeps with these keys, newest first."""
        return self._search(Wanted(names.SWEEP, sweep_keys)) if sweep_keys else []

    def yield_to_other_parent(self, sweep_key: str, own: str) -> StoredRun | None:
        """Keep one parent run if two machines have begun the same sweep at the same time.

        After a short wait every machine sees the same parent runs, and all keep the one with the lowest id. If that is
        another machine's, our own is deleted.

        Args:
            sweep_key: of the sweep.
            own: id of the parent run that this process has just made.
        Returns: the other machine's parent run; None if our own stays.
        """
        if store.sqlite_file(self.uri) is not None:
            return None  # An SQLite store belongs to one machine, where `store.lock` prevents a second parent run.
        time.sleep(_SEEN_S)
        living = [run for run in self._search(Wanted(names.SWEEP, (sweep_key,))) if run.lives]
        first = min(living, key=lambda run: run.run_id, default=None)
        if first is None or first.run_id == own:
            return None
        self._client.delete_run(own)
        return first

    def open_parent(
        self, earlier: StoredRun | None, name: str, params: Mapping[str, Any], tags: Mapping[str, str]
    ) -> str:
        """Create the parent run, or open an earlier one again.

        Args:
            earlier: the parent run that an earlier call has made; None if there is none.
            name: of a new parent run.
            params: of a new parent run, nested.
            tags: to set.
        Returns: the run id.
        """
        from mlflow.entities import Param

        tags = {**tags, names.PROCESS: processes.identify()}
        if earlier is not None:
            self._client.update_run(earlier.run_id, status="RUNNING")
            self.tag(earlier.run_id, tags)
            return earlier.run_id
        run_id = self._create(name, tags)
        shown = [Param(key, text(value)) for key, value in flatten(dict(params)).items()]
        self._client.log_batch(run_id, params=shown)
        return run_id

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        from mlflow.entities import RunTag

        self._client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def log(self, run_id: str, metrics: Mapping[str, float], folder: Path) -> None:
        """Add metrics, and the files of a folder, to a run."""
        self.log_metrics(run_id, metrics)
        self._client.log_artifacts(run_id, str(folder))

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Add metrics to a run."""
        for name, value in metrics.items():
            self._client.log_metric(run_id, name, value)

    def record_failure(self, run_id: str | None, name: str, tags: Mapping[str, str], folder: Path) -> str:
        """Record that a job failed. A job that failed before its run was created gets one here.

        Args:
            run_id: of the job's run; None if it has none.
            name: of a new run.
            tags: to set.
            folder: with the files of a new run, such as `traceback.txt`.
        Returns: the run id.
        """
        if run_id is None:
            run_id = self._create(name, tags)
            self._client.log_artifacts(run_id, str(folder))
        else:
            self.tag(run_id, tags)
        self.end(run_id, "FAILED")
        return run_id

    def end(self, run_id: str, status: str) -> None:
        """Close a run with a status: FINISHED, FAILED or KILLED."""
        self._client.set_terminated(run_id, status)

    def get(self, run_id: str) -> StoredRun:
        """Return one run."""
        return runs.stored(self._client.get_run(run_id), self._experiment, self.uri, self._folders)

    def look_up(self, run_id: str) -> StoredRun | None:
        """Return one run as `get` does, without MLflow where the store is an SQLite file; None if it is not there."""
        try:
            return next(iter(self._search(Wanted(run_ids=[run_id]))), None)
        except Exception as error:
            if not isinstance(error, mlflow_writes.write_errors()):  # Asked only now: it imports MLflow.
                raise
            return None

    def is_orphan(self, run: StoredRun) -> bool:
        """Tell whether the process that launched a job has ended."""
        parent = run.tags.get(names.PARENT)
        return parent is not None and not self.get(parent).lives

    def _end_dead(self, candidates: Iterable[StoredRun]) -> set[str]:
        """Close the runs with status RUNNING whose process has ended as KILLED, and return their ids."""
        dead = {run.run_id for run in candidates if run.status == "RUNNING" and not run.lives}
        for run_id in dead:
            self.end(run_id, "KILLED")
        return dead

    def _create(self, name: str, tags: Mapping[str, str]) -> str:
        tags = mlflow_writes.program_tags() | dict(tags)
        run = self._client.create_run(self.experiment_id, run_name=name, tags=tags)
        return str(run.info.run_id)

    def _search(self, wanted: Wanted) -> list[StoredRun]:
        known = self._found.experiment_id if self._found is not None else None
        return runs.find(self.uri, self._experiment, wanted, folders=self._folders, experiment_id=known)
