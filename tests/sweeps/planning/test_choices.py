"""`-m model=cnn,mlp model.filters=8,16`: an option is left out of the jobs whose model lacks it, and that is said."""

import re
from pathlib import Path

import pytest
from real_runs import Running

from mnist_exp.composition import explain, swept_choices
from mnist_exp.composition.compose import composer
from mnist_exp.composition.overrides import read_all
from mnist_exp.composition.points import PointComposer
from mnist_exp.config.schema import SweepSettings
from mnist_exp.errors import SettingsError
from mnist_exp.search.parsing import parse
from mnist_exp.sweeps.planning import choices, own_lists

CHECKED = ["-m", "data=mnist_5k", "data.validation=50", "sweep.dry_run=true"]


def conditioned(*words, config_dir=None, **how):
    with composer(config_dir) as loader:
        space = parse({}, words, SweepSettings(**how), loader)
        every = choices.combinations(space, loader, PointComposer(loader))
        made = choices.conditioned(space, every)
        return made, list(choices.hints(made, every))


def jobs_of(*words, **given):
    return [" ".join(job) for job in conditioned(*words, **given)[0].grid()]


def applies(*words, **given):
    return choices.rows(conditioned(*words, **given)[0], are_counted=True)


def test_each_model_is_combined_with_its_own_options():
    words = ["model.hidden_units=[64],[128]", "model=cnn,mlp,lenet5", "model.filters=8,16", "model.dropout=0.1,0.5"]
    assert jobs_of(*words) == [
        *(f"model=cnn model.filters={f} model.dropout={d}" for f in (8, 16) for d in (0.1, 0.5)),
        *(f"model=mlp model.hidden_units=[{u}] model.dropout={d}" for u in (64, 128) for d in (0.1, 0.5)),
        *(f"model=lenet5 model.dropout={d}" for d in (0.1, 0.5)),
    ]
    assert applies(*words) == {
        "applies": "hidden_units to model=mlp; filters to model=cnn; left out elsewhere",
        "of these": "4 with model=cnn, 4 with model=mlp, 2 with model=lenet5",
    }


def test_option_that_all_or_none_have_is_left_as_it_is():
    space, _ = conditioned("model=cnn,mlp", "model.dropout=0.1,0.2", "model.filterz=8,9", "seed=1,2")
    assert all(axis.when is None for axis in space.axes)
    assert choices.rows(space, are_counted=True) == {}


def test_option_that_is_not_swept_is_given_to_those_that_have_it():
    words = ["model=cnn,mlp", "model.filters=8", "model.dropout=0.2"]
    assert jobs_of(*words) == ["model.dropout=0.2 model.filters=8 model=cnn", "model.dropout=0.2 model=mlp"]
    assert applies(*words)["applies"] == "model.filters=8 to model=cnn; left out elsewhere"
    assert conditioned(*words)[0].keys == ("model",)


def test_several_groups_decide_each_over_its_own_options():
    words = ["model=cnn,mlp", "optimizer=adam,sgd", "model.filters=8,16", "optimizer.nesterov=true,false"]
    space, _ = conditioned(*words)
    assert space.size == len(list(space.grid())) == (2 + 1) * (2 + 1)
    assert applies(*words)["of these"] == (
        "2 with model=cnn optimizer=adam, 4 with model=cnn optimizer=sgd, 1 with model=mlp optimizer=adam, "
        "2 with model=mlp optimizer=sgd"
    )


def test_added_argument_applies_where_the_builder_takes_it():
    assert jobs_of("optimizer=adam,sgd", "++optimizer.nesterov=true,false") == [
        "optimizer=adam",
        "optimizer=sgd ++optimizer.nesterov=True",
        "optimizer=sgd ++optimizer.nesterov=False",
    ]
    assert jobs_of("optimizer=adam,sgd", "+optimizer.clipnorm=1,2")[0] == "optimizer=adam +optimizer.clipnorm=1"


def test_argument_that_a_choice_could_take_is_hinted_at():
    _, hints = conditioned("optimizer=adam,adamw", "optimizer.weight_decay=0.01,0.1")
    assert hints == [
        "optimizer.weight_decay applies to optimizer=adamw only, though optimizer=adam could take it too: "
        "++optimizer.weight_decay sets it there as well"
    ]
    assert conditioned("model=cnn,mlp", "model.filters=8,16")[1] == []


def test_own_model_and_own_experiments_decide_too():
    for name, text in {
        "own/model/mine.yaml": "_target_: mine.build\nwidth: 8\ndropout: 0.1\n",
        "own/experiment/a.yaml": "# @package _global_\ndefaults: [{override /model: mine}]\n",
        "own/experiment/b.yaml": "# @package _global_\ndefaults: [{override /model: mlp}]\n",
    }.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    assert jobs_of("model=mine,mlp", "model.width=4,8", config_dir="own") == [
        "model=mine model.width=4",
        "model=mine model.width=8",
        "model=mlp",
    ]
    assert jobs_of("experiment=a,b", "model.hidden_units=[4],[8]", config_dir="own") == [
        "experiment=a",
        "experiment=b model.hidden_units=[4]",
        "experiment=b model.hidden_units=[8]",
    ]


