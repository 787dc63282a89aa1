"""The best of many: its luck and its honest value, in words and as JSON."""

import pytest

from mnist_exp.comparison import selected

SINGLE = [{"7": score} for score in (0.95, 0.94, 0.94, 0.93, 0.2)]


def test_luck_of_single_jobs_comes_from_the_number_of_validation_images():
    found = selected.of(SINGLE, "val_accuracy", "maximize", 500)
    assert found.by == "images"
    assert 0.004 < found.expected_optimism < 0.013
    assert found.luck == (
        f"at most about {found.expected_optimism:.4f} of val_accuracy 0.9500 is expected to be luck: "
        "it is the best of 5 values, by 500 images each"
    )
    assert found.honest == ""


def test_luck_of_means_comes_from_their_seeds_whatever_the_metric():
    found = selected.of([{"1": 0.31, "2": 0.35}, {"1": 0.36, "2": 0.32}, {"1": 0.5}], "val_loss", "minimize", 500)
    assert (found.by, found.of) == ("seeds", 3)
    assert 0 < found.expected_optimism < 0.02


@pytest.mark.parametrize(
    ("scores", "metric"), [([0.3, 0.4], "val_loss"), ([0.9], "val_accuracy"), ([0.9, 0.8], "accuracy")]
)
def test_nothing_is_said_where_no_error_is_known(scores, metric):
    assert selected.of([{"7": score} for score in scores], metric, "maximize", 500) is None


def test_honest_value_has_its_interval():
    found = selected.of(SINGLE, "val_accuracy", "maximize", 500, [0.93], 1000)
    assert found.honest == (
        "chosen by val_accuracy 0.9500; on 1,000 images that nothing was selected on report_accuracy is 0.9300 "
        "(95 % interval 0.9125 to 0.9442)"
    )
    assert selected.from_json(found.to_json()) == found


def test_numbers_without_a_known_error_have_no_interval():
    scores = [{"1": 0.31, "2": 0.35}, {"1": 0.36, "2": 0.32}]
    found = selected.of(scores, "val_loss", "minimize", 500, [0.4, 0.42], 1000)
    assert (found.reported, found.interval) == (pytest.approx(0.41), None)
    assert found.honest.endswith("on 1,000 images that nothing was selected on report_loss is 0.4100")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"interval": null, "metric": 3}', "<b>"])
def test_tag_that_somebody_else_wrote_is_left_out(text):
    assert selected.from_json(text) is None
