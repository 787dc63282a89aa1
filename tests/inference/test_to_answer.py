"""`predict` and `demo` by NumPy and by Keras: the same answers; NumPy only for the file that was tried."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from real_runs import SMALL, client_of

from mnist_exp import commands, compose, demo, run
from mnist_exp import predict_command as predict
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.data.loaders import mnist_5k
from mnist_exp.errors import SettingsError
from mnist_exp.inference import answers, load
from mnist_exp.numpy_model.model import NumpyModel
from mnist_exp.tracking import names, references, sqlite_reads

TASKS = ["data=mnist_5k", "trainer.epochs=1", "model=mlp", "model.hidden_units=[8]", "trusted_modules=[own_tasks]"]
RUNS = {
    "cnn": [*SMALL, "trainer.epochs=2", "data.validation=0.25"],
    "convnet": ["data=mnist_5k", "data.limit=400", "trainer.epochs=1", "model=convnet", "model.batch_norm=true"],
    "standardized": [*SMALL, "trainer.epochs=1", "data.validation=0.25", "data.standardize=true"],
    "multilabel": [*TASKS, "data._target_=own_tasks.multilabel", "task=multilabel"],
    "binary": [*TASKS, "data._target_=own_tasks.binary", "task=binary"],
}
BY_KERAS = {
    "regression": (
        [*TASKS, "data._target_=own_tasks.regression", "objective=val_rmse", "direction=minimize"],
        "its numbers are shown to six digits",
    ),
    "half": ([*SMALL, "trainer.epochs=1", "trainer.precision=mixed_bfloat16"], "a precision of mixed_bfloat16"),
    "own": (
        [
            *("data=mnist_5k", "data.limit=200", "trainer.epochs=1", "model=lenet5", "model._target_=own_parts.net"),
            *("~model.activation", "~model.dropout", "trusted_modules=[own_parts]"),
        ],
        "own_parts.Scaled",
    ),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a store of all these runs, and 40 digits as files."""
    folder, before = tmp_path_factory.mktemp("answers"), Path.cwd()
    os.chdir(folder)
    try:
        made = {name: run(compose(words)).run_id for name, words in RUNS.items()}
        made |= {name: run(compose(words)).run_id for name, (words, _) in BY_KERAS.items()}
    finally:
        os.chdir(before)
        keras.config.set_dtype_policy("float32")
    (folder / "digits").mkdir()
    for number, image in enumerate(mnist_5k().test[0][:40]):
        page = Image.fromarray(image)
        if number % 2:  # Drawn anew as in MNIST.
            page = Image.fromarray(255 - image).resize((60, 60))
        page.save(folder / "digits" / f"{number:02}.png")
    (folder / "runs.json").write_text(json.dumps(made))
    return folder, made


@pytest.fixture
def there(place, monkeypatch):
    monkeypatch.chdir(place[0])
    return place[1]


def find(run_id):
    return references.find(TrackingSettings(), run_id)


def model_file(run_id):
    model_id = find(run_id).tags[names.MODEL_URI].rpartition("/")[2]
    return sqlite_reads.model_file(Path("mlflow.db").absolute(), model_id, "data/model.keras")


def said(capfd, run_id, *words):
    """Return exit code, stdout and stderr of the command in this process."""
    code = commands.code_of(lambda: predict.predict(predict._parser().parse_args([run_id, *words])))
    out, err = capfd.readouterr()
    return code, out, err


@pytest.fixture
def by_keras(monkeypatch):
    """Return a function that makes the rest of the test Keras's way: its runs have no record of a trial."""

    def switch(run_id):
        client, tag = client_of("sqlite:///mlflow.db"), find(run_id).tags[names.NUMPY_MODEL]
        client.delete_tag(run_id, names.NUMPY_MODEL)
        switched.append((client, run_id, tag))

    switched = []
    yield switch
    for client, run_id, tag in switched:
        client.set_tag(run_id, names.NUMPY_MODEL, tag)


