"""Two examples made one, in numbers alone: what is seen and what the labels say agree."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp.mixing import Cutmix, Mixup

KINDS = [Mixup, Cutmix]


def numbered(count, shape):
    """Return examples all of whose values are their number, and one-hot labels."""
    x = np.broadcast_to(np.arange(count, dtype=np.uint8).reshape(-1, *(1,) * len(shape)), (count, *shape))
    return x.copy(), np.eye(count, dtype=np.float32)


def parts(labels, number):
    """Return the share that an example has of itself, and the number of the other one."""
    other = [i for i in np.flatnonzero(labels[number]) if i != number]
    return labels[number, number], other[0] if other else number


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 9), st.floats(0.05, 8), st.integers(0, 2**32 - 1))
def test_labels_of_cutmix_are_the_shares_of_the_pixels(count, height, width, alpha, seed):
    x, labels = numbered(count, (height, width, 2))
    mixed, shares = Cutmix(alpha).mix(np.random.default_rng(seed), x, labels)
    assert mixed.dtype == np.uint8
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    for number in range(count):
        own, other = parts(shares, number)
        np.testing.assert_allclose((mixed[number] == number).mean(), own, atol=1e-6)
        inside = (mixed[number] == other)[..., 0]
        if 0 < own < 1:  # A rectangle: the rows in which it is are those of each of its columns.
            rows, columns = inside.any(axis=1), inside.any(axis=0)
            np.testing.assert_array_equal(inside, rows[:, np.newaxis] & columns)
            for line in (rows, columns):
                assert np.ptp(np.flatnonzero(line)) + 1 == line.sum()


@pytest.mark.parametrize("shape", [(5, 4, 3), (7,), (6, 2), (2, 3, 4, 1)])
@given(alpha=st.floats(0.05, 8), seed=st.integers(0, 2**32 - 1))
def test_mixup_is_the_mean_of_examples_of_any_shape(shape, alpha, seed):
    x, labels = numbered(12, shape)
    mixed, shares = Mixup(alpha).mix(np.random.default_rng(seed), x, labels)
    assert mixed.dtype == shares.dtype == np.float32
    for number in range(12):
        own, other = parts(shares, number)
        np.testing.assert_allclose(mixed[number], own * number + (1 - own) * other, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_shares_are_drawn_from_the_beta_distribution(kind):
    """Of CutMix's rectangles a part lies outside the image; what is left of them is never more."""
    x, labels = numbered(200, (32, 32, 1))
    for alpha in (0.2, 1.0, 5.0):
        found = np.concatenate(
            [np.diag(kind(alpha).mix(np.random.default_rng(seed), x, labels)[1]) for seed in range(20)]
        )
        expected = np.random.default_rng(0).beta(alpha, alpha, 100_000)
        if kind is Mixup:
            assert found.mean() == pytest.approx(0.5, abs=0.03)
            assert found.std() == pytest.approx(expected.std(), abs=0.02)
        else:
            assert found.mean() > 0.55


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32 - 1), zeros=st.integers(0, 8))
def test_each_of_two_counts_by_its_own_weight(kind, seed, zeros):
    """The cross-entropy of a mixed label is what both would add: share × weight × loss, for the one and the other."""
    rng = np.random.default_rng(seed)
    x, labels = numbered(8, (4, 4, 1))
    weights = rng.random(8).astype(np.float32) * (np.arange(8) >= zeros)
    log_p = np.log(rng.dirichlet(np.ones(8), 8))
    _, mixed, mixed_weights = kind(1.0).mix(np.random.default_rng(seed), x, labels, weights)
    _, plain = kind(1.0).mix(np.random.default_rng(seed), x, labels)
    assert mixed.dtype == mixed_weights.dtype == np.float32
    expected = -(plain * weights * log_p).sum(axis=1)  # Label i is that of example i.
    np.testing.assert_allclose(-mixed_weights * (mixed * log_p).sum(axis=1), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-5)


def test_numbers_are_mixed_as_the_examples_are_whatever_they_weigh():
    rng = np.random.default_rng(0)
    x = rng.random((20, 3)).astype(np.float32)
    weights = rng.random(20).astype(np.float32) * 10
    mixed, numbers, mixed_weights = Mixup(1.0).mix(np.random.default_rng(1), x, x[:, :2], weights, are_numbers=True)
    np.testing.assert_allclose(numbers, mixed[:, :2], rtol=1e-5)
    _, both, _ = Mixup(1.0).mix(np.random.default_rng(1), x, weights[:, np.newaxis], weights, are_numbers=True)
    np.testing.assert_allclose(mixed_weights, both[:, 0], rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_one_example_alone_stays_as_it_is(kind):
    x, labels = numbered(1, (3, 3, 1))
    mixed, shares = kind(1.0).mix(np.random.default_rng(0), x + 9, labels)
    np.testing.assert_allclose(mixed, x + 9, rtol=1e-6)
    assert shares == [[1]]
