"""`tracking.run_name` in a sweep: one that is the same in all jobs names the sweep, any other names each job."""

import pytest
from real_runs import recorded, run

from mnist_exp import compose
from mnist_exp.config.schema import SweepSettings
from mnist_exp.errors import SettingsError
from mnist_exp.search.parsing import parse
from mnist_exp.sweeps.planning import plan

SMALL = ["data=mnist_5k", "data.limit=200", "trainer.epochs=1", "model=mlp"]


def names():
    _, (parent,), children = recorded()
    return parent.info.run_name, sorted(child.info.run_name for child in children)


@pytest.mark.slow
def test_name_made_of_an_option_names_each_job():
    run("-m", *SMALL, "model.dropout=0.1,0.2", "tracking.run_name='d=${model.dropout} s=${seed}'")
    assert names() == ("sweep dropout 0.1,0.2", ["d=0.1 s=7", "d=0.2 s=7"])


@pytest.mark.slow
def test_name_that_is_the_same_in_all_jobs_names_the_sweep():
    run("-m", *SMALL, "model.dropout=0.1,0.2", "tracking.run_name=tuesday of ${data.name}")
    assert names() == ("tuesday of mnist_5k", ["dropout=0.1", "dropout=0.2"])


@pytest.mark.slow
def test_name_made_of_an_option_names_each_trial():
    words = ["-m", *SMALL, "model.dropout=0.1,0.2", "sweep.sampler=random", "data.validation=50"]
    words += ["tracking.run_name='d=${model.dropout}'", "sweep.seed=1"]
    run(*words, "sweep.n_trials=1")
    run(*words, "sweep.n_trials=6")
    assert names() == ("sweep dropout 0.1,0.2", ["d=0.1", "d=0.2"])


def test_name_can_be_made_of_the_overrides():
    settings = compose(["seed=3", "tracking.run_name=${hydra:job.override_dirname}", "model=mlp"])
    assert settings.tracking.run_name == "model=mlp,seed=3"


@pytest.mark.parametrize(
    "option",
    [
        "tracking.experiment=of_${seed}",
        "tracking.uri='sqlite:///${seed}.db'",
        "tracking.local_dir=unfinished_${seed}",
        "objective=val_accuracy,accuracy",
    ],
)
def test_what_all_jobs_share_cannot_differ(option):
    space = parse({}, [*SMALL, "seed=1,2", option], SweepSettings())
    with pytest.raises(SettingsError) as error:
        plan.make(space, None, is_search=False)
    name = option.partition("=")[0]
    (problem,) = error.value.problems
    assert problem.startswith(f"{name} must be the same in all jobs of a sweep, not ")
