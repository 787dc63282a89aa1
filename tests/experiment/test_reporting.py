"""`data.reporting`: metrics of images that are neither trained nor selected on, computed once at the end of a run."""

import io

import numpy as np
from rich.console import Console

from mnist_exp import data
from mnist_exp.composition.compose import compose
from mnist_exp.data.lazy import rows
from mnist_exp.experiment.runner import run
from mnist_exp.runtime.terminal import Screen

SMALL = ["data=mnist_5k", "data.limit=300", "data.validation=0.2", "model=mlp", "model.hidden_units=[8]",
         "trainer.epochs=2", "tracking=none"]  # fmt: skip


def test_images_set_aside_are_reported_on_once_and_select_nothing():
    screen = Screen()
    screen.out = Console(file=io.StringIO(), width=200)
    settings = compose([*SMALL, "data.reporting=90", "+metrics.macro_f1._target_=mnist_exp.metrics.macro_f1"])
    result = run(settings, screen)
    dataset = data.load(settings)
    aside = data.split_of(dataset, settings).reported
    predicted = result.model.predict(rows(dataset.x_train, aside), verbose=0).argmax(axis=1)
    assert result.metrics["report_accuracy"] == np.float32(np.mean(predicted == dataset.y_train[aside]))
    assert {"report_loss", "report_macro_f1"} <= result.metrics.keys()
    assert result.metrics["report_images"] == 90
    assert not any(name.startswith("report_") for name in result.history), "not after each epoch"
    shown = screen.out.file.getvalue()
    assert "validated on 60 held out, 90 set aside to report on" in shown
    assert "on 90 images that nothing was selected on" in shown


def test_run_without_images_set_aside_reports_on_none():
    screen = Screen()
    screen.out = Console(file=io.StringIO())
    assert not any(name.startswith("report_") for name in run(compose(SMALL), screen).metrics)
