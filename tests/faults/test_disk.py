"""Full, read-only and damaged disks, and too little memory: each caused for real."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import pytest
from real_runs import NOT_TIMES, SMALL, Running, assert_whole, client_of, history, kill_after_epoch, only_run, run

from mnist_exp.tracking import location
from mnist_exp.training import checkpoints

pytestmark = pytest.mark.slow


def mount(*words):
    done = subprocess.run(["mount", *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a disk cannot be mounted here: {done.stderr.strip()}")


@contextlib.contextmanager
def small_disk(folder):
    """A disk of 16 MB as the working folder."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    before = Path.cwd()
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=16m", "tmpfs", folder)
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def disk(alone):
    with small_disk(alone / "disk") as folder:
        yield folder


def fill(file, leave=0):
    """Fill the disk except for some bytes."""
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as opened:
        while True:
            opened.write(b"\1" * 4096)
    os.truncate(file, file.stat().st_size - leave)
    return file


@pytest.mark.slow
def test_full_or_read_only_disk_at_the_start_is_a_mistake(disk, alone):
    full = fill(disk / "filler")
    started = {"full": Running("mnist_exp.run", *SMALL)}
    started["full for checkpoints"] = Running(
        "mnist_exp.run", *SMALL, f"tracking.uri=sqlite:///{alone}/mlflow.db", f"tracking.local_dir={disk}/kept"
    )
    outputs = {name: running.end_with(2) for name, running in started.items()}
    assert f"{disk}/unfinished cannot be written: No space left on device" in outputs["full"]
    assert f"{disk}/kept cannot be written: No space left on device" in outputs["full for checkpoints"]
    assert "change tracking.local_dir" in outputs["full for checkpoints"]
    os.truncate(full, full.stat().st_size - 100_000)
    outputs["too full for a store"] = run(*SMALL, code=2)
    assert "the tracking store could not be created: " in outputs["too full for a store"]
    assert "disk is full" in outputs["too full for a store"] or "disk I/O error" in outputs["too full for a store"]
    full.unlink()
    mount("-o", "remount,ro", disk)
    outputs["read-only"] = run(*SMALL, f"hydra.run.dir={alone}/outputs", code=2)
    assert "tracking.uri=sqlite:///mlflow.db cannot be written: Read-only file system" in outputs["read-only"]
    for text in outputs.values():
        assert "Traceback" not in text
        assert len(text.splitlines()) == 2
    assert {file.name for file in disk.iterdir()} <= {"outputs"}


def test_folder_of_another_user_is_a_mistake(alone, monkeypatch):
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can become another user, by setpriv")
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with tempfile.TemporaryDirectory() as folder:  # Not pytest's, which others may not enter.
        Path(folder).chmod(0o777)
        Path(folder, "closed").mkdir(mode=0o755)
        probe = subprocess.run([*other, sys.executable, "-c", "import mnist_exp"], cwd=folder, capture_output=True)
        if probe.returncode != 0:
            pytest.skip("another user cannot read this environment")
        monkeypatch.chdir(folder)
        cases = {"tracking.local_dir=closed/kept": "closed/kept", "tracking.uri=sqlite:///closed/m.db": "closed/m.db"}
        cases["hydra.run.dir=closed"] = "change it with hydra.run.dir"
        started = {case: Running("mnist_exp.run", *SMALL, case, wrap=other, HOME=folder) for case in cases}
        for case, words in cases.items():
            output = started[case].end_with(2)
            assert "cannot be written: Permission denied" in output
            assert words in output
            assert len(output.splitlines()) == 2
        monkeypatch.chdir(alone)


@pytest.fixture(scope="module")
def left_full(tmp_path_factory):
    """A run whose disk is full; it waits a minute for free space while other tests run."""
    with small_disk(tmp_path_factory.mktemp("full") / "disk") as folder:
        running = Running("mnist_exp.run", *SMALL, "trainer.epochs=8")
        running.wait_for_epoch(4)
        yield folder, running, fill(folder / "filler")
        running.process.kill()


@pytest.mark.slow
def test_temporarily_full_disk_loses_nothing(left_full, disk):
    running = Running("mnist_exp.run", *SMALL, "trainer.epochs=25")
    running.wait_for_epoch(3)
    filler = fill(disk / "filler")
    running.wait_for_epoch(12)
    filler.unlink()
    output = running.end_with(0)
    assert re.search(r"no checkpoint at epoch \d+, the last one stays: No space left on device", output)
    assert output.count("the tracking store does not take records") == 1
    assert output.count("the tracking store is back") == 1
    assert_whole(only_run().info.run_id, 25)
    assert not Path("unfinished").exists()


