"""A result by other own code is another result: in grids, searches, resumed runs, reruns and loaded models."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from real_runs import Running

from mnist_exp.experiment import own_code

pytestmark = pytest.mark.slow

FILES = {
    "acme/__init__.py": "",
    "acme/nets.py": """
import keras
from acme.parts import head
def tiny(input_shape, classes, units: int = 4):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), head(units, classes)])
""",
    "acme/parts.py": """
import time
import beside
import keras
@keras.saving.register_keras_serializable("acme")
class Head(keras.layers.Dense):
    pass
def head(units, classes):
    return keras.Sequential([keras.layers.Dense(units * beside.FACTOR), Head(classes, "softmax")])
""",
    "acme/unused.py": "",
    "acme/token.py": "",  # Its name sounds like a secret's.
    "beside.py": "from acme import token\nFACTOR = 1\n",
    "conf/model/tiny.yaml": "_target_: acme.nets.tiny\nunits: 4\ntrusted_modules: [acme]\n",
}
OURS = ["acme", "acme.nets", "acme.parts", "acme.token", "beside"]
RUN = ["--config-dir", "conf", "model=tiny", "data=mnist_5k", "data.limit=200", "data.validation=0.2"]
RUN += ["trainer.epochs=2", "trainer.threads=1"]
AGAIN = "{} run again: {} was changed since; sweep.reuse=any counts what is done, and goes on with what was begun"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A folder with a user's package, a helper module beside it, and a configuration of it."""
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(name, *arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-m", f"mnist_exp.{name}", *arguments], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def sweep(*overrides, code=0):
    return command("run", "-m", *RUN, *overrides, code=code)


def runs(condition="tags.`mnist_exp.own_code` LIKE '%'"):
    return MlflowClient(f"sqlite:///{Path.cwd()}/mlflow.db").search_runs(["1"], condition)


def factor(value):
    Path("beside.py").write_text(f"from acme import token\nFACTOR = {value}\n")


def test_job_of_a_grid_is_run_again_when_its_own_code_was_changed():
    assert "to do   2\n" in sweep("model.units=2,3")
    artifacts = [Path(run.info.artifact_uri.removeprefix("file://")) for run in runs()]
    assert [list(own_code.from_text((each / "own_code.txt").read_text())) for each in artifacts] == [OURS, OURS]
    first = {run.info.run_id for run in runs()}
    Path("acme/unused.py").write_text("X = 1\n")
    assert "to do   0, 2 done already" in sweep("model.units=2,3")

    factor(2)
    assert "1  units=2       to do: beside.py was changed since" in sweep("model.units=2,3", "sweep.dry_run=jobs")
    text = sweep("model.units=2,3", "sweep.reuse=any")
    assert "to do   0, 2 done already" in text
    assert "2 jobs are counted, though done by other code: beside.py was changed since" in text
    assert "\n* done by other code: beside.py was changed since\n" in text
    assert all(re.search(rf"{run_id} \*$", text, re.MULTILINE) for run_id in first)
    parent = re.search("^parent  ([0-9a-f]{32})", text, re.MULTILINE)[1]
    board = MlflowClient(f"sqlite:///{Path.cwd()}/mlflow.db").download_artifacts(parent, "leaderboard.csv")
    assert Path(board).read_text().count("beside.py was changed since") == 2

    text = sweep("model.units=2,3")
    assert AGAIN.format("2 jobs are", "beside.py") in text
    assert "to do   2\n" in text
    second = {run.info.run_id for run in runs()} - first
    assert len(second) == 2
    assert not any(run_id in text for run_id in first)
    assert "to do   0, 2 done already" in sweep("model.units=2,3")
    text = command("report", "--sweep", parent)
    assert "is repeated by" not in text
    assert not any(run_id in text for run_id in first)

    factor(1)  # As it was at first.
    text = sweep("model.units=2,3")
    assert "to do   0, 2 done already" in text
    assert all(run_id in text for run_id in first)
    Path("acme/parts.py").unlink()
    assert AGAIN.format("2 jobs are", "acme/parts.py") in sweep("model.units=2,3", code=1)


def test_job_that_failed_is_run_again_once_its_code_is_mended():
    Path("acme/parts.py").write_text(FILES["acme/parts.py"] + "raise ValueError('not yet')\n")
    assert "failed: units=2: ValueError: not yet" in sweep("model.units=2,3", code=1)
    assert "to do   0, 2 failed already" in sweep("model.units=2,3", code=1)
    Path("acme/parts.py").write_text(FILES["acme/parts.py"])
    text = sweep("model.units=2,3")
    assert AGAIN.format("2 jobs are", "acme/parts.py") in text
    assert "\nsweep   2 done\n" in text


def test_search_by_other_code_is_a_search_of_its_own():
    search = ["model.units=2,3,4,5", "sweep.sampler=random", "sweep.n_trials=2", "trainer.epochs=1"]
    studies = []
    for value, left in ((1, "to do   2\n"), (2, "to do   2\n"), (2, "to do   0, 2 "), (1, "to do   0, 2 ")):
        factor(value)
        text = sweep(*search)
        assert left in text
        studies.append(re.search("study (mnist_exp-[0-9a-f]+)", text)[1])
        told = (
            "this is another search than before: beside.py was changed since; sweep.reuse=any goes on with the earlier"
        )
        assert (told in text) == (value == 2)
    assert studies == [studies[0], studies[1], studies[1], studies[0]]
    assert studies[0] != studies[1]
    factor(3)
    text = sweep(*search, "sweep.reuse=any")
    assert studies[0] in text
    assert "2 jobs are counted, though done by other code: beside.py was changed since" in text

    sweep(*search, "sweep.study=mine")
    factor(4)
    refused = sweep(*search, "sweep.study=mine", code=2)
    assert "sweep.study=mine has trials by other code: beside.py was changed since; name another study" in refused


def killed_in_epoch(number, *words):
    """Kill a run with SIGKILL after an epoch, and return its id."""
    running = Running("mnist_exp.run", *words)
    running.wait_for_epoch(number)
    running.process.kill()
    running.end_with(-9)
    return runs("attributes.status = 'RUNNING'")[0].info.run_id


def test_resume_warns_of_changed_code_and_its_result_counts_for_no_sweep():
    slow = [*RUN, "trainer.epochs=60", "model.units=2"]
    run_id = killed_in_epoch(2, *slow)
    factor_later = FILES["acme/parts.py"] + "LATER = 1\n"  # The same weights, so that the checkpoint fits.
    Path("acme/parts.py").write_text(factor_later)
    text = command("run", f"resume={run_id}", "trusted_modules=[acme]")
    assert (
        "acme/parts.py was changed since: the epochs until now were trained by other code than those to come." in text
    )
    (run,) = runs("attributes.status = 'FINISHED'")
    assert "acme/parts.py was changed since" in run.data.tags["mnist_exp.resumption.1"]
    planned = sweep("trainer.epochs=60", "model.units=2,3", "sweep.dry_run=jobs")
    assert "1  units=2       to do: acme/parts.py was changed since" in planned


def test_interrupted_job_begins_anew_when_its_code_was_changed():
    running = Running("mnist_exp.run", "-m", *RUN, "trainer.epochs=4000", "model.units=2,3")
    running.wait_until(lambda: any("time left" in line for line in running.out), 120)
    time.sleep(1)
    running.process.terminate()
    running.end_with(143)
    begun = [run.info.run_id for run in runs("attributes.status = 'KILLED'") if "mnist_exp.job_key" in run.data.tags]
    assert begun
    text = sweep("trainer.epochs=4000", "model.units=2,3", "sweep.dry_run=jobs")
    assert "begun" in text
    assert "was changed" not in text
    Path("acme/parts.py").write_text(FILES["acme/parts.py"] + "LATER = 1\n")
    text = sweep("trainer.epochs=4000", "model.units=2,3", "sweep.dry_run=jobs")
    assert "to do: acme/parts.py was changed since" in text
    assert "begun" not in text
    assert "begun: acme/parts.py was changed since" in sweep(
        "trainer.epochs=4000", "model.units=2,3", "sweep.dry_run=jobs", "sweep.reuse=any"
    )


def test_rerun_names_the_changed_file_and_counts_only_if_it_is_equal():
    sweep("model.units=2,3")
    original = {run.info.run_id for run in runs()}
    run_id = min(original)
    factor(2)
    text = command("rerun", run_id, "--trusted-modules", "acme", code=1)
    assert "drift    beside.py was changed since" in text
    assert "beside.py was changed since: put it back as it was" in text
    assert "--tolerance" not in text
    factor(1)
    text = sweep("model.units=2,3")
    assert all(each in text for each in original)
    assert "to do   0, 2 done already" in text
    assert "drift    none" in command("rerun", run_id, "--trusted-modules", "acme,acme.parts")
    equal = {run.data.tags["mnist_exp.rerun_equal"] for run in runs("tags.`mnist_exp.rerun_of` LIKE '%'")}
    assert equal == {"true", "false"}


def test_model_whose_code_was_changed_since_is_told(tmp_path):
    command("run", *RUN)
    (run,) = runs()
    told = f"acme/parts.py was changed since: the model of run {run.info.run_id} was trained by it as it was then"
    assert told not in command("evaluate", run.info.run_id, "--trusted-modules", "acme,acme.parts")
    Path("acme/parts.py").write_text(FILES["acme/parts.py"] + "LATER = 1\n")
    for name, *words in (("evaluate",), ("export", "--format", "keras")):
        assert told in command(name, run.info.run_id, *words, "--trusted-modules", "acme,acme.parts")


def test_trusted_module_that_took_no_part_is_no_change_of_the_code():
    finished = command(
        "run", "data=mnist_5k", "data.limit=200", "trainer.epochs=1", "model=mlp", "trusted_modules=[acme]"
    )
    run_id = re.search("^run   ([0-9a-f]{32}) ", finished, re.MULTILINE)[1]
    assert "drift    none" in command("rerun", run_id, "--trusted-modules", "acme")
