"""What a run says of its confidence: thresholds whose promise holds, and a file that may come from someone else."""

import json

import numpy as np
import pytest
from scipy import stats

from mnist_exp.errors import SettingsError
from mnist_exp.evaluation import confidence, likeness
from mnist_exp.evaluation.confidence import Step


def drawn(count, seed=0):
    """Return probabilities of two classes and labels: the sure ones are right more often."""
    random = np.random.default_rng(seed)
    sure = 1 - random.beta(0.3, 3, count) / 2
    right = random.random(count) < sure
    outputs = np.stack([sure, 1 - sure], axis=1).astype(np.float32)
    return outputs, np.where(right, 0, 1)


def test_steps_count_the_images_that_are_as_sure():
    outputs, targets = drawn(1000)
    found = confidence.measure(outputs, targets, "softmax")
    calibrated = found.calibrated(outputs, "softmax").max(axis=1)
    assert [step.answered for step in found.steps] == list(range(20, 1001, 20))
    for step in found.steps:
        are_answered = calibrated >= step.threshold
        assert step.answered == are_answered.sum()
        assert step.right == (targets[are_answered] == 0).sum()
    assert found.loss[1] <= found.loss[0]


def test_hold_outs_of_every_size_have_their_steps():
    """Of 112 images, 50 times 112 / 50 is more than 112 in floating point."""
    for count in (1, 2, 49, 50, 51, 99, 112, 113, 224, 399, 448, 3000):
        outputs, targets = drawn(count, 0)
        steps = confidence.measure(outputs, targets, "softmax").steps
        assert steps[-1].answered == count
        assert len(steps) <= min(count, 50)  # Equal ones are one step.


def test_equal_confidence_is_answered_together():
    outputs = np.tile(np.array([[0.8, 0.2]], np.float32), (100, 1))
    found = confidence.measure(outputs, np.arange(100) % 10 // 9, "softmax")
    assert [(step.answered, step.right) for step in found.steps] == [(100, 90)]


def test_lower_bound_is_that_of_clopper_and_pearson():
    expected = stats.binomtest(95, 100, alternative="greater").proportion_ci(0.95, method="exact").low
    assert Step(0.5, 100, 95).lower_bound == pytest.approx(expected)
    assert Step(0.5, 100, 100).lower_bound == pytest.approx(0.05 ** (1 / 100))
    assert Step(0.5, 3, 0).lower_bound == 0


@pytest.mark.slow
def test_promised_accuracy_is_kept_by_nineteen_of_twenty_runs():
    broken = promised = 0
    outputs_new, targets_new = drawn(200_000, seed=999)
    for seed in range(100):
        found = confidence.measure(*drawn(2000, seed), "softmax")
        step = found.sure_enough(0.98)
        if step is not None:
            promised += 1
            are_answered = found.calibrated(outputs_new, "softmax").max(axis=1) >= step.threshold
            broken += (targets_new[are_answered] == 0).mean() < 0.98
    assert promised > 50
    assert broken / promised <= 0.05


def test_what_is_recorded_is_read_again():
    outputs, targets = drawn(500)
    random = np.random.default_rng(0)
    features, images = random.random((500, 16), np.float32), random.integers(0, 256, (500, 8, 8, 1), dtype=np.uint8)
    like = likeness.measure(features, targets, images, features, images)
    found = confidence.measure(outputs, targets, "softmax", like)
    again = confidence.parse(found.to_json(), "confidence.json")
    assert again.steps == found.steps
    assert (again.temperature, again.images, again.loss, again.ece) == (
        found.temperature, found.images, found.loss, found.ece
    )  # fmt: skip
    np.testing.assert_allclose(again.likeness.prototypes, like.prototypes, atol=1e-6)
    assert again.likeness.threshold == like.threshold


def facts(**changed):
    outputs, targets = drawn(100)
    return json.dumps(json.loads(confidence.measure(outputs, targets, "softmax").to_json()) | changed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        facts(temperature=0),
        facts(temperature="NaN"),
        facts(images=-1),
        facts(images=1e400),
        facts(steps=[[0.5, 1]]),
        facts(steps=[[2.0, 1, 1]]),
        facts(loss=[1]),
        facts(likeness={}),
        facts(likeness={"prototypes": "!", "count": 1, "pixels": [], "scales": [[0, 1]], "threshold": 1}),
        facts(likeness={"prototypes": "AAAA", "count": 2, "pixels": [], "scales": [[0, 1]], "threshold": 1}),
        facts(likeness={"prototypes": "AAAA", "count": 1, "pixels": [], "scales": [[0, 0]], "threshold": 1}),
        "[" * 100_000,
    ],
)
def test_other_files_are_refused(text):
    with pytest.raises(SettingsError, match=r"confidence.json is not what mnist_exp writes"):
        confidence.parse(text, "confidence.json")
