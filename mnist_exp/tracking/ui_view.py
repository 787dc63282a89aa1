"""The view of runs on MLflow's page: its columns, its order and its charts.

MLflow keeps such a view as JSON in a tag of the experiment, `mlflow.sharedViewState.KEY`, and an address that names the
key opens it. This is not a public interface, so tests/tracking/test_mlflow_ui.py checks the page in a browser (3.17).
If the tag cannot be written, the address itself sorts the runs, and MLflow chooses the columns.
"""

import contextlib
import hashlib
import json
import time
import urllib.parse
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mnist_exp.tracking import mlflow_writes, names, store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

_TAG = "mlflow.sharedViewState."
_KEY_LENGTH = 16  # of a digest, in hex
_COST = (names.EPOCHS, names.FIT_TIME_S)
_CHOSEN = (names.MODEL_TARGET, "optimizer._target_", "optimizer.learning_rate", names.DATA_NAME, names.SEED)
# MLflow's own width of 200 pixels leaves room for three columns beside its assistant; but a `_target_` is long.
_WIDTH_PX, _WIDE_PX = 120, 200
_places: dict[tuple[str, str, str], tuple[str, str]] = {}
_MOST_NAMED = 300  # runs: MLflow keeps 20,000 characters


@dataclass(frozen=True)
class View:
    """A view: which runs of an experiment are shown, with which columns and charts.

    Args:
        metric: by which the runs are sorted, the best first.
        direction: maximize or minimize.
        columns: from left to right, as MLflow names them.
        condition: a filter in MLflow's syntax; empty for all runs.
        name: of the view in MLflow's menu; None leaves it out of the menu, which can hold 40 views.
        charted: params that the charts plot against the metric; if empty, MLflow chooses the charts.
    """

    metric: str
    direction: str
    columns: tuple[str, ...]
    condition: str = ""
    name: str | None = None
    charted: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The key of the view in an address: a digest of its state, so that equal views have the same key."""
        return "mnist_exp-" + hashlib.sha256(self.state.encode()).hexdigest()[:_KEY_LENGTH]

    @property
    def state(self) -> str:
        """The view as MLflow's page reads it, JSON."""
        state: dict[str, Any] = {
            **self._facets,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "datasetsFilter": [],
            "modelVersionFilter": "All Runs",
            "selectedColumns": self.columns,
            "columnOrder": self.columns,
            "columnWidths": {name: _WIDE_PX if "_target_" in name else _WIDTH_PX for name in self.columns},
        }
        if self.charted:
            state |= _charts(self.metric, self.charted)
        return json.dumps(state)

    @property
    def address(self) -> str:
        """The end of an address that sorts and filters the runs if the tag cannot be written."""
        facets = {name: value if isinstance(value, str) else json.dumps(value) for name, value in self._facets.items()}
        return urllib.parse.urlencode({name: value for name, value in facets.items() if value})

    @property
    def _facets(self) -> dict[str, Any]:
        return {
            "searchFilter": self.condition,
            "orderByKey": _metric(self.metric),
            "orderByAsc": self.direction == "minimize",
        }


def of_runs(objective: str, direction: str) -> View:
    """Return the view of an experiment's runs; runs with the same objective share one view."""
    columns = [*map(_metric, (objective, *_outcome(objective))), *map(_param, _CHOSEN)]
    return View(objective, direction, _distinct(columns), name=f"mnist_exp: best {objective} first")


def of_jobs(condition: str, swept: Sequence[str], params: Collection[str], objective: str, direction: str) -> View:
    """Return the view of a sweep's jobs.

    Args:
        condition: from `children` or `among`.
        swept: the options that differ between the jobs.
        params: names of the params recorded for a job; for a choice of a group, the params of that choice.
        objective: the metric that ranks.
        direction: of the objective.
    """
    recorded = [next((p for p in (key, f"{key}.name", f"{key}._target_") if p in params), None) for key in swept]
    shown = _distinct(param for param in recorded if param is not None)
    columns = [_metric(objective), *map(_param, shown), *map(_metric, (*_outcome(objective), names.PARAMETERS))]
    return View(objective, direction, _distinct(columns), condition, charted=shown)


