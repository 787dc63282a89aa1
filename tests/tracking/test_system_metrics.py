"""Metrics of the machine: in MLflow's names, often enough for short runs, and never in the way of a run."""

import time
from pathlib import Path

import pytest
from real_runs import SMALL, client_of, kill_after_epoch, only_run, recorded, run

from mnist_exp.composition.compose import compose
from mnist_exp.config.rules import without_effect
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import TrackingError
from mnist_exp.tracking import names, system_metrics
from mnist_exp.tracking.tracker import open_tracker

WANTED = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"
INTERVAL = "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"
PARAMS = {"objective": "val_accuracy", "direction": "maximize"}
CPU = "system/cpu_utilization_percentage"
# Of a machine without a GPU, as MLflow's monitor records them.
OF_MLFLOW = {
    CPU, "system/system_memory_usage_megabytes", "system/system_memory_usage_percentage",
    "system/disk_usage_percentage", "system/disk_usage_megabytes", "system/disk_available_megabytes",
    "system/network_receive_megabytes", "system/network_transmit_megabytes",
}  # fmt: skip


def steps(run_id, name=CPU):
    return [point.step for point in client_of().get_metric_history(run_id, name)]


def begin(**settings):
    said = []
    tracker = open_tracker(TrackingSettings(system_metrics=True, **settings), said.append)
    tracker.load()
    tracker.start("run", PARAMS, {})
    return tracker, said


def test_short_run_has_metrics_of_the_machine_in_the_names_of_mlflow():
    tracker, said = begin()
    tracker.log_metrics({"loss": 1.0}, step=1)
    time.sleep(1.5)
    tracker.log_metrics({"loss": 0.5}, step=2)
    assert steps(tracker.run_id) == [0]
    tracker.end("FINISHED")
    found = only_run().data.metrics
    assert set(found) == {"loss", *OF_MLFLOW} and said == []
    assert steps(tracker.run_id) == [0, 1]
    assert steps(tracker.run_id, "loss") == [1, 2]
    assert not any(map(names.is_compared, OF_MLFLOW))
    values = [point.value for point in client_of().get_metric_history(tracker.run_id, CPU)]
    assert all(0 <= value <= 100 for value in values)
    assert 0 < found["system/system_memory_usage_percentage"] < 100


def test_they_wait_on_disk_while_the_store_is_away(monkeypatch):
    monkeypatch.setenv(INTERVAL, "0.2")
    tracker, said = begin()
    Path("mlflow.db").rename("away.db")
    Path("mlflow.db").mkdir()
    time.sleep(1)
    began = time.monotonic()
    tracker.log_metrics({"loss": 1.0}, step=1)
    assert time.monotonic() - began < 20
    assert "the tracking store does not take records" in said[0]
    Path("mlflow.db").rmdir()
    Path("away.db").rename("mlflow.db")
    tracker.end("FINISHED", 30)
    assert len(steps(tracker.run_id)) >= 4
    assert steps(tracker.run_id, "loss") == [1]


def test_run_of_a_day_has_few_values_and_one_of_seconds_enough():
    at = [0.0]
    while at[-1] < 86_400:
        between_s, looks = system_metrics.pace(at[-1])
        assert 1 <= between_s <= 5
        at.append(at[-1] + between_s * looks)
    assert sum(age <= 10 for age in at) == 11
    assert len(at) < 1_800


def test_variables_of_mlflow_count(monkeypatch):
    monkeypatch.setenv(INTERVAL, "0.1")
    assert system_metrics.pace(5_000) == (0.1, 1)
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", "3")
    assert system_metrics.pace(5_000) == (0.1, 3)
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_NODE_ID", "node_7")
    tracker, _ = begin()
    tracker.end("FINISHED")
    assert "system/node_7/cpu_utilization_percentage" in only_run().data.metrics
    for name, value in ((INTERVAL, "-1"), (INTERVAL, "often"), ("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", "0.5")):
        with monkeypatch.context() as patch, pytest.raises(TrackingError, match=rf"\${name}='?{value}'? is not under"):
            patch.setenv(name, value)
            system_metrics.check()


def test_word_that_mlflow_does_not_take_is_a_mistake(monkeypatch):
    monkeypatch.delenv(WANTED, raising=False)
    assert not system_metrics.are_wanted(option=False)
    assert system_metrics.are_wanted(option=True)
    for word, wanted in {"True": True, "1": True, "0": False, "false": False}.items():
        monkeypatch.setenv(WANTED, word)
        assert system_metrics.are_wanted(option=False) is wanted
    monkeypatch.setenv(WANTED, "yes")
    with pytest.raises(TrackingError, match="LOGGING=yes is not understood: it must be true or false"):
        system_metrics.check()


def test_without_a_store_it_is_told_that_they_have_no_effect():
    told = without_effect(compose(["tracking=none", "tracking.system_metrics=true"]))
    assert told == ["tracking.system_metrics=true has no effect without a store (tracking=mlflow)"]


@pytest.mark.slow
def test_resumed_run_goes_on_with_them(alone):
    often = {WANTED: "true", INTERVAL: "0.3"}
    run_id = kill_after_epoch(5, *SMALL, "trainer.epochs=40", **often)
    before = client_of().get_metric_history(run_id, CPU)
    said = run(f"resume={run_id}", MLFLOW_EXPERIMENT_NAME="other", **often)
    assert said == "warning: $MLFLOW_EXPERIMENT_NAME=other has no effect here: tracking.experiment=mnist_exp counts\n"
    assert only_run().info.status == "FINISHED"
    after = client_of().get_metric_history(run_id, CPU)
    assert 0 < len(before) < len(after)
    assert [point.step for point in after] == list(range(len(after)))
    assert [point.timestamp for point in after] == sorted(point.timestamp for point in after)


@pytest.mark.slow
def test_each_job_of_a_sweep_has_its_own(alone):
    run("-m", *SMALL, "data.validation=0.2", "trainer.epochs=3", "seed=1,2,3", "hydra.launcher.n_workers=2",
        "tracking.system_metrics=true")  # fmt: skip
    _, (parent,), jobs = recorded()
    assert len(jobs) == 3
    for job in jobs:
        assert set(job.data.metrics) >= OF_MLFLOW
        assert steps(job.info.run_id) == list(range(len(steps(job.info.run_id))))
    assert not OF_MLFLOW & set(parent.data.metrics)
