"""The record of a sweep in MLflow: its parent run, its jobs that failed, and its runs whose process died."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mnist_exp.config.fields import text
from mnist_exp.config.nested import flatten
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.runtime import imports, processes
from mnist_exp.tracking import names, run_folder, runs, store, tracker, ui_view
from mnist_exp.tracking.runs import StoredRun
from mnist_exp.tracking.ui_view import View

_SEEN_S = 1.0  # after which what a process has recorded is seen by the others
_HAS_KEY = f"tags.`{names.JOB_KEY}` LIKE '%'"
_IS_SWEEP = f"tags.`{names.SWEEP}` LIKE '%'"
_RUNS = "attributes.status = 'RUNNING'"


class SweepHistory:
    """The runs of one experiment, in a store that is checked and, if new, being made.

    Args:
        settings: which store and experiment.
    """

    def __init__(self, settings: TrackingSettings) -> None:
        self.uri = store.locate(settings.uri)
        self.how_to_look = ""
        self._settings = settings
        self._experiment = settings.experiment
        self._folders = run_folder.root(settings)
        store.check(self.uri)
        creation = store.begin_creation(self.uri, self._experiment)
        with imports.quick_imports():
            import mlflow  # noqa: F401  while the store is being made
        store.finish_creation(creation)
        self._client = store.client(self.uri)
        with tracker.understood(self.uri):
            self._stored_in = store.experiment(self.uri, self._experiment)
        self._id = str(self._stored_in.experiment_id)

    def open_view(self, view: View) -> None:
        """Choose what MLflow's page shows of the sweep; `how_to_look` tells then where it is."""
        page = ui_view.page(self._client, self._stored_in, view)
        self.how_to_look = tracker.how_to_look(self._settings, page)

    def jobs(self) -> list[StoredRun]:
        """Return every run of the experiment that has a job key, newest first; those that died are KILLED by then.

        One pass over the experiment for a whole sweep, however many jobs it has.
        """
        found = list(self._search(_HAS_KEY))
        dead = self._end_dead([*found, *self._search(f"{_IS_SWEEP} and {_RUNS}")])
        return [replace(run, status="KILLED") if run.run_id in dead else run for run in found]

    def mark_killed(self) -> None:
        """Give jobs and sweeps that say RUNNING, and whose process has ended, the status KILLED."""
        self._end_dead([*self._search(f"{_HAS_KEY} and {_RUNS}"), *self._search(f"{_IS_SWEEP} and {_RUNS}")])

    def children(self, parent: str) -> list[StoredRun]:
        """Return the runs of a sweep, newest first."""
        return list(self._search(f"tags.`{names.PARENT}` = '{parent}'"))

    def find_parent(self, sweep_key: str) -> StoredRun | None:
        """Return the parent run of a sweep that was begun before; the one that lives, if any does."""
        found = list(self._search(f"tags.`{names.SWEEP}` = '{sweep_key}'"))
        return next((run for run in found if run.lives), found[0] if found else None)

    def quicker_parent(self, sweep_key: str, own: str) -> StoredRun | None:
        """Return the parent that another machine has made of the same sweep at the same time, and delete our own.

        None if ours is to stay. Those who made one all see the same ones after a while, and choose the same.

        Args:
            sweep_key: of the sweep.
            own: id of the parent that was just made.
        """
        if store.sqlite_file(self.uri) is not None:
            return None  # Of one machine, where `store.lock` has seen to it.
        time.sleep(_SEEN_S)
        living = [run for run in self._search(f"tags.`{names.SWEEP}` = '{sweep_key}'") if run.lives]
        first = min(living, key=lambda run: run.run_id, default=None)
        if first is None or first.run_id == own:
            return None
        self._client.delete_run(own)
        return first

    def open_parent(
        self, found: StoredRun | None, name: str, params: Mapping[str, Any], tags: Mapping[str, str]
    ) -> str:
        """Create the parent run, or open the one found again, and return its id."""
        from mlflow.entities import Param

        tags = {**tags, names.PROCESS: processes.identify()}
        if found is not None:
            self._client.update_run(found.run_id, status="RUNNING")
            self.tag(found.run_id, tags)
            return found.run_id
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
        for name, value in metrics.items():
            self._client.log_metric(run_id, name, value)
        self._client.log_artifacts(run_id, str(folder))

    def record_failure(self, run_id: str | None, name: str, tags: Mapping[str, str], traceback: str) -> str:
        """Record a job that failed, also one that did not come to a run of its own, and return its run's id."""
        if run_id is None:
            run_id = self._create(name, tags)
            if traceback:
                self._client.log_text(run_id, traceback, "traceback.txt")
        else:
            self.tag(run_id, tags)
        self.end(run_id, "FAILED")
        return run_id

    def end(self, run_id: str, status: str) -> None:
        """Close a run."""
        self._client.set_terminated(run_id, status)

    def get(self, run_id: str) -> StoredRun:
        """Return one run."""
        return runs.stored(self._client.get_run(run_id), self._experiment, self.uri, self._folders)

    def _end_dead(self, found: Iterable[StoredRun]) -> set[str]:
        """End those that say RUNNING and whose process has ended, and return their ids."""
        dead = {run.run_id for run in found if run.status == "RUNNING" and not run.lives}
        for run_id in dead:
            self.end(run_id, "KILLED")
        return dead

    def _create(self, name: str, tags: Mapping[str, str]) -> str:
        from mlflow.tracking.context import registry

        run = self._client.create_run(self._id, run_name=name, tags=dict(registry.resolve_tags()) | dict(tags))
        return str(run.info.run_id)

    def _search(self, condition: str) -> Iterator[StoredRun]:
        for run in runs.each_run(self._client, [self._id], condition):
            yield runs.stored(run, self._experiment, self.uri, self._folders)
