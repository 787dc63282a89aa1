"""One job of a sweep, in whatever process a launcher starts it: what Hydra calls for each point or trial."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mnist_exp.composition import hydra_section
from mnist_exp.jobs import events, group, trial
from mnist_exp.jobs.assignment import Assignment, NumberedJob
from mnist_exp.jobs.attempt import NO_RESULT, Attempt
from mnist_exp.jobs.collection import collected
from mnist_exp.runtime import signals, start_folder


@dataclass
class Task:
    """What a launcher calls for each job. It gets its assignment after the launcher is made, before it launches."""

    assignment: Assignment | None = None

    def __call__(self, config: DictConfig) -> float:
        """Run one job."""
        assert self.assignment is not None
        # The time that `${now:…}` means; HydraConfig copies the rest only.
        of_hydra: Any = HydraConfig.instance().cfg
        OmegaConf.copy_cache(from_config=config, to_config=of_hydra)
        with start_folder.started_in(HydraConfig.get().runtime.cwd):
            return run_job(self.assignment, config)


def run_job(assignment: Assignment, config: DictConfig) -> float:
    """Run one point, or the next trial, and return its objective; NaN where there is none.

    Errors are reported to the sweep and not raised: Hydra's launchers would give up the other jobs.
    """
    hydra = HydraConfig.get()
    number = int(hydra.job.num)
    alone = NumberedJob(number, tuple(hydra_section.written(hydra, "task")))
    jobs = assignment.groups[number] if assignment.groups else (alone,)
    attempts = [Attempt(assignment, events.Writer(assignment.folder, job.number), job.overrides) for job in jobs]
    late = assignment.deadline is not None and time.time() > assignment.deadline
    # A trial that was begun in time may end, also where its machine was lost or it was put back into a queue.
    late = late and events.begun(assignment.folder, trial.begun_key(number)) is None
    if late or events.is_given_up(assignment.folder):
        for attempt in attempts:
            attempt.out.write("skipped")
        return NO_RESULT
    return _run(assignment, attempts, config)


def _run(assignment: Assignment, attempts: Sequence[Attempt], config: DictConfig) -> float:
    if assignment.study is not None:
        # It composes anew: in Hydra's configuration, what follows a searched option has its value already.
        return trial.run(assignment, assignment.study, attempts[0].out)
    with collected():
        if len(attempts) > 1:
            group.run(attempts)
        else:
            attempts[0].run(lambda: attempts[0].check(config))
    signals.check()  # It came while the job's end was recorded.
    return NO_RESULT if len(attempts) > 1 else attempts[0].objective
