"""How the cost of a sweep grows with its number of jobs: 10, 100, 1,000 or 10,000 jobs that train nothing.

    python benchmarks/cost_growth.py 10 100 1000 --workers 2
    nohup nice python benchmarks/cost_growth.py 10000 --folder growth > growth.txt &    # an hour or two

For each number it measures the sweep, the same command once more (all jobs are done), and the report. The launching
process and its workers are measured separately. The size of the store is that of the SQLite file and the artifacts.

With `--folder` all stays there: `N/jobs.csv` has the start and the seconds of each job, `N/samples.csv` time, memory of
the launching process and of its largest worker in MB, and seconds of CPU of all, every five seconds. If it is
interrupted, the same command goes on: jobs that are done are not run again, and the time between two calls counts for
no job. CPU seconds say more than seconds where other work runs.
"""

import argparse
import contextlib
import csv
import itertools
import math
import os
import re
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from measuring import FailedError, Measured, Sample, machine, measure, versions

from mnist_exp.reports.selection import MOST_RUNS

ROOT = Path(__file__).resolve().parents[1]
SWEEP = ["-m", "data=mnist_5k", "data.validation=500", "trainer.epochs=1", "model.filters=16,32"]
SWEEP += ["model.dropout=0.1,0.3,0.5,0.6,0.7"]
POINTS = 10
WINDOW = 500  # jobs whose pace is compared: the first and the last; of fewer than 1,000, a tenth
PAUSE_S = 60.0  # Two starts that are further apart belong to two calls.
SAMPLED_EVERY_S = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="+", type=int, help=f"a multiple of {POINTS} each")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep the sweeps and the raw numbers here, and go on with them")
    options = parser.parse_args()
    print(f"{machine()}; {versions('mlflow', 'hydra-core')}\n", flush=True)
    head = ["jobs", "sweep s", "s a job", "launching CPU s", "launching MB at first, at last", "first, last: s a job"]
    head += [
        "last ÷ first",
        "first, last: CPU s a job",
        "last ÷ first",
        "store kB a job",
        "again s",
        "again MB",
        "report s",
        "report MB",
        "page MB",
    ]
    print(" | ".join(head), flush=True)
    for jobs in options.jobs:
        with contextlib.ExitStack() as kept:
            folder = options.folder and options.folder.resolve() / str(jobs)
            if folder is None:
                folder = Path(kept.enter_context(tempfile.TemporaryDirectory()))
            folder.mkdir(parents=True, exist_ok=True)
            print(" | ".join(_row(folder, jobs, options.workers)), flush=True)
    return 0


def _row(folder: Path, jobs: int, workers: int) -> list[str]:
    words = [*SWEEP, f"seed=range({jobs // POINTS})", f"hydra.launcher.n_workers={workers}"]
    program = [sys.executable, str(ROOT / "benchmarks/no_op/run.py"), *words]
    with (folder / "samples.csv").open("a", encoding="utf-8") as opened:
        sweep = _measured(program, folder, _writer(opened))
    parent = re.findall(r"^parent +([0-9a-f]{32})", sweep.output, re.MULTILINE)[-1]
    starts, seconds = _jobs(folder)
    with (folder / "jobs.csv").open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([("started", "seconds"), *zip(starts, seconds, strict=True)])
    first, last = _pace(starts)
    (first_mb, first_cpu), (last_mb, last_cpu) = _sampled(folder, starts)
    store = sum(file.stat().st_size for file in folder.glob("mlflow.db*"))
    again = _measured(program, folder)
    if f"{jobs} of them done before" not in again.output:
        raise FailedError(again.output[-2000:])
    report = None
    if jobs <= MOST_RUNS:  # More fit into no page.
        report = _measured([sys.executable, "-m", "mnist_exp.report", "--sweep", parent, "--output", "page"], folder)
    return [
        f"{jobs:,}",
        f"{sweep.wall_s:.1f}",
        f"{statistics.fmean(_intervals(starts)):.3f}",
        f"{_launching_cpu_s(sweep):.1f}",
        f"{first_mb:.0f}, {last_mb:.0f}",
        f"{first:.3f}, {last:.3f}",
        f"{last / first:.2f}",
        f"{first_cpu:.3f}, {last_cpu:.3f}",
        f"{last_cpu / first_cpu:.2f}",
        f"{store / jobs / 1000:.1f}",
        f"{again.wall_s:.1f}",
        f"{again.launching_mb:.0f}",
        f"{report.wall_s:.1f}" if report else "-",
        f"{report.largest_mb:.0f}" if report else "-",
        f"{(folder / 'page/index.html').stat().st_size / 1e6:.1f}" if report else "-",
    ]


def _writer(opened: TextIO) -> Callable[[Sample], None]:
    """Return what writes a sample into a file, every few seconds."""
    written = [0.0]

    def note(sample: Sample) -> None:
        if time.monotonic() - written[0] >= SAMPLED_EVERY_S:
            written[0] = time.monotonic()
            opened.write(f"{sample.at:.1f},{sample.launching:.1f},{sample.largest_child:.1f},{sample.cpu_s:.2f}\n")
            opened.flush()

    return note


def _measured(program: list[str], folder: Path, on_sample: Callable[[Sample], None] | None = None) -> Measured:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    return measure(program, folder, environment, on_sample=on_sample)


def _launching_cpu_s(measured: Measured) -> float:
    return float(re.findall(r"launching process: ([0-9.]+) s of CPU", measured.output)[-1])


def _jobs(folder: Path) -> tuple[list[float], list[float]]:
    """Return when each job started, s since 1970, in order, and how many seconds it took."""
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as store:
        asked = (
            "select start_time, end_time - start_time from runs where status = 'FINISHED' and run_uuid in "
            "(select run_uuid from tags where key = 'mnist_exp.job_key') order by start_time"
        )
        found = store.execute(asked).fetchall()
    return [start / 1000 for start, _ in found], [taken / 1000 for _, taken in found]


def _intervals(starts: Sequence[float]) -> list[float]:
    """Return the seconds from each start to the next one, without the pauses between two calls."""
    return [after - before for before, after in itertools.pairwise(starts) if after - before < PAUSE_S]


def _window(starts: Sequence[float]) -> int:
    return WINDOW if len(starts) >= 2 * WINDOW else max(len(starts) // 10, 2)


def _pace(starts: Sequence[float]) -> tuple[float, float]:
    """Return the mean seconds from the start of a job to that of the next, for the first and the last jobs."""
    size = _window(starts)
    return statistics.fmean(_intervals(starts[:size])), statistics.fmean(_intervals(starts[-size:]))


def _sampled(folder: Path, starts: Sequence[float]) -> list[tuple[float, float]]:
    """Return, for the first and the last jobs, the most MB of the launching process, and the CPU seconds of a job."""
    with (folder / "samples.csv").open(encoding="utf-8") as opened:
        samples = [tuple(map(float, row)) for row in csv.reader(opened)]
    size, found = _window(starts), []
    for begin, end in ((starts[0], starts[size - 1]), (starts[-size], starts[-1])):
        part = [sample for sample in samples if begin <= sample[0] <= end]
        used = sum(max(after[3] - before[3], 0.0) for before, after in itertools.pairwise(part))
        share = (part[-1][0] - part[0][0]) / (end - begin) if len(part) > 1 else math.nan
        found.append((max((sample[1] for sample in part), default=math.nan), used / (share * size)))
    return found


if __name__ == "__main__":
    sys.exit(main())
