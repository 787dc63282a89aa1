"""A recorded run as plain values: what is in it, each of its own type."""

import datetime
import math
import re
from typing import Any

from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")  # More may be no number that a column can hold.
_DECIMAL = re.compile(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][+-]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None, "None": None}
# What stands before the params, metrics and tags of each run.
FACTS = ("run_id", "kind", "name", "experiment", "status", "started", "duration_s", "sweep")


def of_run(run: StoredRun) -> dict[str, Any]:
    """Return a run as values that JSON has: `FACTS`, `params`, `metrics` and `tags`.

    Times are texts in ISO 8601, in UTC, to the millisecond; what was never recorded, or is no number, is None.
    """
    return facts(run) | {
        "started": iso(run.started_ms),
        "params": {name: typed(text) for name, text in sorted(run.params.items())},
        "metrics": {name: number(value) for name, value in sorted(run.metrics.items())},
        "tags": dict(sorted(run.tags.items())),
    }


def facts(run: StoredRun) -> dict[str, Any]:
    """Return `FACTS` of a run; its start in ms since 1970, None if that is not known."""
    return {
        "run_id": run.run_id or None,
        "kind": "sweep" if run.is_sweep else "run",
        "name": run.name,
        "experiment": run.experiment,
        "status": run.status,
        "started": run.started_ms or None,
        "duration_s": run.seconds if run.status != "RUNNING" else None,
        "sweep": run.tags.get(names.PARENT),
    }


def typed(text: str) -> Any:
    """Return the value of a param, which MLflow keeps as text: a number, a truth value, None, or the text."""
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return number(float(text))
    return text


def iso(time_ms: int | None) -> str | None:
    """Return a time as text; None if it is not known."""
    if not time_ms:
        return None
    return datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC).isoformat(timespec="milliseconds")


def number(value: float | None) -> float | None:
    """Return a number that JSON has; None for NaN and infinite ones."""
    return value if value is not None and math.isfinite(value) else None
