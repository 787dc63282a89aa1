"""What a metric may be called: no name that says something else already."""

from collections.abc import Mapping

from mnist_exp.config.components import Component
from mnist_exp.config.objectives import DIRECTIONS

HOME = "mnist_exp.metrics"
# Metrics and params that a run records by itself, and that `evaluate` adds.
_TAKEN = frozenset(
    (
        "loss", "accuracy", "penalty", "learning_rate", "epoch_time_s", "images_per_s", "objective", "direction",
        "epochs", "best_epoch", "fit_time_s", "memory_peak_mb", "parameters", "flops_per_image", "ece", "images",
        "trained_on",
    )
)  # fmt: skip
_PREFIXES = ("val_", "test_", "report_", "best_", "jobs_", "system")
_SUFFIXES = ("_low", "_high")


def problems(metrics: Mapping[str, Component]) -> list[str]:
    """Return why metrics may not have their names, one sentence each."""
    found = []
    for name, component in metrics.items():
        if name in _TAKEN or name.startswith(_PREFIXES) or name.endswith(_SUFFIXES):
            affixes = f"begin with {', '.join(_PREFIXES)} or end with {', '.join(_SUFFIXES)}"
            why = "runs record something else by that name" if name in _TAKEN else f"a name must not {affixes}"
            found.append(f"metrics.{name} is not allowed: {why}; take another one")
        elif name in DIRECTIONS and component.target != f"{HOME}.{function(name)}":
            found.append(
                f"metrics.{name}._target_={component.target} is not allowed: {name} is the name of {HOME}."
                f"{function(name)}; take another one"
            )
        elif name == "top_5_accuracy" and component.arguments.get("k", 5) != 5:
            found.append(f"metrics.{name}.k={component.arguments['k']} is not what the name says; take another one")
    return found


def function(name: str) -> str:
    """Return the function of `mnist_exp.metrics` that a metric of ours is computed by."""
    return "top_k_accuracy" if name == "top_5_accuracy" else name
