"""A training that is stopped and resumed is the same to the last bit: in one process, stopped at any step."""

import signal

import keras
import pytest
import sittings
from sittings import assert_same

from mnist_exp import compose, data
from mnist_exp.errors import SettingsError
from mnist_exp.runtime import signals
from mnist_exp.training import checkpoints
from mnist_exp.training.averaged_weights import AveragedWeights
from mnist_exp.training.checkpoints import Position

pytestmark = pytest.mark.slow

SMALL = ["data=mnist_5k", "data.limit=400", "data.validation=0.25", "model.filters=2", "model.dense_units=8"]
SMALL += ["trainer.batch_size=64", "trainer.epochs=3"]  # 5 steps an epoch, the last one smaller


@pytest.fixture(scope="module")
def dataset():
    return data.load(compose(SMALL))


@pytest.fixture(autouse=True)
def one_step_at_a_time(monkeypatch):
    """Run one step at a time, so that a training can be stopped after any step."""
    monkeypatch.setattr("mnist_exp.training.fit._MOST_STEPS_AT_A_TIME", 1)


@pytest.fixture(autouse=True)
def full_precision():
    yield
    keras.config.set_dtype_policy("float32")


def sitting(overrides, dataset, folder, stop_at=None, pause_at=None):
    return sittings.sitting(compose([*SMALL, *overrides]), dataset, folder, stop_at, pause_at)


