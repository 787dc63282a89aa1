"""Of the models that a sweep's own jobs record, the best stay (`tracking.keep_models`), also while it goes on.

A model is removed once as many better ones are recorded, and a job that ends with a worse one does not record it. So at
no moment, and with no process killed, are there fewer of the best than asked for. Models of runs that the sweep reuses
belong to others, and are left alone.
"""

import contextlib
import itertools
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mnist_exp.errors import plural
from mnist_exp.jobs import events
from mnist_exp.sweeps.calls.call import SweepCall
from mnist_exp.sweeps.calls.history import SweepHistory
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.tracking import mlflow_writes, model_removal, names
from mnist_exp.tracking.background_call import BackgroundCall
from mnist_exp.tracking.model_removal import Removal
from mnist_exp.tracking.runs import StoredRun

_LAST_WORDS_S = 30.0  # A removal that takes longer is left to the next call of the sweep.


@dataclass(order=True, frozen=True)
class _Model:
    """A recorded model: the best is the least; of equal ones the earlier."""

    worth: tuple[int, float, int]
    run_id: str = field(compare=False)


class KeptModels:
    """The models of the jobs of one sweep.

    Args:
        call: of the sweep; its `tracking.keep_models` is not `all`.
        history: of its experiment.
        parent: id of its parent run.
        earlier: runs of the experiment, from before this call.
    """

    def __init__(self, call: SweepCall, history: SweepHistory, parent: str, earlier: Sequence[StoredRun]) -> None:
        self._call, self._history, self._parent = call, history, parent
        self._best = call.tracking.best_models or 0
        self._numbers = itertools.count()
        self._models = self._recorded(earlier)
        self._surplus: deque[str] = deque()
        self._removing: BackgroundCall | None = None
        self._folder: Path | None = None
        self._told: set[str] = set()
        self._may_be_complete = not any(_is_open(run) for run in self._own(earlier))

    @property
    def are_settled(self) -> bool:
        """Whether there are no more than asked for, as far as this process knows."""
        return self._may_be_complete and len(self._models) <= self._best

    def follow(self, folder: Path) -> None:
        """Remove what is too much already, and tell the jobs that write their events to a folder which are wanted."""
        self._folder = folder
        self._cut()

    def note(self, row: Row) -> None:
        """Take in a job that is done."""
        if row.run_id is None or row.reused or not row.has_model:
            return
        self._models.append(_Model(self._worth(row.objective), row.run_id))
        self._cut()

    def settle(self) -> None:
        """Remove what is too much by what the store has, and record what there is; called once the jobs have ended.

        Raises: one of `mlflow_writes.write_errors`.
        """
        if self._removing is not None and not self._removing.wait(_LAST_WORDS_S):
            self._call.screen.warn("models are still being removed: the same command again removes what is left")
            return
        children = self._history.children(self._parent)
        begun = [run.run_id for run in children if _is_open(run)]
        too_much = [model.run_id for model in self._recorded(children)[self._best :]]
        registered = [removal for run_id in (*begun, *too_much) if (removal := self._remove(run_id)).registered_as]
        self._record(self._history.children(self._parent), len(registered))

    def _record(self, children: Sequence[StoredRun], registered: int) -> None:
        """Record how many models there are and how much was freed in all, and tell it."""
        kept = sum(run.has_model for run in children)
        freed = [run.tags[names.MODEL_FREED] for run in children if names.MODEL_FREED in run.tags]
        freed_mb = round(sum(int(text) for text in freed if text.isdecimal()) / 1e6, 3)
        self._history.log_metrics(self._parent, {names.MODELS_KEPT: float(kept), names.MODELS_FREED_MB: freed_mb})
        unrecorded = sum(names.NO_MODEL in run.tags for run in children) - len(freed)
        words = (
            f"{plural(kept, 'model')} kept, {len(freed)} removed ({freed_mb:,.1f} MB freed), {unrecorded} not recorded"
        )
        if registered:
            words += f"; {registered} of those kept {'is' if registered == 1 else 'are'} registered, and so stay"
        self._call.screen.out.print(f"tracking.keep_models={self._call.tracking.keep_models}: {words}")

    def _cut(self) -> None:
        """Remove the models beyond the best, in the background, and tell the jobs what a new one must reach."""
        self._models.sort()
        self._surplus.extend(model.run_id for model in self._models[self._best :])
        del self._models[self._best :]
        if self._surplus and (self._removing is None or self._removing.wait(0)):
            self._removing = BackgroundCall(self._remove_surplus)
        is_full = 0 < self._best == len(self._models) and self._models[-1].worth[0] == 0
        if self._folder is not None and is_full:
            with contextlib.suppress(OSError):  # Then more is recorded, and removed.
                events.set_bar(self._folder, self._objective(self._models[-1]))

    def _remove_surplus(self) -> None:
        while self._surplus:
            with contextlib.suppress(*mlflow_writes.write_errors()):  # `settle` tries again.
                self._remove(self._surplus.popleft())

    def _remove(self, run_id: str) -> Removal:
        kept = self._call.tracking.keep_models
        why = f"tracking.keep_models={kept} removed it"
        removal = model_removal.remove(self._history.uri, run_id, why)
        if removal.why_not_freed and removal.why_not_freed not in self._told:
            self._told.add(removal.why_not_freed)
            self._call.screen.warn(
                f"tracking.keep_models={kept}: models are hidden, but their files stay ({removal.why_not_freed}): "
                "`mlflow gc`, where the server runs, removes them"
            )
        return removal

    def _recorded(self, runs: Sequence[StoredRun]) -> list[_Model]:
        """Return the models that runs of this sweep have recorded, the best first."""
        own = sorted((run for run in self._own(runs) if run.is_done and run.has_model), key=lambda run: run.started_ms)
        return sorted(
            _Model(self._worth(run.metrics[names.OBJECTIVE], counts=self._counts(run)), run.run_id) for run in own
        )

    def _own(self, runs: Sequence[StoredRun]) -> list[StoredRun]:
        return [run for run in runs if run.tags.get(names.PARENT) == self._parent]

    def _counts(self, run: StoredRun) -> bool:
        return self._call.changes.counts(run, self._call.how.reuse)

    def _worth(self, objective: float, *, counts: bool = True) -> tuple[int, float, int]:
        """Return what is least for the best: results by other code, and values that are no number, come last."""
        number = next(self._numbers)
        if math.isnan(objective):
            return 2, 0.0, number
        return int(not counts), -objective if self._maximizes else objective, number

    def _objective(self, model: _Model) -> float:
        return -model.worth[1] if self._maximizes else model.worth[1]

    @property
    def _maximizes(self) -> bool:
        return self._call.plan.settings.direction == "maximize"


def opened(call: SweepCall, history: SweepHistory, parent: str, earlier: Sequence[StoredRun]) -> KeptModels | None:
    """Return what keeps the best models of a sweep; None where all stay. Arguments as of `KeptModels`."""
    return None if call.tracking.best_models is None else KeptModels(call, history, parent, earlier)


def _is_open(run: StoredRun) -> bool:
    """Tell whether the removal of a model was interrupted."""
    return names.NO_MODEL in run.tags and names.MODEL_URI in run.tags