def test_points_keep_their_own_options_and_take_those_crossed_with_them():
    points = [{"model": "cnn", "model.kernel_size": 3}, {"model": "mlp"}]
    assert jobs_of("model.filters=4,8", points=points) == [
        "model=cnn model.kernel_size=3 model.filters=4",
        "model=cnn model.kernel_size=3 model.filters=8",
        "model=mlp",
    ]
    pairs = conditioned("model=cnn,mlp", "model.filters=8,16", zip=True)[0]
    assert list(pairs.grid()) == [["model=cnn", "model.filters=8"], ["model=mlp", "model.filters=16"]]


def test_hydra_gets_an_option_of_some_choices_as_a_sweep():
    words = ["model=lenet5,mlp", "model.hidden_units=[64,32]", "model.dropout=0.1", "seed=1,2"]
    with composer(None) as loader:
        given = swept_choices.for_hydra(read_all(words, loader)[0], loader)
        mistyped = ["model=lenet5,mlp", "model.hidden_unitz=[64]"]
        assert swept_choices.for_hydra(read_all(mistyped, loader)[0], loader) == mistyped
        assert explain.find([*words, "modle.x=3"], multirun=True) == ["modle.x does not exist: did you mean model?"]
    assert given == [words[0], "model.hidden_units=tag(of_some_choices,choice([64,32]))", *words[2:]]
    assert [swept_choices.as_typed(text) for text in given] == words


@pytest.mark.parametrize(
    "words, told",
    [
        (["model.filterz=8,16"], "model.filterz does not exist: did you mean model.filters?"),
        (["model.filterz=8"], "model.filterz does not exist: did you mean model.filters?"),
        (["model.filters=8,0"], "job 2 of 6: model.filters=0 is not allowed"),
        (["model.hidden_units=[64],[8]", "sweep.zip=true"], "model.hidden_units does not exist"),
    ],
)
@pytest.mark.slow
def test_mistakes_stay_mistakes(words, told):
    assert told in Running("mnist_exp.run", *CHECKED, "model=cnn,mlp", "seed=1,2", *words).end_with(2)


def test_screen_says_what_applies_to_which_jobs():
    words = ["model=lenet5,mlp", "model.hidden_units=[64]", "optimizer=adam,sgd", "optimizer.nesterov=true,false"]
    running = Running("mnist_exp.run", *CHECKED, *words)
    running.end_with(0)
    assert re.search(
        r"^applies +nesterov to optimizer=sgd; model.hidden_units=\[64\] to model=mlp; left out",
        "".join(running.out),
        re.M,
    )
    assert "\n6 jobs, 6 to do" in "".join(running.out)


def with_lists(*words, **how):
    with composer(None) as loader:
        points = PointComposer(loader)
        settings = SweepSettings(**how)
        space = parse({}, words, settings, loader)
        every = choices.combinations(space, loader, points)
        space = own_lists.added(space, every, points.with_hydra(space.fixed), words, settings)
        return choices.conditioned(space, every)


def test_choice_has_values_of_its_own_for_an_option_of_all():
    where = {"model": {"mlp": {"model.dropout": "0,0.1"}, "cnn": {"model.kernel_size": 3}}}
    space = with_lists("model=cnn,mlp,lenet5", "model.dropout=0.3,0.5", where=where)
    assert [" ".join(job) for job in space.grid()] == [
        *(f"model=cnn model.dropout={dropout} model.kernel_size=3" for dropout in (0.3, 0.5)),
        *(f"model=mlp model.dropout={dropout}" for dropout in (0, 0.1)),
        *(f"model=lenet5 model.dropout={dropout}" for dropout in (0.3, 0.5)),
    ]


def test_each_choice_has_an_interval_of_its_own_in_a_study():
    where = {"model": {"mlp": {"model.dropout": "interval(0,0.3)"}, "cnn": {"model.dropout": "interval(0,0.7)"}}}
    space = with_lists("model=cnn,mlp,lenet5", where=where)
    assert space.words == "model cnn,mlp,lenet5 × dropout 0.0…0.7 (model=cnn) × dropout 0.0…0.3 (model=mlp)"
    assert [axis.parameter for axis in space.axes][1:] == ["model.dropout (model=cnn)", "model.dropout (model=mlp)"]
    assert space.keys == ("model", "model.dropout")


@pytest.mark.parametrize(
    "where, told",
    [
        ({"model": {"mpl": {"model.dropout": "0,0.1"}}}, "sweep.where: model=mpl is not swept over: did you mean mlp?"),
        ({"augment": {"none": {"seed": "1,2"}}}, "sweep.where: augment is not swept over: give it several choices"),
        ({"model": {"mlp": {"model.dropout": "interval(1,0)"}}}, "its start 1.0 must be below its end 0.0"),
    ],
)
def test_values_of_no_choice_and_empty_intervals_are_refused(where, told):
    with pytest.raises(SettingsError, match=re.escape(told)):
        with_lists("model=cnn,mlp", where=where)


@pytest.mark.slow
def test_points_to_try_first_have_what_applies_to_them():
    words = ["model=cnn,mlp", "model.filters=int(interval(4,64))", "model.hidden_units=[64],[8]"]
    running = Running(
        "mnist_exp.run", *CHECKED, *words, "sweep.try_first=[defaults,{model: mlp, model.hidden_units: [8]}]"
    )
    running.end_with(0)
    assert re.search(r"^first +model=cnn filters=32, model=mlp hidden_units=\[8\]$", "".join(running.out), re.M)
    told = Running("mnist_exp.run", *CHECKED, *words, "sweep.try_first=[{model: mlp, model.filters: 8}]").end_with(2)
    assert "sweep.try_first, point 1: model.filters applies to model=cnn only: choose that in the same point" in told
