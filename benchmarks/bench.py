"""Compare this package with its peers at the same work, in one table for the README.

    make bench                                  # all rows, about 42 minutes on two CPU threads
    make bench ARGS="run-1 start --rounds 5"    # or: python benchmarks/bench.py run-1 start --rounds 5
    python benchmarks/bench.py --list
    make bench ARGS=search-replay               # searches on recorded curves, no row of this table: search_replay.py

Whole processes are measured one after the other, in rounds, so that other work on the machine disturbs all programs
alike. All use the same images of the full MNIST ($MNIST_EXP_DATA or the Keras cache). Peers that are not installed are
left out, with a line that says how to install them: `make bench` installs them into a folder of their own.

Time on two threads of a quiet machine: run-1 4 min, run-10 9 min (two rounds), grid 14 min (one round; half of it the
autolog loop), search 6 min (one round), start 1 min, reject 1 min, jobs 7 min (one round), grid-4 4 min, around 1 min,
predict 3 min, again 6 min (most of it the two sweeps), page 2 min. Before you claim a number, run that row alone with
`--rounds 5`.

What is equal, and what is not:
  - run-1 and run-10: the store exists already, as on every day but the first. All programs test at the end.
  - grid and search: each begins in an empty folder, and validates after each epoch on the same held-out images. This
    package also tests and records each job, with its model and pictures; the others but the autolog loop do not.
    `mnist_exp` has a worker of one thread for each CPU, its default, as Ray Tune has here; the others train one
    model at a time on all threads.
  - search: Optuna has this package's sampler and pruner; KerasTuner's Hyperband about as many epochs; Ray its random
    search.
  - jobs: time from the start of one job to that of the next; ours are recorded in MLflow with model and pictures, the
    loop's not at all.
Memory: "process" is the most that any one process had; "launching" the one that was started; "all" it and all that it
started, at the worst moment, what they share counted in each; "PSS" the same with what they share counted once.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib import util
from pathlib import Path

import comparisons
import measuring
import peer_data
import search_replay
from comparisons import OURS, ROWS, Facts, Options, Program, Row
from measuring import FailedError, Measured, median_and_range

Outcome = tuple[Measured, Facts]
ALONE = ["unshare", "--user", "--map-root-user", "--net"]  # A network without any way out or in.
HEAD = [
    "",
    "program",
    "time, s",
    f"{OURS} takes × it",
    "CPU, s",
    "process, MB",
    "launching, MB",
    "all, MB",
    "PSS, MB",
    "besides",
]
RULE = ["---", "---", *["---:"] * 7, "---"]


def main() -> int:
    """Measure the chosen rows, print the table, and return 1 if a program failed."""
    if sys.argv[1:2] == ["search-replay"]:
        return search_replay.main(sys.argv[2:])
    options = _read()
    if options.list:
        for name, make in ROWS.items():
            print(f"{name:<8} {make(Options()).title}")
        return 0
    chosen = Options(options.epochs, options.limit, options.trials, options.jobs)
    print(f"machine   {measuring.machine()}")
    print(f"versions  {_versions(options.peers)}\n")
    failures = 0
    print(f"{_written(HEAD)}\n{_written(RULE)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        for asked in options.rows or ROWS:
            row = ROWS[asked](chosen)
            folder = Path(name) / asked
            folder.mkdir()
            left_out = [label for label in row.programs if set(label.split()) & set(options.without)]
            row = replace(row, programs={label: row.programs[label] for label in row.programs if label not in left_out})
            outcomes, failed = _row(asked, row, folder, options.rounds or row.rounds, options.peers)
            failures += failed
            for line in _lines(f"**{asked}**: {row.title}", outcomes):
                print(_written(line), flush=True)
    return 1 if failures else 0


def _read() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all by default")
    parser.add_argument("--rounds", type=_count, help="how often each program runs; by default as the row says")
    parser.add_argument("--epochs", type=_count, default=1, help="of each training of the grid")
    parser.add_argument("--limit", type=_count, help="training images; by default all, in the search 6000")
    parser.add_argument("--trials", type=_count, default=20, help="of the search")
    parser.add_argument("--jobs", type=_count, default=200, help="trainings of nothing in the row jobs")
    parser.add_argument(
        "--peers",
        type=lambda text: Path(text).resolve(),
        default=Path(sys.prefix) / "peers",
        help="folder with the peers' packages",
    )
    parser.add_argument(
        "--without", nargs="+", default=(), metavar="WORD", help="leave out the programs with such a word in their name"
    )
    parser.add_argument("--list", action="store_true", help="say what the rows are, and stop")
    options = parser.parse_args()
    for unknown in set(options.rows) - set(ROWS):
        parser.error(f"there is no row {unknown}; there are {', '.join(ROWS)}")
    return options


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


def _row(name: str, row: Row, folder: Path, rounds: int, peers: Path) -> tuple[dict[str, list[Outcome]], int]:
    """Measure the programs of a row in rounds; a program that fails is reported and left out of the table."""
    _say(f"{name}: {row.title}")
    data = folder / "images.npz"
    peer_data.write(data, row.images)
    actions: dict[str, Callable[[], Outcome | None]] = {}
    for label, program in row.programs.items():
        if missing := _missing(program, peers):
            _say(f"  {label} is left out: {missing}")
        else:
            actions[label] = partial(
                _outcome, program, folder / f"{len(actions)}", data, None if label.startswith(OURS) else peers
            )
    results = measuring.in_rounds(actions, rounds, partial(_tell, rounds))
    whole = {label: [one for one in values if one is not None] for label, values in results.items()}
    whole = {label: values for label, values in whole.items() if len(values) == rounds}
    return whole, len(actions) - len(whole)


def _outcome(program: Program, folder: Path, data: Path, peers: Path | None) -> Outcome | None:
    """Run a program once, in a new folder, or in the same one if it must find an existing store."""
    environment = _environment(peers)
    words = [word.replace("{data}", str(data)) for word in [*(ALONE if program.is_alone else []), *program.words]]
    try:
        if program.before is None:
            shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            folder.mkdir()
            if program.before is not None:
                before = [word.replace("{data}", str(data)) for word in program.before]
                measuring.measure(before, folder, environment)
        measured = measuring.measure(words, folder, environment, exit_code=program.exit_code)
        if program.says not in measured.output:
            raise FailedError(f"{' '.join(words)} did not say {program.says!r}:\n{measured.output[-2000:]}")
        return measured, program.read(measured, folder) if program.read else {}
    except FailedError as error:
        _say(f"  {error}")
        return None


def _environment(peers: Path | None) -> dict[str, str]:
    """Return the environment without the user's store; only for a peer it has the path of the peers' packages."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    paths = [os.environ.get("PYTHONPATH"), str(comparisons.PEERS), str(peers or "")]
    return environment | {
        "MNIST_EXP_DATA": str(peer_data.find_data().parent),
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }


