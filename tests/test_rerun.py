"""Rerun repeats a run to the last bit or reports the differences, and trusts nothing that a record names."""

import json
import os
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml
from mlflow import MlflowClient

from mnist_exp import rerun
from mnist_exp.errors import SettingsError
from mnist_exp.experiment.runner import Result
from mnist_exp.tracking import names

pytestmark = pytest.mark.slow

SMALL = ["data=mnist_5k", "data.limit=500", "data.validation=0.2", "model.filters=2", "model.dense_units=8"]
SMALL += ["trainer.epochs=3", "augment=shift"]
OWN_NET = """
import keras

@keras.saving.register_keras_serializable()
class Scaled(keras.layers.Layer):
    def call(self, x):
        return x * 0.5
    def compute_output_shape(self, shape):
        return shape

def net(input_shape, classes, *, units: int = 4):
    return keras.Sequential([
        keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(units), Scaled(), {more}
        keras.layers.Dense(classes, "softmax")])
"""
SCHEMA = json.loads(resources.files("mnist_exp.results").joinpath("schemas", "rerun-1.json").read_text("utf-8"))
EVIL = """
import pathlib
pathlib.Path("proof").write_text("run")
def net(input_shape, classes):
    import keras
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(classes, "softmax")])
"""


def command(name, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", f"mnist_exp.{name}", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=240,
    )


def path_with_here():
    return os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])


def client():
    return MlflowClient(f"sqlite:///{Path.cwd()}/mlflow.db")


