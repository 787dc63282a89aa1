"""Callbacks by configuration: what they see and add, what fails, what the runner does itself, what is kept."""

import mlflow
import numpy as np
import pytest

from mnist_exp.composition.compose import compose
from mnist_exp.config import callbacks
from mnist_exp.errors import SettingsError
from mnist_exp.experiment.job_key import job_key
from mnist_exp.training import callback_state
from mnist_exp.training.own_callbacks import CallbackError, build, place

SMALL = ["data=mnist_5k", "data.limit=200", "data.validation=40", "model=mlp", "model.hidden_units=[8]"]
SMALL += ["trainer.batch_size=40", "trainer.epochs=2", "trusted_modules=[own_calls]"]
COUNTS = "+callbacks.counts={_target_: own_calls.Counts}"


def run(*words):
    from mnist_exp.experiment.runner import run

    return run(compose([*SMALL, *words]))


def test_callback_sees_the_validated_metrics_and_what_it_adds_is_recorded():
    history = run("tracking=none", COUNTS, "metrics=imbalanced").history
    assert history["steps_seen"] == [4, 8]
    assert history["validations_seen"] == [1, 2]
    # The rate of an epoch is recorded as it was, before the callback changed it for the next one.
    rates = 0.001 * np.cumprod([1 - 1e-3 * step for step in range(1, 9)])
    assert history["learning_rate"] == pytest.approx([rates[3], 0.9 * rates[7]], rel=1e-5)


FAILURES = {
    "raises": "callbacks.mine failed in on_epoch_end: KeyError: 'val_acc'",
    "freezes": "callbacks.mine changed in on_epoch_end which weights learn, or compiled the model anew",
    "compiles": "callbacks.mine changed in on_epoch_end which weights learn, or compiled the model anew",
    "adds": "callbacks: what is added to logs is recorded, so logs['text'] must be a number",
}


@pytest.mark.slow
@pytest.mark.parametrize("how", FAILURES)
def test_callback_that_fails_is_named(how):
    with pytest.raises(CallbackError) as error:
        run("tracking=none", f"+callbacks.mine={{_target_: own_calls.Fails, how: {how}}}")
    assert str(error.value).startswith(FAILURES[how])


@pytest.mark.slow
def test_run_that_a_callback_fails_says_so_in_its_tag(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CallbackError):
        run("+callbacks.mine={_target_: own_calls.Fails}", f"tracking.uri=sqlite:///{tmp_path}/m.db")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/m.db")
    (found,) = client.search_runs([client.get_experiment_by_name("mnist_exp").experiment_id])
    assert found.info.status == "FAILED"
    reason = found.data.tags["mnist_exp.failure"]
    assert "callbacks.mine failed in on_epoch_end: KeyError: 'val_acc'" in reason
    assert found.data.params["callbacks.mine._target_"] == "own_calls.Fails"


def test_each_callback_of_keras_is_taken_or_answered():
    import keras

    names = {name for name, each in vars(keras.callbacks).items() if isinstance(each, type)}
    assert {name for name in names if callbacks.instead_of(name) is None} == {"TensorBoard"}


@pytest.mark.parametrize(
    ("name", "option"),
    [("EarlyStopping", "trainer.early_stopping_patience"), ("SwapEMAWeights", "+optimizer.use_ema=true")],
)
def test_what_the_runner_does_itself_is_answered_with_the_option(name, option):
    with pytest.raises(SettingsError) as error:
        compose([*SMALL, f"+callbacks.mine={{_target_: keras.callbacks.{name}}}"])
    (problem,) = error.value.problems
    assert problem.startswith(f"callbacks.mine._target_=keras.callbacks.{name} is not allowed: ")
    assert option in problem


@pytest.mark.slow
def test_tensorboard_shows_the_values_of_the_record(alone):
    """The real one reads them: a tag for each metric, in folders for training and validation."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    result = run("callbacks=tensorboard", "callbacks.tensorboard.log_dir=board", "metrics=imbalanced")
    for part, prefix in (("train", ""), ("validation", "val_")):
        (folder,) = (alone / "board").glob(f"*_{result.run_id[:8]}")
        events = EventAccumulator(str(folder / part))
        events.Reload()
        assert {"epoch_loss", "epoch_accuracy"} <= set(events.Tags()["tensors"])
        shown = [float(make_ndarray(event.tensor_proto)) for event in events.Tensors("epoch_loss")]
        assert shown == pytest.approx(result.history[f"{prefix}loss"], rel=1e-6)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("filters=4 dropout=0.1", "filters=4_dropout=0.1_01234567"),
        ("../../etc/passwd", "_.._etc_passwd_01234567"),
        ("a\nb\x00/é" + "x" * 500, f"a_b_{'x' * 116}_01234567"),
    ],
)
def test_tensorboard_folder_has_the_name_of_the_run(alone, name, folder):
    import keras

    def placed(run_id="0123456789abcdef"):
        callback = keras.callbacks.TensorBoard(log_dir="logs")
        place([callback], run_id, name)
        return callback.log_dir

    assert placed() == f"logs/{folder}"
    (alone / "logs" / folder).mkdir(parents=True)
    assert placed() == f"logs/{folder}", "a run that is resumed goes on in it"
    (alone / "logs" / "f" / "train").mkdir(parents=True)
    assert placed("f") == "logs/f", "as older versions named it"


def test_callback_that_is_not_trusted_is_not_imported():
    with pytest.raises(SettingsError, match=r"callbacks\.mine\._target_=own_calls\.Counts is not allowed"):
        compose([*SMALL[:-1], "+callbacks.mine={_target_: own_calls.Counts}"])


def test_what_is_no_callback_is_refused():
    with pytest.raises(SettingsError, match=r"own_calls\.nothing must return a keras\.callbacks\.Callback, not int"):
        build(compose([*SMALL, "+callbacks.mine={_target_: own_calls.nothing}"]).callbacks)


def test_no_callbacks_are_in_no_job_key():
    plain = compose(SMALL)
    assert job_key(compose([*SMALL, "callbacks=none"]), "x") == job_key(plain, "x")
    assert job_key(compose([*SMALL, COUNTS]), "x") != job_key(plain, "x")
    config = plain.to_config()
    del config["callbacks"]
    from mnist_exp.config.parse import parse

    assert parse(config).settings.callbacks == {}


def test_state_comes_back_as_it_was():
    state = {
        "a": [1, (2.5, None)],
        "b": {"c": np.arange(6).reshape(2, 3), "d": "text"},
        "e": np.float32(0.1),
        "f": True,
    }
    arrays = {}
    back = callback_state.decoded(callback_state.encoded(state, arrays, "callbacks/x"), arrays)
    np.testing.assert_array_equal(back["b"].pop("c"), state["b"].pop("c"))
    assert back == state
    for hopeless in ({1, 2}, {1: 2}, object(), np.array([object()])):
        with pytest.raises(callback_state.CannotBeSavedError):
            callback_state.encoded(hopeless, {}, "x")
