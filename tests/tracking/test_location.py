"""A store that is moved or copied with its files: told, mended by one command, and nothing written outside."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from real_runs import new_store

from mnist_exp import commands, relocate
from mnist_exp.errors import TrackingError
from mnist_exp.tracking import location, run_files, store


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a store, a run with a file, a model, and a registered version of it."""
    folder = tmp_path_factory.mktemp("here") / "a project"
    folder.mkdir()
    uri = f"sqlite:///{folder}/mlflow.db"
    client = new_store(uri)
    experiment = client.get_experiment_by_name("mnist_exp").experiment_id
    run_id = client.create_run(experiment).info.run_id
    client.log_text(run_id, "model: {filters: 4}", "config.yaml")
    model = client.create_logged_model(experiment, "model", run_id)
    client.create_registered_model("digits")
    client.create_model_version("digits", model.artifact_location, run_id, model_id=model.model_id)
    client.set_terminated(run_id, "FINISHED")
    return folder, run_id, model.model_id


def copied(made, alone):
    shutil.copytree(made[0], alone / "copy")
    os.chdir(alone / "copy")
    return alone / "copy"


def call(*words):
    return commands.code_of(lambda: relocate.launch(words))


@pytest.mark.parametrize("old_one_is_there", [True, False])
def test_moved_and_copied_stores_are_told_and_mended(made, alone, capsys, old_one_is_there, tmp_path_factory):
    folder, run_id, model_id = made
    new = copied(made, alone)
    if not old_one_is_there:
        folder.rename(folder.with_name("away"))
    try:
        check_mended(new, folder, run_id, model_id, capsys)
        assert folder.exists() == old_one_is_there
    finally:
        if not old_one_is_there:
            folder.with_name("away").rename(folder)


def check_mended(new, folder, run_id, model_id, capsys):
    with pytest.raises(TrackingError) as told:
        store.check(store.DEFAULT_URI)
    assert str(told.value) == (
        "tracking.uri=sqlite:///mlflow.db: its folder was moved or copied: the files of its runs are recorded as in "
        f"{(folder / 'mlartifacts').as_uri()}, not in {new}/mlartifacts, so they would be looked for and written "
        "there; `python -m mnist_exp.relocate` mends the addresses"
    )
    before = Path("mlflow.db").read_bytes()
    assert call() == 0
    assert f"{new}/mlflow.db.before-move-1" in capsys.readouterr().out
    assert len(before) == Path("mlflow.db.before-move-1").stat().st_size
    store.check(store.DEFAULT_URI)
    client = store.client(store.DEFAULT_URI)
    around = (new / "mlartifacts").as_uri() + "/"
    assert client.get_experiment_by_name("mnist_exp").artifact_location == around.rstrip("/")
    assert client.get_run(run_id).info.artifact_uri.startswith(around)
    assert client.get_logged_model(model_id).artifact_location.startswith(around)
    assert client.get_model_version("digits", "1").source.startswith(around)
    assert run_files.read_sections(store.DEFAULT_URI, run_id, "config.yaml") == {"model": {"filters": 4}}
    # Not the same run: MLflow keeps the place of each run that a process has written to.
    another = client.create_run(client.get_experiment_by_name("mnist_exp").experiment_id).info.run_id
    client.log_text(another, "here", "new.txt")
    assert list(new.rglob("new.txt"))
    assert not list(folder.rglob("new.txt"))
    assert call() == 0
    assert "nothing to do" in capsys.readouterr().out


def test_files_that_are_not_there_are_counted_and_told(made, alone, capsys):
    new = copied(made, alone)
    shutil.rmtree(new / "mlartifacts" / made[1])
    assert call() == 0
    assert "1 run of this store has no files in" in capsys.readouterr().err
    with pytest.raises(Exception, match=r"no file of the run is at file:.* any more; it was removed, or moved"):
        run_files.read_sections(store.DEFAULT_URI, made[1], "config.yaml")


def test_other_arrangements_are_left_alone(made, alone):
    shutil.copy(made[0] / "mlflow.db", "mlflow.db")  # The files stay where they are.
    assert store.moved_from(alone / "mlflow.db") == []
    Path("linked").symlink_to(made[0])
    assert store.moved_from(alone / "linked" / "mlflow.db") == []
    assert store.moved_from(alone / "none.db") == []
    uri = f"sqlite:///{alone}/own.db"
    client = new_store(uri)
    client.create_experiment("elsewhere", artifact_location="s3://bucket/mlartifacts")
    client.create_experiment("on a large disk", artifact_location=f"file://{alone}/disk/runs")
    assert store.moved_from(alone / "own.db") == []
    assert location.beside(alone / "own.db") == alone / "mlartifacts"


def test_mistakes_of_the_command_line(alone, capsys):
    for words, said in {
        ("--tracking-uri", "sqlite:///none.db"): f"there is no file {alone}/none.db",
        (): f"there is no file {alone}/mlflow.db",
    }.items():
        assert call(*words) == 2
        assert said in capsys.readouterr().err


@pytest.mark.slow
def test_every_command_says_it_before_heavy_imports(made, alone):
    copied(made, alone)
    script = (
        "import runpy, sys; name, *sys.argv[1:] = sys.argv[1:]\n"
        "try: runpy.run_module(name, run_name='__main__', alter_sys=True)\n"
        "finally: assert not {'mlflow', 'keras', 'tensorflow'} & set(sys.modules)"
    )
    for words in (["run", "model=mlp"], ["run", "-m", "seed=1,2"], ["evaluate", made[1]], ["report", made[1]]):
        done = subprocess.run([sys.executable, "-c", script, f"mnist_exp.{words[0]}", *words[1:]], capture_output=True)
        assert done.returncode == 2, done.stderr
        assert b"`python -m mnist_exp.relocate` mends the addresses" in done.stderr
        assert len(done.stderr.splitlines()) == 2