@pytest.mark.slow
def test_unwritable_checkpoints_do_not_stop_the_run(disk):
    running = Running("mnist_exp.run", *SMALL, "trainer.epochs=8")
    running.wait_for_epoch(3)
    kept = disk / "unfinished"
    mount("--bind", kept, kept)
    mount("-o", "remount,bind,ro", kept)
    try:
        output = running.end_with(0)
    finally:
        subprocess.run(["umount", "-l", str(kept)], check=True)
    assert "no checkpoint at epoch 9, the last one stays: Read-only file system" in output
    assert "Traceback" not in output
    assert_whole(only_run().info.run_id, 8)


WORKER = """
import contextlib, io, json, os, sys
from mnist_exp.run_command import launch
results = {}
for folder, arguments in json.load(sys.stdin).items():
    os.chdir(folder)
    sys.argv = ["run.py", *arguments, f"tracking.uri=sqlite:///{folder}/mlflow.db"]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = launch()
    from mlflow.tracking._tracking_service import utils
    utils._artifact_repos_cache.clear()  # It keeps the folder of each run id, and these copies share one.
    results[folder] = {"code": code, "out": out.getvalue(), "err": err.getvalue()}
print("RESULTS" + json.dumps(results))
"""
WAYS = {  # What happens to the newest checkpoint, and whether the one before it is used then.
    "nothing": False,
    "half a file of a killed process beside it": False,
    "a bit is flipped": True,
    "the end is cut off": True,
    "it is emptied": True,
    "it has the name of a later one": True,
    "it is renamed": True,
    "both are damaged": True,
}


