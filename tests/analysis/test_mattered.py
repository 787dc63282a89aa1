"""What mattered, against objectives whose truth is known."""

import math
from statistics import fmean

import numpy as np
import pytest

from mnist_exp.analysis import mattered, noise, stored, words
from mnist_exp.analysis.mattered import Request
from mnist_exp.analysis.observations import Observation, Observations
from mnist_exp.errors import SettingsError

STD = 0.003


def truth(a, b, c="x"):
    """Variance over the unit square: 63 % by a, 16 % by b, 21 % by both; none by c."""
    return 0.9 + 0.02 * a + 0.01 * b + 0.04 * (a - 0.5) * (b - 0.5)


def grid(seeds=3, function=truth, std=STD, values=(0, 0.5, 1), seed=1):
    random = np.random.default_rng(seed)
    return [
        Observation({"m.a": str(a), "m.b": str(b), "m.c": c}, function(a, b, c) + std * random.normal())
        for a in values
        for b in values
        for c in "xyz"
        for _ in range(seeds)
    ]


def drawn(count, seed=1, std=STD, function=truth):
    random = np.random.default_rng(seed)
    points = [(float(random.random()), float(random.random()), random.choice(list("xyz"))) for _ in range(count)]
    return [
        Observation({"m.a": repr(a), "m.b": repr(b), "m.c": str(c)}, function(a, b, c) + std * random.normal())
        for a, b, c in points
    ]


def look(runs, sampler=None, **options):
    trials = [run.objective for run in runs] if sampler else ()
    return mattered.of(Request(runs, maximize=True, trials=trials, is_random=sampler == "random", **options))


def shares(found):
    return {"".join(option[-1] for option in each.options): each for each in found.effects}


def test_shares_of_a_grid_are_those_of_its_truth():
    found = shares(look(grid()))
    # Over three values each instead of all: the variance of 0, 1/2, 1 is 1/6, not 1/12.
    exact = {"a": 0.02**2 / 6, "b": 0.01**2 / 6, "ab": 0.04**2 / 36}
    for name, variance in exact.items():
        wanted = variance / sum(exact.values())
        assert found[name].share == pytest.approx(wanted, abs=0.05)
        assert found[name].is_noise is False
    assert found["a"].size == pytest.approx(0.02, abs=0.003)
    assert all(found[name].is_noise and found[name].share < 0.02 for name in ("c", "ac", "bc"))


def test_intervals_of_shares_hold_the_truth_as_often_as_they_say():
    wanted = 0.02**2 / 6 / (0.02**2 / 6 + 0.01**2 / 6 + 0.04**2 / 36)
    held = [effect.low < wanted < effect.high for seed in range(100) for effect in [shares(look(grid(seed=seed)))["a"]]]
    assert 0.82 <= fmean(held) <= 0.98, "0.9, and what 100 of them allow"


def test_shares_of_a_search_are_those_of_its_truth():
    found = look(drawn(150), sampler="random", logarithmic=())
    assert found.method == mattered.PREDICTED and 0.5 < found.fit < 1
    of = shares(found)
    assert of["a"].share == pytest.approx(0.63, abs=0.1)
    assert of["b"].share == pytest.approx(0.16, abs=0.08)
    assert of["ab"].share == pytest.approx(0.21, abs=0.08)
    assert not of["a"].is_noise and of["c"].is_noise
    (of_a,) = (each for each in found.dependences if each.option == "m.a")
    assert of_a.mean[-1] - of_a.mean[0] == pytest.approx(0.02, abs=0.005)


@pytest.mark.parametrize(
    "make",
    [lambda seed: grid(function=lambda *_: 0.9), lambda seed: drawn(40, seed, function=lambda *_: 0.9)],
    ids=["grid", "search"],
)
def test_chance_alone_is_called_chance(make):
    found = look(make(3), sampler=None)
    assert all(each.is_noise for each in found.effects if len(each.options) == 1)
    assert words.importance(found).startswith("no option more than chance")


def test_plain_effect_is_not_called_chance():
    random = np.random.default_rng(0)
    for runs in ([(float(a), 0.9 + 0.01 * a + 0.001 * random.normal()) for a in random.random(20)] for _ in range(3)):
        (effect,) = look(
            [Observation({"m.a": repr(a)}, value) for a, value in runs], logarithmic=(), drawn=["m.a"]
        ).effects
        assert effect.is_noise is False


@pytest.mark.slow
def test_effects_of_chance_are_rarely_called_real():
    def real(runs):
        return any(each.is_noise is False for each in look(runs).effects)

    random = np.random.default_rng(0)
    grids = [
        [Observation({"m.a": a, "m.b": b}, 0.9 + STD * random.normal()) for a in "123" for b in "123" for _ in range(2)]
        for _ in range(200)
    ]
    assert fmean(map(real, grids)) <= 0.09, "0.05, and what 200 of them allow"


