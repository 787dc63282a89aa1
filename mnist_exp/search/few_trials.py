"""What a sampler sees of a study that has very many trials: the best, those that run, and an even choice of the others.

Every ask goes through all trials several times, in Python. With 10,000 trials that took 0.15 s of the 0.18 s of an ask
(benchmarks/replay_asks.py). TPE compares the best 25 at most with all others, and the density of the others can be
estimated from a part of them as well.
"""

from collections.abc import Container
from typing import Any

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from mnist_exp.search import ledger
from mnist_exp.search.one_result import View

MOST = 500
_BEST = 100  # TPE takes 25 at most as good ones.


class FewTrials:
    """A study of which at most about `MOST` ended trials are seen; all of them if there are no more.

    Args:
        study: with one objective.
    """

    def __init__(self, study: Study) -> None:
        self._study, self._seen = study, _choose(study)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """Return the trials that are seen, in the order of their numbers."""
        if deepcopy:
            return list(self._study.get_trials(deepcopy=True, states=states))
        return [trial for trial in self._seen if states is None or trial.state in states]

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        """What Optuna's samplers call instead of `get_trials`."""
        return self.get_trials(deepcopy, states)


def _choose(study: Study) -> list[FrozenTrial]:
    is_each_once = isinstance(study, View)
    if is_each_once or type(study) is Study:
        known = ledger.read(study)
        numbered: Any = known.trials
    else:  # Each of Hyperband's brackets shows a part of a study.
        known = ledger.Ledger()
        known.update(study.get_trials(deepcopy=False))
        numbered = {trial.number: trial for trial in known.trials}
    seen = known.trials
    if len(seen) > MOST:
        ended, count = known.ended, MOST - _BEST
        even = {ended[len(ended) * place // count] for place in range(min(count, len(ended)))}
        best = known.best(_BEST, maximizes=study.direction.name == "MAXIMIZE")
        seen = [numbered[number] for number in sorted({*even, *best, *(trial.number for trial in known.open)})]
    return [trial for trial in seen if not is_each_once or known.is_shown(trial)]
