"""The pruner that pauses trials. Like all that derives from Optuna's classes it is imported by searches only."""

from optuna import Study
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

from mnist_exp.search import attributes, ledger
from mnist_exp.search.rungs import Rungs


class PausingPruner(BasePruner):  # type: ignore[misc]
    """Stops a trial at a rung, unless it is among the best third there.

    Optuna's SuccessiveHalvingPruner kills such a trial for good, also where it deserves more once others came.

    Args:
        rungs: of the search.
    """

    def __init__(self, rungs: Rungs) -> None:
        self._rungs = rungs

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Tell whether a trial is to be paused after its last epoch."""
        epoch = trial.last_step
        if epoch not in self._rungs.at:
            return False
        standings = [group.standing for group in ledger.read(study).groups]
        return not self._rungs.runs_on(standings, attributes.number(trial), epoch)
