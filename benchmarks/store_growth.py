"""What MLflow's page, and a sweep, ask of an SQLite store that has many runs: CPU seconds, before and after ANALYZE.

    python benchmarks/store_growth.py 1000 16000

The store is filled with sweeps of 100 jobs as MLflow writes them. Each question is asked twice, and the quicker answer
counts; without statistics a question of more than two seconds is asked once.
"""

import argparse
import contextlib
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from many_runs import fill

from mnist_exp.tracking import query_statistics, store

LONG_S = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=int)
    options = parser.parse_args()
    print("runs | question | before, CPU s | after, CPU s", flush=True)
    for runs in options.runs:
        with tempfile.TemporaryDirectory() as folder:
            for question, before, after in _measured(Path(folder) / "mlflow.db", runs):
                print(f"{runs:,} | {question} | {before:.3f} | {after:.3f}", flush=True)
    return 0


def _measured(file: Path, runs: int) -> list[tuple[str, float, float]]:
    uri = f"sqlite:///{file}"
    words = [sys.executable, "-m", "mlflow", "db", "upgrade", uri]
    subprocess.run(words, check=True, capture_output=True)
    experiment = store.experiment(uri, "mnist_exp").experiment_id
    parent = fill(file, runs, experiment=experiment)[0]
    before = _asked(uri, experiment, parent)
    began = time.perf_counter()
    query_statistics.refresh(uri)
    print(f"{runs:,} | ANALYZE | | {time.perf_counter() - began:.3f} (wall)", flush=True)
    after = _asked(uri, experiment, parent)
    return [(question, before[question], after[question]) for question in before]


def _asked(uri: str, experiment: str, parent: str) -> dict[str, float]:
    return {name: _seconds(ask) for name, ask in _questions(uri, experiment, parent).items()}


def _seconds(ask: Callable[[], Any]) -> float:
    taken = []
    while len(taken) < 2 and (not taken or taken[0] < LONG_S):
        began = time.process_time()
        ask()
        taken.append(time.process_time() - began)
    return min(taken)


def _questions(uri: str, experiment: str, parent: str) -> dict[str, Callable[[], Any]]:
    client = store.client(uri)
    with contextlib.closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as opened:
        asked = "select run_uuid from tags where key = 'mlflow.parentRunId' and value = ? limit 20"
        jobs = [run_id for (run_id,) in opened.execute(asked, (parent,))]
        asked = "select value from tags where key = 'mnist_exp.job_key' and run_uuid = ?"
        (key,) = opened.execute(asked, jobs[:1]).fetchone()

    def page(condition: str = "", by: str = "attributes.start_time DESC", size: int = 100) -> Callable[[], Any]:
        return lambda: client.search_runs([experiment], condition, max_results=size, order_by=[by])

    best, of_sweep = "metrics.`val_accuracy` DESC", f"tags.`mlflow.parentRunId` = '{parent}'"
    return {
        "page: the newest 100": page(),
        "page: by a metric": page(by=best),
        "page: by a param": page(by="params.`model.param_1` ASC"),
        "page: by a tag": page(by="tags.`mnist_exp.job_key` ASC"),
        "page: metric above, by the metric": page("metrics.`val_accuracy` > 0.5", best),
        "page: jobs of a sweep, by a metric": page(of_sweep, best),
        "page: a param's value": page("params.`model.param_1` = '4'"),
        "page: a param like, by a metric": page("params.`model.param_1` LIKE '%4%'", best),
        "page: name like": page("tags.`mlflow.runName` LIKE '%77%'"),
        "a run": lambda: client.get_run(jobs[0]),
        "a metric's history": lambda: client.get_metric_history(jobs[0], "val_accuracy"),
        "a chart of 20 runs": lambda: [client.get_metric_history(job, "val_accuracy") for job in jobs],
        "a job: who else has its key": page(f"tags.`mnist_exp.job_key` = '{key}'", "attributes.start_time ASC", 1000),
        "a sweep: 1,000 earlier runs": page("tags.`mnist_exp.job_key` LIKE '%'", size=1000),
        "a sweep: its jobs": page(of_sweep, size=1000),
        "a sweep: its parent": page("tags.`mnist_exp.sweep` = 'none'", size=1000),
    }


if __name__ == "__main__":
    sys.exit(main())
