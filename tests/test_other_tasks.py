"""Every task from a loader to an ONNX file, through the real commands and a real store."""

import csv
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from real_runs import client_of
from schemas import validate

from mnist_exp import commands, compose, export, rerun, run
from mnist_exp import evaluate_command as evaluate
from mnist_exp import predict_command as predict
from mnist_exp import report_command as report
from mnist_exp.errors import SettingsError
from mnist_exp.tracking import names

TASKS = {
    "classification": [],
    "binary": ["task=binary", "loss=focal"],
    "multilabel": ["objective=val_mcc"],
    "regression": ["task=regression", "objective=val_mae", "direction=minimize", "loss=huber"],
}
SMALL = ["data=mnist_5k", "trusted_modules=[own_tasks]", "model=mlp", "model.hidden_units=[32]", "trainer.epochs=6"]
SMALL += ["trainer.batch_size=30", "optimizer.learning_rate=0.003"]
LEARNT = {"classification": 0.55, "binary": 0.65, "multilabel": 0.65, "regression": 0.2}


def words(task):
    return [*SMALL, f"data._target_=own_tasks.{task}", f"data.name={task}", *TASKS[task]]


@pytest.mark.parametrize("task", TASKS)
def test_task_is_learnt(task, capsys):
    result = run(compose([*words(task), "tracking=none"]))
    shown = capsys.readouterr().out
    selects = {"multilabel": "val_mcc, larger is better", "regression": "val_mae, smaller is better"}
    assert re.findall(r"^objective +(.+)$", shown, re.MULTILINE) == [selects[t] for t in selects if t == task]
    running = "mae" if task == "regression" else "accuracy"
    assert result.metrics[f"test_{running}"] == pytest.approx(result.history[f"val_{running}"][-1], rel=1e-5)
    if task == "regression":
        assert result.metrics["test_mae"] < LEARNT[task]
        assert result.metrics["test_r2"] > 0.5
        assert "best_val_accuracy" not in result.metrics
    else:
        assert result.metrics["test_accuracy"] > LEARNT[task]
    assert result.objective == result.history[compose(words(task)).objective][-1]


def test_screen_says_which_way_a_metric_of_ones_own_is_taken(capsys):
    own = ["trusted_modules=[own_tasks,own_parts]", "+metrics.worst={_target_: own_parts.worst_recall}"]
    run(compose([*words("classification"), *own, "objective=val_worst", "trainer.epochs=1", "tracking=none"]))
    said = "val_worst, larger is better, as direction says: nothing else is known of this metric"
    assert said in capsys.readouterr().out


def test_objective_of_another_task_is_told_before_anything_is_trained():
    with pytest.raises(SettingsError, match=r"objective=val_accuracy is not allowed for task=regression: .* val_mae"):
        compose(["task=regression", "data=mnist_5k"])
    with pytest.raises(SettingsError, match=r"objective=val_accuracy is not allowed for task=regression: .* val_mae"):
        run(compose([*SMALL, "data._target_=own_tasks.regression", "tracking=none"]))


@pytest.fixture(scope="module", params=TASKS)
def trained(request, tmp_path_factory):
    """The task, a folder with a store, and two runs of it."""
    place, before = tmp_path_factory.mktemp(request.param), Path.cwd()
    os.chdir(place)
    try:
        one = run(compose(words(request.param)))
        other = run(compose([*words(request.param), "seed=8"]))
        yield request.param, place, one, other
    finally:
        os.chdir(before)
        assert "own_tasks" in sys.modules


@pytest.fixture
def one(trained, monkeypatch):
    monkeypatch.chdir(trained[1])
    return trained


TRUST = "--trusted-modules=own_tasks"


def call(command, *arguments):
    parsed = command.read(arguments) if hasattr(command, "read") else command._parser().parse_args(arguments)
    action = getattr(command, command.__name__.rpartition(".")[2].removesuffix("_command"))
    return commands.code_of(lambda: action(parsed))


@pytest.mark.slow
def test_evaluation_is_as_recorded(one, capsys):
    _, _, result, _ = one
    assert call(evaluate, result.run_id, TRUST) == 0
    out = capsys.readouterr().out
    assert "are as the run recorded them" in out, out
    (folder,) = Path("evaluations").glob(f"{result.run_id[:8]}*")
    found = json.loads((folder / "evaluation.json").read_text())
    validate(found, "evaluation-1")
    for name, value in result.metrics.items():
        if name.startswith("test_"):
            assert found[name.removeprefix("test_")] == pytest.approx(value, rel=1e-5), name