def damage(way, newest, older):
    content = newest.read_bytes()
    if way == "half a file of a killed process beside it":
        (newest.parent / ".checkpoint.new").write_bytes(content[: len(content) // 2])
    elif way in ("a bit is flipped", "both are damaged"):
        middle = len(content) // 2
        newest.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
        if way == "both are damaged":
            os.truncate(older, 1000)
    elif way in ("the end is cut off", "it is emptied"):
        os.truncate(newest, len(content) - 1 if way == "the end is cut off" else 0)
    elif way == "it has the name of a later one":
        first, epoch, *rest = newest.name.split("-")
        newest.rename(newest.with_name("-".join([first, f"{int(epoch) + 1:06d}", *rest])))
    elif way == "it is renamed":
        newest.rename(newest.with_suffix(".bak"))


QUICK = ("a bit is flipped", "it has the name of a later one", "both are damaged")
OTHERS = [way for way in WAYS if way not in QUICK]


@pytest.fixture(scope="module", params=[QUICK, pytest.param(OTHERS, marks=pytest.mark.slow)], ids=["quick", "others"])
def resumed(request, tmp_path_factory):
    """A killed run, resumed after each kind of damage to its checkpoints; and the same run uninterrupted."""
    around, before = tmp_path_factory.mktemp("damaged"), Path.cwd()
    killed, whole = around / "killed", around / "whole"
    for folder in (killed, whole):
        folder.mkdir()
    os.chdir(killed)
    try:
        run_id = kill_after_epoch(4, *SMALL, "trainer.epochs=6")
    finally:
        os.chdir(before)
    calls, newest = {str(whole): [*SMALL, "trainer.epochs=6"]}, {}
    for way in request.param:
        folder = around / way.replace(" ", "-")
        shutil.copytree(killed, folder)
        location.mend(folder / "mlflow.db")
        kept = sorted(Path(folder, "unfinished", run_id).glob("checkpoint-*"), reverse=True)
        for oldest in kept[2:]:  # The kill came between the writing of the newest and the removal of this one.
            oldest.unlink()
        kept = kept[:2]
        assert len(kept) == 2
        newest[way] = int(kept[0].name.split("-")[1])
        damage(way, *kept)
        calls[str(folder)] = [f"resume={run_id}"]
    done = subprocess.run(
        [sys.executable, "-c", WORKER], input=json.dumps(calls), capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.rpartition("RESULTS")[2])
    return around, run_id, newest, results


def test_damaged_checkpoint_is_reported_and_the_run_stays_equal(resumed):
    around, run_id, newest, results = resumed
    for way in newest:
        check(way, around, run_id, newest, results)


def check(way, around, run_id, newest, results):
    folder = str(around / way.replace(" ", "-"))
    result = results[folder]
    assert result["code"] == 0, result["err"]
    begins = newest[way] + 1 - WAYS[way] if way != "both are damaged" else 1
    assert f"resumes    run {run_id}, from epoch {begins}\n" in result["out"]
    is_reported = WAYS[way] and way != "it is renamed"  # A renamed file is no checkpoint.
    assert result["err"].count("is damaged and not used") == is_reported + (way == "both are damaged")
    assert ("begins with its first epoch again" in result["err"]) == (way == "both are damaged")
    whole = f"sqlite:///{around}/whole/mlflow.db"
    one, other = only_run(whole), assert_whole(run_id, 6, f"sqlite:///{folder}/mlflow.db")
    name = "mnist_exp.weights_sha256"
    assert one.data.tags[name] == other.data.tags[name]
    assert history(one.info.run_id, whole) == history(run_id, f"sqlite:///{folder}/mlflow.db", NOT_TIMES)
    assert not Path(folder, "unfinished").exists()


GREEDY = '''
"""A model that takes the amount of memory that its option says."""
import os, resource, signal
from pathlib import Path

def net(input_shape, classes, *, how: str = "well"):
    import keras
    import psutil

    limit = resource.getrlimit(resource.RLIMIT_AS)
    units = 8
    if how == "limited":
        resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + 2**28, limit[1]))
        units = 300_000
    if how == "killed":
        group = Path(os.environ["SMALL_GROUP"])
        if not group.is_dir():
            os.kill(os.getpid(), signal.SIGKILL)  # As the kernel does.
        (group / "cgroup.procs").write_text(str(os.getpid()))
        taken = bytearray(2**30)
        for place in range(0, len(taken), 4096):
            taken[place] = 1
    layers = [keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(units)]
    try:
        return keras.Sequential([*layers, keras.layers.Dense(classes, activation="softmax")])
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)
'''


@pytest.fixture
def small_group():
    """A control group that kills processes with more than 64 MB; no folder if none can be created."""
    name = f"mnist_exp-{uuid.uuid4().hex}"
    kinds = {"/sys/fs/cgroup/memory": "memory.limit_in_bytes", "/sys/fs/cgroup": "memory.max"}
    for around, limit in kinds.items():
        group = Path(around, name)
        try:
            group.mkdir()
            if (group / limit).exists():
                (group / limit).write_text(str(64 * 2**20))
                yield group
                group.rmdir()
                return
            group.rmdir()
        except OSError:
            with contextlib.suppress(OSError):
                group.rmdir()
    yield Path("/no/such/group")


@pytest.mark.slow
def test_job_without_memory_fails_alone(left_full, alone, small_group):
    Path("greedy.py").write_text(GREEDY)
    Path("own/model").mkdir(parents=True)
    Path("own/model/greedy.yaml").write_text("_target_: greedy.net\ntrusted_modules: [greedy]\nhow: well\n")
    small = ["data=mnist_5k", "data.limit=500", "data.validation=0.2", "trainer.epochs=2"]
    words = ["-m", "--config-dir", "own", "model=greedy", *small, "model.how=limited,killed,well", "seed=1,2"]
    running = Running("mnist_exp.run", *words, "hydra.launcher.n_workers=2", SMALL_GROUP=str(small_group))
    output = running.end_with(1)
    client = client_of()
    found = client.search_runs([client.get_experiment_by_name("mnist_exp").experiment_id])
    children = {run.info.run_name: run for run in found if "mnist_exp.sweep" not in run.data.tags}
    assert len(children) == 6
    for name, child in children.items():
        is_well = "how=well" in name
        assert child.info.status == ("FINISHED" if is_well else "FAILED"), name
        reason = child.data.tags.get("mnist_exp.failure", "")
        if "how=killed" in name:
            assert reason == "its process was ended by SIGKILL (out of memory?)"
        elif not is_well:
            assert re.search("MemoryError|ResourceExhausted|OOM|[Mm]emory", reason), reason
    assert "4 of 6 jobs failed" in output


@pytest.mark.slow
def test_run_on_a_full_disk_can_be_resumed(left_full, monkeypatch):
    folder, running, filler = left_full
    monkeypatch.chdir(folder)
    output = running.end_with(1)
    run_id = next(path.name for path in Path("unfinished").iterdir())
    last = output.strip().splitlines()[-1]
    assert "could not be written to" in last
    assert "No space left on device" in last
    assert last.endswith(f"then go on from the last checkpoint with resume={run_id}")
    assert "Traceback" not in output
    kept, damaged = checkpoints.load(Path("unfinished", run_id))
    assert 3 <= kept.position.epoch < 8
    assert damaged == []
    assert not list(Path("unfinished", run_id).glob(".*"))
    filler.unlink()
    assert run(f"resume={run_id}") == ""
    assert_whole(run_id, 8)
    assert not Path("unfinished").exists()
