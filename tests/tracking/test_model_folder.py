"""The folder of a recorded model is the one that MLflow would write."""

import subprocess
import sys

import keras
import mlflow
import numpy as np
import pytest
import yaml
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from mnist_exp.tracking import model_folder

SIGNATURE = ModelSignature(
    Schema([TensorSpec(np.dtype("uint8"), (-1, 28, 28, 1))]), Schema([TensorSpec(np.dtype("float32"), (-1, 10))])
)


@pytest.fixture(scope="module")
def model():
    return keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")])


def described():
    return Model("file:///there", "abc", "2026-01-02", signature=SIGNATURE, model_uuid="m-1", model_id="m-1")


def contents(folder):
    return {
        str(file.relative_to(folder)): yaml.safe_load(file.read_text()) if file.suffix != ".keras" else "weights"
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_folder_is_that_of_mlflow(model, tmp_path):
    packages = [f"{name}=={version}" for name, version in model_folder.made_by()["versions"].items()]
    mlflow.keras.save_model(
        model, str(tmp_path / "theirs"), mlflow_model=described(), signature=SIGNATURE, pip_requirements=packages
    )
    model.save(tmp_path / "saved.keras")
    model_folder.write(tmp_path / "ours", tmp_path / "saved.keras", described(), model_folder.made_by())
    theirs, ours = contents(tmp_path / "theirs"), contents(tmp_path / "ours")
    size = ours["MLmodel"].pop("model_size_bytes")
    # Two files of one model differ by some bytes: Keras notes in them when each was saved.
    assert size == pytest.approx(theirs["MLmodel"].pop("model_size_bytes"), abs=64)
    assert ours == theirs
    digits = np.arange(784, dtype=np.uint8).reshape(1, 28, 28, 1)
    read = mlflow.pyfunc.load_model(str(tmp_path / "ours"))
    np.testing.assert_array_equal(read.predict(digits), model.predict(digits, verbose=0))
    assert mlflow.keras.load_model(str(tmp_path / "ours")).count_params() == model.count_params()


WRITTEN_WITHOUT_KERAS = """
import sys
from pathlib import Path
from mlflow.models import Model
from mnist_exp.tracking import model_folder
maker = {"backend": "jax", "versions": {"keras": "3.15.0", "numpy": "2.0"}}
model_folder.write(Path("folder"), Path("saved.keras"), Model(), maker)
print("keras" in sys.modules)
"""


def test_model_that_waited_on_disk_is_moved_as_it_was_made_and_needs_no_keras(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model.save("saved.keras")
    before = (tmp_path / "saved.keras").read_bytes()
    done = subprocess.run([sys.executable, "-c", WRITTEN_WITHOUT_KERAS], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert (tmp_path / "folder" / model_folder.KERAS_FILE).read_bytes() == before
    flavor = yaml.safe_load((tmp_path / "folder" / "MLmodel").read_text())["flavors"]["keras"]
    assert (flavor["keras_backend"], flavor["keras_version"]) == ("jax", "3.15.0")
    assert (tmp_path / "folder" / "requirements.txt").read_text() == "keras==3.15.0\nnumpy==2.0"
