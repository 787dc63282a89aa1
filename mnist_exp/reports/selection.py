"""The choice of runs for a report: by run id, by sweep, or by experiment and filter."""

import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mnist_exp import errors
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import SettingsError
from mnist_exp.tracking import names, references, runs
from mnist_exp.tracking.runs import StoredRun

MOST_RUNS = 10_000
_LONGEST, _LONGEST_COMMAND = 300, 2000  # characters


@dataclass(frozen=True)
class Selection:
    """The runs of a report.

    Args:
        title: name of the selection, for people.
        short: name of the selection as the name of a folder.
        runs: oldest first, or in the order of their ids on the command line. Their texts are printable and short.
        parent: the parent run of the sweep, if a sweep was chosen.
        uri: address of the tracking store.
        sweeps: run id → names of the sweeps that it belongs to, where several were chosen; else empty.
    """

    title: str
    short: str
    runs: Sequence[StoredRun]
    parent: StoredRun | None
    uri: str
    sweeps: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def raced_from(self) -> str:
        """The first seed of the search that raced the runs over seeds; empty where there is none."""
        return self.parent.tags.get(names.RACED_FROM, "") if self.parent is not None else ""


def select(
    settings: TrackingSettings,
    run_ids: Sequence[str] = (),
    *,
    sweeps: Sequence[str] = (),
    experiment: str | None = None,
    condition: str | None = None,
    may_be_empty: bool = False,
) -> Selection:
    """Return the runs for a report. Imports MLflow.

    Exactly one of three must be given: `run_ids`, `sweeps`, or `experiment` and/or `condition`.

    Args:
        settings: the tracking store.
        run_ids: run ids, or names of registered models.
        sweeps: ids of sweeps' parent runs.
        experiment: name of an experiment; default with a condition: the one of `settings`.
        condition: filter in MLflow's syntax, for the runs of the experiment.
        may_be_empty: whether sweeps without a run are chosen too.
    Raises: SettingsError: none or several of the three are given, or there are no such runs.
    """
    _check(run_ids, sweeps, experiment, condition)
    if sweeps:
        selection = _together([_of_sweep(settings, each, may_be_empty) for each in dict.fromkeys(sweeps)])
    elif run_ids:
        selection = _named(settings, run_ids)
    else:
        selection = _of_experiment(settings, experiment or settings.experiment, condition or "")
    count = len(selection.runs)
    if count > MOST_RUNS:
        raise SettingsError(f"{count:,} runs are too many for one page, at most {MOST_RUNS:,} fit: use --filter")
    return dataclasses.replace(selection, runs=[printable(run) for run in selection.runs])


def printable(run: StoredRun) -> StoredRun:
    """Return a run with all texts printable and not too long, since they may come from another person."""
    tags = {
        key: _plain(value, _LONGEST_COMMAND if key == names.COMMAND else _LONGEST) for key, value in run.tags.items()
    }
    params = {_plain(key): _plain(value) for key, value in run.params.items()}
    metrics = {_plain(key): value for key, value in run.metrics.items()}
    return dataclasses.replace(run, name=_plain(run.name, 100), params=params, metrics=metrics, tags=tags)


def _check(run_ids: Sequence[str], sweeps: Sequence[str], experiment: str | None, condition: str | None) -> None:
    ways = [
        ("RUN_ID", bool(run_ids)),
        ("--sweep", bool(sweeps)),
        ("--experiment or --filter", experiment is not None or condition is not None),
    ]
    given = [name for name, is_given in ways if is_given]
    if len(given) != 1:
        what = " and ".join(given) + " were given" if given else "none was given"
        raise SettingsError(f"choose the runs in one way: RUN_ID…, --sweep, or --experiment with --filter; {what}")


def _named(settings: TrackingSettings, run_ids: Sequence[str]) -> Selection:
    named: dict[str, StoredRun] = {}  # By id: a model name can mean a run that was also named by its id.
    problems = []
    for reference in dict.fromkeys(run_ids):
        try:
            run = references.find(settings, reference)
        except SettingsError as error:
            problems += error.problems
            continue
        if run.is_sweep:
            problems.append(f"run {run.run_id} is a sweep: to report on its runs, use --sweep {run.run_id}")
        elif not run.key:
            problems.append(f"run {run.run_id} is not a run of mnist_exp")
        named[run.run_id] = run
    if problems:
        raise SettingsError(problems)
    first = next(iter(named.values()))
    more = f"-and-{len(named) - 1}-more-{_digest(*sorted(named))}" if len(named) > 1 else ""
    title = f"run {first.name}" if len(named) == 1 else f"{len(named)} runs"
    return Selection(_plain(title), first.run_id[:8] + more, list(named.values()), None, first.uri)


def _of_sweep(settings: TrackingSettings, sweep: str, may_be_empty: bool) -> Selection:
    parent = references.find(settings, sweep)
    if not parent.is_sweep:
        raise SettingsError(f"--sweep={sweep} is a single run, not a sweep: to report on it, leave out --sweep")
    children = runs.of_sweep(parent)
    if not children and not may_be_empty:
        raise SettingsError(f"--sweep={sweep} has no runs yet")
    return Selection(_plain(parent.name), f"sweep-{parent.run_id[:8]}", children, parent, parent.uri)


def _together(selections: Sequence[Selection]) -> Selection:
    """Return the runs of several sweeps as one selection, each run once; the report belongs to none of them."""
    by_parent = {each.parent.run_id: each for each in selections if each.parent is not None}
    first, *others = by_parent.values()
    if not others:
        return first
    found = {run.run_id: run for each in by_parent.values() for run in each.runs}
    titles = [each.title for each in by_parent.values()]
    sweeps: dict[str, list[str]] = {}
    for parent, each in by_parent.items():
        name = each.title if titles.count(each.title) == 1 else f"{each.title} ({parent[:8]})"
        for run in each.runs:
            sweeps.setdefault(run.run_id, []).append(name)
    short = f"{first.short}-and-{len(others)}-more-{_digest(*sorted(by_parent))}"
    return Selection(_plain(" and ".join(titles)), short, list(found.values()), None, first.uri, sweeps)


def _of_experiment(settings: TrackingSettings, experiment: str, condition: str) -> Selection:
    matches = runs.search(dataclasses.replace(settings, experiment=experiment), condition)
    own = [run for run in matches if run.key]
    where = f"experiment {experiment}" + (f" where {condition}" if condition else "")
    if not own:
        raise SettingsError(f"there is no run of mnist_exp in {where}")
    short = re.sub(r"[^\w-]+", "-", experiment, flags=re.ASCII).strip("-")[:60] or "experiment"
    short += f"-{_digest(condition)}" if condition else ""
    return Selection(_plain(where), short, own, None, own[0].uri)


def _digest(*texts: str) -> str:
    """Return six hex digits, so that different selections get different folders."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:6]


def _plain(text: str, longest: int = _LONGEST) -> str:
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return errors.printable(cut)