@pytest.mark.slow
def test_record_says_what_was_learnt(one):
    task, _, result, _ = one
    recorded = client_of().get_run(result.run_id)
    assert recorded.data.tags["mnist_exp.task"] == task
    files = {file.path for file in client_of().list_artifacts(result.run_id)}
    pictures = {"multilabel": "label_counts.png", "regression": "residuals.png"}
    assert {"learning_curves.png", "test_predictions.csv", pictures.get(task, "confusion_matrix.png")} <= files
    path = client_of().download_artifacts(result.run_id, "test_predictions.csv")
    with Path(path).open(newline="") as file:
        assert len(list(csv.reader(file))) == 81


@pytest.mark.slow
def test_every_metric_is_in_the_table_of_names(one, capsys):
    _, _, result, _ = one
    assert call(evaluate, result.run_id, "--log", TRUST) == 0
    capsys.readouterr()
    found = client_of().get_run(result.run_id).data.metrics
    known = {name.replace("DATA.SPLIT", f"{one[0]}.test") for name in names.METRICS}
    assert set(found) <= known


@pytest.mark.slow
def test_rerun_is_equal(one, capsys):
    _, _, result, _ = one
    assert call(rerun, result.run_id, TRUST) == 0
    assert "to the last bit, in every epoch" in capsys.readouterr().out


@pytest.mark.slow
def test_prediction_of_a_picture(one, capsys):
    task, _, result, _ = one
    Image.fromarray(np.repeat(np.array([180, 20], np.uint8), 4)[:, None].repeat(8, axis=1)).save("picture.png")
    assert call(predict, result.run_id, "picture.png", "--json", TRUST) == 0
    found = json.loads(capsys.readouterr().out)
    validate(found, "predict-1")
    if task == "classification":
        assert found["label"] == 1 and len(found["probabilities"]) == 3
    elif task == "binary":
        assert found["label"] == 1 and len(found["probabilities"]) == 2
    elif task == "multilabel":
        assert found["labels"] == [0, 2]
    else:
        assert found["values"]["target_0"] == pytest.approx(0.95, abs=0.35)


@pytest.mark.slow
def test_export_agrees_with_keras(one, capsys):
    pytest.importorskip("onnxruntime")
    import onnxruntime

    task, _, result, _ = one
    assert call(export, result.run_id, "--format", "onnx", "--output", f"{task}.onnx", TRUST) == 0
    assert "80 of 80 predictions equal" in capsys.readouterr().out
    (output,) = onnxruntime.InferenceSession(f"{task}.onnx").get_outputs()
    assert output.name == ("values" if task == "regression" else "probabilities")


@pytest.mark.slow
def test_report_compares_the_models_by_their_predictions(one, capsys):
    task, _, result, other = one
    assert call(report, result.run_id, other.run_id, "--output", f"page-{task}") == 0
    page = Path(f"page-{task}", "index.html").read_text()
    test = "Paired t-test of the absolute errors" if task == "regression" else "McNemar"
    assert test in page
    assert "Models on the same test images" in page


def test_weights_of_the_data_train_with_the_usual_loss(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"x_train": rng.integers(255, size=(60, 6, 6)).astype(np.uint8), "y_train": np.arange(60) % 3}
    arrays |= {"x_test": arrays["x_train"][:30], "y_test": arrays["y_train"][:30]}
    np.savez(tmp_path / "w.npz", **arrays, w_train=np.ones(60))
    small = ["data=npz", f"data.path={tmp_path}/w.npz", "model=mlp", "model.hidden_units=[4]", "trainer.epochs=1"]
    assert run(compose([*small, "tracking=none"])).metrics["test_loss"] > 0
    np.savez(tmp_path / "w.npz", **arrays, w_train=(np.arange(60) % 3 == 0) * 1.0)
    with pytest.raises(SettingsError, match="leaves every training image the weight 0: nothing is learnt"):
        run(compose([*small, "tracking=none", "trainer.class_weight={0: 0}"]))


@pytest.mark.slow
def test_other_data_are_read_by_the_task_of_the_run(one, tmp_path, capsys):
    """Not by the task that their labels would say."""
    task, _, result, _ = one
    x = np.zeros((9, 8, 8), np.uint8)
    labels = np.arange(9) % 3 if task != "classification" else np.arange(27).reshape(9, 3) % 2
    np.savez(tmp_path / "other.npz", x_train=x, y_train=labels, x_test=x, y_test=labels)
    assert call(evaluate, result.run_id, "--data", "npz", f"data.path={tmp_path}/other.npz", TRUST) == 2
    words = {
        "classification": "one label an image",
        "binary": "task=binary is for two",
        "multilabel": "task=multilabel",
    }
    assert words.get(task, "has 1 number, but the model") in capsys.readouterr().err
