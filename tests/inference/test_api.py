"""Models in Python: `predict` and `evaluate` say what the commands say, of files and of images in memory."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image
from schemas import validate

from mnist_exp import (
    SettingsError,
    commands,
    compose,
    demo,
    evaluate,
    evaluate_command,
    load_model,
    predict,
    predict_command,
    report,
    run,
    runs,
    sweep,
)
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.tracking import references

SMALL = ["data=mnist_5k", "data.limit=600", "data.validation=0.2", "trainer.epochs=4", "model.filters=4"]


@pytest.fixture(scope="module")
def here(tmp_path_factory, digits):
    """A folder with a run, and files of test digits; the result of the run."""
    folder = tmp_path_factory.mktemp("asked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = run(compose(SMALL))
    (folder / "digits").mkdir()
    for number, image in enumerate(digits[1][0][:5]):
        Image.fromarray(image).save(folder / "digits" / f"{number}.png")
    return folder, result


@pytest.fixture
def result(here, monkeypatch):
    monkeypatch.chdir(here[0])
    return here[1]


def printed(capfd, action):
    capfd.readouterr()
    assert commands.code_of(action) == 0
    return capfd.readouterr().out.splitlines()


def test_predictions_of_files_are_those_of_the_command(result, capfd):
    found = predict(result, "digits")
    options = predict_command.read([result.run_id, "digits", "--json"])
    lines = [json.loads(line) for line in printed(capfd, lambda: predict_command.predict(options))]
    assert list(found) == lines
    for line in lines:
        validate(line, "predict-1")
    assert found.outputs.shape == (5, 10)
    assert found.labels == [line["label"] for line in lines]
    np.testing.assert_allclose(found.outputs.max(axis=1), [line["probability"] for line in lines], rtol=1e-5)
    assert found._repr_html_().count("<tr>") == 6
    assert list(found.to_frame()["label"]) == found.labels


def test_images_in_memory_are_answered_as_files_or_as_the_model_takes_them(result, digits):
    of_files = predict(result.run_id[:8], ["digits/0.png", "digits/1.png"])
    of_pillow = predict(result, [Image.open("digits/0.png"), Image.open("digits/1.png").convert("RGBA")])
    assert of_pillow.labels == of_files.labels
    np.testing.assert_allclose(of_pillow.outputs, of_files.outputs, atol=1e-6)
    x = digits[1][0][:50]
    raw = predict(result, x)
    np.testing.assert_allclose(raw.outputs, result.model.predict(x[..., np.newaxis], verbose=0), atol=1e-5)
    for one in (x[0], x[0][..., np.newaxis], x[:1], x[:1, ..., np.newaxis]):
        np.testing.assert_allclose(predict(result, one).outputs, raw.outputs[:1], atol=1e-6)
    larger = np.kron(x[0], np.ones((3, 3), np.uint8))
    assert predict(result, larger)[0]["preprocessing"]
    assert len(predict(result, [larger, x[0]])) == 2


def test_what_cannot_be_asked_is_told(result, digits):
    assert "no image" not in repr(predict(result, "digits"))
    for images, words in (
        ([], "no image is given"),
        (["digits/0.png", digits[1][0][0]], "not both in one list"),
        ("nothing.png", "nothing.png does not exist"),
        (np.zeros((3, 7, 9, 2)), "its shape is"),
    ):
        with pytest.raises(SettingsError, match=words):
            predict(result, images)
    with pytest.raises(SettingsError, match="preprocess='odd' is not allowed"):
        predict(result, "digits", preprocess="odd")
    with pytest.raises(SettingsError, match="split='odd' is not allowed"):
        evaluate(result, split="odd")
    with pytest.raises(SettingsError, match="there is no run"):
        predict("0" * 32, "digits")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (None, "images is None: it must be an image of Pillow, an array of numbers"),
        (5, "images=5 is of type int: it must be"),
        (b"PNG", "images is of type bytes: it must be"),
        ([np.zeros((28, 28)), None], r"images\[1\] is None: it must be"),
        ([[1, 2], [3]], r"^images\[0\]: its shape is \(2,\)"),
        ([[[1, 2], [3]]], "^images is no array: ValueError"),
        ([len, len], r"^images\[0\] is of type builtin_function_or_method and is no array of numbers"),
        (np.array([["a"]]), "^images is of type ndarray and holds <U1 values"),
        (np.zeros(28), r"^images: its shape is \(28,\); the model takes"),
        ([np.zeros((28, 28)), np.zeros((2, 3, 4, 5))], r"^images\[1\]: its shape is \(2, 3, 4, 5\)"),
        (np.zeros((0, 28, 28)), r"^images: it is empty: its shape is \(0, 28, 28\)"),
    ],
)
def test_images_that_are_none_are_refused_by_their_place(result, images, message):
    with pytest.raises(SettingsError, match=message):
        predict(result, images)


def test_images_of_pillow_that_cannot_be_read_are_answers_with_an_error(result):
    empty, floats, good = Image.new("L", (0, 0)), Image.new("F", (28, 28)), Image.open("digits/0.png")
    answers = predict(result, [empty, floats, good])
    assert "images[0]: the image of Pillow, 0×0, mode L, cannot be read" in answers[0]["error"]
    assert "images[1]: the image of Pillow, 28×28, mode F, cannot be read" in answers[1]["error"]
    assert answers[2]["label"] is not None


def test_mask_is_taken_for_black_and_white(result, digits):
    mask = digits[1][0][:3] > 127
    found = predict(result, mask)
    np.testing.assert_allclose(found.outputs, predict(result, mask * np.uint8(255)).outputs, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x: x.astype(np.int16) - 100, "images: its values go from -100 to 155, the model takes pixels of 0 to"),
        (
            lambda x: x.astype(np.int16) * 10,
            "go from 0 to 2550, the model takes pixels of 0 to 255: 0 to 4095 is ",
        ),
        (lambda x: x / 255, None),
        (lambda x: x, None),
    ],
)
def test_range_of_pixels_that_is_a_guess_is_told(result, change, told):
    ramp = np.linspace(0, 255, 3 * 28 * 28).round().astype(np.uint8).reshape(3, 28, 28)
    usual = predict(result, ramp).notes
    found = [note for note in predict(result, change(ramp)).notes if note not in usual]
    assert len(found) == (told is not None)
    assert all(told in note for note in found)


@pytest.mark.parametrize("value", [None, 5, len])
def test_run_of_another_type_is_refused_by_every_function(result, value):
    for name, ask in (
        ("run", lambda: predict(value, "digits")),
        ("run", lambda: evaluate(value)),
        ("of", lambda: report(value)),
        ("run_id_or_path", lambda: load_model(value)),
    ):
        with pytest.raises(SettingsError, match=rf"^{name}\b.* is (None|of type \w+): it must be .*run"):
            ask()


def test_other_types_of_other_arguments_are_refused(result):
    for ask, message in (
        (lambda: compose(None), "^overrides is None: it must be overrides as on the command line"),
        (lambda: run(None), "^what is None: it must be settings from `compose`, or overrides"),
        (lambda: sweep(None), "^overrides is None: it must be"),
        (lambda: sweep(["seed=1,2", 3]), r"^overrides\[1\]=3 is of type int: it must be a text"),
        (lambda: runs(where=3), "^where=3 is of type int: it must be a filter"),
        (lambda: evaluate(result, options=3), "^options=3 is of type int"),
        (lambda: evaluate(result, shifts=0.5), "^shifts=0.5 is of type float: it must be a number of pixels"),
        (lambda: evaluate(result, shifts=-1), "^shifts=-1 is not allowed: it must be a number of pixels, 0 for none"),
        (lambda: compose(config_dir=3), "^config_dir=3 is of type int: it must be the path of a folder"),
    ):
        with pytest.raises(SettingsError, match=message):
            ask()


def test_errors_name_arguments_and_not_the_options_of_commands(result):
    for ask, message in (
        (lambda: report(result, metric="nope"), "^metric=nope is in none of the runs"),
        (lambda: report(), "^no runs are given: name runs or sweeps with of"),
        (lambda: report(result, experiment="mnist_exp"), "^of names runs, and so do experiment"),
        (lambda: sweep(["seed=1,2"], config_dir="/nope"), "^config_dir=/nope is not a folder"),
        (lambda: compose(config_dir="/nope"), "^config_dir=/nope is not a folder"),
        (lambda: run([], config_dir="/nope"), "^config_dir=/nope is not a folder"),
    ):
        with pytest.raises(SettingsError, match=message):
            ask()


@pytest.fixture
def parent(result):
    """The parent run of a sweep, whose best job is another run, and whose only own job failed; a client."""
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlflow.db")
    experiment = client.get_run(result.run_id).info.experiment_id
    tags = {"mnist_exp.sweep": "x", "mnist_exp.best_run": result.run_id, "mnist_exp.command": "the command"}
    made = client.create_run(experiment, tags=tags).info.run_id
    client.set_terminated(made, "FAILED")
    failed = {"mlflow.parentRunId": made, "mnist_exp.job_key": "lost", "mnist_exp.failure": "loss is NaN"}
    client.set_terminated(client.create_run(experiment, run_name="lost", tags=failed).info.run_id, "FAILED")
    return made, client


def test_sweep_that_is_asked_names_its_best_job(result, parent, capfd):
    words = f"run {parent[0]} is a sweep, which has no model: name one of its jobs; the best is {result.run_id}"
    stored = references.find(TrackingSettings(), parent[0])
    for ask in (
        lambda: predict(parent[0], "digits"),
        lambda: load_model(parent[0]),
        lambda: demo.load(stored, argparse.Namespace(trusted_modules=[])),
    ):
        with pytest.raises(SettingsError, match=words):
            ask()
    options = predict_command.read([parent[0], "digits"])
    assert commands.code_of(lambda: predict_command.predict(options)) == 2
    assert words in capfd.readouterr().err


def test_ensemble_leaves_out_what_failed_and_says_so(result, parent):
    made, client = parent
    with pytest.raises(SettingsError, match=r"has 0 models, .*\(loss is NaN\): mend what .* again: the command"):
        evaluate(made)
    original = client.get_run(result.run_id)
    own = {key: value for key, value in original.data.tags.items() if key.startswith("mnist_exp.")}
    for number in range(2):
        tags = own | {"mlflow.parentRunId": made, "mnist_exp.job_key": f"key {number}"}
        copy = client.create_run(original.info.experiment_id, tags=tags).info.run_id
        for artifact in ("config.yaml", "classes.yaml"):
            client.log_text(copy, Path(client.download_artifacts(result.run_id, artifact)).read_text(), artifact)
        for key, value in original.data.params.items():
            client.log_param(copy, key, value)
        client.set_terminated(copy)
        if number == 0:
            with pytest.raises(SettingsError, match=f"has 1 model, as 1 of its 2 jobs failed: .*evaluate {copy}"):
                evaluate(made)
    found = evaluate(made)
    assert len(found.document["members"]) == 2
    assert found.metrics["accuracy"] == pytest.approx(result.metrics["test_accuracy"])
    (warning,) = (each for each in found.warnings if "failed" in each)
    assert "the ensemble has 2 models of 3 jobs: 1 failed and left none: " in warning
    assert "(lost)" in warning


def test_evaluation_is_that_of_the_command(result, capfd):
    found = evaluate(result)
    options = evaluate_command.read([result.run_id, "--json"])
    (line,) = printed(capfd, lambda: evaluate_command.evaluate(options))
    assert json.loads(json.dumps(found.document)) == json.loads(line)
    validate(json.loads(line), "evaluation-1")
    assert found.metrics["accuracy"] == pytest.approx(result.metrics["test_accuracy"])
    low, high = found.interval
    assert low <= found.metrics["accuracy"] <= high
    assert found.outputs.shape == (1000, 10)
    assert (found.outputs.argmax(axis=1) == found.labels).mean() == pytest.approx(found.metrics["accuracy"])
    assert "<td>accuracy</td>" in found._repr_html_()
    held_out = evaluate(result, split="validation")
    assert len(held_out.labels) == 120
    assert len(evaluate(result, "mnist_5k", split="all").warnings) == 1


@pytest.mark.slow
def test_sweep_is_evaluated_as_an_ensemble(alone):
    found = evaluate(sweep([*SMALL, "seed=1,2"]))
    validate(json.loads(json.dumps(found.document)), "evaluation-1")
    assert len(found.document["members"]) == 2
