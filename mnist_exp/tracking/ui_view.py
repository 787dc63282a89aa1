"""The view of runs on MLflow's page: its columns, its order and its charts.

MLflow keeps such a view as JSON in a tag of the experiment, `mlflow.sharedViewState.KEY`, and an address that names the
key opens it. This is not a public interface, so tests/tracking/test_mlflow_ui.py checks the page in a browser (3.17).
If the tag cannot be written, the address itself sorts the runs, and MLflow chooses the columns.
"""

import contextlib
import hashlib
import itertools
import json
import re
import time
import urllib.parse
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mnist_exp.tracking import mlflow_writes, names, store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

_TAG = "mlflow.sharedViewState."
Value = TypeVar("Value")
_KEY_LENGTH = 16  # of a digest, in hex
_COST = (names.EPOCHS, names.FIT_TIME_S, names.MEMORY_PEAK_MB)
_CHOSEN = (names.MODEL_TARGET, "optimizer._target_", "optimizer.learning_rate", names.DATA_NAME, names.SEED)
# MLflow's own width of 200 pixels leaves room for three columns beside its assistant; but a `_target_` is long.
_WIDTH_PX, _WIDE_PX = 120, 200
_WIDTHS_PX = {names.BEST_CONFIGURATION: 250, names.BEST_INTERVAL: 150, names.VERDICT: 700}
_places: dict[tuple[str, str, str], tuple[str, str]] = {}
_MOST_NAMED = 300  # runs: MLflow keeps 20,000 characters
_MOST_FOLDED = 4000  # characters of the names of folded groups; the others are shown unfolded
_MOST_FURTHER = 6  # charts of options that some jobs lack
_MOST_ADDED = 4  # metrics that the user chose


@dataclass(frozen=True)
class View:
    """A view: which runs of an experiment are shown, with which columns and charts.

    Args:
        metric: by which the runs are sorted, the best first; empty for the newest first.
        direction: maximize or minimize.
        columns: from left to right, as MLflow names them.
        condition: a filter in MLflow's syntax; empty for all runs.
        name: of the view in MLflow's menu; None leaves it out of the menu, which can hold 40 views.
        charted: params that the charts plot against the metric; if empty, MLflow chooses the charts.
        further: params of a chart each, which some runs lack: MLflow leaves out a run that lacks one of a chart's.
        groups: params whose equal values make one row, with the means of its runs; empty for a row for each run.
        folded: the values of these params in each group that is shown without its runs.
    """

    metric: str
    direction: str
    columns: tuple[str, ...]
    condition: str = ""
    name: str | None = None
    charted: tuple[str, ...] = ()
    further: tuple[tuple[str, ...], ...] = ()
    groups: tuple[str, ...] = ()
    folded: tuple[tuple[str, ...], ...] = ()

    @property
    def key(self) -> str:
        """The key of the view in an address: a digest of its state, so that equal views have the same key."""
        return _key_of(self.state)

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
            "columnWidths": {name: _width(name) for name in self.columns},
        }
        if self.charted:
            state |= _charts(self.metric, self.charted, self.further)
        if self.groups:
            keys = [{"mode": "param", "groupByData": name} for name in self.groups]
            state["groupBy"] = {"aggregateFunction": "average", "groupByKeys": keys}
            state["groupsExpanded"] = dict.fromkeys(self._folded_names, False)
        return json.dumps(state)

    @property
    def address(self) -> str:
        """The end of an address that sorts and filters the runs if the tag cannot be written."""
        facets = {name: value if isinstance(value, str) else json.dumps(value) for name, value in self._facets.items()}
        return urllib.parse.urlencode({name: value for name, value in facets.items() if value})

    @property
    def _folded_names(self) -> list[str]:
        """The names of the groups without their runs, as MLflow makes them."""
        named = [zip(self.groups, values, strict=True) for values in self.folded]
        found = [",".join(f"param.{key}.{value}" for key, value in each) for each in named]
        lengths = itertools.accumulate(map(len, found))
        return [name for name, length in zip(found, lengths, strict=True) if length <= _MOST_FOLDED]

    @property
    def _facets(self) -> dict[str, Any]:
        return {
            "searchFilter": self.condition,
            "orderByKey": _metric(self.metric) if self.metric else "attributes.start_time",
            "orderByAsc": self.direction == "minimize",
        }


def of_runs(objective: str, direction: str, params: Collection[str] = ()) -> View:
    """Return the view of an experiment's runs; runs with the same objective and metrics share one view.

    Args:
        objective: the metric that ranks.
        direction: of the objective.
        params: names of the params recorded for a run, which tell the metrics that the user chose.
    """
    chosen = [name for name in _chosen_metrics(params) if name != objective.removeprefix("val_")]
    columns = [*map(_metric, (objective, *_outcome(objective, chosen))), *map(_param, _CHOSEN)]
    added = f", with {', '.join(chosen)}" if chosen else ""
    return View(objective, direction, _distinct(columns), name=f"mnist_exp: best {objective} first{added}")


def of_sweeps() -> View:
    """Return the view of an experiment's sweeps: the newest first, with what may be concluded from each."""
    columns = [*map(_tag, (names.BEST_CONFIGURATION, names.BEST_INTERVAL, names.VERDICT)),
               *map(_metric, (names.BEST_OBJECTIVE, names.jobs("done"), names.COMPUTE_TIME_S))]  # fmt: skip
    condition = f"tags.`{names.SWEEP}` LIKE '%'"
    return View("", "maximize", tuple(columns), condition, name="mnist_exp: sweeps and their verdicts")