def finished(*arguments, **environment):
    done = command("run", *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return re.search(r"^run   ([0-9a-f]{32}) ", done.stdout, re.MULTILINE)[1]


def artifact(run_id, name):
    return Path(client().get_run(run_id).info.artifact_uri.removeprefix("file://")) / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a run that used one thread, like a job of a sweep."""
    place, before = tmp_path_factory.mktemp("rerun"), Path.cwd()
    os.chdir(place)
    try:
        yield place, finished(*SMALL, TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1")
    finally:
        os.chdir(before)


@pytest.fixture
def run_id(folder, monkeypatch):
    monkeypatch.chdir(folder[0])
    return folder[1]


def test_rerun_is_equal_to_the_last_bit_with_the_threads_of_the_record(run_id):
    client().log_metric(run_id, "evaluation.mnist_5k.test.accuracy", 0.5)  # As `evaluate --log` does.
    done = command("rerun", run_id)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"rerun  equal to run {run_id} to the last bit, in every epoch" in done.stdout
    for metric in ("loss", "val_accuracy", "test_loss", "objective", "weights"):
        assert re.search(rf"^{metric} .* 0$", done.stdout, re.MULTILINE)
    assert re.search(r"^drift    none", done.stdout, re.MULTILINE)
    (new,) = client().search_runs(
        [client().get_run(run_id).info.experiment_id], f"tags.`mnist_exp.rerun_of` = '{run_id}'"
    )
    assert new.data.tags["mnist_exp.job_key"] == client().get_run(run_id).data.tags["mnist_exp.job_key"]
    assert new.data.tags["mnist_exp.command"] == f"python -m mnist_exp.rerun {run_id}"
    threads = yaml.safe_load(artifact(new.info.run_id, "environment.yaml").read_text())["threads"]
    assert threads["intra_op"] == 1


def test_difference_is_reported_and_fails(run_id):
    store = client()
    store.log_metric(run_id, "val_loss", 0.5, step=2)  # As if it had been another value.
    store.set_tag(run_id, "mnist_exp.code_sha256", "of another code")
    done = command("rerun", run_id)
    assert done.returncode == 1
    assert re.search(
        rf"^rerun  not equal to run {run_id} to the last bit: val_loss; on another", done.stdout, re.MULTILINE
    )
    assert re.search(r"^drift    mnist_exp was changed since$", done.stdout, re.MULTILINE)
    assert "Traceback" not in done.stderr


def test_json_is_alone_on_standard_output_and_holds_to_its_schema(run_id):
    done = command("rerun", run_id, "--json")
    content = json.loads(done.stdout)
    jsonschema.validate(content, SCHEMA)
    assert content["schema"] == SCHEMA["title"]
    assert content["is_equal"] == (done.returncode == 0)
    assert content["repeats"] == run_id
    found = {each["name"]: each for each in content["compared"]}
    assert found["weights"]["old"] == found["weights"]["new"]
    assert found["test_loss"]["difference"] == 0
    assert "epoch 3/3" in done.stderr


def test_other_threads_part_within_the_first_epoch_and_are_named(run_id):
    done = command("rerun", run_id, "--json", TF_NUM_INTRAOP_THREADS="2", TF_NUM_INTEROP_THREADS="2")
    content = json.loads(done.stdout)
    jsonschema.validate(content, SCHEMA)
    assert "TF_NUM_INTRAOP_THREADS=2 was 1" in content["drift"]
    if done.returncode == 0:
        pytest.skip("two threads computed the same bits here")
    parted = content["parted"]
    assert parted["last_equal"] == {"epoch": 1, "step": 0}
    assert parted["first_different"]["epoch"] == 1
    assert {"conv2d/kernel", "dense/kernel"} & set(parted["parts"])
    assert parted["words"].endswith("before the first step all were equal")


def test_changed_own_layer_is_found_in_the_weights_that_it_adds(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own_net.py").write_text(OWN_NET.format(more=""))
    Path("conf/model").mkdir(parents=True)
    Path("conf/model/own.yaml").write_text("_target_: own_net.net\nunits: 4\n")
    words = ["--config-dir=conf", "model=own", "trusted_modules=[own_net]", *SMALL[:3], "trainer.epochs=1"]
    run_id = finished(*words, PYTHONPATH=path_with_here())
    Path("own_net.py").write_text(OWN_NET.replace("0.5", "0.25").format(more=""))
    done = command("rerun", run_id, "--trusted-modules=own_net", PYTHONPATH=path_with_here())
    assert done.returncode == 1, done.stderr
    (parted,) = re.findall(r"^parted +(.*)$", done.stdout, re.MULTILINE)
    assert re.match(r"after step \d+ of epoch 1, in dense/kernel", parted)
    assert re.search(r"^changed  .*own_net.py", done.stdout, re.MULTILINE)
    Path("own_net.py").write_text(OWN_NET.format(more="keras.layers.Dense(3, name='more'),"))
    done = command("rerun", run_id, "--trusted-modules=own_net", PYTHONPATH=path_with_here())
    assert re.search(r"^parted +the two models have other weights: more/kernel", done.stdout, re.MULTILINE), done.stdout


def test_run_of_before_there_were_digests_says_so(run_id):
    file = artifact(run_id, "weight_digests.json")
    kept = file.read_text()
    client().set_tag(run_id, "mnist_exp.weights_sha256", "0" * 64)  # As if it had been trained otherwise.
    file.unlink()
    try:
        done = command("rerun", run_id)
    finally:
        file.write_text(kept)
    assert done.returncode == 1
    assert f"parted   not known: run {run_id} has no weight_digests.json" in done.stdout
    done = command("rerun", run_id)
    assert re.search(r"^parted +never: all weights were equal at the end of epoch 3", done.stdout, re.MULTILINE)


def row(difference, name="loss"):
    return rerun.Compared(name, 1.0, 1.0 + difference, difference)


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ({1: 0.5, 2: 0.25}, [0.5, 0.25], 0.0),
        ({1: 0.5, 2: 0.25}, [0.25, 0.25], 0.25),
        ({1: float("nan")}, [float("nan")], 0.0),
        ({1: float("inf")}, [float("inf")], 0.0),
        ({1: 0.5}, [0.5, 0.25], None),
        ({1: 0.5, 2: 0.25}, [0.5], None),
        ({}, [], None),
    ],
)
def test_epochs_are_compared_one_by_one(old, new, difference):
    result = rerun._compare_epochs("loss", old, new)
    if difference is None:
        assert not result.is_within(1e9)
    else:
        assert result.difference == difference
        assert result.is_within(difference)


class Recorded:
    """Return a recorded run of two epochs, with what `compare` needs."""

    def __init__(self, epochs, **ends):
        self.epochs = epochs
        self.tags = {"mnist_exp.weights_sha256": "w"}
        self.metrics = {name: values[-1] for name, values in epochs.items()} | ends

    def history(self, name):
        return dict(enumerate(self.epochs.get(name, []), start=1))


def compared(then, now):
    """Return the rows by name, and the names of those that differ."""
    result = Result("r", now.metrics["objective"], now.metrics, now.epochs, None, False, "w")
    rows = {row.name: row for row in rerun.compare(then, result)}
    return rows, {name for name, row in rows.items() if not row.is_within(0.0)}


OLD = {"loss": [0.5, 0.25], "epoch_time_s": [1.0, 1.5]}


def test_all_but_times_and_later_evaluations_are_compared():
    then = Recorded(OLD, objective=0.9, fit_time_s=2.5, theirs=1.0, **{"evaluation.mnist.test.accuracy": 0.5})
    now = Recorded(OLD | {"epoch_time_s": [3.0, 2.0]}, objective=0.9, fit_time_s=5.0, theirs=1.0)
    rows, unequal = compared(then, now)
    assert set(rows) == {"loss", "objective", "theirs", "weights"}
    assert unequal == set()


def test_metric_that_an_older_run_lacks_is_no_difference(monkeypatch):
    metric = names.Metric("val_macro_f1", "The mean F1 of the classes.", "epoch", "share, 0 to 1", more_is_better=True)
    monkeypatch.setitem(names.METRICS, metric.name, metric)
    then = Recorded(OLD, objective=0.9)
    now = Recorded(OLD | {"val_macro_f1": [0.7, 0.8], "theirs": [1.0, 2.0]}, objective=0.9, test_mcc=0.5)
    rows, unequal = compared(then, now)
    assert unequal == set()
    assert {name: (row.old, row.new) for name, row in rows.items() if row.old is None} == {
        "val_macro_f1": (None, 0.8),
        "theirs": (None, 2.0),
        "test_mcc": (None, 0.5),
    }
    assert [rerun._cell(rows["test_mcc"].old), rerun._cell_of_difference(rows["test_mcc"])] == ["-", "-"]


def test_metric_that_the_repetition_lacks_is_a_difference():
    then = Recorded(OLD | {"val_loss": [0.5, 0.4], "theirs": [1.0, 2.0]}, objective=0.9, test_mcc=0.5)
    _, unequal = compared(then, Recorded(OLD, objective=0.9))
    assert unequal == {"val_loss", "theirs", "test_mcc"}
    now = Recorded(OLD | {"val_loss": [0.6, 0.4], "theirs": [1.5, 2.0]}, objective=0.9, test_mcc=0.25)
    rows, unequal = compared(then, now)
    assert unequal == {"val_loss", "theirs", "test_mcc"}
    assert [rows[name].difference for name in ("theirs", "val_loss", "test_mcc")] == [0.5, pytest.approx(0.1), 0.25]


def test_tolerance_is_for_each_metric():
    assert row(0.001).is_within(0.001)
    assert not row(0.0011).is_within(0.001)


@pytest.fixture(scope="module")
def foreign(folder):
    """Runs that another person may have written to a store, by what is wrong with them."""
    place, run_id = folder
    before = Path.cwd()
    os.chdir(place)
    try:
        Path("evil_pkg.py").write_text(EVIL)
        good = yaml.safe_load(artifact(run_id, "config.yaml").read_text())
        experiment = client().get_run(run_id).info.experiment_id
        tags = client().get_run(run_id).data.tags

        def forged(text, **more):
            run = client().create_run(experiment, tags={**tags, **more})
            client().log_text(run.info.run_id, text, "config.yaml")
            client().log_metric(run.info.run_id, "epochs", 3)
            client().set_terminated(run.info.run_id, "FINISHED")
            return run.info.run_id

        def with_model(**model):
            return yaml.safe_dump(good | {"model": model})

        cases = {
            "code of another": forged(
                yaml.safe_dump(good | {"model": {"_target_": "evil_pkg.net"}, "trusted_modules": ["evil_pkg"]})
            ),
            "code that nobody trusts": forged(with_model(_target_="evil_pkg.net")),
            "system": forged(with_model(_target_="os.system", command="touch proof")),
            "yaml tag": forged("model: !!python/object/apply:os.system ['touch proof']"),
            "interpolation": forged(with_model(_target_="mnist_exp.models.cnn", filters="${oc.env:HOME}")),
            "no configuration": forged("[1, 2]"),
            "giant": forged("a: " + "x" * 1_100_000),
            "other data": forged(yaml.safe_dump(good), **{"mnist_exp.data_sha256": "0" * 64}),
        }
        missing = client().create_run(experiment, tags=tags).info.run_id
        client().log_metric(missing, "epochs", 3)
        client().set_terminated(missing, "FINISHED")
        running = client().create_run(experiment, tags=tags).info.run_id
        not_ours = client().create_run(experiment).info.run_id
        cases |= {"no config": missing, "running": running, "not ours": not_ours}
        cases |= {"unknown": "0" * 32, "path": "../../etc/passwd", "upper": run_id.upper()}
        script = (
            "import contextlib, io, json, sys\n"
            "from mnist_exp import commands, rerun\n"
            "results = {}\n"
            "for name, run_id in json.load(sys.stdin).items():\n"
            "    err = io.StringIO()\n"
            "    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):\n"
            "        code = commands.code_of(lambda: rerun.rerun(rerun._parser().parse_args([run_id])))\n"
            "    results[name] = [code, err.getvalue(), 'tensorflow' in sys.modules]\n"
            "print('RESULTS' + json.dumps(results))\n"
        )
        count = len(client().search_runs([experiment]))
        done = subprocess.run([sys.executable, "-c", script], input=json.dumps(cases), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert len(client().search_runs([experiment])) == count
        return json.loads(done.stdout.rpartition("RESULTS")[2])
    finally:
        os.chdir(before)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("code of another", "uses code of evil_pkg, which runs only if you trust it: add --trusted-modules=evil_pkg"),
        ("code that nobody trusts", "model._target_=evil_pkg.net is not allowed"),
        ("system", "model._target_=os.system is not allowed"),
        ("yaml tag", "cannot be read: could not determine a constructor"),
        ("interpolation", "has interpolations (${…})"),
        ("no configuration", "is not a configuration"),
        ("giant", "has more than 1,000,000 bytes"),
        ("other data", "has the SHA-256"),
        ("no config", "there is no config.yaml of run"),
        ("running", "is RUNNING: there is no result to compare with; wait for it"),
        ("not ours", "is not a run of mnist_exp"),
        ("unknown", "there is no run 00000000000000000000000000000000"),
        ("path", "'../../etc/passwd' is no run id"),
        ("upper", "is no run id: it must be 32 characters of 0-9 and a-f"),
    ],
)
def test_run_that_cannot_be_repeated_is_refused_before_anything_runs(foreign, folder, case, words):
    code, err, is_heavy = foreign[case]
    assert code == 2
    assert words in err
    assert "Traceback" not in err
    assert not is_heavy
    assert not (folder[0] / "proof").exists()


def test_code_that_the_user_trusts_is_run(alone):
    Path("my_pkg.py").write_text(EVIL.replace('write_text("run")', 'write_text("mine")'))
    Path("own/model").mkdir(parents=True)
    Path("own/model/mine.yaml").write_text("_target_: my_pkg.net\ntrusted_modules: [my_pkg]\n")
    run_id = finished("--config-dir", "own", "model=mine", *SMALL[:3], "trainer.epochs=1")
    assert command("rerun", run_id).returncode == 2
    done = command("rerun", run_id, "--trusted-modules", "my_pkg")
    assert done.returncode == 0, done.stdout + done.stderr


def test_negative_tolerance_is_a_mistake(run_id):
    options = rerun._parser().parse_args([run_id, "--tolerance=-1"])
    with pytest.raises(SettingsError, match=r"--tolerance=-1\.0 is not allowed: it must be a number, at least 0"):
        rerun.rerun(options)
