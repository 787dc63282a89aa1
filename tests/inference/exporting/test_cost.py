"""What quantizing costs, measured on files that are stood in for by functions of arrays."""

import numpy as np
import pytest

from mnist_exp.errors import RunError
from mnist_exp.inference.exporting import cost
from mnist_exp.tasks import builders

X = np.arange(6, dtype=np.float32).reshape(6, 1)
SURE = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.9, 0.1], [0.2, 0.8]], np.float32)


def measured(task, names, y, before, after):
    """`after` gets the rows that are asked about together."""
    opened = (lambda: lambda x: before[x[:, 0].astype(int)], lambda: lambda x: after(x[:, 0].astype(int)))
    return cost.measure(task, names, X, y, opened, (400, 100), 0)


def test_changed_labels_are_named_with_their_rows():
    small = SURE.copy()
    small[2], small[5] = (0.55, 0.45), (0.7, 0.3)
    found = measured(
        builders.classification(), ["a", "b"], np.array([0, 0, 1, 1, 0, 0]), SURE, lambda rows: small[rows]
    )
    assert (found.metric, found.before.score, found.after.score) == ("accuracy", 5 / 6, 5 / 6)
    assert (found.drop.only_before, found.drop.only_after, found.drop.p) == (1, 1, 1)
    first, second = found.changed
    assert (first.row, first.label, first.before, first.after) == (2, "b", "b", "a")
    assert (first.probability_before, first.probability_after) == pytest.approx((0.6, 0.55))
    assert (second.row, second.label, second.before, second.after) == (5, "a", "b", "a")
    assert found.difference == pytest.approx(0.5)
    assert (found.depends_on_batch, found.by_batch) == (False, [])
    assert (found.before.size, found.after.size) == (400, 100)


def test_answers_that_depend_on_their_neighbours_are_found():
    def after(rows):
        return SURE[rows] if len(rows) == 1 else SURE[rows][:, ::-1]

    found = measured(builders.classification(), ["a", "b"], np.array([0, 0, 1, 1, 0, 1]), SURE, after)
    assert found.after.score == 1  # That of each image alone.
    assert found.changed == []
    assert found.depends_on_batch
    assert [each.row for each in found.by_batch] == list(range(6))
    assert (found.by_batch[0].before, found.by_batch[0].after) == ("a", "b")


def test_several_labels_count_as_right_together_and_change_one_by_one():
    y = (SURE > 0.5).astype(np.float32)
    small = SURE.copy()
    small[4] = (0.3, 0.9)
    found = measured(builders.multilabel(), ["cat", "dog"], y, SURE, lambda rows: small[rows])
    assert (found.metric, found.after.score) == ("exact_match", pytest.approx(5 / 6))
    assert [(each.row, each.part, each.label, each.before, each.after) for each in found.changed] == [
        (4, "cat", "1", "1", "0"),
        (4, "dog", "0", "0", "1"),
    ]


def test_numbers_are_compared_by_their_errors():
    y = SURE.copy()
    noise = np.random.default_rng(1).normal(0.05, 0.01, SURE.shape).astype(np.float32)
    found = measured(builders.regression(), ["x", "y"], y, SURE, lambda rows: (SURE + noise)[rows])
    assert (found.metric, found.change, found.before.score) == ("mae", "rises", 0)
    assert found.drop.value == pytest.approx(np.abs(noise).mean(), rel=1e-5)
    assert found.drop.is_significant
    assert found.changed == []


def test_a_model_that_gives_no_probabilities_is_refused():
    with pytest.raises(RunError, match="the quantized model gives values from nan"):
        measured(
            builders.classification(), ["a", "b"], np.zeros(6, int), SURE, lambda rows: np.full((len(rows), 2), np.nan)
        )
