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

from mnist_exp.search import ledger


class OneResultEach(BaseSampler):  # type: ignore[misc]
    """A sampler that is shown one result of each trial.

    Args:
        sampler: that draws.
    """

    def __init__(self, sampler: BaseSampler) -> None:
        self._sampler = sampler

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Call the sampler."""
        return dict(self._sampler.infer_relative_search_space(View(study), trial))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Call the sampler."""
        return dict(self._sampler.sample_relative(View(study), trial, search_space))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Call the sampler."""
        return self._sampler.sample_independent(View(study), trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Call the sampler."""
        self._sampler.before_trial(View(study), trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Call the sampler."""
        self._sampler.after_trial(View(study), trial, state, values)


class View(Study):  # type: ignore[misc]
    """A study of which each trial is shown once.

    Args:
        study: opened.
    """

    def __init__(self, study: Study) -> None:
        self.__dict__.update(vars(study))

    def _get_trials(self, *given: Any, **named: Any) -> list[FrozenTrial]:
        trials, known = super()._get_trials(*given, **named), ledger.read(self)
        return [trial for trial in trials if known.is_shown(trial)]
