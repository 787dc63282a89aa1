"""Measure a whole process with the processes that it starts: wall time, CPU time and memory."""

import contextlib
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TypeVar

import psutil

SAMPLED_EVERY_S = 0.2
_SHARED_EVERY = 5  # samples: Linux walks through all pages of a process for it, tens of ms for a large one
Result = TypeVar("Result")


@dataclass(frozen=True)
class Sample:
    """Resident memory at one moment, in MB; memory that processes share is counted for each of them. And CPU time.

    Args:
        at: s since the epoch.
        launching: of the process that was started.
        largest_child: of the largest of those that it started.
        together: of all.
        cpu_s: seconds of CPU that all have used so far.
        pss: of all, with what several of them share counted once (PSS); 0 where it was not looked at.
    """

    at: float
    launching: float
    largest_child: float
    together: float
    cpu_s: float
    pss: float = 0.0


@dataclass(frozen=True)
class Measured:
    """One process from its start to its end.

    Args:
        began: s since the epoch.
        wall_s: until it had ended.
        cpu_s: of it and of the processes that it started.
        largest_mb: most memory that any one of them had.
        samples: of memory, in their order.
        output: standard output and error together.
    """

    began: float
    wall_s: float
    cpu_s: float
    largest_mb: float
    samples: tuple[Sample, ...]
    output: str

    @property
    def launching_mb(self) -> float:
        return max((sample.launching for sample in self.samples), default=0.0)

    @property
    def together_mb(self) -> float:
        return max((sample.together for sample in self.samples), default=0.0)

    @property
    def pss_mb(self) -> float:
        """Most memory of all together, what several of them share counted once; 0 where the system does not tell."""
        return max((sample.pss for sample in self.samples), default=0.0)


class FailedError(Exception):
    """A program did not end as expected; the message has its name and the end of its output."""


def measure(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    *,
    exit_code: int = 0,
    on_sample: Callable[[Sample], None] | None = None,
) -> Measured:
    """Run a command and return its times and memory.

    Args:
        words: program and arguments.
        folder: it runs in.
        environment: all of it.
        exit_code: that it should end with.
        on_sample: called with each sample of memory, in a thread.
    Raises: FailedError: it ended with another one.
    """
    with tempfile.TemporaryFile() as output:
        at, began = time.time(), time.perf_counter()
        process = subprocess.Popen(
            words, cwd=folder, env=dict(environment), stdout=output, stderr=output, start_new_session=True
        )
        sampler = _Sampler(process.pid, on_sample)
        try:
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        finally:
            sampler.stop()
        output.seek(0)
        written = output.read().decode(errors="replace")
    if process.returncode != exit_code:
        raise FailedError(f"{' '.join(words)} ended with {process.returncode}:\n{written[-2000:]}")
    # The system counts only those processes that were waited for, as Ray's are not; the samples miss the last moments.
    cpu = max(usage.ru_utime + usage.ru_stime, sampler.cpu_s)
    largest = usage.ru_maxrss * (1024 if sys.platform != "darwin" else 1) / 1e6
    largest = max(largest, *(max(one.launching, one.largest_child) for one in sampler.samples), 0.0)
    return Measured(at, wall, cpu, largest, tuple(sampler.samples), written)


class _Sampler:
    """Samples a process and its children until `stop` is called."""

    def __init__(self, pid: int, on_sample: Callable[[Sample], None] | None) -> None:
        self.samples: list[Sample] = []
        self._on_sample = on_sample
        self._cpu: dict[int, float] = {}
        self._top = psutil.Process(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def cpu_s(self) -> float:
        return sum(self._cpu.values())

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(SAMPLED_EVERY_S):
            try:
                children = self._top.children(recursive=True)
                top = self._size(self._top)
            except psutil.Error:
                return
            sizes = []
            for child in children:
                with contextlib.suppress(psutil.Error):
                    sizes.append(self._size(child))
            is_due = len(self.samples) % _SHARED_EVERY == 0
            pss = sum(map(proportional_mb, [self._top.pid, *(child.pid for child in children)])) if is_due else 0.0
            self.samples.append(Sample(time.time(), top, max(sizes, default=0.0), top + sum(sizes), self.cpu_s, pss))
            if self._on_sample is not None:
                self._on_sample(self.samples[-1])

    def _size(self, process: psutil.Process) -> float:
        with process.oneshot():
            used = process.cpu_times()
            self._cpu[process.pid] = used.user + used.system
            return float(process.memory_info().rss) / 1e6


def proportional_mb(pid: int) -> float:
    """Return the memory of a process, with pages that several share divided among them; 0 where it cannot be known."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def in_rounds(
    actions: Mapping[str, Callable[[], Result]], rounds: int, on_result: Callable[[int, str, Result], None]
) -> dict[str, list[Result]]:
    """Run each action once in each round, so that other work on the machine disturbs all actions alike.

    Args:
        actions: by name.
        rounds: how many.
        on_result: called with round, name and result.
    """
    results: dict[str, list[Result]] = {name: [] for name in actions}
    for number in range(1, rounds + 1):
        for name, action in actions.items():
            results[name].append(action())
            on_result(number, name, results[name][-1])
    return results


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return ours / theirs, pair by pair of the same round."""
    return [our / their for our, their in zip(ours, theirs, strict=True)]


def median_and_range(values: Sequence[float], digits: int = 1) -> str:
    """Return `8.1 (7.9–8.4)`, or one number where there is one value."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def machine() -> str:
    """Describe the machine of the figures: processor, memory, system, and how busy it was before."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, IndexError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    memory = psutil.virtual_memory().total / 1e9
    load = psutil.getloadavg()[0]
    return f"{os.cpu_count()} × {name}, {memory:.0f} GB, {platform.system()}; load at the start {load:.1f}"


def versions(*packages: str) -> str:
    """Return Python's version and those of the packages that are installed."""
    found = [f"Python {platform.python_version()}"]
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{package} {metadata.version(package)}")
    return ", ".join(found)
