"""What mattered in a sweep, from its jobs; and the files that its parent run gets of that."""

import csv
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mnist_exp.analysis import mattered, stored
from mnist_exp.analysis.mattered import Mattered, Request
from mnist_exp.analysis.observations import Observation
from mnist_exp.search.space import Axis, number
from mnist_exp.sweeps.outcome.leaderboard import Row, cell
from mnist_exp.sweeps.planning.plan import Plan
from mnist_exp.tracking import names


def of(
    plan: Plan,
    rows: Sequence[Row],
    *,
    sampler: str | None,
    defaults: Mapping[str, str],
    queued: Collection[str | None] = (),
) -> Mattered | None:
    """Return what mattered in a sweep; None if there are too few jobs to tell.

    Args:
        plan: of the sweep.
        rows: its jobs.
        sampler: of a search; None for a grid.
        defaults: the value of each swept option without the sweep.
        queued: runs of trials that no sampler drew.
    """
    keys = [key for key in plan.space.keys if key != names.SEED]
    runs = [
        Observation({key: row.values[key] for key in keys if key in row.values}, row.objective)
        for row in rows
        if row.outcome == "done"
    ]
    tried = {key: [run.values[key] for run in runs if key in run.values] for key in keys}
    settings = plan.settings
    return mattered.of(
        Request(
            runs,
            maximize=settings.direction == "maximize",
            images=plan.validated_on if settings.objective == names.VAL_ACCURACY else None,
            trials=_trials(rows, keys, queued, is_random=sampler == "random") if sampler is not None else (),
            is_random=sampler == "random",
            defaults={key: _as_tried(value, tried[key]) for key, value in defaults.items() if tried.get(key)},
            logarithmic={axis.key for axis in plan.space.axes if _is_logarithmic(axis)},
            drawn={axis.key for axis in plan.space.axes if axis.is_continuous},
        )
    )


def _trials(
    rows: Sequence[Row], keys: Sequence[str], queued: Collection[str | None], *, is_random: bool
) -> list[float | None]:
    """Return the objective of each trial; where they are to be independent, of each point that was drawn once."""
    found: list[float | None] = []
    seen = set()
    for row in rows:
        point = tuple(row.values.get(key) for key in keys)
        if row.outcome not in ("done", "pruned") or (is_random and (row.run_id in queued or point in seen)):
            continue
        seen.add(point)
        found.append(row.objective if row.outcome == "done" else None)
    return found


def write(folder: Path, found: Mattered | None) -> None:
    """Write the files of it: all as JSON, the importance and the path as CSV."""
    (folder / stored.FILE).write_text(stored.text(found), encoding="utf-8")
    if found is None:
        return
    effects = [
        [" × ".join(each.options), cell(each.share), cell(each.low), cell(each.high), cell(each.size), each.is_noise]
        for each in found.effects
    ]
    _table(folder / "importance.csv", ["options", "share", "low", "high", "size", "within_chance"], effects)
    if found.path:
        steps = [[step.option, step.value, cell(step.objective)] for step in found.path]
        _table(folder / "path_from_defaults.csv", ["option", "value", "objective"], steps)


def _is_logarithmic(axis: Axis) -> bool:
    return axis.interval is not None and axis.interval.log


def _as_tried(value: str, tried: Sequence[str]) -> str:
    """Return a value as it is written where it was tried: 0.1 and 1e-1, or a text with quotes, are the same."""
    for text in tried:
        same_number = number(text) is not None and number(text) == number(value)
        if same_number or text.strip("'\"") == value or text.lower() == value:
            return text
    return value


def _table(file: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([head, *rows])
