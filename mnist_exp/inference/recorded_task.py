"""The task of a recorded run, without its data."""

from collections.abc import Sequence
from typing import Any

from mnist_exp.config import components
from mnist_exp.config.allow_list import within
from mnist_exp.errors import SettingsError
from mnist_exp.tasks import builders
from mnist_exp.tasks.task import Task
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

AUTO = f"{builders.__name__}.auto"
_BEFORE = "classification"  # Runs of before there was a choice.


def section(run: StoredRun) -> dict[str, Any]:
    """Return the configuration of a run's task, as it was resolved: not `auto`, but what the labels said then."""
    named = run.config().get("task")
    target = str(named.get("_target_")) if isinstance(named, dict) else AUTO
    if isinstance(named, dict) and target != AUTO:
        return named
    return {"_target_": f"{builders.__name__}.{run.tags.get(names.TASK, _BEFORE)}"}


def of_run(run: StoredRun, trusted: Sequence[str]) -> Task:
    """Return the task of a run.

    Args:
        run: recorded.
        trusted: modules whose code its record may name.
    Raises: SettingsError: it is a task of code that is not trusted.
    """
    named = section(run)
    target = str(named.get("_target_"))
    if not (components.is_of_libraries(target) or within(target, trusted)):
        from mnist_exp.experiment import recall

        raise recall.not_trusted(run, [target.partition(".")[0]], "--trusted-modules={}")
    component, problems = components.check("task", named, trusted)
    if problems:
        raise SettingsError([f"config.yaml of run {run.run_id}: {problem}" for problem in problems])
    made = component.build()
    if not isinstance(made, Task):
        raise SettingsError(f"task: {component.target} must return a mnist_exp.tasks.task.Task")
    return made
