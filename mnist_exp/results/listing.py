"""Recorded runs as people look at them: one line each, with what differs between them."""

import datetime
import math
from collections.abc import Mapping, Sequence

from mnist_exp.config import wording
from mnist_exp.errors import printable
from mnist_exp.results.frame import TAG
from mnist_exp.sweeps.outcome.leaderboard import OUTCOMES
from mnist_exp.tracking import names, runs
from mnist_exp.tracking.plain import FACTS, facts, iso, typed
from mnist_exp.tracking.runs import StoredRun

_SHORT = 8  # characters of a run id that are shown; every command takes them
_LONGEST_NAME = 48
_GONE = "process gone"
LEFT = ("run", "started", "name", "status")


def rows(found: Sequence[StoredRun]) -> tuple[list[str], list[list[str]]]:
    """Return the head and the cells of a table of runs: what each is, how far it is, and what came of it."""
    progress = epochs_done(found)
    selected = {run.params.get(names.SELECTED_BY) for run in found} - {None}
    objective = selected.pop() if len(selected) == 1 else names.OBJECTIVE
    head = ["run", "started", "name", "status", str(objective), "test_accuracy", "epochs", "time"]
    lines = [
        [
            run.run_id[:_SHORT],
            _local(run.started_ms),
            _shortened(run.name),
            _status(run, progress),
            _metric(run.metrics.get(names.BEST_OBJECTIVE if run.is_sweep else names.OBJECTIVE)),
            _metric(run.metrics.get(names.TEST_ACCURACY)),
            _count(run.metrics.get(names.EPOCHS_SPENT if run.is_sweep else names.EPOCHS)),
            _duration(run.seconds) if run.status != "RUNNING" else "",
        ]
        for run in found
    ]
    return _without_empty(head, lines)


def chosen(found: Sequence[StoredRun], columns: Sequence[str]) -> list[list[str]]:
    """Return the cells of chosen columns, each as it was recorded; empty where a run has none."""
    return [[_cell(run, name) for name in columns] for run in found]


def _cell(run: StoredRun, name: str) -> str:
    if name == "started":
        return iso(run.started_ms) or ""
    if name in FACTS:
        value = facts(run)[name]
        return "" if value is None else f"{value:.1f}" if isinstance(value, float) else printable(value)
    if name.startswith(TAG):
        return printable(run.tags.get(name.removeprefix(TAG), ""))
    if name in run.metrics:
        return wording.number(run.metrics[name])
    text = run.params.get(name.removeprefix("params."))
    return "" if text is None else printable(wording.text(typed(text)))


def epochs_done(found: Sequence[StoredRun]) -> Mapping[str, int]:
    """Return the epochs that are done, for each run that is at work."""
    running = [run for run in found if run.status == "RUNNING" and not run.is_sweep]
    if not running:
        return {}
    losses = runs.points(running[0].uri, [run.run_id for run in running], [names.LOSS])
    return {point.run_id: point.step for point in losses}


def _status(run: StoredRun, progress: Mapping[str, int]) -> str:
    if run.is_sweep:
        return ", ".join([run.status.lower(), *_jobs(run), *([_GONE] if _is_gone(run) else [])])
    if run.is_pruned:
        return "stopped early"
    if run.status != "RUNNING":
        return run.status.lower()
    planned = run.params.get(names.PLANNED_EPOCHS, "?")
    done = f"running, {progress.get(run.run_id, 0)}/{planned} epochs"
    return f"{done}, {_GONE}" if _is_gone(run) else done


def _is_gone(run: StoredRun) -> bool:
    return run.status == "RUNNING" and not run.lives


def _jobs(run: StoredRun) -> list[str]:
    counts = {kind: run.metrics.get(names.jobs(kind), 0) for kind in OUTCOMES}
    return [f"{count:.0f} {kind}" for kind, count in counts.items() if count]


def _local(time_ms: int) -> str:
    if not time_ms:
        return ""
    return datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def _shortened(name: str) -> str:
    name = printable(name)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _metric(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else wording.metric(value)


def _count(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.0f}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _without_empty(head: Sequence[str], lines: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    kept = [place for place in range(len(head)) if any(line[place] for line in lines)]
    return [head[place] for place in kept], [[line[place] for place in kept] for line in lines]
