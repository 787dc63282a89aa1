"""How many workers a sweep gets, and how many threads each."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp.jobs import crew
from mnist_exp.jobs.crew import Work
from mnist_exp.runtime import machine

GB = 1_000_000_000


@pytest.fixture
def of(monkeypatch):
    """Return a function that chooses the workers of a machine, which it describes."""

    def chosen(asked="auto", cpus=16, free=64 * GB, gpus=(), variables=(), **work):
        monkeypatch.setattr(machine, "cpus", lambda: cpus)
        monkeypatch.setattr(machine, "free_memory", lambda: free)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(gpus))
        for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in dict(variables).items():
            monkeypatch.setenv(name, value)
        return crew.chosen(asked, dataclasses.replace(Work(jobs=100), **work))

    return chosen


@pytest.mark.parametrize(
    ("facts", "count", "threads", "words"),
    [
        ({}, 16, 1, "16 workers, 1 thread each"),
        ({"cpus": 1}, 1, 1, "1 worker, 1 thread"),
        ({"jobs": 2}, 2, 1, "2 workers, 1 thread each: there are no more jobs"),
        ({"free": 4 * GB}, 3, 1, "3 workers, 1 thread each: no more fit into 4.0 GB of free memory"),
        ({"free": GB // 2}, 1, 1, "1 worker, 1 thread: no more fit into 0.5 GB of free memory"),
        ({"free": 8 * GB, "data_bytes": GB}, 2, 1, "2 workers, 1 thread each: no more fit into 8.0 GB of free memory"),
        ({"threads": 4}, 4, 4, "4 workers, 4 threads each"),
        ({"variables": {"TF_NUM_INTRAOP_THREADS": "8"}}, 2, 8, "2 workers, 8 threads each"),
        ({"gpus": ["0", "1", "2"]}, 3, 5, "3 workers, 1 GPU each"),
        ({"gpus": ["0", "1", "2", "3"], "devices": 2}, 2, 8, "2 workers, 2 GPUs each"),
        ({"gpus": ["0", "1"], "devices": "all"}, 1, 16, "1 worker, 2 GPUs"),
        ({"backend": "jax"}, 1, None, "1 worker, for JAX takes all CPUs"),
        (
            {"backend": "jax", "is_together": True},
            1,
            None,
            "1 worker, for sweep.together trains several jobs in one process",
        ),
        ({"asked": 1}, 1, None, "1 worker, all CPU threads"),
        ({"asked": 1, "threads": 3}, 1, None, "1 worker, 3 threads"),
        ({"asked": 3}, 3, 5, "3 workers, 5 threads each"),
        ({"asked": 40}, 40, 1, "40 workers, 1 thread each"),
    ],
)
def test_workers_are_as_many_as_cpus_memory_jobs_and_gpus_allow(of, facts, count, threads, words):
    found = of(**facts)
    assert (found.count, found.threads, found.words) == (count, threads, words)


def test_idle_cpus_are_told_where_more_threads_could_use_them(of):
    assert of().idle is None
    assert of(jobs=2).idle == crew.Idle(14, "hydra.launcher.n_workers=2")
    assert of(cpus=16, jobs=10).idle is None  # Six threads more cannot be shared by ten.
    assert of(jobs=2, threads=2).idle is None  # The user's choice.


@given(st.integers(1, 256), st.integers(1, 10_000), st.integers(0, 512 * GB), st.none() | st.integers(1, 64))
def test_auto_never_takes_more_than_there_is_and_always_one(cpus, jobs, free, threads):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(machine, "cpus", lambda: cpus)
        patched.setattr(machine, "free_memory", lambda: free)
        patched.setenv("CUDA_VISIBLE_DEVICES", "")
        patched.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
        found = crew.chosen("auto", Work(jobs=jobs, threads=threads))
    assert 1 <= found.count <= min(jobs, max(cpus // (threads or 1), 1))
    assert found.threads == (threads or 1)
    assert found.count == 1 or found.count * GB <= free
