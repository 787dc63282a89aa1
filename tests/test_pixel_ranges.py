"""Pixels of other ranges than 0 to 255, and validation sets that data bring, through every command."""

import json
import subprocess
import sys

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image
from sklearn.datasets import load_digits

from mnist_exp import commands, compose, export, load_model, rerun, run
from mnist_exp import evaluate_command as evaluate
from mnist_exp.errors import SettingsError
from mnist_exp.inference.exporting import formats

pytestmark = pytest.mark.slow
SMALL = ["model=mlp", "model.hidden_units=[32]", "trainer.epochs=3", "trainer.batch_size=20"]


def call(command, *words):
    module = {"evaluate": evaluate, "export": export, "rerun": rerun}[command]
    parsed = evaluate.read(words) if command == "evaluate" else module._parser().parse_args(words)
    return commands.code_of(lambda: getattr(module, command)(parsed))


@pytest.fixture
def digits(alone):
    """Write scikit-learn's digits, whose pixels are 0 to 16, as digits.npz; return them."""
    found = load_digits()
    arrays = {"x_train": found.images[:600], "y_train": found.target[:600]}
    arrays |= {"x_test": found.images[600:900], "y_test": found.target[600:900]}
    np.savez("digits.npz", **arrays)
    return arrays


def test_the_range_is_recorded_and_built_into_the_model(digits, capfd):
    made = run(compose(["data=npz", "data.path=digits.npz", *SMALL]))
    shown = capfd.readouterr()
    assert "600 training images 8×8×1, pixels of 0 to 16, validated" in shown.out
    recorded = MlflowClient().get_run(made.run_id).data
    assert json.loads(recorded.tags["mnist_exp.pixel_range"]) == [0, 16]
    model = load_model(made.run_id)
    scaled = model.layers[1](np.array([[[[0.0], [8.0], [16.0]]]], np.float32))
    np.testing.assert_allclose(np.ravel(scaled), [0, 0.5, 1])

    assert call("evaluate", made.run_id) == 0
    assert "accuracy and loss are as the run recorded them" in capfd.readouterr().out
    assert call("rerun", made.run_id) == 0
    assert "to the last bit" in capfd.readouterr().out
    for package in formats.FORMATS["onnx"].packages:
        pytest.importorskip(package)
    assert call("export", made.run_id, "--format", "onnx") == 0
    assert "pixels, float32 (n, 8, 8, 1), raw, 0 to 16" in capfd.readouterr().out


def test_other_data_are_scaled_to_the_range_that_the_model_takes(digits, capfd):
    made = run(compose(["data=npz", "data.path=digits.npz", *SMALL]))
    bytes_ = {name: np.rint(a * (255 / 16)).astype(np.uint8) if name[0] == "x" else a for name, a in digits.items()}
    np.savez("bytes.npz", **bytes_)
    capfd.readouterr()
    found = {}
    for name in ("digits", "bytes"):
        assert call("evaluate", made.run_id, "--data=npz", f"data.path={name}.npz", "--json") == 0
        out, told = capfd.readouterr()
        found[name] = json.loads(out)
        assert ("data=npz has pixels of 0 to 255: they are scaled to 0 to 16" in told) == (name == "bytes")
    assert found["bytes"]["accuracy"] == pytest.approx(found["digits"]["accuracy"], abs=0.01)
    assert found["bytes"]["loss"] == pytest.approx(found["digits"]["loss"], abs=0.01)


@pytest.fixture
def folder(alone):
    """Write images of digits into train/, val/ and test/."""
    found = load_digits()
    images = (found.images * 15).astype(np.uint8)
    for part, which in {"train": range(300), "val": range(300, 400), "test": range(400, 500)}.items():
        for number in which:
            path = alone / "a" / part / str(found.target[number]) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[number]).save(path)
    return ["data=image_folder", "data.path=a", *SMALL]


def test_a_validation_set_that_the_data_bring_is_watched_and_may_select(folder, capfd):
    made = run(compose(folder))
    assert "300 training images 8×8×1, validated on its own 100 validation images" in capfd.readouterr().out
    recorded = MlflowClient().get_run(made.run_id).data
    assert recorded.params["data.validation"] == "own"
    assert call("evaluate", made.run_id, "--split=validation", "--json") == 0
    assert json.loads(capfd.readouterr().out)["accuracy"] == pytest.approx(made.history["val_accuracy"][-1])

    selecting = ["trainer.restore_best=true", "trainer.early_stopping_patience=1"]
    with pytest.raises(SettingsError, match=r"take the validation set that the data bring, data.validation=own"):
        compose([*folder, *selecting])
    again = run(compose([*folder, *selecting, "data.validation=own"]))
    assert again.objective == max(again.history["val_accuracy"])


@pytest.mark.new_store
def test_a_sweep_on_it_is_honest_and_is_done_once(folder):
    words = [sys.executable, "-m", "mnist_exp.run", "-m", *folder, "model.dropout=0.1,0.2"]
    first, again = (subprocess.run(words, capture_output=True, text=True) for _ in range(2))
    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert "validated on the test set" not in first.stdout + first.stderr
    assert len(MlflowClient().search_runs(["1"], "tags.mnist_exp.job_key LIKE '%'")) == 2
