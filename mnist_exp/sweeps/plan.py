"""Every job of a sweep, composed and checked before the first one starts."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mnist_exp.composition import compose, preflight
from mnist_exp.composition.compose import PointComposer
from mnist_exp.composition.preflight import find_problems
from mnist_exp.config import fields
from mnist_exp.config.schema import Settings
from mnist_exp.data import Dataset
from mnist_exp.errors import SettingsError
from mnist_exp.experiment import provenance
from mnist_exp.experiment.job_key import common, job_key
from mnist_exp.search.space import Space, label
from mnist_exp.sweeps import grouping

_MOST_MISTAKEN = 10  # jobs that are looked into: with a mistake in it each takes half a second


@dataclass(frozen=True)
class Planned:
    """One job to be.

    Args:
        overrides: that lead to it.
        name: what is special about it.
        key: its job key.
        epochs: how many it trains.
        command: that runs it alone.
        program: what it has in common with jobs that it may be trained together with; None where it may not.
        why_alone: the option for which it may not.
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
    """What a sweep is going to do.

    Args:
        space: that it goes through.
        jobs: of a grid, each point once; of a search, empty.
        settings: of its first job, which stands for what all have in common.
        common: of a search, what decides the results of its trials, as `job_key.common` says.
        data_sha256: digest of the first job's data.
        on_test: whether jobs are validated on the test set.
        validated_on: number of images that the first job is validated on.
        repeated: how many points of the grid were the same job as another one.
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
    """Return the plan, its data fetched, every combination or every corner checked against configuration and data.

    Args:
        space: that is gone through.
        config_dir: a folder of the user's with groups of their own.
        is_search: whether it is searched.
        together: whether to find out which jobs may be trained together.
    Raises: SettingsError: each mistake once, with the first job that makes it.
    """
    points = list(space.corners() if is_search else space.grid())
    settings = _check(points, config_dir, "corner" if is_search else "job")
    if len(threads := dict.fromkeys(each.trainer.threads for each in settings)) > 1:
        raise SettingsError(
            f"trainer.threads={','.join(map(fields.text, threads))}: TensorFlow cannot change its threads in a "
            "process, and a sweep's do one job after the other: issue a sweep for each number"
        )
    if len(names := dict.fromkeys(each.trainer.backend for each in settings)) > 1:
        raise SettingsError(
            f"trainer.backend={','.join(map(fields.text, names))}: Keras keeps its backend in a process, and a sweep's "
            "do one job after the other: issue a sweep for each"
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
                settings, found = find_problems(composer.compose(overrides), overrides)
            except SettingsError as error:
                settings, found = None, error.problems
            for problem in found:
                problems.setdefault(problem, f"{word} {number} of {len(points)}: {problem}")
            if settings is not None:
                checked.append(settings)
            mistaken += bool(found)
            if mistaken == _MOST_MISTAKEN and number < len(points):
                problems["rest"] = f"{len(points) - number:,} more {word}s were not checked: {mistaken} are mistaken"
                break
    if problems:
        raise SettingsError(list(problems.values()))
    return checked


def _check_data(settings: Sequence[Settings], points: Sequence[Sequence[str]], space: Space) -> list[tuple[str, int]]:
    """Load each data set once, and make each split of it once; return the digest and validation size of each job."""
    found: list[tuple[str, int]] = []
    loaded: dict[str, Dataset] = {}
    validated_on: dict[str, int] = {}
    refused: set[str] = set()  # It would be no other time, and may have to wait for a network.
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
        found.append((loaded[loader].sha256, validated_on[uses]))
    if problems:
        raise SettingsError(list(problems.values()))
    return found
