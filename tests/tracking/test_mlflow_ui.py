"""What the MLflow UI shows of runs and sweeps, in a real browser."""

import contextlib
import json
import re
from urllib.parse import quote

import pytest
from real_browser import free_port, page, serving
from real_runs import SMALL, Running, client_of, run

from mnist_exp.tracking import ui_view

pytestmark = pytest.mark.services
GRID = [*SMALL, "trainer.epochs=2", "data.validation=0.2", "model.filters=2,4", "model.dropout=0.1,0.5"]


@contextlib.contextmanager
def mlflow_ui():
    """Yield the address of a server, and a page."""
    port = free_port()
    words = ["mlflow", "ui", "--port", str(port), "--workers", "1"]
    base = f"http://127.0.0.1:{port}"
    with (
        serving(words, f"{base}/health", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),
        page(viewport={"width": 2400, "height": 1000}) as opened,
    ):
        opened.set_default_timeout(60_000)
        yield base, opened


def printed_page(*words):
    """Run a command to its end and return the page whose address it prints."""
    running = Running("mnist_exp.run", *words)
    running.end_with(0)
    (line,) = [line for line in running.out if line.startswith("look")]
    return line.split("http://127.0.0.1:5000")[1].strip()


def columns_of(opened, awaited):
    """Return the names of the columns from left to right, once this one is there."""
    opened.locator(f'[col-id="{awaited}"]').first.wait_for()
    cells = opened.locator(".ag-header-cell:is([col-id^='metrics.'], [col-id^='params.'])").all()
    left_to_right = sorted(cells, key=lambda cell: cell.bounding_box()["x"])
    return [cell.get_attribute("col-id").split("`")[1] for cell in left_to_right]


def top_down(names):
    """Return the names in the order on the screen, which may differ from that of the elements."""
    return [name.inner_text() for name in sorted(names.all(), key=lambda name: name.bounding_box()["y"])]


def assert_sorted(names, values, *, reverse=True):
    """Check that the runs with these values are shown in this order."""
    names.nth(len(values) - 1).wait_for()
    assert [values[name] for name in top_down(names)] == sorted(values.values(), reverse=reverse)


def values_of(metric, condition=""):
    """Return the results of the runs by their names, without parent runs."""
    client = client_of()
    experiment = client.get_experiment_by_name("mnist_exp").experiment_id
    found = client.search_runs([experiment], condition)
    return {each.info.run_name: each.data.metrics[metric] for each in found if metric in each.data.metrics}


def test_printed_pages_show_options_and_metrics_best_first(alone):
    sweep = printed_page("-m", *GRID)
    with mlflow_ui() as (base, opened):
        names = opened.get_by_role("link", name=re.compile("^(filters|dropout)="))

        def open_page(address):
            opened.goto("about:blank")
            opened.goto(base + address)

        open_page(sweep)
        shown = columns_of(opened, "params.`model.dropout`")
        assert shown[:5] == ["val_accuracy", "model.filters", "model.dropout", "test_accuracy", "epochs"]
        opened.get_by_text("4 matching runs").wait_for()  # Not the parent, which has no accuracy.
        assert_sorted(names, values_of("val_accuracy"))

        open_page(sweep + "&compareRunsMode=CHART")
        drawn = opened.locator(".parcoords")
        drawn.first.wait_for()
        drawn.get_by_text("model.dropout").first.wait_for()
        labels = {"model.dropout", "model.filters", "val_accuracy"}
        assert labels <= set(drawn.locator("text").all_text_contents())

        # A sweep that counts the jobs of another one shows these too.
        open_page(printed_page("-m", *GRID[:-1], "model.dropout=0.1,0.5,0.7"))
        opened.get_by_text("6 matching runs").wait_for()
        assert_sorted(names, values_of("val_accuracy"))

        # All runs of the experiment, in MLflow's menu of views too.
        open_page(printed_page(*SMALL, "trainer.epochs=1", "model.filters=3", "tracking.run_name='filters=3'"))
        shown = columns_of(opened, "params.`optimizer._target_`")
        assert shown[:4] == ["val_accuracy", "test_accuracy", "epochs", "fit_time_s"]
        assert {"model._target_", "optimizer.learning_rate", "data.name", "seed"} <= set(shown)
        opened.get_by_role("button", name="mnist_exp: best val_accuracy first").wait_for()
        assert_sorted(names, values_of("val_accuracy"))

        # Where no view could be kept, the address sorts and filters.
        condition = "params.`model.filters` = '4'"
        view = ui_view.of_jobs(condition, ["model.filters"], {"model.filters"}, "loss", "minimize")
        open_page(f"{sweep.partition('?')[0]}?{view.address}&workflowType=machine_learning")
        opened.get_by_text("3 matching runs").wait_for()
        assert_sorted(names, values_of("loss", condition), reverse=False)


