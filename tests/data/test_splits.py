"""Stratified samples: counts, shares, seeds and errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_exp.data import Dataset, Source, split
from mnist_exp.data.dataset import from_source
from mnist_exp.data.splits import stratified
from mnist_exp.errors import DataError
from mnist_exp.tasks.classification import Classification

seeds = st.integers(0, 2**32 - 1)


@st.composite
def labels_and_count(draw):
    """Labels of up to 8 classes, also very uneven ones, in any order, and a number of them to choose."""
    sizes = draw(st.lists(st.integers(0, 300), min_size=1, max_size=8).filter(any))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    draw(st.randoms(use_true_random=False)).shuffle(labels)
    return labels, draw(st.integers(0, len(labels)))


@pytest.fixture(scope="module")
def data(digits) -> Dataset:
    """The 4,000 training digits, each marked by its position in the first pixels, so that it can be recognised."""
    (x_train, y_train), test = digits
    x_train = x_train.copy()
    x_train[:, 0, 0], x_train[:, 0, 1] = np.divmod(np.arange(len(x_train)), 256)
    return from_source("digits", Source((x_train, y_train), test, place="a test"), Classification())


def positions(x):
    return x[:, 0, 0, 0].astype(int) * 256 + x[:, 0, 1, 0]


@given(labels_and_count(), seeds)
def test_stratified_takes_exactly_the_count_and_each_class_by_its_share(case, seed):
    labels, count = case
    chosen = stratified(labels, count, np.random.default_rng(seed))
    assert len(chosen) == count
    assert np.all(np.diff(chosen) > 0), "sorted, none twice"
    taken = np.bincount(labels[chosen], minlength=labels.max() + 1)
    exact = np.bincount(labels) * count / len(labels)
    assert np.all(np.abs(taken - exact) < 1)


@given(labels_and_count(), seeds)
def test_stratified_sample_depends_on_its_seed(case, seed):
    labels, count = case
    first, second = (stratified(labels, count, np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_the_class_that_gets_the_odd_image_is_random():
    labels = np.repeat(np.arange(10), 7)
    winners = {int(labels[stratified(labels, 1, np.random.default_rng(seed))[0]]) for seed in range(200)}
    assert winners == set(range(10))


@settings(max_examples=40)
@given(limit=st.none() | st.integers(20, 4000), held=st.integers(1, 19), seed=seeds)
def test_hold_out_and_training_images_share_none(data, limit, held, seed):
    result = split(data, limit=limit, validation=held, seed=seed)
    train, val = positions(result.x_train), positions(result.x_val)
    assert (len(train), len(val)) == ((limit or 4000) - held, held)
    assert len({*train, *val}) == len(train) + len(val)


@pytest.mark.parametrize("limit", [None, 1000])
@pytest.mark.parametrize("validation", [200, 0.05, 0.2])
def test_split_keeps_images_with_their_labels_and_every_class_in_its_share(data, limit, validation):
    result = split(data, limit=limit, validation=validation, seed=3)
    used = limit or 4000
    held = round(validation * used) if validation < 1 else validation
    np.testing.assert_array_equal(result.y_train, data.y_train[positions(result.x_train)])
    np.testing.assert_array_equal(result.y_val, data.y_train[positions(result.x_val)])
    assert np.bincount(result.y_val).tolist() == [held // 10] * 10
    assert np.bincount(result.y_train).tolist() == [(used - held) // 10] * 10
    assert not result.validated_on_test


@pytest.mark.parametrize(("limit", "validation"), [(1000, "test"), (None, 400), (1000, 0.1)])
def test_the_same_seed_gives_the_same_split_and_another_seed_another(data, limit, validation):
    first, again, other = (split(data, limit=limit, validation=validation, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(positions(first.x_train), positions(again.x_train))
    np.testing.assert_array_equal(first.x_val, again.x_val)
    assert set(positions(first.x_train)) != set(positions(other.x_train))
    assert validation == "test" or set(positions(first.x_val)) != set(positions(other.x_val))


def test_another_hold_out_leaves_the_images_chosen_by_the_limit(data):
    small, large = (split(data, limit=500, validation=held, seed=1) for held in (10, 400))
    assert {*positions(small.x_train), *positions(small.x_val)} == {*positions(large.x_train), *positions(large.x_val)}


@pytest.mark.parametrize("limit", [None, 4000, 100, 1])
def test_validation_on_the_test_set_leaves_the_limit_to_the_training_set(data, limit):
    result = split(data, limit=limit, validation="test", seed=7)
    assert result.validated_on_test
    assert result.x_train.shape == (limit or 4000, 28, 28, 1)
    np.testing.assert_array_equal(result.x_val, data.x_test)
    np.testing.assert_array_equal(result.y_val, data.y_test)


@pytest.mark.parametrize(
    ("limit", "validation", "words"),
    [
        (4001, "test", ["data.limit=4001", "4,000 training images", "data=digits"]),
        (None, 4000, ["data.validation=4000", "4,000 of 4,000", "one left"]),
        (None, 5000, ["data.validation=5000", "5,000 of 4,000", "one left"]),
        (100, 100, ["data.validation=100", "100 of 100", "one left"]),
        (4, 0.1, ["data.validation=0.1", "0 of 4", "at least one must be held out"]),
        (1, 0.9, ["data.validation=0.9", "1 of 1", "one left"]),
    ],
)
def test_more_images_than_available_is_an_error(data, limit, validation, words):
    with pytest.raises(DataError) as error:
        split(data, limit=limit, validation=validation, seed=7)
    assert all(word in str(error.value) for word in words), error.value
