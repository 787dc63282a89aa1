"""Predictions for images of all kinds, one line each. A broken image does not stop the others."""

import contextlib
import csv
import functools
import io
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from real_runs import SMALL, client_of
from schemas import validate

from mnist_exp import commands, compose, run
from mnist_exp import predict_command as predict
from mnist_exp.data.appearance import Appearance
from mnist_exp.data.images.files import read_image
from mnist_exp.data.loaders import mnist_5k
from mnist_exp.errors import SettingsError
from mnist_exp.inference import answers, asking, preprocessing
from mnist_exp.inference.answers import Answer, Predictor
from mnist_exp.inference.doubt import Doubt
from mnist_exp.inference.inputs import images as image_inputs
from mnist_exp.tasks.classification import Classification
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

UNKNOWN = ["calibrated_probability", "calibrated_probabilities", "unlike"]
EMPTY = "standard input is empty: it must be an image, or paths, one a line\n"
bundled = functools.cache(mnist_5k)


def uncalibrated(run_id):
    return (
        f"note: the probabilities are not calibrated: run {run_id} held no images out (data.validation=test); train it "
        "with data.validation=0.1\n"
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run, and the images of its test set as files: folder, run id, test accuracy."""
    place, before = tmp_path_factory.mktemp("predict"), Path.cwd()
    os.chdir(place)
    try:
        result = run(compose([*SMALL, "trainer.epochs=3", f"tracking.uri=sqlite:///{place}/mlflow.db"]))
    finally:
        os.chdir(before)
    x, y = bundled().test
    (place / "digits").mkdir()
    for number, (image, label) in enumerate(zip(x, y, strict=True)):
        Image.fromarray(image).save(place / "digits" / f"{number:04}_{label}.png", compress_level=1)
    return place, result.run_id, result.metrics["test_accuracy"]


@pytest.fixture(scope="module")
def own(recorded):
    """A run in the same store, on an npz of inverted digits of 0 to 15, a quarter held out: run id, and the arrays."""
    place, before = recorded[0], Path.cwd()
    (x, y), (x_test, y_test) = bundled().train, bundled().test
    arrays = {"x_train": (255 - x) // 17, "y_train": y, "x_test": (255 - x_test) // 17, "y_test": y_test}
    np.savez(place / "own.npz", **arrays)
    small = ["data=npz", f"data.path={place}/own.npz", "data.validation=0.25", "model.filters=8", "trainer.epochs=3"]
    os.chdir(place)
    try:
        result = run(compose([*small, f"tracking.uri=sqlite:///{place}/mlflow.db"]))
    finally:
        os.chdir(before)
    return result.run_id, arrays


@pytest.fixture
def command(recorded, capfd, monkeypatch):
    """Run the command in the run's folder; returns exit code, lines and stderr."""
    place, run_id, _ = recorded
    monkeypatch.chdir(place)

    def predicted(*arguments, stdin=b"", run_id=run_id):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        options = ["--tracking-uri", f"sqlite:///{place}/mlflow.db", *arguments]
        code = commands.code_of(lambda: predict.predict(predict.read([run_id, *options])))
        out, err = capfd.readouterr()
        for line in out.splitlines() if "--json" in arguments else ():
            validate(json.loads(line), "predict-1")
        # Said of every answer of a run without a hold-out; `test_run_without_a_hold_out_says_so` looks at it.
        return code, out.splitlines(), err.replace(uncalibrated(run_id), "")

    return predicted


def drawing(number=0, size=(400, 300), zoom=6):
    """Return a test digit, blue on cream, somewhere on a large page."""
    page = Image.new("RGB", size, (245, 240, 220))
    digit = Image.fromarray(bundled().test[0][number]).resize((28 * zoom, 28 * zoom), Image.Resampling.BICUBIC)
    page.paste((20, 30, 140), (150, 20), digit)
    return page


def test_test_set_as_files_gives_exactly_the_recorded_accuracy(command, recorded):
    code, lines, err = command("digits", "--json")
    found = [json.loads(line) for line in lines]
    assert (code, err) == (0, "")
    assert len(found) == 1000
    assert [answer["path"] for answer in found] == sorted(answer["path"] for answer in found)
    right = [answer["label"] == int(Path(answer["path"]).stem[-1]) for answer in found]
    assert np.mean(right) == recorded[2]
    for answer in found:
        assert list(answer) == ["path", "label", "probability", "probabilities", "preprocessing", *UNKNOWN]
        assert [answer[key] for key in UNKNOWN] == [None, None, None]
        assert len(answer["probabilities"]) == 10
        assert answer["probabilities"][answer["label"]] == answer["probability"] == max(answer["probabilities"])
        assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-5)


