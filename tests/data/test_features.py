"""What the examples of a data set are taken for: any shape, any dtype, any range."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mnist_exp.data.checking import from_source
from mnist_exp.data.dataset import Source
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
def test_floats_stay_what_they_are(x):
    data = load(x)
    assert data.x_train.dtype == np.float32
    assert data.shape == ((*x.shape[1:], 1) if data.pixels and x.ndim == 3 else x.shape[1:])
    np.testing.assert_array_equal(data.x_train.reshape(x.shape), x.astype(np.float32))


# By the values and the shape alone: which are black and white, or None for what is no image.
RANGES = {
    "bytes": (np.uint8, 0, 200, (0, 255)),
    "dark bytes": (np.uint8, 0, 17, (0, 255)),
    "black and white": (np.uint8, 0, 1, (0, 1)),
    "4 bits": (np.uint8, 0, 15, (0, 15)),
    "scikit-learn's digits": (np.float64, 0, 16, (0, 16)),
    "12 in 16 bits": (np.uint16, 0, 4095, (0, 4095)),
    "10 bits": (np.uint16, 3, 900, (0, 1023)),
    "16 bits": (np.uint16, 0, 60_000, (0, 65535)),
    "whole numbers of a double": (np.float64, 0, 255, (0, 255)),
    "12 bits in a double": (np.float64, 0, 4000, (0, 4095)),
    "signed bytes": (np.int8, -128, 127, (-128, 127)),
    "Hounsfield units": (np.int16, -1024, 3071, (-1024, 3071)),
    "all black": (np.uint8, 0, 0, (0, 255)),
}


@pytest.mark.parametrize("name", RANGES)
def test_the_range_of_whole_numbers_is_measured(name):
    dtype, low, high, wanted = RANGES[name]
    x = np.linspace(low, high, 4 * 8 * 8).reshape(4, 8, 8).astype(dtype)
    if np.issubdtype(dtype, np.floating):
        x = np.rint(x)
    data = load(x)
    assert data.pixel_range == wanted
    np.testing.assert_array_equal(data.x_train[..., 0], x)
    assert data.x_train.dtype == (np.uint8 if dtype == np.uint8 else np.float32)
    # What is unusual is told, with how to say it better.
    told = any("data.pixels" in each for each in data.warnings)
    assert told == (wanted not in ((0, 255), (0, 1)) or np.issubdtype(dtype, np.floating))


@pytest.mark.parametrize(
    ("low", "high", "shape", "wanted"),
    [
        (0, 1, (8, 8, 3), (0, 1)),
        (-0.03, 1.02, (8, 8, 1), (0, 1)),  # As resizing leaves them.
        (-1, 1, (8, 8, 3), (-1, 1)),
        (0.4, 203.7, (8, 8, 3), (0, 255)),
        (0, 7.5, (8, 8, 3), (0, 7.5)),
        (-2.1, 2.6, (8, 8, 3), None),  # Standardized: nobody knows which were black and white.
        (0, 4095.5, (8, 8, 3), None),
        (0, 1, (8, 8, 5), None),
        (0, 1, (28, 28), (0, 1)),
        (0, 1, (28, 27), None),  # A series.
        (0, 1, (64,), None),
    ],
)
def test_the_range_of_fractions_is_measured(low, high, shape, wanted):
    x = np.linspace(low, high, 4 * int(np.prod(shape))).reshape(4, *shape)
    assert load(x).pixel_range == wanted


def test_a_table_of_whole_numbers_is_no_image_unless_of_bytes():
    table = np.arange(32).reshape(4, 8)
    assert load(table).pixel_range is None
    assert load(table.astype(np.uint8)).pixel_range == (0, 255)


@given(SHAPES.flatmap(lambda shape: arrays.arrays(np.float32, shape, elements=PIXELS)), st.booleans())
def test_a_loader_may_say_what_they_are(x, pixels):
    assume(x.size)
    data = load(x, pixels=pixels)
    assert data.pixels == pixels
    assert data.shape == ((*x.shape[1:], 1) if pixels and x.ndim == 3 else x.shape[1:])


def test_the_same_bytes_read_as_something_else_are_other_data():
    x = np.linspace(0, 255, 4 * 64).reshape(4, 8, 8)
    known = [load(x, pixels=stated).sha256 for stated in (None, False, (0, 300), (0, 200))]
    assert len(set(known)) == 4
    assert load(x, pixels=True).sha256 == load(x, pixels=(0, 255)).sha256 == known[0]


def test_a_loader_may_say_which_values_are_black_and_white():
    data = load(np.full((4, 2, 2), 300.0), pixels=(-100, 400))
    assert data.pixel_range == (-100, 400)
    assert data.warnings == ()


def test_the_test_set_counts_too():
    """The same numbers must not be pixels in one of the two and features in the other."""
    dark, light = np.full((4, 3, 3), 0.5), np.full((4, 3, 3), 200.0)
    assert load(dark, x_test=light).pixel_range == (0, 255)


def test_images_of_black_and_white_may_be_truth_values():
    x = np.arange(4 * 9).reshape(4, 3, 3) % 2 == 0
    data = load(x)
    assert data.pixel_range == (0, 1)
    np.testing.assert_array_equal(data.x_train[..., 0], x.astype(np.uint8))


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
    assert not load(np.full((4, *shape), -9.0)).are_pictures


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (np.full((4, 8, 8), 200.0), np.full((4, 8, 8), 0.8)),  # Divided by 255, or forgotten: the classic.
        (np.full((4, 8, 8), 0.8), np.full((4, 8, 8), 200.0)),
        (np.full((4, 8, 8), 200), np.full((4, 8, 8), -200)),
        (np.full((4, 8, 8), 4000), np.full((4, 8, 8), 60_000)),
    ],
)
def test_sets_of_different_ranges_are_refused(train, test):
    with pytest.raises(DataError, match=r"they must be alike.*data.pixels=\[0,255\]"):
        load(train, x_test=test)
    assert load(train, x_test=test, pixels=(-200, 60_000)).pixel_range == (-200, 60_000)
