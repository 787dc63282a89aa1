"""The plan of a sweep: jobs are composed as Hydra would, checked before the first starts, and run only once."""

import dataclasses

import numpy as np
import pytest
import yaml
from hydra import compose as hydra_compose
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mnist_exp.composition import preflight
from mnist_exp.composition.compose import EXPERIMENTS, compose, composer
from mnist_exp.composition.points import PointComposer
from mnist_exp.composition.preflight import find_problems
from mnist_exp.config.parse import sweep_settings
from mnist_exp.config.schema import SweepSettings
from mnist_exp.errors import SettingsError
from mnist_exp.experiment.job_key import job_key
from mnist_exp.runtime.terminal import Screen
from mnist_exp.search.parsing import parse
from mnist_exp.sweeps.planning import plan, rules

SMALL = ["data=mnist_5k", "data.validation=0.2"]
PRESETS = sorted(file.stem for file in (EXPERIMENTS / "sweep").glob("*.yaml"))
# What may stand on one command line together: at most one of each line.
CHOICES = [
    ["model=mlp", "model=lenet5", "model=resnet", "model=cnn"],
    ["optimizer=adamw", "optimizer=sgd", "optimizer=lion"],
    ["schedule=one_cycle", "schedule=cosine"],
    ["data=mnist_5k", "data=npz", "data=image_folder"],
    ["augment=shift", "~augment", "augment=affine"],
    ["trainer=smoke", "tracking=none"],
    ["experiment=overfit_one_batch"],
    ["sweep=search", "sweep=dropout", "sweep=filters_x_dropout"],
    ["seed=3", "++seed=4"],
    ["trainer.epochs=2", "trainer.threads=null", "trainer.epochs=${seed}"],
    ["data.validation=0.1", "data.limit=null", "+data.path=/a b/c"],
    ["optimizer.learning_rate=1e-4", "~optimizer.learning_rate"],
    ["+optimizer.clipnorm=1.5", "++optimizer.clipnorm=2"],
    ["trusted_modules=[my_pkg,other]", "+trusted_modules=[a]"],
    ["tracking.experiment='a, b'", "tracking.uri=sqlite:///x.db", "tracking.run_name='a=b'"],
    ["+model.extra={a:1,b:[2,x]}", "++model={activation:tanh}", "model={_target_:mnist_exp.models.mlp}"],
    ["sweep.n_trials=3", "sweep.points=[{model.filters:16},{seed:2}]"],
]
# Which Hydra refuses.
WRONG = [
    ["model=mpl", "model.dorpout=1", "+model.dropout=1", "~nothing", "model=[cnn,mlp]", "model=null", "seed=1,2"],
    ["optimizer.nothing.deep=1", "x", "trainer=3", "~model=mlp", "model.dropout.deep=1", "hydra.nothing=1"],
]


def combinations(*rows):
    drawn = st.tuples(*(st.none() | st.sampled_from(row) for row in rows))
    return drawn.flatmap(lambda chosen: st.permutations([text for text in chosen if text is not None]))


def outcome(function, overrides):
    """Return the composed configuration without Hydra's own section, or that it is refused."""
    try:
        config = function(overrides)
    except Exception as error:
        return None, error
    assert OmegaConf.is_struct(config)
    return OmegaConf.to_container(config), None


@pytest.fixture(scope="module")
def composers():
    with composer(None) as loader:
        points = PointComposer(loader)

        def ours(overrides):
            with points.composed(overrides, 0) as config:
                return config

        yield ours, lambda overrides: hydra_compose("config", list(overrides))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(overrides=combinations(*CHOICES))
@example(overrides=["+model.extra={a:1}", "model.extra.a=2", "++model.extra.a=3"])
@example(overrides=["seed=3", "seed=4"])
def test_point_is_composed_as_hydra_composes_it(composers, overrides):
    (ours, our_error), (theirs, their_error) = (outcome(function, overrides) for function in composers)
    assert ours == theirs
    assert (our_error is None) == (their_error is None)
    assert their_error is not None or list(ours) == list(theirs)


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(overrides=combinations(*CHOICES[:4], *WRONG))
def test_overrides_that_hydra_refuses_get_a_message(composers, overrides):
    (ours, our_error), (theirs, their_error) = (outcome(function, overrides) for function in composers)
    assert ours == theirs
    assert (our_error is None) == (their_error is None)
    assert our_error is None or (isinstance(our_error, SettingsError) and our_error.problems)


