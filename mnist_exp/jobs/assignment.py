"""What the launching process gives to every job of a sweep."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mnist_exp.composition.hydra_section import Alone
from mnist_exp.jobs.crew import Idle
from mnist_exp.jobs.sharing import Reuse
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
    """What every job of a sweep gets; small and picklable, since it is sent with each job.

    Args:
        sweep_id: unique among the sweeps that a worker process may have worked for.
        folder: where events are written.
        parent: run id of the sweep, if it is recorded.
        keys: options that differ between jobs.
        study: where a search keeps its trials.
        reuse: the option `sweep.reuse`.
        deadline: time after which no trial starts, seconds since 1970.
        config_dir: the user's folder of configuration files.
        fixed: overrides that all trials of a search share, as written.
        common: what decides the results of its trials, as `job_key.common` says.
        groups: of jobs that are trained together, one for each job of the launcher; empty if each is trained alone.
        run_name: `tracking.run_name` where it is the same in all jobs, which is the name of the sweep.
        alone: what a command of its own needs, beside a job's overrides, to be the same experiment.
        idle: the CPUs that no worker uses, if there are any.
        most_failures: how many of these jobs may fail, and others still begin; None for any number.
    """

    sweep_id: str
    folder: Path
    parent: str | None
    keys: tuple[str, ...]
    study: Study | None = None
    reuse: Reuse = False
    deadline: float | None = None
    config_dir: str | None = None
    fixed: tuple[str, ...] = ()
    common: Mapping[str, str | None] = field(default_factory=dict)
    groups: tuple[tuple[NumberedJob, ...], ...] = ()
    run_name: str | None = None
    alone: Alone = field(default_factory=Alone)
    idle: Idle | None = None
    most_failures: int | None = None
