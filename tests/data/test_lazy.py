"""A lazy array against the array that it stands for, and the identity of what is read from files."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mnist_exp.composition.compose import compose
from mnist_exp.data import Dataset, identity, lazy
from mnist_exp.data.lazy import LazyArray

SHAPES = arrays.array_shapes(min_dims=2, max_dims=4, max_side=5)


class Kept:
    """Rows of an array in memory, which says how often it was read."""

    def __init__(self, array, name=None):
        self._array, self._name = array, name
        self.shape, self.dtype, self.reads = array.shape, array.dtype, 0

    def read(self, positions):
        self.reads += len(positions)
        return self._array[positions]

    def identity(self, positions):
        return None if self._name is None else f"{self._name} {positions.tolist()}"


def indices(length):
    """Ways to name some of so many rows."""
    bounds = st.none() | st.integers(-length, length)
    slices = st.builds(slice, bounds, bounds, st.none() | st.integers(1, 3))
    positions = st.lists(st.integers(-length, length - 1), max_size=6).map(lambda some: np.array(some, np.int64))
    masks = arrays.arrays(bool, length)
    return slices | positions | masks | st.integers(-length, length - 1)


@given(SHAPES.flatmap(lambda shape: arrays.arrays(np.int16, shape)), st.data())
def test_rows_are_those_of_the_array_however_they_are_named(x, data):
    source = Kept(x)
    stood_for, array = LazyArray(source), x
    for _ in range(2):
        assert (stood_for.shape, stood_for.dtype, len(stood_for)) == (array.shape, array.dtype, len(array))
        assert (stood_for.ndim, stood_for.size, stood_for.nbytes) == (array.ndim, array.size, array.nbytes)
        key = data.draw(indices(len(array)), "key") if len(array) else slice(None)
        np.testing.assert_array_equal(stood_for[key], array[key])
        if isinstance(key, int):
            break
        before = source.reads
        stood_for, array = lazy.rows(stood_for, key), lazy.rows(array, key)
        assert source.reads == before
    np.testing.assert_array_equal(list(stood_for) or array[:0], array)


def test_nothing_makes_it_one_array():
    whole = LazyArray(Kept(np.zeros((5, 2))))
    for make in (np.asarray, np.array, np.sum, lambda x: np.concatenate([x, x]), lambda x: x[0:2] + x):
        with pytest.raises(TypeError, match="are not made one array"):
            make(whole)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.data())
def test_joined_arrays_are_one_after_the_other(lengths, data):
    parts = [np.arange(i * 100, i * 100 + n).reshape(n, 1) for i, n in enumerate(lengths)]
    joined = lazy.joined([LazyArray(Kept(part)) if i % 2 == 0 else part for i, part in enumerate(parts)])
    whole = np.concatenate(parts)
    order = data.draw(st.permutations(range(len(whole))))
    np.testing.assert_array_equal(joined[np.array(order, np.int64)], whole[np.array(order, np.int64)])


def test_a_stand_in_has_the_shape_and_no_memory():
    stand_in = LazyArray(Kept(np.ones((7, 3), np.float32))).stand_in()
    assert (stand_in.shape, stand_in.dtype, stand_in.strides) == ((7, 3), np.float32, (0, 0))


@given(SHAPES.flatmap(lambda shape: arrays.arrays(np.uint8, shape)))
def test_the_digest_is_that_of_the_array_in_memory(x):
    y = np.arange(len(x))
    assert identity.digest({"x": LazyArray(Kept(x)), "y": y}) == identity.digest({"x": x, "y": y})


def test_rows_of_a_known_identity_are_read_once_and_again_once_it_changes():
    x = np.arange(12, dtype=np.uint8).reshape(6, 2)
    first = identity.digest({"x": LazyArray(Kept(x, "a"))})
    again, other = Kept(x, "a"), Kept(x, "b")
    assert identity.digest({"x": LazyArray(again)}) == first
    assert again.reads == 0
    assert identity.digest({"x": LazyArray(other)}) == first
    assert other.reads == 6
    # Another name, note, order or array beside it is another data set.
    for changed in ({"z": LazyArray(again)}, {"x": LazyArray(again, np.arange(5))}, {"x": LazyArray(again), "y": x}):
        assert identity.digest(changed) != first
    assert identity.digest({"x": LazyArray(again)}, note="n") != first


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-10]),
        lambda file: file.write_text("[]"),
        lambda file: file.write_text('{"sha256": 3, "check": 4}'),
        lambda file: file.write_text(file.read_text().replace('"sha256": "', '"sha256": "0')),
        lambda file: file.write_text(file.read_text().translate(str.maketrans("0123456789", "1234567890"))),
        lambda file: (file.unlink(), file.mkdir()),
    ],
)
def test_what_is_remembered_and_damaged_is_not_believed(damage, tmp_path):
    x = np.arange(12, dtype=np.uint8).reshape(6, 2)
    expected = identity.digest({"x": LazyArray(Kept(x, "a"))})
    (file,) = (tmp_path / "keras" / "datasets" / "mnist_exp-identities").iterdir()
    damage(file)
    for _ in range(2):
        assert identity.digest({"x": LazyArray(Kept(x, "a"))}) == expected


def test_a_cache_that_cannot_be_written_costs_a_reading_and_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    x = np.arange(12, dtype=np.uint8).reshape(6, 2)
    source = Kept(x, "a")
    assert identity.digest({"x": LazyArray(source)}) == identity.digest({"x": x})
    assert source.reads == 6


def test_what_is_read_as_needed_takes_no_memory_of_a_data_set(digits):
    (x, y), (x_test, y_test) = digits
    task = compose(["data=mnist_5k"]).task
    dataset = Dataset("digits", task, x, y, x_test, y_test, tuple("0123456789"), "here", "0")
    assert dataset.bytes_in_memory == x.nbytes + x_test.nbytes
    assert dataclasses.replace(dataset, x_train=LazyArray(Kept(x))).bytes_in_memory == x_test.nbytes