def test_points_do_not_change_each_other(composers):
    ours, theirs = composers
    first = ours(["model=mlp", "+model.extra={a:1}", "trusted_modules=[x]"])
    assert OmegaConf.to_container(ours(["model=mlp"])) == OmegaConf.to_container(theirs(["model=mlp"]))
    first.model.extra.a = 2
    assert ours(["model=mlp", "+model.extra={a:1}"]).model.extra.a == 1


@pytest.fixture(scope="module")
def ways_to_check():
    """How a point is checked, and how it would be if Hydra's own function set each value."""
    with composer(None) as loader:
        points = PointComposer(loader)

        def slowly(overrides):
            with points.composed(overrides, 0) as config:
                return find_problems(config, overrides)

        yield lambda overrides: points.check(overrides, 0), slowly


def found(check, overrides):
    try:
        return check(overrides)
    except SettingsError as error:
        return None, error.problems


ODD = [
    ["model.dropout=0.5", "model.dropout=0.4", "seed=3"],
    ["model.filters=null"],
    ["model.dropout='0.5'", "tags.note='a b'"],
    ["trainer.epochs=1e1", "optimizer.learning_rate=nan"],
    ["model=mlp", "model.hidden_units=[4,[5]]", "trusted_modules=[a,b]"],
    ["model=mlp", "model.hidden_units={a:1}"],
    ["model=5"],
    ["model={_target_:mnist_exp.models.mlp}"],
    ["model.none=1"],
    ["model.filters.deeper=1"],
    ["trainer.class_weight={a:1}", "trainer.class_weight.a=2"],
    ["trainer.class_weight=2"],
    ["+tags.a=1", "tags.a=2", "++tags.b=3", "~tags.a"],
    ["~model.dropout"],
    ["model.dropout=0.1,0.2"],
    ["tags.a=${seed}", "seed=4"],
    [r"model.filters=$\{model.kernel_size\}"],  # As Hydra writes it where it is one of several values.
    [r"seed=$\{hydra\:job.num\}"],
    [r"seed=$\{none\}"],
    ["tags={}"],
    ["model.dropout=???"],
    ["model.dropout=True", "trainer.epochs=1.0"],
    ["model@x=mlp"],
    ["resume=abcdef"],
    ["data.path='~/a'", "data=npz", "data.path=/none"],
    ["seed=", "model.dropout=.5"],
]


@pytest.mark.parametrize("overrides", ODD, ids=str)
def test_point_is_checked_as_if_hydra_had_set_each_value(ways_to_check, overrides):
    quickly, slowly = ways_to_check
    assert repr(found(quickly, overrides)) == repr(found(slowly, overrides))  # NaN equals no NaN.


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(overrides=combinations(*CHOICES, *WRONG))
def test_drawn_point_is_checked_as_if_hydra_had_set_each_value(ways_to_check, overrides):
    quickly, slowly = ways_to_check
    assert repr(found(quickly, overrides)) == repr(found(slowly, overrides))


def test_checked_points_share_nothing(ways_to_check):
    quickly, _ = ways_to_check
    one, _ = quickly(["model=mlp", "model.hidden_units=[4,5]"])
    one.model.arguments["hidden_units"].append(6)
    other, _ = quickly(["model=mlp", "model.hidden_units=[4,5]"])
    assert list(other.model.arguments["hidden_units"]) == [4, 5]


def space_of(*arguments, **how):
    return parse({}, [*SMALL, *arguments], SweepSettings(**how))


def make(*arguments, is_search=False, **how):
    return plan.make(space_of(*arguments, **how), None, is_search=is_search)


def problems_of(*arguments, is_search=False, **how):
    with pytest.raises(SettingsError) as error:
        make(*arguments, is_search=is_search, **how)
    return error.value.problems


def test_different_thread_counts_are_refused_before_the_first_job():
    (problem,) = problems_of("trainer.threads=1,2,null")
    assert problem.startswith("trainer.threads=1,2,null: TensorFlow cannot change its number of threads ")
    assert make("trainer.threads=2", "seed=1,2").jobs