# Together, or with options; each choice by itself is in tests/test_every_choice.py.
KINDS = {
    "augmented, with momentum": ["augment=affine", "optimizer=sgd"],
    "best weights": ["trainer.restore_best=true", "trainer.early_stopping_patience=2", "optimizer.learning_rate=0.05"],
    "plateau": ["trainer.plateau_patience=1", "trainer.plateau_factor=0.5", "optimizer.learning_rate=0.05"],
    "erased": ["augment=random_erasing", "augment.fill=noise"],
    "cutmix, weighted classes": ["augment=cutmix", "trainer.class_weight=balanced"],
    "float16": ["trainer.precision=mixed_float16"],
    "the best moving averages": ["+optimizer.use_ema=true", "trainer.restore_best=true", "optimizer.learning_rate=0.1"],
    "the averages of a normalised network": [
        "model=convnet",
        "model.filters=[4,4]",
        "model.dense_units=[8]",
        "model.batch_norm=true",
        "model.dropout=0.2",
        "augment=shift",
        "+optimizer.use_ema=true",
        "trainer.restore_best=true",
    ],
    "focal loss, weighted classes, further metrics": [
        "loss=focal",
        "trainer.class_weight=balanced",
        "metrics=imbalanced",
        "objective=val_macro_f1",
        "trainer.restore_best=true",
    ],
    "muon, scheduled": ["optimizer=muon", "schedule=cosine"],
    "nadam in float16": ["optimizer=nadam", "trainer.precision=mixed_float16"],
    "the best schedule-free averages": ["optimizer=schedule_free_adamw", "trainer.restore_best=true"],
    "schedule-free in float16": ["optimizer=schedule_free_adamw", "trainer.precision=mixed_float16"],
    "a checkpoint every other epoch": ["trainer.checkpoint_every=2"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_training_that_a_search_pauses_goes_on_as_if_it_had_not_been(kind, dataset, tmp_path):
    whole = sitting(KINDS[kind], dataset, tmp_path / "whole")
    for epoch in (1, 2):
        _, paused, _ = sitting(KINDS[kind], dataset, tmp_path / "cut", pause_at=epoch)
        assert (paused.stopped_by_callback, len(paused.history["loss"])) == (True, epoch)
    assert_same(sitting(KINDS[kind], dataset, tmp_path / "cut"), whole)


def test_training_that_stops_early_where_a_search_pauses_it_is_over(dataset, tmp_path):
    stops = ["trainer.early_stopping_patience=1", "optimizer.learning_rate=1e-9", "trainer.epochs=5"]
    whole = sitting(stops, dataset, tmp_path / "whole")
    assert len(whole[1].history["loss"]) == 2
    sitting(stops, dataset, tmp_path / "cut", pause_at=2)
    assert_same(sitting(stops, dataset, tmp_path / "cut"), whole)


@pytest.mark.parametrize("stop_at", [(0, 1), (0, 5), (1, 3), (2, 5)])
def test_training_stopped_after_any_step_resumes_there(stop_at, dataset, tmp_path):
    whole = sitting([], dataset, tmp_path / "whole")
    with pytest.raises(signals.Terminated):
        sitting([], dataset, tmp_path / "cut", stop_at)
    assert checkpoints.load(tmp_path / "cut")[0].position == Position(*stop_at)
    assert_same(sitting([], dataset, tmp_path / "cut"), whole)


def test_stop_within_several_steps_at_a_time_changes_nothing(dataset, tmp_path, monkeypatch):
    whole = sitting([], dataset, tmp_path / "whole")
    for at_a_time, stop_at in ((3, (0, 3)), (2, (1, 2))):
        monkeypatch.setattr("mnist_exp.training.fit._MOST_STEPS_AT_A_TIME", at_a_time)
        with pytest.raises(signals.Terminated):
            sitting([], dataset, tmp_path / "cut", stop_at)
        assert checkpoints.load(tmp_path / "cut")[0].position == Position(*stop_at)
    assert_same(sitting([], dataset, tmp_path / "cut"), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_training_stopped_twice_is_the_same(kind, dataset, tmp_path):
    whole = sitting(KINDS[kind], dataset, tmp_path / "whole")
    for stop_at in ((0, 4), (1, 2)):
        with pytest.raises(signals.Terminated):
            sitting(KINDS[kind], dataset, tmp_path / "cut", stop_at)
    assert_same(sitting(KINDS[kind], dataset, tmp_path / "cut"), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_training_killed_between_epochs_is_the_same(kind, dataset, tmp_path):
    whole = sitting(KINDS[kind], dataset, tmp_path / "whole")
    for file in sorted((tmp_path / "whole").iterdir())[1:]:  # The last epoch's never came to be.
        file.unlink()
    start, _ = checkpoints.load(tmp_path / "whole")
    assert start.position == Position(2)
    assert_same(sitting(KINDS[kind], dataset, tmp_path / "whole"), whole)


def test_backbone_of_which_a_part_learns_resumes_the_same(dataset, tmp_path, monkeypatch):
    small = [word for word in SMALL if not word.startswith("model.")]
    monkeypatch.setitem(globals(), "SMALL", [*small, "model=backbone", "trainer.epochs=2"])
    words = ["model.train_from=expanded_conv_9_add", "data.limit=120"]
    whole = sitting(words, dataset, tmp_path / "whole")
    with pytest.raises(signals.Terminated):
        sitting(words, dataset, tmp_path / "cut", (0, 1))
    assert_same(sitting(words, dataset, tmp_path / "cut"), whole)


def test_resume_tells_what_of_a_callback_no_checkpoint_can_hold(dataset, tmp_path):
    words = ["+callbacks.mine={_target_: own_calls.Holds}", "trusted_modules=[own_calls]"]
    with pytest.raises(signals.Terminated):
        sitting(words, dataset, tmp_path, (1, 2))
    _, _, messages = sitting(words, dataset, tmp_path)
    assert messages == [
        "callbacks.mine: seen cannot be kept in a checkpoint and begins anew; give the callback get_state() and "
        "set_state(state)"
    ]


def test_training_stopped_while_averages_are_validated_is_the_same(dataset, tmp_path, monkeypatch):
    averaged = ["+optimizer.use_ema=true"]
    whole = sitting(averaged, dataset, tmp_path / "whole")
    begin, begun = AveragedWeights.on_test_begin, []

    def begin_and_ask(self, logs=None):
        begin(self, logs)
        begun.append(1)
        if len(begun) == 2:
            signals._asked.append(signal.SIGTERM)

    monkeypatch.setattr(AveragedWeights, "on_test_begin", begin_and_ask)
    with pytest.raises(signals.Terminated):
        sitting(averaged, dataset, tmp_path / "cut")
    assert checkpoints.load(tmp_path / "cut")[0].position.epoch == 1
    assert_same(sitting(averaged, dataset, tmp_path / "cut"), whole)


def test_finished_training_trains_no_more(dataset, tmp_path):
    stopped_early = ["trainer.early_stopping_patience=1", "trainer.restore_best=true", "optimizer.learning_rate=1.0"]
    whole = sitting(stopped_early, dataset, tmp_path)
    assert len(whole[1].history["loss"]) == 2
    again = sitting(stopped_early, dataset, tmp_path)
    assert_same(again, whole)


def test_layer_with_a_keras_generator_continues_its_random_numbers(dataset, tmp_path, monkeypatch):
    (tmp_path / "noisy.py").write_text(
        "import keras\n\n\n"
        "class Noise(keras.layers.Layer):\n"
        "    def call(self, x, training=False):\n"
        "        return x + keras.random.normal(keras.ops.shape(x)) if training else x\n\n\n"
        "def net(input_shape, classes):\n"
        "    layers = [keras.Input(input_shape), Noise(), keras.layers.Flatten()]\n"
        "    return keras.Sequential([*layers, keras.layers.Dense(classes, 'softmax')])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    noisy = ["model._target_=noisy.net", "trusted_modules=[noisy]", "~model.filters", "~model.dense_units"]
    noisy += [f"~model.{name}" for name in ("kernel_size", "pool_size", "dropout", "activation")]
    whole = sitting(noisy, dataset, tmp_path / "whole")
    with pytest.raises(signals.Terminated):
        sitting(noisy, dataset, tmp_path / "cut", (1, 2))
    assert_same(sitting(noisy, dataset, tmp_path / "cut"), whole)


def test_checkpoint_of_another_model_is_refused(dataset, tmp_path):
    with pytest.raises(signals.Terminated):
        sitting([], dataset, tmp_path, (0, 1))
    with pytest.raises(
        SettingsError, match=r"of another model: cnn/dense/kernel has the shape \(.*, 9\), .* \(.*, 8\)"
    ):
        sitting(["model.dense_units=9"], dataset, tmp_path)


def test_unwritable_folder_loses_the_checkpoint_only(dataset, tmp_path):
    (tmp_path / "file").write_text("in the way")
    _, fitted, messages = sitting([], dataset, tmp_path / "file")
    assert len(fitted.history["loss"]) == 3
    assert len(messages) == 3
    assert "no checkpoint at epoch 2, the last one stays: " in messages[0]
