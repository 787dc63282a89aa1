"""Optuna's pruners, as the options of a sweep name them; `pausing_pruner` has the one that pauses."""

from typing import TYPE_CHECKING

from mnist_exp.config.schema import SweepSettings
from mnist_exp.search.rungs import FACTOR

if TYPE_CHECKING:
    import optuna


def pruner(settings: SweepSettings, epochs: int) -> "optuna.pruners.BasePruner":
    """Return Optuna's pruner of a search; `epochs` are those of its longest trial."""
    from optuna import pruners

    first = settings.prune_after
    if settings.pruner == "asha":
        return pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=FACTOR)
    if settings.pruner == "hyperband":
        return pruners.HyperbandPruner(min_resource=first, max_resource=epochs, reduction_factor=FACTOR)
    if settings.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=first)
    return pruners.NopPruner()
