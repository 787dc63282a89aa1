"""Stratified samples: counts, shares, seeds and errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_exp.data import Dataset, Source, split
from mnist_exp.data.checking import from_source
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
@given(limit=st.none() | st.integers(20, 4000), held=st.integers(1, 10), seed=seeds)
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


@pytest.mark.parametrize("limit", [None, 4000, 100, 2])
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
        (
            None,
            5000,
            [
                "data.validation=5000",
                "5,000 of 4,000",
                "one left: use a smaller number or a share, data.validation=0.1",
            ],
        ),
        (100, 100, ["data.validation=100", "100 of 100", "one left"]),
        (4, 0.1, ["data.validation=0.1", "0 of 4", "at least one must be held out"]),
        (1, 0.9, ["data.validation=0.9", "1 of 1", "one left"]),
    ],
)
def test_more_images_than_available_is_an_error(data, limit, validation, words):
    with pytest.raises(DataError) as error:
        split(data, limit=limit, validation=validation, seed=7)
    assert all(word in str(error.value) for word in words), error.value


@given(labels_and_count(), seeds)
def test_a_hold_out_leaves_one_image_of_each_class(case, seed):
    labels, count = case
    sizes = np.bincount(labels)
    chosen = stratified(labels, count, np.random.default_rng(seed), leave_one=True)
    assert len(chosen) == len(set(chosen.tolist())) == count
    left = np.bincount(np.delete(labels, chosen), minlength=len(sizes))
    if count <= len(labels) - np.count_nonzero(sizes):
        assert (left[sizes > 0] >= 1).all()
    usual = stratified(labels, count, np.random.default_rng(seed))
    if (np.bincount(np.delete(labels, usual), minlength=len(sizes))[sizes > 0] >= 1).all():
        np.testing.assert_array_equal(chosen, usual)  # Recorded runs go on with the images that they held out.


def small(y, **more):
    y = np.asarray(y)
    x = np.arange(len(y), dtype=np.uint8).reshape(-1, 1) * 3
    return from_source("own", Source((x, y), (x, y), "here", **more), Classification())


@pytest.mark.parametrize(
    ("y", "how", "words"),
    [
        ([0, 0, 0, 1], {"limit": 1, "validation": "test"}, ["data.limit=1", "one training image", "of the class"]),
        (
            [0, 1],
            {"limit": None, "validation": 1},
            ["data.validation=1", "one training image", "nothing can be learnt"],
        ),
    ],
)
def test_of_one_class_alone_nothing_can_be_learnt(y, how, words):
    with pytest.raises(DataError) as error:
        split(small(y), seed=3, **how)
    assert all(word in str(error.value) for word in words), error.value


def test_the_validation_set_that_data_bring_is_used():
    y = np.array([0, 1] * 5)
    x_val = np.full((4, 1), 77, np.uint8)
    data = small(y, validation=(x_val, y[:4]))
    for validation in ("test", "own"):
        found = split(data, limit=None, validation=validation, seed=1)
        assert (found.validated_on, found.validated_on_test, found.told) == ("own", False, ())
        assert len(found.x_train) == 10
        np.testing.assert_array_equal(found.x_val, x_val)
    found = split(data, limit=None, validation=0.2, seed=1)
    assert found.validated_on == "held out"
    assert "data=own brings are not used (data.validation=own does)" in found.told[0]
    # It is a part of what identifies the data.
    assert data.sha256 != small(y).sha256 != small(y, validation=(x_val + 1, y[:4])).sha256


def test_own_without_a_validation_set_is_refused():
    with pytest.raises(DataError, match=r"data.validation=own: data=own brings no validation set.*data.validation=0.1"):
        split(small([0, 1, 0, 1]), limit=None, validation="own", seed=1)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 12), st.integers(20, 120), st.floats(0.05, 0.5), seeds)
def test_groups_are_never_torn_apart(groups, images, share, seed):
    rng = np.random.default_rng(seed)
    of_whom = np.array([f"writer {number}" for number in rng.integers(groups, size=images)])
    of_whom[:2] = "writer 0", "writer 1"
    y = np.tile([0, 1], images)[:images]
    data = small(y, groups=of_whom)
    try:
        found = split(data, limit=None, validation=share, seed=seed)
    except DataError as error:
        assert "nothing can be learnt" in str(error)  # A few images of a single writer may be of one class.
        return
    assert set(of_whom[found.held_out]).isdisjoint(of_whom[found.trained])
    assert sorted([*found.held_out, *found.trained]) == list(range(images))
    assert len(found.held_out) >= 1
    again = split(data, limit=None, validation=share, seed=seed)
    np.testing.assert_array_equal(found.held_out, again.held_out)
    if len(found.held_out) != round(share * images):
        assert "whole groups stay together" in found.told[0]


@pytest.mark.parametrize(("limit", "reporting", "count"), [(None, 0.1, 400), (1000, 0.2, 200), (None, 300, 300)])
def test_images_to_report_on_are_the_same_for_every_seed_and_in_no_other_part(data, limit, reporting, count):
    first, second = (split(data, limit=limit, validation=0.1, seed=s, reporting=reporting) for s in (1, 2))
    np.testing.assert_array_equal(first.reported, second.reported)
    assert not np.array_equal(first.held_out, second.held_out)
    for each in (first, second):
        assert len(each.reported) == count
        assert len(each.held_out) == (limit or 4000) / 10, "a share of all that are used"
        parts = np.concatenate([each.trained, each.held_out, each.reported])
        assert len(np.unique(parts)) == len(parts) == (limit or 4000)
        np.testing.assert_array_equal(positions(each.x_train), each.trained)
    shares = np.bincount(data.y_train[first.reported]) / np.bincount(data.y_train)
    assert np.ptp(shares) < 0.03, "each class by its share"


@pytest.mark.parametrize("validation", ["own", 0.1])
def test_without_images_to_report_on_a_split_is_as_it_was(data, validation):
    given = Source((data.x_train, data.y_train), (data.x_test, data.y_test), place="a test",
                   validation=(data.x_test, data.y_test))  # fmt: skip
    brings = from_source("digits", given, Classification())
    now = split(brings, limit=2000, validation=validation, seed=3, reporting=500)
    assert len(now.reported) == 500
    assert now.validated_on == ("own" if validation == "own" else "held out")
    assert len(split(brings, limit=2000, validation=validation, seed=3).reported) == 0


@pytest.mark.parametrize(
    ("validation", "reporting", "words"),
    [
        ("test", 0.1, "data.reporting=0.1 is for the honest value .* data.validation=test may choose nothing"),
        (0.1, 4000, "data.reporting=4000 would set aside 4,000 of 4,000 training images"),
        (2000, 2000, "data.validation=2000 would hold out 2,000 of 2,000 training images"),
    ],
)
def test_images_to_report_on_need_others_to_select_on(data, validation, reporting, words):
    with pytest.raises(DataError, match=words):
        split(data, limit=None, validation=validation, seed=1, reporting=reporting)


def test_groups_of_the_images_to_report_on_are_whole():
    groups = np.arange(600) // 6
    train, test = ((np.zeros((n, 4, 4), np.uint8), np.arange(n) % 3) for n in (600, 3))
    source = Source(train, test, place="a test", groups=groups)
    found = split(from_source("g", source, Classification()), limit=None, validation=0.1, seed=1, reporting=0.2)
    parts = [set(groups[part]) for part in (found.trained, found.held_out, found.reported)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 100


def test_groups_that_cannot_be_are_told():
    with pytest.raises(DataError, match="all training images are of one group, '5'"):
        small([0, 1], groups=np.array([5, 5]))
    with pytest.raises(DataError, match=r"the groups are float64 values of shape \(2,\)"):
        small([0, 1], groups=np.array([5.5, 5]))


def test_a_hold_out_of_groups_is_never_empty():
    """scikit-learn 1.9.1's StratifiedGroupKFold gives folds of 6, 5, 0 and 4 of these, without a word (issue 34828)."""
    groups = np.repeat([0, 1, 2, 3], [3, 5, 6, 1])
    y = np.array([0, 0, 0, 1, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0, 1])
    for seed in range(20):
        found = split(small(y, groups=groups), limit=None, validation=4, seed=seed)
        assert len(found.held_out) > 0
        assert set(groups[found.held_out]).isdisjoint(groups[found.trained])
