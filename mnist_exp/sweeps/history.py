"""The record of a sweep in MLflow: its parent run, what is done already, and what died without saying so."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_exp.config.fields import text
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.experiment import provenance
from mnist_exp.runtime import imports, processes
from mnist_exp.tracking import names, run_folder, store, tracker

if TYPE_CHECKING:
    from mlflow.entities import Run

_PAGE = 1000
_SEEN_S = 1.0  # after which what a process has recorded is seen by the others


@dataclass(frozen=True)
class Record:
    """What the store says of one run.

    Args:
        run_id: of the run.
        key: its job key.
        status: of the run: RUNNING, FINISHED, FAILED or KILLED.
        metrics: last value of each.
        params: as logged.
        tags: all of them.
        seconds: from its start to its end; 0 while it runs.
        silent: whether its process, on another machine, gives no sign of life any more.
    """

    run_id: str
    key: str
    status: str
    metrics: dict[str, float]
    params: dict[str, str]
    tags: dict[str, str]
    seconds: float
    silent: bool = False

    @property
    def is_pruned(self) -> bool:
        """Whether it was stopped early, so that it stands for no whole run."""
        return names.PRUNED in self.tags

    @property
    def is_done(self) -> bool:
        """Whether it has the result that its key promises."""
        return self.status == "FINISHED" and not self.is_pruned and names.OBJECTIVE in self.metrics

    @property
    def lives(self) -> bool:
        """Whether it says RUNNING, and its process may be at it."""
        is_gone = self.silent or processes.is_gone(self.tags.get(names.PROCESS, ""))
        return self.status == "RUNNING" and not is_gone


class Ledger:
    """The runs of one experiment, in a store that is checked and, if new, being made.

    Args:
        settings: which store and experiment.
    """

    def __init__(self, settings: TrackingSettings) -> None:
        self.uri = store.locate(settings.uri)
        self._experiment = settings.experiment
        self._unfinished = run_folder.place(settings)
        store.check(self.uri)
        creation = store.begin_creation(self.uri, self._experiment)
        with imports.quick_imports():
            import mlflow  # noqa: F401  while the store is being made
        store.finish_creation(creation)
        self._client = store.client(self.uri)
        with tracker.understood(self.uri):
            self._id = store.experiment_id(self.uri, self._experiment)
        self.how_to_look = tracker.how_to_look(settings, self._id)

    def records(self) -> list[Record]:
        """Return every run of the experiment that has a job key, newest first; bury the dead, and dead sweeps, first.

        One pass over the experiment for a whole sweep, however many jobs it has.
        """
        found = list(self._search(f"tags.`{names.JOB_KEY}` LIKE '%'"))
        running = [*found, *self._search(f"tags.`{names.SWEEP}` LIKE '%' and attributes.status = 'RUNNING'")]
        dead = [r for r in running if r.status == "RUNNING" and not r.lives]
        for record in dead:
            self.end(record.run_id, "KILLED")
        gone = {record.run_id for record in dead}
        return [r if r.run_id not in gone else replace(r, status="KILLED") for r in found]

    def children(self, parent: str) -> list[Record]:
        """Return the runs of a sweep."""
        return list(self._search(f"tags.`{names.PARENT}` = '{parent}'"))

    def find_parent(self, sweep_key: str) -> Record | None:
        """Return the parent run of a sweep that was begun before; the one that lives, if any does."""
        found = list(self._search(f"tags.`{names.SWEEP}` = '{sweep_key}'"))
        return next((record for record in found if record.lives), found[0] if found else None)

    def quicker_parent(self, sweep_key: str, own: str) -> Record | None:
        """Return the parent that another machine has made of the same sweep at the same time, and delete our own.

        None if ours is to stay. Those who made one all see the same ones after a while, and choose the same.

        Args:
            sweep_key: of the sweep.
            own: id of the parent that was just made.
        """
        if store.sqlite_file(self.uri) is not None:
            return None  # Of one machine, where `store.lock` has seen to it.
        time.sleep(_SEEN_S)
        living = [r for r in self._search(f"tags.`{names.SWEEP}` = '{sweep_key}'") if r.lives]
        first = min(living, key=lambda record: record.run_id, default=None)
        if first is None or first.run_id == own:
            return None
        self._client.delete_run(own)
        return first

    def open_parent(self, found: Record | None, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """Create the parent run, or open the one found again, and return its id."""
        from mlflow.entities import Param

        tags = {**tags, names.PROCESS: processes.identify()}
        if found is not None:
            self._client.update_run(found.run_id, status="RUNNING")
            self.tag(found.run_id, tags)
            return found.run_id
        run_id = self._create(name, tags)
        shown = [Param(key, text(value)) for key, value in provenance.flatten(dict(params)).items()]
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

    def get(self, run_id: str) -> Record:
        """Return one run."""
        return self._record(self._client.get_run(run_id))

    def history(self, run_id: str, metric: str) -> list[float]:
        """Return a metric's values, epoch by epoch."""
        points = self._client.get_metric_history(run_id, metric)
        return [point.value for point in sorted(points, key=lambda p: p.step)]

    def _record(self, run: "Run") -> Record:
        record = _record(run)
        process = record.tags.get(names.PROCESS, "")
        if record.status != "RUNNING" or processes.is_here(process):
            return record
        return replace(record, silent=run_folder.is_silent(self._unfinished, record.run_id, process))

    def _create(self, name: str, tags: Mapping[str, str]) -> str:
        from mlflow.tracking.context import registry

        run = self._client.create_run(self._id, run_name=name, tags=dict(registry.resolve_tags()) | dict(tags))
        return str(run.info.run_id)

    def _search(self, condition: str) -> Iterator[Record]:
        token = None
        while True:
            page = self._client.search_runs([self._id], condition, max_results=_PAGE, page_token=token)
            yield from map(self._record, page)
            token = page.token
            if not token:
                return


def _record(run: "Run") -> Record:
    began, ended = run.info.start_time, run.info.end_time
    return Record(
        run_id=run.info.run_id,
        key=run.data.tags.get(names.JOB_KEY, ""),
        status=run.info.status,
        metrics=dict(run.data.metrics),
        params=dict(run.data.params),
        tags=dict(run.data.tags),
        seconds=max(ended - began, 0) / 1000 if ended else 0.0,
    )
