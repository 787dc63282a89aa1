"""The plan of a sweep: all its jobs, composed and checked before the first one starts."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mnist_exp.composition import compose, preflight
from mnist_exp.composition.compose import PointComposer
from mnist_exp.composition.preflight import find_problems
from mnist_exp.config import wording
from mnist_exp.config.schema import Settings
from mnist_exp.data import Dataset
from mnist_exp.errors import SettingsError
from mnist_exp.experiment import provenance
from mnist_exp.experiment.job_key import common, job_key
from mnist_exp.search.space import Space, label
from mnist_exp.sweeps import grouping

_MOST_MISTAKEN = 10  # jobs with a mistake, then checking stops: finding the mistakes of a job takes half a second


@dataclass(frozen=True)
class Planned:
    """One job of the plan.

    Args:
        overrides: all overrides of the job.
        name: the swept options that make this job differ from the others, such as `filters=16`.
        key: its job key.
        epochs: number of epochs that it trains.
        command: the command that runs this job alone.
        program: digest of its program; jobs with the same one can be trained together. None if it is trained alone.
        why_alone: the option because of which it must be trained alone; None if there is none.
    """

    overrides: tuple[str, ...]
    name: str
    key: str
    epochs: int
    command: str
    program: str | None = None
    why_alone: str | None = None


@dataclass(frozen=True)
class Plan:
    """What a sweep is going to run.

    Args:
        space: the options that it varies.
        jobs: of a grid, each different job once; of a search, empty.
        settings: of the first job; what does not vary is the same in all jobs.
        common: of a search, the settings that decide the results of all its trials: see `job_key.common`.
        data_sha256: digest of the first job's data.
        on_test: whether any job is validated on the test set.
        validated_on: number of images that the first job is validated on.
        repeated: number of points of the grid that are the same job as another point.
    """

    space: Space
    jobs: tuple[Planned, ...]
    settings: Settings
    common: Mapping[str, str | None]
    data_sha256: str
    on_test: bool
    validated_on: int
    repeated: int = 0


def make(space: Space, config_dir: str | None, *, is_search: bool, together: bool = False) -> Plan:
    """Make the plan of a sweep: load the data, and check every job of a grid, or every corner of a search space.

    Args:
        space: the options that the sweep varies.
        config_dir: the user's folder with configuration groups; None if there is none.
        is_search: whether the sweep is a search; else a grid.
        together: whether to find out which jobs can be trained together.
    Raises: SettingsError: jobs have mistakes; each mistake is named once, with the first job that has it.
    """
    points = list(space.corners() if is_search else space.grid())
    settings = _check(points, config_dir, "corner" if is_search else "job")
    if len(threads := dict.fromkeys(each.trainer.threads for each in settings)) > 1:
        raise SettingsError(
            f"trainer.threads={','.join(map(wording.text, threads))}: TensorFlow cannot change its number of threads "
            "in a running process, and each process of a sweep runs several jobs: start one sweep for each number"
        )
    if len(names := dict.fromkeys(each.trainer.backend for each in settings)) > 1:
        raise SettingsError(
            f"trainer.backend={','.join(map(wording.text, names))}: Keras cannot change its backend in a running "
            "process, and each process of a sweep runs several jobs: start one sweep for each backend"
        )
    data = _check_data(settings, points, space)
    jobs: dict[str, Planned] = {}
    for overrides, each, (digest, _) in zip(points, settings, data, strict=True):
        key = job_key(each, digest)
        command = provenance.command_of(overrides, config_dir)
        if key not in jobs:
            facts = label(overrides, space.keys), key, each.trainer.epochs, command
            program, alone = None, None
            if together:
                program, alone = grouping.program(each, digest), grouping.why_alone(each)
            jobs[key] = Planned(tuple(overrides), *facts, program, alone)
    return Plan(
        space,
        () if is_search else tuple(jobs.values()),
        settings[0],
        common(settings) if is_search else {},
        data[0][0],
        any(each.data.validation == "test" for each in settings),
        data[0][1],
        0 if is_search else len(points) - len(jobs),
    )


def _check(points: Sequence[Sequence[str]], config_dir: str | None, word: str) -> list[Settings]:
    problems: dict[str, str] = {}
    checked: list[Settings] = []
    mistaken = 0
    with compose.composer(config_dir) as loader:
        composer = PointComposer(loader)
        for number, overrides in enumerate(points, start=1):
            try:
                settings, of_job = find_problems(composer.compose(overrides), overrides)
            except SettingsError as error:
                settings, of_job = None, error.problems
            for problem in of_job:
                problems.setdefault(problem, f"{word} {number} of {len(points)}: {problem}")
            if settings is not None:
                checked.append(settings)
            mistaken += bool(of_job)
            if mistaken == _MOST_MISTAKEN and number < len(points):
                problems["rest"] = (
                    f"{len(points) - number:,} more {word}s were not checked: {mistaken} have mistakes already"
                )
                break
    if problems:
        raise SettingsError(list(problems.values()))
    return checked


def _check_data(settings: Sequence[Settings], points: Sequence[Sequence[str]], space: Space) -> list[tuple[str, int]]:
    """Return the data digest and the number of validation images of each job; each data set is loaded only once."""
    checked: list[tuple[str, int]] = []
    loaded: dict[str, Dataset] = {}
    validated_on: dict[str, int] = {}
    refused: set[str] = set()  # Not tried again: another try would fail too, and may wait for a network.
    problems: dict[str, str] = {}
    for each, overrides in zip(settings, points, strict=True):
        loader = json.dumps([each.data.name, each.data.loader.target, each.data.loader.arguments], default=str)
        uses = json.dumps([loader, each.data.limit, each.data.validation, dataclasses.asdict(each.model)], default=str)
        if loader in refused:
            continue
        try:
            if uses not in validated_on:
                loaded[loader], split = preflight.load_data(each, loaded.get(loader))
                validated_on[uses] = len(split.y_val)
        except SettingsError as error:
            if loader not in loaded:
                refused.add(loader)
            name = label(overrides, space.keys)
            for problem in error.problems:
                problems.setdefault(problem, f"{name}: {problem}" if name else problem)
            continue
        checked.append((loaded[loader].sha256, validated_on[uses]))
    if problems:
        raise SettingsError(list(problems.values()))
    return checked
