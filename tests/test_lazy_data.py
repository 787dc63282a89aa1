"""Runs on data that are read as they are needed: the same to the last bit as in memory, by every command."""

import random

import numpy as np
import pytest
from PIL import Image
from real_runs import client_of, history, kill_after_epoch, only_run, run

from mnist_exp import commands, compose, export, rerun
from mnist_exp import evaluate_command as evaluate
from mnist_exp import run as run_here
from mnist_exp.data import lazy
from mnist_exp.inference.exporting import formats

pytestmark = pytest.mark.slow

SIDE, EACH = 40, 350  # 700 images of 4,800 bytes: 3.4 MB
IN_MEMORY, LAZY = "data.in_memory_mb=null", "data.in_memory_mb=1"
SMALL = ["data=image_folder", "data.path=photos", "data.channels=3", "model.filters=2", "model.dense_units=4"]
SMALL += ["trainer.batch_size=20", "model.pool_size=4"]


@pytest.fixture(autouse=True)
def photos(alone):
    rng = np.random.default_rng(0)
    for number in range(2 * EACH):
        folder = alone / "photos" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 200, (SIDE, SIDE, 3)) + 50 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.jpg")


@pytest.mark.parametrize(
    "words",
    [
        ["data.validation=0.2", "trainer.epochs=2"],
        ["data.limit=300", "data.standardize=true", "trainer.epochs=1", "augment=shift"],
    ],
)
def test_training_is_the_same_to_the_last_bit_as_in_memory(words):
    results = [run_here(compose([*SMALL, *words, place, "tracking=none"])) for place in (IN_MEMORY, LAZY)]
    assert results[0].weights_sha256 == results[1].weights_sha256
    losses = [{name: values for name, values in result.history.items() if "loss" in name} for result in results]
    assert losses[0] == losses[1]
    tested = [{n: v for n, v in result.metrics.items() if n.startswith("test_")} for result in results]
    assert tested[0] == tested[1]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_read_it_to_the_same_bits_too(backend):
    pytest.importorskip(backend)
    for place in (IN_MEMORY, LAZY):
        run(*SMALL, "trainer.epochs=2", "data.validation=0.2", "augment=mixup", f"trainer.backend={backend}", place)
    client = client_of()
    runs = client.search_runs([client.get_experiment_by_name("mnist_exp").experiment_id])
    assert len({each.data.tags["mnist_exp.weights_sha256"] for each in runs}) == 1
    assert len({each.data.metrics["test_loss"] for each in runs}) == 1
    assert len({each.data.params["data.in_memory_mb"] for each in runs}) == len(runs) == 2


def test_killed_run_resumes_to_the_bits_of_one_that_was_not_killed():
    whole = run_here(compose([*SMALL, "trainer.epochs=6", LAZY, "tracking=none"]))
    run_id = kill_after_epoch(random.Random().randrange(1, 5), *SMALL, "trainer.epochs=6", LAZY)
    run(f"resume={run_id}")
    assert only_run().data.tags["mnist_exp.weights_sha256"] == whole.weights_sha256
    assert history(run_id)["val_loss"] == whole.history["val_loss"]


def test_every_command_takes_it_and_the_whole_is_never_in_memory(monkeypatch, capfd):
    monkeypatch.setattr(lazy.LazyArray, "__array__", None)  # Nobody asks for all of it.
    run_id = run_here(compose([*SMALL, "trainer.epochs=1", LAZY])).run_id
    for split in ("test", "all"):
        code = commands.code_of(lambda split=split: evaluate.evaluate(evaluate.read([run_id, "--split", split])))
        assert code == 0
    shown = capfd.readouterr().out
    assert "accuracy and loss are as the run recorded them" in shown
    assert "confident_mistakes.png" in shown
    assert commands.code_of(lambda: rerun.rerun(rerun._parser().parse_args([run_id]))) == 0
    assert "to the last bit" in capfd.readouterr().out
    for package in formats.FORMATS["onnx"].packages:
        pytest.importorskip(package)
    assert commands.code_of(lambda: export.export(export._parser().parse_args([run_id, "--format", "onnx"]))) == 0
    inputs = only_run_inputs()
    assert '"features_shape": [560, 40, 40, 3]' in inputs["training"]


def only_run_inputs():
    from mlflow import MlflowClient

    client = MlflowClient("sqlite:///mlflow.db")
    experiment = client.get_experiment_by_name("mnist_exp").experiment_id
    found = client.search_runs([experiment])[-1]
    return {each.tags[0].value: each.dataset.profile for each in found.inputs.dataset_inputs}
