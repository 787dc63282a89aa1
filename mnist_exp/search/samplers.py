"""Optuna's samplers, seeded for each trial from (seed, trial number), so that a search can be repeated.

Without this, processes that start together draw the same points: tests/search/test_study.py shows it.
"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna import Study, samplers
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from mnist_exp.search.few_trials import FewTrials
from mnist_exp.tracking import store


class SeededSampler(samplers.BaseSampler):  # type: ignore[misc]
    """A sampler of Optuna that is created anew for each trial, with a seed of its own.

    Optuna's own samplers keep a random generator in the process. Jobs in several processes would draw the same values,
    and a search that is interrupted and started again would draw its first values again.

    Args:
        name: tpe, random, qmc, cmaes, nsgaii or gp.
        seed: of the search.
        is_conditional: whether some options apply with some choices only.
    """

    def __init__(self, name: str, seed: int, *, is_conditional: bool = False) -> None:
        self._name, self._seed, self._is_conditional = name, seed, is_conditional
        self._made: tuple[int, samplers.BaseSampler] | None = None
        self._seen: tuple[int, FewTrials] | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Call the sampler of this trial."""
        return dict(self._for(trial).infer_relative_search_space(self._few(study, trial), trial))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Call the sampler of this trial."""
        # It takes half a second, at the end of which others see what was drawn: two that draw meanwhile draw the same.
        one_by_one = store.lock(f"gp {study.study_name}") if self._name == "gp" else contextlib.nullcontext()
        with one_by_one:
            return dict(self._for(trial).sample_relative(self._few(study, trial), trial, search_space))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Call the sampler of this trial."""
        return self._for(trial).sample_independent(self._few(study, trial), trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Call the sampler of this trial."""
        self._for(trial).before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Call the sampler of this trial."""
        self._for(trial).after_trial(study, trial, state, values)

    def _few(self, study: Study, trial: FrozenTrial) -> Any:
        """Return the study as TPE sees it, which goes through all trials at every ask."""
        if self._name != "tpe" or len(study.directions) > 1:
            return study
        if self._seen is None or self._seen[0] != trial.number:
            self._seen = trial.number, FewTrials(study)
        return self._seen[1]

    def _for(self, trial: FrozenTrial) -> samplers.BaseSampler:
        if self._made is None or self._made[0] != trial.number:
            self._made = trial.number, _make(self._name, self._seed, trial.number, group=self._is_conditional)
        return self._made[1]


def _make(name: str, seed: int, number: int, *, group: bool) -> samplers.BaseSampler:
    drawn = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    makers: Mapping[str, Any] = {
        # Groups are the options that apply together; else TPE would draw those that not all trials have one by one.
        "tpe": lambda: samplers.TPESampler(seed=drawn, multivariate=True, constant_liar=True, group=group),
        "random": lambda: samplers.RandomSampler(seed=drawn),
        # All trials take their points from one sequence, so they need the same seed, which scrambles it.
        "qmc": lambda: samplers.QMCSampler(
            scramble=True,
            seed=seed,
            independent_sampler=samplers.RandomSampler(seed=drawn),
            warn_independent_sampling=False,
        ),
        "cmaes": lambda: samplers.CmaEsSampler(
            seed=drawn, independent_sampler=samplers.RandomSampler(seed=drawn), warn_independent_sampling=False
        ),
        "nsgaii": lambda: samplers.NSGAIISampler(seed=drawn),
        "gp": lambda: samplers.GPSampler(
            seed=drawn, independent_sampler=samplers.RandomSampler(seed=drawn), warn_independent_sampling=False
        ),
    }
    return makers[name]()
