"""What a sampler sees of a search whose trials are promoted: of each trial one result, the last.

A trial that was paused and promoted is several trials of Optuna's with the same values. A sampler that saw them all
would think that these values were tried several times, and came to different ends.
"""

from collections.abc import Sequence
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from mnist_exp.search import attributes

_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


class OneResultEach(BaseSampler):  # type: ignore[misc]
    """A sampler that is shown one result of each trial.

    Args:
        sampler: that draws.
    """

    def __init__(self, sampler: BaseSampler) -> None:
        self._sampler = sampler

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Call the sampler."""
        return dict(self._sampler.infer_relative_search_space(_View(study), trial))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Call the sampler."""
        return dict(self._sampler.sample_relative(_View(study), trial, search_space))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Call the sampler."""
        return self._sampler.sample_independent(_View(study), trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Call the sampler."""
        self._sampler.before_trial(_View(study), trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Call the sampler."""
        self._sampler.after_trial(_View(study), trial, state, values)


def each_once(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Return trials without those of which a later one is the same trial, and has a result.

    One that runs on is left out too: until it ends, what it had before says most.
    """
    if not any(attributes.goes_on(trial) for trial in trials):
        return trials
    last = {attributes.number(trial): trial.number for trial in trials if trial.state in _ENDED}
    return [trial for trial in trials if last.get(attributes.number(trial), trial.number) == trial.number]


class _View(Study):  # type: ignore[misc]
    def __init__(self, study: Study) -> None:
        self.__dict__.update(vars(study))

    def _get_trials(self, *given: Any, **named: Any) -> list[FrozenTrial]:
        return each_once(super()._get_trials(*given, **named))
