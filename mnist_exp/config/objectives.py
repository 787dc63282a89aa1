"""The metrics that may select, and which way each of them is better."""

from collections.abc import Collection
from typing import Literal

from mnist_exp.config.wording import nearest

Direction = Literal["maximize", "minimize"]
VAL = "val_"
# By the name without `val_` or `test_`; a metric that is not here, one of the user's own, may be either.
DIRECTIONS: dict[str, Direction] = {
    "loss": "minimize",
    "mae": "minimize",
    "rmse": "minimize",
    "accuracy": "maximize",
    "exact_match": "maximize",
    "macro_f1": "maximize",
    "balanced_accuracy": "maximize",
    "mcc": "maximize",
    "precision": "maximize",
    "recall": "maximize",
    "top_5_accuracy": "maximize",
    "auc": "maximize",
    "r2": "maximize",
}


_LOW = ("Error", "Crossentropy", "Hinge", "Divergence", "Poisson", "Positives", "Negatives")  # ends of Keras's names


def direction(objective: str, target: str = "") -> Direction | None:
    """Return which way a metric is better; None if that is not known.

    Args:
        objective: name of the metric.
        target: dotted name of what computes it; empty if its own name says that.
    """
    known = DIRECTIONS.get(objective.removeprefix(VAL))
    name = target.rpartition(".")[2]
    if known is not None or not target:
        return known
    if target.startswith("keras."):
        return "minimize" if name.endswith(_LOW) and not name.startswith("True") else "maximize"
    return DIRECTIONS.get(name) if target.startswith("mnist_exp.") else None


def direction_problem(objective: str, named: str, target: str = "") -> str | None:
    """Return what is wrong with a direction, if so.

    Args:
        objective: name of the metric.
        named: the direction of the configuration.
        target: dotted name of what computes the metric; empty if its own name says that.
    """
    best = direction(objective, target)
    if best in (None, named):
        return None
    return f"direction={named} does not fit objective={objective}: it must be {best}"


def problem(objective: str, there_are: Collection[str], task: str = "") -> str | None:
    """Return why no metric of the run has the name of the objective; None if one has.

    Args:
        objective: name of the metric.
        there_are: the names that it may have.
        task: what is learnt, for the message; empty for any.
    """
    if objective in there_are:
        return None
    guess = nearest(objective, list(there_are))
    hint = f"did you mean objective={guess}? " if guess else ""
    fix = ", or name another metric with metrics=PRESET or +metrics.NAME={_target_: …}"
    if "val_mae" in there_are and "val_accuracy" not in there_are:
        fix = "; with direction=minimize for mae, rmse and loss" + fix
    whose = f" for task={task}" if task not in ("", "classification") else ""
    return f"objective={objective} is not allowed{whose}: {hint}it must be one of {', '.join(there_are)}{fix}"
