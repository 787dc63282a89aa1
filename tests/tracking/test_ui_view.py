"""The view that MLflow's page opens: what it shows, and that it is stored only once."""

import json
from types import SimpleNamespace
from urllib.parse import parse_qs

from mlflow.exceptions import MlflowException
from real_runs import new_store

from mnist_exp.tracking import store, ui_view

PARAMS = {"model._target_", "model.filters", "optimizer._target_", "data.name", "data._target_", "seed"}


class Client:
    """A client that stores tags, or refuses them."""

    def __init__(self, refuses=False):
        self.kept, self.refuses = {}, refuses

    def set_experiment_tag(self, experiment, key, value):
        if self.refuses:
            raise MlflowException("Permission denied")
        self.kept[key] = value


def of_jobs(condition="", swept=("model.filters",), objective="val_accuracy", direction="maximize"):
    return ui_view.of_jobs(condition, swept, PARAMS, objective, direction)


def columns(view):
    return [name.partition("`")[2].rstrip("`") for name in json.loads(view.state)["selectedColumns"]]


def test_runs_of_one_objective_share_a_view():
    first, second = (ui_view.of_runs("val_accuracy", "maximize") for _ in range(2))
    other = ui_view.of_runs("val_loss", "minimize")
    assert first.key == second.key != other.key
    assert columns(first)[:3] == ["val_accuracy", "test_accuracy", "epochs"]
    assert columns(other)[:2] == ["val_loss", "val_accuracy"]
    assert {"model._target_", "optimizer.learning_rate", "seed", "data.name", "fit_time_s"} <= set(columns(first))
    assert json.loads(first.state)["orderByAsc"] is False
    assert json.loads(other.state)["orderByAsc"] is True


def test_jobs_show_what_is_swept_as_it_is_recorded():
    view = of_jobs(ui_view.children("f00"), ("optimizer", "model.filters", "data", "experiment"))
    assert columns(view)[:4] == ["val_accuracy", "optimizer._target_", "model.filters", "data.name"]
    state = json.loads(view.state)
    assert state["searchFilter"] == "tags.`mlflow.parentRunId` = 'f00'"
    across, curves = state["compareRunCharts"]
    assert across["selectedParams"] == ["optimizer._target_", "model.filters", "data.name"]
    assert across["selectedMetrics"] == [curves["metricKey"]] == ["val_accuracy"]
    limited = [("model.filters",)]
    some = json.loads(ui_view.of_jobs("", sorted(PARAMS), PARAMS, "loss", "minimize", limited=limited).state)
    first, _, further = [chart.get("selectedParams", []) for chart in some["compareRunCharts"]]
    assert "model.filters" not in first and further == [*first, "model.filters"], "MLflow leaves out runs without it"
    assert "compareRunCharts" not in json.loads(of_jobs(swept=()).state)


def test_each_sweep_has_its_own_key():
    assert len({of_jobs(ui_view.children(parent)).key for parent in ("a", "b", "a")}) == 2


def test_view_of_very_many_jobs_is_not_too_long_for_mlflow():
    from mlflow.utils.validation import MAX_EXPERIMENT_TAG_KEY_LENGTH, MAX_EXPERIMENT_TAG_VAL_LENGTH

    view = of_jobs(ui_view.among([f"{number:032x}" for number in range(10_000)]), sorted(PARAMS))
    assert len(view.state) < MAX_EXPERIMENT_TAG_VAL_LENGTH
    assert len(f"mlflow.sharedViewState.{view.key}") < MAX_EXPERIMENT_TAG_KEY_LENGTH


def test_view_is_kept_once_and_then_left_as_it_is():
    client, view = Client(), ui_view.of_runs("val_accuracy", "maximize")
    experiment = SimpleNamespace(experiment_id="1", tags={})
    page = ui_view.page(client, experiment, view)
    assert page == f"/#/experiments/1/runs?viewStateShareKey={view.key}&workflowType=machine_learning"
    ((tag, value),) = client.kept.items()
    assert json.loads(json.loads(value)["state"]) == json.loads(view.state)
    experiment.tags = {tag: "what someone made of it in the browser"}
    client.kept.clear()
    assert ui_view.page(client, experiment, view) == page
    assert client.kept == {}


