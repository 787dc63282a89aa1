"""What the MLflow UI shows of a sweep, in a real browser."""

import json
import re
from urllib.parse import quote

import pytest
from real_browser import free_port, page, serving
from real_runs import SMALL, client_of, run

pytestmark = pytest.mark.services


def test_sweep_is_grouped_sorted_and_compared(alone):
    run("-m", *SMALL, "trainer.epochs=2", "data.validation=0.2", "model.filters=2,4", "model.dropout=0.1,0.5")
    client = client_of()
    experiment = client.get_experiment_by_name("mnist_exp").experiment_id
    runs = client.search_runs([experiment])
    (parent,) = [each for each in runs if "mnist_exp.sweep" in each.data.tags]
    children = [each for each in runs if each.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == 4
    port = free_port()
    words = ["mlflow", "ui", "--port", str(port), "--workers", "1"]
    base = f"http://127.0.0.1:{port}"
    with (
        serving(words, f"{base}/health", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),
        page(viewport={"width": 1700, "height": 1000}) as opened,
    ):
        opened.set_default_timeout(60_000)
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
        # From top to bottom, which need not be the order of the elements.
        top_down = sorted(names.all(), key=lambda name: name.bounding_box()["y"])
        accuracies = {child.info.run_name: child.data.metrics["val_accuracy"] for child in children}
        shown = [accuracies[name.inner_text()] for name in top_down]
        assert shown == sorted(accuracies.values(), reverse=True)

        ids = quote(json.dumps([child.info.run_id for child in children]))
        opened.goto(f"{base}/#/compare-runs?runs={ids}&experiments={quote(json.dumps([experiment]))}")
        opened.get_by_text("Comparing 4 Runs").wait_for()
        drawn = opened.locator(".parcoords")
        drawn.first.wait_for()
        drawn.get_by_text("model.dropout").first.wait_for()
        assert {"model.dropout", "model.filters"} <= set(drawn.locator("text").all_text_contents())
