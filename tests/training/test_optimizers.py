"""Keras's newer optimizers do in a training what their sources say; what changes nothing is told."""

import keras
import numpy as np
import pytest

from mnist_exp.composition.compose import compose
from mnist_exp.config.optimizers import LEAST_EPSILON_1
from mnist_exp.config.rules import warnings_of_size, without_effect
from mnist_exp.errors import SettingsError, TrainingError
from mnist_exp.tasks.classification import Classification
from mnist_exp.training.build import build
from mnist_exp.training.optimizers import remarks
from mnist_exp.training.schedule_free import ScheduleFreeAdamW

SMALL = ["data=mnist_5k", "data.limit=400", "data.validation=100", "trainer.batch_size=50", "tracking=none"]
MLP = [*SMALL, "model=mlp", "model.hidden_units=[16]"]


def schedule_free(y, gradients, rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Algorithm 1 of arXiv:2405.15682 in float64: the weights of the training, and the averages."""
    z, x, square = y.copy(), y.copy(), np.zeros_like(y)
    for step, gradient in enumerate(gradients, start=1):
        square = beta_2 * square + (1 - beta_2) * gradient**2
        z = z - rate * gradient / (np.sqrt(square / (1 - beta_2**step)) + epsilon)
        x = (1 - 1 / step) * x + z / step
        y = (1 - beta_1) * z + beta_1 * x
    return y, x


def test_schedule_free_follows_its_source_and_ends_with_the_averages():
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(4, 3)), rng.normal(size=(10, 4, 3))
    variable = keras.Variable(start.astype(np.float32))
    optimizer = ScheduleFreeAdamW(learning_rate=0.1)
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient.astype(np.float32))])
    y, x = schedule_free(start, gradients, 0.1)
    np.testing.assert_allclose(variable.numpy(), y, atol=1e-5)
    optimizer.finalize_variable_values([variable])
    np.testing.assert_allclose(variable.numpy(), x, atol=1e-5)


def test_adafactor_makes_no_nan_of_a_dead_row_and_a_dead_column():
    from mnist_exp.experiment.runner import run

    words = [*MLP, "model.hidden_units=[64]", "optimizer=adafactor", "trainer.epochs=1"]
    assert all(np.isfinite(weights).all() for weights in run(compose(words)).model.get_weights())


def test_weights_that_become_nan_behind_a_relu_fail_the_run():
    """The loss stays finite: on a CPU, TensorFlow's relu makes 0 of NaN."""
    from mnist_exp.experiment.runner import run

    words = [*MLP, "model.hidden_units=[512,512]", "optimizer=adafactor", "optimizer.epsilon_1=1e-30"]
    with pytest.raises(TrainingError) as error:
        run(compose(words))
    assert str(error.value) == (
        "weights of mlp/dense/kernel became NaN or infinite in epoch 1: raise optimizer.epsilon_1, as to 1e-16"
    )


def test_least_epsilon_of_adafactor_is_enough():
    gradient = np.zeros((3, 3), np.float32)
    gradient[0, 0] = 1
    for epsilon, is_finite in ((LEAST_EPSILON_1, True), (1e-30, False)):
        variable = keras.Variable(np.ones((3, 3), np.float32))
        optimizer = keras.optimizers.Adafactor(epsilon_1=epsilon)
        optimizer.build([variable])
        optimizer.apply([keras.ops.convert_to_tensor(gradient)])
        assert np.isfinite(variable.numpy()).all() == is_finite


def test_relative_step_changes_nothing_and_is_told():
    def updated(**arguments):
        variable = keras.Variable(np.ones((3, 4), np.float32))
        optimizer = keras.optimizers.Adafactor(learning_rate=0.9, **arguments)
        optimizer.build([variable])
        for step in range(3):
            optimizer.apply([keras.ops.ones((3, 4)) * (step + 1.0)])
        return variable.numpy()

    np.testing.assert_array_equal(updated(relative_step=False), updated())
    (told,) = without_effect(compose([*MLP, "optimizer=adafactor", "+optimizer.relative_step=false"]))
    assert told.startswith("optimizer.relative_step=false has no effect: Adafactor takes the lower of ")


def test_exclude_embeddings_decides_who_updates_an_embedding():
    model = keras.Sequential([keras.Input((2,), dtype="int32"), keras.layers.Embedding(5, 4, name="embedding")])
    for excluded, adam in ((True, 1), (False, 0)):
        optimizer = keras.optimizers.Muon(exclude_embeddings=excluded)
        optimizer.build(model.trainable_variables)
        assert sum(each is not None for each in optimizer.adam_velocities) == adam
        assert remarks(optimizer, model.trainable_variables) == []


def test_muon_patterns_that_meet_no_kernel_are_told():
    words = [*MLP, "optimizer=muon", "optimizer.exclude_layers=[dense_1,last]", "+optimizer.exclude_embeddings=false"]
    keras.utils.clear_session()
    told = build(compose(words), (28, 28, 1), Classification(), 10, 300).remarks
    assert told == (
        "optimizer.exclude_layers: 'last' has no effect, for no kernel that Muon would update has it in its path: "
        "mlp/dense/kernel, mlp/dense_1/kernel",
        "optimizer.exclude_embeddings=false has no effect: the model has no embedding",
    )


REFUSED = {
    "ScheduleFreeAdamW averages": ["optimizer=schedule_free_adamw", "+optimizer.use_ema=true"],
    "above 0 and below 1": ["optimizer=schedule_free_adamw", "optimizer.beta_1=0"],
    "must be a number, at least 0": ["optimizer=adamw", "optimizer.weight_decay=null"],
    "'(' is no regular expression": ["optimizer=muon", "optimizer.exclude_layers=['(']"],
    "base of the others": ["optimizer._target_=keras.optimizers.Optimizer"],
    "mixed_float16 wraps": ["optimizer._target_=keras.optimizers.LossScaleOptimizer"],
    "made of other optimizers": ["optimizer._target_=keras.optimizers.MultiOptimizer"],
    "begins with a rate of 0": [
        "optimizer._target_=keras.optimizers.Ftrl",
        "~optimizer.beta_1",
        "~optimizer.beta_2",
        "schedule=cosine",
        "schedule.warmup=0.5",
    ],
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_keras_would_refuse_or_make_nan_of_is_told_before_it_is_imported(words):
    with pytest.raises(SettingsError) as error:
        compose([*MLP, *REFUSED[words]])
    assert words in str(error.value)


def test_ftrl_makes_nan_of_a_rate_of_zero():
    """So it is refused."""
    variable = keras.Variable(np.ones(3, np.float32))
    optimizer = keras.optimizers.Ftrl(learning_rate=0.0)
    optimizer.build([variable])
    optimizer.apply([keras.ops.ones(3)])
    assert not np.isfinite(variable.numpy()).all()


NEVER = {
    "optimizer.ema_overwrite_frequency=13 has no effect in 12 updates": [
        "+optimizer.use_ema=true",
        "+optimizer.ema_overwrite_frequency=13",
    ],
    "optimizer.warmup_steps=13 is more than the 12 updates": [
        "optimizer=schedule_free_adamw",
        "optimizer.warmup_steps=13",
    ],
    "schedule.warmup=0.04 has no effect: it is less than one of 12 steps": ["schedule=cosine", "schedule.warmup=0.04"],
}


@pytest.mark.parametrize("sentence", NEVER)
def test_step_that_the_training_never_reaches_is_told(sentence):
    words = [*MLP, "trainer.epochs=2"]
    (told,) = warnings_of_size(compose([*words, *NEVER[sentence]]), 300)
    assert told.startswith(sentence)
    assert warnings_of_size(compose([*words, "trainer.epochs=20", *NEVER[sentence]]), 300) == []
