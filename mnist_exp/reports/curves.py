"""The values per epoch of the runs whose learning curves are shown."""

from collections.abc import Mapping, Sequence

from mnist_exp.comparison.groups import Grouping
from mnist_exp.comparison.metric import Metric
from mnist_exp.reports import figures
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun, metric_histories

MOST_RUNS = 200
_MOST_POINTS = 10_000

Histories = Mapping[str, Mapping[str, Mapping[int, float]]]


def of(grouping: Grouping) -> Histories:
    """Return run id → metric → epoch → value, of at most 200 runs: those of the best configurations, then others."""
    best = [run for family in grouping.families for each in family.groups for run in each.runs]
    others = [left.run for left in grouping.left_out if not left.run.is_sweep]
    return of_runs([*best, *others][:MOST_RUNS], grouping.metric)


def of_runs(runs: Sequence[StoredRun], metric: Metric) -> Histories:
    """Return the same of these runs."""
    if not runs:
        return {}
    ids = [run.run_id for run in runs]
    of_all = {name: metric_histories(runs[0].uri, ids, name) for name in shown(metric)}
    return {run_id: {name: _bounded(of_all[name][run_id]) for name in of_all} for run_id in ids}


def shown(metric: Metric) -> list[str]:
    """Return the metrics per epoch that are shown, the one that is closest to the compared metric first."""
    return list(dict.fromkeys([figures.epoch_metric(metric), names.VAL_LOSS, names.LOSS]))


def _bounded(values: Mapping[int, float]) -> dict[int, float]:
    return dict(sorted(values.items())[:_MOST_POINTS])
