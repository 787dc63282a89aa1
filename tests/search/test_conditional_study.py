"""The study of a search in which some options apply with some choices only: what a trial has, and how it is kept."""

import importlib.util
import json
import logging
from pathlib import Path

import optuna
import pytest

from mnist_exp.config.schema import SweepSettings
from mnist_exp.search import attributes, rebuild, study
from mnist_exp.search.conditions import Condition
from mnist_exp.search.space import Axis, Interval, values_of
from mnist_exp.search.study import Study
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

TORCH = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
CNN, MLP = Condition(("model",), (("cnn",),)), Condition(("model",), (("mlp",),))
AXES = (
    Axis("model", "model", ("cnn", "mlp", "lenet5")),
    Axis("model.filters", "model.filters", ("4", "64"), Interval(4, 64), is_continuous=True, when=CNN),
    Axis("model.hidden_units", "model.hidden_units", ("[32]", "[64,64]"), when=MLP),
    Axis("model.dropout", "model.dropout", ("0.0", "0.3"), Interval(0.0, 0.3), True, MLP, "model.dropout (model=mlp)"),
    Axis("model.dropout", "model.dropout", ("0.1", "0.7"), None, False, CNN, "model.dropout (model=cnn)"),
    Axis("seed", "seed", ("1", "2", "3"), Interval(1, 3, 1)),
)
HAS = {
    "cnn": {"model", "model.filters", "model.dropout", "seed"},
    "mlp": {"model", "model.hidden_units", "model.dropout", "seed"},
    "lenet5": {"model", "seed"},
}
PARTLY = (("model.kernel_size=3", CNN),)


def search(sampler="tpe", n_trials=25, seed=0, name="s"):
    how = SweepSettings(sampler=sampler, n_trials=n_trials, seed=seed)
    return Study(name, "study.journal", AXES, how, ("maximize",), 3, Path("unfinished"), partly=PARTLY)


def values(overrides):
    return values_of(overrides, [text.partition("=")[0] for text in overrides])


def score(of):
    return {"cnn": 0.9, "mlp": 0.5, "lenet5": 0.1}[of["model"]] - abs(float(of.get("model.filters", 0)) - 40) / 100


def go(searched, count):
    opened, asked = searched.open(), []
    for _ in range(count):
        trial, overrides = searched.ask(opened)
        asked.append(overrides)
        opened.tell(trial, score(values(overrides)))
    return asked


@pytest.mark.parametrize(
    "sampler", ["tpe", "random", "qmc", "cmaes", "nsgaii", pytest.param("gp", marks=[TORCH, pytest.mark.slow])]
)
def test_each_trial_has_just_the_options_of_its_choice(sampler, caplog):
    optuna.logging.enable_propagation()
    with caplog.at_level(logging.WARNING, "optuna"):
        asked = go(search(sampler), 25)
    optuna.logging.disable_propagation()
    assert not caplog.records
    found = [values(overrides) for overrides in asked]
    assert {each["model"] for each in found} == HAS.keys()
    for each in found:
        fixed = {"model.kernel_size"} if each["model"] == "cnn" else set()
        assert each.keys() == HAS[each["model"]] | fixed
        if each["model"] == "cnn":
            assert 4 <= int(each["model.filters"]) <= 64 and each["model.dropout"] in ("0.1", "0.7")
        if each["model"] == "mlp":
            assert 0 <= float(each["model.dropout"]) <= 0.3


def test_tpe_comes_to_the_best_choice_and_its_best_option():
    late = [values(overrides) for overrides in go(search(n_trials=60), 60)[40:]]
    best = [each for each in late if each["model"] == "cnn"]
    assert len(best) > 10
    assert sum(abs(int(each["model.filters"]) - 40) < 15 for each in best) > len(best) / 2


def test_interrupted_search_draws_the_same_trials():
    whole = go(search(name="one", seed=3), 14)
    assert [each for _ in range(2) for each in go(search(name="two", seed=3), 7)] == whole


def test_interrupted_trial_goes_on_with_its_choice_and_its_values():
    searched = search()
    opened = searched.open()
    for _ in range(6):
        trial, overrides = searched.claim(opened)
        searched.interrupt(opened, trial)
        again, same = searched.claim(searched.open())
        assert (same, again.params) == (overrides, trial.params)
        opened.tell(again.number, 0.5)


def test_trial_with_the_same_values_is_known_and_its_options_are_not_compared_with_others():
    searched = search()
    opened = searched.open()
    opened.enqueue_trial({"model": "lenet5", "seed": 1, "model.filters": 8})
    opened.enqueue_trial({"model": "lenet5", "seed": 1})
    first, _ = searched.claim(opened)
    assert first.params == {"model": "lenet5", "seed": 1}
    opened.tell(first, 0.25)
    second, _ = searched.ask(opened)
    assert study.known(opened, second) == [0.25]


def test_lost_study_is_rebuilt_from_runs_that_lack_what_does_not_apply():
    points = [
        {"model": "cnn", "model.filters": "8", "model.dropout": "0.7", "seed": "1"},
        {"model": "mlp", "model.hidden_units": "[32]", "model.dropout": "0.25", "seed": "2"},
        {"model": "lenet5", "seed": "3"},
        {"model": "mlp", "seed": "3"},
    ]
    runs = [
        StoredRun(
            f"r{number}",
            "job",
            "e",
            "FINISHED",
            {},
            {names.OBJECTIVE: 0.5},
            {names.POINT: json.dumps(point), names.JOB_KEY: f"k{number}"},
            "",
        )
        for number, point in enumerate(points)
    ]
    searched = search()
    opened = searched.open()
    assert rebuild.add_trials(searched, opened, runs, "val_accuracy") == 3, "the last lacks options that apply"
    assert [trial.params for trial in opened.trials] == [
        {"model": "cnn", "model.filters": 8, "model.dropout (model=cnn)": "0.7", "seed": 1},
        {"model": "mlp", "model.hidden_units": "[32]", "model.dropout (model=mlp)": 0.25, "seed": 2},
        {"model": "lenet5", "seed": 3},
    ]
    assert [trial.user_attrs[attributes.RUN] for trial in opened.trials] == ["r0", "r1", "r2"]
