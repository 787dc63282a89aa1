"""Groups of jobs that can be trained together: jobs of one program, which differ only in some numbers.

A program is what JAX compiles: the training step of a model. Jobs of the same program differ only in the numbers that
are inputs of it.
"""

from collections.abc import Hashable, Sequence
from typing import Any, TypeVar

from mnist_exp.config import optimizers
from mnist_exp.config.nested import digest
from mnist_exp.config.schema import Settings
from mnist_exp.experiment.job_key import result_config

MAY_DIFFER = "seed, optimizer.learning_rate, optimizer.weight_decay and the model's dropout"
_RATES = ("learning_rate", "weight_decay")
# Options of Keras's optimizers with which a step does more than to change the weights.
_MORE_THAN_STEPS = ("gradient_accumulation_steps", "loss_scale_factor", "ema_overwrite_frequency")
_Job = TypeVar("_Job")


def program(settings: Settings, data_sha256: str) -> str | None:
    """Return the digest of a job's program: jobs with the same digest can be trained together.

    Args:
        settings: of the job.
        data_sha256: digest of the job's data.
    Returns: SHA-256 in hex; None if the job must be trained alone.
    """
    if why_alone(settings) is not None:
        return None
    config = result_config(settings) | {"seed": None}
    inputs = {
        "model": {name for name, value in settings.model.arguments.items() if "dropout" in name and _is_input(value)},
        "optimizer": {n for n in _RATES if _is_input(settings.optimizer.arguments.get(n))},
    }
    for group, names in inputs.items():
        config[group] = {n: value for n, value in config[group].items() if n not in names} | {"inputs": sorted(names)}
    return digest([config, data_sha256])


def why_alone(settings: Settings) -> str | None:
    """Return the option because of which a job must be trained alone, such as `trainer.devices=2`; None if none."""
    trainer, optimizer = settings.trainer, settings.optimizer
    if trainer.devices != 1:
        return f"trainer.devices={trainer.devices}"
    if trainer.precision == "mixed_float16":
        return f"trainer.precision={trainer.precision}"
    if not optimizer.target.startswith(f"{optimizers.PACKAGE}."):
        return f"optimizer._target_={optimizer.target}"
    for name in _MORE_THAN_STEPS:
        if optimizer.arguments.get(name) is not None:
            return f"optimizer.{name}={optimizer.arguments[name]}"
    return None


def groups(jobs: Sequence[_Job], programs: Sequence[Hashable | None], at_most: int) -> list[list[_Job]]:
    """Split jobs into groups that can be trained together.

    Args:
        jobs: all jobs, in order.
        programs: the program of each job; a job with None gets a group of its own.
        at_most: largest number of jobs in a group.
    Returns: the groups, in the order of their first jobs. Groups of the same program differ in size by one job at most.
    """
    by_program: dict[Any, list[_Job]] = {}
    for number, (job, each) in enumerate(zip(jobs, programs, strict=True)):
        by_program.setdefault((number,) if each is None else each, []).append(job)
    made = []
    for members in by_program.values():
        count = -(-len(members) // at_most)
        size, longer = divmod(len(members), count)
        start = 0
        for number in range(count):
            end = start + size + (number < longer)
            made.append(members[start:end])
            start = end
    return made


def _is_input(value: Any) -> bool:
    """Tell whether a value can be an input of the program; Keras builds another program for zero or None."""
    return isinstance(value, float) and value > 0
