"""Who came out best: the jobs of a sweep in rows, as a table, a CSV file and the best one's configuration."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnist_exp.search.space import brief, number, short_names
from mnist_exp.tracking import names

OUTCOMES = ("done", "repeated", "pruned", "failed", "killed", "left")
MOST_SHOWN = 20


@dataclass
class Row:
    """What became of one job.

    Args:
        name: what is special about it.
        values: the swept options and their values, as written.
        overrides: that lead to it.
        command: that runs it alone.
        outcome: done, repeated (a trial that another one was already), pruned, failed, killed or left; or running.
        run_id: its MLflow run.
        objective: NaN where there is none.
        metrics: those at its end.
        epochs: how many it trained.
        planned_epochs: how many it was to train.
        seconds: from its start to its end.
        reason: why it failed.
        traceback: of an error that is no mistake of the user's.
        reused: whether it was done before this call.
        begun: whether an earlier call broke it off.
        key: its job key, where it is known beforehand.
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

    @property
    def test_accuracy(self) -> float:
        """NaN where it was not tested."""
        return self.metrics.get(names.TEST_ACCURACY, math.nan)


def ranked(rows: Sequence[Row], direction: str) -> list[Row]:
    """Return the jobs that are done, the best first; equal ones by their names, so that it is always the same."""
    done = [row for row in rows if row.outcome == "done" and not math.isnan(row.objective)]
    return sorted(done, key=lambda row: (-row.objective if direction == "maximize" else row.objective, row.name))


def pareto(rows: Sequence[Row], direction: str, minimized: str) -> list[Row]:
    """Return the jobs that no other one beats in both the objective and what is minimized beside it."""
    sign = 1 if direction == "maximize" else -1
    front: list[Row] = []
    done = ranked(rows, direction)
    for row in sorted(done, key=lambda r: (r.metrics.get(minimized, math.inf), -sign * r.objective)):
        if not front or sign * row.objective > sign * front[-1].objective:
            front.append(row)
    return front


def table(
    rows: Sequence[Row], keys: Sequence[str], objective: str, minimized: str | None = None
) -> tuple[list[str], list[list[str]]]:
    """Return the best jobs as head and rows of a table for the terminal."""
    short = short_names(keys)
    head = ["rank", *(short[key] for key in keys), objective, *([minimized] if minimized else [])]
    lines = []
    for rank, row in enumerate(rows[:MOST_SHOWN], start=1):
        figures = [f"{row.objective:.4f}", *([f"{row.metrics.get(minimized, math.nan):.6g}"] if minimized else [])]
        figures += [f"{row.test_accuracy:.4f}", str(row.epochs), f"{row.seconds:.1f} s", row.run_id or "-"]
        lines.append([str(rank), *(brief(row.values.get(key, "")) for key in keys), *figures])
    return [*head, names.TEST_ACCURACY, names.EPOCHS, "time", "run"], lines


def write_csv(file: Path, rows: Sequence[Row], keys: Sequence[str], objective: str) -> None:
    """Write every job, the ranked ones first."""
    first = ["rank", *keys, "outcome", objective, names.TEST_ACCURACY, names.EPOCHS, "seconds", "run_id"]
    metrics = sorted({name for row in rows for name in row.metrics} - {names.OBJECTIVE, names.BEST_EPOCH, *first})
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow([*first, *metrics, "reason"])
        rank = 0
        for row in rows:
            rank += row.outcome == "done"
            writer.writerow(
                [
                    rank if row.outcome == "done" else "",
                    *(row.values.get(key, "") for key in keys),
                    row.outcome,
                    _cell(row.objective),
                    _cell(row.test_accuracy),
                    row.epochs,
                    f"{row.seconds:.1f}",
                    row.run_id or "",
                    *(_cell(row.metrics.get(name, math.nan)) for name in metrics),
                    row.reason,
                ]
            )


def in_order(values: Sequence[str]) -> list[str]:
    """Return the distinct values in their natural order: numbers by size, others as they came."""
    distinct = list(dict.fromkeys(values))
    numbers: list[Any] = [number(value) for value in distinct]
    return distinct if None in numbers else sorted(distinct, key=float)


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"
