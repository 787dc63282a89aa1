"""Compare searches on recorded curves: each method sees values as they would have come, and nothing is trained.

    make bench ARGS=search-replay                                # 400 epochs a search, few repeats
    make bench ARGS="search-replay --repeats 100 --budget 800"   # hours
    python benchmarks/search_replay.py --tables digits --workers 4 --methods mnist_exp --repeats 20

A table (benchmarks/curves, recorded by record_curves.py) holds the curves of all combinations of some levels, with
several seeds. A search is replayed on it with 1, 4 and 16 workers: a training gets the curve of a seed drawn for it, an
epoch costs 1, and the budget counts the epochs of all workers. All methods get the same space, in which numbers are the
indices of their levels. True means are exact, since every point is in the table.

Columns:
  - epochs to 0.05 points: until the true mean of the incumbent, the cell of the best value seen, lacks at most 0.05
    points to that of the best cell, and so stays. "never" is within the budget.
  - by value seen: until the value itself lacks at most that, which may be luck.
  - 50, 100, …: the incumbent's regret in true mean after so many epochs, in points.
  - final choice: the regret, in true mean, of what the method gives its user at the end of the budget.
  - mean: of that, ± its standard error.
Medians, and quartiles in brackets. Random search with twice the budget is shown with half of its epochs.

Each method has its own sampler, pruner or oracle, with its own defaults, and its own "best trial" at the end. Given are
the largest number of epochs, and to KerasTuner as many iterations of Hyperband as the budget takes. SMAC's promoted
configurations go on where they stopped, although SMAC itself would train them anew.
"""

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import curve_tables
import measuring
import replay_methods
import replay_peers
import replay_simulation
import replay_summary

_BUDGET = 400
_SLOW = ("GP", "gp", "SMAC3")  # Those that take a second an ask, and get fewer repeats by default.
_TWICE = "random, twice the epochs"


@dataclass(frozen=True)
class _Search:
    """One search to replay; `seeds` are those of the table, which may have had fewer when it was replayed before."""

    table: str
    seeds: int
    workers: int
    method: str
    repeat: int
    budget: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay the chosen searches, and print the tables."""
    options = _read(arguments)
    sys.path.append(str(options.peers))
    done = _kept(options.results)
    asked = list(_searches(options))
    missing = [search for search in asked if _key(asdict(search)) not in done]
    began = time.perf_counter()
    with get_context("spawn").Pool(options.processes, _prepare, (str(options.peers), str(options.folder))) as pool:
        for number, record in enumerate(pool.imap_unordered(_replayed, missing), start=1):
            done[_key(record)] = record
            if options.results:
                with options.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
            if number % 20 == 0 or number == len(missing):
                print(f"{number}/{len(missing)}   {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    print(f"machine   {measuring.machine()}")
    print(f"versions  {measuring.versions('mnist_exp', 'optuna', 'keras-tuner', 'ray', 'smac')}")
    for name, workers in itertools.product(options.tables, options.workers):
        table = curve_tables.load(name, options.folder)
        outcomes = {
            method: [
                done[key]
                for search in asked
                if (search.table, search.workers, search.method) == (name, workers, method)
                and (key := _key(asdict(search))) in done
                and "failure" not in done[key]
            ]
            for method in dict.fromkeys(search.method for search in asked)
        }
        print(f"\n{name}, {len(table.cells)} cells × {table.seeds} seeds × {table.epochs} epochs, {workers} workers\n")
        head = replay_summary.head(options.budget)
        for line in [head, ["---"] * 2 + ["---:"] * (len(head) - 2)]:
            print(f"| {' | '.join(line)} |")
        for line in replay_summary.lines(table, outcomes):
            print(f"| {' | '.join(line)} |")
    failures = {record["method"]: record["failure"] for record in done.values() if "failure" in record}
    for method, failure in failures.items():
        print(f"{method} failed: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _read(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", help="by default all that are recorded")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--slow-repeats", type=int, default=1, help=f"of methods with {' or '.join(_SLOW)} in their names"
    )
    parser.add_argument("--budget", type=int, default=_BUDGET, help="epochs of all workers together")
    parser.add_argument(
        "--methods", nargs="+", default=[""], metavar="WORD", help="those with such a word in their name"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--results", type=Path, help="file of outcomes, a line each: goes on where it stopped")
    parser.add_argument("--folder", type=Path, default=curve_tables.FOLDER, help="of the tables")
    parser.add_argument(
        "--peers", type=Path, default=Path(sys.prefix) / "peers", help="folder with the peers' packages"
    )
    options = parser.parse_args(arguments)
    options.peers, options.folder = options.peers.resolve(), options.folder.resolve()
    recorded = sorted(path.stem for path in options.folder.glob("*.npz"))
    options.tables = options.tables or recorded
    for name in options.tables:
        if name not in recorded:
            parser.error(f"{name} cannot be replayed: {options.folder} has {', '.join(recorded) or 'no table'}")
    return options


def methods(budget: int) -> dict[str, tuple[str, replay_methods.Maker]]:
    """Return all methods, each with the package that it needs."""
    own = replay_methods.our_methods(budget) | replay_methods.optuna_methods()
    found = {name: ("optuna", maker) for name, maker in own.items()} | replay_peers.peer_methods(budget)
    return found | {_TWICE: found["Optuna random"]}


def _searches(options: argparse.Namespace) -> Iterator[_Search]:
    names = []
    for name, (package, _) in methods(options.budget).items():
        if not replay_peers.is_installed(package):
            print(f"{name} is left out: no {package} in {options.peers}", file=sys.stderr)
        elif any(word in name for word in options.methods):
            names.append(name)
    tables = {name: curve_tables.load(name, options.folder) for name in options.tables}
    for name, repeat, table, workers in itertools.product(
        names, range(options.repeats), options.tables, options.workers
    ):
        is_due = repeat < options.slow_repeats or not any(word in name for word in _SLOW)
        if is_due and (replay_methods.RACED not in name or tables[table].seeds > 1):
            yield _Search(table, tables[table].seeds, workers, name, repeat, options.budget)


def _prepare(peers: str, folder: str) -> None:
    global _FOLDER
    _FOLDER = Path(folder)
    sys.path.append(peers)
    # One thread each: the processes share the CPUs.
    os.environ.update(OMP_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3", RAY_USAGE_STATS_ENABLED="0")
    replay_methods.be_quiet()


def _replayed(search: _Search) -> dict[str, Any]:
    table = curve_tables.load(search.table, _FOLDER)
    _, maker = methods(search.budget)[search.method]
    times = 2 if search.method == _TWICE else 1
    try:
        method = maker(table, search.repeat)
        outcome = replay_simulation.replay(method, table, search.workers, search.budget * times)
    except Exception as error:  # A peer's failure is a finding; the others go on.
        return asdict(search) | {"failure": f"{type(error).__name__}: {error}"}
    return asdict(search) | {"times": times} | asdict(outcome)


def _kept(file: Path | None) -> dict[tuple[Any, ...], dict[str, Any]]:
    if file is None or not file.exists():
        return {}
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {_key(record): record for record in records if "failure" not in record}


def _key(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(record[name] for name in ("table", "seeds", "workers", "method", "repeat", "budget"))


if __name__ == "__main__":
    sys.exit(main())
