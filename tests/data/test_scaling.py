"""Standardizing against scikit-learn's, in parts as in one go, constants included."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.preprocessing import StandardScaler

from mnist_exp.data.lazy import chunks
from mnist_exp.data.scaling import standardized

SHAPES = arrays.array_shapes(min_dims=2, max_dims=4, max_side=6)
VALUES = st.floats(-1e4, 1e4, width=32)


@given(SHAPES.flatmap(lambda shape: arrays.arrays(np.float32, shape, elements=VALUES)))
def test_each_feature_along_the_last_axis_is_standardized_as_scikit_learn_does(x):
    scaling = standardized(x, None)
    expected = StandardScaler().fit(x.reshape(-1, x.shape[-1]).astype(np.float64))
    np.testing.assert_allclose(scaling.mean, expected.mean_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(np.sqrt(scaling.variance), expected.scale_, rtol=1e-6, atol=1e-9)


@given(st.floats(-(2.0**100), 2.0**100, width=32), st.integers(1, 200))
def test_a_constant_feature_becomes_0_and_never_a_rounding_error(constant, count):
    x = np.full((count, 1), constant, np.float32)
    scaling = standardized(x, None)
    assert scaling.variance == [1.0]
    assert scaling.mean.astype(np.float32) == x[0]


def test_parts_give_what_the_whole_gives():
    rng = np.random.default_rng(0)
    x = rng.normal(1000, 3, (1_700_000, 3)).astype(np.float32)
    x[:900_000] += 50  # So that the parts have other means.
    assert len(list(chunks(x))) > 1
    scaling = standardized(x, None)
    assert scaling.mean == pytest.approx(x.mean(axis=0, dtype=np.float64), rel=1e-12)
    assert scaling.variance == pytest.approx(x.astype(np.float64).var(axis=0), rel=1e-9)