def test_sweep_is_grouped_and_compared(alone):
    run("-m", *GRID)
    client = client_of()
    experiment = client.get_experiment_by_name("mnist_exp").experiment_id
    runs = client.search_runs([experiment])
    (parent,) = [each for each in runs if "mnist_exp.sweep" in each.data.tags]
    children = [each for each in runs if each.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == 4
    with mlflow_ui() as (base, opened):
        opened.goto(f"{base}/#/experiments/{experiment}/runs")
        row = opened.get_by_role("row").filter(has_text=parent.info.run_name[:12])
        row.first.wait_for()
        names = opened.get_by_role("link", name=re.compile("^(filters|dropout)="))
        assert names.count() == 0
        row.get_by_role("button").first.click()
        names.nth(3).wait_for()
        assert sorted(names.all_inner_texts()) == sorted(child.info.run_name for child in children)

        opened.goto(f"{base}/#/experiments/{experiment}/runs?orderByKey=metrics.%60val_accuracy%60&orderByAsc=false")
        opened.reload()
        names.nth(3).wait_for()
        accuracies = {child.info.run_name: child.data.metrics["val_accuracy"] for child in children}
        assert [accuracies[name] for name in top_down(names)] == sorted(accuracies.values(), reverse=True)

        ids = quote(json.dumps([child.info.run_id for child in children]))
        opened.goto(f"{base}/#/compare-runs?runs={ids}&experiments={quote(json.dumps([experiment]))}")
        opened.get_by_text("Comparing 4 Runs").wait_for()
        drawn = opened.locator(".parcoords")
        drawn.first.wait_for()
        drawn.get_by_text("model.dropout").first.wait_for()
        assert {"model.dropout", "model.filters"} <= set(drawn.locator("text").all_text_contents())


def test_sweep_over_seeds_shows_configurations_and_what_may_be_concluded(alone):
    address = printed_page("-m", *SMALL, "trainer.epochs=1", "data.validation=0.2", "model.filters=2,4", "seed=1,2")
    client = client_of()
    (parent,) = client.search_runs(["1"], "tags.`mnist_exp.sweep` LIKE '%'")
    with mlflow_ui() as (base, opened):
        opened.goto(base + address)
        opened.get_by_text("4 matching runs").wait_for()
        opened.get_by_text("(average)").first.wait_for()
        assert opened.locator(".ag-center-cols-container .ag-row").count() == 2, "a row is a configuration"
        assert opened.get_by_role("link", name=re.compile("^filters=")).count() == 0, "its runs are folded"

        page_of_parent = f"{base}{address.partition('?')[0]}/{parent.info.run_id}?workflowType=machine_learning"
        opened.goto("about:blank")
        opened.goto(page_of_parent)
        opened.get_by_text("What may be concluded").first.wait_for()
        opened.get_by_text("has the best mean of the 2 configurations").first.wait_for()
        is_drawn = "[...document.images].some(i => i.src.includes('get-artifact') && i.naturalWidth > 100)"
        opened.wait_for_function(is_drawn)
        opened.get_by_text("Show more").click()
        first = opened.get_by_role("link", name=re.compile("^filters=[24] seed=[12]$")).first
        run_id = first.get_attribute("href").rpartition("/")[2]
        assert client.get_run(run_id).data.tags["mlflow.parentRunId"] == parent.info.run_id

        opened.goto("about:blank")
        opened.goto(base + address)
        opened.get_by_role("button", name="Views").click()
        opened.get_by_text("mnist_exp: sweeps and their verdicts").click()
        opened.get_by_text("1 matching run").wait_for()
        opened.locator('[col-id="tags.`mnist_exp.verdict`"]').get_by_text("has the best mean").first.wait_for()
