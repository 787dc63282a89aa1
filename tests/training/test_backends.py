"""The same experiment on TensorFlow, JAX and PyTorch: each in a process of its own, as Keras keeps its backend."""

import importlib.metadata
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from real_runs import SMALL, Running, client_of, history, only_run, run

from mnist_exp import compose
from mnist_exp.composition.preflight import find_problems
from mnist_exp.errors import SettingsError
from mnist_exp.experiment.job_key import job_key
from mnist_exp.jobs import local
from mnist_exp.runtime import backends, machine
from mnist_exp.search.parsing import parse
from mnist_exp.sweeps.planning import plan

OTHERS = ["jax", "torch"]
# Key of data=mnist_5k, with zeros for the digest of the data, from before there was a choice.
KEY = "9af55dd97acc83237bce75a6a7a3094ff3b1c8002a32a54a10a44122100b15b2"


def needs(backend):
    return pytest.mark.skipif(importlib.util.find_spec(backend) is None, reason=f"{backend} is not installed")


EACH = pytest.mark.parametrize("backend", [pytest.param(name, marks=needs(name)) for name in OTHERS])
NORMALISED = ["model=convnet", "model.filters=[4,4]", "model.dense_units=[8]", "model.batch_norm=true"]
ALL = pytest.mark.parametrize("backend", [pytest.param(name, marks=needs(name)) for name in ("tensorflow", *OTHERS)])


def python(code, *arguments, **environment):
    """Run code in a process of its own and return the JSON that it prints after RESULT."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=os.environ | environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.rpartition("RESULT")[2])


def without(monkeypatch, name):
    """Hide a module from Python."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda each, *more: None if each == name else found(each, *more))
    monkeypatch.setattr(backends, "running", lambda: None)


def test_job_keys_of_tensorflow_stay():
    assert job_key(compose(["data=mnist_5k"]), "0" * 64) == KEY
    assert job_key(compose(["data=mnist_5k", "trainer.backend=tensorflow"]), "0" * 64) == KEY
    others = [["trainer.backend=jax"], ["trainer.backend=torch"], ["trainer.devices=2"], ["trainer.devices=all"]]
    keys = {job_key(compose(["data=mnist_5k", *each]), "0" * 64) for each in others}
    assert len(keys | {KEY}) == 5


def test_backend_comes_from_option_then_variable_then_keras_file(monkeypatch, alone):
    monkeypatch.setattr(backends, "running", lambda: None)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert compose([]).trainer.backend == "tensorflow"
    home = Path(os.environ["KERAS_HOME"])
    home.mkdir()
    (home / "keras.json").write_text('{"backend": "torch"}')
    assert compose([]).trainer.backend == "torch"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert compose([]).trainer.backend == "jax"
    assert compose(["trainer.backend=tensorflow"]).trainer.backend == "tensorflow"
    backends.choose("tensorflow")
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    (home / "keras.json").write_text("[nonsense")
    monkeypatch.delenv("KERAS_BACKEND")
    assert compose([]).trainer.backend == "tensorflow"


def test_backend_that_is_not_installed_is_refused(monkeypatch):
    assert backends.running() in (None, "tensorflow")
    without(monkeypatch, "jax")
    assert backends.problems("jax") == ["trainer.backend=jax is not installed: pip install 'mnist_exp[jax]'"]
    assert backends.problems("numpy") == [
        "$KERAS_BACKEND=numpy is not allowed: it must be one of tensorflow, jax, torch"
    ]
    monkeypatch.setattr(backends, "running", lambda: "torch")
    with pytest.raises(SettingsError, match=r"trainer.backend=jax comes too late: Keras runs on torch in this process"):
        backends.choose("jax")


MISTAKES = {
    ("trainer.backend=jx",): "did you mean trainer.backend=jax?",
    ("trainer.backend=jax", "trainer.threads=2"): "trainer.threads=2 cannot be set for trainer.backend=jax",
    ("trainer.backend=torch", "trainer.devices=2"): "needs trainer.backend=tensorflow or jax",
    ("trainer.devices=3",): "trainer.batch_size=200 cannot be shared equally by trainer.devices=3: take 201",
    ("trainer.devices=0",): "it must be all, or a whole number, at least 1",
}


@pytest.mark.parametrize("overrides", MISTAKES)
def test_options_that_contradict_the_backend_are_refused(overrides):
    with pytest.raises(SettingsError) as caught:
        compose(["data=mnist_5k", *overrides])
    assert MISTAKES[overrides] in str(caught.value)


def test_missing_library_is_reported_before_anything_is_recorded(alone):
    """A folder on Python's path hides the library if it is installed."""
    (alone / "hidden").mkdir()
    hiding = "found = u.find_spec\nu.find_spec = lambda name, *more: None if name == 'jax' else found(name, *more)\n"
    (alone / "hidden" / "sitecustomize.py").write_text(f"import importlib.util as u\n{hiding}")
    path = os.pathsep.join([str(alone / "hidden"), os.environ.get("PYTHONPATH", "")])
    output = run(*SMALL, "trainer.backend=jax", code=2, PYTHONPATH=path)
    assert "trainer.backend=jax is not installed: pip install 'mnist_exp[jax]'" in output
    assert not Path("mlflow.db").exists()


