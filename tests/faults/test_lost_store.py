"""A store that can no longer be written, or is gone, while jobs run: told in one sentence, at once; nothing is lost."""

import contextlib
import os
import shutil
import time
from pathlib import Path

import pytest
from real_runs import Running, client_of, new_store, only_run, recorded, run

from mnist_exp.errors import StoreAwayError, TrackingError
from mnist_exp.tracking import mlflow_log, store
from mnist_exp.tracking.spool import Record, Spool
from mnist_exp.tracking.uploader import Uploader

SMALL = ["data=mnist_5k", "data.limit=500", "data.validation=0.2", "model=mlp", "trainer.epochs=12"]
ONE_BY_ONE = [*SMALL, "hydra.launcher.n_workers=1"]
SEARCH = [*ONE_BY_ONE, "sweep.n_trials=3", "sweep.pruner=none", "optimizer.learning_rate=interval(0.0005,0.002)"]


@pytest.fixture
def as_a_user():
    """Words that let a command of root ask for permissions as any user must."""
    if not hasattr(os, "geteuid"):
        pytest.skip("permissions are other ones here")
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("only setpriv can take root's rights away")
    rights = "-dac_override,-dac_read_search"
    return ["setpriv", f"--inh-caps={rights}", f"--bounding-set={rights}"]


@contextlib.contextmanager
def forbidden(folder):
    """Take the right to write the store away."""
    file = folder / "mlflow.db"
    file.chmod(0o444)
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(0o755)
        file.chmod(0o644)


def wait_for_an_epoch(running):
    running.wait_until(lambda: list(Path("unfinished").glob("*/checkpoint-*")))


@pytest.mark.slow
@pytest.mark.parametrize("words", [[*ONE_BY_ONE, "seed=1,2,3"], SEARCH], ids=["grid", "search"])
def test_sweep_stops_at_once_where_the_store_cannot_be_written(alone, as_a_user, words):
    Path("optuna").mkdir()
    words = ["-m", *words, *(["sweep.storage=optuna/study.journal"] if words is SEARCH else [])]
    running = Running("mnist_exp.run", *words, wrap=as_a_user)
    wait_for_an_epoch(running)
    with forbidden(alone):
        began = time.monotonic()
        output = running.end_with(1)
        assert time.monotonic() - began < 50  # It waits a minute for a store that is away.
    told = [line for line in output.splitlines() if line]
    assert told[-1] == (
        f"tracking.uri=sqlite:///mlflow.db cannot be written: Permission denied: {alone}/mlflow.db: 2 of 3 jobs were "
        "not started; repair that, then run the same command again"
    )
    assert "Traceback" not in output + "".join(running.out)
    assert len(told) <= 5, output
    assert len(running.out) <= 15, running.text()
    assert "(attempt to write a readonly database)" in output
    assert "1 failed, 2 left" in "".join(running.out)
    run(*words)
    _, (parent,), children = recorded()
    assert [child.info.status for child in [parent, *children]] == ["FINISHED"] * 4
    assert not any("mnist_exp.failure" in child.data.tags for child in children)
    assert not Path("unfinished").exists()


@pytest.mark.slow
def test_run_does_not_wait_where_the_store_cannot_be_written(alone, as_a_user):
    running = Running("mnist_exp.run", *SMALL, wrap=as_a_user)
    wait_for_an_epoch(running)
    with forbidden(alone):
        began = time.monotonic()
        output = running.end_with(1)
        assert time.monotonic() - began < 50
    run_id = only_run().info.run_id
    assert output.splitlines()[-1] == f"  python -m mnist_exp.deliver {run_id}"
    assert "Traceback" not in output
    Running("mnist_exp.deliver", run_id).end_with(0)
    assert only_run().info.status == "FINISHED"


@pytest.mark.slow
def test_no_job_makes_a_new_store_in_the_place_of_one_that_is_gone(alone):
    running = Running("mnist_exp.run", "-m", *ONE_BY_ONE, "seed=1,2,3")
    wait_for_an_epoch(running)
    Path("mlflow.db").rename("elsewhere.db")
    output = running.end_with(1)
    assert f"tracking.uri=sqlite:///mlflow.db: there is no file {alone}/mlflow.db any more: " in output
    assert "jobs were not started; repair that, then run the same command again" in output.splitlines()[-1]
    assert not Path("mlflow.db").exists()
    Path("elsewhere.db").rename("mlflow.db")
    run("-m", *ONE_BY_ONE, "seed=1,2,3")
    _, (parent,), children = recorded()
    assert [child.info.status for child in [parent, *children]] == ["FINISHED"] * 4


def test_only_what_may_pass_is_waited_for(alone, monkeypatch):
    monkeypatch.chdir(alone)
    new_store(store.DEFAULT_URI)
    uri = store.absolute(store.DEFAULT_URI)
    run_id = client_of().create_run(client_of().get_experiment_by_name("mnist_exp").experiment_id).info.run_id
    assert not store.is_unusable(uri)
    Path("mlflow.db").write_text("no database, but a text")
    assert store.is_unusable(uri)
    spool = Spool(alone / "unfinished" / run_id / "outbox")
    spool.put(Record("tags", {"a": "b"}))
    began = time.monotonic()
    assert not Uploader(uri, run_id, spool, lambda _: None).flush(patience_s=60)
    assert time.monotonic() - began < 30
    Path("mlflow.db").unlink()
    with pytest.raises(TrackingError, match="there is no file") as gone:
        store.check(uri, 60, must_exist=True)
    assert not isinstance(gone.value, StoreAwayError)
    with pytest.raises(StoreAwayError):
        store.check("http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            "(raised as a result of Query-invoked autoflush; consider using a session.no_autoflush block if this flush "
            "is occurring prematurely)\n(sqlite3.OperationalError) attempt to write a readonly database\n[SQL: UPDATE",
            "attempt to write a readonly database",
        ),
        ("(psycopg.OperationalError) server closed the connection (Background on this error at: x)", "server closed"),
        ("API request failed (Max retries exceeded with url: /api", "API request failed"),
    ],
)
def test_the_line_of_an_error_that_matters_is_shown(error, line):
    from mlflow.exceptions import MlflowException

    assert mlflow_log.reason(MlflowException(error)).startswith(line)
    assert "(" not in mlflow_log.reason(MlflowException(error))
    assert mlflow_log.reason(OSError(28, "No space left on device")) == "OSError: [Errno 28] No space left on device"


@pytest.mark.slow
def test_sweep_makes_the_folder_of_its_unfinished_runs(alone):
    assert "Traceback" not in run("-m", *ONE_BY_ONE, "trainer.epochs=1", "seed=1,2", "tracking.local_dir=kept")
    _, (parent,), children = recorded()
    assert [child.info.status for child in [parent, *children]] == ["FINISHED"] * 3
