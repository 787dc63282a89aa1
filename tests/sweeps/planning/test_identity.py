"""Keys of sweeps: a new option at its default changes no key, and so no study, of an earlier sweep."""

import dataclasses
from dataclasses import dataclass

import pytest

from mnist_exp.composition.compose import composer
from mnist_exp.config.schema import SweepSettings
from mnist_exp.search.parsing import parse
from mnist_exp.sweeps.planning import plan
from mnist_exp.sweeps.planning.identity import study_name, sweep_key

SMALL = ["data=mnist_5k", "data.limit=200", "data.validation=0.1"]
RANGES = ["model.filters=int(interval(2,5))", "optimizer.learning_rate=interval(0.001,0.1)"]
# As commit 5e05cfd computed them: overrides, options of the sweep, its key, the name of its study.
PINNED = [
    (["model.filters=2,4", "seed=1,2"], {}, "ad8cb45660717192de4f8adccebd315178d74590f22ce7095fd3e81f59306880", None),
    (
        RANGES,
        {"n_trials": 4, "pruner": "asha", "seed": 3},
        "02bb6e04732fd8617ebe105c9a7725017043e33c5ebc3a1d5d454df7ecdf6048",
        "mnist_exp-685febdb253e4f18",
    ),
    (
        ["model.filters=2,4"],
        {"sampler": "random", "pruner": "none"},  # Which was the default.
        "a5ca50cc08f4bcfb578bfa79eb82ed403f55ae4e18be8e6dd034bed16f7951ce",
        "mnist_exp-fe01c1a0c4b89b2b",
    ),
]


def test_search_that_reads_other_files_is_another_one():
    made = made_of(RANGES, SweepSettings(), is_search=True)
    keys = {
        sweep_key(dataclasses.replace(made, files=files), SweepSettings(), is_search=True)
        for files in ((), ("model.weights=a",), ("model.weights=a", "model.weights=b"))
    }
    assert len(keys) == 3
    assert sweep_key(made, SweepSettings(), is_search=True) in keys


@dataclass(frozen=True)
class LaterSweep(SweepSettings):
    startup_trials: int = 10


def made_of(overrides, how, *, is_search):
    overrides = [*SMALL, *overrides]
    with composer(None) as loader:
        space = parse({}, overrides, how, loader)
    return plan.make(space, None, is_search=is_search)


@pytest.mark.parametrize(("overrides", "options", "key", "study"), PINNED, ids=["grid", "ranges", "values"])
def test_keys_of_earlier_sweeps_stay_the_same(overrides, options, key, study):
    is_search = study is not None
    now, later = SweepSettings(**options), LaterSweep(**options)
    made = made_of(overrides, now, is_search=is_search)
    changed = dataclasses.replace(later, startup_trials=5)
    assert sweep_key(made, now, is_search=is_search) == sweep_key(made, later, is_search=is_search) == key
    if is_search:
        assert study_name(made, now) == study_name(made, later) == study
        assert sweep_key(made, changed, is_search=True) != key
        assert study_name(made, changed) != study
    else:
        assert sweep_key(made, changed, is_search=False) == key


@pytest.mark.parametrize("option", ["n_trials", "timeout_s", "together", "job_timeout_s", "seeds"])
def test_options_without_effect_on_results_keep_the_search(option):
    made = made_of(RANGES, SweepSettings(), is_search=True)
    changed = dataclasses.replace(SweepSettings(), **{option: 99})
    assert sweep_key(made, changed, is_search=True) == sweep_key(made, SweepSettings(), is_search=True)


def test_search_without_reuse_gets_a_new_study():
    how = SweepSettings(reuse=False)
    made = made_of(RANGES, how, is_search=True)
    assert study_name(made, how).startswith(study_name(made, SweepSettings()) + "-")
