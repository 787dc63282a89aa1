"""How much each training image counts in the loss."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from mnist_exp.config.wording import nearest, show
from mnist_exp.errors import SettingsError
from mnist_exp.tasks.task import Array, Task

ClassWeight = Literal["balanced"] | Mapping[str | int, float] | None


def check(task: Task, names: Sequence[str], class_weight: ClassWeight) -> list[str]:
    """Return the problems with weights of classes.

    Args:
        task: what is learnt.
        names: of the classes.
        class_weight: of the trainer.
    """
    if class_weight is None:
        return []
    option = f"trainer.class_weight={show(class_weight)}"
    if not task.has_classes:
        return [f"{option} is for classes, and task={task.name} has none: give each image a weight in the data"]
    if class_weight == "balanced":
        return []
    problems = []
    for name in map(str, class_weight):
        if name not in names:
            guess = nearest(name, list(names))
            hint = f"did you mean {guess}? " if guess else ""
            known = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
            problems.append(f"{option} names the class {show(name)}, which is none: {hint}there are {known}")
    if not problems and not any(_of_classes(names, class_weight)):
        problems.append(f"{option} gives every class the weight 0: nothing would be learnt")
    return problems


def of_images(task: Task, names: Sequence[str], y: Array, class_weight: ClassWeight, own: Array | None) -> Array | None:
    """Return the weight of each training image, float32 (n,); None if all count alike.

    `balanced` gives each class the same sum of weights, and all images together the mean 1; those of the data are
    multiplied with that.

    Args:
        task: what is learnt.
        names: of the classes.
        y: prepared labels of the images.
        class_weight: of the trainer.
        own: of each image, from the data; multiplied with that of its class.
    Raises: SettingsError: a class is unknown, or all weights are 0.
    """
    if problems := check(task, names, class_weight):
        raise SettingsError(problems)
    if class_weight is None:
        if own is not None and not own.any():
            raise SettingsError("w_train: every training image that is used has the weight 0: nothing would be learnt")
        return own
    if class_weight == "balanced":
        counts = np.bincount(y, minlength=len(names))
        by_class = len(y) / ((counts > 0).sum() * np.maximum(counts, 1))
    else:
        by_class = _of_classes(names, class_weight)
    weights = np.asarray(by_class[y] if own is None else by_class[y] * own, np.float32)
    if not weights.any():
        raise SettingsError(
            f"trainer.class_weight={show(class_weight)} leaves every training image the weight 0: nothing is learnt"
        )
    return weights


def _of_classes(names: Sequence[str], class_weight: Mapping[str | int, float]) -> Array:
    given = {str(name): weight for name, weight in class_weight.items()}
    return np.array([given.get(name, 1.0) for name in names], np.float64)
