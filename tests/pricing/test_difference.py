"""The smallest difference agrees with the tests of the sweep itself: what is as large is found in 80 % of trials."""

import math

import numpy as np
import pytest
from scipy import stats

from mnist_exp import compose
from mnist_exp.evaluation import statistical_tests
from mnist_exp.pricing import difference
from mnist_exp.tracking.runs import StoredRun

SETTINGS = compose(["data=mnist_5k", "data.validation=0.2"])


def run(seed, value, objective="val_accuracy", **params):
    known = {"seed": str(seed), "objective": objective} | params
    return StoredRun(f"{seed}", "", "", "FINISHED", known, {"objective": value}, {}, "")


@pytest.mark.parametrize(("seeds", "level"), [(2, 0.05), (5, 0.05), (5, 0.005), (30, 0.05)])
def test_the_least_effect_needs_just_as_many_seeds(seeds, level):
    effect = difference.least_effect(seeds, level)
    assert statistical_tests.seeds_needed(effect * 1.001, statistical_tests.PAIRED, level) == seeds
    assert statistical_tests.seeds_needed(effect * 0.98, statistical_tests.PAIRED, level) > seeds


@pytest.mark.parametrize(("accuracy", "images"), [(0.98, 10_000), (0.9, 1000)])
def test_mcnemars_test_finds_it_in_four_of_five_trials(accuracy, images):
    least = difference.of_one_seed(accuracy, images, 0.05)
    draw, found = np.random.default_rng(1), 0
    # Errors that are independent of each other; the two accuracies are around the one given.
    first, second = accuracy + least / 2, accuracy - least / 2
    only_first, only_second = first * (1 - second), second * (1 - first)
    for _ in range(2000):
        a, b, _ = draw.multinomial(images, [only_first, only_second, 1 - only_first - only_second])
        found += stats.binomtest(int(a), int(a + b)).pvalue < 0.05
    assert found / 2000 == pytest.approx(0.8, abs=0.05)


def test_the_spread_of_earlier_seeds_is_reckoned_with():
    values = [0.98, 0.982, 0.984, 0.97, 0.972, 0.974]
    runs = [run(i % 3, value, **{"model.filters": str(i // 3)}) for i, value in enumerate(values)]
    found = difference.smallest(SETTINGS, 2, 5, 1000, runs)
    assert found.difference == pytest.approx(math.sqrt(2) * 0.002 * difference.least_effect(5, 0.05))
    assert "a spread of 0.0020 over the seeds of 6 earlier runs" in found.words
    assert found.comparisons == 1


def test_without_earlier_runs_the_images_tell_it():
    found = difference.smallest(SETTINGS, 4, 3, 1000, [])
    assert found.difference == pytest.approx(
        math.sqrt(2) * math.sqrt(0.98 * 0.02 / 1000) * difference.least_effect(3, 0.05 / 6)
    )
    assert "at an accuracy of 0.98 (supposed)" in found.words
    assert "of all 6 comparisons" in found.words


def test_one_seed_tells_of_the_models_only_and_more_comparisons_tell_less():
    few, many = (difference.smallest(SETTINGS, count, 1, 1000, [run(1, 0.9)]) for count in (2, 10))
    assert "'seed=range(1,6)'" in few.words
    assert "at an accuracy of 0.9;" in few.words
    assert 0.03 < few.difference < many.difference


def test_of_a_loss_only_seeds_can_tell():
    settings = compose(["data=mnist_5k", "data.validation=0.2", "objective=val_loss", "direction=minimize"])
    assert difference.smallest(settings, 2, 1, 1000, []).difference is None
    unknown = difference.smallest(settings, 2, 3, 1000, [run(1, 0.98), run(2, 0.99), run(3, 0.97)])
    assert unknown.difference is None
    assert "not known before earlier runs" in unknown.words
    runs = [run(seed, 0.1 + seed / 100, "val_loss") for seed in range(3)]
    assert difference.smallest(settings, 2, 3, 1000, runs).difference > 0.01