def test_plan_of_a_grid_names_every_job():
    made = make("trainer.epochs=3", "model.filters=16,32", "model.dropout=0.1,0.25")
    assert [job.name for job in made.jobs] == [
        f"filters={filters} dropout={dropout}" for filters in (16, 32) for dropout in (0.1, 0.25)
    ]
    assert len({job.key for job in made.jobs}) == 4
    assert {job.epochs for job in made.jobs} == {3}
    last = made.jobs[-1]
    assert last.overrides == (*SMALL, "trainer.epochs=3", "model.filters=32", "model.dropout=0.25")
    assert last.command == f"python -m mnist_exp.run {' '.join(last.overrides)}"
    assert last.key == job_key(compose(last.overrides), made.data_sha256)
    assert made.settings == compose(made.jobs[0].overrides)
    assert (made.repeated, made.on_test) == (0, False)


def test_jobs_have_the_sections_in_common_that_are_the_same_to_the_type():
    first, other = compose(["optimizer=sgd"]), compose(["optimizer=sgd", "model.filters=16"])
    known = {}
    first, other = plan._sharing(first, known), plan._sharing(other, known)
    assert first.trainer is other.trainer
    assert first.model is not other.model
    assert (first, other) == (compose(["optimizer=sgd"]), compose(["optimizer=sgd", "model.filters=16"]))
    optimizer = dataclasses.replace(first.optimizer, arguments=first.optimizer.arguments | {"momentum": 1})
    truth = dataclasses.replace(first.optimizer, arguments=first.optimizer.arguments | {"momentum": True})
    assert optimizer == truth  # As Python compares; a job key tells them apart.
    numbers, truths = (plan._sharing(dataclasses.replace(first, optimizer=each), known) for each in (optimizer, truth))
    assert (numbers.optimizer, truths.optimizer) == (optimizer, truth)
    assert job_key(numbers, "") != job_key(truths, "")


def test_plan_of_a_search_has_no_jobs():
    made = make("model.dropout=interval(0,0.5)", "model.filters=int(interval(8,16))", is_search=True)
    assert (made.jobs, made.repeated) == ((), 0)
    assert made.settings.model.arguments["dropout"] == 0.0
    assert made.settings.model.arguments["filters"] == 8


@pytest.mark.slow
def test_message_names_the_job_of_a_grid_with_the_mistake():
    assert problems_of("model.filters=16,32,0", "model.dropout=0.1,0.2") == [
        "job 5 of 6: model.filters=0 is not allowed: it must be a whole number, at least 1"
    ]
    assert problems_of("seed=1,2", "trainer.epochs=1,abc", "model.dorpout=1") == [
        "job 1 of 4: model.dorpout does not exist: did you mean model.dropout?",
        "job 2 of 4: trainer.epochs=abc is not allowed: it must be a whole number, at least 1",
    ]


def test_message_names_the_point_with_the_mistake():
    points = [{"model": "mlp", "model.dropout": 0.1}, {"model": "mlp", "model.filters": 3}]
    (problem,) = problems_of(points=points)
    assert problem.startswith("job 2 of 2: model.filters does not exist")


@pytest.mark.parametrize(
    ("interval", "problem"),
    [
        ("interval(0,1.5)", "corner 2 of 2: model.dropout=1.5 is not allowed: it must be a number, at least 0"),
        ("interval(-1,0.5)", "corner 1 of 2: model.dropout=-1.0 is not allowed"),
        ("interval(0,inf)", "corner 2 of 2: model.dropout=inf is not allowed"),
        ("interval(nan,0.5)", "corner 1 of 2: model.dropout=nan is not allowed"),
    ],
)
def test_message_names_the_corner_with_the_mistake(interval, problem):
    (found,) = problems_of(f"model.dropout={interval}", is_search=True)
    assert found.startswith(problem)


def test_interval_without_int_gives_no_whole_numbers():
    for problem, end in zip(problems_of("model.filters=interval(8,16)", is_search=True), (8, 16), strict=True):
        assert f"model.filters={end}.0 is not allowed: did you mean model.filters={end}? it must be a whole" in problem


def test_missing_data_are_reported_with_the_first_job_that_needs_them():
    assert problems_of("data.limit=100,5000", "seed=1,2") == [
        "limit=5000 seed=1: data.limit=5000 is more than the 4,000 training images of data=mnist_5k"
    ]
    (problem,) = problems_of("data.validation=0.1,4000")
    assert problem.startswith("validation=4000: data.validation=4000 would hold out 4,000 of 4,000")


def test_model_too_deep_for_the_images_is_refused_before_any_run():
    (problem,) = problems_of("model.kernel_size=3,29", "seed=1,2")
    assert problem.startswith("kernel_size=29 seed=1: ")


