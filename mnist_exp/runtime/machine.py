"""What this process may use of its machine: CPUs, GPUs and memory, as affinity and the limits of containers leave them.

Docker, Kubernetes and Slurm limit a process by control groups, which neither `os.cpu_count` nor psutil look at.
Source: the kernel's Documentation/admin-guide/cgroup-v2.rst (cpu.max, memory.max) and cgroup-v1/memory.rst.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from mnist_exp.runtime import threads

_ROOT = Path("/")
_NO_LIMIT = 1 << 60  # Version 1 writes the largest number of pages instead of a word.


def cpus(root: Path = _ROOT) -> int:
    """Return how many CPUs this process may keep busy; a part of one counts as a whole one.

    Args:
        root: of the file system.
    """
    quotas = [quota for folder in _groups("cpu", root) if (quota := _quota(folder)) is not None]
    return max(min([threads.usable_cpus(), *map(math.ceil, quotas)]), 1)


def free_memory(root: Path = _ROOT) -> int:
    """Return how many bytes this process may still take, what the kernel would give back for it included.

    Args:
        root: of the file system.
    """
    left = [room for folder in _groups("memory", root) if (room := _room(folder)) is not None]
    return max(min([psutil.virtual_memory().available, *left]), 0)


def load() -> float | None:
    """Return how many threads are ready to run for each CPU, in the last minute; None where that is not known."""
    return os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else None


def gpus() -> list[str]:
    """Return the GPUs that this process may use, without starting a GPU library."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name]
    devices = sorted(Path("/dev").glob("nvidia[0-9]*"))
    return [device.name.removeprefix("nvidia") for device in devices]


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of the control groups that this process is in, the innermost first."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0" or controller in controllers.split(","):
            mounted = root / "sys/fs/cgroup" / ("" if number == "0" else controller)
            # In a container the path may be that of the host: then none of it but the mount itself is there.
            inner = mounted / path.strip("/")
            yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(mounted))


def _quota(folder: Path) -> float | None:
    words = _words(folder / "cpu.max") or [*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us")]
    if len(words) != 2 or words[0] in ("max", "-1"):
        return None
    return int(words[0]) / int(words[1])


def _room(folder: Path) -> int | None:
    limit = _words(folder / "memory.max") or _words(folder / "memory.limit_in_bytes")
    used = _words(folder / "memory.current") or _words(folder / "memory.usage_in_bytes")
    if not limit or not used or limit[0] == "max" or int(limit[0]) >= _NO_LIMIT:
        return None
    words = _words(folder / "memory.stat")
    known = dict(zip(words[::2], words[1::2], strict=False))
    return int(limit[0]) - int(used[0]) + int(known.get("total_inactive_file", known.get("inactive_file", 0)))


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split()
    except OSError:
        return []
