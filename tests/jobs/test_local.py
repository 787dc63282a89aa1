"""Worker processes of this machine: how many there are, what they share, and that nothing of them stays."""

import os
import re
import signal
import time
from pathlib import Path

import psutil
import pytest
from omegaconf import OmegaConf
from real_runs import SMALL, Running, recorded, run, wait_for, with_checkpoints

from mnist_exp.jobs.crew import Work
from mnist_exp.jobs.local import LocalWorkers
from mnist_exp.jobs.worker import HydraTask
from mnist_exp.runtime import threads

TINY = [*SMALL, "trainer.epochs=2"]
MANY = pytest.mark.skipif(threads.usable_cpus() < 2, reason="needs two CPUs")


def outcomes():
    """Return the weights of each job, and on how many threads it was trained."""
    client, _, children = recorded()
    found = {}
    for job in children:
        file = client.download_artifacts(job.info.run_id, "environment.yaml")
        counts = OmegaConf.load(file).threads
        found[job.data.tags["mnist_exp.point"]] = job.data.tags["mnist_exp.weights_sha256"], counts.intra_op
    return found


@pytest.mark.slow
@MANY
def test_a_sweep_left_to_itself_has_the_numbers_of_one_thread_however_many_workers_there_are(alone, monkeypatch):
    sweep = Running("mnist_exp.run", "-m", *TINY, "seed=1,2,3")
    sweep.end_with(0)
    assert re.search(r"^run on  [23] workers, 1 thread each", "".join(sweep.out), re.MULTILINE)
    by_many = outcomes()
    assert {count for _, count in by_many.values()} == {1}
    (alone / "one").mkdir()
    monkeypatch.chdir(alone / "one")
    run("-m", *TINY, "seed=1,2,3", "trainer.threads=1", "hydra.launcher.n_workers=1")
    assert {sha256 for sha256, _ in outcomes().values()} == {sha256 for sha256, _ in by_many.values()}


@pytest.mark.slow
@MANY
def test_interrupted_job_goes_on_with_the_threads_that_it_began_with(alone, monkeypatch):
    words = ["-m", *SMALL, "trainer.epochs=30", "seed=1,2"]
    sweep = Running("mnist_exp.run", *words, "hydra.launcher.n_workers=1")
    sweep.wait_until(lambda: len(with_checkpoints()) == 1)
    sweep.process.send_signal(signal.SIGTERM)
    sweep.end_with(143)
    sweep = Running("mnist_exp.run", *words)
    assert "resume" not in sweep.end_with(0)  # No warning that it may differ in the last digits.
    resumed = outcomes()
    (alone / "whole").mkdir()
    monkeypatch.chdir(alone / "whole")
    run(*words, "hydra.launcher.n_workers=1")
    first = '{"seed": "1"}'
    assert resumed[first][0] == outcomes()[first][0]
    assert [resumed[point][1] for point in ('{"seed": "1"}', '{"seed": "2"}')] == [0, 1]  # 0: the backend's own choice


@pytest.mark.slow
@MANY
def test_workers_that_share_their_imports_end_with_the_one_that_launched_them():
    sweep = Running("mnist_exp.run", "-m", *SMALL, "trainer.epochs=3000", "seed=1,2")
    wait_for(lambda: Path("mlflow.db").exists() and len(recorded()[2]) == 2)
    family = psutil.Process(sweep.process.pid).children(recursive=True)
    server = next(process for process in family if "forkserver" in " ".join(process.cmdline()) and process.children())
    workers = server.children()
    assert len(workers) == 2
    for worker in workers:  # Pages that no one has written to since are of both.
        kinds = dict(line.split()[:2] for line in Path(f"/proc/{worker.pid}/smaps_rollup").read_text().splitlines()[1:])
        assert int(kinds["Shared_Dirty:"]) > 100_000
    workers[0].send_signal(signal.SIGKILL)
    sweep.wait_until(lambda: "by SIGKILL" in "".join(sweep.out + sweep.err), 90)
    sweep.process.kill()
    _, alive = psutil.wait_procs(psutil.Process(server.pid).children() + family, timeout=20)
    assert not alive


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_the_process_that_workers_are_forked_from_ends_with_them(alone, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(alone / "sweep")}}})
    workers = LocalWorkers(2, HydraTask(None, None, config))
    workers.work = Work(jobs=2, records=False)
    before = set(psutil.Process().children(recursive=True))
    workers.start()
    wait_for(lambda: len(set(psutil.Process().children(recursive=True)) - before) >= 1, 30)
    workers.stop()
    time.sleep(0.2)
    left = [each for each in set(psutil.Process().children(recursive=True)) - before if each.is_running()]
    assert not [each for each in left if "forkserver" in " ".join(each.cmdline())]
