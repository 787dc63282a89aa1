"""What the next trial of a search costs when it has many: seconds to open the study, to ask, and to report results.

    python benchmarks/search_growth.py 100 1000 10000
    python benchmarks/search_growth.py 100 1000 --storage postgresql+psycopg://USER@HOST/DATABASE

Each trial is measured as in a job in a new process: two options, ten epochs and a pruner.
"""

import argparse
import itertools
import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import optuna

from mnist_exp.config.schema import SweepSettings
from mnist_exp.search.parsing import parse
from mnist_exp.search.study import Study

SPACE = ["model.dropout=interval(0,0.7)", "optimizer.learning_rate=tag(log,interval(1e-4,1e-2))"]
EPOCHS = 10
TIMES = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", nargs="+", type=int)
    parser.add_argument("--storage", help="address of a database; a journal file by default")
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe"])
    options = parser.parse_args()
    logging.getLogger("optuna").setLevel(logging.ERROR)
    print("sampler | trials | open s | ask s | an epoch s | tell s", flush=True)
    for trials in options.trials:
        with tempfile.TemporaryDirectory() as folder:
            address = options.storage or str(Path(folder) / "study.journal")
            name = f"growth-{trials}-{time.time_ns():x}"
            _fill(_study(name, address, "random", trials, Path(folder)), trials)
            for sampler in options.samplers:
                taken = [_take(_study(name, address, sampler, trials, Path(folder))) for _ in range(TIMES)]
                columns = [f"{statistics.median(column):.3f}" for column in zip(*taken, strict=True)]
                print(" | ".join([sampler, f"{trials:,}", *columns]), flush=True)
    return 0


def _study(name: str, address: str, sampler: str, trials: int, folder: Path) -> Study:
    how = SweepSettings(sampler=sampler, pruner="asha", n_trials=trials + 100)
    return Study(name, address, parse({}, SPACE, how).axes, how, ("maximize",), EPOCHS, folder)


def _fill(search: Study, trials: int) -> None:
    study, drawn = search.open(), np.random.default_rng(0)
    distributions = {
        "model.dropout": optuna.distributions.FloatDistribution(0, 0.7),
        "optimizer.learning_rate": optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True),
    }
    study.add_trials(
        optuna.trial.create_trial(
            params={"model.dropout": drawn.uniform(0, 0.7), "optimizer.learning_rate": 10 ** drawn.uniform(-4, -2)},
            distributions=distributions,
            value=drawn.uniform(0.9, 1),
            intermediate_values={epoch: drawn.uniform(0.9, 1) for epoch in range(1, EPOCHS + 1)},
        )
        for _ in range(trials)
    )


def _take(search: Study) -> tuple[float, float, float, float]:
    """Return the seconds that a trial takes to open the study, ask for values, report an epoch, and report its end."""
    at = [time.perf_counter()]
    study = search.open()
    at.append(time.perf_counter())
    claimed = search.claim(study)
    assert claimed is not None
    trial, _ = claimed
    at.append(time.perf_counter())
    for epoch in range(1, EPOCHS + 1):
        trial.report(0.95, epoch)
        trial.should_prune()
    at.append(time.perf_counter())
    study.tell(trial, 0.95)
    at.append(time.perf_counter())
    opened, asked, epochs, reported = (after - before for before, after in itertools.pairwise(at))
    return opened, asked, epochs / EPOCHS, reported


if __name__ == "__main__":
    sys.exit(main())