def test_each_data_set_is_loaded_once(monkeypatch, tmp_path, digits):
    calls = []
    load_data = preflight.load_data
    monkeypatch.setattr(preflight, "load_data", lambda *given: calls.append(given) or load_data(*given))
    (x_train, y_train), (x_test, y_test) = digits
    np.savez(tmp_path / "there.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    npz = ["data=npz", "data.validation=0.2", "seed=1,2,3", "model.dropout=0.1,0.2"]
    made = plan.make(parse({}, [*npz, f"data.path={tmp_path}/there.npz"], SweepSettings()), None, is_search=False)
    assert len(made.jobs) == 6
    assert sum(len(given) < 2 or given[1] is None for given in calls) == 1

    calls.clear()
    paths = f"data.path={tmp_path}/gone.npz,{tmp_path}/there.npz,{tmp_path}/lost.npz"
    with pytest.raises(SettingsError) as error:
        plan.make(parse({}, [*npz, paths], SweepSettings()), None, is_search=False)
    assert ["gone" in problem or "lost" in problem for problem in error.value.problems] == [True, True]
    assert sum(len(given) < 2 or given[1] is None for given in calls) == 3


def test_points_that_are_the_same_job_run_once():
    made = make(points=[{"model.dropout": 0.5}, {"+optimizer.weight_decay": None}, {}, {"model": "cnn"}])
    assert [job.name for job in made.jobs] == ["dropout=0.5", "weight_decay=null"]
    assert made.repeated == 2
    made = make("seed=1,1,2", "model.dropout=0.25,0.25,0.25", zip=True)
    assert [job.name for job in made.jobs] == ["seed=1 dropout=0.25", "seed=2 dropout=0.25"]
    assert made.repeated == 1


def test_validation_on_the_test_set_is_noticed_in_any_job():
    assert make("data.validation=0.1,test").on_test
    assert not make("data.validation=0.1,100").on_test


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid_and_uses_held_out_images(preset):
    with composer(None):
        config = hydra_compose("config", [f"sweep={preset}", "data=mnist_5k"], return_hydra_config=True)
    how = sweep_settings(config)
    params = OmegaConf.to_container(config.hydra.sweeper.params)
    assert params, "it sweeps over something"
    space = parse(params, [f"sweep={preset}", "data=mnist_5k"], how)
    assert set(space.keys) == set(params)
    is_search = rules.is_search(how, space)
    rules.check(how, space, config.hydra.launcher)
    made = plan.make(space, None, is_search=is_search)
    assert not made.on_test, "the best of them is chosen"
    assert made.repeated == 0
    assert is_search or len(made.jobs) > 1


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_states_its_question_command_and_cost(preset):
    file = EXPERIMENTS / "sweep" / f"{preset}.yaml"
    lines = file.read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1].startswith("# ")
    assert lines[2].startswith(f"# Command: python -m mnist_exp.run -m sweep={preset}")
    assert lines[3].startswith("# Cost: ")
    assert set(yaml.safe_load(file.read_text())) <= {"defaults", "hydra", "sweep", "data", "trainer", "optimizer"}


@pytest.mark.parametrize(
    ("arguments", "how", "sentence"),
    [
        (["seed=1,2"], {"pruner": "asha"}, "sweep.pruner=asha needs a search, and this is a grid"),
        (["seed=1,2"], {"minimize_too": "parameters"}, "sweep.minimize_too=parameters needs a search"),
        (["seed=1,2"], {"timeout_s": 3.0}, "sweep.timeout_s=3.0 needs a search"),
        (["seed=1,2"], {"n_trials": 5}, "sweep.n_trials=5 needs a search, and this is a grid"),
        (["seed=1,2"], {"seed": 5}, "sweep.seed=5 needs a search, and this is a grid"),
        (["seed=1,2"], {"prune_after": 5}, "sweep.prune_after=5 needs a search, and this is a grid"),
        (["seed=1,2"], {"storage": "s"}, "sweep.storage=s needs a search, and this is a grid"),
        (["seed=1,2"], {"study": "s"}, "sweep.study=s needs a search, and this is a grid"),
        (["seed=1"], {"sampler": "tpe"}, "sweep.sampler=tpe has nothing to search: sweep over an option"),
        ([], {"sampler": "tpe", "points": [{"seed": 1}]}, "a search chooses its own: leave them out"),
        (["seed=1,2"], {"sampler": "tpe", "zip": True}, "a search chooses its own: leave them out"),
        (
            ["seed=1,2"],
            {"sampler": "tpe", "minimize_too": "parameters", "pruner": "median"},
            "sweep.pruner=median cannot judge trials by two objectives",
        ),
        (
            ["seed=1,2"],
            {"sampler": "cmaes", "minimize_too": "parameters"},
            "sweep.sampler=cmaes cannot search for two objectives: take tpe, random, qmc, nsgaii or gp",
        ),
    ],
)
def test_options_that_contradict_each_other_are_refused(arguments, how, sentence):
    settings = SweepSettings(**how)
    launcher = OmegaConf.create({"_target_": "hydra_plugins.mnist_exp_plugins.LocalLauncher", "n_workers": 1})
    with pytest.raises(SettingsError) as error:
        rules.check(settings, parse({}, arguments, settings), launcher)
    (problem,) = error.value.problems
    assert sentence in problem


