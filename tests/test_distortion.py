"""Distortion: each image is moved by a smooth field of its own, and by no more than what was asked for."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from mnist_exp.augmentation import affine_elastic, elastic
from mnist_exp.distortion import Distortion

SIDE = 28


def places(count, height=SIDE, width=SIDE):
    """Return images whose two channels are how far down and how far right a pixel is."""
    one = np.stack(np.mgrid[0:height, 0:width].astype(np.float32), axis=-1)
    return np.broadcast_to(one, (count, *one.shape))


def moves(layer, count, height=SIDE, width=SIDE, border=7):
    """Return by how many pixels each pixel is moved, (n, …, 2): down and to the right; without the border."""
    before = places(count, height, width)
    moved = np.asarray(layer(before, training=True)) - before
    return moved[:, border:-border, border:-border]


def distortion(**named):
    return Distortion(**{"strength": 0.0, "smoothness": 0.14, "seed": 3} | named)


@pytest.mark.parametrize("strength", [0.2, 0.7])
@pytest.mark.parametrize("side", [28, 64])
def test_pixels_move_by_as_many_tenths_of_the_side_as_asked_for(strength, side):
    found = moves(distortion(strength=strength), 300, side, side, side // 3)
    of_each = np.sqrt((found**2).sum(axis=-1).mean())
    # Each image has a strength of its own between a half and all: the mean square of that is 7/12.
    assert of_each == pytest.approx(strength * side / 10 * np.sqrt(7 / 12), rel=0.07)


def test_neighbours_move_alike_and_both_directions_differ():
    found = moves(distortion(strength=0.5), 200)
    down, right = found[..., 0], found[..., 1]

    def alike(one, other):
        return np.corrcoef(one.ravel(), other.ravel())[0, 1]

    assert alike(right[:, :, :-1], right[:, :, 1:]) > 0.95
    assert alike(down[:, :-1], down[:, 1:]) > 0.95
    assert alike(right[:, :, :-7], right[:, :, 7:]) < 0.6
    assert abs(alike(down, right)) < 0.1
    assert abs(alike(right[:-1], right[1:])) < 0.1, "each image has a field of its own"


def test_smoothness_is_how_far_pixels_go_together():
    def apart(smoothness):
        right = moves(distortion(strength=0.3, smoothness=smoothness), 200)[..., 1]
        return np.corrcoef(right[:, :, :-4].ravel(), right[:, :, 4:].ravel())[0, 1]

    # Noise smoothed by a Gaussian filter of s pixels correlates by exp(-d² / 4s²) at a distance of d.
    for smoothness in (0.07, 0.14, 0.3):
        assert apart(smoothness) == pytest.approx(np.exp(-16 / (4 * (smoothness * SIDE) ** 2)), abs=0.12)


def test_each_image_keeps_its_own_grey():
    grey = np.linspace(0.1, 1, 20, dtype=np.float32)[:, None, None, None]
    images = np.broadcast_to(grey, (20, SIDE, SIDE, 3))
    changed = np.asarray(affine_elastic()[0](images, training=True))
    np.testing.assert_allclose(changed[:, 13:15, 13:15], np.broadcast_to(grey, (20, 2, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("wanted", [0.25, 0.8])
def test_probability_is_the_share_of_images_that_are_distorted(wanted):
    before = places(1000, 12, 12)
    changed = np.asarray(distortion(strength=0.5, probability=wanted)(before, training=True))
    assert np.mean(np.abs(changed - before).max(axis=(1, 2, 3)) > 0) == pytest.approx(wanted, abs=0.05)


@pytest.mark.parametrize(
    ("option", "largest", "of"),
    [
        ("rotation", 0.05, lambda found: np.arctan2(found["right by down"], 1 + found["down by down"])),
        ("shift", 0.1, lambda found: found["down"] / SIDE),
        ("shift", 0.1, lambda found: found["right"] / SIDE),
        ("zoom", 0.2, lambda found: 1 / (1 + found["right by right"]) - 1),
        ("shear", 0.2, lambda found: found["right by down"]),
    ],
)
def test_affine_parts_reach_what_is_asked_for_and_no_more(option, largest, of):
    found = moves(distortion(**{option: largest}), 400)
    y, x = np.mgrid[7 : SIDE - 7, 7 : SIDE - 7] - (SIDE - 1) / 2

    def slope(values, by):
        return (values * by).sum(axis=(1, 2)) / (by**2).sum()

    measured = of(
        {
            "down": found[..., 0].mean(axis=(1, 2)),
            "right": found[..., 1].mean(axis=(1, 2)),
            "down by down": slope(found[..., 0], y),
            "right by down": slope(found[..., 1], y),
            "right by right": slope(found[..., 1], x),
        }
    )
    limit = largest * 2 * np.pi if option == "rotation" else largest
    assert np.abs(measured).max() <= limit * 1.01
    assert measured.max() > 0.95 * limit
    assert measured.min() < -0.95 * limit
    assert abs(measured.mean()) < 0.1 * limit


def test_what_moves_in_is_the_fill_value():
    white = np.ones((50, SIDE, SIDE, 1), np.float32)
    for fill in (0.0, -1.0):
        changed = np.asarray(distortion(shift=0.3, fill_value=fill)(white, training=True))
        assert np.mean(np.abs(changed.min(axis=(1, 2, 3)) - fill) < 1e-6) > 0.9


def test_nothing_to_do_changes_no_bit(digits):
    x = digits[0][0][:50, ..., np.newaxis].astype(np.float32)
    np.testing.assert_array_equal(np.asarray(distortion()(x, training=True)), x)


def test_images_need_not_be_square():
    assert moves(distortion(strength=0.5), 20, 20, 40, 4).shape == (20, 12, 32, 2)


def test_layer_is_made_anew_from_its_config(digits):
    x = digits[0][0][:20, ..., np.newaxis].astype(np.float32)
    (layer,) = affine_elastic()
    config = layer.get_config() | {"seed": 3}
    one, other = (np.asarray(Distortion.from_config(config)(x, training=True)) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert config["strength"] == 0.5
    assert config["fill_value"] == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_move_pixels_as_much(backend):
    """JAX compiles it, as in a training; numbers drawn by another backend differ, what they do does not."""
    program = """
