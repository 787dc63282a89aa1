"""With `use_ema` the averaged weights are validated, select, and are kept; the training goes on from the raw ones."""

import numpy as np
import pytest

from mnist_exp.composition.compose import compose
from mnist_exp.composition.preflight import load_data
from mnist_exp.training.averaged_weights import AveragedWeights, averaging_optimizer
from mnist_exp.training.batch_statistics import BatchStatistics

SMALL = ["data=mnist_5k", "data.limit=400", "data.validation=100", "model=mlp", "model.hidden_units=[16]"]
SMALL += ["trainer.batch_size=50", "+optimizer.use_ema=true", "+optimizer.ema_momentum=0.9", "tracking=none"]
SCHEDULE_FREE = ["optimizer=schedule_free_adamw", "optimizer.use_ema=false"]


def trained(*words, common=SMALL):
    """Return the result of a run and the metrics of its model on the images that it was validated on."""
    from scoring import score

    from mnist_exp.experiment.runner import run
    from mnist_exp.training.predict import predict

    settings = compose([*common, *words])
    _, split = load_data(settings)
    result = run(settings)
    return result, score(predict(result.model, split.x_val), split.y_val)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "epoch"),
    [
        (["trainer.epochs=2"], -1),
        (["trainer.epochs=2", "trainer.precision=mixed_float16"], -1),
        # At such a rate the raw weights are worse after each epoch.
        (["trainer.epochs=6", "optimizer.learning_rate=0.1", "trainer.restore_best=true"], None),
        (["trainer.epochs=6", "optimizer.learning_rate=0.1", "trainer.early_stopping_patience=1"], -1),
        (["trainer.epochs=2", *SCHEDULE_FREE], -1),
        (["trainer.epochs=5", *SCHEDULE_FREE, "trainer.restore_best=true", "optimizer.learning_rate=0.3"], None),
        (["trainer.epochs=2", *SCHEDULE_FREE, "trainer.precision=mixed_float16"], -1),
    ],
)
def test_model_that_is_kept_has_the_validated_accuracy(words, epoch):
    result, kept = trained(*words)
    values = result.history["val_accuracy"]
    validated = max(values) if epoch is None else values[epoch]
    assert kept["accuracy"] == pytest.approx(validated, abs=0.011 if "mixed" in " ".join(words) else 1e-6)
    assert result.objective == validated


def test_raw_weights_are_not_validated():
    """The averages of the first steps are near the weights at the start, so the two are told apart easily."""
    averaged, _ = trained("trainer.epochs=1", "optimizer.ema_momentum=0.999")
    raw, _ = trained("trainer.epochs=1", "optimizer.use_ema=false")
    assert averaged.history["loss"] == raw.history["loss"]
    assert averaged.history["val_loss"][0] > raw.history["val_loss"][0] + 0.05


def test_validation_changes_no_bit_of_the_training():
    longer, _ = trained("trainer.epochs=3")
    raw, _ = trained("trainer.epochs=3", "optimizer.use_ema=false")
    assert longer.history["loss"] == raw.history["loss"]


def test_schedule_free_validates_its_averages_and_not_the_weights_of_the_training():
    """With beta_1 near 0 the training is far from the averages."""
    averaged, kept = trained("trainer.epochs=3", *SCHEDULE_FREE, "optimizer.beta_1=0.05", "optimizer.learning_rate=0.1")
    assert kept["loss"] == pytest.approx(averaged.history["val_loss"][-1], rel=1e-4)


NORMALISED = ["data=mnist_5k", "data.limit=800", "data.validation=200", "tracking=none", "augment=shift"]
NORMALISED += ["model=convnet", "model.filters=[8,8]", "model.dense_units=[16]", "model.batch_norm=true"]
NORMALISED += ["model.dropout=0.2", "trainer.epochs=6", "trainer.batch_size=20"]
FAST = ["optimizer=sgd", "optimizer.learning_rate=0.1", "optimizer.momentum=0.9"]


@pytest.mark.parametrize(
    "optimizer",
    [
        [*FAST, "+optimizer.use_ema=true", "+optimizer.ema_momentum=0.995"],
        ["optimizer=schedule_free_adamw", "optimizer.learning_rate=0.01"],
    ],
)
def test_averages_of_a_normalised_network_have_their_own_statistics(optimizer):
    """Keras 3.15.1 leaves them those of the raw weights."""
    averaged, kept = trained(*optimizer, common=NORMALISED)
    assert kept["accuracy"] == pytest.approx(averaged.history["val_accuracy"][-1], abs=1e-6)
    assert kept["accuracy"] > 0.8


def test_statistics_of_averages_change_no_bit_of_the_training():
    averaged, _ = trained(*FAST, "+optimizer.use_ema=true", "+optimizer.ema_momentum=0.995", common=NORMALISED)
    raw, _ = trained(*FAST, common=NORMALISED)
    assert averaged.history["loss"] == raw.history["loss"]


def test_weights_are_swapped_without_losing_a_bit():
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(optimizer=keras.optimizers.SGD(use_ema=True), loss="mse")
    model.fit(np.random.default_rng(0).normal(size=(8, 3)), np.zeros((8, 2)), epochs=3, verbose=0)
    swap = AveragedWeights(BatchStatistics(np.zeros((8, 3)), 4))
    swap.set_model(model)
    optimizer = averaging_optimizer(model)
    raw = [np.random.default_rng(1).normal(size=w.shape).astype(np.float32) * 1e6 for w in model.get_weights()]
    model.set_weights(raw)
    averages = [np.array(keras.ops.convert_to_numpy(each)) for each in optimizer._model_variables_moving_average]
    swap.on_test_begin()
    for weight, average in zip(model.get_weights(), averages, strict=True):
        np.testing.assert_array_equal(weight, average)
    swap.on_epoch_end(0)
    for weight, before in zip(model.get_weights(), raw, strict=True):
        np.testing.assert_array_equal(weight, before)
