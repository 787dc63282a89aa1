"""The task of a recorded run, without its data."""

from collections.abc import Sequence

from mnist_exp.config import components
from mnist_exp.config.allow_list import within
from mnist_exp.errors import SettingsError
from mnist_exp.experiment import recall
from mnist_exp.tasks import builders
from mnist_exp.tasks.task import Task
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

_BEFORE = "classification"  # Runs of before there was a choice.


def of_run(run: StoredRun, trusted: Sequence[str]) -> Task:
    """Return the task of a run.

    Args:
        run: recorded.
        trusted: modules whose code its record may name.
    Raises: SettingsError: it is a task of code that is not trusted.
    """
    name = run.tags.get(names.TASK, _BEFORE)
    known: dict[str, Task] = {task.name: task for task in _known()}
    section = run.config().get("task") if name not in known else None
    if not isinstance(section, dict):
        if name in known:
            return known[name]
        raise SettingsError(f"run {run.run_id} is of the task {name}, and its config.yaml has no section task")
    target = str(section.get("_target_"))
    if not (components.is_of_libraries(target) or within(target, trusted)):
        raise recall.not_trusted(run, [target.partition(".")[0]], "--trusted-modules={}")
    component, problems = components.check("task", section, trusted)
    if problems:
        raise SettingsError([f"config.yaml of run {run.run_id}: {problem}" for problem in problems])
    made = component.build()
    if not isinstance(made, Task):
        raise SettingsError(f"task: {component.target} must return a mnist_exp.tasks.task.Task")
    return made


def _known() -> tuple[Task, ...]:
    return builders.classification(), builders.binary(), builders.multilabel(), builders.regression()
