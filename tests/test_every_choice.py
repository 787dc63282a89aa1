"""Whatever may be chosen keeps the same promises: every choice of every group, and one of a user's own for each.

It trains; a training that is stopped within an epoch and one that is killed between two are gone on with to the same
bits; the recorded model is read back and predicts the same; a rerun is equal in all metrics and weights; the exported
file gives the recorded predictions. A new choice in `conf` is tested here without a line of its own.
"""

import csv
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import sittings
from real_runs import client_of

from mnist_exp import commands, compose, data, export, rerun, run
from mnist_exp.composition.compose import CONF
from mnist_exp.config.schema import BUILDER_GROUPS, MAPPING_GROUPS, TrackingSettings
from mnist_exp.inference.load import load_model, to_answer
from mnist_exp.numpy_model.model import NumpyModel
from mnist_exp.runtime import signals
from mnist_exp.tracking import names, references
from mnist_exp.training import checkpoints
from mnist_exp.training.checkpoints import Position

pytestmark = pytest.mark.slow

SMALL = ["data=mnist_5k", "data.limit=160", "data.validation=40", "trainer.epochs=2", "trainer.batch_size=50"]
SMALL += ["model.filters=2", "model.dense_units=8"]  # 3 steps an epoch, the last one smaller
OWN = ["data=mnist_5k", "trainer.epochs=2", "trainer.batch_size=90", "model=mlp", "model.hidden_units=[8]"]
OWN += ["trusted_modules=[own_tasks]"]  # 4 steps an epoch of their 300 pictures
# What a choice needs beside itself.
WITH = {
    "model=backbone": ["data.limit=100", "data.validation=20", "model.train_from=expanded_conv_9_add"],
    "metrics=ranking": ["objective=val_auc"],
    "metrics=imbalanced": ["objective=val_mcc", "trainer.class_weight=balanced"],
}
# The defaults are one training.
SAME = ("augment=none", "callbacks=none", "loss=auto", "metrics=basic", "optimizer=adam", "schedule=constant")
TRUSTED = "trusted_modules=[own_parts]"
OWN_PARTS = {
    "own model": [
        TRUSTED,
        *("model=lenet5", "model._target_=own_parts.net", "~model.activation", "~model.dropout", "+model.start=0.3"),
    ],
    "own optimizer": [TRUSTED, "optimizer=sgd", "optimizer._target_=own_parts.SignSGD"],
    "own schedule": [TRUSTED, "schedule._target_=own_parts.staircase"],
    "own augmentation": [TRUSTED, "augment._target_=own_parts.turned_and_mixed"],
    "own loss": [TRUSTED, "loss._target_=own_parts.Margin", "+loss.margin=0.5"],
    "own metric": [TRUSTED, "+metrics.worst={_target_: own_parts.worst_recall}", "objective=val_worst"],
    "own task": [TRUSTED, "task._target_=own_parts.ByWorst"],
    "own callback": [
        "trusted_modules=[own_calls]",
        "+callbacks.counts={_target_: own_calls.Counts}",
        "+callbacks.says={_target_: own_calls.Says}",
    ],
    "loss of Keras": ["loss._target_=keras.losses.CategoricalHinge"],
    "metric of Keras": ["+metrics.top={_target_: keras.metrics.TopKCategoricalAccuracy, k: 2}"],
    "weighted classes": ["trainer.class_weight={3: 4.0}"],
    "moving averages": ["+optimizer.use_ema=true", "trainer.restore_best=true"],
    "standardized": ["data.standardize=true"],
}

BY_KERAS = ("own model", "task=regression")  # A layer of one's own; numbers that are shown to six digits.


