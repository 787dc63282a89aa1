"""Options that apply to some choices of a group only: what a grid of them has, and how it is said."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_exp.search import conditions
from mnist_exp.search.conditions import Condition
from mnist_exp.search.space import Axis, Space, values_of

MODELS = [{"model": name} for name in ("cnn", "mlp", "lenet5")]


@st.composite
def conditional_spaces(draw):
    """A space over some groups, and for each option the combinations of choices that have it."""
    groups = {f"g{n}": [f"c{i}" for i in range(draw(st.integers(1, 3)))] for n in range(draw(st.integers(1, 3)))}
    every = [dict(zip(groups, names, strict=True)) for names in itertools.product(*groups.values())]
    axes = [Axis(key, key, tuple(names)) for key, names in groups.items()]
    fixed, partly, has = [], [], {}
    for number in range(draw(st.integers(1, 4))):
        key = f"g0.o{number}"
        applies = draw(st.lists(st.booleans(), min_size=len(every), max_size=len(every)).filter(any))
        has[key] = {str(each): answer for each, answer in zip(every, applies, strict=True)}
        when = conditions.of(every, applies)
        values = tuple(map(str, range(draw(st.integers(1, 3)))))
        if draw(st.booleans()):
            axes.append(Axis(key, f"+{key}", values, when=when))
        else:
            (fixed if when is None else partly).append(f"{key}=8" if when is None else (f"{key}=8", when))
    return Space(tuple(fixed), tuple(axes), partly=tuple(partly)), groups, has


@given(conditional_spaces())
@settings(max_examples=200, deadline=None)
def test_grid_has_each_combination_of_what_applies_once(made):
    space, groups, has = made
    expected = set()
    for names in itertools.product(*(axis.values for axis in space.axes)):
        whole = dict(zip([axis.key for axis in space.axes], names, strict=True)) | dict.fromkeys(
            [text.partition("=")[0] for text in [*space.fixed, *(text for text, _ in space.partly)]], "8"
        )
        chosen = str({key: whole[key] for key in groups})
        expected.add(tuple(sorted((k, v) for k, v in whole.items() if k in groups or has[k][chosen])))
    keys = [*groups, *has]
    jobs = [tuple(sorted(values_of(job, keys).items())) for job in space.grid()]
    assert len(jobs) == len(set(jobs)) == space.size == sum(map(space.size_with, space.decisions))
    assert set(jobs) == expected
    corners = [tuple(sorted(values_of(job, keys).items())) for job in space.corners()]
    assert set(corners) <= expected
    assert {pair for job in corners for pair in job} == {pair for job in expected for pair in job}


@given(st.lists(st.booleans(), min_size=12, max_size=12))
def test_condition_holds_just_where_the_option_applies(applies):
    every = [{"a": a, "b": b} for a in "123" for b in "1234"]
    when = conditions.of(every, applies)
    assert [when is None or when.holds(each) for each in every] == applies or not any(applies)


def test_condition_names_only_the_groups_that_decide():
    every = [m | {"optimizer": o, "seed": s} for m in MODELS for o in ("adam", "sgd") for s in "12"]
    alone = conditions.of(every, [each["model"] != "lenet5" for each in every])
    assert alone == Condition(("model",), (("cnn",), ("mlp",)))
    assert alone.words == "model=cnn,mlp"
    both = conditions.of(every, [each["model"] == "cnn" and each["optimizer"] == "sgd" for each in every])
    assert both.words == "model=cnn optimizer=sgd"
    assert conditions.of(every, [True] * len(every)) is conditions.of(every, [False] * len(every)) is None


def test_a_group_that_only_some_points_choose_is_left_as_it_is_elsewhere():
    when = conditions.of([{"model": "mlp"}, {}], [False, True])
    assert when.holds({}) and not when.holds({"model": "mlp"})
    assert when.words == "model=as it is"


def test_words_and_sizes_say_to_what_an_option_applies():
    space = Space(
        (),
        (
            Axis("model", "model", ("cnn", "mlp")),
            Axis("model.filters", "model.filters", ("8", "16"), when=Condition(("model",), (("cnn",),))),
            Axis("model.dropout", "model.dropout", ("0.1", "0.5")),
        ),
    )
    assert space.words == "model cnn,mlp × filters 8,16 (model=cnn) × dropout 0.1,0.5"
    assert space.sizes == "model 2 × model.filters 2 (model=cnn) × model.dropout 2"
    assert space.words_of["model.filters"] == "8,16 (model=cnn)"
    assert (space.size, space.decisions) == (6, [{"model": "cnn"}, {"model": "mlp"}])
    assert [space.size_with(each) for each in space.decisions] == [4, 2]
    assert space.limited == [("model.filters",)]
    assert Space((), space.axes[2:]).limited == []
