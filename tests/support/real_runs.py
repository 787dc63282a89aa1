"""Real commands in processes of their own, and what must be in the store when one of them is through."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from mlflow import MlflowClient

from mnist_exp.tracking import creation, store

SMALL = ["data=mnist_5k", "data.limit=600", "model.filters=4", "model.dense_units=16"]  # 0.3 s an epoch
EPOCH_METRICS = ["loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "epoch_time_s", "images_per_s"]
NOT_TIMES = EPOCH_METRICS[:5]
PICTURES = {"learning_curves.png", "confusion_matrix.png", "confident_mistakes.png"}


class Running:
    """A command that runs; its lines as they come."""

    def __init__(self, *words, wrap=(), **environment):
        self.process = subprocess.Popen(
            [*wrap, sys.executable, "-m", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )
        self.out, self.err = [], []
        self._readers = [
            threading.Thread(target=into.extend, args=(stream,), daemon=True)
            for into, stream in ((self.out, self.process.stdout), (self.err, self.process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def wait_for_epoch(self, number, seconds=60):
        self.wait_until(lambda: any(re.match(rf"epoch +{number}/", line) for line in self.out), seconds)

    def wait_for_words(self, words, seconds=60):
        self.wait_until(lambda: words in "".join(self.err), seconds)

    def wait_until(self, condition, seconds=60):
        until = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < until, self.text()
            time.sleep(0.02)

    def end_with(self, code, seconds=150):
        """Wait for the end, and return all that it said on stderr."""
        try:
            ended = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            ended = f"not within {seconds} s"
            self.process.kill()
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()
        assert ended == code, f"{ended}: {self.text()}"
        return "".join(self.err)

    def stop_with(self, number, code, seconds=10):
        """Send a signal, and see it end in time."""
        began = time.monotonic()
        self.process.send_signal(number)
        told = self.end_with(code, seconds=60)
        assert time.monotonic() - began < seconds
        return told

    def text(self):
        return "".join([*self.out, *self.err])


def run(*arguments, code=0, **environment):
    """Run the command to its end; return what it said on stderr."""
    return Running("mnist_exp.run", *arguments, **environment).end_with(code)


def wait_for(condition, seconds=120):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def recorded():
    """The client of the store, the parent runs and the children in it."""
    client = client_of()
    experiment = client.get_experiment_by_name("mnist_exp")
    found = client.search_runs([experiment.experiment_id]) if experiment else []
    parents = [run for run in found if "mnist_exp.sweep" in run.data.tags]
    return client, parents, [run for run in found if run not in parents]


def with_checkpoints():
    """The ids of the runs that have done an epoch and not all."""
    return {file.parent.name for file in Path("unfinished").glob("*/checkpoint-*")}


def new_store(uri, experiment="mnist_exp"):
    """Make a store with an experiment, as a first run does; return its client."""
    creation.finish(creation.begin(uri))
    store.experiment(uri, experiment)
    return MlflowClient(store.absolute(uri))


def client_of(uri=None):
    return MlflowClient(uri or f"sqlite:///{Path.cwd()}/mlflow.db")


def only_run(uri=None):
    client = client_of(uri)
    (found,) = client.search_runs([client.get_experiment_by_name("mnist_exp").experiment_id])
    return found


def history(run_id, uri=None, names=NOT_TIMES):
    """Each metric's values, which must be there once for each epoch."""
    values = {}
    for name in names:
        points = client_of(uri).get_metric_history(run_id, name)
        assert [point.step for point in points] == list(range(1, len(points) + 1)), name
        stamps = [point.timestamp for point in points]
        assert stamps == sorted(stamps), name
        values[name] = [point.value for point in points]
    return values


def assert_whole(run_id, epochs, uri=None):
    """Nothing of a finished run is missing, nothing is there twice."""
    client = client_of(uri)
    found = client.get_run(run_id)
    assert found.info.status == "FINISHED"
    assert {len(values) for values in history(run_id, uri, EPOCH_METRICS).values()} == {epochs}
    for name in ("test_loss", "test_accuracy", "objective", "fit_time_s", "parameters"):
        assert [point.step for point in client.get_metric_history(run_id, name)] == [epochs], name
    assert {"model.filters", "optimizer.learning_rate", "seed", "data.name"} <= set(found.data.params)
    assert {"mnist_exp.weights_sha256", "mnist_exp.job_key", "mnist_exp.model_uri"} <= set(found.data.tags)
    assert "mnist_exp.failure" not in found.data.tags
    assert len(found.inputs.dataset_inputs) == 2
    names = {file.path for file in client.list_artifacts(run_id)}
    assert {"config.yaml", "environment.yaml"} | PICTURES <= names
    models = client.search_logged_models([found.info.experiment_id], f"source_run_id = '{run_id}'")
    assert [str(model.status) for model in models] == ["READY"]
    return found


def assert_model_predicts(found, digits, uri):
    """The logged model gives the accuracy that was logged."""
    import mlflow

    (_, _), (x, y) = digits
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        model = mlflow.pyfunc.load_model(found.data.tags["mnist_exp.model_uri"])
    finally:
        mlflow.set_tracking_uri(before)
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    right = model.predict(x[..., None]).argmax(axis=1) == y
    assert right.mean() == found.data.metrics["test_accuracy"]


def kill_after_epoch(number, *arguments, **environment):
    """Start a run, kill it after an epoch, and return its id."""
    running = Running("mnist_exp.run", *arguments, **environment)
    running.wait_for_epoch(number)
    running.process.send_signal(signal.SIGKILL)
    running.end_with(-signal.SIGKILL)
    return only_run(environment.get("MLFLOW_TRACKING_URI")).info.run_id
