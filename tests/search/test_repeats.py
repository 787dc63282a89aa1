"""Values that a sampler draws again are not tried again, and do not count, as long as there are others."""

import pytest
from optuna.trial import TrialState

from mnist_exp.config.schema import SweepSettings
from mnist_exp.search import attributes, study
from mnist_exp.search.conditions import Condition
from mnist_exp.search.parsing import parse
from mnist_exp.search.space import Axis, Interval
from mnist_exp.search.study import Study

SPACE = ("model.filters=4,8,16", "model.dropout=range(0,0.5,0.1)", "optimizer=adam,sgd")
POINTS = 3 * 5 * 2
OF_CNN = Condition(("model",), (("cnn",),))
CONDITIONAL = (
    Axis("model", "model", ("cnn", "mlp")),
    Axis("model.filters", "model.filters", ("4", "5", "6", "7"), Interval(4, 7, 1), when=OF_CNN),
)


def search(tmp_path, *axes, space=SPACE, **how):
    settings = SweepSettings(**{"sampler": "tpe", "n_trials": POINTS} | how)
    found = axes or parse({}, space, settings).axes
    return Study("s", str(tmp_path / "study.journal"), tuple(found), settings, ("maximize",), 9, tmp_path)


def score(overrides):
    return -sum(map(len, overrides)) / 100 - ("sgd" in overrides[-1])


def work(searched, at_a_time=1):
    """Try trials until there are no more, some at a time, and return the overrides of each."""
    opened, asked, running = searched.open(), [], []
    while True:
        claimed = searched.claim(opened) if len(running) < at_a_time else None
        if claimed is not None:
            running.append(claimed)
            asked.append(tuple(claimed[1]))
        elif running:
            trial, overrides = running.pop(0)
            opened.tell(trial, (study.known(opened, trial) or [score(overrides)])[0])
        else:
            return asked


@pytest.mark.parametrize("at_a_time", [1, 4])
@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "cmaes", "nsgaii"])
def test_search_of_as_many_trials_as_there_are_points_tries_each_once(tmp_path, sampler, at_a_time):
    asked = work(search(tmp_path, sampler=sampler), at_a_time)
    assert len(asked) == len(set(asked)) == POINTS


def test_whole_numbers_of_an_interval_are_each_tried_once(tmp_path):
    asked = work(search(tmp_path, space=("model.filters=int(interval(4,9))",), n_trials=6), 2)
    assert sorted(asked) == [(f"model.filters={number}",) for number in range(4, 10)]


def test_space_with_fractions_or_very_many_points_repeats_nothing_either(tmp_path):
    for number, space in enumerate([("a=int(interval(0,1))", "b=interval(0,1)"), ("a=range(1000)", "b=range(1000)")]):
        searched = search(tmp_path / str(number), space=space, sampler="random", n_trials=3)
        opened = searched.open()
        first, overrides = searched.claim(opened)
        opened.tell(first, 0.25)
        for _ in range(3):
            opened.enqueue_trial(dict(first.params))
        found = [tuple(searched.claim(opened)[1]) for _ in range(2)]
        assert len({tuple(overrides), *found}) == 3
        assert searched.claim(opened) is None


def test_conditional_space_is_tried_to_its_end(tmp_path):
    asked = work(search(tmp_path, *CONDITIONAL, n_trials=5))
    assert sorted(asked) == [("model=cnn", f"model.filters={each}") for each in range(4, 8)] + [("model=mlp",)]


def test_only_when_all_are_tried_the_others_repeat_them(tmp_path):
    asked = work(search(tmp_path, space=("model.filters=4,8,16",), n_trials=7))
    assert len(asked) == 7
    assert len(set(asked[:3])) == len(set(asked)) == 3


def test_values_that_are_listed_twice_end_the_search_too(tmp_path):
    assert len(work(search(tmp_path, space=("model.filters=4,4",), n_trials=3))) == 3


@pytest.mark.parametrize("state", [TrialState.PRUNED, TrialState.FAIL, None])
def test_what_was_stopped_or_failed_or_runs_is_not_tried_again(tmp_path, state):
    searched = search(tmp_path, space=("model.filters=4,8,16,32",), sampler="random", n_trials=4)
    opened, tried = searched.open(), set()
    for _ in range(4):
        trial, overrides = searched.claim(opened)
        tried.add(tuple(overrides))
        if state is not None:
            opened.tell(trial, state=state)
    assert len(tried) == 4
    assert searched.left(opened) == 0
    repeats = [trial for trial in opened.trials if attributes.REPEATS in trial.user_attrs]
    assert {trial.state for trial in repeats} <= {TrialState.PRUNED}


def test_repeat_is_told_to_the_sampler_and_to_nobody_else(tmp_path):
    searched = search(tmp_path, space=("model.filters=4,8",), sampler="random", n_trials=2)
    opened = searched.open()
    first, overrides = searched.claim(opened)
    opened.tell(first, 0.25)
    opened.enqueue_trial(dict(first.params))
    _, others = searched.claim(opened)
    assert others != overrides
    repeat = opened.trials[1]
    assert (repeat.state, repeat.params) == (TrialState.PRUNED, first.params)
    assert attributes.REPEATS in repeat.user_attrs
    assert not attributes.counts(repeat)
    assert searched.left(opened) == 0
