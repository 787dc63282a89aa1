"""Labels as files have them: texts, gaps, offsets; what they become, and what is told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp.data.checking import from_source
from mnist_exp.data.dataset import Source
from mnist_exp.errors import DataError
from mnist_exp.tasks import builders


def load(y_train, y_test=None, names=None, task="auto"):
    y_train = np.asarray(y_train)
    y_test = y_train if y_test is None else np.asarray(y_test)
    x_train, x_test = (np.zeros((len(y), 3), np.float32) for y in (y_train, y_test))
    source = Source((x_train, y_train), (x_test, y_test), "here", class_names=names)
    return from_source("own", source, getattr(builders, task)())


def names_of(data):
    """Return the name of each training label."""
    return [data.class_names[label] for label in data.y_train]


@given(
    st.lists(st.integers(-(2**62), 2**62), min_size=2, max_size=15, unique=True),
    st.sampled_from([np.int64, np.int32, object, str, bytes]),
    st.randoms(use_true_random=False),
)
def test_every_label_keeps_its_own_name(values, kind, chance):
    values = [value % 2**31 for value in values] if kind is np.int32 else values
    y = [value for value in dict.fromkeys(values) for _ in range(3)]
    chance.shuffle(y)
    if len(set(y)) < 2:
        return
    texts = {str: [f"n{each}" for each in y], bytes: [b"n%d" % each for each in y], object: [f"n{each}" for each in y]}
    labels = np.array(texts.get(kind, y), None if kind in (str, bytes) else kind)
    data = load(labels)
    assert data.task.name == "classification"
    assert data.y_train.dtype == np.int64
    assert sorted(set(data.y_train)) == list(range(len(set(y))))
    assert names_of(data) == ([f"n{each}" for each in y] if kind in texts else [str(each) for each in y])


def test_labels_from_0_stay_what_they_are_without_a_word():
    data = load(np.array([2, 0, 1, 1], np.uint8))
    assert (data.y_train.tolist(), data.class_names, data.warnings) == ([2, 0, 1, 1], ("0", "1", "2"), ())


@pytest.mark.parametrize(
    ("y", "words"),
    [
        ([1, 2, 3] * 4, "the labels are 1 to 3: the 3 classes are numbered 0 to 2"),  # EMNIST's letters.
        ([8, 10, 7, 11] * 2, "the labels are 7 to 11 without 9"),  # The sign language, without J.
        ([-1, 0, 1] * 3, "the labels are -1 to 1"),
        ([5, 10**12] * 2, "the labels are 5 to 1000000000000 without 6, 7, 8, 9, 10, 11, …"),
    ],
)
def test_gaps_and_offsets_are_renumbered_and_told(y, words):
    data = load(y)
    assert names_of(data) == list(map(str, y))
    (warning,) = data.warnings
    assert words in warning
    assert "the label itself is the name" in warning


def test_a_column_of_labels_is_as_good():
    assert load(np.array([[3], [5], [3]])).y_train.tolist() == [0, 1, 0]


def test_numbers_in_texts_are_sorted_by_their_value():
    assert load(["10", "9", "2", "9"]).class_names == ("2", "9", "10")


def test_a_mapping_names_labels_of_any_numbers():
    data = load([1, 3, 1, 3], names={1: "A", 3: "C", 2: "B"})
    assert (data.class_names, data.y_train.tolist()) == (("A", "B", "C"), [0, 2, 0, 2])
    data = load(["n02", "n01"], names={"n01": "cat", "n02": "dog"})
    assert (data.class_names, data.y_train.tolist()) == (("cat", "dog"), [1, 0])


def test_a_label_that_the_data_do_not_name_is_an_error():
    with pytest.raises(DataError, match="the labels 7 are none of those that the data name: 1, 2"):
        load([1, 2, 7], names={1: "A", 2: "B"})
    with pytest.raises(DataError, match="the labels bird are none of those that the data name: cat, dog"):
        load(["bird", "cat"], names=("cat", "dog"))


def test_a_class_of_the_test_set_alone_is_one_of_the_classes():
    """The screen tells, with its name, that no training image is of it."""
    data = load([0, 1, 0, 1], [0, 1, 7])
    assert (data.class_names, data.y_test.tolist()) == (("0", "1", "7"), [0, 1, 2])
    sentences = data.task.remarks({"training": data.y_train}, data.class_names)
    assert sentences == ["none of the 4 training images is of the class '7'"]


def test_a_named_class_may_have_no_image():
    data = load([0, 1, 0], names=("a", "b", "never seen"))
    assert data.outputs == 3
    assert "never seen" in data.task.remarks({"training": data.y_train}, data.class_names)[0]


def test_many_numbers_are_no_classes():
    with pytest.raises(DataError, match=r"60 different labels, from 0 to 177, for 60 examples.*task=regression"):
        load(np.arange(60) * 3)
    assert load(np.arange(60) * 3, task="regression").task.name == "regression"


@pytest.mark.parametrize(
    ("y", "words"),
    [
        ([[5, 0, 7]] * 4, r"the column that holds the class, as y\[:, 0\]"),  # QMNIST: no arg max of these.
        (np.eye(3, dtype=int), "not one-hot: np.argmax"),
        (["a", ""], "1 of 2 labels are empty texts"),
        (np.array(["a", 3, None], object), "not other objects of Python"),
        (["a", "a"], "one class only"),
        ([7, 7], "one class only"),
    ],
)
def test_what_cannot_be_a_label_is_refused_with_advice_that_fits(y, words):
    with pytest.raises(DataError, match=words):
        load(y)


def test_whole_floats_are_classes_where_the_task_says_so():
    y = np.array([3.0, 1.0, 3.0])
    data = load(y, task="classification")
    assert (data.class_names, data.y_train.tolist()) == (("1", "3"), [1, 0, 1])
    with pytest.raises(DataError, match="say task=regression if they are numbers, and task=classification if"):
        load(y)
    with pytest.raises(DataError, match="holds float64 values; labels must be whole numbers"):
        load([0.5, 1.0, 2.0], task="classification")


def test_texts_are_no_numbers():
    with pytest.raises(DataError, match="they must be numbers"):
        load(["1", "2"], task="regression")
