"""What a sweep came to, for notebooks and scripts."""

import functools
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mnist_exp.config import wording
from mnist_exp.runtime import notebooks
from mnist_exp.tracking import names

if TYPE_CHECKING:
    import pandas as pd

_MOST_SHOWN, _MOST_FAILED = 20, 5
_SHORT_ID = 8  # characters of a run id; every command takes them


@dataclass(frozen=True, repr=False)
class Sweep:
    """The result of a sweep.

    Args:
        document: all of it as plain values: `run -m --json` prints the same.
    """

    document: dict[str, Any] = field(repr=False)

    @property
    def run_id(self) -> str | None:
        """Id of its parent run in MLflow; None with tracking=none or sweep.dry_run."""
        found: str | None = self.document["run_id"]
        return found

    @property
    def status(self) -> str:
        """FINISHED, FAILED if any job did, KILLED if any was; PLANNED with sweep.dry_run."""
        return str(self.document["status"])

    @property
    def errors(self) -> list[str]:
        """Why it did not come to a good end, a sentence each; empty if it did."""
        return list(self.document["errors"])

    @property
    def best(self) -> dict[str, Any] | None:
        """The best job: `options`, `objective`, `metrics`, `run_id`, `command`, …; None if none is done."""
        found: dict[str, Any] | None = self.document["best"]
        return found

    @property
    def verdict(self) -> str | None:
        """What may be concluded, in sentences, as `report` concludes; None with tracking=none or if nothing is done."""
        found: str | None = self.document["tags"].get(names.VERDICT)
        return found

    @property
    def chance(self) -> str | None:
        """How many jobs are so close to the best one that chance may explain it, in a sentence."""
        found: str | None = self.document["chance"]
        return found

    def __repr__(self) -> str:
        best = f", best {self.best['name']!r}" if self.best else ""
        return f"<Sweep {self.run_id or 'that is not recorded'}: {self.status}{best}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the leaderboard, and what is to be known of it. IPython asks for this name."""
        jobs, objective = self.document["jobs"], self.document["objective"]["name"]
        counts = ", ".join(f"{count} {kind}" for kind, count in self.document["counts"].items() if count)
        told = [*self.errors, *([self.verdict] if self.verdict else []), *([self.chance] if self.chance else [])]
        told += [f"failed: {job['name']}: {job['error']}" for job in jobs if job["error"]][:_MOST_FAILED]
        means = self.document["configurations"]
        board = _means(means, objective) if means else _board(jobs, objective)
        title = f"sweep {self.run_id or 'that is not recorded'}: {self.status}, {counts}"
        sentences = "".join(f"<p>{html.escape(text)}</p>" for text in told)
        return f"<div><b>{html.escape(title)}</b>{board}{sentences}</div>"

    @functools.cached_property
    def configurations(self) -> "pd.DataFrame":
        """Of a sweep over seeds a row each configuration, the best mean first: options, seeds, mean, std, interval."""
        import pandas as pd

        found = self.document["configurations"]
        return pd.DataFrame([{**one["options"], **{k: v for k, v in one.items() if k != "options"}} for one in found])

    @functools.cached_property
    def jobs(self) -> "pd.DataFrame":
        """A row each job, in the order of the leaderboard: options, outcome, objective, metrics, run_id, error."""
        import pandas as pd

        return pd.DataFrame([_row(job, self.document["objective"]["name"]) for job in self.document["jobs"]])


def _board(jobs: Sequence[dict[str, Any]], objective: str) -> str:
    """Return jobs as an HTML table, the best first."""
    keys = list(dict.fromkeys(key for job in jobs for key in job["options"]))
    tested = names.tested_by(objective, (name for job in jobs for name in job["metrics"]))
    rows = [_cells(job, keys, tested) for job in jobs[:_MOST_SHOWN]]
    head = [*keys, "outcome", objective, tested, "epochs", "time", "run"]
    return notebooks.table(head, rows) + _more(jobs, "jobs")


def _means(found: Sequence[dict[str, Any]], objective: str) -> str:
    """Return configurations as an HTML table, the best mean first."""
    rows = []
    for one in found[:_MOST_SHOWN]:
        options = [wording.show(value) for value in one["options"].values()]
        interval = " to ".join(map(_number, one["interval"] or ()))
        rows.append([*options, str(one["seeds"]), _number(one["mean"]), _number(one["std"]), interval])
    head = [*found[0]["options"], "seeds", objective, "± std", "95 % interval"]
    return notebooks.table(head, rows) + _more(found, "configurations")


def _more(found: Sequence[Any], where: str) -> str:
    count = len(found) - _MOST_SHOWN
    return f"<p>… and {count:,} more, in <code>.{where}</code></p>" if count > 0 else ""


def _number(value: float | None) -> str:
    return "" if value is None else wording.metric(value)


def _cells(job: dict[str, Any], keys: Sequence[str], tested: str) -> list[str]:
    options = ["" if key not in job["options"] else wording.show(job["options"][key]) for key in keys]
    figures = [_number(job["objective"]), _number(job["metrics"].get(tested)), str(job["epochs"])]
    return [*options, job["outcome"], *figures, f"{job['duration_s']:.1f} s", (job["run_id"] or "")[:_SHORT_ID]]


def _row(job: dict[str, Any], objective: str) -> dict[str, Any]:
    metrics = {name: value for name, value in job["metrics"].items() if name not in (names.OBJECTIVE, objective)}
    own = {name: job[name] for name in ("epochs", "duration_s", "reused", "run_id", "error", "command")}
    return {**job["options"], "outcome": job["outcome"], objective: job["objective"], **metrics, **own}
