"""What a free worker does next: the order of the steps."""

from pathlib import Path

from mnist_exp.config.schema import SweepSettings
from mnist_exp.search import attributes
from mnist_exp.search.parsing import parse
from mnist_exp.search.study import Study


def test_interrupted_trial_goes_before_values_that_were_queued_earlier(tmp_path):
    how = SweepSettings(n_trials=4)
    axes = parse({}, ("model.dropout=interval(0,0.7)",), how).axes
    searched = Study("s", str(tmp_path / "study.journal"), axes, how, ("maximize",), 5, Path("unfinished"))
    opened = searched.open()
    trial, values = searched.claim(opened)
    opened.enqueue_trial({"model.dropout": 0.25})
    searched.interrupt(opened, trial)
    again, same = searched.claim(opened)
    assert (same, attributes.number(again)) == (values, trial.number)
    assert searched.claim(opened)[1] == ["model.dropout=0.25"]
    assert searched.claim(opened)[1] not in (values, ["model.dropout=0.25"])
