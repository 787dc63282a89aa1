"""A run begins once, though the server that created it did not answer."""

import pytest

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.tracking import store
from mnist_exp.tracking.tracker import open_tracker

PARAMS = {"objective": "val_accuracy", "direction": "maximize"}


@pytest.mark.slow
@pytest.mark.parametrize("is_created", [True, False])
def test_run_is_created_once_whether_or_not_the_server_did_it_before_it_died(is_created, monkeypatch):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

    create, calls = MlflowClient.create_run, []

    def create_and_die(self, *given, **named):
        calls.append(1)
        if len(calls) == 1:
            if is_created:
                create(self, *given, **named)
            raise MlflowException("it went away", TEMPORARILY_UNAVAILABLE)
        return create(self, *given, **named)

    monkeypatch.setattr(MlflowClient, "create_run", create_and_die)
    tracker = open_tracker(TrackingSettings(), print)
    tracker.load()
    tracker.start("once", PARAMS, {"mnist_exp.process": "here/1/2", "mnist_exp.job_key": "k"})
    client = store.client(store.locate(None))
    experiment = client.get_experiment_by_name("mnist_exp")
    runs = client.search_runs([experiment.experiment_id])
    assert [run.info.run_id for run in runs] == [tracker.run_id]
    assert len(calls) == (1 if is_created else 2)
    tracker.end("FINISHED")
    assert client.get_run(tracker.run_id).info.status == "FINISHED"


def begin():
    tracker = open_tracker(TrackingSettings(), print)
    tracker.load()
    tracker.start("again", PARAMS, {})
    return tracker


def test_experiment_is_looked_for_once_and_again_if_it_is_gone(monkeypatch):
    from mnist_exp.errors import TrackingError

    calls, find = [], store.experiment
    monkeypatch.setattr(store, "experiment", lambda *given: calls.append(1) or find(*given))
    first, second = begin(), begin()
    assert len(calls) == 1 and first.how_to_look == second.how_to_look
    for each in (first, second):
        each.end("FINISHED")
    client = store.client(store.locate(None))
    runs = client.search_runs([client.get_experiment_by_name("mnist_exp").experiment_id])
    assert {run.info.run_id for run in runs} == {first.run_id, second.run_id}
    client.delete_experiment(runs[0].info.experiment_id)
    with pytest.raises(TrackingError, match="was deleted in MLflow: restore it with"):
        begin()
    client.restore_experiment(runs[0].info.experiment_id)
    begin().end("FINISHED")
