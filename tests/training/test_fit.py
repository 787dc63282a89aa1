"""Building, training and testing real, small models on real digits."""

import math
import os
import subprocess
import sys

import keras
import numpy as np
import psutil
import pytest
from scoring import score
from sklearn.metrics import accuracy_score, log_loss

from mnist_exp import data
from mnist_exp.composition.compose import compose
from mnist_exp.config.schema import TrainerSettings
from mnist_exp.errors import SettingsError, TrainingError
from mnist_exp.tasks.classification import Classification
from mnist_exp.training import setup
from mnist_exp.training.batches import Batches
from mnist_exp.training.build import Goal, build
from mnist_exp.training.fit import TrainingRequest, fit
from mnist_exp.training.predict import predict

SMALL = ["data=mnist_5k", "tracking=none", "data.limit=500", "data.validation=100"]
SMALL += ["model.filters=4", "model.dense_units=16", "trainer.epochs=2", "trainer.batch_size=64"]
STEPS = math.ceil(400 / 64)


@pytest.fixture(autouse=True)
def full_precision():
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="module")
def dataset(digits):
    return data.load(compose(SMALL))


def split_of(settings, dataset):
    return data.split(dataset, limit=settings.data.limit, validation=settings.data.validation, seed=settings.seed)


def train(overrides, dataset, after_epoch=lambda epoch, built: None):
    """Return the settings, the built models and the history of a training, as the runner does it."""
    settings = compose([*SMALL, *overrides])
    split = split_of(settings, dataset)
    setup.set_up(settings.seed, settings.trainer)
    built = build(settings, dataset.shape, dataset.task, dataset.outputs, len(split.x_train))
    request = TrainingRequest(
        built.training_model, built.goal, split, settings, lambda epoch, metrics: after_epoch(epoch, built) is None
    )
    history = fit(request).history
    return settings, built, history


def keep_weights(weights):
    return lambda epoch, built: weights.append(built.training_model.get_weights())


def test_score_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(10), size=500).astype(np.float32)
    labels = rng.integers(10, size=500)
    found = score(probabilities, labels)
    exact = probabilities.astype(np.float64)
    assert found["loss"] == pytest.approx(log_loss(labels, exact / exact.sum(axis=1, keepdims=True)), rel=1e-6)
    assert found["accuracy"] == accuracy_score(labels, probabilities.argmax(axis=1))


def test_score_of_a_certain_error_is_finite():
    found = score(np.array([[1.0, 0.0], [1.0, 0.0]], np.float32), np.array([0, 1]))
    assert found["accuracy"] == 0.5
    assert 10 < found["loss"] < 100


def test_score_agrees_with_keras(dataset):
    _, built, _ = train([], dataset)
    found = score(predict(built.inference_model, dataset.x_test), dataset.y_test)
    loss, accuracy = built.training_model.evaluate(dataset.x_test, dataset.y_test, verbose=0)
    assert found == pytest.approx({"loss": loss, "accuracy": accuracy}, rel=1e-4)


@pytest.mark.parametrize("overrides", [[], ["augment=affine", "augment.shear=0.1"]], ids=["plain", "augmented"])
def test_same_seed_gives_the_same_training_bit_for_bit(overrides, dataset):
    def outcome():
        _, built, history = train(overrides, dataset)
        timeless = {name: values for name, values in history.items() if name not in ("epoch_time_s", "images_per_s")}
        return built.training_model.get_weights(), timeless

    (first, first_history), (second, second_history) = outcome(), outcome()
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert first_history == second_history


def test_training_stops_when_the_callback_asks(dataset):
    _, _, history = train(["trainer.epochs=5"], dataset, lambda epoch, built: "enough" if epoch == 2 else None)
    assert len(history["loss"]) == 2


def test_nan_loss_ends_training_with_epoch_and_step(dataset):
    def spoil(epoch, built):
        built.training_model.get_layer(index=-1).set_weights(
            [np.full_like(w, np.nan) for w in built.training_model.get_layer(index=-1).get_weights()]
        )

    with pytest.raises(
        TrainingError, match=r"the loss became nan in epoch 2, steps 1 to 7: lower optimizer\.learning_rate"
    ):
        train(["trainer.epochs=3"], dataset, spoil)


@pytest.mark.slow
def test_memory_of_a_training_is_released(dataset):
    sizes = []
    for seed in range(12):
        train([f"seed={seed}", "trainer.epochs=1"], dataset)
        setup.forget()
        sizes.append(psutil.Process().memory_info().rss / 1e6)
    # 10 MB a training without it.
    assert sizes[-1] - sizes[2] < 30, sizes


