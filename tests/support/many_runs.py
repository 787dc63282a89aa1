"""Fill an SQLite store of MLflow's with many runs at once: their rows are written as MLflow writes them."""

import contextlib
import random
import sqlite3
import time
from pathlib import Path

METRICS = ["loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "epoch_time_s", "images_per_s"]
AT_THE_END = ["objective", "best_val_accuracy", "best_epoch", "test_accuracy", "test_loss", "epochs", "parameters"]


def fill(file, runs, *, experiment=1, jobs=100, params=40, tags=12, epochs=2):
    """Write sweeps of this many jobs until there are as many runs; return the ids of the parent runs.

    Args:
        file: of a store that has the experiment.
        runs: how many, the parents included.
        experiment: id of theirs.
        jobs: of each sweep.
        params: of each job.
        tags: of each job, beside those that a sweep reads.
        epochs: of each job.
    """
    files = (Path(file).absolute().parent / "mlartifacts").as_uri()  # A report on them is logged there.
    drawn, parents, now = random.Random(runs), [], round(time.time() * 1000) - runs * 2000
    with contextlib.closing(sqlite3.connect(file)) as store, store:
        store.execute("PRAGMA synchronous = OFF")
        for number in range(runs):
            run_id, start = f"{drawn.getrandbits(128):032x}", now + number * 1000
            is_parent = number % (jobs + 1) == 0
            if is_parent:
                parents.append(run_id)
                own = {"mnist_exp.sweep": f"{drawn.getrandbits(256):064x}"}
            else:
                own = {
                    "mlflow.parentRunId": parents[-1],
                    "mnist_exp.job_key": f"{drawn.getrandbits(256):064x}",
                    "mnist_exp.point": f'{{"seed": "{number}"}}',
                    **{f"mnist_exp.tag_{i}": f"value {i}" for i in range(tags)},
                }
            own["mlflow.runName"] = f"run {number}"
            store.execute(
                "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, "
                "start_time, end_time, source_version, lifecycle_stage, artifact_uri, experiment_id) "
                "VALUES (?, ?, 'UNKNOWN', '', '', 'someone', 'FINISHED', ?, ?, '', 'active', ?, ?)",
                (run_id, f"run {number}", start, start + 900, f"{files}/{run_id}/artifacts", experiment),
            )
            rows = [(name, text, run_id) for name, text in own.items()]
            store.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", rows)
            if is_parent:
                continue
            rows = [(f"model.param_{i}", str((number + i) % 7), run_id) for i in range(params)]
            rows.append(("planned_epochs", str(epochs), run_id))
            store.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", rows)
            _metrics(store, run_id, start, epochs, drawn)
    return parents


def _metrics(store, run_id, start, epochs, drawn):
    rows = [(name, drawn.random(), start + step, run_id, step) for step in range(1, epochs + 1) for name in METRICS]
    last = rows[-len(METRICS) :] + [(name, drawn.random(), start + epochs, run_id, 1) for name in AT_THE_END]
    columns, marks = "(key, value, timestamp, run_uuid, step, is_nan)", "(?, ?, ?, ?, ?, 0)"
    store.executemany(f"INSERT INTO metrics {columns} VALUES {marks}", rows + last[len(METRICS) :])
    store.executemany(f"INSERT INTO latest_metrics {columns} VALUES {marks}", last)
