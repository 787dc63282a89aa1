"""What a sampler sees of a study that has very many trials: the best, those that run, and an even choice of the others.

Every ask goes through all trials several times, in Python. With 10,000 trials that took 0.15 s of the 0.18 s of an ask
(benchmarks/replay_asks.py). TPE compares the best 25 at most with all others, and the density of the others can be
estimated from a part of them as well.
"""

from collections.abc import Container
from typing import Any

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

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
    trials = study.get_trials(deepcopy=False)
    if len(trials) <= MOST:
        return list(trials)
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    sign = -1 if study.direction.name == "MAXIMIZE" else 1
    best = {trial.number for trial in sorted(complete, key=lambda trial: sign * trial.value)[:_BEST]}
    others = [
        trial
        for trial in trials
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and trial.number not in best
    ]
    even = {others[len(others) * place // (MOST - _BEST)].number for place in range(min(MOST - _BEST, len(others)))}
    return [trial for trial in trials if trial.number in best or trial.number in even or not trial.state.is_finished()]