@pytest.mark.parametrize("name", RUNS)
def test_both_ways_say_the_same(there, capfd, by_keras, name):
    run_id, trust = there[name], "--trusted-modules=own_tasks"
    assert isinstance(load.to_answer(find(run_id), ["own_tasks"]), NumpyModel)
    forms = [[], ["--csv=-"], ["--json"]]
    by_numpy = [said(capfd, run_id, "digits", trust, *words) for words in forms]
    by_keras(run_id)
    assert not isinstance(load.to_answer(find(run_id), ["own_tasks"]), NumpyModel)
    meant = [said(capfd, run_id, "digits", trust, *words) for words in forms]
    assert by_numpy[0] == meant[0]
    assert meant[0][0] == 0
    assert len(meant[0][1].splitlines()) == 40
    for found, wanted in zip(by_numpy[2][1].splitlines(), meant[2][1].splitlines(), strict=True):
        one, other = json.loads(found), json.loads(wanted)
        for key in ("probability", "probabilities", "calibrated_probability", "calibrated_probabilities", "values"):
            numbers = [each.pop(key, None) for each in (one, other)]
            assert as_list(numbers[0]) == pytest.approx(as_list(numbers[1]), abs=1e-5)
        assert one == other
    heads = [text.splitlines()[0] for _, text, _ in (by_numpy[1], meant[1])]
    assert heads[0] == heads[1]


def as_list(value):
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else [value] if value is not None else []


@pytest.mark.parametrize("name", BY_KERAS)
def test_what_numpy_does_not_compute_is_left_to_keras(there, capfd, name):
    run_id = there[name]
    assert BY_KERAS[name][1] in json.loads(find(run_id).tags[names.NUMPY_MODEL])["why_not"]
    trust = ["--trusted-modules=own_parts"] if name == "own" else []
    code, out, err = said(capfd, run_id, "digits/00.png", *trust)
    assert (code, "NumPy" in err) == (0, False)
    assert out.startswith("digits/00.png  ")
    if trust:
        code, _, err = said(capfd, run_id, "digits/00.png")
        assert code == 2
        assert "name own_parts in trusted_modules" in err


