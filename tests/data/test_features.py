"""What the examples of a data set are taken for: any shape, any dtype, any range."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mnist_exp.data.dataset import Source, from_source
from mnist_exp.errors import DataError
from mnist_exp.tasks.builders import classification

Y = np.array([0, 1, 0, 1])
SHAPES = arrays.array_shapes(min_dims=1, max_dims=4, max_side=5).map(lambda rest: (4, *rest))
FLOATS = st.floats(-1e6, 1e6, width=32)
PIXELS = st.floats(0, 255, width=32)


def load(x, pixels=None, x_test=None):
    return from_source(
        "own", Source((x, Y), (x if x_test is None else x_test, Y), "here", pixels=pixels), classification()
    )


def refused(x, **stated):
    with pytest.raises(DataError) as error:
        load(x, **stated)
    return str(error.value)


@given(SHAPES.flatmap(lambda shape: arrays.arrays(np.uint8, shape)))
def test_bytes_are_pixels_whatever_their_shape(x):
    data = load(x)
    assert (data.pixels, data.x_train.dtype) == (True, np.uint8)
    assert data.shape == (*x.shape[1:], 1) if x.ndim == 3 else x.shape[1:]
    np.testing.assert_array_equal(data.x_train.reshape(x.shape), x)


@given(SHAPES.flatmap(lambda shape: arrays.arrays(st.sampled_from([np.float32, np.float64]), shape, elements=FLOATS)))
def test_floats_are_pixels_only_if_they_look_like_those_of_images(x):
    data = load(x)
    looks_like_images = x.ndim in (3, 4) and x.min() >= 0 and 1 < x.max() <= 255
    assert data.pixels == looks_like_images
    assert data.x_train.dtype == np.float32
    assert data.shape == ((*x.shape[1:], 1) if looks_like_images and x.ndim == 3 else x.shape[1:])
    np.testing.assert_array_equal(data.x_train.reshape(x.shape), x.astype(np.float32))


@given(SHAPES.flatmap(lambda shape: arrays.arrays(np.int64, shape, elements=st.integers(-300, 300))))
def test_whole_numbers_are_pixels_if_they_have_the_dimensions_of_images(x):
    if x.ndim not in (3, 4):
        data = load(x)
        assert (data.pixels, data.x_train.dtype, data.shape) == (False, np.float32, x.shape[1:])
    elif x.min() < 0 or x.max() > 255:
        assert "they must be 0 to 255; if they are other features, give them as floats" in refused(x)
    else:
        assert (load(x).pixels, load(x).x_train.dtype) == (True, np.uint8)


@given(SHAPES.flatmap(lambda shape: arrays.arrays(np.float32, shape, elements=PIXELS)), st.booleans())
def test_a_loader_may_say_what_they_are(x, pixels):
    assume(x.size)
    data = load(x, pixels=pixels)
    assert data.pixels == pixels
    assert data.shape == ((*x.shape[1:], 1) if pixels and x.ndim == 3 else x.shape[1:])
    # The same bytes, taken for something else, are other data; for the same, the same.
    usual = load(x)
    assert (data.sha256 == usual.sha256) == (usual.pixels == pixels)


def test_pixels_beyond_255_are_refused_where_the_loader_says_that_they_are_pixels():
    error = refused(np.array([[-1.0, 300]] * 4), pixels=True)
    assert "x_train has pixels from -1 to 300; they must be 0 to 255" in error


def test_the_test_set_counts_too():
    """The same numbers must not be pixels in one of the two and features in the other."""
    dark, light = np.full((4, 3, 3), 0.5), np.full((4, 3, 3), 200.0)
    assert load(dark, x_test=light).pixels
    assert not load(light, x_test=-light).pixels


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@settings(max_examples=20)
@given(shape=SHAPES, chosen=st.randoms(use_true_random=False))
def test_a_value_that_is_not_finite_is_named_with_its_place(bad, shape, chosen):
    x = np.zeros(shape, np.float32)
    place = tuple(chosen.randrange(size) for size in shape)
    x[place] = bad
    what = "NaN" if np.isnan(bad) else "an infinite value"
    words = f"has {what} in example {place[0]}, the first at [{', '.join(map(str, place))}]"
    assert f"x_train {words}" in refused(x)


def test_the_place_is_that_in_the_whole_array_not_in_the_part_that_is_looked_at():
    x = np.zeros((300, 20_000), np.float32)  # 24 MB, more than one part
    x[[257, 299], 1234] = np.nan
    y = np.arange(300) % 2
    with pytest.raises(DataError, match=r"in example 257, the first at \[257, 1234\]"):
        from_source("own", Source((x, y), (x, y), "here"), classification())


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros(4), "has the shape (4,); it must be (n, features)"),
        (np.zeros((4, 0)), "is empty, shape (4, 0)"),
        (np.zeros((4, 2), "U1"), "holds <U1 values; they must be numbers"),
        (np.zeros((4, 2), bool), "holds bool values; they must be numbers"),
        (np.full((4, 2), 1e300), "has values from 1e+300 to 1e+300; float32 holds at most 3.4e+38"),
    ],
)
def test_what_no_model_can_take_is_refused(x, words):
    assert f"x_train {words}" in refused(x)


def test_a_float_series_that_looks_like_grey_images_is_told():
    series = np.full((4, 9, 3), 20.0)
    (warning,) = load(series).warnings
    assert "taken for grey images" in warning
    assert "data.pixels=false" in warning
    assert load(series, pixels=False).warnings == load(series, pixels=True).warnings == load(-series).warnings == ()


@pytest.mark.parametrize(
    ("shape", "are"), [((28, 28, 1), 1), ((8, 8, 3), 1), ((8, 8, 4), 1), ((8, 8, 2), 0), ((784,), 0), ((4, 4, 4, 1), 0)]
)
def test_only_images_of_one_three_or_four_channels_can_be_shown(shape, are):
    assert load(np.zeros((4, *shape), np.uint8)).are_pictures == bool(are)
    assert not load(np.full((4, *shape), -1.0)).are_pictures
