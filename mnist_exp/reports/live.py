"""The page of sweeps that still run: what it shows now, and how far they are."""

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from mnist_exp.comparison import options
from mnist_exp.comparison.groups import Grouping, LeftOut, group, why_not
from mnist_exp.comparison.metric import Metric, choose_metric
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import SettingsError
from mnist_exp.reports import content, curves, page, pictures, selection
from mnist_exp.reports.page import Content
from mnist_exp.reports.selection import Selection
from mnist_exp.results import listing
from mnist_exp.runtime import redacted_files
from mnist_exp.tracking import names, references
from mnist_exp.tracking.runs import StoredRun

DATA = "/data.json"
_PAUSE_S = 2.0
_REST, _LONGEST_PAUSE_S = 5, 20.0  # The pause is as many times the last look: that takes CPU from the trainings.
_MOST_NAMED = 4


class LiveReport:
    """The report on some sweeps, which is read from the store again when it is asked for.

    Args:
        settings: the tracking store.
        sweeps: ids of the sweeps' parent runs.
        metric: name of the metric to compare; None for the objective of the runs.
        against: id of a run of the baseline; None for none.
    Raises: SettingsError: there is no such sweep, or it has a run that is done, or has ended, without the metric.
    """

    def __init__(
        self, settings: TrackingSettings, sweeps: Sequence[str], metric: str | None, against: str | None
    ) -> None:
        self._settings, self._metric, self._against = settings, metric, against
        parents = [references.find(settings, each) for each in sweeps]
        for parent in parents:
            if not parent.is_sweep:
                raise SettingsError(
                    f"--live={parent.run_id} is a single run, not a sweep: for a report on it leave out --live"
                )
        self.sweeps = [parent.run_id for parent in parents]
        self._missing: SettingsError | None = None  # Why the metric is not shown.
        self._lock = threading.Lock()
        self._news: dict[str, Any] = {}
        self._drawn: dict[str, list[str]] = {}
        self._runs: dict[str, StoredRun] = {}
        self._look()
        ended = not any(parent.lives for parent in parents)
        if self._missing is not None and (ended or any(run.is_done for run in self._runs.values())):
            raise self._missing
        self._until = 0.0  # The first look takes longer, for what it imports.

    def page(self) -> str:
        """Return the page as it is now; it asks `DATA` for what comes later."""
        selected, grouping = self._read()
        text = page.render(self._content(selected, grouping), DATA)
        return redacted_files.content("index.html", text.encode("utf-8", "backslashreplace")).decode()

    def news(self, version: str) -> dict[str, Any]:
        """Return what the page shows now, without the data where it has this version of them already."""
        with self._lock:
            if time.monotonic() >= self._until and not self._news.get("ended"):
                self._look()
            known = ("findings", "data") if version == self._news["version"] else ()
            return {name: value for name, value in self._news.items() if name not in known}

    def picture(self, run_id: str, name: str) -> bytes | None:
        """Return a picture of one of the runs; None if there is none."""
        run = self._runs.get(run_id)
        return pictures.small(run, name) if run is not None and name in pictures.NAMES else None

    def progress(self) -> tuple[str, bool]:
        """Return how far the sweeps are, for people, and whether all of them have ended."""
        parents = [references.find(self._settings, each) for each in self.sweeps]
        told = _progress(parents, [*self._runs.values()])
        if self._missing is not None:
            told = f"{told} The objective is shown, as {self._missing}."
        return told, not any(parent.lives for parent in parents)

    def _look(self) -> None:
        began = time.monotonic()
        selected, grouping = self._read()
        made = self._content(selected, grouping)
        findings = redacted_files.content("findings.html", page.findings(made).encode("utf-8", "backslashreplace"))
        told, ended = self.progress()
        shown = {"findings": findings.decode(), "data": made.data}
        version = hashlib.sha256(json.dumps(shown, default=str).encode()).hexdigest()[:16]
        pause = min(max(_PAUSE_S, _REST * (time.monotonic() - began)), _LONGEST_PAUSE_S)
        self._news = {"version": version, "progress": told, "ended": ended, "pause_s": round(pause, 1)} | shown
        self._until = time.monotonic() + pause - _PAUSE_S / 2

    def _read(self) -> tuple[Selection, Grouping | None]:
        selected = selection.select(self._settings, sweeps=self.sweeps, may_be_empty=True)
        self._runs = {run.run_id: run for run in selected.runs}
        if not selected.runs:
            return selected, None
        try:
            metric, self._missing = choose_metric(selected.runs, self._metric), None
        except SettingsError as error:
            if self._metric is None:
                raise
            metric, self._missing = choose_metric(selected.runs, None), error  # It may come: a run that is done has it.
        try:
            return selected, group(selected.runs, metric, self._against, raced_from=selected.raced_from)
        except SettingsError:
            return selected, _unfinished(selected.runs, metric)

    def _content(self, selected: Selection, grouping: Grouping | None) -> Content:
        if grouping is None:
            return content.empty(selected)
        return content.of(selected, grouping, curves.of(grouping), self._pictures(selected.runs))

    def _pictures(self, runs: Sequence[StoredRun]) -> dict[str, dict[str, str]]:
        """Return where the pictures of the runs that are done can be had."""
        for run in runs:
            if run.status == "FINISHED" and run.run_id not in self._drawn:
                self._drawn[run.run_id] = pictures.names(run)
        return {
            run_id: {name: f"/pictures/{run_id}/{name}" for name in drawn}
            for run_id, drawn in self._drawn.items()
            if drawn
        }


def _unfinished(runs: Sequence[StoredRun], metric: Metric) -> Grouping:
    """Return runs none of which can be compared yet."""
    of_runs = [options.of(run) for run in runs]
    differing = options.differences(of_runs)
    keys = options.naming(of_runs, differing)
    left_out = [LeftOut(run, why_not(run, metric)) for run in runs]
    return Grouping(metric, keys, differing, options.names_of(keys), [], left_out)


def _progress(parents: Sequence[StoredRun], runs: Sequence[StoredRun]) -> str:
    ended = Counter("stopped early" if run.is_pruned else run.status.lower() for run in runs)
    running = [run for run in runs if run.status == "RUNNING"]
    planned = [parent.tags.get(names.PLANNED_JOBS, "") for parent in parents]
    of = f" of {sum(map(int, planned))}" if all(text.isdecimal() for text in planned) else ""
    counts = ", ".join(f"{count} {status}" for status, count in ended.items() if status not in ("running", "finished"))
    told = f"{ended['finished']}{of} jobs done" + (f", {counts}" if counts else "")
    if not any(parent.lives for parent in parents):
        which = "sweep" if len(parents) == 1 else "last sweep"
        if any(parent.status == "RUNNING" for parent in parents):
            return f"The process of the {which} is gone; the same command again finishes it. {told}."
        return f"The {which} has ended: {told}."
    done = listing.epochs_done(running)
    now = [f"{run.name}, {_epochs(run, done.get(run.run_id, 0))}" for run in running]
    more = f" and {len(now) - _MOST_NAMED} more" if len(now) > _MOST_NAMED else ""
    return f"{told}. " + (f"Running: {'; '.join(now[:_MOST_NAMED])}{more}." if now else "None runs at the moment.")


def _epochs(run: StoredRun, done: int) -> str:
    return f"epoch {done} of {run.params.get(names.PLANNED_EPOCHS, '?')}"
