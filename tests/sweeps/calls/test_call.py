"""A search that an earlier version began goes on as it began."""

from pathlib import Path

import pytest

from mnist_exp.composition.compose import composer
from mnist_exp.config.schema import SweepSettings
from mnist_exp.runtime.terminal import Screen
from mnist_exp.search.parsing import parse
from mnist_exp.sweeps.calls.call import SweepCall, as_it_began, make_study
from mnist_exp.sweeps.planning import plan
from mnist_exp.sweeps.planning.identity import sweep_key
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

WORDS = ["data=mnist_5k", "data.limit=200", "data.validation=0.1", "model.filters=int(interval(2,5))"]


class History:
    """The parent runs of an experiment, by their keys."""

    def __init__(self, **parents):
        self.parents = parents

    def find_parent(self, key):
        command = self.parents.get(key)
        tags = {names.COMMAND: command or ""}
        return None if command is None else StoredRun("p" * 32, "", "", "FINISHED", {}, {}, tags, "")


def call_of(how, epochs=9):
    with composer(None) as loader:
        space = parse({}, [*WORDS, f"trainer.epochs={epochs}"], how, loader)
    made = plan.make(space, None, is_search=True)
    return SweepCall(how, made, make_study(made, how), None, Path("events"), Screen())


def key_without(call):
    return sweep_key(call.plan, SweepSettings(pruner="none"), is_search=True)


def test_new_search_of_long_trainings_is_pruned_and_has_a_key_of_its_own():
    call = call_of(SweepSettings())
    assert as_it_began(call, History()) is call
    assert call.study.settings.pruner == "asha"
    assert call.key == sweep_key(call.plan, SweepSettings(pruner="asha"), is_search=True) != key_without(call)


def test_search_that_was_begun_without_a_pruner_goes_on_without():
    call = call_of(SweepSettings())
    went_on = as_it_began(call, History(**{key_without(call): "python -m mnist_exp.run -m model.filters=..."}))
    assert went_on.key == key_without(call)
    assert went_on.study.settings.pruner == "none"
    assert went_on.study.name == make_study(call.plan, SweepSettings(pruner="none")).name


@pytest.mark.parametrize(
    ("how", "parents"),
    [
        (SweepSettings(), {"none": "python -m mnist_exp.run -m sweep.pruner=none"}),  # It was asked for.
        (SweepSettings(), {"none": "python -m mnist_exp.run -m", "asha": "python -m mnist_exp.run -m"}),
        (SweepSettings(pruner="asha"), {"none": "python -m mnist_exp.run -m"}),
    ],
)
def test_otherwise_it_is_another_search(how, parents):
    call = call_of(how)
    keys = {"none": key_without(call), "asha": call.key}
    history = History(**{keys[name]: command for name, command in parents.items()})
    assert as_it_began(call, history) is call


def test_search_of_short_trainings_has_the_key_that_it_had():
    call = call_of(SweepSettings(), epochs=5)
    assert call.study.settings.pruner == "none"
    assert call.key == key_without(call)