def test_option_of_a_pruner_without_one_is_told(capsys):
    rules.warn_of_unused(SweepSettings(sampler="tpe", pruner="asha", prune_after=5), Screen())
    assert capsys.readouterr().err == ""
    rules.warn_of_unused(SweepSettings(sampler="tpe", prune_after=5), Screen())
    assert capsys.readouterr().err == "warning: sweep.prune_after=5 has no effect without sweep.pruner\n"


@pytest.mark.parametrize(
    ("options", "swept", "epochs", "pruner"),
    [
        ({}, "seed=range(1,9)", 9, "asha"),
        ({}, "seed=range(1,9)", 8, "none"),
        ({"prune_after": 5}, "seed=range(1,9)", 9, "none"),
        ({"prune_after": 5}, "seed=range(1,9)", 10, "asha"),
        ({"seeds": 5}, "model.filters=2,4", 9, "asha"),
        ({"sampler": "gp"}, "seed=range(1,9)", 9, "none"),
        ({"minimize_too": "parameters"}, "seed=range(1,9)", 9, "none"),
        ({}, "trainer.epochs=range(3,30)", 29, "none"),
        ({"pruner": "median"}, "seed=range(1,9)", 3, "median"),
        ({"pruner": "none"}, "seed=range(1,9)", 30, "none"),
    ],
)
def test_long_trainings_are_pruned_unless_told_otherwise(options, swept, epochs, pruner):
    how = SweepSettings(**options)
    decided = rules.with_pruner(how, parse({}, [swept], how), epochs)
    assert decided == dataclasses.replace(how, pruner=pruner)
    assert ("sweep.pruner=none trains all" in rules.words_of_search(how, decided)) == (
        pruner == "asha" and "pruner" not in options
    )


def test_search_over_the_seed_is_told_that_it_chooses_luck(capsys):
    rules.warn_of_lucky_seed(parse({}, ["seed=range(1,9)", "model.filters=2,4"], SweepSettings()), Screen())
    assert "chooses the luckiest one" in capsys.readouterr().err
    rules.warn_of_lucky_seed(parse({}, ["seed=3", "model.filters=2,4"], SweepSettings()), Screen())
    assert capsys.readouterr().err == ""


def test_gaussian_process_asks_for_its_library_before_the_first_trial(monkeypatch, capsys):
    how = SweepSettings(sampler="gp", pruner="asha")
    space, launcher = parse({}, ["seed=range(1,9)"], how), OmegaConf.create({"_target_": "joblib"})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"sweep.sampler=gp needs PyTorch.*pip install 'mnist_exp\[torch\]'"):
        rules.check(how, space, launcher)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    rules.check(how, space, launcher)
    rules.warn_of_unused(how, Screen())
    assert "sweep.sampler=gp learns nothing from a trial that sweep.pruner=asha stops" in capsys.readouterr().err


def test_options_that_the_launcher_lacks_are_refused():
    how = dataclasses.replace(SweepSettings(), job_timeout_s=3.0)
    space = parse({}, ["seed=1,2"], how)
    with pytest.raises(SettingsError, match=r"sweep\.job_timeout_s=3.0 needs hydra/launcher=local"):
        rules.check(how, space, OmegaConf.create({"_target_": "joblib"}))
    local = {"_target_": "hydra_plugins.mnist_exp_plugins.LocalLauncher"}
    for wrong in (0, "two", None, 1.5):
        with pytest.raises(
            SettingsError, match=r"hydra.launcher.n_workers=.* is not allowed: it must be auto, or a whole number"
        ):
            rules.check(how, space, OmegaConf.create({**local, "n_workers": wrong}))
    rules.check(how, space, OmegaConf.create({**local, "n_workers": 2}))
