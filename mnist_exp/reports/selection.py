"""Which runs a report is on: by their ids, of a sweep, or of an experiment by a condition."""

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mnist_exp import errors
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import SettingsError
from mnist_exp.tracking import names, references, runs
from mnist_exp.tracking.runs import StoredRun

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
    runs: Sequence[StoredRun]
    parent: StoredRun | None
    uri: str


def select(
    settings: TrackingSettings,
    run_ids: Sequence[str] = (),
    *,
    sweep: str | None = None,
    experiment: str | None = None,
    condition: str | None = None,
) -> Selection:
    """Return the runs that are asked for in one of three ways. Imports MLflow.

    Args:
        settings: which store.
        run_ids: of the runs, or models' names.
        sweep: run id of a sweep's parent.
        experiment: name of one; with a condition it may be left out.
        condition: in MLflow's words, that its runs meet.
    Raises: SettingsError: they are asked for in no way, or in several, or there are none.
    """
    _check(run_ids, sweep, experiment, condition)
    if sweep is not None:
        found = _of_sweep(settings, sweep)
    elif run_ids:
        found = _named(settings, run_ids)
    else:
        found = _of_experiment(settings, experiment or settings.experiment, condition or "")
    if len(found.runs) > MOST_RUNS:
        raise SettingsError(f"{len(found.runs):,} runs are too many for a page: at most {MOST_RUNS:,}; use --filter")
    return dataclasses.replace(found, runs=[printable(run) for run in found.runs])


def printable(run: StoredRun) -> StoredRun:
    """Return a run whose texts can be shown anywhere: they may come from someone else."""
    tags = {
        key: _plain(value, _LONGEST_COMMAND if key == names.COMMAND else _LONGEST) for key, value in run.tags.items()
    }
    params = {_plain(key): _plain(value) for key, value in run.params.items()}
    metrics = {_plain(key): value for key, value in run.metrics.items()}
    return dataclasses.replace(run, name=_plain(run.name, 100), params=params, metrics=metrics, tags=tags)


def _check(run_ids: Sequence[str], sweep: str | None, experiment: str | None, condition: str | None) -> None:
    ways = [
        ("RUN_ID", bool(run_ids)),
        ("--sweep", sweep is not None),
        ("--experiment or --filter", experiment is not None or condition is not None),
    ]
    given = [name for name, is_given in ways if is_given]
    if len(given) != 1:
        found = " and ".join(given) + " were given" if given else "none was given"
        raise SettingsError(f"name the runs in one way: RUN_ID…, --sweep, or --experiment with --filter; {found}")


def _named(settings: TrackingSettings, run_ids: Sequence[str]) -> Selection:
    named: dict[str, StoredRun] = {}  # By their ids: a model's name may mean a run that was named, too.
    problems = []
    for reference in dict.fromkeys(run_ids):
        try:
            run = references.find(settings, reference)
        except SettingsError as error:
            problems += error.problems
            continue
        if run.is_sweep:
            problems.append(f"run {run.run_id} is a sweep: report on its runs with --sweep {run.run_id}")
        elif not run.key:
            problems.append(f"run {run.run_id} is not a run of mnist_exp")
        named[run.run_id] = run
    if problems:
        raise SettingsError(problems)
    first = next(iter(named.values()))
    more = f"-and-{len(named) - 1}-more-{_digest(*sorted(named))}" if len(named) > 1 else ""
    title = f"run {first.name}" if len(named) == 1 else f"{len(named)} runs"
    return Selection(_plain(title), first.run_id[:8] + more, list(named.values()), None, first.uri)


def _of_sweep(settings: TrackingSettings, sweep: str) -> Selection:
    parent = references.find(settings, sweep)
    if not parent.is_sweep:
        raise SettingsError(f"--sweep={sweep} is no sweep, but a run: report on it without --sweep")
    children = runs.of_sweep(parent)
    if not children:
        raise SettingsError(f"--sweep={sweep} has no runs yet")
    return Selection(_plain(parent.name), f"sweep-{parent.run_id[:8]}", children, parent, parent.uri)


def _of_experiment(settings: TrackingSettings, experiment: str, condition: str) -> Selection:
    met = runs.search(dataclasses.replace(settings, experiment=experiment), condition)
    found = [run for run in met if run.key]
    where = f"experiment {experiment}" + (f" where {condition}" if condition else "")
    if not found:
        raise SettingsError(f"there is no run of mnist_exp in {where}")
    short = re.sub(r"[^\w-]+", "-", experiment, flags=re.ASCII).strip("-")[:60] or "experiment"
    short += f"-{_digest(condition)}" if condition else ""
    return Selection(_plain(where), short, found, None, found[0].uri)


def _digest(*texts: str) -> str:
    """Return what tells one selection from another in the name of a folder."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:6]


def _plain(text: str, longest: int = _LONGEST) -> str:
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return errors.printable(cut)
