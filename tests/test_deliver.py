"""`python -m mnist_exp.deliver`: real spools, a real store, and processes that hold a run."""

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from real_runs import new_store
from schemas import validate

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.deliver import launch
from mnist_exp.tracking import store
from mnist_exp.tracking.backlog import upload_waiting
from mnist_exp.tracking.spool import Record, Spool
from mnist_exp.tracking.uploader import Uploader

NOBODY = "0" * 32
HOLD = """
import sys, time
from pathlib import Path
from mnist_exp.tracking.run_folder import RunFolder
folder = RunFolder(Path(sys.argv[1]))
folder.claim()
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """A store whose runs wait in `unfinished` beside it."""
    folder = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{folder}/mlflow.db"
    return new_store(uri)


@pytest.fixture
def here(client, monkeypatch):
    """Change to the store's folder."""
    folder = store.sqlite_file(client.tracking_uri).parent
    monkeypatch.chdir(folder)
    yield folder
    for file in sorted(Path("unfinished").rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()


def waiting_run(client, status="FINISHED", epochs=3):
    """Create a run in the store, without any of its records."""
    experiment = client.get_experiment_by_name("mnist_exp")
    run_id = client.create_run(experiment.experiment_id).info.run_id
    spool = Spool(Path("unfinished", run_id, "outbox"))
    for step in range(1, epochs + 1):
        spool.put(Record("metrics", {"metrics": {"loss": 1 / step}, "step": step, "time": 1000 * step}))
    spool.put(Record("files", {}, {"a.txt": b"one"}))
    spool.put(Record("end", {"status": status, "time": 5000}))
    spool.store()
    return run_id


@contextlib.contextmanager
def held(folder):
    """Let another process claim a run."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process.pid
        finally:
            process.kill()


def test_all_waiting_records_are_delivered_and_finished_runs_lose_their_folder(client, here, capsys):
    finished, killed = waiting_run(client), waiting_run(client, "KILLED")
    assert launch([]) == 0
    assert set(capsys.readouterr().out.splitlines()) == {
        f"run {finished}: 5 records delivered, it is FINISHED",
        f"run {killed}: 5 records delivered, it is KILLED; resume={killed} goes on with it",
    }
    for run_id, status in ((finished, "FINISHED"), (killed, "KILLED")):
        assert client.get_run(run_id).info.status == status
        assert [(p.step, p.value) for p in client.get_metric_history(run_id, "loss")] == [
            (1, 1.0),
            (2, 0.5),
            (3, 1 / 3),
        ]
        assert [file.path for file in client.list_artifacts(run_id)] == ["a.txt"]
    assert [path.name for path in Path("unfinished").iterdir()] == [killed]
    assert launch([]) == 0
    assert capsys.readouterr().out == f"nothing waits in {here}/unfinished\n"
    assert launch([killed]) == 0
    assert capsys.readouterr().out == f"run {killed}: nothing waits\n"


def test_named_runs_only(client, here, capsys, alone, monkeypatch):
    one, other = waiting_run(client), waiting_run(client)
    monkeypatch.chdir(alone)
    options = ["--tracking-uri", client.tracking_uri, "--local-dir", str(here / "unfinished")]
    assert launch([one, one, *options]) == 0
    assert capsys.readouterr().out == f"run {one}: 5 records delivered, it is FINISHED\n"
    assert client.get_run(other).info.status == "RUNNING"
    monkeypatch.chdir(here)
    assert launch([other]) == 0


def test_records_that_arrived_before_are_not_duplicated(client, here):
    run_id = waiting_run(client)
    spool = Spool(Path("unfinished", run_id, "outbox"))
    for name in ("000001", "000002", "000003", "000004"):
        (spool.folder / name).rename(name)
    assert Uploader(client.tracking_uri, run_id, Spool(spool.folder), print).flush()
    for name in ("000001", "000002", "000003", "000004"):
        Path(name).rename(spool.folder / name)
    assert launch([]) == 0
    assert launch([]) == 0
    assert [point.step for point in client.get_metric_history(run_id, "loss")] == [1, 2, 3]


def test_json_says_what_was_delivered(client, here, capsys):
    run_id = waiting_run(client)
    assert launch(["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    validate(found, "deliver-1")
    (told,) = found["runs"]
    assert (told["run_id"], told["uploaded"], told["waiting"], told["status"]) == (run_id, 5, 0, "FINISHED")
    assert launch(["--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == []


def test_run_of_another_process_is_left_alone(client, here, capsys):
    run_id, other = waiting_run(client), waiting_run(client)
    with held(Path("unfinished", run_id)) as pid:
        assert launch([]) == 1
        output = capsys.readouterr().out
        assert f"run {run_id}: 5 records still wait: run {run_id} is being worked on by another process" in output
        assert f"/{pid}/" in output
        assert f"run {other}: 5 records delivered, it is FINISHED" in output
        warnings = []
        (left,) = upload_waiting(TrackingSettings(), warnings.append)
        assert (left.is_claimed, left.waiting, warnings) == (True, 5, [])
    assert launch([]) == 0


def test_run_that_the_store_refuses_keeps_only_its_own_records(client, here, capsys):
    deleted = waiting_run(client)
    client.delete_run(deleted)
    other = waiting_run(client)
    warnings = []
    done = {each.run_id: each for each in upload_waiting(TrackingSettings(), warnings.append)}
    assert (done[other].waiting, done[other].status) == (0, "FINISHED")
    assert (done[deleted].uploaded, done[deleted].waiting) == (0, 5)
    assert [text.partition(":")[0] for text in warnings] == [f"run {deleted}"]
    assert launch([]) == 1
    assert f"{deleted} must be in the 'active' state" in capsys.readouterr().out
    client.restore_run(deleted)
    assert launch([]) == 0


def test_damaged_record_keeps_those_behind_it_and_no_other_run(client, here, capsys):
    damaged, other = waiting_run(client), waiting_run(client)
    Path("unfinished", damaged, "outbox", "000002", "message.json").write_text("{")
    assert launch([]) == 1
    output = capsys.readouterr().out
    assert f"run {damaged}: 1 record delivered, 4 records still wait: the record" in output
    assert f"run {other}: 5 records delivered" in output
    Path("unfinished", damaged, "outbox", "000002").rename("aside")
    assert launch([damaged]) == 0


def test_mistakes_are_reported_before_heavy_imports(alone):
    Path("unfinished", NOBODY, "outbox", "000001").mkdir(parents=True)
    lines = {
        "no id": (["abc"], "'abc' is no run id: it must be 32 characters of 0-9 and a-f"),
        "a way out": (["../../etc"], "is no run id"),
        "no such run": (["1" * 32], f"there is no folder {alone}/unfinished/{'1' * 32}"),
        "no such folder": (["--local-dir", "none"], "--local-dir=none: there is no such folder"),
        "no store": ([], f"--tracking-uri=sqlite:///mlflow.db: there is no file {alone}/mlflow.db"),
        "no answer": (["--tracking-uri", "http://u:secret@127.0.0.1:9"], "http://***@127.0.0.1:9: nothing answers"),
        "no uri": (["--tracking-uri", "ftp://x"], "ftp://x is not understood"),
    }
    script = (
        "import sys; from mnist_exp import commands, deliver; "
        "code = commands.code_of(lambda: deliver.launch(sys.argv[1:])); "
        "assert not {'mlflow', 'keras', 'tensorflow'} & set(sys.modules); sys.exit(code)"
    )
    started = {
        name: subprocess.Popen([sys.executable, "-c", script, *words], stderr=subprocess.PIPE, text=True)
        for name, (words, _) in lines.items()
    }
    for name, process in started.items():
        _, output = process.communicate()
        assert process.returncode == 2, output
        assert output.startswith("1 mistake in the command line; nothing was run:")
        assert lines[name][1] in output
        assert len(output.splitlines()) == 2


@pytest.mark.slow
def test_store_that_is_locked_holds_a_record_for_seconds_only(client, here):
    import sqlite3

    run_id = waiting_run(client)
    spool, output = Spool(Path("unfinished", run_id, "outbox")), []
    uploader = Uploader(client.tracking_uri, run_id, spool, output.append)
    with contextlib.closing(sqlite3.connect("mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        for step in (4, 5, 6, 7):
            uploader.send(Record("metrics", {"metrics": {"loss": 0.1}, "step": step, "time": 6000}))
        assert time.monotonic() - began < 15
        assert len(Spool(spool.folder)) == 9
        began = time.monotonic()
        assert not uploader.flush(at_most_s=1)
        assert time.monotonic() - began < 10
        assert "no answer" in uploader.reason
        other.execute("ROLLBACK")
    assert uploader.flush(patience_s=60)
    assert [point.step for point in client.get_metric_history(run_id, "loss")] == list(range(1, 8))
