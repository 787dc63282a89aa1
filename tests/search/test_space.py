"""The space of a sweep: Hydra's overrides are parsed to axes, points and intervals, and written back."""

import re

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_exp.composition.compose import composer
from mnist_exp.config.schema import SweepSettings
from mnist_exp.errors import SettingsError
from mnist_exp.search.parsing import parse
from mnist_exp.search.space import Interval, brief, label, number, short_names, values_of


def read(*arguments, params=None, **how):
    return parse(params or {}, arguments, SweepSettings(**how))


def problems_of(*arguments, **given):
    with pytest.raises(SettingsError) as error:
        read(*arguments, **given)
    return error.value.problems


def value_of(text):
    return OverridesParser.create().parse_override(text).value()


def test_grid_has_every_combination_first_option_slowest():
    space = read("model.filters=16,32", "seed=3", "model.dropout=0.1,0.3,0.5")
    assert list(space.grid()) == [
        ["seed=3", f"model.filters={filters}", f"model.dropout={dropout}"]
        for filters in (16, 32)
        for dropout in (0.1, 0.3, 0.5)
    ]
    assert space.keys == ("model.filters", "model.dropout")
    assert space.words == "filters 16,32 × dropout 0.1,0.3,0.5"
    assert space.words_of == {"model.filters": "16,32", "model.dropout": "0.1,0.3,0.5"}


def test_single_values_give_one_job():
    space = read("seed=3", "model=mlp")
    assert list(space.grid()) == list(space.corners()) == [["seed=3", "model=mlp"]]
    assert (space.keys, space.words) == ((), "the configuration as it is")


def test_many_values_are_not_all_shown():
    space = read("seed=range(1000)", "model.dropout=0.1,0.3")
    assert space.words == "seed 0,1,2,…,999 (1,000 values) × dropout 0.1,0.3"
    assert space.words_of["seed"] == ",".join(map(str, range(1000)))


def test_command_line_wins_over_the_preset():
    preset = {"model.filters": "4,8", "model.dropout": "0.1,0.2", "seed": 5, "trainer.epochs": None}
    space = read("model.dropout=0.3,0.4", "model.filters=16", "+seed=6", params=preset)
    assert space.fixed == ("model.filters=16", "+seed=6", "trainer.epochs=null")
    assert [(axis.key, axis.values) for axis in space.axes] == [("model.dropout", ("0.3", "0.4"))]
    assert read(params=preset).words == "filters 4,8 × dropout 0.1,0.2"


def test_last_override_of_an_option_counts():
    assert list(read("seed=1,2", "seed=3").grid()) == [["seed=3"]]
    assert list(read("seed=3", "seed=1,2").grid()) == [["seed=1"], ["seed=2"]]


def test_sweep_options_are_not_passed_to_jobs():
    arguments = ["sweep.n_trials=3", "sweep.sampler=tpe", "tracking.uri=here", "hydra.launcher.n_workers=2", "seed=1,2"]
    assert read(*arguments).fixed == ("tracking.uri=here", "hydra.launcher.n_workers=2")


@pytest.mark.parametrize("prefix", ["+optimizer.clipnorm", "++optimizer.clipnorm", "model", "augment@extra", "~seed"])
def test_prefixes_and_packages_stay_in_overrides_not_in_keys(prefix):
    space = read(f"{prefix}=a,b")
    key = prefix.lstrip("+~").partition("@")[0]
    assert [axis.key for axis in space.axes] == [key]
    assert list(space.grid()) == [[f"{prefix}=a"], [f"{prefix}=b"]]
    assert [values_of(job, space.keys) for job in space.grid()] == [{key: "a"}, {key: "b"}]


