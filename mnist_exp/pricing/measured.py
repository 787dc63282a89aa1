"""What a few steps tell, that are done now, in processes apart: as many at a time as the sweep has workers."""

import dataclasses
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnist_exp.pricing.likeness import Job
from mnist_exp.pricing.measure import Order, sizes_of
from mnist_exp.pricing.rates import Seen, Size
from mnist_exp.runtime import backends, threads
from mnist_exp.runtime.redaction import redact

_MOST_AT_A_TIME = 4  # processes: enough to see that workers slow each other down
_TIMEOUT_S = 600.0
_MODULE = "mnist_exp.pricing.measure"


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Args:
        sizes: of the models, by `Job.model_key`.
        seen: what a training of the smallest and of the largest took; empty where nothing was timed.
        start_s: seconds until a process could build its first model.
        problem: why nothing was measured; empty if all went well.
    """

    sizes: Mapping[str, Size]
    seen: Sequence[Seen] = ()
    start_s: float = 0.0
    problem: str = ""


def measure(jobs: Sequence[Job], workers: int, thread_count: int | None, *, builds_only: bool = False) -> Measured:
    """Build a model of each kind among jobs, and time a few steps of the smallest and the largest.

    Args:
        jobs: to be run.
        workers: of the sweep.
        thread_count: of each worker; None leaves it to the backend.
        builds_only: whether nothing is to be timed.
    """
    models = {job.model_key: job for job in jobs}
    count = 1 if builds_only else max(min(workers, _MOST_AT_A_TIME), 1)
    with tempfile.TemporaryDirectory(prefix="mnist_exp-") as folder:
        answers = [Path(folder) / f"{number}.json" for number in range(count)]
        settings = tuple(_plain(job) for job in models.values())
        started = [_start(Order(settings, time.time(), answer, builds_only), thread_count) for answer in answers]
        try:
            problem = next((told for told in [_ended(process) for process in started] if told), "")
        finally:
            for process in started:
                process.kill()
                process.wait()
        if problem:
            return Measured({}, problem=problem)
        found = [json.loads(answer.read_text(encoding="utf-8")) for answer in answers]
    sizes = {key: size for key, size in zip(models, sizes_of(found[0]), strict=True) if size is not None}
    seen = [Seen(**each) for content in found for each in content["seen"]]
    return Measured(sizes, seen, statistics.median(content["start_s"] for content in found))


def _plain(job: Job) -> Any:
    """Return its settings without what is recorded of it: nothing of that goes to another process."""
    tracking = dataclasses.replace(job.settings.tracking, notify=None, store="none")
    return dataclasses.replace(job.settings, tracking=tracking)


def _start(order: Order, thread_count: int | None) -> "subprocess.Popen[bytes]":
    variables = dict(os.environ) | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    backend = order.settings[0].trainer.backend or backends.default()
    if thread_count is not None:
        for name in threads.VARIABLES.get(backend, {}).values():
            variables.setdefault(name, str(thread_count))
    process = subprocess.Popen(
        [sys.executable, "-m", _MODULE], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env=variables,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(pickle.dumps(order))
    process.stdin.close()
    process.stdin = None
    return process


def _ended(process: "subprocess.Popen[bytes]") -> str:
    """Wait for a process, and return why it failed; empty if it did not."""
    try:
        _, said = process.communicate(timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"a few steps took longer than {_TIMEOUT_S:.0f} s"
    if not process.returncode:
        return ""
    lines = said.decode(errors="replace").strip().splitlines()
    return redact(lines[-1]) if lines else f"the process ended with exit code {process.returncode}"