def test_preprocessing_in_the_style_of_mnist_matters(command, recorded, alone):
    folder = alone / "pages"
    folder.mkdir()
    labels = bundled().test[1]
    random = np.random.default_rng(0)
    for number in range(0, 1000, 10):
        drawing(number, zoom=int(random.integers(2, 9))).save(folder / f"{number:04}_{labels[number]}.jpg")
    accuracy = {}
    for way in ("auto", "plain"):
        _, lines, _ = command(str(folder), "--json", "--preprocess", way)
        found = [json.loads(line) for line in lines]
        accuracy[way] = np.mean([answer["label"] == int(Path(answer["path"]).stem[-1]) for answer in found])
        assert all(answer["preprocessing"][0] == "inverted: dark on light" for answer in found)
        done = {"auto": "drawn anew as in MNIST", "plain": "scaled from 400×300 to 28×28"}[way]
        assert all(answer["preprocessing"][-1] == done for answer in found)
    assert accuracy["auto"] > recorded[2] - 0.12
    assert accuracy["plain"] < 0.4


def test_own_data_in_the_style_of_mnist_are_read_like_mnist(command, own, alone):
    """By the data set's name alone they were scaled down, and every page was read as a 2."""
    folder = alone / "pages"
    folder.mkdir()
    labels, zooms = bundled().test[1], np.random.default_rng(0).integers(2, 9, 50)
    for number, zoom in zip(range(0, 1000, 20), zooms, strict=True):
        drawing(number, zoom=int(zoom)).save(folder / f"{number:04}_{labels[number]}.png")
    code, lines, _ = command(str(folder), "--json", run_id=own[0])
    found = [json.loads(line) for line in lines]
    assert code == 0
    assert np.mean([answer["label"] == int(Path(answer["path"]).stem[-1]) for answer in found]) > 0.8
    assert all(answer["preprocessing"] == ["drawn anew as in MNIST"] for answer in found)  # Dark on light, as learnt.
    _, (line,), _ = command("digits/0000_0.png", run_id=own[0])
    assert line.endswith("   inverted: light on dark")


@pytest.mark.slow
def test_run_without_a_hold_out_says_so(recorded):
    place, run_id, _ = recorded
    words = [sys.executable, "-m", "mnist_exp.predict", run_id, "digits/0000_0.png", "--json"]
    found = subprocess.run(words, cwd=place, capture_output=True, text=True, check=True)
    assert found.stderr == uncalibrated(run_id)


def test_probabilities_are_calibrated_on_the_hold_out(command, own, recorded):
    code, lines, _ = command("digits", "--json", run_id=own[0])
    found = [json.loads(line) for line in lines]
    assert code == 0
    right = np.array([answer["label"] == int(Path(answer["path"]).stem[-1]) for answer in found])
    raw, calibrated = (np.array([answer[key] for answer in found]) for key in ("probability", "calibrated_probability"))
    labels = [int(Path(answer["path"]).stem[-1]) for answer in found]
    # This net is trained for three epochs: it is less sure than it is right.
    assert abs(calibrated.mean() - right.mean()) < abs(raw.mean() - right.mean())
    losses = [
        -np.mean(np.log([answer[key][label] for answer, label in zip(found, labels, strict=True)]))
        for key in ("probabilities", "calibrated_probabilities")
    ]
    assert losses[1] < losses[0]
    tag = json.loads(client_of(f"sqlite:///{recorded[0]}/mlflow.db").get_run(own[0]).data.tags[names.CALIBRATION])
    assert tag["images"] == 1000
    assert tag["loss"][1] < tag["loss"][0]
    assert tag["temperature"] < 1
    row = found[0]["probabilities"]
    powers = np.array(row) ** (1 / tag["temperature"])
    np.testing.assert_allclose(found[0]["calibrated_probabilities"], powers / powers.sum(), rtol=1e-4, atol=1e-7)
    _, (line,), _ = command("digits/0000_0.png", run_id=own[0])
    assert f"   calibrated {found[0]['calibrated_probability']:.4f}   " in line


