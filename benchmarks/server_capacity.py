"""How many requests a second a tracking server can handle: metrics of an epoch, as runs send them.

    python benchmarks/server_capacity.py --clients 16 --seconds 10 [--tracking-uri URI]

Without an address, MLflow and PostgreSQL are started here, as docs/shared-server.md has them: then the
clients take their part of the machine.
"""

import argparse
import contextlib
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

METRICS = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "epoch_time_s", "images_per_s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=16, help="processes, each with one run")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=1, help="processes of a server that is started here")
    parser.add_argument("--tracking-uri")
    options = parser.parse_args()
    with contextlib.ExitStack() as opened:
        if options.tracking_uri is None:
            opened.enter_context(_started(options.workers))
        else:
            os.environ["MLFLOW_TRACKING_URI"] = options.tracking_uri
        with multiprocessing.get_context("spawn").Pool(options.clients) as pool:
            pool.map(_open, range(options.clients), chunksize=1)
            sent = pool.map(_send, [options.seconds] * options.clients, chunksize=1)
    waits = sorted(wait for each in sent for wait in each)
    print(
        f"{options.clients} clients: {len(waits) / options.seconds:.0f} requests a second, median "
        f"{1000 * statistics.median(waits):.0f} ms, slowest 1 % above {1000 * waits[int(len(waits) * 0.99)]:.0f} ms"
    )
    return 0


@contextlib.contextmanager
def _started(workers: int) -> Iterator[None]:
    from shared_server import SharedServer

    server = SharedServer(workers)
    server.start()
    try:
        os.environ.update(server.environment)
        yield
    finally:
        server.stop()


def _open(number: int) -> None:
    """Begin a run in this process; it waits a moment, so that each process gets one."""
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name("capacity")
    with contextlib.suppress(Exception):  # Another client was quicker.
        experiment = experiment or client.get_experiment(client.create_experiment("capacity"))
    experiment = experiment or client.get_experiment_by_name("capacity")
    _opened.append((client, client.create_run(experiment.experiment_id).info.run_id))
    time.sleep(3)


def _send(seconds: float) -> list[float]:
    """Send the metrics of epochs one after the other, and return the seconds of each request."""
    from mlflow.entities import Metric

    ((client, run_id),) = _opened
    waits, until = [], time.monotonic() + seconds
    while (began := time.monotonic()) < until:
        at, epoch = int(time.time() * 1000), len(waits) + 1
        client.log_batch(run_id, metrics=[Metric(name, 0.5, at, epoch) for name in METRICS])
        waits.append(time.monotonic() - began)
    return waits


_opened: list[Any] = []

if __name__ == "__main__":
    sys.exit(main())
