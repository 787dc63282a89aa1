"""`python -m mnist_exp.export --quantize`: each choice for each kind of model, what it costs, what is refused."""

import json
from importlib import resources
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from real_browser import browser
from real_runs import SMALL

from mnist_exp import commands, compose, export, run
from mnist_exp.inference.exporting import formats

CHOICES = ("dynamic", "int8", "float16")
PAIRS = [(form, choice) for form in ("onnx", "litert") for choice in CHOICES]
DIGITS = ["data=mnist_5k", "data.limit=300", "trainer.epochs=1"]
OWN = ["data=mnist_5k", "model=mlp", "model.hidden_units=[32]", "trainer.epochs=10", "trainer.batch_size=30"]
OWN += ["trusted_modules=[own_tasks]"]
TRUST = "--trusted-modules=own_tasks"
NPZ = ["data=npz", "data.path=own.npz"]


def call(*words):
    return commands.code_of(lambda: export.export(export._parser().parse_args(words)))


def exported(capfd, *words):
    """The JSON of an export, which follows its schema, and its exit code."""
    capfd.readouterr()
    code = call(*words, "--json")
    out, err = capfd.readouterr()
    assert out, err
    facts = json.loads(out)
    schema = resources.files("mnist_exp.results").joinpath("schemas", "export-1.json").read_text("utf-8")
    jsonschema.validate(facts, json.loads(schema))
    return code, facts, err


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a store, and a run in it that is right for most digits."""
    for form in ("onnx", "litert"):
        for package in formats.FORMATS[form].packages:
            pytest.importorskip(package)
    place = tmp_path_factory.mktemp("quantized")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return place, run(compose([*SMALL, "data.limit=3000", "trainer.epochs=4"])).run_id


@pytest.fixture
def run_id(trained, monkeypatch):
    monkeypatch.chdir(trained[0])
    return trained[1]


def colours():
    """470 pictures of 47 classes in colour; a tenth are test images."""
    rng = np.random.default_rng(0)
    y = np.arange(470) % 47
    kinds = rng.integers(0, 255, (47, 12, 12, 3))
    return np.clip(kinds[y] + rng.normal(0, 40, (470, 12, 12, 3)), 0, 255).astype(np.uint8), y


def table():
    """A table whose columns are of very different sizes."""
    rng = np.random.default_rng(0)
    y = np.arange(600) % 3
    income = rng.normal(50_000, 10_000, 600) + 20_000 * y
    rate = rng.normal(0.01, 0.001, 600) + 0.004 * (y == 1)
    return np.stack([income, rate], axis=1).astype(np.float32), y


def write(x, y):
    part = len(x) * 3 // 4
    np.savez("own.npz", x_train=x[:part], y_train=y[:part], x_test=x[part:], y_test=y[part:])


MODELS = {
    "cnn": DIGITS,
    "mlp": [*DIGITS, "model=mlp", "model.hidden_units=[32]"],
    "lenet5": [*DIGITS, "model=lenet5"],
    "convnet": [*DIGITS, "model=convnet", "model.batch_norm=true", "model.filters=[8,8]"],
    "resnet": [*DIGITS, "model=resnet", "model.filters=4", "model.blocks=[1,1]"],
    "backbone": [*DIGITS, "model=backbone", "data.limit=60"],
    "augmented": [*DIGITS, "augment=affine", "model.filters=4"],
    "trained in 16 bits": [*DIGITS, "model.filters=4", "trainer.precision=mixed_bfloat16"],
    "47 classes in colour": [*NPZ, "trainer.epochs=4", "model.filters=4"],
    "16-bit pixels": [*NPZ, "trainer.epochs=2", "model.filters=4"],
    "binary": [*OWN, "data._target_=own_tasks.binary", "task=binary"],
    "multilabel": [*OWN, "data._target_=own_tasks.multilabel", "task=multilabel"],
    "regression": [*OWN, "data._target_=own_tasks.regression", "task=regression", "objective=val_loss"],
}
MODELS["regression"].append("direction=minimize")


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_model_is_quantized_each_way(name, capfd, alone):
    for form in ("onnx", "litert"):
        for package in formats.FORMATS[form].packages:
            pytest.importorskip(package)
    if name == "47 classes in colour":
        write(*colours())
    elif name == "16-bit pixels":
        x, y = colours()
        write(x[..., :1].astype(np.uint16) * 257, y % 10)
    run_id = run(compose(MODELS[name])).run_id
    images = ["--images=200"] if name in ("cnn", "mlp", "lenet5", "convnet", "resnet", "backbone", "augmented") else []
    for form, choice in PAIRS:
        code, facts, err = exported(capfd, run_id, "--format", form, "--quantize", choice, TRUST, *images)
        cost, pair = facts["cost"], f"{form} {choice}"
        assert (code, facts["why_not_written"], facts["quantize"]) == (0, None, choice), err
        assert Path(facts["file"]).stat().st_size == facts["size"] == cost["after"]["size"], pair
        assert cost["difference"] < 0.3, pair
        assert not cost["depends_on_batch"] or pair == "onnx dynamic", pair
        assert cost["metric"] == {"multilabel": "exact_match", "regression": "mae"}.get(name, "accuracy")
        if choice == "float16":
            assert cost["difference"] < 0.01, pair
        if name in ("cnn", "mlp"):
            assert cost["after"]["size"] < (0.55 if choice == "float16" else 0.35) * cost["before"]["size"], pair
        reader = formats.FORMATS[form].open(Path(facts["file"]), ())
        assert reader(np.zeros((2, *facts["input"]["shape"][1:]), np.float32)).dtype == np.float32


@pytest.mark.slow
def test_columns_of_different_sizes_keep_their_values_in_8_bits(alone, capfd):
    """The small column decides between two classes: scaled together with the large one it would be 0 everywhere."""
    write(*table())
    words = [*NPZ, "model=mlp", "model.hidden_units=[32]", "data.standardize=true", "trainer.epochs=30"]
    run_id = run(compose([*words, "trainer.batch_size=20"])).run_id
    for form, choice in PAIRS:
        code, facts, _ = exported(capfd, run_id, "--format", form, "--quantize", choice, "--max-drop", "0.03")
        assert (code, facts["input"]["name"]) == (0, "features")
        assert facts["cost"]["before"]["score"] > 0.85


@pytest.mark.slow
def test_screen_record_and_page_say_what_it_costs(run_id, capfd):
    assert call(run_id, "--format=litert", "--quantize=int8", "--calibration-images=50") == 0
    out, err = capfd.readouterr()
    name = f"{run_id[:8]}-int8"
    assert (err, f"exports/{name}.tflite, " in out) == ("", True)
    for words in (
        "in 8 bits; scales measured beforehand, on 50 training images",
        "1,000 of 1,000 predictions equal to those of Keras",
        "ms before (median, 1 thread)",
        "95 % intervals, on 1,000 test images",
        "McNemar's exact test: p = ",
        "the same answers alone and 200 at a time",
    ):
        assert words in out
    facts = json.loads(Path("exports", f"{name}.tflite.json").read_text())
    assert facts["file"] == f"exports/{name}.tflite"
    assert facts["cost"]["calibrated_on"] == 50
    page = Path("exports", f"{name}.tflite.html").read_text()
    assert f"{facts['cost']['after']['score']:.4f}" in page
    assert page.count("<figure>") == len(facts["cost"]["changed"])
    for each in facts["cost"]["changed"]:
        assert (
            f"before <b>{each['before']}</b>, {each['probability_before']:.3f}<br>after <b>{each['after']}</b>" in page
        )
    with browser() as opened:
        shown = opened.new_page(viewport={"width": 400, "height": 800})
        shown.goto(Path("exports", f"{name}.tflite.html").absolute().as_uri())
        assert shown.evaluate("document.documentElement.scrollWidth") <= 400
        box = shown.get_by_role("columnheader", name="int8").bounding_box()
        assert box["x"] + box["width"] <= 400  # A phone has the column without a scroll.
    assert not list(Path("exports").glob(".export-*"))


@pytest.mark.slow
def test_changed_labels_are_those_that_the_two_files_give(run_id, capfd, digits):
    assert call(run_id, "--format=onnx", "--output=whole.onnx") == 0
    _, facts, _ = exported(capfd, run_id, "--format=onnx", "--quantize=dynamic", "--output=small.onnx")
    x = digits[1][0][..., None].astype(np.float32)
    whole = formats.FORMATS["onnx"].open(Path("whole.onnx"), ())(x).argmax(axis=1)
    reader = formats.FORMATS["onnx"].open(Path("small.onnx"), ())
    alone = np.concatenate([reader(x[i : i + 1]) for i in range(len(x))]).argmax(axis=1)
    batched = np.concatenate([reader(x[i : i + 200]) for i in range(0, len(x), 200)]).argmax(axis=1)
    cost = facts["cost"]
    assert [each["row"] for each in cost["changed"]] == np.flatnonzero(whole != alone).tolist()
    assert [each["row"] for each in cost["by_batch"]] == np.flatnonzero(alone != batched).tolist()
    assert cost["after"]["score"] == pytest.approx((alone == digits[1][1]).mean())


@pytest.mark.slow
def test_user_is_told_that_onnx_dynamic_answers_by_the_batch(run_id, capfd):
    """ONNX Runtime 1.32 scales what a layer gets by its largest value in the whole batch."""
    assert call(run_id, "--format=onnx", "--quantize=dynamic", "--output=told.onnx") == 0
    out = capfd.readouterr().out
    assert "the answer for an image depends on those beside it: 200 at a time it differs by up to 0.0" in out
    assert "Ask about one image at a time; all figures here are of that" in out
    assert "Ask about one image at a time" in Path("told.onnx.html").read_text()


@pytest.mark.slow
def test_larger_drop_than_allowed_leaves_nothing(run_id, capfd, monkeypatch):
    """A model that always says the same digit stands in for one that quantizing spoils."""
    from mnist_exp.inference.exporting import quantizing

    def spoil(source, path):
        weights = source.model.get_weights()
        weights[-1][3] = 1000
        source.model.set_weights(weights)
        formats.FORMATS["onnx"].write(source.model, path, "probabilities")

    monkeypatch.setitem(quantizing._WRITERS, ("onnx", "int8"), spoil)
    words = (run_id, "--format=onnx", "--quantize=int8", "--output=spoilt.onnx")
    code, facts, err = exported(capfd, *words, "--max-drop=0.5")
    assert (code, facts["file"], facts["cost"]["max_drop"]) == (1, None, 0.5)
    assert "the accuracy drops by 0." in facts["why_not_written"]
    assert "more than --max-drop=0.5; nothing was written" in err
    assert not list(Path().glob("spoilt.*"))
    code, facts, err = exported(capfd, *words)
    assert (code, facts["file"]) == (0, "spoilt.onnx")
    assert "warning: the quantized model is worse, and not by chance" in err


@pytest.mark.slow
def test_page_and_record_of_someone_else_are_not_replaced(run_id, capfd):
    Path("mine.tflite.html").write_text("mine")
    words = (run_id, "--format=litert", "--quantize=dynamic", "--output=mine.tflite", "--images=20")
    assert call(*words) == 2
    assert "--output=mine.tflite would come with mine.tflite.html, which exists" in capfd.readouterr().err
    assert Path("mine.tflite.html").read_text() == "mine"
    assert call(*words, "--force") == 0
    assert "mine.tflite" in Path("mine.tflite.html").read_text()


@pytest.mark.slow
def test_int8_is_calibrated_on_training_images_alone(run_id, capfd, monkeypatch, digits):
    from mnist_exp.inference.exporting import quantizing

    seen = []
    before = quantizing._WRITERS["onnx", "int8"]

    def look(source, path):
        seen.append(source.calibration)
        before(source, path)

    monkeypatch.setitem(quantizing._WRITERS, ("onnx", "int8"), look)
    assert call(run_id, "--format=onnx", "--quantize=int8", "--output=looked.onnx", "--images=20") == 0
    (x_train, _), (x_test, _) = digits
    rows = {image.astype(np.uint8).tobytes() for image in seen[0]}
    assert seen[0].shape == (500, 28, 28, 1)
    assert rows <= {image.tobytes() for image in x_train}
    assert not rows & {image.tobytes() for image in x_test}
    assert call(run_id, "--format=onnx", "--quantize=int8", "--output=x.onnx", "--calibration-images=3001") == 2
    assert "--calibration-images=3001 is more than the 3,000 training images of mnist_5k" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format=keras", "--quantize=int8"], "--quantize=int8 is not for --format=keras: --format=litert and"),
        (["--format=onnx", "--max-drop=0.1"], "--max-drop is for --quantize"),
        (["--format=onnx", "--quantize=int8", "--tolerance=1"], "--tolerance is for an export without --quantize"),
        (["--format=onnx", "--quantize=int8", "--max-drop=nan"], "--max-drop=nan is not allowed"),
        (["--format=onnx", "--quantize=int8", "--max-drop=-1"], "--max-drop=-1.0 is not allowed"),
        (["--format=onnx", "--quantize=dynamic", "--calibration-images=5"], "is for --quantize=int8"),
        (["--format=onnx", "--quantize=int8", "--calibration-images=0"], "--calibration-images=0 is not allowed"),
    ],
)
def test_mistakes_are_told_before_the_run_is_looked_for(words, said, alone, capfd):
    assert call("no run id", *words) == 2
    assert said in capfd.readouterr().err
    assert list(Path().iterdir()) == []
