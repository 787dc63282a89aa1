"""Recorded runs as data: the same by every way, each value of its own type, and forms that hold to their schema."""

import json
import math
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.entities import Metric, Param, RunTag
from real_runs import new_store

import mnist_exp
from mnist_exp import SettingsError
from mnist_exp.config.wording import text
from mnist_exp.runtime import processes
from mnist_exp.tracking import names, plain, sqlite_reads

KEY = RunTag(names.JOB_KEY, "k")
SHOWN = ["run_id", "kind", "name", "status", "sweep", "model.dropout", "seed", "flag", "note", "val_accuracy", "epochs"]


def add(client, name, minute, *, params=(), metrics=(), tags=(), status="FINISHED"):
    experiment = client.get_experiment_by_name("mnist_exp").experiment_id
    begin = 1_700_000_000_000 + 60_000 * minute
    run_id = client.create_run(experiment, start_time=begin, run_name=name).info.run_id
    points = [Metric(key, value, begin + step, step) for key, values in metrics for step, value in enumerate(values, 1)]
    client.log_batch(run_id, points, [Param(*each) for each in params], [KEY, *(RunTag(*each) for each in tags)])
    if status != "RUNNING":
        client.set_terminated(run_id, status, end_time=begin + 1500)
    return run_id


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a store: a run, a failed one, one at work, one whose process is gone, and a sweep of two jobs."""
    folder = tmp_path_factory.mktemp("store")
    client = new_store(f"sqlite:///{folder}/mlflow.db")
    both = (("objective", "val_accuracy"), ("trainer.epochs", "10"))
    curve = ("val_accuracy", (0.5, 0.75)), ("epochs", (2.0,)), ("objective", (0.75,)), ("loss", (2.0, 1.0))
    first = (("model.dropout", "0.5"), ("seed", "1"), ("flag", "true"), ("note", "x"), *both)
    add(client, "first", 1, params=first, metrics=curve, tags=[("mine", "yes")])
    add(client, "odd", 2, params=(("model.dropout", "null"), *both), metrics=[("loss", (math.nan,))], status="FAILED")
    parent = add(
        client,
        "sweep dropout 0.1,0.2",
        3,
        params=(("model.dropout", "0.1,0.2"),),
        metrics=[("jobs_done", (2.0,)), ("best_objective", (0.9,))],
        tags=[(names.SWEEP, "s")],
    )
    for seed in (1, 2):
        job = (("model.dropout", f"0.{seed}"), ("seed", str(seed)), *both)
        add(client, f"dropout=0.{seed}", 3 + seed, params=job, metrics=curve, tags=[(names.PARENT, parent)])
    nobody = f"{processes.identify().rpartition('/')[0].rpartition('/')[0]}/999999/1.00"
    add(client, "gone", 8, params=both, tags=[(names.PROCESS, nobody)], status="RUNNING")
    at_work = [(names.PROCESS, processes.identify())]
    add(client, "at work", 9, params=both, metrics=[("loss", (3.0, 2.0, 1.0))], tags=at_work, status="RUNNING")
    return folder


@pytest.fixture(params=["file", "mlflow"])
def there(request, folder, monkeypatch):
    """The folder is the working one, and the store is read as a file, or by MLflow, as a server's."""
    monkeypatch.chdir(folder)
    if request.param == "mlflow":
        monkeypatch.setattr(sqlite_reads, "is_elsewhere", lambda: True)
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


def command(*words, code=0):
    done = subprocess.run([sys.executable, "-m", "mnist_exp.runs", *words], capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


@given(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(10**17), 10**17), st.floats(allow_nan=False, allow_infinity=False)
    )
)
def test_params_become_the_values_that_they_were(value):
    read = plain.typed(text(value))
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("words", ["mnist_exp.models.cnn", "[16, 32]", "1_000", "1e", "--1", "", "nan", "1" * 40, "٣"])
def test_other_texts_stay(words):
    assert plain.typed(words) == words


