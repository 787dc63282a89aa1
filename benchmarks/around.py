"""Where the time of a job goes beside its training: jobs of next to nothing, in one warm worker.

    python benchmarks/around.py                 # 40 jobs
    python benchmarks/around.py --cpu           # CPU time of all threads, which a busy machine disturbs less
    python benchmarks/around.py --jobs 20 model=cnn data.limit=2000

The framework's time is what lies between the starts of two jobs, less the training (`fit`) and the prediction of the
test images (`evaluate`). The parts are timed in the thread of the job, each without the parts inside it, over all jobs
but the first ones, which have TensorFlow's own beginnings in them. What a job waits for is in them; what goes on
beside it, such as pictures that are drawn while the next job trains, is in `process, CPU` alone.
"""

import argparse
import dataclasses
import functools
import importlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FIRST = 5  # jobs that are not counted
JOBS = ["model=mlp", "model.hidden_units=[1]", "trainer.epochs=1", "data.limit=200", "data.validation=test"]
FIT, EVALUATE = "fit", "evaluate"
# What is timed: the parts of a job, and the functions that they are done by.
PARTS = {
    "Hydra: configuration of the job": ["mnist_exp.composition.job_configs:JobConfigs.compose"],
    "Hydra: folders, files and log of the job": ["mnist_exp.jobs.worker:run_job"],
    "settings checked": ["mnist_exp.jobs.attempt:check", "mnist_exp.jobs.attempt:Attempt._check_planned"],
    "job key": ["mnist_exp.jobs.attempt:job_key", "mnist_exp.experiment.record:job_key"],
    "who else has the job: the store asked": ["mnist_exp.jobs.sharing:check"],
    "data and its split": ["mnist_exp.experiment.runner:load_data", "mnist_exp.jobs.attempt:_dataset"],
    "store and folder checked": ["mnist_exp.tracking.store:check", "mnist_exp.tracking.run_folder:check"],
    "process prepared: names, seeds": ["mnist_exp.training.setup:set_up"],
    "model built": ["mnist_exp.training.prepare:prepare"],
    "model can be read back": ["mnist_exp.training.readable:check"],
    "record begun: what is known": ["mnist_exp.experiment.record:begin"],
    "record begun: commit": ["mnist_exp.experiment.provenance:commit"],
    "record begun: run created": ["mnist_exp.tracking.tracker:MlflowTracker.start"],
    "record begun: environment, files": ["mnist_exp.experiment.provenance:environment"],
    "record begun: data set": ["mnist_exp.tracking.tracker:MlflowTracker.log_data"],
    FIT: ["mnist_exp.experiment.runner:Run.fit"],
    EVALUATE: ["mnist_exp.training.testing:test"],
    "weights identified, operations counted": [
        "mnist_exp.training.predict:weights_sha256",
        "mnist_exp.training.flops:forward",
    ],
    "metrics and tags written": [
        "mnist_exp.tracking.tracker:MlflowTracker.log_metrics",
        "mnist_exp.tracking.tracker:MlflowTracker.log_tags",
    ],
    "files written": ["mnist_exp.tracking.tracker:MlflowTracker.log_files"],
    "model written": ["mnist_exp.tracking.tracker:MlflowTracker.log_model"],
    "predictions and pictures": ["mnist_exp.experiment.record:results"],
    "confidence measured": ["mnist_exp.training.trust:measure"],
    "run closed": ["mnist_exp.tracking.tracker:MlflowTracker.end"],
    "told to the sweep": ["mnist_exp.jobs.events:Writer.write", "mnist_exp.jobs.events:note_begun"],
    "memory given back": ["mnist_exp.training.setup:forget"],
    "the rest of a job": ["mnist_exp.jobs.worker:run"],
}


class Clock:
    """The seconds of each part of the jobs of this process, each without the parts inside it."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._spent: dict[str, float] = {}
        self._open: list[float] = []  # seconds that inner parts took, for each part that is open

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what a `with` block takes."""
        began = self._now()
        self._open.append(0.0)
        try:
            yield
        finally:
            took = self._now() - began
            self._spent[name] = self._spent.get(name, 0.0) + took - self._open.pop()
            if self._open:
                self._open[-1] += took

    def taken(self) -> dict[str, float]:
        """Return what each part took since the last call."""
        spent, self._spent = self._spent, {}
        return spent


