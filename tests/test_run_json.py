"""`run --json`: one document on standard output that holds to its schema, whatever becomes of the run or the sweep."""

import json
import os
import shlex
import signal
import subprocess
import sys
from importlib import resources

import jsonschema
import pytest
from real_runs import Running, only_run

import mnist_exp
from mnist_exp.experiment.as_data import not_begun

SMALL = ["data=mnist_5k", "data.limit=600", "trainer.epochs=2", "model.filters=4", "model.dense_units=16"]
HELD = "data.validation=0.2"


def validated(text):
    """The document, which is all that stands on standard output."""
    (line,) = text.splitlines()
    document = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    name = document["schema"].removeprefix("mnist_exp.").replace("/", "-")
    schema = json.loads(resources.files("mnist_exp.results").joinpath(f"schemas/{name}.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    return document


def command(*words, code=0, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "mnist_exp.run", "--json", *words],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=240,
    )
    assert done.returncode == code, done.stderr
    return validated(done.stdout), done.stderr


def test_run_is_one_document_with_what_the_store_has():
    document, told = command(*SMALL)
    assert (document["status"], document["errors"], document["objective"]["name"]) == ("FINISHED", [], "val_accuracy")
    recorded = only_run()
    assert document["run_id"] == recorded.info.run_id
    assert document["metrics"] == recorded.data.metrics
    assert document["tags"] == recorded.data.tags
    assert "--json" not in document["tags"]["mnist_exp.command"]
    assert document["params"].keys() == recorded.data.params.keys()
    assert (document["params"]["data.limit"], document["params"]["model.activation"]) == (600, "relu")
    assert len(document["history"]["val_loss"]) == 2
    assert document["history"]["val_loss"][-1] == document["metrics"]["val_loss"]
    assert "epoch 2/2" in told
    (listed,) = mnist_exp.runs().to_dict("records")
    assert listed["run_id"] == document["run_id"]


def test_mistakes_and_a_missing_folder_are_told_as_data_too():
    document, told = command("model.dropuot=0.5", "trainer.epochs=0", code=2)
    assert document["status"] == "REFUSED"
    assert len(document["errors"]) == 2
    assert all(each in told for each in document["errors"])
    document, _ = command("-m", "model.dropout=0.1,7", code=2)
    assert document["schema"] == "mnist_exp.sweep/1"
    assert "job 2 of 2" in document["errors"][0]
    document, _ = command("--cfg=job", code=2)
    assert "leave it out with --cfg" in document["errors"][0]


REFUSED = {
    "given twice, beside a mistake": (["--json", "--json", "model.dropout=7"], ["model.dropout=7 is not allowed"]),
    "with a value": (["--json=true"], ["--json takes no value: write --json"]),
    "behind two dashes": (["--", "--json"], ["--json comes after --: write flags before it"]),
    "with the version": (["--json", "--version"], ["leave it out with --version"]),
    "with shell completion": (["--json", "--shell-completion", "install=bash"], ["out with --shell-completion"]),
    "with two flags of Hydra's": (["--json", "--run", "--multirun", "seed=1,2"], ["Only one of --run, --multirun"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_flag_that_is_written_wrong_gives_a_document_too(case):
    """In a process of its own: Hydra sets logging up, and absl then closes what was stderr when it was imported."""
    words, reasons = REFUSED[case]
    done = subprocess.run([sys.executable, "-m", "mnist_exp.run", *words], capture_output=True, text=True, timeout=240)
    assert done.returncode == 2
    document = validated(done.stdout)
    assert document["status"] == "REFUSED"
    assert len(document["errors"]) == len(reasons)
    for error, reason in zip(document["errors"], reasons, strict=True):
        assert reason in error
        assert error in done.stderr
    assert "usage:" not in done.stderr


def test_command_line_that_hydra_refuses_is_refused():
    document = not_begun("run", SystemExit(2))
    assert (document["status"], document["errors"]) == (
        "REFUSED",
        ["the command line cannot be read: standard error says why"],
    )
    assert not_begun("run", SystemExit(143))["status"] == "KILLED"


def in_shell(redirected, *words):
    line = shlex.join([sys.executable, "-m", "mnist_exp.run", "--json", *words])
    return subprocess.run(["bash", "-c", f"{line} {redirected}"], capture_output=True, text=True, timeout=240)


def test_closed_stdout_is_told_before_the_run():
    done = in_shell(">&-", *SMALL)
    assert done.returncode == 2
    assert done.stderr.splitlines()[1:] == [
        "  standard output is closed, where --json prints: send it to a file or a pipe"
    ]


def test_full_disk_under_stdout_is_told_with_the_run_that_is_finished():
    done = in_shell(">/dev/full", *SMALL)
    assert done.returncode == 1
    assert done.stderr.endswith(
        f"\nstandard output cannot be written: No space left on device; the run is {only_run().info.run_id}\n"
    )
    assert "Traceback" not in done.stderr


def test_nobody_who_reads_is_no_fault():
    done = in_shell("| head -c 0", "model.dropout=7")
    assert done.stderr.splitlines()[1:] == [
        "  model.dropout=7 is not allowed: it must be a number, at least 0 and below 1"
    ]


def test_dry_run_lists_the_jobs_that_are_planned():
    document, told = command("-m", *SMALL, HELD, "model.dropout=0.3,0.5", "sweep.dry_run=jobs")
    assert (document["status"], document["run_id"], document["best"]) == ("PLANNED", None, None)
    assert [(job["options"], job["outcome"]) for job in document["jobs"]] == [
        ({"model.dropout": 0.3}, "left"),
        ({"model.dropout": 0.5}, "left"),
    ]
    assert "2 to do" in told


@pytest.mark.slow
def test_what_is_not_recorded_is_told_all_the_same():
    document, _ = command(*SMALL, "tracking=none")
    assert (document["status"], document["run_id"], document["tracking_uri"]) == ("FINISHED", None, None)
    assert document["metrics"]["test_accuracy"] >= 0
    assert document["params"]["model.filters"] == 4
    document, _ = command("-m", *SMALL, HELD, "tracking=none", "model.dropout=0.3,0.5")
    assert (document["status"], document["counts"]["done"], document["run_id"]) == ("FINISHED", 2, None)
    assert document["best"] == document["jobs"][0]


@pytest.mark.slow
def test_loss_that_becomes_nan_is_a_failed_run_with_null_in_it():
    document, told = command(*SMALL, "optimizer=sgd", "optimizer.learning_rate=1e20", code=1)
    assert document["status"] == "FAILED"
    assert document["errors"][0] in told
    assert document["metrics"].get("loss") is None
    assert document["tags"]["mnist_exp.failure"] == document["errors"][0]


@pytest.mark.slow
def test_interrupted_run_is_killed_and_the_resumed_one_has_all_epochs():
    running = Running("mnist_exp.run", "--json", *SMALL, "trainer.epochs=60")
    running.wait_until(lambda: any("epoch  3/60" in line for line in running.err))
    running.stop_with(signal.SIGINT, 130)
    document = validated("".join(running.out))
    assert (document["status"], document["errors"]) == ("KILLED", ["interrupted"])
    done = len(document["history"]["loss"])
    assert 3 <= done < 60
    resumed, _ = command(f"resume={document['run_id']}", "trainer.epochs=60")
    assert (resumed["run_id"], resumed["status"], resumed["name"]) == (
        document["run_id"],
        "FINISHED",
        document["name"],
    )
    assert len(resumed["history"]["loss"]) == 60
    assert resumed["history"]["loss"][:done] == document["history"]["loss"]
    assert resumed["tags"]["mnist_exp.command"] == document["tags"]["mnist_exp.command"]
    assert resumed["started"] == document["started"]


@pytest.mark.slow
def test_sweep_issued_again_is_the_same_but_that_its_jobs_are_reused():
    words = ["-m", *SMALL, HELD, "model.dropout=0.3,0.5"]
    first, told = command(*words)
    assert "rank  dropout" in told
    assert [job["reused"] for job in first["jobs"]] == [False, False]
    again, _ = command(*words)
    assert [job["reused"] for job in again["jobs"]] == [True, True]
    same = ("run_id", "status", "name", "params", "tags", "started", "counts", "objective", "chance")
    assert {name: first[name] for name in same} == {name: again[name] for name in same}
    assert [job["run_id"] for job in first["jobs"]] == [job["run_id"] for job in again["jobs"]]


@pytest.mark.slow
def test_sweep_with_failed_and_with_pruned_jobs():
    document, _ = command("-m", *SMALL, HELD, "optimizer=sgd", "optimizer.learning_rate=0.01,1e20", code=1)
    assert (document["status"], document["errors"]) == ("FAILED", ["1 of 2 jobs failed"])
    failed = document["jobs"][-1]
    assert (failed["outcome"], failed["objective"]) == ("failed", None)
    assert failed["error"]
    search = ["-m", *SMALL, HELD, "trainer.epochs=4", "model.dropout=interval(0.1,0.5)", "sweep.n_trials=8"]
    document, _ = command(*search, "sweep.pruner=median", "hydra.launcher.n_workers=1")
    assert sum(document["counts"].values()) == len(document["jobs"]) == 8
    assert document["counts"]["pruned"] >= 1


@pytest.mark.slow
def test_interrupted_sweep_is_killed():
    running = Running("mnist_exp.run", "--json", "-m", *SMALL, HELD, "trainer.epochs=60", "model.dropout=0.1,0.2,0.3")
    running.wait_until(lambda: any("time left" in line for line in running.err), 120)
    running.stop_with(signal.SIGTERM, 143, seconds=30)
    document = validated("".join(running.out))
    assert document["status"] == "KILLED"
    assert document["errors"]
    assert document["counts"]["killed"] >= 1