def test_frame_has_a_row_a_run_and_a_type_a_column(there):
    found = mnist_exp.runs()
    assert list(found["name"]) == [
        "at work",
        "gone",
        "dropout=0.2",
        "dropout=0.1",
        "sweep dropout 0.1,0.2",
        "odd",
        "first",
    ]
    assert found["kind"].value_counts().to_dict() == {"run": 6, "sweep": 1}
    types = {"model.dropout": "float64", "seed": "Int64", "flag": "boolean", "note": "str", "val_accuracy": "float64"}
    types |= {"started": "datetime64[ms, UTC]", "duration_s": "float64", "trainer.epochs": "Int64"}
    assert {name: str(found[name].dtype) for name in types} == types
    first = found.iloc[-1]
    assert (first["model.dropout"], first["seed"], first["flag"], first["val_accuracy"]) == (0.5, 1, True, 0.75)
    assert first["started"] == pd.Timestamp(1_700_000_060_000, unit="ms", tz="UTC")
    assert first["duration_s"] == 1.5
    assert (first["params.objective"], first["objective"]) == ("val_accuracy", 0.75)
    assert pd.isna(found.set_index("name").loc["sweep dropout 0.1,0.2", "model.dropout"])  # It has two.
    assert found.set_index("name").loc["at work", "duration_s"] is np.nan or pd.isna(found["duration_s"][0])


def test_choices_give_the_same_by_file_and_by_mlflow(there):
    parent = mnist_exp.runs().query("kind == 'sweep'").run_id.item()
    assert list(mnist_exp.runs(sweep=parent[:6])["name"]) == ["dropout=0.2", "dropout=0.1"]
    assert list(mnist_exp.runs(most=2)["name"]) == ["at work", "gone"]
    assert list(mnist_exp.runs(where="metrics.val_accuracy > 0.7 and params.seed = '1'")["name"]) == [
        "dropout=0.1",
        "first",
    ]
    assert list(mnist_exp.runs(sweep=parent, where="params.seed = '2'")["name"]) == ["dropout=0.2"]
    columns = ["tags.mine", "seed", "name"]
    assert list(mnist_exp.runs(columns=columns).columns) == columns
    assert mnist_exp.runs(columns=columns)["tags.mine"].to_list()[-1] == "yes"


def test_columns_that_are_asked_for_are_there_where_no_run_is_like_that(there):
    columns = ["name", "started", "model.dropout", "test_accuracy", "tags.mine"]
    none = mnist_exp.runs(where="metrics.test_accuracy > 2", columns=columns)
    assert list(none.columns) == columns and len(none) == 0
    assert np.isnan(none["test_accuracy"].mean())
    assert str(none["started"].dtype) == "datetime64[ms, UTC]"


def test_history_is_every_value_in_long_form(there):
    found = mnist_exp.runs(where="attributes.run_name = 'first'")
    points = mnist_exp.history(found)
    assert list(points.columns) == ["run_id", "metric", "step", "value", "time"]
    accuracy = points[points["metric"] == "val_accuracy"]
    assert list(zip(accuracy["step"], accuracy["value"], strict=True)) == [(1, 0.5), (2, 0.75)]
    assert accuracy["time"].iloc[0] == pd.Timestamp(1_700_000_060_001, unit="ms", tz="UTC")
    run_id = found.run_id.item()
    assert mnist_exp.history(run_id[:8], metrics=["loss", "no_such"])["value"].to_list() == [2.0, 1.0]
    assert len(mnist_exp.history([run_id, run_id])) == len(points)
    failed = mnist_exp.runs(where="attributes.status = 'FAILED'")
    assert math.isnan(mnist_exp.history(failed)["value"].item())


def test_frame_without_runs_has_its_columns(here):
    assert list(mnist_exp.runs(where="params.seed = '99'", columns=["name", "seed"]).columns) == ["name", "seed"]
    assert mnist_exp.history([]).empty


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"experiment": "mnist_ex"}, "did you mean mnist_exp"),
        ({"sweep": "0" * 32}, "there is no run"),
        ({"where": "metrics.val_accuracy >"}, "no condition that MLflow understands"),
        ({"columns": ["model.dropuot"]}, "did you mean model.dropout?"),
        ({"tracking_uri": "sqlite:///none.db"}, "there is no store"),
    ],
)
def test_mistakes_are_told(here, asked, said):
    with pytest.raises(SettingsError) as told:
        mnist_exp.runs(**asked)
    assert said in str(told.value)


