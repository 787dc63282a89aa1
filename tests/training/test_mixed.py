"""Trainings on mixed examples: every task, with the labels that are seen, the same again whatever is read ahead."""

import dataclasses

import keras
import numpy as np
import pytest

from mnist_exp import augmentation, compose, data
from mnist_exp.composition.preflight import load_data
from mnist_exp.config import components
from mnist_exp.data import Dataset
from mnist_exp.errors import SettingsError
from mnist_exp.mixing import Mixup
from mnist_exp.tasks import builders
from mnist_exp.tasks.classification import Binary, Classification
from mnist_exp.training import setup
from mnist_exp.training.batches import Batches
from mnist_exp.training.fit import fit
from mnist_exp.training.prepare import prepare

SMALL = ["data=mnist_5k", "data.limit=300", "data.validation=100", "model=mlp", "model.hidden_units=[16]"]
SMALL += ["trainer.epochs=2", "trainer.batch_size=50"]
RNG = np.random.default_rng(0)
NAMES = ("mixup", "cutmix")
CLASSES = RNG.integers(0, 4, 120)
# Of each task, labels that can be read from the pixels.
LABELS = {
    "classification": CLASSES,
    "binary": CLASSES % 2,
    "multilabel": np.stack([CLASSES % 2, CLASSES // 2], axis=1),
    "regression": CLASSES / 3,
}


@pytest.fixture(scope="module")
def digits_5k():
    return data.load(compose(SMALL))


def of_task(name):
    """Return a data set whose images are bright in the quarter that the label says."""
    x = RNG.integers(0, 60, (120, 8, 8, 1), np.uint8)
    for image, label in zip(x, CLASSES, strict=True):
        image[4 * (label // 2) : 4 * (label // 2) + 4, 4 * (label % 2) : 4 * (label % 2) + 4] += 150
    task = getattr(builders, name)()
    y = task.prepared(LABELS[name])
    return Dataset("quarters", task, x, y, x, y, task.names(y, None), "made here", "0")


def prepared(dataset, *overrides, **replaced):
    settings = dataclasses.replace(compose([*SMALL, *overrides]), **replaced)
    setup.set_up(settings.seed, settings.trainer)
    split = data.split(dataset, limit=settings.data.limit, validation=settings.data.validation, seed=settings.seed)
    return prepare(settings, dataset, split)


def trained(dataset, *overrides):
    training = prepared(dataset, *overrides)
    return training, fit(training.request(lambda epoch, metrics: True, None)).history


class Built:
    """An augmentation of the user's own."""

    target, name, trusted = "own.changes", "changes", ()

    def __init__(self, *made):
        self._made = made

    def takes(self, name):
        return False

    def build(self, **given):
        return list(self._made)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "name"),
    [(task, "mixup") for task in LABELS] + [(task, "cutmix") for task in LABELS if task != "regression"],
)
def test_every_task_learns_from_mixed_examples(task, name):
    dataset = of_task(task)
    words = [f"augment={name}", "data.limit=null", "data.validation=40", "trainer.epochs=30", "trainer.batch_size=8"]
    training, history = trained(dataset, *words, "optimizer.learning_rate=0.01")
    tested = training.test()[1]
    if task == "regression":
        assert tested["mae"] < 0.1
        return
    assert tested["accuracy"] > 0.95
    # Of what is trained on, the larger share counts; half and half cannot be told apart.
    assert 0.6 < history["accuracy"][-1] <= 1
    assert history["val_accuracy"][-1] > 0.9


@pytest.mark.parametrize("is_weighted", [False, True])
def test_loss_of_a_step_is_the_cross_entropy_of_the_mixed_labels(is_weighted, digits_5k):
    """All images are one batch, so that the loss of the epoch is that of the weights before it."""
    words = ["augment=mixup", "augment.alpha=1.0", "trainer.epochs=1", "trainer.batch_size=200", "model.dropout=0"]
    training = prepared(digits_5k, *words, *(["trainer.class_weight={3: 5.0}"] if is_weighted else []))
    models, split = training.models, training.split
    batches = Batches(
        split.x_train,
        split.y_train,
        *([training.weights] if is_weighted else []),
        batch_size=200,
        seed=training.settings.seed,
        mix=models.goal.mix,
    )
    x, labels, *weights = batches[0]
    log_p = np.log(models.inference_model.predict_on_batch(x))
    each = -(labels * log_p).sum(axis=1)
    history = fit(training.request(lambda epoch, metrics: True, None)).history
    assert (labels.max(axis=1) > 0).all()
    assert (labels.max(axis=1) < 0.999).mean() > 0.5
    assert history["loss"][0] == pytest.approx(each.mean(), rel=1e-5)
    if is_weighted:
        assert 1 <= weights[0].min() < weights[0].max() <= 5


def test_validation_is_not_mixed(digits_5k):
    training, history = trained(digits_5k, "augment=cutmix")
    outputs = training.models.inference_model.predict(training.split.x_val, verbose=0)
    true = outputs[np.arange(len(outputs)), training.split.y_val].astype(np.float64)
    assert history["val_loss"][-1] == pytest.approx(-np.log(true).mean(), rel=1e-5)
    assert history["val_accuracy"][-1] == pytest.approx((outputs.argmax(1) == training.split.y_val).mean())


def mixed_batches(seed=7, alpha=1.0):
    x = np.arange(60, dtype=np.uint8).reshape(20, 3)
    shares = np.eye(20, dtype=np.float32)
    return Batches(x, shares, batch_size=8, seed=seed, mix=Mixup(alpha).mix)


def test_mixing_is_decided_by_seed_epoch_and_step_alone():
    """Whatever was read before, ahead or twice, as a training that is resumed needs it."""
    first, second = mixed_batches(), mixed_batches()
    backwards = [first[index] for index in (2, 1, 0, 0)][::-1][1:]
    for one, other in zip(backwards, (second[0], second[1], second[2]), strict=True):
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    for other in (mixed_batches(seed=8), mixed_batches()):
        other.start_epoch(1)
        assert not np.array_equal(other[0][0], first[0][0])
    shares = [np.sort(np.sort(first[index][1], axis=1)[:, -1]) for index in (0, 1)]
    assert not np.array_equal(*shares)


def test_feed_gives_the_batches_with_their_shapes():
    batches = mixed_batches()
    feed = batches.feed()
    assert [spec.shape.as_list() for spec in feed.element_spec] == [[None, 3], [None, 20]]
    for index, found in enumerate(feed):
        for one, other in zip(found, batches[index], strict=True):
            np.testing.assert_array_equal(np.asarray(one), other)


def test_loss_of_whole_numbers_is_refused(digits_5k):
    words = ["augment=mixup", "loss._target_=keras.losses.SparseCategoricalCrossentropy"]
    with pytest.raises(SettingsError, match="takes one class an image, and augment=mixup makes shares of several"):
        prepared(digits_5k, *words)


def test_loss_that_is_another_one_between_0_and_1_is_refused():
    """Keras's Hinge makes -1 and 1 of 0 and 1, and leaves what is between as it is: wrong without a word."""
    dataset, hinge = of_task("binary"), "loss._target_=keras.losses.Hinge"
    words = ["data.limit=null", "data.validation=40", hinge]
    prepared(dataset, *words)
    with pytest.raises(SettingsError, match="does not fit task=binary with augment=mixup: it is not least"):
        prepared(dataset, *words, "augment=mixup")


def test_rectangles_of_numbers_are_refused():
    words = ["augment=cutmix", "data.limit=null", "data.validation=40"]
    with pytest.raises(SettingsError, match=r"augment=cutmix is for classes and labels.* take augment=mixup"):
        prepared(of_task("regression"), *words)
    settings = compose([*SMALL, *words, "task=regression", "objective=val_mae", "direction=minimize"])
    with pytest.raises(SettingsError, match=r"augment=cutmix is for classes and labels.* take mixup"):
        load_data(settings, of_task("regression"))


def test_a_batch_of_one_is_refused(digits_5k):
    with pytest.raises(SettingsError, match=r"augment=mixup mixes .* trainer.batch_size=1 must be at least 2"):
        prepared(digits_5k, "augment=mixup", "trainer.batch_size=1")


class Ordinal(Classification):
    """What the loss gets says that a class is at least the one below it."""

    def targets(self, y):
        return (np.arange(4) <= y[:, np.newaxis]).astype(np.float64)


class Flat(Binary):
    def targets(self, y):
        return y.astype(np.float32)


def test_targets_of_ones_own_are_mixed_as_they_are_or_refused():
    y = np.array([0, 2, 3])
    np.testing.assert_array_equal(Ordinal().shares(y, 4), [[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]])
    np.testing.assert_array_equal(Classification().shares(y, 4), np.eye(4)[y])
    with pytest.raises(SettingsError, match=r"task=binary: its targets, float32 of the shape \(3,\), cannot be mixed"):
        Flat().shares(y, 1)
    dataset = dataclasses.replace(of_task("binary"), task=Flat())
    with pytest.raises(SettingsError, match="cannot be mixed"):
        prepared(dataset, "augment=mixup", "data.limit=null", "data.validation=40")


def test_test_loss_is_that_of_a_training_without_mixing(digits_5k):
    """A whole number has its exact loss, where the loss of shares clips probabilities."""
    plain, mixed = (prepared(digits_5k, *words) for words in ([], ["augment=mixup"]))
    assert type(plain.models.goal.tested_by) is type(mixed.models.goal.tested_by)
    assert type(mixed.models.goal.tested_by) is not type(mixed.models.goal.loss)
    assert plain.test()[1]["loss"] == mixed.test()[1]["loss"]


def test_layers_of_keras_that_leave_labels_as_they_are_are_refused(digits_5k):
    own = Built(keras.layers.RandomFlip(), keras.layers.MixUp())
    with pytest.raises(SettingsError, match=r"augment: own.changes has a keras.layers.MixUp, .*augmentation.mixup\("):
        prepared(digits_5k, augment=own)

    class Net(Built):
        def build(self, shape, classes):
            inner = keras.Sequential([keras.Input(shape), keras.layers.CutMix(), keras.layers.Flatten()])
            return keras.Sequential([keras.Input(shape), inner, keras.layers.Dense(classes)], name="net")

    nested = [keras.Sequential([keras.layers.MixUp()]), keras.layers.Pipeline([keras.layers.MixUp()])]
    for layer in nested:
        with pytest.raises(SettingsError, match=r"augment: own.changes has a keras.layers.MixUp"):
            prepared(digits_5k, augment=Built(layer))
    with pytest.raises(SettingsError, match=r"model: net has a keras.layers.CutMix, .*augmentation.cutmix\("):
        prepared(digits_5k, model=Net())


def test_layer_of_keras_that_repeats_an_image_is_refused(digits_5k):
    """Keras 3.15.1 on TensorFlow: findings/keras-elastic-transform-repeats-the-first-image.sh."""
    own = Built(keras.layers.RandomElasticTransform(1.0, scale=1.0))
    told = r"has a keras.layers.RandomElasticTransform, which .* puts the first image of a batch in place of all others"
    with pytest.raises(SettingsError, match=rf"augment: own.changes {told}: .* mnist_exp.augmentation.elastic\(\)$"):
        prepared(digits_5k, augment=own)


def test_mixing_and_layers_of_a_builder_of_ones_own(digits_5k):
    both = Built(*augmentation.mixup(alpha=0.3), *augmentation.shift())
    training = prepared(digits_5k, augment=both)
    assert training.models.goal.mixing == Mixup(0.3)
    assert "random_translation" in [layer.name for layer in training.models.training_model.layers]
    for wrong in (Built(*augmentation.shift(), *augmentation.mixup()), Built(*augmentation.mixup() * 2)):
        with pytest.raises(SettingsError, match="must return one mixing at most, and before the layers"):
            prepared(digits_5k, augment=wrong)


def test_series_are_not_cut_but_mixed():
    found = [components.check("augment", {"_target_": f"mnist_exp.augmentation.{name}"}, ())[0] for name in NAMES]
    assert [components.check_sizes(each, (30, 2)) for each in found] == [
        [],
        ["augment=cutmix puts together images, and not series 30×2: take augment=mixup"],
    ]
