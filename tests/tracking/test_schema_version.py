"""A store that another version of MLflow made: every command refuses it in one sentence, before heavy imports."""

import contextlib
import shlex
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from real_runs import SMALL, only_run, run

from mnist_exp.errors import TrackingError
from mnist_exp.tracking import creation, schema_version, store

RUN = "a" * 32
COMMANDS = {
    "run": SMALL,
    "run -m": ["-m", *SMALL, "seed=1,2"],
    "run -m, to look only": ["-m", *SMALL, "seed=1,2", "sweep.dry_run=jobs"],
    "run, to resume": [f"resume={RUN}"],
    "rerun": [RUN],
    "deliver": [],
    "evaluate": [RUN],
    "predict": [RUN, "a.png"],
    "demo": [RUN],
    "export": [RUN, "--format", "keras"],
    "report": [RUN],
}
SCRIPT = """
import runpy, sys
name, *sys.argv[1:] = sys.argv[1:]
try:
    runpy.run_module(name, run_name="__main__", alter_sys=True)
finally:
    assert not {"mlflow", "keras", "tensorflow"} & set(sys.modules)
"""


MIGRATE = """
import sys, sqlalchemy
from alembic import command
from mlflow.store.db import utils
uri, newest = sys.argv[1:]
engine = sqlalchemy.create_engine(uri)
utils.InitialBase.metadata.create_all(engine)
config = utils._get_alembic_config(uri)
with engine.begin() as connection:
    config.attributes["connection"] = connection
    command.upgrade(config, newest)
"""


def made_by_an_older_mlflow(file, newest):
    """Create the tables as they were before the newest revisions, by MLflow's own migrations."""
    words = [sys.executable, "-c", MIGRATE, f"sqlite:///{file}", newest]
    subprocess.run(words, check=True, capture_output=True)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Stores of older and of newer versions of MLflow; of the newer ones, one has less tables than ours."""
    folder = tmp_path_factory.mktemp("stores")
    files = {name: folder / f"{name}.db" for name in ("older", "newer", "newer-with-less")}
    made_by_an_older_mlflow(files["older"], "17e22815139b")
    shutil.copy(files["older"], files["newer-with-less"])
    creation.finish(creation.begin(f"sqlite:///{files['newer']}"))
    for name in ("newer", "newer-with-less"):
        with contextlib.closing(sqlite3.connect(files[name])) as opened, opened:
            opened.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    return files


@pytest.mark.parametrize("kind", ["older", pytest.param("newer", marks=[pytest.mark.slow, pytest.mark.new_store])])
def test_every_command_refuses_it_at_once(stores, alone, monkeypatch, kind):
    Path("unfinished", RUN, "outbox", "000001").mkdir(parents=True)  # So that `deliver` has to look.
    Path("a.png").touch()
    file, words = stores[kind], f"it was made by a{'n' * (kind == 'older')} {kind} version than MLflow 3."
    before = file.read_bytes()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
    where = {"run": [f"tracking.local_dir={alone}/unfinished"], "deliver": ["--local-dir", f"{alone}/unfinished"]}
    for case in COMMANDS if kind == "newer" else ["run", "run -m", "report"]:
        name = case.replace(",", " ").split()[0]
        arguments = [f"mnist_exp.{name}", *COMMANDS[case], *where.get(name, [])]
        done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True)
        assert done.returncode == 2, (case, done.stderr)
        assert len(done.stderr.splitlines()) == 2, (case, done.stderr)
        assert f"$MLFLOW_TRACKING_URI=sqlite:///{file}: {words}" in done.stderr, case
    assert file.read_bytes() == before


@pytest.mark.new_store
@pytest.mark.slow
def test_printed_command_makes_an_older_one_usable(alone):
    made_by_an_older_mlflow(alone / "mlflow.db", "17e22815139b")
    with pytest.raises(TrackingError) as refused:
        store.check(store.DEFAULT_URI)
    words = shlex.split(str(refused.value).split("`")[1])
    subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True)
    assert run(*SMALL, "trainer.epochs=1") == ""
    assert only_run().info.status == "FINISHED"


@pytest.mark.parametrize("kind", ["newer", "newer-with-less"])
def test_database_of_which_only_mlflow_can_ask_is_refused_alike(stores, kind):
    """As PostgreSQL."""
    with pytest.raises(TrackingError, match="cannot be used: it was made by a newer version than MLflow"):
        store.client(f"sqlite:///{stores[kind]}")


def test_locked_new_and_foreign_databases_are_left_to_mlflow(alone):
    file = alone / "some.db"
    file.touch()
    schema_version.check_file(file, "sqlite:///some.db", "tracking.uri=sqlite:///some.db")
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as opened:
        opened.execute("CREATE TABLE mine (a)")
        schema_version.check_file(file, "sqlite:///some.db", "tracking.uri=sqlite:///some.db")
        opened.execute("BEGIN EXCLUSIVE")
        schema_version.check_file(file, "sqlite:///some.db", "tracking.uri=sqlite:///some.db")


def test_damaged_database_is_told(stores, alone):
    content = bytearray(stores["newer"].read_bytes())
    content[100:4096] = bytes(3996)
    Path("mlflow.db").write_bytes(content)
    with pytest.raises(TrackingError, match=r"tracking.uri=sqlite:///mlflow.db: .*mlflow.db is damaged: "):
        store.check(store.DEFAULT_URI)
