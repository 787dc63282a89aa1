"""Images that are unlike all training images, by their features and their pixels; the record stays small."""

import json

import numpy as np
import pytest

from mnist_exp.evaluation import likeness


def clusters(count, width, classes, seed=0):
    """Return features around a centre for each class, and the classes."""
    centres = np.random.default_rng(1).normal(size=(classes, width))
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    return (centres[labels] + 0.1 * random.normal(size=(count, width))).astype(np.float32), labels


@pytest.mark.parametrize(("width", "classes"), [(2, 2), (16, 10), (128, 10), (1280, 10), (64, 1000)])
def test_features_of_another_kind_are_unlike_and_the_record_is_small(width, classes):
    known, labels = clusters(2000, width, classes)
    held_out, _ = clusters(1000, width, classes, seed=2)
    found = likeness.measure(known, labels, None, held_out, None)
    assert len(json.dumps(found.to_facts())) < 12_000
    again = likeness.Likeness.from_facts(found.to_facts())
    new, _ = clusters(1000, width, classes, seed=3)
    assert (again.distances(new, None) > again.threshold).mean() < 0.04
    if width > 2:
        strange = np.random.default_rng(4).normal(size=(200, width)).astype(np.float32)
        few = 0.5 if classes > 100 else 0.9  # A prototype has to do for several classes.
        assert (again.distances(strange, None) > again.threshold).mean() > few


def test_noise_is_told_by_its_pixels_whatever_its_features():
    random = np.random.default_rng(0)
    known, labels = clusters(1000, 16, 10)
    images = np.zeros((1000, 28, 28, 1), np.uint8)
    images[:, 8:20, 10:18] = random.integers(100, 256, (1000, 1, 1, 1))
    images[:, :, 12:14] = random.integers(0, 256, (1000, 1, 1, 1))
    found = likeness.measure(known, labels, images, known, images)
    noise = random.integers(0, 256, images.shape, dtype=np.uint8)
    assert (found.distances(known, images) > found.threshold).mean() <= 0.01
    assert (found.distances(known, noise) > found.threshold).all()


def test_features_that_say_nothing_are_not_recorded():
    ones = np.ones((50, 4), np.float32)
    labels = np.arange(50) % 2
    assert likeness.measure(ones, labels, None, ones, None) is None
    assert likeness.measure(ones * np.nan, labels, None, ones, None) is None