def test_one_seed_alone_does_not_tell_what_is_chance():
    found = look(grid(seeds=1))
    assert found.noise is None and {each.is_noise for each in found.effects} == {None}
    assert "add seed=1,2,3" in words.importance(found)
    with_images = look(grid(seeds=1), images=1000)
    assert with_images.noise.std == pytest.approx(math.sqrt(0.93 * 0.07 / 1000), rel=0.1)


def test_spread_over_seeds_is_pooled_over_points():
    runs = grid(seeds=4)
    found = noise.over_seeds(Observations(runs, ("m.a", "m.b", "m.c")))
    assert (found.std, found.degrees) == (pytest.approx(STD, rel=0.2), 27 * 3)


def test_path_of_a_grid_is_measured_and_greedy():
    def function(a, b, c):
        return 0.5 + 0.1 * a + (0.05 if c == "z" else 0) + (0.2 if b == 1 and c == "z" else 0)

    found = look(grid(1, function, std=0), defaults={"m.a": "0", "m.b": "0", "m.c": "x"})
    steps = [(step.option, step.value, round(step.objective, 4)) for step in found.path]
    assert steps == [("", "", 0.5), ("m.a", "1", 0.6), ("m.c", "z", 0.65), ("m.b", "1", 0.85)]
    assert words.path(found) == "defaults 0.5000 → a=1 +0.1000 → c=z +0.0500 → b=1 +0.2000 → best 0.8500"
    least = mattered.of(
        Request(grid(1, function, std=0), maximize=False, defaults={"m.a": "0", "m.b": "0", "m.c": "x"})
    )
    assert words.path(least) == "the defaults are the best, 0.5000"
    assert look(grid(), defaults={"m.a": "7", "m.b": "0", "m.c": "x"}).no_path == "m.a=7, its default, was not tried"


def test_path_of_a_search_is_predicted_and_says_so():
    found = look(drawn(100), sampler="tpe", defaults={"m.a": "0.1", "m.b": "0.2", "m.c": "x"})
    assert found.path[-1].objective - found.path[0].objective > 0.015
    assert words.path(found).endswith(", all predicted")
    outside = look(drawn(100), sampler="tpe", defaults={"m.a": "1.5", "m.b": "0.2", "m.c": "x"})
    assert outside.path == [] and outside.no_path == "m.a=1.5, its default, was not tried"
    flat = look(drawn(30, function=lambda *_: 0.9), sampler="tpe", defaults={"m.a": "0.1", "m.b": "0.2", "m.c": "x"})
    assert flat.path == [] and "the trials are too few" in flat.no_path


def test_option_that_does_not_always_apply_is_looked_at_where_it_does():
    random = np.random.default_rng(0)
    runs = []
    for _ in range(80):
        rate, momentum = float(random.random()), float(random.random())
        choice = random.choice(["adam", "sgd"])
        own = {"optimizer.momentum": repr(momentum)} if choice == "sgd" else {}
        value = 0.9 + 0.01 * rate + (0.05 * momentum if own else 0.02) + 0.001 * random.normal()
        runs.append(Observation({"optimizer": str(choice), "rate": repr(rate), **own}, value))
    found = look(runs, sampler="random", logarithmic=())
    (momentum,) = (each for each in found.effects if each.options == ("optimizer.momentum",))
    assert momentum.applies_to == sum("optimizer.momentum" in run.values for run in runs)
    assert momentum.share > 0.7 and not momentum.is_noise
    assert f"of the {momentum.applies_to} runs that have it" in words.importance(found)


@pytest.mark.parametrize(
    "runs",
    [[], grid(1)[:1], [Observation({"m.a": "1"}, math.nan)] * 9, drawn(5), [Observation({"m.a": "1"}, 0.5)] * 20],
)
def test_nothing_is_said_of_too_few_runs(runs):
    assert look(runs, sampler="random") is None


@pytest.mark.parametrize("runs", [grid(), drawn(30)], ids=["grid", "search"])
def test_record_is_read_as_it_was_written(runs):
    found = look(runs, sampler="random", images=100, defaults={"m.a": "0", "m.b": "0", "m.c": "x"})
    again = stored.parse(stored.text(found), "it")
    assert stored.text(again) == stored.text(found)
    assert stored.parse(stored.text(None), "it") is None
    with pytest.raises(SettingsError, match="it is not what mnist_exp writes"):
        stored.parse('{"method": 3}', "it")
