"""Which labels are likely wrong, against plain loops over what the source says."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp.inspection.labels import judged


def plainly(labels, probabilities):
    """Confident learning and the margin, one example after the other."""
    classes = probabilities.shape[1]
    usual = [
        np.mean([p[k] for p, y in zip(probabilities, labels, strict=True) if y == k] or [np.inf])
        for k in range(classes)
    ]
    margins, suggested, confident = [], [], []
    for p, y in zip(probabilities, labels, strict=True):
        others = [k for k in range(classes) if k != y]
        best = max(others, key=lambda k: (p[k], -k))
        sure = [k for k in range(classes) if p[k] >= usual[k] - 1e-6]
        margins.append(p[y] - p[best])
        suggested.append(best)
        confident.append(bool(sure) and max(sure, key=lambda k: (p[k], -k)) != y)
    return margins, suggested, confident


@given(st.integers(0, 1000), st.integers(2, 5), st.integers(2, 60))
def test_margin_suggestion_and_confidence_are_those_of_plain_loops(seed, classes, count):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(classes, 0.4), count)
    labels = rng.integers(0, classes, count)
    margins, suggested, confident = judged(labels, probabilities)
    expected = plainly(labels, probabilities)
    assert np.allclose(margins, expected[0])
    assert suggested.tolist() == expected[1]
    assert confident.tolist() == expected[2]


def test_wrong_labels_come_first_and_are_sure_ones():
    labels = np.repeat([0, 1, 2], 50)
    probabilities = np.full((150, 3), 0.05) + 0.85 * np.eye(3)[labels]
    labels[[3, 70]] = [2, 0]
    margins, suggested, confident = judged(labels, probabilities)
    assert set(np.argsort(margins, kind="stable")[:2].tolist()) == {3, 70}
    assert np.flatnonzero(confident).tolist() == [3, 70]
    assert suggested[[3, 70]].tolist() == [0, 1]
