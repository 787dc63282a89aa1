"""What the charts and the table of a page show: the runs by columns, their curves and pictures, as values of JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mnist_exp.comparison.groups import Grouping
from mnist_exp.comparison.metric import is_number
from mnist_exp.reports.curves import Histories, shown
from mnist_exp.results import frame
from mnist_exp.runtime.redaction import redact_record
from mnist_exp.tracking import names, plain
from mnist_exp.tracking.runs import StoredRun

_MOST_STEPS = 200  # of a curve; more points than a screen has columns show nothing more
_MOST_SHOWN = 12  # options that the table shows before others are chosen
_OF_FRAME = ("kind", "experiment", "sweep")  # facts that are the same for all runs, or told otherwise
CONFIGURATION, SWEEP, REASON, COMMAND = "configuration", "sweep", "not compared because", "command"
_LONGEST, _LONG = 2000, 40  # characters of a text; of one that is kept by its words
_TAGS = {
    COMMAND: names.COMMAND,
    "data SHA-256": names.DATA_SHA256,
    "commit": names.GIT_COMMIT,
    "uncommitted changes": names.GIT_DIRTY,
    "code": names.CODE_SHA256,
    "failure": names.FAILURE,
}


def of(
    grouping: Grouping, sweeps: Mapping[str, str], histories: Histories, pictures: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """Return the data of a page.

    Args:
        grouping: the runs.
        sweeps: run id → the sweeps that it belongs to; empty unless several are compared.
        histories: of the runs whose curves are shown.
        pictures: run id → file name → PNG in base64, or its path on the page's server.
    """
    labels = {run.run_id: group.label for group in grouping.groups for run in group.runs}
    reasons = {left.run.run_id: left.reason for left in grouping.left_out}
    runs = [*(run for group in grouping.groups for run in group.runs), *(left.run for left in grouping.left_out)]
    ids = [run.run_id for run in runs]
    own: dict[str, list[str | None]] = {
        CONFIGURATION: [labels.get(run.run_id, run.name) for run in runs],
        SWEEP: [sweeps.get(run_id) for run_id in ids],
        REASON: [reasons.get(run_id) for run_id in ids],
        **{name: [run.tags.get(tag) for run in runs] for name, tag in _TAGS.items()},
    }
    content = {name: values for name, values in frame.content(runs, None).items() if name not in _OF_FRAME}
    content["started"] = [plain.iso(run.started_ms) for run in runs]
    metrics = {name for run in runs for name in run.metrics}
    places = {run_id: place for place, run_id in enumerate(ids)}
    columns = [_column(name, values, "fact") for name, values in own.items()]
    columns += [
        _column(name, values, "fact" if name in plain.FACTS else "metric" if name in metrics else "option")
        for name, values in content.items()
    ]
    return {
        "metric": {"name": grouping.metric.key, "title": _title(grouping), "direction": grouping.metric.direction},
        "count": len(runs),
        "shown": [name for name in _shown(grouping, own, runs) if name in content or name in own],
        "options": _options(grouping, content),
        "titles": {_name(key, content): short for key, short in grouping.names.items()},
        "columns": columns,
        "curves": _curves(shown(grouping.metric), histories, places),
        "pictures": {places[run_id]: files for run_id, files in pictures.items() if run_id in places},
    }


def _title(grouping: Grouping) -> str:
    metric = grouping.metric
    return metric.name if metric.key == metric.name else f"{metric.key}: {metric.name}"


def _shown(grouping: Grouping, own: Mapping[str, Sequence[str | None]], runs: Sequence[StoredRun]) -> list[str]:
    """Return the columns that the table shows until others are chosen."""
    measured = {name for run in runs for name in run.metrics}
    tested = names.tested_by(grouping.metric.name, measured)
    several = [SWEEP] if any(own[SWEEP]) else []
    why = ["status", REASON] if any(own[REASON]) else []
    varied = list(grouping.keys[:_MOST_SHOWN]) or [CONFIGURATION]
    costs = (names.EPOCHS, names.FIT_TIME_S, names.PARAMETERS)
    return list(dict.fromkeys([*several, *varied, names.SEED, grouping.metric.key, tested, *costs, *why]))


def _options(grouping: Grouping, content: Mapping[str, Any]) -> list[str]:
    """Return the columns of the options that differ, those first that name the configurations."""
    keys = dict.fromkeys([*grouping.keys, *grouping.differing])
    return [name for key in keys if (name := _name(key, content)) in content]


def _name(key: str, content: Mapping[str, Any]) -> str:
    """Return the column of an option: a metric of the same name has the plain name."""
    return f"params.{key}" if f"params.{key}" in content else key


def _column(name: str, values: Sequence[Any], kind: str) -> dict[str, Any]:
    """Return a column; one with few different values has each once, and numbers of them."""
    plain = [_plain(value) for value in values]
    places: dict[tuple[type, Any], int] = {}
    codes = [places.setdefault((type(value), value), len(places)) for value in plain]
    column: dict[str, Any] = {"name": name, "kind": kind}
    if all((isinstance(value, int | float) and not isinstance(value, bool)) or value is None for value in plain):
        column["number"] = True
    levels = redact_record([value for _, value in places], name)
    if len(levels) == 1:
        return column | {"value": levels[0]}
    if len(levels) <= len(plain) / 2:
        return column | {"levels": levels, "codes": codes}
    whole = [levels[code] for code in codes]
    are_texts = all(isinstance(level, str) or level is None for level in levels)
    if are_texts and sum(len(level or "") for level in levels) > _LONG * len(levels):
        return column | _by_words(whole)
    return column | {"values": whole}


def _by_words(texts: Sequence[str | None]) -> dict[str, Any]:
    """Return texts as numbers of their words: the commands of a sweep have most of theirs in common."""
    places: dict[str, int] = {}
    lines = [text and [places.setdefault(word, len(places)) for word in text.split(" ")] for text in texts]
    return {"words": list(places), "lines": lines}


def _plain(value: Any) -> Any:
    """Return a value of JSON; a number with seven digits, which is more than a training repeats."""
    if isinstance(value, float):
        return float(f"{value:.7g}") if is_number(value) else None
    return value[:_LONGEST] if isinstance(value, str) else value


def _curves(metrics: Sequence[str], histories: Histories, places: Mapping[str, int]) -> dict[str, Any]:
    """Return the curves: lists of steps, and of each run and metric the number of its list and the values."""
    grids: dict[tuple[int, ...], int] = {}
    runs: dict[int, dict[str, Any]] = {}
    for run_id, of_run in histories.items():
        for metric, history in of_run.items():
            steps = _thinned(tuple(history)) if run_id in places else ()
            if steps:
                values = [_plain(history[step]) for step in steps]
                runs.setdefault(places[run_id], {})[metric] = [grids.setdefault(steps, len(grids)), values]
    return {"metrics": list(metrics), "steps": [list(steps) for steps in grids], "runs": runs}


def _thinned(steps: tuple[int, ...]) -> tuple[int, ...]:
    if len(steps) <= _MOST_STEPS:
        return steps
    return tuple(steps[place] for place in np.linspace(0, len(steps) - 1, _MOST_STEPS).round().astype(int))
