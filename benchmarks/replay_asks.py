"""What an ask costs when a search has many trials: CPU seconds of `start()`, for each method of search_replay.py.

    python benchmarks/replay_asks.py 100 1000 10000
    python benchmarks/replay_asks.py 10000 --methods mnist_exp "Optuna TPE"

Six options of 100 ordered levels each, so that nothing repeats. The trials were trained to the end; a method that
cannot be told of trials that it did not ask for (KerasTuner, Ray Tune) asks for them all. CPU seconds, since other
programs may run: the median of five asks after one that is left out. An ask over 60 s ends the row.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3", RAY_USAGE_STATS_ENABLED="0")

import numpy as np
import replay_methods
import replay_peers
import search_replay
from curve_tables import METRICS, Table

_OPTIONS, _LEVELS, _EPOCHS, _ASKS, _LONGEST_S = 6, 100, 9, 5, 60.0


class _Wide(Table):
    """A table of which only the space is used: every point is its cell 0."""

    def cell(self, part: int, levels: Any) -> int:
        return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", nargs="+", type=int)
    parser.add_argument(
        "--methods", nargs="+", default=[""], metavar="WORD", help="those with such a word in their name"
    )
    parser.add_argument(
        "--peers", type=Path, default=Path(sys.prefix) / "peers", help="folder with the peers' packages"
    )
    options = parser.parse_args()
    sys.path.append(str(options.peers))
    replay_methods.be_quiet()
    print(f"| method | {' | '.join(f'{trials:,} trials' for trials in options.trials)} |")
    print(f"| --- |{' ---: |' * len(options.trials)}")
    for name, (package, maker) in search_replay.methods(10**6).items():
        if replay_peers.is_installed(package) and any(word in name for word in options.methods):
            cells: list[str] = []
            for trials in options.trials:
                cells.append("" if cells and cells[-1][:4] in ("", "over") else _cell(maker, trials))
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    return 0


def _cell(maker: replay_methods.Maker, trials: int) -> str:
    """Return the milliseconds of an ask, as text."""
    levels = {f"option_{number}": list(range(_LEVELS)) for number in range(_OPTIONS)}
    curves = np.full((len(METRICS), 1, 1, _EPOCHS), 0.9)
    table = _Wide({"parts": [{"levels": levels}]}, np.zeros((1, 1), np.int8), (), curves, np.ones((1, 1)))
    method: Any = maker(table, 0)
    drawn = np.random.default_rng(0)
    if hasattr(method, "fill"):
        points = [{name: int(drawn.integers(_LEVELS)) for name in levels} for _ in range(trials)]
        method.fill(points, np.sort(drawn.uniform(0.8, 1.0, (trials, _EPOCHS)), axis=1))
    else:
        for _ in range(trials):
            training = method.start()
            training.done = 1
            method.report(training, drawn.uniform(0.8, 1.0))
    taken = []
    for _ in range(1 + _ASKS):
        began = time.process_time()
        training = method.start()
        taken.append(time.process_time() - began)
        if taken[-1] > _LONGEST_S:
            return f"over {_LONGEST_S:.0f} s"
    return f"{1000 * statistics.median(taken[1:]):,.1f} ms"


if __name__ == "__main__":
    sys.exit(main())
