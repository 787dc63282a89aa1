"""What a loader may return in place of arrays: each kind gives the data set that the arrays give."""

import pickle

import numpy as np
import pytest
from PIL import Image

from mnist_exp.data import lazy, sequences
from mnist_exp.data.checking import from_source
from mnist_exp.data.dataset import Source
from mnist_exp.data.lazy import LazyArray
from mnist_exp.errors import DataError
from mnist_exp.tasks.builders import classification

X = np.random.default_rng(0).integers(0, 256, (25, 4, 3), np.uint8)
Y = np.arange(25) % 3


class Pairs:
    """As torch's and Grain's data sets: items by position, and a length."""

    def __init__(self, make=lambda x, y: (x, y), count=25):
        self.make, self.count, self.reads = make, count, 0

    def __len__(self):
        return self.count

    def __getitem__(self, position):
        self.reads += 1
        return self.make(X[position], Y[position])


def digest(train):
    (x, y), _ = sequences.pair_of(train, "train")
    return from_source("own", Source((x, y), (X, Y), "here"), classification()).sha256


MAKES = {
    "pairs": lambda x, y: (x, y),
    "lists": lambda x, y: [x.tolist(), int(y)],
    "dicts": lambda x, y: {"image": x, "label": y, "id": 7},
    "pictures": lambda x, y: {"img": Image.fromarray(x), "label": int(y)},
}


@pytest.mark.parametrize("kind", MAKES)
@pytest.mark.parametrize("is_lazy", [False, True])
def test_items_by_position_are_the_arrays(kind, is_lazy, monkeypatch):
    if is_lazy:
        monkeypatch.setattr(sequences, "IN_MEMORY_MB", 0.0001)
    (x, y), told = sequences.pair_of(Pairs(MAKES[kind]), "train")
    assert (isinstance(x, LazyArray), told) == (is_lazy, ())
    np.testing.assert_array_equal(x[:], X)
    np.testing.assert_array_equal(x[np.array([3, 3, 24])], X[[3, 3, 24]])
    np.testing.assert_array_equal(y, Y)
    expected = digest((X.astype(np.int64) if kind == "lists" else X, Y))
    assert digest(Pairs(MAKES[kind])) == expected


def test_examples_that_are_read_as_needed_reach_other_processes(monkeypatch):
    monkeypatch.setattr(sequences, "IN_MEMORY_MB", 0.0001)
    source = sequences.Items(ForOthers(), "train")
    sent = pickle.loads(pickle.dumps(LazyArray(source)))
    np.testing.assert_array_equal(lazy.rows(sent, slice(2))[:], X[:2])


class ForOthers:
    def __len__(self):
        return 25

    def __getitem__(self, position):
        return X[position], Y[position]


def test_batches_of_a_py_dataset_are_read_once_and_that_is_told():
    from keras.utils import PyDataset

    class Batches(PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            part = slice(index * 10, index * 10 + 10)
            return X[part], Y[part]

    (x, y), told = sequences.pair_of(Batches(), "train")
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    assert told == ("train is a PyDataset: it was read once, and what it draws at random was drawn once",)


@pytest.mark.parametrize("size", [None, 10])
def test_a_tf_dataset_of_examples_or_batches_is_read(size):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((X, Y))
    (x, y), _ = sequences.pair_of(data.batch(size) if size else data, "train")
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)


def test_a_tf_dataset_that_cannot_be_read_whole_is_told(monkeypatch):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((X, Y))
    cases = {
        "has no end": data.repeat(),
        "does not know its size": data.filter(lambda x, y: y > 0),
        "which may be examples or batches": data.batch(5, drop_remainder=True),
        "must be (x, y), not": data.map(lambda x, y: {"x": x, "y": y}),
    }
    for words, given in cases.items():
        with pytest.raises(DataError) as error:
            sequences.pair_of(given, "train")
        assert words in str(error.value)
    monkeypatch.setattr(sequences, "IN_MEMORY_MB", 0.0001)
    with pytest.raises(DataError, match=r"takes more than .* so a resumed run could not be the same: return an object"):
        sequences.pair_of(data, "train")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (3, "train must be a pair of arrays, an object with __len__ and __getitem__"),
        (Pairs(count=0), "train is empty"),
        (Pairs(lambda x, y: x), r"train\[0\] is ndarray; it must be \(x, y\), or a dict"),
        (Pairs(lambda x, y: (x, y, 1)), r"train\[0\] is tuple; it must be"),
        (Pairs(lambda x, y: {"image": x}), r"train\[0\] has image; it must have one of label"),
        (Pairs(lambda x, y: {"image": x, "pixels": x, "label": y}), "it must have one of x, image"),
        (Pairs(lambda x, y: (x[: 1 + y % 2], y)), r"uint8 of the shape \(2, 3\), the first one uint8 of \(1, 3\)"),
        (Pairs(lambda x, y: ([[1], [2, 3]], y)), r"train\[0\] is not made of arrays"),
    ],
)
@pytest.mark.parametrize("limit", [2000, 0.00001])
def test_what_cannot_be_used_is_told_with_its_place(given, words, limit, monkeypatch):
    monkeypatch.setattr(sequences, "IN_MEMORY_MB", limit)
    with pytest.raises(DataError, match=words):
        (x, _), _ = sequences.pair_of(given, "train")
        x[:]