def test_deletions_are_passed_to_jobs():
    assert read("~augment", "~trainer.threads=null").fixed == ("~augment", "~trainer.threads=null")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("range(1,5)", [1, 2, 3, 4]),
        ("range(5,1,-2)", [5, 3]),
        ("range(0,1,0.1)", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        ("range(0.7,0.1,-0.2)", [0.7, 0.5, 0.3]),
        ("sort(3,1,2)", [1, 2, 3]),
        ("choice(8,16)", [8, 16]),
        ("1,1,2", [1, 2]),
        ("null,true,0.5,relu", [None, True, 0.5, "relu"]),
        ("'a, b','16','null'", ["a, b", "16", "null"]),
        ("[1,2],[3]", [[1, 2], [3]]),
        ("{a:1},{a:2}", [{"a": 1}, {"a": 2}]),
        (r"a\,b,c d", ["a,b", "c d"]),
    ],
)
def test_lists_and_ranges_become_their_values(text, values):
    found = [value_of(job[0]) for job in read(f"model.x={text}").grid()]
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


@pytest.mark.parametrize(
    ("text", "interval", "words"),
    [
        ("interval(0,0.7)", Interval(0.0, 0.7), "0.0…0.7"),
        ("int(interval(8,64))", Interval(8, 64), "8…64"),
        ("tag(log,interval(0.0001,0.1))", Interval(0.0001, 0.1, log=True), "0.0001…0.1 (log)"),
        ("tag(log,int(interval(8,64)))", Interval(8, 64, log=True), "8…64 (log)"),
        ("int(tag(log, interval(8,64)))", Interval(8, 64, log=True), "8…64 (log)"),
    ],
)
def test_intervals(text, interval, words):
    (axis,) = read(f"model.x={text}").axes
    assert (axis.interval, axis.words, axis.is_continuous) == (interval, words, True)
    assert type(axis.interval.low) is type(interval.low)
    assert axis.values == (str(interval.low), str(interval.high))


def test_range_is_a_list_of_numbers_for_a_grid():
    (axis,) = read("model.x=range(5,1,-2)").axes
    assert (axis.interval, axis.is_continuous, axis.words) == (Interval(3, 5, step=2), False, "5,3")
    assert read("model.x=range(1,2)").axes[0].interval is None


def test_glob_gives_the_choices_of_a_group():
    with composer(None) as loader:
        space = parse({}, ["model=glob(*)", "schedule=glob(co*)"], SweepSettings(), loader)
    models = ("backbone", "cnn", "convnet", "lenet5", "mlp", "resnet")
    assert [axis.values for axis in space.axes] == [models, ("constant", "cosine")]


def test_zip_pairs_values_and_keeps_equal_pairs():
    space = read("seed=3", "model.filters=16,16,32", "model.dropout=0.1,0.2,0.2", zip=True)
    assert list(space.grid()) == [
        ["seed=3", "model.filters=16", "model.dropout=0.1"],
        ["seed=3", "model.filters=16", "model.dropout=0.2"],
        ["seed=3", "model.filters=32", "model.dropout=0.2"],
    ]
    assert space.keys == ("model.filters", "model.dropout")
    assert space.words == "3 points"
    assert list(read("seed=3", zip=True).grid()) == [["seed=3"]]


def test_zip_combines_with_every_point():
    space = read("model.filters=1,2", zip=True, points=[{"seed": 1}, {"seed": 2}])
    assert list(space.grid()) == [[f"seed={s}", f"model.filters={f}"] for s in (1, 2) for f in (1, 2)]


def test_points_are_combined_with_every_swept_value():
    space = read("trainer.epochs=2", "seed=1,2", points=[{"model": "mlp"}, {"+optimizer.clipnorm": 1.5}])
    assert [job[1:] for job in space.grid()] == [
        [point, f"seed={seed}"] for point in ("model=mlp", "+optimizer.clipnorm=1.5") for seed in (1, 2)
    ]
    assert space.keys == ("model", "optimizer.clipnorm", "seed")
    assert space.words == "2 points × seed 1,2"
    assert space.words_of == {"model": "mlp", "optimizer.clipnorm": "1.5", "seed": "1,2"}


