"""The line on the screen that shows which options were changed."""

import dataclasses

import pytest

from mnist_exp import compose
from mnist_exp.experiment import changes


def test_options_outside_the_experiment_are_no_changes():
    settings = dataclasses.replace(compose(), overrides=("resume=0123abcd", "trainer.epochs=20"))
    assert changes.shown(settings) == {"changed": "trainer.epochs=20"}


@pytest.mark.parametrize(
    ("overrides", "row"),
    [
        ([], {}),
        (["hydra.run.dir=somewhere"], {}),
        (["model.filters=16", "+optimizer.clipnorm=1"], {"changed": "model.filters=16 +optimizer.clipnorm=1"}),
        (["tracking.run_name='a longer look'"], {"changed": "'tracking.run_name='\"'\"'a longer look'\"'\"''"}),
        (
            ["sweep.storage=postgresql://me:hunter2@db/x"],
            {"changed": "'sweep.storage=postgresql://***@db/x'"},
        ),
    ],
)
def test_changes_are_shown_as_typed_without_secrets(overrides, row):
    assert changes.shown(compose(overrides)) == row