def test_sweep_over_backends_is_refused(monkeypatch):
    from mnist_exp.composition.compose import composer
    from mnist_exp.config.schema import SweepSettings

    monkeypatch.setattr(backends, "problems", lambda backend: [])
    with composer(None) as loader:
        space = parse({}, ["data=mnist_5k", "trainer.backend=tensorflow,jax"], SweepSettings(), loader)
    with pytest.raises(
        SettingsError, match=r"trainer.backend=tensorflow,jax: Keras cannot change its backend in a running process"
    ):
        plan.make(space, None, is_search=False)


def test_record_without_a_backend_means_tensorflow(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(backends, "running", lambda: None)
    config = compose(["data=mnist_5k"]).to_config()
    assert config["trainer"]["backend"] == "jax"
    del config["trainer"]["backend"]
    settings, problems = find_problems(config)
    assert problems == []
    assert settings.trainer.backend == "jax"
    from mnist_exp.experiment.recall import check_config
    from mnist_exp.tracking.runs import StoredRun

    recorded = StoredRun("0" * 32, "old", "e", "FINISHED", {}, {}, {}, "")
    assert check_config(config, set(), recorded, settings.tracking).trainer.backend == "tensorflow"


RUN = """
import json, sys
import mnist_exp
settings = mnist_exp.compose(sys.argv[1:])
result = mnist_exp.run(settings)
from mnist_exp import data
from mnist_exp.training.predict import predict
read = predict(result.model, data.load(settings).x_test[:200])
import keras
heavy = [name for name in ("tensorflow", "jax", "torch") if name in sys.modules]
print("RESULT" + json.dumps([keras.backend.backend(), heavy, result.run_id, read.tolist()]))
"""
PREDICTED = """
import json, sys
import mnist_exp
from mnist_exp import data
from mnist_exp.training.predict import predict
model = mnist_exp.load_model(sys.argv[1])
x = data.load(mnist_exp.compose(["data=mnist_5k"])).x_test[:200]
import keras
print("RESULT" + json.dumps([keras.backend.backend(), predict(model, x).tolist()]))
"""


@pytest.mark.slow
@EACH
def test_run_records_its_backend_and_tensorflow_predicts_the_same(backend, alone, digits):
    used, heavy, run_id, read = python(RUN, *SMALL, f"trainer.backend={backend}", "trainer.epochs=2")
    assert used == backend
    assert "tensorflow" not in heavy
    found = only_run()
    assert found.info.run_id == run_id
    assert found.data.params["trainer.backend"] == backend
    assert history(run_id)["loss"] == sorted(history(run_id)["loss"], reverse=True)
    environment = Path(client_of().download_artifacts(run_id, "environment.yaml")).read_text()
    assert f"backend: {backend}" in environment
    assert f"\n  {backend}: " in environment
    from mnist_exp import load_model
    from mnist_exp.training.predict import predict

    (_, _), (x, _) = digits
    np.testing.assert_allclose(predict(load_model(run_id), x[:200, ..., None]), read, atol=1e-5)


@pytest.mark.slow
@EACH
def test_model_of_tensorflow_predicts_the_same(backend, alone, digits):
    run(*SMALL, "trainer.epochs=1", "trainer.backend=tensorflow")
    reads = [python(PREDICTED, only_run().info.run_id, KERAS_BACKEND=each) for each in ("tensorflow", backend)]
    assert [name for name, _ in reads] == ["tensorflow", backend]
    np.testing.assert_allclose(reads[0][1], reads[1][1], atol=1e-5)


@pytest.mark.slow
@EACH
def test_commands_by_run_id_need_tensorflow_only(backend, alone):
    run(*SMALL, f"trainer.backend={backend}", "trainer.epochs=2")
    run_id = only_run().info.run_id
    assert f"{run_id}" in "".join(_said("mnist_exp.evaluate", run_id))
    _said("mnist_exp.rerun", run_id)
    _said("mnist_exp.report", run_id)
    for form in ("onnx", "savedmodel"):
        _said("mnist_exp.export", run_id, "--format", form, KERAS_BACKEND=backend)


def _said(*words, **environment):
    running = Running(*words, **environment)
    running.end_with(0)
    return running.out


@pytest.mark.slow
@EACH
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("model", [[], NORMALISED], ids=["cnn", "normalised"])
def test_stopped_run_resumes_equal_to_the_last_bit(backend, number, model, alone):
    small = [
        *SMALL,
        *model,
        "trainer.batch_size=20",
        "trainer.epochs=4",
        "data.validation=0.25",
        f"trainer.backend={backend}",
    ]
    small += ["schedule=cosine", "+optimizer.use_ema=true", "trainer.restore_best=true", "augment=mixup"]
    run(*small)
    whole = only_run().info.run_id
    running = Running("mnist_exp.run", *small)
    running.wait_for_epoch(1)
    if number == signal.SIGTERM:
        running.stop_with(number, 143)
    else:
        running.process.kill()
        running.end_with(-number)
    (folder,) = Path("unfinished").iterdir()
    output = run(f"resume={folder.name}", f"trainer.backend={'jax' if backend == 'torch' else 'tensorflow'}", code=2)
    assert re.search(rf"trainer.backend=\w+ was {backend}: leave it as it was, or begin a new run", output)
    run(f"resume={folder.name}")
    assert history(folder.name) == history(whole)
    weights = {client_of().get_run(each).data.tags["mnist_exp.weights_sha256"] for each in (whole, folder.name)}
    assert len(weights) == 1


@pytest.mark.slow
@EACH
def test_diverging_training_and_mixed_precision(backend, alone):
    run(*SMALL, f"trainer.backend={backend}", "trainer.precision=mixed_bfloat16", "trainer.epochs=1")
    output = run(*SMALL, f"trainer.backend={backend}", "optimizer=sgd", "optimizer.learning_rate=1e30", code=1)
    assert re.search(r"the loss became (nan|inf) in epoch 1, step \d+", output)


@pytest.mark.slow
@EACH
def test_workers_of_a_sweep_use_the_backend(backend, alone):
    grid = ["-m", *SMALL, f"trainer.backend={backend}", "trainer.epochs=1", "seed=1,2,3", "hydra.launcher.n_workers=2"]
    run(*grid)
    client = client_of()
    runs = client.search_runs([client.get_experiment_by_name("mnist_exp").experiment_id])
    jobs = [each for each in runs if "mlflow.parentRunId" in each.data.tags]
    assert [each.data.params["trainer.backend"] for each in jobs] == [backend] * 3
    assert {each.info.status for each in jobs} == {"FINISHED"}


DEVICES = """
import json, os, sys
backend, devices, *overrides = sys.argv[1:]
if backend == "tensorflow":
    import tensorflow as tf
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
import mnist_exp
small = ["data=mnist_5k", "model.filters=4", "model.dense_units=16", "model.dropout=0", "trainer.epochs=2"]
small += [f"trainer.backend={backend}", f"trainer.devices={devices}"]
try:
    result = mnist_exp.run(mnist_exp.compose([*small, *overrides]))
    print("RESULT" + json.dumps([result.history["loss"], result.history["val_loss"], result.metrics["test_loss"]]))
except mnist_exp.SettingsError as error:
    print("RESULT" + json.dumps(error.problems))
"""
TWO = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", pytest.param("jax", marks=needs("jax"))])
def test_two_devices_train_as_one_does(backend, alone):
    one = python(DEVICES, backend, "1", "data.limit=600", **TWO)
    two = python(DEVICES, backend, "2", "data.limit=600", **TWO)
    every = python(DEVICES, backend, "all", "data.limit=600", **TWO)
    assert np.shape(one[0]) == (2,)
    for each in (two, every):
        for alone_found, found in zip(one, each, strict=True):
            np.testing.assert_allclose(found, alone_found, rtol=1e-4)
    (uneven,) = python(DEVICES, backend, "2", "data.limit=599", **TWO)
    assert "2 devices cannot share the last batch of an epoch, 199 images, equally" in uneven
    (few,) = python(DEVICES, backend, "4", "data.limit=600", **TWO)
    assert f"trainer.devices=4: {backend} finds 2 here" in few
    client = client_of()
    ids = [each.info.run_id for each in client.search_runs(["1"]) if each.data.params["trainer.devices"] == "2"]
    assert python(PREDICTED, ids[0], KERAS_BACKEND="tensorflow")[0] == "tensorflow"


def test_gpu_memory_grows_unless_the_user_says_otherwise(monkeypatch):
    from mnist_exp.runtime import imports

    for name in ("TF_FORCE_GPU_ALLOW_GROWTH", "XLA_PYTHON_CLIENT_PREALLOCATE"):
        monkeypatch.delenv(name, raising=False)
    with imports.quick_imports():
        pass
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "true")
    with imports.quick_imports():
        pass
    assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "true"


def test_gpus_are_divided_among_the_workers(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    gpus = machine.gpus()
    assert [local._share_of(gpus, slot, 4) for slot in range(4)] == [["0"], ["1"], ["2"], ["3"]]
    assert [local._share_of(gpus, slot, 2) for slot in range(2)] == [["0", "2"], ["1", "3"]]
    assert local._share_of(gpus, 0, 1) == ["0", "1", "2", "3"]
    assert [local._share_of(["7"], slot, 3) for slot in range(3)] == [["7"]] * 3


def test_versions_are_those_of_what_is_installed():
    """On JAX or torch TensorFlow may be missing; what is recorded of a run then lacks it."""
    assert backends.versions(["keras", "no_such_package"]) == {"keras": importlib.metadata.version("keras")}
