"""Images that are moved by whole pixels."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mnist_exp.data.lazy import LazyArray
from mnist_exp.errors import SettingsError
from mnist_exp.inference import shifted

SIDES = st.integers(1, 6)


class Kept:
    """Rows in memory."""

    def __init__(self, x):
        self.x, self.shape, self.dtype = x, x.shape, x.dtype

    def read(self, positions):
        return self.x[positions]

    def identity(self, positions):
        return str(positions)


@given(st.data(), st.integers(-2, 2), st.integers(-2, 2))
def test_each_pixel_goes_to_its_place_and_black_comes_in(data, down, right):
    n, height, width, channels = data.draw(st.tuples(st.integers(0, 3), SIDES, SIDES, st.integers(1, 2)))
    x = data.draw(hnp.arrays(np.uint8, (n, height, width, channels)))
    found = shifted.moved(x, down, right, 7)
    padded = np.pad(x, [(0, 0), (2, 2), (2, 2), (0, 0)], constant_values=7)
    np.testing.assert_array_equal(found, padded[:, 2 - down : 2 - down + height, 2 - right : 2 - right + width])
    lazily = shifted.moved(LazyArray(Kept(x)), down, right, 7)
    np.testing.assert_array_equal(lazily[: len(x)], found)
    assert (lazily.shape, lazily.dtype) == (found.shape, found.dtype)


def test_identity_of_moved_rows_tells_the_move():
    whole = LazyArray(Kept(np.zeros((3, 4, 4, 1), np.uint8)))
    told = {shifted.moved(whole, *move, 0).identity() for move in shifted.moves(1)}
    assert len(told) == len(shifted.moves(1)) == 9


@pytest.mark.parametrize(
    ("shifts", "shape", "message"),
    [
        (1, (4,), "--shifts=1 moves images: data=mine has rows of 4 features"),
        (8, (8, 9, 3), "--shifts=8 moves images out of sight: data=mine has .*, so it must be less than 8"),
    ],
)
def test_what_cannot_be_moved_is_refused(shifts, shape, message):
    with pytest.raises(SettingsError, match=message):
        shifted.check_fits(shifts, SimpleNamespace(shape=shape, name="mine"))
    shifted.check_fits(0, SimpleNamespace(shape=shape, name="mine"))
