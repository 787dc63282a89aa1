"""Quick Adam computes what Keras's does."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_exp.training.fast_adam import QuickAdam


def trained(kind, steps, **arguments):
    rng = np.random.default_rng(0)
    variables = [keras.Variable(rng.normal(size=shape).astype(np.float32)) for shape in ((3, 4), (5,))]
    optimizer = kind(**arguments)
    for _ in range(steps):
        gradients = [keras.ops.convert_to_tensor(rng.normal(size=v.shape).astype(np.float32)) for v in variables]
        optimizer.apply(gradients, variables)
    return [np.asarray(v) for v in (*variables, *optimizer.variables)]


def assert_equal(arguments, steps=7):
    ours, keras_own = trained(QuickAdam, steps, **arguments), trained(keras.optimizers.Adam, steps, **arguments)
    assert len(ours) == len(keras_own)
    for one, other in zip(ours, keras_own, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    st.floats(1e-5, 0.1), st.floats(0, 0.99), st.floats(0.1, 0.9999), st.sampled_from([1e-7, 1e-3]), st.integers(1, 9)
)
def test_updates(learning_rate, beta_1, beta_2, epsilon, steps):
    assert_equal({"learning_rate": learning_rate, "beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}, steps)


@pytest.mark.parametrize(
    "arguments",
    [
        {"amsgrad": True},
        {"weight_decay": 0.01},
        {"global_clipnorm": 0.5},
        {"use_ema": True, "ema_overwrite_frequency": 3},
        {"gradient_accumulation_steps": 2},
        {"learning_rate": keras.optimizers.schedules.ExponentialDecay(0.01, 3, 0.5)},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_what_keras_adds_to_it(arguments):
    assert_equal({"learning_rate": 0.01} | arguments)