def test_single_run_is_no_sweep(here):
    run_id = mnist_exp.runs(where="attributes.run_name = 'first'").run_id.item()
    with pytest.raises(SettingsError, match="is a single run, not a sweep"):
        mnist_exp.runs(sweep=run_id)


def test_screen_shows_runs_and_sweeps_how_far_they_are_and_what_came_of_them(here):
    head, *lines = command().splitlines()
    name, status = head.index("name"), head.index("status")
    shown = {line[name:status].strip(): re.split("  +", line[status:].strip()) for line in lines}
    assert list(shown) == ["at work", "gone", "sweep dropout 0.1,0.2", "odd", "first"]
    assert shown["at work"] == ["running, 3/10 epochs"]
    assert shown["gone"] == ["running, 0/10 epochs, process gone"]
    assert shown["sweep dropout 0.1,0.2"] == ["finished, 2 done", "0.9000", "1.5 s"]
    assert shown["first"] == ["finished", "0.7500", "2", "1.5 s"]


def test_screen_shows_some(here):
    assert "dropout=0.1" in command("--all")
    assert [line.split()[3] for line in command("--failed").splitlines()[1:]] == ["odd"]
    assert len(command("--running").splitlines()) == 3
    assert command("--filter", "params.seed = '99'") == "no run is like that\n"
    few = command("--most", "2")
    assert few.endswith("the newest 2; more with --most 20\n")
    table = command("--all", "--columns", "name,model.dropout,val_accuracy,tags.mine").splitlines()
    assert table[0].split() == ["name", "model.dropout", "val_accuracy", "tags.mine"]
    assert table[-1].split() == ["first", "0.5", "0.7500", "yes"]
    lines = command("--failed", "--columns", "name,loss,kind,duration_s,started,sweep").splitlines()
    assert lines[-1].split() == ["odd", "nan", "run", "1.5", "2023-11-14T22:15:20.000+00:00"]


def test_json_holds_to_its_schema(here):
    content = json.loads(command("--json", "--all"))
    schema = resources.files("mnist_exp.results").joinpath("schemas", "runs-1.json").read_text("utf-8")
    jsonschema.Draft202012Validator.check_schema(json.loads(schema))
    jsonschema.validate(content, json.loads(schema))
    assert content["schema"] == json.loads(schema)["title"]
    by_name = {run["name"]: run for run in content["runs"]}
    assert len(by_name) == 7
    assert by_name["first"]["params"]["model.dropout"] == 0.5
    assert by_name["first"]["started"] == "2023-11-14T22:14:20.000+00:00"
    assert by_name["odd"]["metrics"]["loss"] is None
    assert by_name["dropout=0.1"]["sweep"] == by_name["sweep dropout 0.1,0.2"]["run_id"]


def test_files_are_read_back_as_the_frame(here, tmp_path):
    expected = mnist_exp.runs(columns=SHOWN)
    command("--all", "--columns", ",".join(SHOWN), "--parquet", str(tmp_path / "runs.parquet"))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "runs.parquet"), expected)
    said = command("--all", "--columns", ",".join(SHOWN), "--csv", str(tmp_path / "runs.csv"))
    assert " ".join(said.split()) == f"written {tmp_path}/runs.csv: 7 runs"
    again = pd.read_csv(tmp_path / "runs.csv").astype(expected.dtypes.to_dict())  # A CSV has no types of its own.
    pd.testing.assert_frame_equal(again, expected)
    latex = command("--all", "--latex")
    assert r"\begin{tabular}" in latex
    assert r"val\_accuracy" in latex


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--json", "--csv"], "one form at a time: --json or --csv"),
        (["--json", "--columns", "name"], "--json has all of each run"),
        (["--columns", ","], "--columns names no column"),
        (["--csv", "no/folder/runs.csv"], "--csv=no/folder/runs.csv cannot be written"),
        (["--most", "0"], "--most=0 is not allowed: it must be a whole number, at least 1"),
        (["--failed", "--running"], "--running and --failed exclude each other"),
    ],
)
def test_mistakes_of_the_command_line(here, words, said):
    assert said in command(*words, code=2)
    assert not Path("no").exists()