def test_answers_that_are_sure_enough_have_the_accuracy_that_was_asked_for(command, own):
    code, lines, err = command("digits", "--json", "--abstain", "0.95", run_id=own[0])
    found = [json.loads(line) for line in lines]
    answered = [answer for answer in found if answer["answered"]]
    assert code == 0
    assert all(answer["label"] is None for answer in found if not answer["answered"])
    assert 200 < len(answered) < 1000
    assert np.mean([answer["label"] == int(Path(answer["path"]).stem[-1]) for answer in answered]) >= 0.95
    said = re.search(
        r"^note: answers are given from a confidence of (0\.\d{4}) on: of the 1,000 held-out images these are "
        r"([\d,]+), (\d+\.\d)%, and (0\.\d{4}) of them are right, at least (0\.\d{4}) \(95% interval",
        err,
        re.M,
    )
    assert float(said[5]) >= 0.95
    assert float(said[3]) == pytest.approx(int(said[2]) / 10)
    assert all(answer["calibrated_probability"] >= float(said[1]) - 1e-4 for answer in answered)
    assert f"note: no answer for {1000 - len(answered)} of 1,000\n" in err
    unsure = next(answer["path"] for answer in found if not answer["answered"])
    assert "  no answer: " in command(unsure, "--abstain", "0.95", run_id=own[0])[1][0]


def test_accuracy_that_cannot_be_promised_is_refused(command, own):
    code, lines, err = command("digits/0000_0.png", "--abstain", "0.999", run_id=own[0])
    assert (code, lines) == (2, [])
    assert re.search(r"of its 1,000 held-out images even the surest are right with 0\.9\d+ at least", err)
    code, _, err = command("digits/0000_0.png", "--abstain", "0.9")
    assert code == 2
    assert "--abstain=0.9 needs images that were held out" in err
    assert "train it with data.validation=0.1" in err


def test_strange_images_are_said_to_be_unlike(command, own, alone):
    random = np.random.default_rng(0)
    for number in range(20):
        Image.fromarray(random.integers(0, 256, (28, 28), dtype=np.uint8)).save(alone / f"noise{number}.png")
    _, lines, err = command(*map(str, sorted(alone.glob("noise*.png"))), "--json", run_id=own[0])
    assert [json.loads(line)["unlike"] for line in lines] == [True] * 20
    assert "note: 20 of 20 are unlike all training images; of held-out images 1% are called so\n" in err
    assert "   unlike all training images   " in command(str(alone / "noise0.png"), run_id=own[0])[1][0]
    _, lines, _ = command("digits", "--json", run_id=own[0])
    assert np.mean([json.loads(line)["unlike"] for line in lines]) < 0.04


def test_broken_images_are_reported_and_the_others_predicted(command, alone):
    folder = alone / "mixed"
    (folder / "sub").mkdir(parents=True)
    drawing().save(folder / "a.png")
    drawing().save(folder / "sub" / "z.webp")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "cut.jpg").write_bytes((lambda b: (drawing().save(b, "JPEG"), b.getvalue()[:3000])[1])(io.BytesIO()))
    Image.new("L", (50, 50), 255).save(folder / "empty.png")
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_text("no image")
    os.mkfifo(folder / "pipe.png")
    code, lines, err = command(str(folder), str(folder / "none.png"))
    assert code == 1
    assert [Path(line.split()[0]).name for line in lines] == ["a.png", "z.webp"]
    assert all(line.endswith("   inverted: dark on light; drawn anew as in MNIST") for line in lines)
    for words in ("broken.png is not", "cut.jpg is a damaged image", "empty.png: nothing is drawn"):
        assert words in err
    assert "pipe.png is no file" in err
    assert "none.png does not exist" in err
    assert len(err.splitlines()) == 5
    code, lines, err = command(str(folder), "--json")
    result = [json.loads(line) for line in lines]
    assert code == 1
    assert ["error" in answer for answer in result] == [False, True, True, True, True, False]
    assert all(list(answer) == ["path", "error"] for answer in result if "error" in answer)
    assert len(err.splitlines()) == 4


