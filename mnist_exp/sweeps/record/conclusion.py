"""What may be concluded from a sweep, as tags of its parent run.

The sentences are those of a report on the sweep, without the comparison of the trained models.
"""

import json
from collections.abc import Sequence

from mnist_exp.comparison import groups, verdict
from mnist_exp.comparison.metric import Metric
from mnist_exp.comparison.selected import Selected
from mnist_exp.errors import SettingsError
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

_LONGEST = 3000  # characters: MLflow keeps 8,000 of a tag, and the description has a leaderboard beside it


def tags(
    ranked: Sequence[Row],
    stored: Sequence[StoredRun],
    objective: str,
    direction: str,
    raced_from: str = "",
    selected: Selected | None = None,
) -> dict[str, str]:
    """Return the verdict, the best run, and where there are several seeds the best configuration and its interval.

    Args:
        ranked: the jobs that are done, the best first.
        stored: their runs, as the store has them.
        objective: the metric that ranks.
        direction: maximize or minimize.
        raced_from: the first seed of a search that raced its points over seeds; else empty.
        selected: how much of the best value is luck, and its honest value; None where that is not known.
    Returns: the tags; none if no job is done, or the store does not have the runs of all.
    """
    ids = {row.run_id for row in ranked}
    found = sorted((run for run in stored if run.run_id in ids), key=lambda run: (run.started_ms, run.run_id))
    if not ranked or len(found) < len(ids):
        return {}
    try:
        grouping = groups.group(found, Metric(names.OBJECTIVE, objective, direction), raced_from=raced_from)
    except SettingsError:
        return {}  # No objective is a finite number.
    text = "\n".join([*verdict.verdict(grouping, None), *(selected.sentences if selected else [])])
    said = {names.VERDICT: text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"}
    said[names.BEST_RUN] = str(ranked[0].run_id)
    said |= {names.SELECTED: selected.to_json()} if selected else {}
    family = grouping.families[0]
    if len(grouping.families) == 1 and family.reference is not None:
        best = family.groups[family.reference]
        said[names.BEST_CONFIGURATION] = best.label
        if best.interval is not None:
            said[names.BEST_INTERVAL] = json.dumps(best.interval)
    return said
