"""What every job of a sweep is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mnist_exp.search.study import Study


@dataclass(frozen=True)
class NumberedJob:
    """One job of a sweep.

    Args:
        number: among all of the sweep, from 0.
        overrides: that lead to its configuration.
    """

    number: int
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Assignment:
    """What every job of a sweep is told; small and picklable, for it travels with each.

    Args:
        sweep_id: tells this sweep from any other that the process may have worked for.
        folder: where events are written.
        parent: run id of the sweep, if it is recorded.
        keys: the options that differ between jobs.
        study: where a search keeps its trials.
        deadline: no trial starts later, seconds since 1970.
        config_dir: a folder of the user's with groups of their own.
        fixed: overrides that all trials of a search have, as they were written.
        common: what decides the results of its trials, as `job_key.common` says.
        groups: of jobs that are trained together, one for each that a launcher starts; empty where it starts each job
            by itself.
    """

    sweep_id: str
    folder: Path
    parent: str | None
    keys: tuple[str, ...]
    study: Study | None = None
    deadline: float | None = None
    config_dir: str | None = None
    fixed: tuple[str, ...] = ()
    common: Mapping[str, str | None] = field(default_factory=dict)
    groups: tuple[tuple[NumberedJob, ...], ...] = ()
