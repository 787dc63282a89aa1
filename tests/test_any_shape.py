"""Examples that are no images, through every command: recorded, evaluated, predicted, exported, run again."""

import io
import json

import numpy as np
import pytest

from mnist_exp import commands, compose, demo, export, load_model, rerun, run
from mnist_exp import evaluate_command as evaluate
from mnist_exp import predict_command as predict
from mnist_exp.errors import SettingsError
from mnist_exp.inference.exporting import formats
from mnist_exp.inference.inputs import arrays as array_inputs
from mnist_exp.inference.inputs.arrays import Example

SMALL = ["data=npz", "data.path=a.npz", "model=mlp", "model.hidden_units=[8]", "trainer.epochs=2"]
SMALL += ["trainer.batch_size=20", "data.standardize=true"]
SHAPES = {"table": (6,), "series": (9, 2), "images of 5 channels": (4, 4, 5), "volumes": (3, 3, 3, 1)}


@pytest.fixture(params=SHAPES)
def trained(request, alone):
    """A run on examples of a shape, which lie in a.npz."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = rng.normal(1000, 50, (90, *SHAPES[request.param])).astype(np.float32)
    x[(slice(None), *[0] * (x.ndim - 1))] += 300 * y
    np.savez("a.npz", x_train=x[:60], y_train=y[:60], x_test=x[60:], y_test=y[60:])
    return run(compose(SMALL)).run_id, x[60:]


COMMANDS = {
    "evaluate": lambda words: evaluate.evaluate(evaluate.read(words)),
    "predict": lambda words: predict.predict(predict._parser().parse_args(words)),
    "export": lambda words: export.export(export._parser().parse_args(words)),
    "rerun": lambda words: rerun.rerun(rerun._parser().parse_args(words)),
    "demo": lambda words: demo.demo(demo._parser().parse_args(words)),
}


def call(command, *words):
    return commands.code_of(lambda: COMMANDS[command](words))


@pytest.mark.slow
def test_every_command_takes_examples_that_are_no_images(trained, capfd):
    run_id, x = trained
    model = load_model(run_id)
    expected = model.predict(x, verbose=0)

    assert call("evaluate", run_id) == 0
    shown = capfd.readouterr().out
    assert "accuracy and loss are as the run recorded them" in shown
    assert "confident_mistakes.png" not in shown

    np.save("x.npy", x)
    names = ",".join(f"feature {number}" for number in range(x[0].size))
    np.savetxt("x.csv", x.reshape(len(x), -1), delimiter=",", header=names, comments="")
    np.savez("x.npz", x=x, other=x[:1])
    for name in ("x.npy", "x.csv", "x.npz"):
        assert call("predict", run_id, name, "--json") == 0
        answers = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        assert [each["path"] for each in answers] == [f"{name}:{number}" for number in range(len(x))]
        np.testing.assert_allclose([each["probabilities"] for each in answers], expected, atol=1e-6)

    for name in ("onnx", "keras"):
        for package in formats.FORMATS[name].packages:
            pytest.importorskip(package)
        assert call("export", run_id, "--format", name) == 0
        assert "features, float32 (n, " in capfd.readouterr().out

    assert call("rerun", run_id) == 0
    assert "to the last bit" in capfd.readouterr().out
    assert call("demo", run_id, "--port", "0") == 2
    assert "takes features, no pixels, of shape" in capfd.readouterr().err


SHAPE = (2, 3, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2,3", "its shape is (1, 3); the model takes (n, 2, 3, 1): images 2×3×1"),
        ("1,2,3,4,5,a", "it cannot be read"),
        ("1,2,3,4,5,6\n1,2", "it cannot be read"),
        ("", "it has no rows of numbers"),
        ("1,2,3,4,5,nan", "-:0: it has a value that is NaN or infinite"),
    ],
)
def test_rows_that_cannot_be_predicted_are_named(text, words):
    (example,) = array_inputs.all_of(["-"], SHAPE, pixels=False, stdin=io.BytesIO(text.encode()))
    assert words in str(example.values)


@pytest.mark.parametrize("given", [SHAPE, (1, *SHAPE), (1, 6), (1, 2, 3)])
def test_one_example_may_have_any_of_the_forms_that_files_have(given, alone):
    x = np.arange(6, dtype=np.float64).reshape(given)
    np.save("x.npy", x)
    (example,) = array_inputs.all_of(["x.npy"], SHAPE, pixels=False)
    assert isinstance(example, Example)
    np.testing.assert_array_equal(example.values, x.reshape(SHAPE))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda file: np.savez(file, a=np.zeros(2), b=np.zeros(2)), "name the array of the examples x"),
        (lambda file: np.savez(file, x=np.array([{}], dtype=object)), "it cannot be read: ValueError"),
        (lambda file: np.savez(file, x=np.array(["a"])), "it holds <U1 values"),
        (lambda file: file.write_bytes(b"PK\x03\x04" + bytes(40)), "it cannot be read"),
        (lambda file: file.write_bytes(b""), "it cannot be read"),
    ],
)
def test_a_file_without_examples_is_told(make, words, tmp_path):
    make(tmp_path / "x.npz")
    (example,) = array_inputs.all_of([str(tmp_path / "x.npz")], SHAPE, pixels=False)
    assert words in str(example.values)


def test_names_that_are_no_files_of_arrays_are_told_all_at_once(alone):
    (alone / "a.png").touch()
    with pytest.raises(SettingsError) as error:
        array_inputs.find(["a.png", "no.csv", "-", "-"])
    assert len(error.value.problems) == 3
