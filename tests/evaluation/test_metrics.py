"""The metrics of an evaluation, against naive references and statsmodels."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mnist_exp.evaluation import metrics
from mnist_exp.evaluation.metrics import accuracy_interval, calibration_error, reliability

PREDICTIONS = st.integers(1, 300).flatmap(
    lambda n: st.tuples(arrays.arrays(np.float64, n, elements=st.floats(0.01, 1)), arrays.arrays(bool, n))
)


def naive_error(confidence, right, bins):
    """Compute the calibration error from its definition, one bin (low, high] after the other."""
    total = 0.0
    for number in range(bins):
        low, high = np.linspace(0, 1, bins + 1)[number : number + 2]
        inside = [i for i, sure in enumerate(confidence) if low < sure <= high]
        if inside:
            gap = np.mean([right[i] for i in inside]) - np.mean([confidence[i] for i in inside])
            total += len(inside) / len(confidence) * abs(gap)
    return total


@given(PREDICTIONS, st.integers(1, 30))
@settings(deadline=None)
def test_calibration_error_follows_its_definition_and_bounds(predictions, bins):
    confidence, right = predictions
    result = reliability(confidence, right, bins)
    error = calibration_error(result)
    assert error == pytest.approx(naive_error(confidence, right, bins), abs=1e-12)
    # Bins can hide differences, but never create them.
    assert abs(confidence.mean() - right.mean()) - 1e-12 <= error <= np.abs(confidence - right).mean() + 1e-12
    assert 0 <= error <= 1
    assert sum(each.images for each in result) == len(right)
    for each in result:
        assert (each.images == 0) == (each.confidence is None) == (each.accuracy is None)
        if each.images:
            assert each.low - 1e-12 <= each.confidence <= each.high + 1e-12


def test_calibration_error_of_known_cases():
    sure, right = np.full(10, 0.8), np.arange(10) < 8
    assert calibration_error(reliability(sure, right)) == pytest.approx(0)
    assert calibration_error(reliability(sure, np.zeros(10, bool))) == pytest.approx(0.8)
    assert calibration_error(reliability(np.ones(10), right)) == pytest.approx(0.2)
    edge = reliability(np.array([1 / 15, 1.0]), np.ones(2, bool))  # An edge belongs to the bin below it.
    assert [each.images for each in edge if each.images] == [1, 1]
    assert edge[0].images == edge[-1].images == 1


@given(st.integers(100, 2000), st.floats(0.02, 0.98), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=10)
def test_bootstrap_interval_is_about_the_binomial_one(n, share, seed):
    from statsmodels.stats.proportion import proportion_confint

    right = np.random.default_rng(seed).random(n) < share
    result, count = accuracy_interval(right), int(right.sum())
    if min(count, n - count) < 10:
        assert result.method == "exact binomial"
        assert (result.low, result.high) == pytest.approx(proportion_confint(count, n, 0.05, "beta"), abs=1e-9)
        return
    assert result.method == "bootstrap, 5,000 resamples"
    wide = np.diff(proportion_confint(count, n, 0.05, "wilson"))[0]
    for reference, near in (("wilson", 0.25), ("normal", 0.12)):
        for end, other in zip((result.low, result.high), proportion_confint(count, n, 0.05, reference), strict=True):
            assert abs(end - other) < near * wide + 1 / n
    assert result == accuracy_interval(right)


def test_interval_is_not_empty_if_all_predictions_are_correct():
    result = accuracy_interval(np.ones(1000, bool))
    assert result.high == 1
    assert result.low == pytest.approx(0.025 ** (1 / 1000))  # Clopper & Pearson
    assert accuracy_interval(np.zeros(5, bool)).low == 0


def test_interval_contains_the_true_accuracy_as_often_as_it_says():
    rng = np.random.default_rng(0)
    result = [accuracy_interval(rng.random(300) < 0.95) for _ in range(120)]
    held = np.mean([each.low <= 0.95 <= each.high for each in result])
    assert 0.89 <= held <= 0.99


PROBABILITIES = np.array(
    [[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.2, 0.8, 0.0], [0.7, 0.3, 0.0], [0.45, 0.55, 0.0]], np.float32
)
LABELS = np.array([0, 1, 1, 0, 0])


def test_measures_of_a_small_example():
    result = metrics.measure(PROBABILITIES, LABELS, ("cat", "dog", "cow"), 0.25)
    assert (result.images, result.accuracy, result.loss) == (5, 0.6, 0.25)
    assert result.confidence == pytest.approx(np.mean([0.9, 0.6, 0.8, 0.7, 0.55]))
    assert result.confusion == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    cat, dog, cow = result.classes
    assert (cat.precision, cat.recall, cat.images, cat.taken_for, cat.times) == (2 / 3, 2 / 3, 3, "dog", 1)
    assert (dog.precision, dog.recall, dog.f1, dog.images) == (0.5, 0.5, 0.5, 2)
    assert (cow.precision, cow.recall, cow.f1, cow.images, cow.taken_for) == (None, None, None, 0, None)
    assert [(m.image, m.is_class, m.read_as) for m in result.mistakes] == [(1, "dog", "cat"), (4, "cat", "dog")]


def test_class_that_is_never_predicted():
    never_read = metrics.measure(np.tile(np.float32([0.6, 0.4]), (4, 1)), np.array([0, 0, 1, 1]), ("a", "b"), 0.5)
    assert never_read.classes[1].precision is None
    assert never_read.classes[1].recall == 0
    assert never_read.classes[1].taken_for == "a"
    json.dumps([never_read.classes[1].__dict__], allow_nan=False)