def test_another_seed_gives_other_weights(dataset):
    def weights(seed):
        settings = compose([*SMALL, f"seed={seed}"])
        setup.set_up(settings.seed, settings.trainer)
        return build(settings, dataset.shape, dataset.task, dataset.outputs, 400).inference_model.get_weights()

    np.testing.assert_array_equal(weights(7)[0], weights(7)[0])
    assert np.all(weights(7)[0] != weights(8)[0])


def test_training_lowers_the_loss_and_reports_each_epoch(dataset):
    reported, steps = [], []
    settings = compose([*SMALL, "trainer.epochs=3"])
    split = split_of(settings, dataset)
    setup.set_up(settings.seed, settings.trainer)
    built = build(settings, dataset.shape, dataset.task, dataset.outputs, len(split.x_train))
    request = TrainingRequest(
        built.training_model,
        built.goal,
        split,
        settings,
        lambda epoch, metrics: reported.append((epoch, metrics)) is None,
    )
    history = fit(request, lambda step, metrics: steps.append(step)).history
    assert [epoch for epoch, _ in reported] == [1, 2, 3]
    assert steps == [STEPS] * 3  # All of a small model's few steps are done at a time.
    names = {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "epoch_time_s", "images_per_s"}
    assert set(history) == names
    assert history == {name: [metrics[name] for _, metrics in reported] for name in names}
    assert history["loss"] == sorted(history["loss"], reverse=True)
    assert min(history["epoch_time_s"]) > 0
    found = score(predict(built.inference_model, split.x_val), split.y_val)
    last = {name: history[f"val_{name}"][-1] for name in found}
    assert found == pytest.approx(last, rel=1e-4)


@pytest.mark.slow
def test_several_steps_at_a_time_change_no_bit(dataset, monkeypatch):
    def outcome(at_a_time):
        monkeypatch.setattr("mnist_exp.training.fit._MOST_STEPS_AT_A_TIME", at_a_time)
        _, built, history = train([], dataset)
        return built.training_model.get_weights(), history["loss"], history["val_loss"]

    one = outcome(1)
    for at_a_time in (3, STEPS, STEPS + 1):
        several = outcome(at_a_time)
        assert several[1:] == one[1:]
        for here, there in zip(several[0], one[0], strict=True):
            np.testing.assert_array_equal(here, there)


def test_fit_trains_on_the_orders_of_epochs_0_and_1(dataset):
    """The order of each epoch follows from (seed, epoch), counted from 0, so epoch k can be trained alone."""
    settings = compose(SMALL)
    split = split_of(settings, dataset)
    seen = []

    class Recorder(keras.Model):
        def call(self, x):
            return x

        def train_step(self, batch):
            seen.append(np.asarray(batch[1]).tolist())
            return {"loss": 0.0}

        def test_step(self, batch):
            return {"loss": 0.0}

    model = Recorder()
    model.compile(optimizer="sgd", run_eagerly=True)
    goal = Goal(Classification(), keras.losses.SparseCategoricalCrossentropy(), is_raw=False)
    fit(TrainingRequest(model, goal, split, settings, lambda epoch, metrics: True))
    for epoch in (0, 1):
        batches = Batches(split.x_train, split.y_train, batch_size=64, seed=settings.seed)
        batches.start_epoch(epoch)
        assert seen[epoch * STEPS : (epoch + 1) * STEPS] == [batches[i][1].tolist() for i in range(STEPS)]


def _layers(model):
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


def test_saved_model_needs_only_keras(dataset, tmp_path):
    _, built, _ = train(["augment=affine", "augment.shear=0.1"], dataset)
    assert any(type(layer).__name__.startswith("Random") for layer in _layers(built.training_model))
    built.inference_model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    for model in (built.inference_model, loaded):
        assert not any(type(layer).__name__.startswith("Random") for layer in _layers(model))
        assert getattr(model, "optimizer", None) is None
        assert not model.compiled
    expected = predict(built.inference_model, dataset.x_test)
    trained = keras.ops.softmax(predict(built.training_model, dataset.x_test))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(trained), expected, rtol=1e-5)
    np.testing.assert_array_equal(predict(loaded, dataset.x_test), expected)
    assert loaded.input_shape == (None, 28, 28, 1)
    assert expected.dtype == np.float32


def test_models_accept_raw_pixels(dataset):
    settings = compose(SMALL)
    setup.set_up(settings.seed, settings.trainer)
    built = build(settings, dataset.shape, dataset.task, dataset.outputs, 400)
    network = next(layer for layer in built.inference_model.layers if isinstance(layer, keras.Model))
    scaled = dataset.x_test[:32] / np.float32(255)
    np.testing.assert_allclose(predict(built.inference_model, dataset.x_test[:32]), network(scaled), atol=1e-6)


