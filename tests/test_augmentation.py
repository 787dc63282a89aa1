"""The augmentations on real digits: only in training, values in range, reproducible by seed."""

import inspect

import keras
import numpy as np
import pytest
import yaml

from mnist_exp import augmentation
from mnist_exp.composition.compose import CONF
from mnist_exp.config import components

NAMES = sorted(file.stem for file in (CONF / "augment").glob("*.yaml"))
CHANGING = [name for name in NAMES if name != "none"]


def augment(layers, x, *, training):
    for layer in layers:
        x = layer(x, training=training)
    return np.asarray(x)


def build(name, **changed):
    section = yaml.safe_load((CONF / "augment" / f"{name}.yaml").read_text()) | changed
    component, problems = components.check("augment", section, ())
    assert not problems
    return component.build()


@pytest.fixture(scope="module")
def x(digits):
    return (digits[0][0][::125, ..., np.newaxis] / np.float32(255)).astype(np.float32)


def test_every_augmentation_has_a_file():
    functions = sorted(name for name, member in vars(augmentation).items() if inspect.isfunction(member))
    assert [name for name in functions if not name.startswith("check_")] == NAMES


def test_none_is_empty():
    assert build("none") == []


@pytest.mark.parametrize("name", CHANGING)
def test_has_no_effect_outside_training(name, x):
    np.testing.assert_array_equal(augment(build(name), x, training=False), x)


@pytest.mark.parametrize("name", CHANGING)
def test_changes_every_image_and_keeps_shape_and_range(name, x):
    keras.utils.set_random_seed(7)
    changed = augment(build(name), x, training=True)
    assert changed.shape == x.shape
    assert changed.dtype == x.dtype
    assert changed.min() >= -1e-6
    assert changed.max() <= 1 + 1e-6
    assert np.all(np.abs(changed - x).max(axis=(1, 2, 3)) > 0.01)
    # Changed, not destroyed: about as much ink as before.
    assert changed.sum() == pytest.approx(x.sum(), rel=0.2)


@pytest.mark.parametrize("name", CHANGING)
def test_is_reproducible_by_seed(name, x):
    def twice(seed):
        keras.utils.set_random_seed(seed)
        layers = build(name)
        return [augment(layers, x, training=True) for _ in range(2)]

    first, second = twice(7), twice(7)
    np.testing.assert_array_equal(first, second)
    assert np.any(first[0] != first[1]), "each epoch must see other changes"
    assert np.any(first[0] != twice(8)[0])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("shift", {"height": 0.3, "width": 0.0}),
        ("shift", {"height": 0.0, "width": 0.3}),
        ("affine", {"rotation": 0.1, "shift": 0.0, "zoom": 0.0}),
        ("affine", {"rotation": 0.0, "shift": 0.3, "zoom": 0.0}),
        ("affine", {"rotation": 0.0, "shift": 0.0, "zoom": 0.0, "shear": 0.3}),
    ],
)
def test_what_moves_in_is_black(name, options):
    keras.utils.set_random_seed(7)
    white = np.ones((64, 28, 28, 1), np.float32)
    changed = augment(build(name, **options), white, training=True)
    assert np.mean(changed.min(axis=(1, 2, 3)) < 0.01) > 0.5


def test_shift_moves_by_no_more_than_its_share():
    keras.utils.set_random_seed(7)
    point = np.zeros((200, 20, 20, 1), np.float32)
    point[:, 10, 10] = 1
    moved = augment(augmentation.shift(height=0.2, width=0.0), point, training=True)[..., 0]
    mass = moved.sum(axis=2)
    rows = (mass * np.arange(20)).sum(axis=1) / mass.sum(axis=1) - 10
    assert np.abs(rows).max() == pytest.approx(4, abs=0.3)
    assert moved[:, :, 10].sum() == pytest.approx(moved.sum())


@pytest.mark.parametrize(
    ("option", "layer"), [("rotation", "Rotation"), ("shift", "Translation"), ("zoom", "Zoom"), ("shear", "Shear")]
)
def test_affine_leaves_out_what_is_zero(option, layer):
    zero = dict.fromkeys(("rotation", "shift", "zoom", "shear"), 0.0)
    assert build("affine", **zero) == []
    assert [type(made).__name__ for made in build("affine", **zero | {option: 0.1})] == [f"Random{layer}"]