class Instrumented:
    """The function that runs a job; when it is first called, the parts of the next jobs of that process are timed.

    Args:
        function: of the sweep.
        notes: file for a line of JSON for each job.
        is_cpu: whether CPU time is measured, not time.
    """

    is_done = False  # in this process

    def __init__(self, function: Callable[..., Any], notes: Path, *, is_cpu: bool) -> None:
        self._function, self._notes, self._is_cpu = function, notes, is_cpu

    def __call__(self, *values: Any) -> Any:
        if not type(self).is_done:
            type(self).is_done = True
            instrument(self._notes, is_cpu=self._is_cpu)
        return self._function(*values)


def instrument(notes: Path, *, is_cpu: bool) -> None:
    """Time the parts of each job of this process, and note them as a line of JSON in a file."""
    import threading

    now = time.process_time if is_cpu else time.perf_counter
    clock, thread = Clock(now), threading.main_thread()

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*values: Any, **named: Any) -> Any:
            if threading.current_thread() is not thread:
                return function(*values, **named)
            with clock.part(name):
                return function(*values, **named)

        return call

    for part, functions in PARTS.items():
        for place in functions:
            module, _, path = place.partition(":")
            *owners, name = path.split(".")
            owner = functools.reduce(getattr, owners, importlib.import_module(module))
            setattr(owner, name, timed(part, getattr(owner, name)))
    from mnist_exp.jobs import worker

    whole = worker.run

    def run(*values: Any) -> Any:
        began, cpu = now(), time.process_time()
        try:
            return whole(*values)
        finally:
            line = {"began": began, "cpu": time.process_time() - cpu, "ended": now(), "parts": clock.taken()}
            with notes.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    worker.run = run


def main() -> int:
    """Run the sweep in this process, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--cpu", action="store_true", help="CPU time instead of time")
    parser.add_argument("--json", action="store_true", help="print the table as one line of JSON")
    options, overrides = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="around-") as folder:
        notes = Path(folder) / "notes.jsonl"
        os.chdir(folder)
        with instrumented(notes, is_cpu=options.cpu):
            _sweep([f"seed=range(1,{options.jobs + 1})", "hydra.launcher.n_workers=1", *JOBS, *overrides])
        jobs = [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]
    if len(jobs) != options.jobs - 1:  # The first one instruments its process.
        raise SystemExit(f"{len(jobs)} of {options.jobs - 1} jobs ran: see above")
    table = _table(jobs)
    print(json.dumps(table) if options.json else _shown(table))
    return 0


@contextmanager
def instrumented(notes: Path, *, is_cpu: bool) -> Iterator[None]:
    """Let workers that are started in a `with` block time their jobs: the function of the sweep travels to them."""
    from mnist_exp.jobs.worker import HydraTask

    packed = HydraTask.packed
    HydraTask.packed = lambda task: packed(
        dataclasses.replace(task, function=Instrumented(task.function, notes, is_cpu=is_cpu))
    )
    try:
        yield
    finally:
        HydraTask.packed = packed


def _sweep(overrides: Sequence[str]) -> None:
    from mnist_exp import run_command

    sys.argv = ["run", "-m", *overrides]
    try:
        run_command.main()
    except SystemExit as ended:
        if ended.code:
            raise


def _table(jobs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the median seconds of each part, and of a job as a whole."""
    starts = [job["began"] for job in jobs]
    between = [later - earlier for earlier, later in zip(starts[FIRST:], starts[FIRST + 1 :], strict=False)]
    counted = jobs[FIRST:-1]
    parts = {name: [job["parts"].get(name, 0.0) for job in counted] for name in PARTS}
    taken_up = [gap - (job["ended"] - job["began"]) for gap, job in zip(between, counted, strict=True)]
    framework = [
        gap - job["parts"].get(FIT, 0.0) - job["parts"].get(EVALUATE, 0.0)
        for gap, job in zip(between, counted, strict=True)
    ]
    return {
        "from job to job": statistics.median(between),
        "framework: all but fit and evaluate": statistics.median(framework),
        **{name: statistics.median(values) for name, values in parts.items()},
        "the next job taken up": statistics.median(taken_up),
        "process, CPU": statistics.median(job["cpu"] for job in counted),
    }


def _shown(table: dict[str, float]) -> str:
    return "\n".join(f"{name:<46} {seconds * 1000:7.1f} ms" for name, seconds in table.items())


if __name__ == "__main__":
    sys.exit(main())
