"""What the metrics of the machine cost: CPU time of a run that records them, above that of one that does not.

    python benchmarks/system_metrics.py [--seconds 60] [--repeats 5]

Each run is a process of its own that records in a real SQLite store an epoch every 2 s and otherwise sleeps, so that
nothing but the recording takes CPU time. It is that of the whole process, between the first and the last epoch.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time

_EPOCH_S = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--record", choices=("true", "false"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.record:
        print(*_recorded(options.seconds, options.record == "true"))
        return
    shares: dict[str, list[float]] = {"false": [], "true": []}
    for _ in range(options.repeats):
        for wanted, found in shares.items():
            words = [sys.executable, __file__, "--record", wanted, "--seconds", str(options.seconds)]
            with tempfile.TemporaryDirectory() as folder:
                share, values = subprocess.check_output(words, cwd=folder, text=True).split()
            found.append(100 * float(share))
            print(f"system_metrics={wanted}: {found[-1]:.2f} % of a core, {values} values of each metric", flush=True)
    more = [one - other for one, other in zip(shares["true"], shares["false"], strict=True)]
    print(f"more with them: {statistics.median(more):.2f} ({min(more):.2f} to {max(more):.2f}) % of a core")


def _recorded(seconds: float, wanted: bool) -> tuple[float, int]:
    """Return the share of a core that recording took, and how many values of the CPUs' use were recorded."""
    from mlflow import MlflowClient

    from mnist_exp.config.schema import TrackingSettings
    from mnist_exp.tracking.tracker import open_tracker

    settings = TrackingSettings(uri="sqlite:///cost.db", system_metrics=wanted)
    tracker = open_tracker(settings, lambda text: print(text, file=sys.stderr))
    tracker.load()
    tracker.start("cost", {"objective": "val_accuracy", "direction": "maximize"}, {})
    tracker.log_metrics({"loss": 1.0}, step=1)
    began, used = time.monotonic(), time.process_time()
    epochs = round(seconds / _EPOCH_S)
    for epoch in range(2, epochs + 2):
        time.sleep(max(0.0, began + (epoch - 1) * _EPOCH_S - time.monotonic()))
        tracker.log_metrics({"loss": 1.0, "val_loss": 1.0, "val_accuracy": 0.5}, step=epoch)
    share = (time.process_time() - used) / (time.monotonic() - began)
    tracker.end("FINISHED")
    points = MlflowClient(settings.uri).get_metric_history(str(tracker.run_id), "system/cpu_utilization_percentage")
    return share, len(points)


if __name__ == "__main__":
    main()
