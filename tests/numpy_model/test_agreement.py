"""NumPy may compute a model only where it was tried, and only that very file."""

import json

import keras
import numpy as np
import pytest
from keras import layers as kl

from mnist_exp.numpy_model import agreement


@pytest.fixture
def made(tmp_path):
    """Return content, examples and Keras's predictions of a small model that ends with an activation."""

    def make(activation="softmax", **options):
        pixels = keras.Input((6,), name="pixels")
        model = keras.Model(pixels, kl.Dense(3, activation=activation, **options)(pixels))
        model.save(tmp_path / "model.keras")
        x = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
        return (tmp_path / "model.keras").read_bytes(), x, np.array(model(x), np.float32)

    return make


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_equal_model_is_kept_with_the_digest_of_its_file(made, activation):
    content, x, answers = made(activation)
    found = agreement.measure(content, x, answers, activation)
    assert (found.why_not, found.examples) == ("", 30)
    assert found.difference <= 1e-6
    tag = found.to_json()
    assert agreement.may_be_kept(tag)
    assert agreement.is_kept(tag, content)
    assert not agreement.is_kept(tag, content + b" ")


def test_answers_that_differ_are_not_kept(made):
    content, x, answers = made()
    far = answers.copy()
    far[7, 0] += 2e-5
    found = agreement.measure(content, x, far, "softmax")
    assert found.why_not == "NumPy's answers are up to 2e-05 from Keras's"
    assert not agreement.may_be_kept(found.to_json())
    assert json.loads(found.to_json()) == {"why_not": found.why_not}


def test_a_changed_label_is_not_kept_however_near_it_is(made):
    content, x, answers = made("sigmoid")
    content = made("sigmoid", kernel_initializer="zeros")[0]  # 0.5 everywhere.
    half = np.full_like(answers, 0.5)
    assert agreement.measure(content, x, half, "sigmoid").why_not == ""
    assert agreement.measure(content, x, half + np.float32(1e-6), "sigmoid").why_not


def test_numbers_are_left_to_keras(made):
    content, x, answers = made("linear")
    assert agreement.measure(content, x, answers, "linear").why_not.startswith("its numbers are shown to six digits")


def test_what_numpy_does_not_know_is_said(made, tmp_path):
    pixels = keras.Input((6, 2), name="pixels")
    model = keras.Model(pixels, kl.LSTM(3)(pixels))
    model.save(tmp_path / "model.keras")
    x = np.zeros((2, 6, 2), np.float32)
    found = agreement.measure((tmp_path / "model.keras").read_bytes(), x, np.asarray(model(x)), "sigmoid")
    assert found.why_not == "NumPy does not compute LSTM"


def test_answers_that_are_no_numbers_are_not_kept(made):
    content, x, answers = made()
    answers[3] = np.nan
    assert agreement.measure(content, x, answers, "softmax").why_not == "its answers are no finite numbers"


@pytest.mark.parametrize("tag", ["", "{", "[]", "null", '"abc"', '{"why_not": "x"}', '{"sha256": null}', "[" * 5000])
def test_damaged_tag_keeps_nothing(tag):
    assert not agreement.is_kept(tag, b"")