@pytest.mark.parametrize(
    ("objective", "direction", "best", "patience"),
    [("val_loss", "minimize", np.argmin, "null"), ("val_accuracy", "maximize", np.argmax, "1")],
)
def test_restore_best_ends_with_the_weights_of_the_best_epoch(objective, direction, best, patience, dataset):
    weights = []
    # A rate this high makes the epochs go up and down.
    overrides = [
        "trainer.epochs=6",
        "trainer.restore_best=true",
        "optimizer.learning_rate=0.03",
        "trainer.batch_size=32",
    ]
    overrides += [f"objective={objective}", f"direction={direction}", f"trainer.early_stopping_patience={patience}"]
    _, built, history = train(
        overrides, dataset, lambda epoch, built: weights.append(built.training_model.get_weights())
    )
    chosen = int(best(history[objective]))
    assert chosen < len(weights) - 1, "the last epoch is the best: the test shows nothing"
    for found, expected in zip(built.inference_model.get_weights(), weights[chosen], strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_early_stopping_ends_after_patience_epochs(dataset):
    overrides = ["trainer.epochs=30", "trainer.early_stopping_patience=2", "optimizer.learning_rate=0.03"]
    weights = []
    _, built, history = train(
        overrides, dataset, lambda epoch, built: weights.append(built.training_model.get_weights())
    )
    accuracy = history["val_accuracy"]
    assert len(accuracy) < 30
    assert int(np.argmax(accuracy)) == len(accuracy) - 3
    for found, expected in zip(built.inference_model.get_weights(), weights[-1], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_mixed_precision_trains_with_float32_probabilities(dataset):
    overrides = ["trainer.precision=mixed_bfloat16", "augment=affine", "augment.shear=0.1", "trainer.epochs=3"]
    _, built, history = train(overrides, dataset)
    assert any(layer.compute_dtype == "bfloat16" for layer in _layers(built.training_model))
    assert built.inference_model.output.dtype == "float32"
    assert all(weight.dtype == "float32" for weight in built.training_model.trainable_weights)
    assert history["loss"][-1] < history["loss"][0]
    np.testing.assert_allclose(predict(built.inference_model, dataset.x_test).sum(axis=1), 1, atol=1e-5)
    # The precision of one run must not leak into the next one of a sweep.
    setup.set_up(7, TrainerSettings())
    assert keras.config.dtype_policy().name == "float32"


def compiled_optimizer(overrides, images=400):
    settings = compose([*SMALL, *overrides])
    setup.set_up(settings.seed, settings.trainer)
    return build(settings, (28, 28, 1), Classification(), 10, images).training_model.optimizer


def test_arguments_reach_the_optimizer():
    optimizer = compiled_optimizer(["optimizer=adamw", "optimizer.global_clipnorm=0.5", "optimizer.beta_1=0.8"])
    assert isinstance(optimizer, keras.optimizers.AdamW)
    assert (optimizer.global_clipnorm, optimizer.beta_1, optimizer.weight_decay) == (0.5, 0.8, 0.004)
    assert float(optimizer.learning_rate) == pytest.approx(0.001)


def test_global_clipnorm_limits_the_step(dataset):
    overrides = ["optimizer=sgd", "optimizer.momentum=0.0", "optimizer.nesterov=false", "optimizer.learning_rate=1.0"]
    overrides += ["optimizer.global_clipnorm=0.001", "trainer.epochs=1", "trainer.batch_size=500"]
    settings = compose([*SMALL, *overrides])
    split = split_of(settings, dataset)
    setup.set_up(settings.seed, settings.trainer)
    built = build(settings, dataset.shape, dataset.task, dataset.outputs, len(split.x_train))
    model = built.training_model
    before = model.get_weights()
    fit(TrainingRequest(model, built.goal, split, settings, lambda epoch, metrics: True))
    change = math.sqrt(sum(float(((a - b) ** 2).sum()) for a, b in zip(model.get_weights(), before, strict=True)))
    assert change == pytest.approx(0.001, rel=0.01)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle", "exponential"])
def test_learning_rate_metric_follows_the_schedule(schedule, dataset):
    settings, _, history = train([f"schedule={schedule}", "trainer.epochs=3", "optimizer.learning_rate=0.004"], dataset)
    made = settings.schedule.build(0.004, 3 * STEPS)
    # The rate after an epoch is that of the next step.
    expected = [float(made(epoch * STEPS) if callable(made) else made) for epoch in (1, 2, 3)]
    assert history["learning_rate"] == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_schedule_counts_the_smaller_last_batch_as_a_step():
    optimizer = compiled_optimizer(["schedule=exponential", "schedule.final=0.5"], images=401)
    optimizer.iterations.assign(2 * math.ceil(401 / 64))
    assert float(optimizer.learning_rate) == pytest.approx(0.0005, rel=1e-5)


def test_schedule_without_a_learning_rate_is_used():
    """A schedule is used even if the learning rate is left to Keras, which has a default."""
    try:
        optimizer = compiled_optimizer(["~optimizer.learning_rate", "schedule=exponential"])
    except SettingsError:
        return
    before = float(optimizer.learning_rate)
    optimizer.iterations.assign(2 * STEPS)
    assert float(optimizer.learning_rate) < before


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("own_text", "return 'a model'", "must return a keras.Model, not str"),
        ("own_map", "return Sequential([Input(input_shape), Flatten()])", "must return probabilities, or logits"),
    ],
)
def test_result_of_a_users_builder_is_checked(name, body, words, tmp_path, monkeypatch):
    imports = "from keras import Input, Sequential\nfrom keras.layers import Flatten\n"
    (tmp_path / f"{name}.py").write_text(f"{imports}def net(input_shape, classes):\n    {body}\n")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "own.yaml").write_text(f"_target_: {name}.net\n")
    monkeypatch.syspath_prepend(tmp_path)
    settings = compose(["model=own", f"trusted_modules=[{name}]"], config_dir=tmp_path)
    with pytest.raises(SettingsError, match=words):
        build(settings, (28, 28, 1), Classification(), 10, 400)