def test_line_shows_label_probability_and_runners_up(command):
    code, (line,), _ = command("digits/0000_0.png")
    path, label, probability, second, *_ = line.split()
    assert (code, path, len(label)) == (0, "digits/0000_0.png", 1)
    assert 0 < float(probability) <= 1
    assert second != label
    assert line.count(",") == 1
    assert command("digits/0000_0.png", "--top", "1")[1] == [f"{path}  {label}  {probability}   as it is"]
    assert command("digits/0000_0.png", "--top", "99")[1][0].count(",") == 8


def test_pattern_and_standard_input(command, alone):
    code, lines, _ = command("digits/000*_0.png")
    assert (code, len(lines)) == (0, 10)
    content = io.BytesIO()
    drawing().save(content, "PNG")
    assert command("-", "--json", stdin=content.getvalue())[1][0].startswith('{"path": "-", "label": ')
    paths = b"digits/0000_0.png\r\n\ndigits/0001_0.png\nmissing.png"
    code, lines, err = command("-", stdin=paths)
    assert (code, len(lines), err) == (1, 2, "missing.png does not exist\n")
    # Its first bytes are those of a text, too.
    pnm = b"P2\n2 2\n255\n0 255 0 255\n"
    assert command("-", "--preprocess", "plain", stdin=pnm)[0] == 0
    for empty in (b"", b"\n"):
        assert command("-", stdin=empty)[0::2] == (
            1,
            "standard input is empty: it must be an image, or paths, one a line\n",
        )
    assert command("-", stdin=b"\x89PNG\r\n")[2] == "standard input is not an image that can be read\n"


def test_names_that_no_file_can_have_are_reported(command):
    code, lines, err = command("-", stdin=b"digits/0000_0.png\na\0/*\n")
    assert (code, len(lines)) == (1, 1)
    assert err == "a\\x00/* matches no file\n"


def ready(files):
    """Return image files as a model of 28×28 takes them."""
    reader = preprocessing.Reader((28, 28, 1), "plain", "light")
    images = (image_inputs.Image(file.name, file) for file in files)
    return answers.ahead(lambda image: asking.ready(reader, image), images)


def test_nan_gives_an_error(recorded):
    model = SimpleNamespace(predict=lambda batches, verbose: np.array([[0.5, 0.5], [np.nan, np.nan]]))
    files = sorted((recorded[0] / "digits").iterdir())[:2]
    good, bad = answers.of_ready(Predictor(model), ready(files))
    task = Classification()
    assert asking.as_json(good, task, None, Doubt(task))["probability"] == 0.5
    assert asking.as_json(bad, task, None, Doubt(task)) == {
        "path": files[1].name,
        "error": f"{files[1].name}: the model answers with NaN: its training diverged",
    }