def test_command_imports_neither_keras_nor_mlflow(there, capfd, by_keras):
    words = [sys.executable, "-X", "importtime", "-m", "mnist_exp.predict", there["cnn"], "digits"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "mnist_exp" in imported
    assert not imported & {
        "tensorflow",
        "keras",
        "jax",
        "torch",
        "mlflow",
        "sqlalchemy",
        "hydra",
        "pandas",
        "matplotlib",
    }
    by_keras(there["cnn"])
    assert done.stdout == said(capfd, there["cnn"], "digits")[1]


@pytest.fixture
def put_back(there):
    """Yield the file of the cnn's model; what a test does to it is undone."""
    file = model_file(there["cnn"])
    shutil.copy(file, "model.kept")
    yield file
    shutil.copy("model.kept", file)


def rewritten(file, change):
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_another_file_in_its_place_is_left_to_keras(there, capfd, put_back):
    rewritten(put_back, lambda members: members.update({"metadata.json": b"{}"}))
    assert not isinstance(load.to_answer(find(there["cnn"])), NumpyModel)
    assert said(capfd, there["cnn"], "digits/00.png")[0] == 0


def test_code_in_a_file_is_refused_as_before(there, capfd, put_back):
    def add_code(members):
        members["config.json"] = members["config.json"].replace(b'"Flatten"', b'"Lambda"')

    rewritten(put_back, add_code)
    code, out, err = said(capfd, there["cnn"], "digits/00.png")
    assert (code, out) == (2, "")
    assert "is not loaded: keras.layers.Lambda (layer 'flatten') holds code of its own" in err
    # Nor where the store has been changed to fit: the digest only says which way, and the file is checked in both.
    client = client_of("sqlite:///mlflow.db")
    before = find(there["cnn"]).tags[names.NUMPY_MODEL]
    client.set_tag(
        there["cnn"],
        names.NUMPY_MODEL,
        json.dumps({"sha256": hashlib.sha256(put_back.read_bytes()).hexdigest()}),
    )
    assert said(capfd, there["cnn"], "digits/00.png")[0] == 2
    client.set_tag(there["cnn"], names.NUMPY_MODEL, before)


@pytest.mark.parametrize("tag", ["{", '{"sha256": 3}', "null", '{"sha256": ""}'])
def test_damaged_tag_is_left_to_keras(there, tag):
    client, before = client_of("sqlite:///mlflow.db"), find(there["cnn"]).tags[names.NUMPY_MODEL]
    client.set_tag(there["cnn"], names.NUMPY_MODEL, tag)
    assert not isinstance(load.to_answer(find(there["cnn"])), NumpyModel)
    client.set_tag(there["cnn"], names.NUMPY_MODEL, before)


def test_model_that_is_gone_is_told_as_before(there, put_back):
    put_back.unlink()
    with pytest.raises(SettingsError, match="was deleted in MLflow"):
        load.to_answer(find(there["cnn"]))


def test_many_examples_are_left_to_keras(there, capfd, monkeypatch):
    few = said(capfd, there["cnn"], "digits")
    each = load.to_answer(find(there["cnn"])).operations
    monkeypatch.setattr(load, "MOST_OPERATIONS", 39 * each)
    assert isinstance(load.to_answer(find(there["cnn"]), examples=39), NumpyModel)
    assert not isinstance(load.to_answer(find(there["cnn"]), examples=40), NumpyModel)
    assert said(capfd, there["cnn"], "digits") == few


def test_examples_whose_number_is_not_known_change_over_to_keras(there, capfd, monkeypatch):
    np.save("rows.npy", mnist_5k().test[0][:1000])
    few = said(capfd, there["cnn"], "rows.npy")
    loaded = []
    real = load.by_keras
    monkeypatch.setattr(load, "by_keras", lambda *given: loaded.append(1) or real(*given))
    monkeypatch.setattr(load, "MOST_OPERATIONS", 600 * load.to_answer(find(there["cnn"])).operations)
    assert said(capfd, there["cnn"], "rows.npy") == few
    assert len(loaded) == 1  # In the second batch of 500.
    assert len(few[1].splitlines()) == 1000


def test_demo_answers_the_same_both_ways(there, by_keras):
    options = demo._parser().parse_args([there["cnn"]])
    content = Path("digits/01.png").read_bytes()
    found = demo.load(find(there["cnn"]), options)
    by_keras(there["cnn"])
    meant = demo.load(find(there["cnn"]), options)
    assert isinstance(found._model, NumpyModel)
    assert not isinstance(meant._model, NumpyModel)
    assert found.about() == meant.about()
    for one, other in zip(found.read(content).values(), meant.read(content).values(), strict=True):
        assert one.pop("probabilities") == pytest.approx(other.pop("probabilities"), abs=2e-6)
        assert one == other
    np.testing.assert_allclose(found.look(content, "mnist")["heat"], meant.look(content, "mnist")["heat"], atol=2e-3)


def test_predictor_without_likeness_asks_numpy_alone(there):
    model = load.to_answer(find(there["convnet"]))
    outputs, unlike = answers.Predictor(model).predict(np.zeros((3, 28, 28, 1), np.uint8), None)
    assert (outputs.shape, unlike) == ((3, 10), None)


def test_model_that_mlflow_must_fetch_is_computed_by_numpy_too(there, monkeypatch):
    meant = load.to_answer(find(there["cnn"])).predict(np.zeros((2, 28, 28, 1), np.uint8))
    monkeypatch.setattr(sqlite_reads, "model_file", lambda *_: None)  # As on a server.
    found = load.to_answer(find(there["cnn"]))
    assert isinstance(found, NumpyModel)
    np.testing.assert_array_equal(found.predict(np.zeros((2, 28, 28, 1), np.uint8)), meant)
