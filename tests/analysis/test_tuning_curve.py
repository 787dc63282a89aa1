"""The best of so many trials: its band holds the truth, and what more would bring is what they bring."""

import itertools

import numpy as np
import pytest

from mnist_exp.analysis import tuning_curve


@pytest.mark.parametrize("n", [10, 40])
def test_band_holds_the_truth_for_all_numbers_of_trials_at_once(n):
    random = np.random.default_rng(n)
    wanted = 0.5 ** (1 / np.arange(1, n + 1))  # Of the best of k of even numbers from 0 to 1, the median.
    held = 0
    for _ in range(600):
        found = tuning_curve.curve(random.random(n), maximize=True, is_random=True)
        low = np.array([-np.inf if end is None else end for end in found.low])
        high = np.array([np.inf if end is None else end for end in found.high])
        held += bool(np.all((low <= wanted) & (wanted <= high)))
    assert held / 600 >= 0.94, "0.95, and what 600 of them allow"


def test_curve_of_the_least_mirrors_that_of_the_most():
    values = np.random.default_rng(0).random(20)
    most = tuning_curve.curve(values, maximize=True, is_random=True)
    least = tuning_curve.curve(-values, maximize=False, is_random=True)
    assert least.best == pytest.approx([-value for value in most.best])
    assert least.median == pytest.approx([-value for value in most.median])
    assert [end is None for end in least.low] == [end is None for end in most.high]
    assert most.best == list(np.maximum.accumulate(values))


def test_trials_that_depend_on_each_other_get_no_band():
    found = tuning_curve.curve([0.1, 0.3, 0.2], maximize=True, is_random=False)
    assert (found.best, found.median, found.low) == ([0.1, 0.3, 0.3], (), ())


def test_long_searches_are_thinned():
    found = tuning_curve.curve(np.random.default_rng(0).random(2000), maximize=True, is_random=True)
    assert len(found.trials) == len(found.best) == len(found.high) == 300
    assert (found.trials[0], found.trials[-1]) == (1, 2000)


def test_gain_of_random_trials_is_the_mean_over_all_choices():
    values = [0.1, 0.5, 0.9, 0.3, 0.7]
    best = [max(chosen) for chosen in itertools.combinations(values, 3)]
    found = tuning_curve.more(values, 2, maximize=True, is_random=True)
    assert found.gain == pytest.approx(0.9 - np.mean(best))
    assert found.chance == pytest.approx(2 / 7)


def test_more_random_trials_bring_what_is_said():
    random = np.random.default_rng(0)
    draws = random.normal(size=(4000, 30))
    said = [tuning_curve.more(list(one[:20]), 10, maximize=True, is_random=True) for one in draws[:500]]
    assert np.mean(draws[:, 20:].max(axis=1) > draws[:, :20].max(axis=1)) == pytest.approx(said[0].chance, abs=0.03)
    gained = np.mean(draws.max(axis=1) - draws[:, :20].max(axis=1))
    assert gained <= np.mean([one.gain for one in said]) <= 3 * gained


def test_gain_of_other_searches_is_that_of_their_second_half():
    found = tuning_curve.more([0.1, 0.4, 0.3, 0.6], 3, maximize=True, is_random=False)
    assert (found.chance, found.gain) == (None, pytest.approx(0.2))
    assert tuning_curve.more([4.0, 2.0, 3.0, 1.5], 3, maximize=False, is_random=False).gain == pytest.approx(0.5)