OF_OUR_NAMES = """
import keras
from keras import layers


def net(input_shape, classes, *, name: str):
    inputs = keras.Input(input_shape, name=name)
    outputs = layers.Dense(classes, activation="softmax", name=f"{name}_")(layers.Flatten()(inputs))
    return keras.Model(inputs, outputs, name=name)


def shifts(*, name: str):
    return [layers.RandomTranslation(0.1, 0.1, name=name), layers.RandomTranslation(0.1, 0.1, name=name)]
"""


def test_augmentation_that_changes_the_shape_is_refused(tmp_path, monkeypatch):
    (tmp_path / "crops.py").write_text(
        "import keras\ndef crop():\n    return [keras.layers.RandomCrop(20, 24)]\n"
        "def crop_back():\n    return [*crop(), keras.layers.Resizing(28, 28)]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    words = ["data=mnist_5k", "model=mlp", "trusted_modules=[crops]"]
    with pytest.raises(
        SettingsError, match=r"crops\.crop makes images 20×24×1 of 28×28×1, which is what the model gets"
    ):
        build(compose([*words, "augment._target_=crops.crop"]), (28, 28, 1), Classification(), 10, 400)
    build(compose([*words, "augment._target_=crops.crop_back"]), (28, 28, 1), Classification(), 10, 400)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["pixels", "rescaling", "own", "net"])
@pytest.mark.parametrize("augment", ["pixels", "rescaling", "own"])
def test_own_models_and_layers_may_have_any_name(model, augment, dataset, tmp_path, monkeypatch):
    (tmp_path / "own_names.py").write_text(OF_OUR_NAMES)
    for group, builder in (("model", "net"), ("augment", "shifts")):
        (tmp_path / group).mkdir()
        (tmp_path / group / "own.yaml").write_text(f"_target_: own_names.{builder}\nname: ???\n")
    monkeypatch.syspath_prepend(tmp_path)
    words = [
        "model=own",
        "augment=own",
        f"model.name={model}",
        f"augment.name={augment}",
        "trusted_modules=[own_names]",
    ]
    built = build(compose(words, config_dir=tmp_path), (28, 28, 1), Classification(), 10, 400)
    built.training_model.train_on_batch(dataset.x_train[:8], dataset.y_train[:8])
    built.inference_model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(predict(again, dataset.x_test[:8]), predict(built.inference_model, dataset.x_test[:8]))


def test_thread_count_set_too_late_is_refused():
    keras.ops.convert_to_numpy(keras.ops.zeros(1))  # now TensorFlow runs
    with pytest.raises(SettingsError, match=r"trainer\.threads=3 comes too late"):
        setup.set_up(7, TrainerSettings(threads=3))


@pytest.mark.slow
def test_thread_count_set_in_time_is_used():
    script = """
import keras, tensorflow as tf
from mnist_exp.training import setup
from mnist_exp.config.schema import TrainerSettings
for _ in range(2):  # the jobs of a sweep, one after the other
    setup.set_up(7, TrainerSettings(threads=1))
    keras.ops.convert_to_numpy(keras.ops.zeros(1))
print(tf.config.threading.get_intra_op_parallelism_threads())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.stdout.split() == ["1"], done.stderr
