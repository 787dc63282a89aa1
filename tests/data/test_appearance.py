"""How the training images look is measured, not guessed by the name of the data set."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mnist_exp.data.appearance import Appearance, measure
from mnist_exp.data.lazy import LazyArray


@pytest.fixture(scope="module")
def pictures(digits):
    """All 5,000 digits, (n, 28, 28, 1)."""
    (x, _), (x_test, _) = digits
    return np.concatenate([x, x_test])[..., np.newaxis]


def clothes(count=300):
    """Shapes as Fashion-MNIST's: the longest edge scaled to 28, the middle of the box in the middle, light on black.

    Source: Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747, figure 1.
    """
    random, made = np.random.default_rng(0), np.zeros((count, 28, 28), np.uint8)
    for image in made:
        drawn = Image.new("L", (112, 112))
        pen = ImageDraw.Draw(drawn)
        width = int(random.integers(40, 112))
        left = (112 - width) // 2
        pen.rectangle((left, 0, left + width - 1, 111), fill=int(random.integers(60, 255)))
        pen.rectangle((left, 0, left + width // 3, int(random.integers(10, 90))), fill=int(random.integers(60, 255)))
        image[:] = np.asarray(drawn.resize((28, 28), Image.Resampling.BOX))
    return made[..., np.newaxis]


def photographs(size=64):
    """Parts of the photographs that scikit-learn brings."""
    from sklearn.datasets import load_sample_images

    random, parts = np.random.default_rng(0), []
    for photograph in load_sample_images().images:
        for _ in range(50):
            y, x = (int(random.integers(0, side - size)) for side in photograph.shape[:2])
            parts.append(photograph[y : y + size, x : x + size])
    return np.stack(parts)


def test_digits_are_known_however_they_are_kept(pictures):
    light = Appearance("light", 20 / 28)
    assert measure(pictures) == light
    assert measure(255 - pictures) == Appearance("dark", 20 / 28)
    assert measure(np.repeat(pictures[:500], 3, axis=3)) == light
    assert measure(pictures.astype(np.float32)) == light
    assert measure(pictures / np.float32(127.5) - 1, (-1, 1)) == light
    assert measure(np.pad(pictures, ((0, 0), (2, 2), (2, 2), (0, 0)))) == Appearance("light", 20 / 32)
    assert measure(pictures.repeat(4, axis=1).repeat(4, axis=2)).box == pytest.approx(20 / 28, abs=0.01)


def test_digits_that_lie_otherwise_are_not_in_the_style(pictures):
    assert measure(np.roll(pictures, 3, axis=1)) == Appearance("light")
    assert measure(pictures[:, 4:24, 4:24]) == Appearance("light")


def test_clothes_are_light_on_dark_and_not_in_the_style_of_mnist():
    assert measure(clothes()) == Appearance("light")


def test_photographs_and_noise_are_neither():
    assert measure(photographs()) == Appearance(None)
    assert measure(photographs().mean(axis=3, keepdims=True)) == Appearance(None)
    assert measure(np.random.default_rng(0).integers(0, 256, (200, 28, 28, 1), dtype=np.uint8)) == Appearance(None)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 2, 50, 3), (4, 14, 14, 4), (2, 28, 28, 1)])
def test_images_of_any_size_without_a_drawing_are_neither(shape):
    assert measure(np.zeros(shape, np.uint8)) == Appearance(None)


def test_few_rows_of_a_lazy_array_are_read(pictures):
    read = []

    class Rows:
        shape, dtype = pictures.shape, pictures.dtype

        def read(self, positions):
            read.extend(positions)
            return pictures[positions]

    assert measure(LazyArray(Rows())) == Appearance("light", 20 / 28)
    assert len(read) == 32
    assert min(read) == 0
    assert max(read) == len(pictures) - 1


@pytest.mark.parametrize("looks", [Appearance("light", 0.7143), Appearance("dark"), Appearance(None)])
def test_what_is_recorded_is_read_again(looks):
    assert Appearance.from_json(looks.as_json()) == looks
    assert list(json.loads(looks.as_json()))[:2] == ["ink", "style"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "1", '{"ink": "red", "style": null}', '{"ink": null, "style": "mnist", "box": "x"}']
)
def test_other_records_are_none(text):
    assert Appearance.from_json(text) is None
