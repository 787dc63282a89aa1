"""Nearly equal images among real digits, with copies planted that were shifted, compressed, brightened."""

import io

import numpy as np
import pytest
from PIL import Image

from mnist_exp.data.lazy import LazyArray
from mnist_exp.inspection import near
from mnist_exp.inspection.parts import Part


def part(x, split="train", pictures=None):
    return Part(split, f"x_{split}", x, np.zeros(len(x)), np.arange(len(x)), x if pictures is None else pictures)


def find(*parts):
    return near.find(parts, [np.zeros(len(each), bool) for each in parts])


def compressed(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


COPIES = {
    "shifted right": lambda x: np.roll(x, 1, axis=1),
    "shifted up and left": lambda x: np.roll(x, (-1, -1), axis=(0, 1)),
    "compressed": lambda x: compressed(x, 75),
    "brighter": lambda x: np.clip(x * 1.2, 0, 255).astype(np.uint8),
    "darker": lambda x: (x * 0.6).astype(np.uint8),
    "on grey": lambda x: (x * 0.8 + 40).astype(np.uint8),
    "shifted and compressed": lambda x: compressed(np.roll(x, 1, axis=0), 80),
}


def test_real_digits_have_no_nearly_equal_ones(digits):
    (x, _), (x_test, _) = digits
    found = find(part(x[..., np.newaxis]), part(x_test[..., np.newaxis], "test"))
    assert found.pairs == []


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_found_and_nothing_else(digits, kind):
    (x, _), (x_test, _) = digits
    chosen = range(7, 1000, 50)
    x_test = x_test.copy()
    x_test[: len(chosen)] = [COPIES[kind](x[i]) for i in chosen]
    found = find(part(x[:2000, ..., np.newaxis]), part(x_test[..., np.newaxis], "test"))
    planted = {((0, i), (1, row)) for row, i in enumerate(chosen)}
    assert set(found.pairs) <= planted
    assert len(found.pairs) >= 19
    assert list(found.distances) == sorted(found.distances)


def test_copies_of_large_coloured_lazy_images_are_found_whatever_the_shift(digits):
    from sklearn.datasets import load_sample_images

    photographs = load_sample_images().images
    places = [(i, j) for i in range(0, 300, 60) for j in range(0, 500, 80)]
    large = np.stack([each[i : i + 113, j : j + 109] for each in photographs for i, j in places])
    copies = np.stack([photographs[1][121 : 121 + 113, 81 : 81 + 109], photographs[1][62 : 62 + 113, 3 : 3 + 109]])
    copies = np.clip(copies * 1.05, 0, 255).astype(np.uint8)

    class Rows:
        shape, dtype = large.shape, large.dtype

        def read(self, positions):
            return large[positions]

        def identity(self, positions):
            return None

    found = find(part(LazyArray(Rows())), part(copies, "test")).pairs
    own = {((0, len(places) + places.index((120, 80))), (1, 0)), ((0, len(places) + places.index((60, 0))), (1, 1))}
    assert set(found) == own


def test_where_there_are_too_many_test_images_are_compared_first(digits, monkeypatch):
    (x, _), (x_test, _) = digits
    x_test = x_test.copy()
    x_test[5] = np.roll(x[100], 1, axis=1)
    x = x[:1500].copy()
    monkeypatch.setattr(near, "MOST_COMPARISONS", 2500 * 1000)
    found = find(part(x[..., np.newaxis]), part(x_test[..., np.newaxis], "test"))
    assert (found.left_out, found.pairs) == (1500, [((0, 100), (1, 5))])


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_images_are_no_error(digits, count):
    (x, _), _ = digits
    x = np.concatenate([x[:1], np.roll(x[:1], 1, axis=1), x[900:901]])[:count, ..., np.newaxis]
    assert find(part(x)).pairs == ([((0, 0), (0, 1))] if count > 1 else [])


def test_distance_ignores_shift_and_brightness_and_is_large_for_others(digits):
    (x, _), _ = digits
    one = x[:100, ..., np.newaxis].astype(np.float32)
    assert near.distance(one, one).max() < 1e-3
    inner = one[one[:, :, -4:].max(axis=(1, 2, 3)) == 0]  # Nothing, blurred, is lost at the right border.
    assert near.distance(inner, 0.5 * np.roll(inner, 1, axis=2) + 20).max() < 0.01
    between = (one + np.roll(one, 1, axis=1)) / 2
    assert np.median(near.distance(one, between)) < near.DISTANCE
    assert near.distance(one, one[::-1]).min() > 0.2
