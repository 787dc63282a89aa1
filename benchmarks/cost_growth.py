"""How the cost of a sweep grows with its number of jobs: 10, 100, 1,000 or 10,000 jobs that train nothing.

    python benchmarks/cost_growth.py 10 100 1000 --workers 2

For each number it measures the sweep, the same command once more (all jobs are done), and the report. The launching
process and its workers are measured separately. The size of the store is that of the SQLite file and the artifacts.
"""

import argparse
import contextlib
import os
import re
import sqlite3
import sys
import tempfile
from pathlib import Path

from measuring import FailedError, Measured, measure

ROOT = Path(__file__).resolve().parents[1]
SWEEP = ["-m", "data=mnist_5k", "data.validation=500", "trainer.epochs=1", "model.filters=16,32"]
SWEEP += ["model.dropout=0.1,0.3,0.5,0.6,0.7"]
POINTS = 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="+", type=int, help=f"a multiple of {POINTS} each")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    head = ["jobs", "sweep s", "s a job", "launching CPU s", "launching MB", "first, last 10 %: s a job"]
    head += ["store kB a job", "again s", "again MB", "report s", "report MB", "page MB"]
    print(" | ".join(head), flush=True)
    for jobs in options.jobs:
        with tempfile.TemporaryDirectory() as folder:
            print(" | ".join(_row(Path(folder), jobs, options.workers)), flush=True)
    return 0


def _row(folder: Path, jobs: int, workers: int) -> list[str]:
    words = [*SWEEP, f"seed=range({jobs // POINTS})", f"hydra.launcher.n_workers={workers}"]
    program = [sys.executable, str(ROOT / "benchmarks/no_op/run.py"), *words]
    sweep = _measured(program, folder)
    parent = re.findall(r"^parent +([0-9a-f]{32})", sweep.output, re.MULTILINE)[-1]
    first, last = _pace(folder)
    store = sum(file.stat().st_size for file in folder.glob("mlflow.db*"))
    again = _measured(program, folder)
    if f"{jobs} of them done before" not in again.output:
        raise FailedError(again.output[-2000:])
    report = _measured([sys.executable, "-m", "mnist_exp.report", "--sweep", parent, "--output", "page"], folder)
    page = (folder / "page/index.html").stat().st_size
    return [
        f"{jobs:,}",
        f"{sweep.wall_s:.1f}",
        f"{(sweep.wall_s - again.wall_s) / jobs:.3f}",
        f"{_launching_cpu_s(sweep):.1f}",
        f"{sweep.launching_mb:.0f}",
        f"{first:.3f}, {last:.3f}",
        f"{store / jobs / 1000:.1f}",
        f"{again.wall_s:.1f}",
        f"{again.launching_mb:.0f}",
        f"{report.wall_s:.1f}",
        f"{report.largest_mb:.0f}",
        f"{page / 1e6:.1f}",
    ]


def _measured(program: list[str], folder: Path) -> Measured:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    return measure(program, folder, environment)


def _launching_cpu_s(measured: Measured) -> float:
    return float(re.findall(r"launching process: ([0-9.]+) s of CPU", measured.output)[-1])


def _pace(folder: Path) -> tuple[float, float]:
    """Return the seconds from the start of a job to that of the next, for the first and the last tenth of the jobs."""
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as store:
        jobs = "select run_uuid from tags where key = 'mnist_exp.job_key'"
        asked = f"select start_time from runs where run_uuid in ({jobs}) order by start_time"
        starts = [milliseconds / 1000 for (milliseconds,) in store.execute(asked)]
    tenth = max(len(starts) // 10, 2)
    return tuple((part[-1] - part[0]) / (len(part) - 1) for part in (starts[:tenth], starts[-tenth:]))


if __name__ == "__main__":
    sys.exit(main())
