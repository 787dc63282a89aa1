"""What a process may use of its machine, inside the limits of containers, as the kernel documents their files."""

import os

import psutil
import pytest

from mnist_exp.runtime import machine

CPUS = len(os.sched_getaffinity(0))
INSIDE = "0::/\n"
SLURM = "0::/system.slice/slurmstepd.scope/job_7/step_0\n"
VERSION_1 = "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n1:name=systemd:/docker/abc\n"
MB = 1 << 20


@pytest.fixture
def root(tmp_path):
    """Return a function that writes a file system of control groups, and returns its root."""

    def written(groups, files):
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(groups)
        for name, text in files.items():
            file = tmp_path / "sys/fs/cgroup" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")
        return tmp_path

    return written


@pytest.mark.parametrize(
    ("groups", "files", "cpus"),
    [
        (INSIDE, {"cpu.max": "100000 100000"}, 1),
        (INSIDE, {"cpu.max": "50000 100000"}, 1),
        (INSIDE, {"cpu.max": "max 100000"}, CPUS),
        (INSIDE, {"cpu.max": "99900000 100000"}, CPUS),
        (SLURM, {"system.slice/slurmstepd.scope/job_7/cpu.max": "100000 100000"}, 1),
        (VERSION_1, {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        (VERSION_1, {"cpu/docker/abc/cpu.cfs_quota_us": "-1", "cpu/docker/abc/cpu.cfs_period_us": "100000"}, CPUS),
        (INSIDE, {}, CPUS),
    ],
)
def test_quota_of_cpus_counts_and_a_part_of_one_is_one(root, groups, files, cpus):
    assert machine.cpus(root(groups, files)) == cpus


def test_the_least_memory_of_all_groups_is_what_is_free(root):
    job = "system.slice/slurmstepd.scope/job_7"
    files = {
        f"{job}/step_0/memory.max": "max",
        f"{job}/step_0/memory.current": 5 * MB,
        f"{job}/memory.max": 100 * MB,
        f"{job}/memory.current": 60 * MB,
        f"{job}/memory.stat": f"anon {20 * MB}\nfile {40 * MB}\ninactive_file {30 * MB}",
        "memory.max": 1 << 40,
        "memory.current": 5 * MB,
    }
    assert machine.free_memory(root(SLURM, files)) == (100 - 60 + 30) * MB


def test_memory_of_version_1_counts_the_pages_of_all_inner_groups(root):
    stat = f"inactive_file 0\ntotal_inactive_file {8 * MB}"
    names = {"memory.limit_in_bytes": 64 * MB, "memory.usage_in_bytes": 32 * MB, "memory.stat": stat}
    assert machine.free_memory(root(VERSION_1, {f"memory/docker/abc/{n}": v for n, v in names.items()})) == 40 * MB


def test_without_limits_it_is_what_the_machine_has(root):
    unlimited = {"memory/memory.limit_in_bytes": 9223372036854771712, "memory/memory.usage_in_bytes": 5}
    free = machine.free_memory(root(VERSION_1, unlimited))
    assert free == pytest.approx(psutil.virtual_memory().available, rel=0.2)


def test_a_system_without_control_groups_has_its_cpus_and_memory(tmp_path):
    assert machine.cpus(tmp_path) == CPUS
    assert machine.free_memory(tmp_path) > 0
