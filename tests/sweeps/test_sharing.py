"""Two sweeps at once that have jobs in common: real processes, one store."""

import os
import re
import signal
from collections import Counter
from pathlib import Path

import pytest
from real_runs import Running, recorded, wait_for, with_checkpoints

SMALL = ["-m", "data=mnist_5k", "data.limit=600", "data.validation=0.2", "model.dense_units=16"]


def sweep(*arguments):
    return Running("mnist_exp.run", *SMALL, *arguments)


def points():
    """How many runs there are of each point and status."""
    _, _, children = recorded()
    return Counter((run.data.tags["mnist_exp.point"], run.info.status) for run in children)


def once_each(option, *values):
    return {(f'{{"{option}": "{value}"}}', "FINISHED"): 1 for value in values}


def summary(running):
    return re.findall(r"^sweep +(\d.*)$", "".join(running.out), re.MULTILINE)[-1]


@pytest.mark.slow
def test_two_sweeps_at_once_train_no_common_job_twice():
    sweep("model.filters=9", "trainer.epochs=1").end_with(0)  # The store is made.
    first = sweep("model.filters=1,2,3", "trainer.epochs=4")
    second = sweep("model.filters=3,2,1,4", "trainer.epochs=4", "hydra.launcher.n_workers=2")
    first.end_with(0)
    second.end_with(0)
    assert points() == Counter(once_each("model.filters", 1, 2, 3, 4) | {("{}", "FINISHED"): 1})
    assert summary(first).startswith("3 done")
    assert summary(second).startswith("4 done")
    reused = [int(found[1]) for each in (first, second) if (found := re.search(r"; (\d) of them", summary(each)))]
    assert sum(reused) == 3, [summary(first), summary(second)]
    _, parents, _ = recorded()
    assert {run.info.status for run in parents} == {"FINISHED"}
    assert not Path("unfinished").exists()


@pytest.mark.slow
def test_job_that_another_sweep_is_at_comes_last_and_is_gone_on_with_if_that_is_killed():
    first = sweep("model.filters=1,2", "trainer.epochs=200", "hydra.launcher.n_workers=1")
    wait_for(lambda: with_checkpoints())
    (begun,) = with_checkpoints()
    second = sweep("sweep.points=[{model.filters:1,trainer.epochs:200},{model.filters:3,trainer.epochs:1}]")
    waits = re.compile(rf"^waiting for 1 job that other processes are at: filters=1 epochs=200 \(run {begun}", re.M)
    wait_for(lambda: waits.search("".join(second.out)) or second.process.poll() is not None)
    assert second.process.poll() is None, second.text()
    assert points()['{"model.filters": "3", "trainer.epochs": "1"}', "FINISHED"] == 1, "it went on with the rest"
    os.kill(first.process.pid, signal.SIGKILL)
    first.end_with(-signal.SIGKILL)
    second.end_with(0)
    assert summary(second) == "2 done"
    client, _, _ = recorded()
    assert client.get_run(begun).info.status == "FINISHED"
    assert "mnist_exp.resumed" in client.get_run(begun).data.tags


@pytest.mark.slow
def test_result_of_another_sweep_counts_though_it_began_later():
    """Its job was free when the first sweep was planned, and is done when the first comes to it."""
    points_of_it = "sweep.points=[{model.filters:1,trainer.epochs:200},{model.filters:2,trainer.epochs:1}]"
    first = sweep(points_of_it, "hydra.launcher.n_workers=1")
    wait_for(lambda: with_checkpoints())
    sweep("model.filters=2", "trainer.epochs=1").end_with(0)
    assert first.process.poll() is None, "it was too quick"
    first.end_with(0)
    assert summary(first) == "2 done; 1 of them done before"
    assert sum(points().values()) == 2


@pytest.mark.slow
def test_two_searches_at_once_train_no_common_trial_twice():
    words = ["model.filters=1,2", "sweep.sampler=random", "sweep.n_trials=4", "trainer.epochs=4"]
    both = [sweep(*words, f"sweep.study={name}") for name in "ab"]
    for each in both:
        each.end_with(0)
        assert "failed" not in summary(each)
    assert points() == Counter(once_each("model.filters", 1, 2))


@pytest.mark.slow
def test_same_sweep_twice_at_once_is_busy_and_no_mistake():
    first = sweep("model.filters=1,2", "trainer.epochs=100")
    wait_for(lambda: with_checkpoints())
    told = sweep("model.filters=1,2", "trainer.epochs=100").end_with(75)
    assert told.startswith("nothing was run:\n  this sweep runs already (run ")
    first.end_with(0)


@pytest.mark.slow
def test_without_reuse_every_job_is_trained():
    first = sweep("model.filters=1,2", "trainer.epochs=40")
    wait_for(lambda: with_checkpoints())
    second = sweep("model.filters=1,2", "trainer.epochs=40", "sweep.reuse=false")
    first.end_with(0)
    second.end_with(0)
    assert points() == Counter(dict.fromkeys(once_each("model.filters", 1, 2), 2))