def of_jobs(
    condition: str, swept: Sequence[str], params: Collection[str], objective: str, direction: str,
    minimized: str | None = None, configurations: Collection[Mapping[str, str]] = (),
    limited: Sequence[Sequence[str]] = (),
) -> View:  # fmt: skip
    """Return the view of a sweep's jobs; over several seeds, with a row for each configuration.

    Args:
        condition: from `children` or `among`.
        swept: the options that differ between the jobs.
        params: names of the params recorded for a job; for a choice of a group, the params of that choice.
        objective: the metric that ranks.
        direction: of the objective.
        minimized: a second objective.
        configurations: the params of the jobs, if it is known which groups there are.
        limited: swept options that some jobs lack, those together that the same jobs have.
    """
    recorded = [next((p for p in (key, f"{key}.name", f"{key}._target_") if p in params), None) for key in swept]
    shown = _distinct(param for param in recorded if param is not None)
    varied = tuple(name for name in shown if name != names.SEED)
    groups = varied if names.SEED in shown else ()
    outcome = _outcome(objective, _chosen_metrics(params), *([minimized] if minimized else []))
    columns = [_metric(objective), *map(_param, varied), *map(_metric, (*outcome, names.PARAMETERS))]
    columns += [_param(name) for name in shown if name == names.SEED]
    folded = _distinct(tuple(own.get(name, "null") for name in groups) for own in configurations) if groups else ()
    some = {name for each in limited for name in each}
    charted = tuple(name for name in varied if name not in some)
    further = tuple((*charted, *each) for each in limited[:_MOST_FURTHER])
    return View(
        objective, direction, _distinct(columns), condition, charted=charted or shown, further=further, groups=groups,
        folded=folded,
    )  # fmt: skip


def _chosen_metrics(params: Collection[str]) -> list[str]:
    """Return the names of the metrics that the user chose, as `metrics=imbalanced` does."""
    found = [re.fullmatch(r"metrics\.(\w+)\._target_", name) for name in params]
    return [match[1] for match in found if match][:_MOST_ADDED]


def _outcome(objective: str, chosen: Sequence[str] = (), *minimized: str) -> tuple[str, ...]:
    """Return the metrics that a view shows beside an objective: those of the task that has it, and those chosen."""
    base = objective.removeprefix("val_")
    scores = ("mae", "rmse", "r2") if base in ("mae", "rmse", "r2") else (names.ACCURACY,)
    own = () if base in (*scores, names.LOSS) else (base,)
    validated = () if scores[0] == "mae" else (names.VAL_ACCURACY,)
    return (*minimized, *validated, *map(names.tested, (*own, *scores, *chosen)), *_COST)


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
    is_kept = tag(view) in experiment.tags or keep(client, experiment.experiment_id, view, experiment.tags)
    return address(experiment.experiment_id, view, is_kept=is_kept)


def tag(view: View) -> str:
    """Return the name of the experiment's tag that keeps a view."""
    return _TAG + view.key


def keep(client: "MlflowClient", experiment_id: str, view: View, kept: Mapping[str, str]) -> bool:
    """Store a view in MLflow; return False where others may write runs only.

    One of the same name, that an earlier version of this package made and nobody has edited, leaves the menu. Its
    address stays.

    Args:
        client: of the store.
        experiment_id: of the runs.
        view: to store.
        kept: the tags of the experiment.
    """
    with contextlib.suppress(*mlflow_writes.write_errors()):
        for name, state in _outdated(view, kept).items():
            client.set_experiment_tag(experiment_id, name, state)
        client.set_experiment_tag(experiment_id, tag(view), _as_kept(view))
        return True
    return False


def _outdated(view: View, kept: Mapping[str, str]) -> dict[str, str]:
    """Return the views of the same name that nobody has edited, without their names: tag and state."""
    found = {}
    for name, text in kept.items():
        if view.name is not None and name.startswith(_TAG) and name != tag(view):
            with contextlib.suppress(ValueError, TypeError, AttributeError):  # Anyone may write such a tag.
                stored = json.loads(text)
                if stored.get("name") == view.name and name == _TAG + _key_of(stored["state"]):
                    found[name] = stored["state"]
    return found


def _key_of(state: str) -> str:
    return "mnist_exp-" + hashlib.sha256(state.encode()).hexdigest()[:_KEY_LENGTH]


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


def _tag(name: str) -> str:
    return f"tags.`{name}`"


def _width(column: str) -> int:
    """Return the width of a column in pixels."""
    name = column.partition("`")[2].rstrip("`")
    return _WIDTHS_PX.get(name, _WIDE_PX if "_target_" in name else _WIDTH_PX)


def _distinct(values: Iterable[Value]) -> tuple[Value, ...]:
    return tuple(dict.fromkeys(values))


def _charts(metric: str, params: Sequence[str], further: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return MLflow's charts: each job as a line through its options to its metric, and the curves of the best ten."""
    common = {"metricSectionId": "sweep", "deleted": False, "isGenerated": False}
    across = {"type": "PARALLEL", "uuid": "across", "showAllRuns": True}
    curves = {"type": "LINE", "uuid": "curves", "metricKey": metric, "lineSmoothness": 0}
    return {
        "compareRunCharts": [
            common | across | {"selectedParams": list(params), "selectedMetrics": [metric]},
            common | curves,
            *(
                common | across | {"uuid": f"across {n}", "selectedParams": list(each), "selectedMetrics": [metric]}
                for n, each in enumerate(further, start=1)
            ),
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