def _missing(program: Program, peers: Path) -> str | None:
    """Return which packages a program lacks and how to install them."""
    for package in program.needs:
        if not (peers / package).is_dir() and util.find_spec(package) is None:
            requirements = comparisons.PEERS / "requirements.txt"
            return f"no {package}; `pip install --no-deps --target {peers} -r {requirements}`"
    if program.is_alone and (
        shutil.which(ALONE[0]) is None or subprocess.run([*ALONE, "true"], check=False).returncode
    ):
        return f"it must not be reached by others, and `{' '.join(ALONE)}` gives it no network of its own here"
    return None


def _versions(peers: Path) -> str:
    sys.path.append(str(peers))
    try:
        return measuring.versions("mnist_exp", "tensorflow", "keras", "mlflow", "optuna", "keras-tuner", "ray")
    finally:
        sys.path.pop()


def _tell(rounds: int, number: int, label: str, outcome: Outcome | None) -> None:
    said = "failed" if outcome is None else f"{outcome[0].wall_s:.1f} s"
    _say(f"  round {number}/{rounds}   {label:<26} {said}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _lines(title: str, outcomes: dict[str, list[Outcome]]) -> list[list[str]]:
    """Return the lines of a row in the table, one for each program."""
    our = outcomes.get(OURS, [])
    lines = []
    for label, values in outcomes.items():
        measured = [one for one, _ in values]
        ratio = ""
        if our and not label.startswith(OURS):
            ratio = _ratio([one.wall_s for one, _ in our], [one.wall_s for one in measured])
        sizes = ([one.largest_mb for one in measured], [one.launching_mb for one in measured])
        cells = [
            median_and_range([one.wall_s for one in measured]),
            ratio,
            f"{statistics.median(one.cpu_s for one in measured):.1f}",
            *(f"{statistics.median(size):,.0f}" for size in sizes),
            f"{statistics.median(one.together_mb for one in measured):,.0f}",
            f"{statistics.median(one.pss_mb for one in measured):,.0f}",
            _besides(label, [facts for _, facts in values], [facts for _, facts in our]),
        ]
        lines.append([title, label, *cells])
        title = ""
    return lines


def _besides(label: str, facts: Sequence[Facts], our: Sequence[Facts]) -> str:
    """Return the figures that a program reported; for the training time alone also the ratio."""
    said = []
    for name in facts[0]:
        values = [one[name] for one in facts]
        numbers = [value for value in values if not isinstance(value, str)]
        if len(numbers) < len(values):
            said.append(f"{name}: {values[-1]}")
        elif name == "fit":
            text = f"fit {median_and_range(numbers)} s"
            ours = [float(one["fit"]) for one in our if "fit" in one]
            said.append(text if label == OURS or len(ours) != len(numbers) else f"{text}, × {_ratio(ours, numbers)}")
        elif name == "best":
            said.append(f"best val_accuracy {statistics.median(numbers):.4f}")
        else:
            count = statistics.median(numbers)
            said.append(f"{count:.0f} {name.removesuffix('s') if count == 1 else name}")
    return "; ".join(said)


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    return median_and_range(measuring.ratios(ours, theirs), 2)


def _written(line: Sequence[str]) -> str:
    return f"| {' | '.join(line)} |"


if __name__ == "__main__":
    sys.exit(main())
