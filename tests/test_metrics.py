"""Metrics are those of scikit-learn, to the last digits, also where classes are absent."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from mnist_exp import metrics


@st.composite
def classified(draw):
    """Labels and probabilities of a few images, in which classes may be absent, and whose values are often equal."""
    n, classes = draw(st.integers(2, 30)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    labels = rng.integers(draw(st.integers(1, classes)), size=n)
    outputs = rng.integers(1, draw(st.sampled_from([3, 1000])), size=(n, classes)).astype(np.float32)
    return labels, outputs / outputs.sum(axis=1, keepdims=True)


def quiet(function, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


@given(classified())
@settings(deadline=None, max_examples=60)
def test_metrics_of_classes_are_those_of_scikit_learn(case):
    labels, outputs = case
    said = outputs.argmax(axis=1)
    assert metrics.accuracy(labels, outputs) == pytest.approx(sk.accuracy_score(labels, said))
    assert metrics.macro_f1(labels, outputs) == pytest.approx(quiet(sk.f1_score, labels, said, average="macro"))
    assert metrics.mcc(labels, outputs) == pytest.approx(quiet(sk.matthews_corrcoef, labels, said))
    balanced = quiet(sk.balanced_accuracy_score, labels, said)
    assert metrics.balanced_accuracy(labels, outputs) == pytest.approx(balanced)
    macro = {"average": "macro", "zero_division": 0}
    assert metrics.precision(labels, outputs) == pytest.approx(sk.precision_score(labels, said, **macro))
    assert metrics.recall(labels, outputs) == pytest.approx(sk.recall_score(labels, said, **macro))


@given(classified(), st.integers(1, 6))
@settings(deadline=None, max_examples=60)
def test_top_k_is_that_of_scikit_learn(case, k):
    labels, outputs = case
    classes = outputs.shape[1]
    if k > classes:
        with pytest.raises(ValueError, match=f"k={k} is more than the {classes} classes"):
            metrics.top_k_accuracy(labels, outputs, k=k)
        return
    expected = (
        labels if classes == 2 else quiet(sk.top_k_accuracy_score, labels, outputs, k=k, labels=np.arange(classes))
    )
    if classes > 2:
        assert metrics.top_k_accuracy(labels, outputs, k=k) == pytest.approx(expected)


@given(classified())
@settings(deadline=None, max_examples=60)
def test_auc_is_exact_and_leaves_out_what_has_none(case):
    labels, outputs = case
    there = [c for c in range(outputs.shape[1]) if 0 < (labels == c).sum() < len(labels)]
    found = metrics.auc(labels, outputs)
    if not there:
        assert math.isnan(found)
    else:
        each = [sk.roc_auc_score(labels == c, outputs[:, c]) for c in there]
        # Two probabilities add up to 1 in float32 only nearly, so that equal ones of one class may differ in the other.
        tolerance = 0.2 if outputs.shape[1] == 2 else 1e-9
        assert found == pytest.approx(np.mean(each), abs=tolerance)


def test_auc_is_not_that_of_200_thresholds():
    """Keras 3.15.1's AUC gives 0.75 here: all three scores lie between two of its thresholds."""
    labels = np.array([0, 1, 0, 1])
    outputs = np.array([[0.9991], [0.9992], [0.9993], [0.9994]], np.float32)
    assert metrics.auc(labels, outputs) == 0.75
    keras = pytest.importorskip("keras")
    theirs = keras.metrics.AUC()
    theirs.update_state(labels, outputs)
    assert float(theirs.result()) == pytest.approx(0.5)


def test_class_that_neither_occurs_nor_is_predicted_has_no_f1():
    """Keras 3.15.1's F1Score counts it as 0: 2/3 here."""
    labels, outputs = np.array([0, 1, 0, 1]), np.eye(3, dtype=np.float32)[[0, 1, 0, 1]]
    assert metrics.macro_f1(labels, outputs) == 1.0
    labels = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    assert metrics.macro_f1(labels, labels) == 1.0


