"""What a search is given: points to try first, and results of earlier sweeps, which are no trials of its own."""

from pathlib import Path

import pytest
from optuna.trial import TrialState

from mnist_exp.config.schema import SweepSettings
from mnist_exp.search import given
from mnist_exp.search.given import Known
from mnist_exp.search.parsing import parse
from mnist_exp.search.study import Study, known

SPACE = ("model.dropout=interval(0,0.5)", "model.filters=int(interval(8,64))", "optimizer=adam,sgd")
POINT = {"model.dropout": 0.25, "model.filters": 16, "optimizer": "sgd"}


def search(*arguments, name="s", **how):
    how = SweepSettings(**how)
    file = str(Path.cwd() / "study.journal")
    return Study(name, file, parse({}, arguments, how).axes, how, ("maximize",), 5, Path("unfinished"))


@pytest.mark.parametrize(
    ("argument", "value", "wanted"),
    [
        ("model.dropout=interval(0,0.5)", 0, 0.0),
        ("model.dropout=interval(0,0.5)", 0.6, "a number from 0.0 to 0.5"),
        ("model.dropout=interval(0,0.5)", True, "a number from 0.0 to 0.5"),
        ("model.dropout=interval(0,0.5)", "much", "a number from 0.0 to 0.5"),
        ("model.filters=int(interval(8,64))", 16.0, 16),
        ("model.filters=int(interval(8,64))", 16.5, "a whole number from 8 to 64"),
        ("model.dropout=range(0.1,0.6,0.1)", 0.3, 0.3),
        ("model.dropout=range(0.1,0.6,0.1)", 0.35, "in steps of 0.1"),
        ("trainer.batch_size=range(100,500,100)", 300, 300),
        ("trainer.batch_size=range(100,500,100)", 350, "in steps of 100"),
        ("optimizer.learning_rate=0.001,0.01", 1e-3, "0.001"),
        ("optimizer.learning_rate=0.001,0.01", 0.002, "one of 0.001, 0.01"),
        ("model.activation=relu,'leaky relu',null", "leaky relu", "'leaky relu'"),
        ("model.activation=relu,'leaky relu',null", None, "null"),
        ("model.hidden_units=[64],[128,64]", [128, 64], "[128,64]"),
        ("+model.x=true,false", 1, "must be one of True, False"),
    ],
)
def test_value_is_that_of_optuna_or_what_is_allowed_is_said(argument, value, wanted):
    (axis,) = search(argument, sampler="random").axes
    try:
        assert given.value_of(axis, value) == pytest.approx(wanted)
    except ValueError as error:
        assert isinstance(wanted, str) and wanted in str(error)


def test_point_is_tried_first_and_what_it_leaves_open_is_drawn():
    searched = search(*SPACE, n_trials=5)
    opened = searched.open()
    points = [POINT, {"model.filters": 8}]
    for study in (opened, searched.open()):  # As a second process does.
        given.queue_first(study, points)
    tried = [searched.claim(opened) for _ in range(3)]
    assert tried[0][1] == ["model.dropout=0.25", "model.filters=16", "optimizer=sgd"]
    assert tried[1][0].params["model.filters"] == 8 and tried[1][0].params.keys() == POINT.keys()
    assert {trial.number for trial, _ in tried} == {0, 1, 2}
    assert searched.left(opened) == 2, "they count"
    # Interrupted, it is queued by that; and rebuilt from the store, the study has it without its mark.
    searched.interrupt(opened, tried[1][0])
    given.queue_first(opened, points)
    assert [trial.state for trial in opened.trials].count(TrialState.WAITING) == 1


def test_point_that_two_machines_queued_at_once_is_tried_once(monkeypatch):
    searched = search(*SPACE, n_trials=5)
    one, other = searched.open(), searched.open()
    enqueue = type(one).enqueue_trial

    def after_the_other(study, *args, **options):
        monkeypatch.undo()
        enqueue(other, *args, **options)
        enqueue(study, *args, **options)

    monkeypatch.setattr(type(one), "enqueue_trial", after_the_other)
    given.queue_first(one, [POINT])
    assert [trial.state for trial in one.trials] == [TrialState.WAITING, TrialState.FAIL]
    assert searched.left(one) == 5


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "nsgaii"])
def test_results_of_earlier_sweeps_steer_the_sampler_and_do_not_count(sampler):
    def drawn(results):
        searched = search(*SPACE, n_trials=4, sampler=sampler, name=f"{sampler} {len(results)}")
        opened = searched.open()
        for _ in range(2):
            given.add_known(searched.axes, opened, results)
        assert searched.left(opened) == 4
        asked = []
        while (claimed := searched.claim(opened)) is not None:
            asked.append(claimed[1])
            opened.tell(claimed[0], 0.0)
        assert len(asked) == 4
        assert len(opened.trials) == 4 + len(results), "each was added once"
        return asked

    results = [Known(f"{n:032x}", {**POINT, "model.filters": 8 + n}, [-abs(n - 20.0)]) for n in range(40)]
    results.append(Known("f" * 32, POINT, [0.1], {1: 0.2, 2: 0.1}))
    assert drawn(results) != drawn([])


def test_result_of_an_earlier_sweep_is_no_result_of_this_one():
    searched = search(*SPACE, n_trials=1)
    opened = searched.open()
    given.add_known(searched.axes, opened, [Known("f" * 32, POINT, [0.5])])
    given.queue_first(opened, [POINT])
    trial, _ = searched.claim(opened)
    assert trial.params == POINT
    assert known(opened, trial) is None