def _outcome(objective: str) -> tuple[str, ...]:
    """Return the metrics that a view shows beside an objective: those of the task that has it."""
    base = objective.removeprefix("val_")
    scores = ("mae", "rmse", "r2") if base in ("mae", "rmse", "r2") else (names.ACCURACY,)
    own = () if base in (*scores, names.LOSS) else (base,)
    validated = () if scores[0] == "mae" else (names.VAL_ACCURACY,)
    return (*validated, *map(names.tested, (*own, *scores)), *_COST)


def children(parent: str) -> str:
    """Return the filter for the jobs of a sweep."""
    return f"tags.`{names.PARENT}` = '{parent}'"


def among(run_ids: Sequence[str]) -> str:
    """Return the filter for these runs; of more than 300, for the first 300."""
    return f"attributes.run_id IN ({', '.join(map(repr, run_ids[:_MOST_NAMED]))})"


def place(uri: str, name: str, view: View, *, anew: bool) -> tuple[str, str]:
    """Return the id of an experiment, which is created if it is new, and what `page` returns for it.

    Args:
        uri: of the store.
        name: of the experiment.
        view: of its runs.
        anew: whether to ask the store again, which is asked once in a process: a sweep has many jobs.
    Raises: TrackingError: the experiment was deleted.
    """
    key = store.absolute(uri), name, view.key
    if anew or key not in _places:
        experiment = store.experiment(uri, name)
        _places[key] = str(experiment.experiment_id), page(store.client(uri), experiment, view)
    return _places[key]


def page(client: "MlflowClient", experiment: "Experiment", view: View) -> str:
    """Store a view in MLflow, and return the part of the page's address that follows the address of the server.

    A view that is stored already is not changed, because a user may have edited it in the browser. So the first run of
    an experiment costs one request, and the next ones none.
    """
    is_kept = tag(view) in experiment.tags or keep(client, experiment.experiment_id, view)
    return address(experiment.experiment_id, view, is_kept=is_kept)


def tag(view: View) -> str:
    """Return the name of the experiment's tag that keeps a view."""
    return _TAG + view.key


def keep(client: "MlflowClient", experiment_id: str, view: View) -> bool:
    """Store a view in MLflow; return False where others may write runs only."""
    with contextlib.suppress(*mlflow_writes.write_errors()):
        client.set_experiment_tag(experiment_id, tag(view), _as_kept(view))
        return True
    return False


def address(experiment_id: str, view: View, *, is_kept: bool) -> str:
    """Return the part of the page's address that follows the address of the server.

    Args:
        experiment_id: of the runs.
        view: of them.
        is_kept: whether MLflow has the view.
    """
    # Given both, MLflow follows what the address says and leaves the view alone. Without the last part it would show
    # its front page, which is for language models.
    query = f"viewStateShareKey={view.key}" if is_kept else view.address
    return f"/#/experiments/{experiment_id}/runs?{query}&workflowType=machine_learning"


def _as_kept(view: View) -> str:
    if view.name is None:
        return view.state
    now_ms = round(time.time() * 1000)
    return json.dumps({"name": view.name, "createdAt": now_ms, "updatedAt": now_ms, "state": view.state})


def _metric(name: str) -> str:
    return f"metrics.`{name}`"


def _param(name: str) -> str:
    return f"params.`{name}`"


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _charts(metric: str, params: Sequence[str]) -> dict[str, Any]:
    """Return MLflow's charts: each job as a line through its options to its metric, and the curves of the best ten."""
    common = {"metricSectionId": "sweep", "deleted": False, "isGenerated": False}
    across = {"type": "PARALLEL", "uuid": "across", "showAllRuns": True}
    curves = {"type": "LINE", "uuid": "curves", "metricKey": metric, "lineSmoothness": 0}
    return {
        "compareRunCharts": [
            common | across | {"selectedParams": list(params), "selectedMetrics": [metric]},
            common | curves,
        ],
        "compareRunSections": [
            {
                "uuid": "sweep",
                "name": "Sweep",
                "display": True,
                "isReordered": False,
                "isGenerated": False,
                "columns": 2,
            }
        ],
    }