plain_texts = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.just(" "), max_size=12)
texts = plain_texts.filter(lambda text: "${" not in text) | st.sampled_from(["16", "null", "true", "1e3", "nan", "0x1"])
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
written = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=5
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(names.map("model.{}".format), written, min_size=1, max_size=3), min_size=1, max_size=3))
def test_hydra_reads_back_every_value_of_a_point(points):
    for point, job in zip(points, read(points=points).grid(), strict=True):
        found = {text.partition("=")[0]: value_of(text) for text in job}
        assert found == point
        assert repr(found) == repr(point), "1, 1.0 and True are equal, but not the same"


@settings(max_examples=100, deadline=None)
@given(st.lists(scalars, min_size=2, max_size=5))
def test_hydra_reads_back_every_listed_value(values):
    # What a person would type is what a point is written as.
    typed = ",".join(job[0].partition("=")[2] for job in read(points=[{"x": value} for value in values]).grid())
    found = [value_of(job[0]) for job in read(f"x={typed}").grid()]
    assert list(map(repr, found)) == list(dict.fromkeys(map(repr, values)))


finite = st.decimals(-100, 100, places=3).map(float)


@settings(max_examples=100, deadline=None)
@given(low=finite, steps=st.integers(1, 30), step=st.decimals("0.001", 5, places=3).map(float))
def test_decimal_range_has_no_more_digits_than_its_ends(low, steps, step):
    stop = round(low + steps * step, 3)
    (axis,) = read(f"x=range({low!r},{stop!r},{step!r})").axes
    assert [float(value) for value in axis.values] == [round(low + i * step, 3) for i in range(steps)]


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["1,2,3", "interval(0,1)", "range(0,10)", "a,b", "int(interval(1,9))", "x,x"]),
        min_size=1,
        max_size=9,
    )
)
def test_corners_contain_each_end_of_every_axis(choices):
    space = read(*(f"a.x{i}={choice}" for i, choice in enumerate(choices)), "seed=1")
    corners = [values_of(job, space.keys) for job in space.corners()]
    ends = {
        axis.key: axis.values if axis.interval is None else (axis.values[0], axis.values[-1]) for axis in space.axes
    }
    for key, values in ends.items():
        assert {corner[key] for corner in corners} == set(values)
    assert len(corners) <= 64
    assert all(job[0] == "seed=1" for job in space.corners())
    count = 1
    for values in ends.values():
        count *= len(values)
    assert len({tuple(corner.items()) for corner in corners}) == (
        count if count <= 64 else max(map(len, ends.values()))
    )


@pytest.mark.parametrize(
    ("arguments", "how", "sentence"),
    [
        (["seed"], {}, "seed cannot be read: the form is option=value"),
        (["a=[1,2"], {}, r"a=\[1,2 cannot be read: a bracket or quote is not closed"),
        (["a=choice()"], {}, r"a=choice\(\) cannot be read: empty choice is not legal"),
        (["tracking.uri=a,b"], {}, "tracking.uri cannot be swept over: it must be the same in all jobs of a sweep"),
        (["tracking=mlflow,none"], {}, "tracking cannot be swept over: it must be the same in all jobs of a sweep"),
        (["hydra/launcher=a,b"], {}, "hydra/launcher cannot be swept over: it must be the same"),
        (["sweep.seed=1,2"], {}, "sweep.seed cannot be swept over: it must be the same"),
        ([], {"points": [{"tracking.uri": "a"}]}, "tracking.uri cannot be swept over: it must be the same"),
        ([], {"points": [{"sweep.seed": 1}]}, "sweep.seed cannot be swept over: it must be the same"),
        (["x=range(5,1)"], {}, r"x=range\(5,1\) cannot be swept over: it has no value"),
        (["x=range(1,5,0)"], {}, r"x=range\(1,5,0\) cannot be swept over: .*zero"),
        (["x=range(0,1,0.0)"], {}, r"x=range\(0,1,0.0\) cannot be swept over: "),
        (["x=interval(1,1)"], {}, r"x=interval\(1,1\) cannot be swept over: its start 1.0 must be below its end 1.0"),
        (["x=interval(2,1)"], {}, "its start 2.0 must be below its end 1.0"),
        (["x=int(interval(0.1,0.9))"], {}, "its start 0 must be below its end 0"),
        (["x=tag(log,interval(0,1))"], {}, "the start 0.0 of a logarithmic interval must be above 0"),
        (["x=tag(log,int(interval(0,9)))"], {}, "the start 0 of a logarithmic interval must be above 0"),
        (
            ["x=1,2"],
            {"points": [{"x": 1}]},
            "x is swept over both on its own and in sweep.points: give only one of the two",
        ),
        (
            ["+x=1,2"],
            {"points": [{"++x": 1}]},
            "x is swept over both on its own and in sweep.points: give only one of the two",
        ),
        (["x=1,2", "y=1,2,3"], {"zip": True}, "each option needs the same number of values: x has 2, y has 3"),
        (["x=1,2", "y=interval(0,1)"], {"zip": True}, "sweep.zip=true needs lists of values: an interval has none"),
    ],
)
def test_overrides_that_cannot_be_swept_are_refused(arguments, how, sentence):
    (problem,) = problems_of(*arguments, **how)
    assert re.search(sentence, problem), problem


