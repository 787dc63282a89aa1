"""The augmentations on real digits: only in training, values in range, reproducible by seed."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from mnist_exp import augmentation
from mnist_exp.composition.compose import CONF
from mnist_exp.config import components
from mnist_exp.errors import SettingsError

NAMES = sorted(file.stem for file in (CONF / "augment").glob("*.yaml"))
MIXING = ("mixup", "cutmix")  # tests/test_mixing.py
CHANGING = [name for name in NAMES if name != "none" and name not in MIXING]
# Options with which each image is changed, where the defaults leave some as they are.
ALL = {"random_erasing": {"probability": 1.0, "smallest": 0.1}}
KEEP_INK = ("shift", "affine", "elastic", "affine_elastic")


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


def is_builder(name, member):
    return (
        inspect.isfunction(member)
        and member.__module__ == augmentation.__name__
        and not name.startswith(("_", "check_"))
    )


def test_every_augmentation_has_a_file():
    assert sorted(name for name, member in vars(augmentation).items() if is_builder(name, member)) == NAMES


def test_none_is_empty():
    assert build("none") == []


@pytest.mark.parametrize("name", CHANGING)
def test_has_no_effect_outside_training(name, x):
    np.testing.assert_array_equal(augment(build(name), x, training=False), x)


@pytest.mark.parametrize("name", CHANGING)
def test_changes_the_images_and_keeps_shape_and_range(name, x):
    keras.utils.set_random_seed(8)
    changed = augment(build(name, **ALL.get(name, {})), x, training=True)
    assert changed.shape == x.shape
    assert changed.dtype == x.dtype
    assert changed.min() >= -1e-6
    assert changed.max() <= 1 + 1e-6
    is_changed = np.abs(changed - x).max(axis=(1, 2, 3)) > 0.01
    # A rectangle may lie where there is nothing.
    assert np.all(is_changed) if name != "random_erasing" else np.mean(is_changed) > 0.8
    if name in KEEP_INK:
        # Changed, not destroyed: about as much ink as before.
        assert changed.sum() == pytest.approx(x.sum(), rel=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGING)
@pytest.mark.parametrize("value_range", [(0.0, 1.0), (0.0, 255.0), (-1.0, 1.0)])
def test_pixels_stay_in_the_range_that_is_given(name, value_range, x):
    keras.utils.set_random_seed(3)
    low, high = value_range
    (component, _) = components.check("augment", {"_target_": f"mnist_exp.augmentation.{name}"}, ())
    layers = component.build(value_range=value_range)
    changed = np.stack([augment(layers, x * (high - low) + low, training=True) for _ in range(5)])
    assert np.isfinite(changed).all()
    assert changed.min() >= low - 1e-3 * (high - low)
    assert changed.max() <= high + 1e-3 * (high - low)
    assert np.ptp(changed) > 0.5 * (high - low)


@pytest.mark.parametrize("name", ["rand_augment", "random_erasing"])
def test_pixels_of_an_unknown_range_are_refused(name):
    with pytest.raises(SettingsError, match=f"augment={name} needs pixels of a known range"):
        getattr(augmentation, name)(value_range=None)


def test_probability_is_that_which_is_asked_for(x):
    """Keras draws one between 0 and the number that it is given."""
    keras.utils.set_random_seed(1)
    white = np.ones((2000, 8, 8, 1), np.float32)
    for wanted in (0.25, 0.8):
        layers = build("random_erasing", probability=wanted, smallest=0.3, largest=0.5)
        erased = augment(layers, white, training=True).min(axis=(1, 2, 3)) < 0.5
        assert erased.mean() == pytest.approx(wanted, abs=0.04)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_elastic_in_16_bits_moves_pixels_as_in_32(policy, x):
    def distorted(policy):
        keras.config.set_dtype_policy(policy)
        keras.utils.set_random_seed(4)
        return np.asarray(augment(build("elastic"), x, training=True), np.float32)

    before = keras.config.dtype_policy()
    try:
        np.testing.assert_allclose(distorted(policy), distorted("float32"), atol=0.01)
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("name", CHANGING)
def test_batches_of_an_unknown_size_are_changed_as_others_are(name, x):
    """As in a fit whose last batch is smaller, where Keras's elastic layer puts the first image in place of all."""

    def changed(size):
        keras.utils.set_random_seed(5)
        layers = build(name)
        shape = tf.TensorSpec((size, *x.shape[1:]))
        return tf.function(lambda images: augment_in_graph(layers, images), input_signature=[shape])(x).numpy()

    np.testing.assert_allclose(changed(None), changed(len(x)), atol=1e-4)


def augment_in_graph(layers, x):
    for layer in layers:
        x = layer(x, training=True)
    return x


def test_colours_of_two_channels_are_refused():
    component, _ = components.check("augment", {"_target_": "mnist_exp.augmentation.rand_augment"}, ())
    assert components.check_sizes(component, (28, 28, 1)) == components.check_sizes(component, (28, 28, 3)) == []
    assert components.check_sizes(component, (28, 28, 2)) == [
        "augment=rand_augment needs images of 1 or 3 channels; these have 2"
    ]


def test_smallest_rectangle_is_no_larger_than_the_largest():
    with pytest.raises(SettingsError, match=r"augment.smallest=0.5 must be at most augment.largest=0.33"):
        build("random_erasing", smallest=0.5)


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