def test_16_bit_image_is_turned_upright(tmp_path):
    grey, turned = np.arange(6, dtype=np.uint16).reshape(2, 3) * 13_000, Image.Exif()
    turned[0x112] = 6
    Image.fromarray(grey).save(tmp_path / "a.png", exif=turned)
    assert np.array_equal(read_image(tmp_path / "a.png", size=None, channels=1)[..., 0], np.rot90(grey // 256, -1))


def test_more_images_than_a_batch_are_read_batch_by_batch(recorded, monkeypatch):
    sizes = []

    class Model:
        def predict(self, batches, verbose):
            sizes.append(sum(len(images) for (images,) in batches))
            return np.full((sizes[-1], 2), 0.5)

    files = sorted((recorded[0] / "digits").iterdir())[:7]
    monkeypatch.setattr(answers, "BATCH", 3)
    found = answers.of_ready(Predictor(Model()), ready(files))
    assert next(found).path == files[0].name
    assert sizes == [3]
    assert [answer.path for answer in found] == [file.name for file in files[1:]]
    assert sizes == [3, 3, 1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.png"], "none.png does not exist"),
        (["*.jp2", ""], "*.jp2 matches no file"),
        (["."], ". has no image (.avif, "),
        (["-", "-"], "IMAGE=- is named twice"),
        (["a\0b"], "does not exist"),
        (["x" * 5000], "does not exist"),
        (["a.png", "--top=0"], "--top=0 is not allowed: it must be at least 1"),
        (["a.png", "--abstain=1"], "--abstain=1.0 is not allowed: it must be an accuracy between 0 and 1"),
        (["a.png", "--abstain=nan"], "--abstain=nan is not allowed"),
        (["a.png", "--csv=-", "--json"], "--json and --csv=- both write to standard output"),
        (["a.png", "--csv=no/a.csv"], "--csv=no/a.csv cannot be written"),
        (["a.png", "--csv="], "--csv= cannot be written"),
        (["a.png", "--csv=a.png"], "--csv=a.png is one of the files that are read"),
        (["a.png", "--csv-columns=path"], "--csv-columns is for --csv=FILE"),
    ],
)
def test_wrong_command_line_is_reported_before_the_store_is_opened(alone, arguments, words):
    Path("a.png").touch() if "a.png" in arguments else None
    options = predict._parser().parse_args(["0" * 32, *arguments])
    with pytest.raises(SettingsError) as caught:
        predict.predict(options)
    assert words in str(caught.value)
    assert not Path("mlflow.db").exists()


def test_names_and_colour_are_those_of_the_run():
    answer = Answer("a\n.png", np.array([0.1, 0.7, 0.2], np.float32), ("inverted: dark on light",))
    names, task = ["cat", "dog\x1b[2J", "cow"], Classification()
    assert asking.as_json(answer, task, names, Doubt(task))["label"] == "dog\x1b[2J"
    assert asking.as_json(answer, task, None, Doubt(task))["label"] == 1
    line = predict.line(answer, task, names, 2, 8, Doubt(task))
    assert line == "a\\n.png   dog\\x1b[2J  0.7000   cow 0.2000   inverted: dark on light"


def recorded_run(looks=None, **params):
    tags = {names.APPEARANCE: looks.as_json()} if looks else {}
    return StoredRun("0" * 32, "name", "mnist_exp", "FINISHED", params, {}, tags, "sqlite:///none.db")


def test_preprocessing_follows_the_training_data():
    ways = {
        ("mnist", (28, 28, 1)): ("mnist", "light"),
        ("mnist_5k", (28, 28, 1)): ("mnist", "light"),
        ("mnist", (32, 32, 3)): ("plain", "light"),
        ("fashion_mnist", (28, 28, 1)): ("plain", "light"),
        ("image_folder", (28, 28, 1)): ("plain", None),
    }
    for (name, shape), (way, ink) in ways.items():  # Of older runs, that measured nothing.
        result = preprocessing.reader(recorded_run(**{"data.name": name}), shape)
        assert (result.way, result.ink) == (way, ink)
    measured = {
        ("light", 20 / 28): ("mnist", "light"),
        ("dark", 20 / 32): ("mnist", "dark"),
        ("dark", None): ("plain", "dark"),
        (None, None): ("plain", None),
    }
    for looks, (way, ink) in measured.items():
        for name in ("mnist", "npz"):
            result = preprocessing.reader(recorded_run(Appearance(*looks), **{"data.name": name}), (28, 28, 1))
            assert (result.way, result.ink) == (way, ink)
    assert preprocessing.reader(recorded_run(**{"data.name": "mnist"}), (28, 28, 1), "plain").way == "plain"
    table = SimpleNamespace(input_shape=(None, 10), inputs=[SimpleNamespace(name="features")])
    with pytest.raises(SettingsError, match=r"takes features, no pixels, of shape \(None, 10\): it must take images"):
        preprocessing.shape_of(table, recorded_run())


def test_images_of_a_folder_are_read_as_they_were_for_training(alone):
    from mnist_exp.data.images.folder import list_folder, read_folder

    for name in ("a", "b"):
        Path("data", name).mkdir(parents=True)
        drawing().save(f"data/{name}/1.png")
    x, _ = read_folder(list_folder(Path("data")), size=(24, 32), channels=3)
    result = preprocessing.reader(recorded_run(**{"data.name": "image_folder"}), (24, 32, 3)).read(Path("data/a/1.png"))
    assert np.array_equal(result.pixels, x[0])
    assert result.notes == ("scaled from 400×300 to 32×24",)


@pytest.mark.slow
def test_command_ends_quietly_on_a_closed_pipe(recorded):
    place, run_id, _ = recorded
    words = [sys.executable, "-m", "mnist_exp.predict", run_id, "digits", "--json"]
    with subprocess.Popen(words, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        first = json.loads(process.stdout.readline())
        process.stdout.close()
        err = process.stderr.read()
    assert first["path"] == "digits/0000_0.png"
    assert (process.returncode, err) == (0, uncalibrated(run_id))


def test_arrays_are_predicted_as_in_training(command, own, alone):
    run_id, arrays = own
    x, y = arrays["x_test"][::10], arrays["y_test"][::10]
    np.save(alone / "x.npy", x)
    _, lines, _ = command(str(alone / "x.npy"), "--json", run_id=run_id)
    expected = [json.loads(line) for line in lines]
    assert [answer["path"] for answer in expected] == [f"{alone}/x.npy:{number}" for number in range(100)]
    assert all(answer["preprocessing"] == ["as it is"] for answer in expected)
    assert np.mean([answer["label"] for answer in expected] == y) > 0.8
    forms = {"flat": x.reshape(100, -1), "channels": x[..., np.newaxis], "floats": x.astype(np.float64)}
    for name, form in forms.items():
        np.save(alone / f"{name}.npy", form)
        _, lines, _ = command(str(alone / f"{name}.npy"), "--json", run_id=run_id)
        assert [json.loads(line)["probability"] for line in lines] == [answer["probability"] for answer in expected]


@pytest.mark.parametrize(
    ("name", "scaled", "words"),
    [
        ("unit", lambda x: (x / 15).astype(np.float32), "scaled from 0 to 1 to 0 to 15"),
        ("bytes", lambda x: (17 * x.astype(int)).astype(np.uint8), "scaled from 0 to 255 to 0 to 15"),
        ("signed", lambda x: (x / 7.5 - 1).astype(np.float32), "scaled from -1 to 1 to 0 to 15"),
    ],
)
def test_values_of_another_range_are_scaled_and_that_is_said(command, own, alone, name, scaled, words):
    """They were taken for the range of the model, without a word."""
    run_id, arrays = own
    x = arrays["x_test"][::10]
    np.save(alone / "x.npy", x)
    np.save(alone / f"{name}.npy", scaled(x))
    labels = []
    for file in ("x", name):
        _, lines, _ = command(str(alone / f"{file}.npy"), "--json", run_id=run_id)
        labels.append([json.loads(line)["label"] for line in lines])
    assert labels[0] == labels[1]
    assert json.loads(lines[0])["preprocessing"] == [words]


def test_arrays_of_pages_are_made_ready_as_files_are(command, own, alone):
    pages = [drawing(number, zoom=4) for number in range(0, 1000, 100)]
    np.savez(alone / "pages.npz", x=np.stack([np.asarray(page) for page in pages]), names=np.arange(3))
    for number, page in enumerate(pages):
        page.save(alone / f"{number}.png")
    _, lines, err = command(str(alone / "pages.npz"), "--json", run_id=own[0])
    _, of_files, _ = command(*(str(alone / f"{number}.png") for number in range(10)), "--json", run_id=own[0])
    for one, other in zip(map(json.loads, lines), map(json.loads, of_files), strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)
        assert one["preprocessing"] == other["preprocessing"] == ["drawn anew as in MNIST"]
    assert f"{alone}/pages.npz: its array x is taken, not names\n" in err


def test_label_in_a_table_is_left_out_and_numbered_columns_are_put_in_order(command, own, alone):
    run_id, arrays = own
    x, y = arrays["x_test"][::50].reshape(20, -1), arrays["y_test"][::50]
    names = [f"pixel{number}" for number in range(784)]
    order = np.random.default_rng(0).permutation(784)
    tables = {
        "plain": (names, x),
        "train": (["label", *names], np.column_stack([y, x])),
        "mixed": ([names[i] for i in order], x[:, order]),
        "both": (["id", *(names[i] for i in order), "label"], np.column_stack([np.arange(20), x[:, order], y])),
    }
    found, told = {}, {}
    for name, (head, rows) in tables.items():
        np.savetxt(alone / f"{name}.csv", rows, fmt="%d", delimiter=",", header=",".join(head), comments="")
        code, lines, told[name] = command(str(alone / f"{name}.csv"), "--json", run_id=run_id)
        assert code == 0
        found[name] = [json.loads(line)["probabilities"] for line in lines]
    assert all(each == found["plain"] for each in found.values())
    assert told["plain"] == ""
    assert "train.csv: the column label is left out: the others are the values\n" in told["train"]
    assert "mixed.csv: its columns are taken by the numbers in their names, pixel0 first\n" in told["mixed"]
    assert "both.csv: the columns id, label are left out" in told["both"]


def test_table_of_answers_and_a_submission_to_kaggle(command, own, alone):
    run_id, arrays = own
    np.save(alone / "x.npy", arrays["x_test"][::100])
    _, lines, _ = command(str(alone / "x.npy"), "--json", run_id=run_id)
    labels = [json.loads(line)["label"] for line in lines]
    wanted = ["--csv", "s.csv", "--csv-columns", "ImageId=number,Label=label"]
    code, lines, err = command(str(alone / "x.npy"), *wanted, run_id=run_id)
    assert (code, lines) == (0, [])
    assert Path("s.csv").read_text() == "ImageId,Label\n" + "".join(f"{i},{y}\n" for i, y in enumerate(labels, 1))
    code, lines, err = command("digits/0000_0.png", "no.png", "--csv", "-", run_id=run_id)
    assert (code, "no.png does not exist" in err) == (1, True)
    assert lines[0] == "path,label,probability,calibrated_probability,unlike,preprocessing,error"
    rows = list(csv.DictReader(lines))
    assert rows[0]["path"] == "digits/0000_0.png"
    assert rows[0]["unlike"] == "false"
    assert rows[0]["preprocessing"] == "inverted: light on dark"
    assert rows[1] | {"path": "", "error": ""} == dict.fromkeys(rows[1], "")
    code, _, err = command("digits/0000_0.png", "--csv", "-", "--csv-columns", "lable", run_id=run_id)
    assert (code, "did you mean label?" in err) == (2, True)


@pytest.mark.slow
def test_bar_is_on_the_terminal_where_answers_go_elsewhere(recorded):
    """As in `predict RUN_ID digits > answers.txt`: stderr is a terminal, stdout is not."""
    place, run_id, _ = recorded
    ours, theirs = os.openpty()
    words = [sys.executable, "-m", "mnist_exp.predict", run_id, "digits"]
    with subprocess.Popen(words, cwd=place, stdout=subprocess.PIPE, stderr=theirs, text=True) as process:
        os.close(theirs)
        seen = b""
        reader = threading.Thread(target=lambda: out.append(process.stdout.read()))
        out = []
        reader.start()
        with contextlib.suppress(OSError):  # The terminal is closed at the end.
            while part := os.read(ours, 65536):
                seen += part
        reader.join()
    os.close(ours)
    assert process.returncode == 0
    assert len(out[0].splitlines()) == 1000
    assert "\x1b" not in out[0]
    assert b"predicted" in seen
    assert b"/1000" in seen
