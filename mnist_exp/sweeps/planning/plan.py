"""The plan of a sweep: all its jobs, composed and checked before the first one starts."""

import contextlib
import dataclasses
import hashlib
import json
import operator
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from omegaconf import DictConfig

from mnist_exp.composition import compose, preflight
from mnist_exp.composition.hydra_section import Alone
from mnist_exp.composition.points import PointComposer
from mnist_exp.config import input_files, wording
from mnist_exp.config.schema import Settings
from mnist_exp.data import Dataset
from mnist_exp.errors import SettingsError
from mnist_exp.experiment import provenance
from mnist_exp.experiment.job_key import common, job_key
from mnist_exp.runtime.redaction import redact, redact_many
from mnist_exp.search.space import Space, label
from mnist_exp.sweeps.planning import grouping
from mnist_exp.tracking.names import SEED

_SAME_FOR_ALL = (
    "tracking.store", "tracking.uri", "tracking.experiment", "tracking.local_dir", "tracking.keep_models",
    "tracking.notify", "objective", "direction",
)  # fmt: skip
_MOST_MISTAKEN = 10  # jobs with a mistake, then checking stops: finding the mistakes of a job takes half a second


@dataclass(frozen=True)
class Planned:
    """One job of the plan.

    Args:
        overrides: all overrides of the job.
        name: the swept options that make this job differ from the others, such as `filters=16`.
        key: its job key.
        number: of its point in the grid, from 0: `${hydra:job.num}`, whichever jobs are left to do.
        epochs: number of epochs that it trains.
        command: the command that runs this job alone.
        program: digest of its program; jobs with the same one can be trained together. None if it is trained alone.
        why_alone: the option because of which it must be trained alone; None if there is none.
    """

    overrides: tuple[str, ...]
    name: str
    key: str
    number: int
    epochs: int
    command: str
    program: str | None = None
    why_alone: str | None = None


@dataclass(frozen=True)
class Sample:
    """One job as it is composed, and the data that it uses, for its price.

    Args:
        settings: of it.
        data_sha256: digest of its data.
        trained_on: number of images that it is trained on.
        validated_on: number of images that it is validated on.
        tested_on: number of images that it is tested on.
    """

    settings: Settings
    data_sha256: str
    trained_on: int
    validated_on: int
    tested_on: int


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
        run_name: `tracking.run_name` where it is the same in all jobs; else each job has its own.
        alone: what a command of its own needs, beside a job's overrides, to be the same experiment.
        files: SHA-256 of each file that a builder of any job reads, with the option that names it.
        data_bytes: that the largest data set of the jobs has in memory.
        samples: of a grid, each of `jobs`, where that was asked for; of a search, the corners of its space.
    """

    space: Space
    jobs: tuple[Planned, ...]
    settings: Settings
    common: Mapping[str, str | None]
    data_sha256: str
    on_test: bool
    validated_on: int
    repeated: int = 0
    run_name: str | None = None
    alone: Alone = field(default_factory=Alone)
    files: tuple[str, ...] = ()
    data_bytes: int = 0
    samples: tuple[Sample, ...] = ()


def make(
    space: Space,
    config_dir: str | None,
    sweep: DictConfig | None = None,
    *,
    is_search: bool,
    together: bool = False,
    keep: bool = False,
) -> Plan:
    """Make the plan of a sweep: load the data, and check every job of a grid, or every corner of a search space.

    Args:
        space: the options that the sweep varies.
        config_dir: the user's folder with configuration groups; None if there is none.
        sweep: the configuration of the sweep, with what the section `hydra` has in all its jobs.
        is_search: whether the sweep is a search; else a grid.
        together: whether to find out which jobs can be trained together.
        keep: whether to keep the settings of each job, which take much memory where there are many.
    Raises: SettingsError: jobs have mistakes; each mistake is named once, with the first job that has it.
    """
    points = list(space.corners() if is_search else space.grid())
    settings, asks_number = _check(points, config_dir, sweep, "corner" if is_search else "job")
    alone = Alone.of(sweep, is_numbered=asks_number) if sweep is not None else Alone()
    _check_same(settings)
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
    samples: dict[str, Sample] = {}
    hide = redact_many()
    for number, (overrides, each, of_it) in enumerate(zip(points, settings, data, strict=True)):
        key = job_key(each, of_it.sha256)
        command = provenance.command_of(alone.overrides(overrides, number), config_dir, hide)
        if key not in jobs:
            if keep:
                samples[key] = Sample(each, of_it.sha256, of_it.trained_on, of_it.validated_on, of_it.tested_on)
            facts = label(overrides, space.keys), key, number, each.trainer.epochs, command
            program, why = None, None
            if together:
                program, why = grouping.program(each, of_it.sha256), grouping.why_alone(each)
            jobs[key] = Planned(tuple(overrides), *facts, program, why)
    files = {f"{name}={file.sha256}" for each in settings for name, file in input_files.all_of(each).items()}
    return Plan(
        space,
        () if is_search else tuple(jobs.values()),
        settings[0],
        common(settings) | ({SEED: None} if space.seeds else {}) if is_search else {},
        data[0].sha256,
        any(each.is_on_test for each in data),
        data[0].validated_on,
        0 if is_search else len(points) - len(jobs),
        settings[0].tracking.run_name if len({each.tracking.run_name for each in settings}) == 1 else None,
        alone,
        tuple(sorted(files)),
        max(each.data_bytes for each in data),
        tuple(samples.values()),
    )


def _check(
    points: Sequence[Sequence[str]], config_dir: str | None, sweep: DictConfig | None, word: str
) -> tuple[list[Settings], bool]:
    """Return the settings of each point, and whether any asks for its number."""
    problems: dict[str, str] = {}
    checked: list[Settings] = []
    known: dict[bytes, Any] = {}
    mistaken = 0
    with compose.composer(config_dir) as loader:
        composer = PointComposer(loader, sweep)
        for number, overrides in enumerate(points, start=1):
            try:
                settings, of_job = composer.check(overrides, number - 1)
            except SettingsError as error:
                settings, of_job = None, error.problems
            for problem in of_job:
                problems.setdefault(problem, f"{word} {number} of {len(points)}: {problem}")
            if settings is not None:
                checked.append(_sharing(settings, known))
            mistaken += bool(of_job)
            if mistaken == _MOST_MISTAKEN and number < len(points):
                problems["rest"] = (
                    f"{len(points) - number:,} more {word}s were not checked: {mistaken} have mistakes already"
                )
                break
    if problems:
        raise SettingsError(list(problems.values()))
    return checked, composer.asks_number


def _sharing(settings: Settings, known: dict[bytes, Any]) -> Settings:
    """Return settings with the sections of earlier ones where these are the same: of 10,000 jobs they take 30 MB.

    Args:
        settings: of a job.
        known: sections of earlier ones by what they contain, types included: 1 is not True. The new ones are added.
    """
    sections = {name: value for name, value in vars(settings).items() if dataclasses.is_dataclass(value)}
    content = {name: hashlib.sha256(pickle.dumps(value)).digest() for name, value in sections.items()}
    shared = {name: known.setdefault(content[name], value) for name, value in sections.items()}
    return dataclasses.replace(settings, **shared)


def _check_same(settings: Sequence[Settings]) -> None:
    """Make sure that all jobs are recorded in one place and ranked by one number.

    Raises: SettingsError: an interpolation makes them differ; or an option does, which is swept over.
    """
    problems = []
    for name in _SAME_FOR_ALL:
        values = [operator.attrgetter(name)(each) for each in settings]
        if len(different := dict.fromkeys(values)) > 1:
            shown = ", ".join(redact(wording.text(value)) for value in list(different)[:3])
            problems.append(f"{name} must be the same in all jobs of a sweep, not {shown}")
    if problems:
        raise SettingsError(problems)


class _Data(NamedTuple):
    """Of one job's data: digest, how many images of each kind, whether validation is on the test images, bytes."""

    sha256: str
    trained_on: int
    validated_on: int
    is_on_test: bool
    tested_on: int
    data_bytes: int


