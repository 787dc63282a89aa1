"""Models in Python: `predict` and `evaluate` say what the commands say, of files and of images in memory."""

import json

import numpy as np
import pytest
from PIL import Image
from schemas import validate

from mnist_exp import SettingsError, commands, compose, evaluate, evaluate_command, predict, predict_command, run, sweep

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
