"""One job of a Hydra launcher, in whatever process it carries it to."""

import os
import sys
from typing import NoReturn

from hydra import version
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobRuntime, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from mnist_exp.errors import MnistExpError
from mnist_exp.stopping import Terminated, end_on_signals

Told = tuple[HydraContext, TaskFunction, DictConfig]


class JobLostError(MnistExpError):
    """The process of a job ended, or was ended, before the job did."""


def run(job: int, overrides: list[str], told: Told) -> JobReturn:
    """Compose and run one job, as Hydra's own launchers do.

    Args:
        job: its number.
        overrides: that lead to it.
        told: what Hydra needs to compose it, what it calls with the configuration, and the sweep's configuration.
    """
    end_on_signals()
    hydra_context, task_function, config = told
    setup_globals()
    version.setbase("1.3")
    JobRuntime.instance().set("name", config.hydra.job.name)
    composed = hydra_context.config_loader.load_sweep_config(config, overrides)
    with open_dict(composed):
        composed.hydra.job.id = composed.hydra.job.num = job
    HydraConfig.instance().set_config(composed)
    done = run_job(
        hydra_context=hydra_context,
        task_function=task_function,
        config=composed,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    done.cfg = done.hydra_cfg = None  # Nobody asks for them, and they are large.
    return done


def leave(ended: Terminated) -> NoReturn:
    """End this process with the code of a signal: what was to be recorded is, and no other job may begin in it."""
    sys.stderr.flush()
    os._exit(int(ended.code or 1) if isinstance(ended.code, int) else 1)