def test_address_sorts_where_no_view_can_be_kept():
    experiment = SimpleNamespace(experiment_id="1", tags={})
    page = ui_view.page(Client(refuses=True), experiment, of_jobs(ui_view.children("f00"), direction="minimize"))
    query = parse_qs(page.partition("?")[2])
    assert query == {
        "searchFilter": ["tags.`mlflow.parentRunId` = 'f00'"],
        "orderByKey": ["metrics.`val_accuracy`"],
        "orderByAsc": ["true"],
        "workflowType": ["machine_learning"],
    }


def test_real_store_keeps_it(alone):
    uri, view = "sqlite:///mlflow.db", ui_view.of_runs("val_accuracy", "maximize")
    new_store(uri, "digits")
    for name in ("digits", "other"):  # The second one is not there yet.
        ui_view.page(store.client(uri), store.experiment(uri, name), view)
        assert f"mlflow.sharedViewState.{view.key}" in store.experiment(uri, name).tags


def test_over_seeds_a_row_is_a_configuration():
    jobs = [{"model.filters": filters, "seed": seed} for filters in "48" for seed in "12"]
    view = ui_view.of_jobs("", ("model.filters", "seed"), PARAMS, "val_accuracy", "maximize", None, jobs)
    state = json.loads(view.state)
    key = {"mode": "param", "groupByData": "model.filters"}
    assert state["groupBy"] == {"aggregateFunction": "average", "groupByKeys": [key]}
    assert state["groupsExpanded"] == {"param.model.filters.4": False, "param.model.filters.8": False}
    assert state["compareRunCharts"][0]["selectedParams"] == ["model.filters"]
    assert columns(view)[-1] == "seed"
    alone = json.loads(ui_view.of_jobs("", ("seed",), PARAMS, "val_accuracy", "maximize", None, jobs).state)
    assert "groupBy" not in alone, "nothing but seeds: a row for each"


def test_view_of_very_many_configurations_is_not_too_long_for_mlflow():
    from mlflow.utils.validation import MAX_EXPERIMENT_TAG_VAL_LENGTH

    swept = [f"model.option_{number}" for number in range(8)]
    jobs = [dict.fromkeys(swept, f"{number:040}") for number in range(500)]
    view = ui_view.of_jobs("", [*swept, "seed"], [*swept, "seed"], "val_accuracy", "maximize", None, jobs)
    assert len(view.state) < MAX_EXPERIMENT_TAG_VAL_LENGTH


def test_chosen_metrics_and_second_objective_have_columns():
    params = {*PARAMS, "metrics.macro_f1._target_", "metrics.mcc._target_", "metrics.mcc.own"}
    view = ui_view.of_runs("val_macro_f1", "maximize", sorted(params))
    assert columns(view)[:4] == ["val_macro_f1", "val_accuracy", "test_macro_f1", "test_accuracy"]
    assert "test_mcc" in columns(view)
    assert view.name == "mnist_exp: best val_macro_f1 first, with mcc"
    assert view.key != ui_view.of_runs("val_macro_f1", "maximize").key
    both = ui_view.of_jobs("", ("model.filters",), params, "val_accuracy", "maximize", "memory_peak_mb")
    assert columns(both)[:3] == ["val_accuracy", "model.filters", "memory_peak_mb"]


def test_older_view_leaves_the_menu_unless_someone_edited_it():
    view = ui_view.of_runs("val_accuracy", "maximize")
    older = ui_view.View("val_accuracy", "maximize", ("metrics.`val_accuracy`",), name=view.name)
    edited = ui_view.View("val_accuracy", "maximize", ("metrics.`loss`",), name=view.name)
    stored = {ui_view.tag(each): json.dumps({"name": each.name, "state": each.state}) for each in (older, edited)}
    stored[ui_view.tag(edited)] = json.dumps({"name": view.name, "state": "{}"})
    stored |= {"mlflow.sharedViewState.mine": '"{', "mlflow.sharedViewState.list": "[1]", "else": "1"}
    client = Client()
    ui_view.page(client, SimpleNamespace(experiment_id="1", tags=stored), view)
    assert client.kept.keys() == {ui_view.tag(view), ui_view.tag(older)}
    assert json.loads(client.kept[ui_view.tag(older)]) == json.loads(older.state), "its address opens it still"
