"""`python -m mnist_exp.export` on real runs: exported files, their predictions in their own runtime, error messages."""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from real_runs import SMALL, client_of

from mnist_exp import commands, compose, export, load_model, run
from mnist_exp.errors import SettingsError
from mnist_exp.inference.exporting import formats, parity
from mnist_exp.runtime import signals
from mnist_exp.tasks import builders

pytestmark = pytest.mark.slow

FORMATS = ("onnx", "litert", "savedmodel", "keras")


def needs(name):
    for package in formats.FORMATS[name].packages:
        pytest.importorskip(package)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a store, and a run in it."""
    place, before = tmp_path_factory.mktemp("export"), Path.cwd()
    os.chdir(place)
    try:
        return place, run(compose([*SMALL, "trainer.epochs=2"])).run_id
    finally:
        os.chdir(before)


@pytest.fixture
def run_id(trained, monkeypatch):
    monkeypatch.chdir(trained[0])
    return trained[1]


def call(*words):
    return commands.code_of(lambda: export.export(export._parser().parse_args(words)))


@pytest.mark.parametrize("name", FORMATS)
def test_exported_model_predicts_as_keras_does(run_id, digits, capfd, name):
    needs(name)
    file = f"made{formats.FORMATS[name].suffix}"
    assert call(run_id, "--format", name, "--output", file, "--images", "300") == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert out.startswith(f"run         {run_id}")
    assert "300 of 300 predictions equal to those of Keras; largest difference " in out
    assert "200 images" in out
    _, (x, _) = digits
    reader = formats.FORMATS[name].open(Path(file), ())
    result = reader(x[:3, ..., None].astype(np.float32))
    np.testing.assert_allclose(result, load_model(run_id).predict(x[:3, ..., None], verbose=0), atol=1e-5)


def test_onnx_file_describes_its_input(run_id):
    needs("onnx")
    import onnxruntime

    assert call(run_id, "--format", "onnx", "--output", "named.onnx", "--images", "50") == 0
    session = onnxruntime.InferenceSession("named.onnx")
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert (taken.name, taken.type, taken.shape) == ("pixels", "tensor(float)", ["n", 28, 28, 1])
    assert (given.name, given.type, given.shape) == ("probabilities", "tensor(float)", ["n", 10])
    for n in (1, 7):
        assert session.run(None, {"pixels": np.zeros((n, 28, 28, 1), np.float32)})[0].shape == (n, 10)


def test_model_that_disagrees_is_not_written(run_id, capfd):
    needs("litert")
    Path("old.tflite").write_text("as it was")
    words = (run_id, "--format", "litert", "--output", "old.tflite", "--tolerance", "0")
    assert call(*words) == 2
    assert "--output=old.tflite exists: name another one, or replace it with --force" in capfd.readouterr().err
    assert call(*words, "--force") == 1
    out, err = capfd.readouterr()
    assert "old.tflite, " in out
    assert "MB, not written" in out
    assert "it does not agree with Keras" in err
    assert "(allowed: 0); nothing was written" in err
    assert Path("old.tflite").read_text() == "as it was"
    assert not list(Path().glob(".export-*"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_is_not_reported_as_a_failure(run_id, capfd, monkeypatch, number, code):
    """TensorFlow turns the exception that a signal raises into a TypeError."""

    def write(model, path, name):
        monkeypatch.setattr(signals, "_asked", [number])
        raise TypeError("broken off")

    broken = dataclasses.replace(formats.FORMATS["keras"], write=write)
    monkeypatch.setitem(formats.FORMATS, "keras", broken)
    assert call(run_id, "--format=keras", "--output=never.keras") == code
    assert "cannot be exported" not in capfd.readouterr().err
    assert not Path("never.keras").exists()
    assert commands.tell(SettingsError("the model cannot be loaded: TypeError")) == code


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--format=litert", "--output=a.onnx"],
            "--output=a.onnx is not allowed: --format=litert makes a file .tflite",
        ),
        (["--format=keras", "--images=0"], "--images=0 is not allowed"),
        (["--format=keras", "--images=2000"], "--images=2000 is more than the 1,000 test images of mnist_5k"),
        (["--format=keras", "--tolerance=-1"], "--tolerance=-1.0 is not allowed"),
        (["--format=keras", "--tolerance=nan"], "--tolerance=nan is not allowed"),
        (["--format=keras", "--data-path=/x"], "data.path does not exist"),
        (
            ["--format=savedmodel", "--output=own", "--force"],
            "own is a folder but not a SavedModel: it is not replaced, even with --force",
        ),
        (["--format=keras", "--output=/proc/x/a.keras"], "--output=/proc/x/a.keras cannot be written"),
        (["--format=keras", f"--output={'a' * 300}.keras"], "cannot be written: File name too long"),
        (["--format=savedmodel", "--output=own/notes.txt", "--force"], "--output=own/notes.txt is a file"),
    ],
)
def test_mistake_gives_a_message_without_traceback(run_id, capfd, words, said):
    Path("own").mkdir(exist_ok=True)
    Path("own/notes.txt").write_text("of the user")
    assert call(run_id, *words) == 2
    err = capfd.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert Path("own/notes.txt").exists()


def test_missing_package_is_reported_first(alone, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    assert call("no run id", "--format", "onnx") == 2
    assert "--format=onnx needs tf2onnx: pip install 'mnist_exp[export]'" in capfd.readouterr().err


def test_missing_data_give_an_error_that_names_the_option(run_id, capfd):
    store = client_of()
    tags = store.get_run(run_id).data.tags | {"mnist_exp.data_sha256": "0" * 64}
    made = store.create_run(store.get_run(run_id).info.experiment_id, tags=tags)
    config = Path(store.get_run(run_id).info.artifact_uri.removeprefix("file://")) / "config.yaml"
    store.log_artifact(made.info.run_id, str(config))
    assert call(made.info.run_id, "--format", "keras") == 2
    err = capfd.readouterr().err
    assert "is not what run" in err
    assert "the comparison with Keras needs the run's own test images: say where they are with --data-path" in err


@given(
    arrays.arrays(np.float64, (7, 3), elements=st.floats(0, 1)),
    arrays.arrays(np.float64, (7, 3), elements=st.floats(-0.2, 0.2)),
    st.floats(0, 0.2),
)
def test_comparison_follows_its_definition(reference, error, tolerance):
    exported = reference + error
    result = parity.compare(reference, exported, builders.classification(), tolerance)
    ties = wrong = 0
    for row, other in zip(reference, exported, strict=True):
        if row.argmax() != other.argmax():
            first, second = sorted(row)[:-3:-1]
            ties, wrong = (ties + 1, wrong) if first - second < tolerance else (ties, wrong + 1)
    assert (result.images, result.ties, result.images - result.agreeing - result.ties) == (7, ties, wrong)
    assert result.difference == np.abs(exported - reference).max()
    assert result.is_kept == (wrong == 0 and result.difference <= tolerance)


def test_different_label_beyond_the_tolerance_is_not_a_tie():
    reference, exported = np.array([[0.55, 0.45]]), np.array([[0.49, 0.51]])
    result = parity.compare(
        reference, exported, builders.classification(), 0.08
    )  # Each probability is near enough, the label is not.
    assert (result.agreeing, result.ties, result.is_kept) == (0, 0, False)
    assert result.difference < result.tolerance
    assert parity.compare(reference, exported, builders.classification(), 0.11).is_kept


def test_output_of_converters_is_hidden_unless_they_fail(capfd):
    def noise():
        print("python says")
        subprocess.run([sys.executable, "-c", "import os; os.write(1, b'out'); os.write(2, b'err')"], check=True)

    with formats.held_output():
        noise()
    assert capfd.readouterr() == ("", "")
    with pytest.raises(SettingsError), formats.held_output():
        noise()
        raise SettingsError("x")
    out, err = capfd.readouterr()
    assert out == ""
    assert "outerr" in err.replace("python says\n", "")
    print("afterwards")
    assert capfd.readouterr().out == "afterwards\n"


@pytest.mark.parametrize(
    "options",
    [
        ["model=resnet", "model.filters=4", "model.blocks=[1,1]"],
        ["model.filters=4", "trainer.precision=mixed_bfloat16"],
    ],
)
def test_other_models(run_id, capfd, options):
    made = run(compose(["data=mnist_5k", "data.limit=100", "trainer.epochs=1", *options])).run_id
    for name in FORMATS:
        needs(name)
        capfd.readouterr()
        assert call(made, "--format", name, "--images", "200") == 0, capfd.readouterr().err
        is_other = "trainer.precision=mixed_bfloat16" in options and name in ("onnx", "litert")
        assert ("float32 here; against the 16 bits of the training" in capfd.readouterr().out) == is_other


def test_savedmodel_is_replaced_by_force(run_id, capfd):
    assert call(run_id, "--format", "savedmodel", "--output", "model") == 0
    Path("model/stale").write_text("of the old one")
    assert call(run_id, "--format", "savedmodel", "--output", "model") == 2
    assert call(run_id, "--format", "savedmodel", "--output", "model", "--force") == 0
    assert not Path("model/stale").exists()


def test_all_test_images_of_the_full_mnist(alone, full_mnist, capfd, monkeypatch):
    monkeypatch.setenv("MNIST_EXP_DATA", str(full_mnist))
    made = run(compose(["trainer.epochs=1", "model.filters=4", "data.limit=6000"])).run_id
    for name in FORMATS:
        needs(name)
        capfd.readouterr()
        assert call(made, "--format", name) == 0
        assert "10,000 of 10,000 predictions equal to those of Keras; largest difference" in capfd.readouterr().out


def test_command_prints_only_its_results(run_id):
    needs("onnx")
    words = [sys.executable, "-m", "mnist_exp.export", run_id, "--format", "onnx", "--output", "quiet.onnx"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("run ")
    assert len(done.stdout.splitlines()) == 8