@given(st.integers(2, 20), st.integers(1, 4), st.integers(0, 1000))
@settings(deadline=None, max_examples=60)
def test_metrics_of_labels_are_those_of_scikit_learn(n, count, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=(n, count)).astype(np.float32)
    outputs = rng.random((n, count), np.float32)
    said = outputs > 0.5
    assert metrics.accuracy(labels, outputs) == pytest.approx(1 - sk.hamming_loss(labels, said.astype(np.float32)))
    expected = float((labels == said).all(axis=1).mean())
    assert metrics.exact_match(labels, outputs) == pytest.approx(expected)
    there = [i for i in range(count) if labels[:, i].any() or said[:, i].any()]
    if there:
        each = [sk.f1_score(labels[:, i], said[:, i]) for i in there]
        assert metrics.macro_f1(labels, outputs) == pytest.approx(np.mean(each))
    else:
        assert math.isnan(metrics.macro_f1(labels, outputs))
    for name, score in (("precision", sk.precision_score), ("recall", sk.recall_score)):
        each = [score(labels[:, i], said[:, i], zero_division=0) for i in range(count)]
        assert getattr(metrics, name)(labels, outputs) == pytest.approx(np.mean(each))
    each = [quiet(sk.matthews_corrcoef, labels[:, i], said[:, i]) for i in range(count)]
    assert metrics.mcc(labels, outputs) == pytest.approx(np.mean(each))


@given(st.integers(2, 20), st.integers(1, 4), st.integers(0, 1000))
@settings(deadline=None, max_examples=60)
def test_metrics_of_numbers_are_those_of_scikit_learn(n, count, seed):
    rng = np.random.default_rng(seed)
    labels = (2000 + rng.normal(size=(n, count))).astype(np.float32)
    outputs = (2000 + rng.normal(size=(n, count))).astype(np.float32)
    exact = labels.astype(np.float64), outputs.astype(np.float64)
    assert metrics.mae(labels, outputs) == pytest.approx(sk.mean_absolute_error(*exact))
    assert metrics.rmse(labels, outputs) == pytest.approx(sk.root_mean_squared_error(*exact))
    assert metrics.r2(labels, outputs) == pytest.approx(sk.r2_score(*exact))


def test_binary_metrics_take_one_probability():
    labels, one = np.array([0, 0, 1, 1, 1]), np.array([[0.2], [0.7], [0.6], [0.9], [0.1]], np.float32)
    both = np.concatenate([1 - one, one], axis=1)
    for name in ("accuracy", "macro_f1", "balanced_accuracy", "mcc", "auc"):
        metric = getattr(metrics, name)
        assert metric(labels, one) == pytest.approx(metric(labels, both)), name
    # As scikit-learn has them by default: of class 1.
    said = one[:, 0] > 0.5
    assert metrics.precision(labels, one) == pytest.approx(sk.precision_score(labels, said)) == 2 / 3
    assert metrics.recall(labels, one) == pytest.approx(sk.recall_score(labels, said)) == 2 / 3
    nobody = np.full((5, 1), 0.9, np.float32)
    assert metrics.precision(np.zeros(5, int), nobody) == metrics.recall(np.zeros(5, int), nobody) == 0


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "mcc", "auc", "balanced_accuracy"])
def test_metric_of_classes_refuses_numbers(name):
    with pytest.raises(ValueError, match=f"{name} is for classes and labels; for numbers there are mae"):
        getattr(metrics, name)(np.array([[0.5], [1.5]]), np.zeros((2, 1)))


@pytest.mark.parametrize("name", ["mae", "rmse", "r2"])
def test_metric_of_numbers_refuses_classes(name):
    with pytest.raises(ValueError, match=f"{name} is for numbers; for classes there are accuracy"):
        getattr(metrics, name)(np.array([0, 1]), np.zeros((2, 2)))