def test_all_problems_are_reported_at_once():
    found = problems_of("seed", "tracking.uri=a,b", "x=range(5,1)", "y=1,2", params={"z": "interval(2,1)"}, zip=True)
    assert len(found) == 4
    assert [sum(part in problem for problem in found) for part in ("seed", "tracking", "range", "interval")] == [1] * 4


def test_short_names_are_last_parts_unless_two_are_equal():
    assert short_names(["model.filters", "seed", "model"]) == {
        "model.filters": "filters",
        "seed": "seed",
        "model": "model",
    }
    assert short_names(["data.name", "model.name"]) == {"data.name": "data.name", "model.name": "model.name"}
    assert short_names([]) == {}


def test_values_of_takes_last_values_and_omits_absent_options():
    job = ["seed=1", "+a.b=x=y", "model@extra=cnn", "seed=2", "~gone"]
    assert values_of(job, ["seed", "a.b", "model", "missing"]) == {"seed": "2", "a.b": "x=y", "model": "cnn"}


@pytest.mark.parametrize(
    ("text", "found"),
    [("3", 3.0), ("1e-05", 1e-5), ("-0.5", -0.5), ("relu", None), ("null", None), ("'3'", None), ("", None)],
)
def test_number(text, found):
    assert number(text) == found


@pytest.mark.parametrize("text", ["inf", "nan", "-Infinity"])
def test_values_that_are_not_finite_are_no_numbers(text):
    assert number(text) is None


@given(st.lists(st.integers(0, 2**32 - 1) | st.decimals(0, 1, places=9), min_size=2, max_size=2, unique=True))
def test_jobs_of_different_numbers_have_different_names(numbers):
    names = {label([f"trainer.x={number}"], ["trainer.x"]) for number in numbers}
    assert len(names) == 2


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("0.30000000000000004", "0.3"),
        ("0.00012345678", "0.0001235"),
        ("123456789", "1.235e+08"),
        ("0.123456", "0.123456"),
        ("12345678", "12345678"),
        ("a long text", "a long text"),
        ("", ""),
    ],
)
def test_brief_rounds_long_numbers_only(text, short):
    assert brief(text) == short


def test_interpolations_are_shown_as_they_were_written():
    written = ["model.filters=4", r"model.dense_units=$\{model.filters\}"]
    assert label(written, ["model.filters", "model.dense_units"]) == "filters=4 dense_units=${model.filters}"
    assert brief(r"$\{a.b\}/$\{c\}") == "${a.b}/${c}"
    assert brief(r"C:\data") == r"C:\data"
