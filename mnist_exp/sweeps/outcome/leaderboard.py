"""The leaderboard of a sweep: its jobs as rows, ranked, as a table for the terminal and as a CSV file."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnist_exp.experiment import own_code
from mnist_exp.search.space import brief, number, short_names
from mnist_exp.tracking import names

OUTCOMES = ("done", "repeated", "paused", "pruned", "failed", "killed", "left")
STOPPED = ("paused", "pruned")  # Runs of a search that did not get all epochs.
MOST_SHOWN = 20
_MOST_EMPTY = 4  # cells of a heat map for each job


@dataclass
class Row:
    """One job of a sweep and its result.

    Args:
        name: the swept options that make this job differ from the others, such as `filters=16`.
        values: the swept options and their values, as written on the command line.
        overrides: all overrides of the job.
        command: the command that runs this job alone.
        outcome: done, repeated (a trial with the same values as an earlier one), paused (stopped early, and may go on),
            pruned (stopped early), failed, killed, left (not started) or running.
        run_id: id of its MLflow run; None if it has none.
        objective: value of the objective; NaN if there is none.
        metrics: metrics at the end of the run.
        epochs: number of epochs trained.
        planned_epochs: number of epochs planned.
        seconds: time from its start to its end.
        reason: why it failed; else empty.
        traceback: of an error in the program, not in the user's settings; else empty.
        reused: whether an earlier call has run this job.
        begun: whether an earlier call was interrupted while it ran this job.
        key: its job key; empty if it is not known before the job starts.
        held_by: id of the run with which another process is at the job; else empty.
        changed: own files that were changed since its earlier run, which counts all the same with `sweep.reuse=any`.
        has_model: whether it recorded its model as it ended, unless `tracking.keep_models` is all.
        trial: of a search: its number, once that is known.
        promotions: the epochs at which its search had paused it and let it go on.
        own_code: of a job that failed: the own modules that it had imported, as `own_code.to_text` has them.
    """

    name: str
    values: Mapping[str, str] = field(default_factory=dict)
    overrides: Sequence[str] = ()
    command: str = ""
    outcome: str = "left"
    run_id: str | None = None
    objective: float = math.nan
    metrics: Mapping[str, float] = field(default_factory=dict)
    epochs: int = 0
    planned_epochs: int = 0
    seconds: float = 0.0
    reason: str = ""
    traceback: str = ""
    reused: bool = False
    begun: bool = False
    key: str = ""
    held_by: str = ""
    changed: Sequence[str] = ()
    own_code: str = ""
    has_model: bool = False
    trial: int | None = None
    promotions: tuple[int, ...] = ()

    @property
    def by_other_code(self) -> str:
        """Why its result is marked: it counts though own files were changed since; empty if that is not so."""
        return own_code.words(self.changed) if self.reused and self.changed else ""


def ranked(rows: Sequence[Row], direction: str) -> list[Row]:
    """Return the jobs that are done, the best first; jobs with equal objectives are sorted by name.

    Args:
        rows: all jobs.
        direction: maximize or minimize.
    """
    done = [row for row in rows if row.outcome == "done" and not math.isnan(row.objective)]
    return sorted(done, key=lambda row: (-row.objective if direction == "maximize" else row.objective, row.name))


def pareto(rows: Sequence[Row], direction: str, minimized: str) -> list[Row]:
    """Return the Pareto front: the jobs that no other job beats in both objectives.

    Args:
        rows: all jobs.
        direction: maximize or minimize, for the first objective.
        minimized: name of the metric that is minimized as the second objective.
    """
    sign = 1 if direction == "maximize" else -1
    front: list[Row] = []
    done = ranked(rows, direction)
    for row in sorted(done, key=lambda r: (r.metrics.get(minimized, math.inf), -sign * r.objective)):
        if not front or sign * row.objective > sign * front[-1].objective:
            front.append(row)
    return front


def front_in_words(front: Sequence[Row], objective: str, minimized: str | None) -> str:
    """Return how many jobs no other one beats in both objectives, and where they end; empty if there are none.

    Args:
        front: these jobs, the best by the first objective first.
        objective: name of the first objective.
        minimized: name of the second one.
    """
    if not front or minimized is None:
        return ""
    ends = [
        f"{objective} {row.objective:.4f} with {minimized} {row.metrics.get(minimized, math.inf):g}" for row in front
    ]
    if len(front) == 1:
        return f"1 job is better than all others in both: {ends[0]}"
    return f"no job beats the first {len(front)} in both objectives: from {ends[-1]} to {ends[0]}"


def table(
    rows: Sequence[Row], keys: Sequence[str], objective: str, minimized: str | None = None
) -> tuple[list[str], list[list[str]]]:
    """Return the head and the lines of the leaderboard for the terminal: the best `MOST_SHOWN` jobs.

    Args:
        rows: ranked jobs.
        keys: the swept options.
        objective: name of the objective.
        minimized: name of the second objective; None if there is none.
    """
    short, tested = short_names(keys), tested_by(rows, objective)
    promoted = [names.EPOCHS, "promoted at"] if any(row.promotions for row in rows[:MOST_SHOWN]) else [names.EPOCHS]
    head = ["rank", *(short[key] for key in keys), objective, *([minimized] if minimized else [])]
    lines = []
    for rank, row in enumerate(rows[:MOST_SHOWN], start=1):
        figures = [f"{row.objective:.4f}", *([f"{row.metrics.get(minimized, math.nan):.6g}"] if minimized else [])]
        figures += [f"{row.metrics.get(tested, math.nan):.4f}", str(row.epochs)]
        figures += [", ".join(map(str, row.promotions))] if len(promoted) > 1 else []
        figures.append(f"{row.seconds:.1f} s")
        figures.append((row.run_id or "-") + " *" * bool(row.by_other_code))
        lines.append([str(rank), *(brief(row.values.get(key, "")) for key in keys), *figures])
    return [*head, tested, *promoted, "time", "run"], lines


def tested_by(rows: Sequence[Row], objective: str) -> str:
    """Return the name of the metric of the test set that goes with an objective."""
    return names.tested_by(objective, (name for row in rows for name in row.metrics))


def write_csv(file: Path, rows: Sequence[Row], keys: Sequence[str], objective: str) -> None:
    """Write the leaderboard of all jobs as a CSV file.

    Args:
        file: to write.
        rows: all jobs, the ranked ones first.
        keys: the swept options.
        objective: name of the objective.
    """
    tested = tested_by(rows, objective)
    first = ["rank", *keys, "outcome", objective, tested, names.EPOCHS, "seconds", "run_id"]
    promoted = ["promoted_at"] if any(row.promotions for row in rows) else []
    metrics = sorted({name for row in rows for name in row.metrics} - {names.OBJECTIVE, names.BEST_EPOCH, *first})
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow([*first, *promoted, *metrics, "reason"])
        rank = 0
        for row in rows:
            rank += row.outcome == "done"
            writer.writerow(
                [
                    rank if row.outcome == "done" else "",
                    *(row.values.get(key, "") for key in keys),
                    row.outcome,
                    cell(row.objective),
                    cell(row.metrics.get(tested, math.nan)),
                    row.epochs,
                    f"{row.seconds:.1f}",
                    row.run_id or "",
                    *([" ".join(map(str, row.promotions))] if promoted else []),
                    *(cell(row.metrics.get(name, math.nan)) for name in metrics),
                    row.reason or row.by_other_code,
                ]
            )


def varied(rows: Sequence[Row], keys: Sequence[str]) -> list[str]:
    """Return those of the swept options that differ between jobs."""
    return [key for key in keys if len({row.values.get(key) for row in rows}) > 1]


def grid_options(rows: Sequence[Row], keys: Sequence[str]) -> tuple[str, str] | None:
    """Return the two options of a heat map, whose cells are means over the seeds; None if there is none to draw.

    Args:
        rows: jobs that are done.
        keys: the swept options.
    """
    differing = varied(rows, keys)
    options = [key for key in differing if key != names.SEED] if len(differing) > 2 else differing
    if len(options) != 2 or any(key not in row.values for row in rows for key in options):
        return None
    cells = math.prod(len({row.values[key] for row in rows}) for key in options)
    return (options[0], options[1]) if cells <= _MOST_EMPTY * len(rows) else None


def in_order(values: Sequence[str]) -> list[str]:
    """Return the distinct values: numbers sorted by size, other values in the order given."""
    distinct = list(dict.fromkeys(values))
    numbers: list[Any] = [number(value) for value in distinct]
    return distinct if None in numbers else sorted(distinct, key=float)


def cell(value: float) -> str:
    """Return a number with all its digits: other programs sort and subtract."""
    return "" if math.isnan(value) else repr(float(value)).removesuffix(".0")