def _check_data(settings: Sequence[Settings], points: Sequence[Sequence[str]], space: Space) -> list["_Data"]:
    """Return what is to be known of each job's data.

    Each data set is loaded only once.
    """
    checked: list[_Data] = []
    loaded: dict[str, Dataset] = {}
    counts: dict[str, tuple[int, int, bool]] = {}
    refused: set[str] = set()  # Not tried again: another try would fail too, and may wait for a network.
    problems: dict[str, str] = {}
    for each, overrides in zip(settings, points, strict=True):
        loader = json.dumps([each.data.name, each.data.loader.target, each.data.loader.arguments], default=str)
        uses = json.dumps(
            [
                loader,
                each.data.limit,
                each.data.validation,
                each.data.reporting,
                dataclasses.asdict(each.model),
                dataclasses.asdict(each.augment),
            ],
            default=str,
        )
        if loader in refused:
            continue
        try:
            if uses not in counts:
                loaded[loader], split = preflight.load_data(each, loaded.get(loader))
                counts[uses] = len(split.y_train), len(split.y_val), split.validated_on_test
        except SettingsError as error:
            if loader not in loaded:
                refused.add(loader)
            name = label(overrides, space.keys)
            for problem in error.problems:
                problems.setdefault(problem, f"{name}: {problem}" if name else problem)
            continue
        data = loaded[loader]
        checked.append(_Data(data.sha256, *counts[uses], len(data.y_test), data.bytes_in_memory))
    if problems:
        raise SettingsError(list(problems.values()))
    return checked


def sampled(points: Sequence[Sequence[str]], space: Space, config_dir: str | None, sweep: DictConfig) -> list[Sample]:
    """Return points of a space as jobs; those that have a mistake are left out.

    Args:
        points: overrides of each.
        space: that they are of.
        config_dir: the user's folder with configuration groups; None if there is none.
        sweep: the configuration of the sweep.
    """
    found: list[tuple[Sequence[str], Settings]] = []
    with compose.composer(config_dir) as loader:
        composer = PointComposer(loader, sweep)
        for number, overrides in enumerate(points):
            with contextlib.suppress(SettingsError):
                settings, problems = composer.check(overrides, number)
                if settings is not None and not problems:
                    found.append((overrides, settings))
    try:
        data = _check_data([each for _, each in found], [overrides for overrides, _ in found], space)
    except SettingsError:
        return []
    return [
        Sample(each, of_it.sha256, of_it.trained_on, of_it.validated_on, of_it.tested_on)
        for (_, each), of_it in zip(found, data, strict=True)
    ]
