"""Which runs a report is on: by their ids, of a sweep, or of an experiment by a condition."""

import argparse
import dataclasses
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mnist_exp import commands, errors
from mnist_exp.errors import SettingsError
from mnist_exp.tracking import names
from mnist_exp.tracking import runs as recorded
from mnist_exp.tracking.runs import RecordedRun

MOST_RUNS = 5000
_LONGEST, _LONGEST_COMMAND = 300, 2000  # characters


@dataclass(frozen=True)
class Selection:
    """What a report is on.

    Args:
        title: for people.
        short: name of a folder.
        runs: oldest first, or as they were named; their texts are printable and not too long.
        parent: the sweep's run.
        uri: address of the store.
    """

    title: str
    short: str
    runs: Sequence[RecordedRun]
    parent: RecordedRun | None
    uri: str


def select(options: argparse.Namespace) -> Selection:
    """Return the runs that a command line asks for. Imports MLflow.

    Raises: SettingsError: it names none, or some that there are not.
    """
    _check(options)
    if options.sweep is not None:
        found = _of_sweep(options)
    elif options.run_id:
        found = _named(options)
    else:
        found = _of_experiment(options)
    if len(found.runs) > MOST_RUNS:
        raise SettingsError(f"{len(found.runs):,} runs are too many for a page: at most {MOST_RUNS:,}; use --filter")
    return dataclasses.replace(found, runs=[printable(run) for run in found.runs])


def printable(run: RecordedRun) -> RecordedRun:
    """Return a run whose texts can be shown anywhere: they may come from someone else."""
    tags = {
        key: _plain(value, _LONGEST_COMMAND if key == names.COMMAND else _LONGEST) for key, value in run.tags.items()
    }
    params = {_plain(key): _plain(value) for key, value in run.params.items()}
    metrics = {_plain(key): value for key, value in run.metrics.items()}
    return dataclasses.replace(run, name=_plain(run.name, 100), params=params, metrics=metrics, tags=tags)


def _check(options: argparse.Namespace) -> None:
    ways = [
        ("RUN_ID", bool(options.run_id)),
        ("--sweep", options.sweep is not None),
        ("--experiment or --filter", options.experiment is not None or options.filter is not None),
    ]
    given = [name for name, is_given in ways if is_given]
    if len(given) != 1:
        found = " and ".join(given) + " were given" if given else "none was given"
        raise SettingsError(f"name the runs in one way: RUN_ID…, --sweep, or --experiment with --filter; {found}")


def _named(options: argparse.Namespace) -> Selection:
    runs, problems = [], []
    for reference in dict.fromkeys(options.run_id):
        try:
            run = recorded.find(commands.tracking(options), reference)
        except SettingsError as error:
            problems += error.problems
            continue
        if run.is_sweep:
            problems.append(f"run {run.run_id} is a sweep: report on its runs with --sweep {run.run_id}")
        elif names.JOB_KEY not in run.tags:
            problems.append(f"run {run.run_id} is not a run of mnist_exp")
        runs.append(run)
    if problems:
        raise SettingsError(problems)
    runs = list({run.run_id: run for run in runs}.values())  # A model's name may mean one that was named, too.
    ids = sorted(run.run_id for run in runs)
    more = f"-and-{len(runs) - 1}-more-{_digest(*ids)}" if len(runs) > 1 else ""
    title = f"run {runs[0].name}" if len(runs) == 1 else f"{len(runs)} runs"
    return Selection(_plain(title), runs[0].run_id[:8] + more, runs, None, runs[0].uri)


def _of_sweep(options: argparse.Namespace) -> Selection:
    parent = recorded.find(commands.tracking(options), options.sweep)
    if not parent.is_sweep:
        raise SettingsError(f"--sweep={options.sweep} is no sweep, but a run: report on it without --sweep")
    runs = recorded.of_sweep(parent)
    if not runs:
        raise SettingsError(f"--sweep={options.sweep} has no runs yet")
    return Selection(_plain(parent.name), f"sweep-{parent.run_id[:8]}", runs, parent, parent.uri)


def _of_experiment(options: argparse.Namespace) -> Selection:
    settings = commands.tracking(options, options.experiment or "mnist_exp")
    condition = options.filter or ""
    runs = [run for run in recorded.search(settings, condition) if names.JOB_KEY in run.tags]
    where = f"experiment {settings.experiment}" + (f" where {condition}" if condition else "")
    if not runs:
        raise SettingsError(f"there is no run of mnist_exp in {where}")
    short = re.sub(r"[^\w-]+", "-", settings.experiment, flags=re.ASCII).strip("-")[:60] or "experiment"
    short += f"-{_digest(condition)}" if condition else ""
    return Selection(_plain(where), short, runs, None, runs[0].uri)


def _digest(*texts: str) -> str:
    """Return what tells one selection from another in the name of a folder."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:6]


def _plain(text: str, longest: int = _LONGEST) -> str:
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return errors.printable(cut)
