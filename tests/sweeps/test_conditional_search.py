"""A search over three models from end to end: each trial has the options of its model, and all places know that."""

import csv
import json
import re
import signal
from pathlib import Path

import pytest
from real_runs import Running, recorded, run

OF_MODEL = {
    "cnn": {"model", "model.filters", "model.dropout"},
    "mlp": {"model", "model.hidden_units", "model.dropout"},
    "lenet5": {"model", "model.dropout"},
}
SEARCH = [
    "-m", "model=lenet5,cnn,mlp", "model.filters=int(interval(2,6))", "model.hidden_units=[8],[16,8]",
    "model.dropout=interval(0,0.5)", "model.dense_units=16", "data=mnist_5k", "data.limit=300", "data.validation=60",
    "trainer.epochs=1", "sweep.n_trials=9", "sweep.seed=1", "hydra.launcher.n_workers=2",
]  # fmt: skip


@pytest.mark.slow
def test_search_over_models_is_interrupted_and_goes_on():
    first = Running("mnist_exp.run", *SEARCH)
    first.wait_until(lambda: "".join(first.out).count("\ndone ") >= 3, 400)
    first.process.send_signal(signal.SIGINT)
    first.end_with(130)
    told = "".join(first.out)
    assert re.search(r"^applies +filters to model=cnn; hidden_units to model=mlp; model.dense_units=16 to", told, re.M)
    again = Running("mnist_exp.run", *SEARCH)
    again.end_with(0, 500)
    client, (parent,), children = recorded()
    done = [child for child in children if child.info.status == "FINISHED"]
    assert len(done) == 9, "an interrupted trial goes on as the same run"
    points = {child.info.run_id: json.loads(child.data.tags["mnist_exp.point"]) for child in done}
    assert {point["model"] for point in points.values()} == OF_MODEL.keys()
    for child in done:
        point = points[child.info.run_id]
        assert point.keys() == OF_MODEL[point["model"]]
        assert ("model.dense_units=16" in child.data.tags["mnist_exp.overrides"]) == (point["model"] == "cnn")
        for key in OF_MODEL[point["model"]] - {"model"}:
            assert child.data.params[key].replace(" ", "") == point[key].replace(" ", "")
    board = Path(client.download_artifacts(parent.info.run_id, "leaderboard.csv")).read_text().splitlines()
    for line in csv.DictReader(board):
        cells = {key: value for key, value in line.items() if key.startswith("model") and value}
        assert cells == points[line["run_id"]]
    assert "nan" not in "".join(again.out).lower()
    best = Path(client.download_artifacts(parent.info.run_id, "best.yaml")).read_text()
    command = re.search(r"^# python -m mnist_exp.run (.*)$", best, re.M)[1]
    value = float(re.search(r"^# val_accuracy ([\d.]+)", best)[1])
    run(*command.replace("'", "").split(), "tracking.experiment=alone", "trainer.threads=1")
    (alone,) = client.search_runs([client.get_experiment_by_name("alone").experiment_id])
    assert alone.data.metrics["objective"] == pytest.approx(value, abs=1e-6)
    finished = Running("mnist_exp.run", *SEARCH)
    finished.end_with(0, 200)
    assert "0, 9 done already" in "".join(finished.out), "nothing is left to do"