import json
import keras
import numpy as np
from mnist_exp.distortion import Distortion

layer = Distortion(strength=0.5, smoothness=0.14, seed=3)
one = np.stack(np.mgrid[0:28, 0:28].astype(np.float32), axis=-1)
images = np.broadcast_to(one, (300, *one.shape))

def distort(state, images):
    with keras.StatelessScope([(layer.seed_generator.state, state)]):
        return layer(images, training=True)

if keras.backend.backend() == "jax":
    import jax
    moved = jax.jit(distort)(layer.seed_generator.state.value, images)
else:
    moved = layer(images, training=True)
found = (keras.ops.convert_to_numpy(moved) - images)[:, 9:-9, 9:-9]
distance = np.sqrt((found**2).sum(axis=-1).mean())
alike = np.corrcoef(found[..., 0].ravel(), found[..., 1].ravel())[0, 1]
print(json.dumps([float(distance), float(alike)]))
"""
    environment = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    distance, alike = json.loads(done.stdout.splitlines()[-1])
    assert distance == pytest.approx(0.5 * 2.8 * np.sqrt(7 / 12), rel=0.07)
    assert abs(alike) < 0.1


def test_elastic_defaults_are_those_of_the_paper():
    """Simard et al.: σ = 4 and α = 34 for images of 29×29, of numbers between -1 and 1."""
    layer = elastic()[0]
    assert layer.smoothness * 29 == pytest.approx(4, rel=0.02)
    of_paper = 34 * np.sqrt(1 / 3) / (2 * np.sqrt(np.pi) * 4) * np.sqrt(2)
    assert layer.strength * 2.9 == pytest.approx(of_paper, rel=0.05)
