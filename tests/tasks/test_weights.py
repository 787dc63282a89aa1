"""Weights of classes: balanced as scikit-learn has it, by the classes' names, and nothing ignored."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from mnist_exp.errors import SettingsError
from mnist_exp.tasks import builders, weights

Y = np.array([0, 0, 0, 1, 1, 2])
NAMES = ("cat", "dog", "cow")


def test_balanced_is_that_of_scikit_learn():
    found = weights.of_images(builders.classification(), NAMES, Y, "balanced", None)
    np.testing.assert_allclose(found, compute_sample_weight("balanced", Y), rtol=1e-6)
    assert found.mean() == pytest.approx(1)


def test_weights_are_named_by_class_and_others_are_1():
    found = weights.of_images(builders.classification(), NAMES, Y, {"dog": 2.5, "cow": 0}, None)
    assert found.tolist() == [1, 1, 1, 2.5, 2.5, 0]


def test_classes_that_are_numbers_may_be_written_as_numbers():
    task, names = builders.binary(), ("0", "1")
    for key in (1, "1"):
        found = weights.of_images(task, names, np.array([0, 1]), {key: 3.0}, None)
        assert found.tolist() == [1, 3]


def test_weights_of_the_data_are_multiplied():
    own = np.array([1, 2, 1, 1, 4, 1], np.float32)
    found = weights.of_images(builders.classification(), NAMES, Y, {"dog": 2}, own)
    assert found.tolist() == [1, 2, 1, 2, 8, 1]
    assert weights.of_images(builders.classification(), NAMES, Y, None, own).tolist() == own.tolist()
    assert weights.of_images(builders.classification(), NAMES, Y, None, None) is None


@pytest.mark.parametrize(
    ("task", "given", "words"),
    [
        ("classification", {"dgo": 2}, "names the class dgo, which is none: did you mean dog? there are cat, dog, cow"),
        ("classification", {"cat": 0, "dog": 0, "cow": 0}, "gives every class the weight 0"),
        ("multilabel", "balanced", "is for classes, and task=multilabel has none"),
        ("regression", {"cat": 1}, "is for classes, and task=regression has none"),
    ],
)
def test_mistakes_are_told(task, given, words):
    with pytest.raises(SettingsError) as error:
        weights.of_images(getattr(builders, task)(), NAMES, Y, given, None)
    assert words in str(error.value)
