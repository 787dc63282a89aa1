"""MLflow's variables: they have the effect that MLflow documents, or it is said that they have none."""

import pytest
from real_runs import SMALL, client_of, kill_after_epoch, only_run, run

from mnist_exp.errors import TrackingError
from mnist_exp.tracking import names, system_metrics

WANTED = {"MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "true", "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "0.3"}
CPU = "system/cpu_utilization_percentage"


@pytest.mark.slow
def test_metrics_of_the_machine_are_recorded_where_they_are_asked_for(alone):
    run_id = kill_after_epoch(5, *SMALL, "trainer.epochs=40", **WANTED)
    before = client_of().get_metric_history(run_id, CPU)
    said = run(f"resume={run_id}", MLFLOW_EXPERIMENT_NAME="other", **WANTED)
    assert said == "warning: $MLFLOW_EXPERIMENT_NAME=other has no effect here: tracking.experiment=mnist_exp counts\n"
    found = only_run()
    assert found.info.status == "FINISHED"
    steps = [point.step for point in client_of().get_metric_history(run_id, CPU)]
    assert 0 < len(before) < len(steps)
    assert sorted(steps) == list(range(len(steps)))
    assert not any(map(names.is_compared, [name for name in found.data.metrics if name.startswith("system/")]))


def test_word_that_mlflow_does_not_take_is_a_mistake(monkeypatch):
    monkeypatch.delenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", raising=False)
    assert not system_metrics.are_wanted()
    for word, wanted in {"True": True, "1": True, "0": False, "false": False}.items():
        monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", word)
        assert system_metrics.are_wanted() is wanted
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "yes")
    with pytest.raises(TrackingError, match="LOGGING=yes is not understood: it must be true or false"):
        system_metrics.are_wanted()
