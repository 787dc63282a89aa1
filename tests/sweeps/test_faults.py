"""Sweeps that are killed or interrupted, and many workers at once: real processes, signals and store."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from real_runs import recorded, wait_for

SMALL = ["data=mnist_5k", "data.limit=500", "data.validation=0.2", "model.dense_units=8"]
GRID = [*SMALL, "trainer.epochs=2", "model.filters=1,2,3,4", "model.dropout=0.1,0.3,0.5"]


def start(*arguments, wrap=()):
    """Start a sweep as the leader of a process group, as a shell does, so that Ctrl-C reaches it."""
    return subprocess.Popen(
        [*wrap, sys.executable, "-m", "mnist_exp.run", "-m", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def finish(*arguments, code=0):
    started = start(*arguments)
    output, _ = started.communicate(timeout=400)
    assert started.returncode == code, output
    return output


def reached(epoch):
    """Return how many unfinished runs have a checkpoint of this epoch or a later one."""
    files = Path("unfinished").glob("*/checkpoint-*")
    return len({file.parent for file in files if int(file.name.split("-")[1]) >= epoch})


def outcomes(client, children):
    """Return what must be equal, by the options of each job: metrics of each step, and digest of the weights."""
    found = {}
    for run in children:
        points = {
            name: client.get_metric_history(run.info.run_id, name) for name in ("loss", "val_loss", "val_accuracy")
        }
        facts = {name: [(point.step, point.value) for point in each] for name, each in points.items()}
        facts |= {name: run.data.metrics[name] for name in ("test_loss", "test_accuracy", "objective")}
        found[run.data.tags["mnist_exp.point"]] = facts | {"weights": run.data.tags["mnist_exp.weights_sha256"]}
    return found


@pytest.mark.slow
def test_sweep_killed_three_times_equals_an_uninterrupted_one(alone, monkeypatch):
    rng = random.Random(3)
    for _ in range(3):
        running = start(*GRID, "hydra.launcher.n_workers=2")
        time.sleep(rng.uniform(4, 14))
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
    finish(*GRID, "hydra.launcher.n_workers=2")
    client, parents, children = recorded()
    assert [run.info.status for run in parents] == ["FINISHED"]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parents[0].info.run_id}
    finished = [run for run in children if run.info.status == "FINISHED"]
    assert len({run.data.tags["mnist_exp.job_key"] for run in finished}) == len(finished) == 12
    # One that was killed before it had a folder to go on from stays as history.
    assert {run.info.status for run in children} <= {"FINISHED", "KILLED"}
    resumed = outcomes(client, finished)
    (alone / "whole").mkdir()
    monkeypatch.chdir(alone / "whole")
    finish(*GRID, "hydra.launcher.n_workers=2")
    client, _, children = recorded()
    assert outcomes(client, children) == resumed


@pytest.mark.slow
def test_interrupted_jobs_resume_where_they_stopped():
    sweep = [*SMALL, "trainer.epochs=200", "model.filters=1,2", "hydra.launcher.n_workers=2"]
    running = start(*sweep)
    wait_for(lambda: reached(3) == 2)
    running.terminate()
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 143, output
    _, _, before = recorded()
    assert [run.info.status for run in before] == ["KILLED"] * 2
    assert "2 of them begun" in finish(*sweep)
    client, parents, children = recorded()
    assert [run.info.status for run in (*parents, *children)] == ["FINISHED"] * 3
    assert {run.info.run_id for run in children} == {run.info.run_id for run in before}
    for run in children:
        assert run.data.tags["mnist_exp.resumed"] == "1"
        assert [p.step for p in client.get_metric_history(run.info.run_id, "val_accuracy")] == list(range(1, 201))
    assert not Path("unfinished").exists()


@pytest.mark.slow
def test_interrupted_trial_resumes_and_the_pruner_keeps_its_epochs():
    search = [*SMALL, "trainer.epochs=60", "model.dropout=interval(0.1,0.5)", "sweep.n_trials=3", "sweep.pruner=asha"]
    search.append("hydra.launcher.n_workers=1")  # One trial is interrupted.
    running = start(*search)
    wait_for(lambda: reached(5))
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    finish(*search)
    client, parents, children = recorded()
    assert [run.info.status for run in (*parents, *children)] == ["FINISHED"] * 4
    (resumed,) = [run for run in children if "mnist_exp.resumed" in run.data.tags]
    assert [p.step for p in client.get_metric_history(resumed.info.run_id, "loss")] == list(range(1, 61))
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    (file,) = Path("studies").glob("*.journal")
    (study,) = optuna.get_all_study_summaries(JournalStorage(JournalFileBackend(str(file))))
    opened = optuna.load_study(study_name=study.study_name, storage=JournalStorage(JournalFileBackend(str(file))))
    (trial,) = [t for t in opened.trials if t.user_attrs.get("mnist_exp.run_id") == resumed.info.run_id and t.value]
    assert sorted(trial.intermediate_values) == list(range(1, 61))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_sweep_records_its_jobs_and_prints_a_summary(number, code):
    running = start(*SMALL, "trainer.epochs=500", "model.filters=1,2,3", "hydra.launcher.n_workers=2")
    wait_for(lambda: Path("mlflow.db").exists() and len(recorded()[2]) == 2)
    os.killpg(running.pid, number) if number == signal.SIGINT else running.send_signal(number)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == code, output
    assert "2 killed, 1 left" in output
    assert "run the same command again" in output
    assert "Traceback" not in output
    _, parents, children = recorded()
    assert [run.info.status for run in (*parents, *children)] == ["KILLED"] * 3
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(Path.cwd()) in " ".join(p.info["cmdline"] or [])]


@pytest.mark.slow
def test_workers_end_when_the_launching_process_is_killed():
    running = start(*SMALL, "trainer.epochs=500", "model.filters=1,2")
    wait_for(lambda: Path("mlflow.db").exists() and recorded()[2])
    workers = psutil.Process(running.pid).children(recursive=True)
    running.kill()
    running.communicate()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
    wait_for(lambda: recorded()[2][0].info.status == "KILLED", 10)


@pytest.mark.slow
def test_eight_workers_share_one_sqlite_store():
    values = ",".join(map(str, range(1, 17)))
    sweep = [*SMALL, "trainer.epochs=3", f"seed={values}", "model.filters=1", "hydra.launcher.n_workers=8"]
    finish(*sweep)
    client, parents, children = recorded()
    assert [run.info.status for run in parents] == ["FINISHED"]
    assert [run.info.status for run in children] == ["FINISHED"] * 16
    for run in children:
        for metric in ("loss", "val_accuracy", "epoch_time_s"):
            assert [p.step for p in client.get_metric_history(run.info.run_id, metric)] == [1, 2, 3]
        assert "test_accuracy" in run.data.metrics


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="another host name needs root")
@pytest.mark.parametrize(
    "words", [["model.filters=1,2"], ["model.dropout=interval(0.1,0.5)", "sweep.pruner=none", "sweep.n_trials=2"]]
)
def test_job_of_a_lost_machine_is_found_by_its_silent_heartbeat(words):
    sweep = [*SMALL, "trainer.epochs=60", "hydra.launcher.n_workers=1", *words]
    running = start(*sweep, wrap=["unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh"])
    wait_for(lambda: reached(3))
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    files = [*Path("unfinished").glob("*/owner"), *Path("unfinished").glob("sweeps/*")]
    assert len(files) == 2 and all(file.read_text().startswith("elsewhere/") for file in files)
    if "sweep.n_trials=2" not in words:  # A search would be joined.
        refused = start(*sweep)
        output, _ = refused.communicate(timeout=90)
        assert refused.returncode == 75 and "this sweep runs already" in output
    for file in files:
        os.utime(file, (time.time() - 600,) * 2)
    assert "2 done" in finish(*sweep)
    _, parents, children = recorded()
    assert [run.info.status for run in (*parents, *children)] == ["FINISHED"] * 3
    assert sum("mnist_exp.resumed" in run.data.tags for run in children) == 1
    assert not Path("unfinished").exists()