def choices():
    """Return the overrides of every choice of every group that makes a training, by its words."""
    found = {}
    for group in sorted({*BUILDER_GROUPS, *MAPPING_GROUPS, "task"} - {"data"}):
        for file in sorted((CONF / group).glob("*.yaml")):
            words = f"{group}={file.stem}"
            if words in SAME:
                continue
            base = OWN if group == "task" else [word for word in SMALL if group != "model" or "model." not in word]
            of_task = [f"data._target_=own_tasks.{file.stem if file.stem != 'auto' else 'classification'}"]
            found[words] = [*base, *(of_task if group == "task" else []), words, *WITH.get(words, [])]
            if group == "task" and file.stem == "regression":
                found[words] += ["objective=val_rmse", "direction=minimize"]
    for name, words in OWN_PARTS.items():
        found[name] = [*(word for word in SMALL if name != "own model" or "model." not in word), *words]
    return found


CHOICES = choices()


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch):
    monkeypatch.setattr("mnist_exp.training.fit._MOST_STEPS_AT_A_TIME", 1)
    yield
    keras.config.set_dtype_policy("float32")


def test_every_group_is_here():
    assert len(CHOICES) > 50
    assert {words.partition("=")[0] for words in CHOICES if "=" in words} >= {"model", "loss", "callbacks", "task"}


@pytest.mark.parametrize("choice", CHOICES)
def test_stopped_and_killed_trainings_go_on_to_the_same_bits(choice, tmp_path):
    settings = compose([*CHOICES[choice], "tracking=none"])
    dataset = data.load(settings)
    whole = sittings.sitting(settings, dataset, tmp_path / "whole")
    assert len(whole[1].history["loss"]) == 2
    with pytest.raises(signals.Terminated):
        sittings.sitting(settings, dataset, tmp_path / "cut", (0, 2))
    assert checkpoints.load(tmp_path / "cut")[0].position == Position(0, 2)
    sittings.assert_same(sittings.sitting(settings, dataset, tmp_path / "cut"), whole)
    sorted((tmp_path / "whole").iterdir())[-1].unlink()  # The last epoch's never came to be.
    assert checkpoints.load(tmp_path / "whole")[0].position == Position(1)
    sittings.assert_same(sittings.sitting(settings, dataset, tmp_path / "whole"), whole)


@pytest.mark.parametrize("choice", CHOICES)
def test_recorded_run_is_read_back_repeated_and_exported(choice, capsys):
    words = CHOICES[choice]
    result = run(compose(words))
    trust = [f"--trusted-modules={word[17:-1]}" for word in words if word.startswith("trusted_modules=[")]
    recorded = client_of().get_run(result.run_id)
    assert recorded.info.status == "FINISHED"
    settings = compose([*words, "tracking=none"])
    dataset = data.load(settings)
    trusted = [each.partition("=")[2] for each in trust]
    model = load_model(result.run_id, trusted_modules=trusted)
    outputs = np.asarray(model.predict(dataset.x_test, verbose=0))
    np.testing.assert_allclose(outputs, result.model.predict(dataset.x_test, verbose=0), atol=1e-6)
    answering = to_answer(references.find(TrackingSettings(), result.run_id), trusted)
    assert isinstance(answering, NumpyModel) == (choice not in BY_KERAS), recorded.data.tags[names.NUMPY_MODEL]
    assert ("sha256" in json.loads(recorded.data.tags[names.NUMPY_MODEL])) == (choice not in BY_KERAS)
    np.testing.assert_allclose(answering.predict(dataset.x_test), outputs, atol=1e-5)
    table = Path(client_of().download_artifacts(result.run_id, "test_predictions.csv"))
    with table.open(newline="") as file:
        assert len(list(csv.reader(file))) == len(dataset.x_test) + 1
    capsys.readouterr()
    assert commands.code_of(lambda: rerun.rerun(rerun._parser().parse_args([result.run_id, *trust]))) == 0
    assert "to the last bit, in every epoch" in capsys.readouterr().out
    options = [result.run_id, "--format", "keras", "--output", "model.keras", *trust]
    assert commands.code_of(lambda: export.export(export._parser().parse_args(options))) == 0
    again = keras.models.load_model("model.keras")
    np.testing.assert_array_equal(again.predict(dataset.x_test, verbose=0), outputs)
