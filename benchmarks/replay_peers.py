"""Peers that search_replay.py compares with besides Optuna: KerasTuner, Ray Tune and SMAC3, by their own classes.

KerasTuner's oracle, Ray's scheduler and SMAC's facade decide what is trained, and for how long. The replay does for
them what their workers do.
"""

import contextlib
import logging
import shutil
import sys
import tempfile
import types
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
from curve_tables import Table
from replay_methods import Maker
from replay_simulation import Training, Trainings
from replay_space import PART, Parameter, Space


class KerasTuner:
    """KerasTuner's Hyperband: its oracle decides what is trained, and for how many epochs; a promoted trial goes on.

    `hyperband_iterations=None`, so that it goes on as long as there are epochs: the default stops after one.
    """

    def __init__(self, table: Table, seed: int) -> None:
        import keras_tuner

        self._trainings, self._space = Trainings(table, seed), Space(table)
        space = keras_tuner.HyperParameters()
        for one in self._space.parameters:
            with space.conditional_scope(PART, list(one.parts)) if one.parts else contextlib.nullcontext():
                if one.is_ordered:
                    space.Int(one.name, 0, one.last)
                else:
                    space.Choice(one.name, one.texts)
        self._folder = tempfile.mkdtemp(prefix="replay-")
        # A seed of 0 would be drawn anew, and seeds near each other draw the same points, one trial later
        # (findings/keras-tuner-seeds-near-each-other-draw-the-same.sh).
        self._oracle = keras_tuner.oracles.HyperbandOracle(
            objective=keras_tuner.Objective("val_accuracy", "max"),
            max_epochs=table.epochs,
            hyperband_iterations=None,
            seed=1 + 1_000_003 * seed,
            hyperparameters=space,
        )
        self._oracle.verbose = 0
        # Nothing is written: each trial would be saved twice an epoch.
        self._oracle.save = self._oracle._save_trial = lambda *_: None
        self._of: dict[str, Training] = {}
        self._number = 0

    def start(self) -> Training | None:
        """Create a trial, as the oracle's client in a worker does; IDLE and STOPPED have none."""
        self._number += 1
        trial = self._oracle.create_trial(f"tuner{self._number}")
        if trial.status != "RUNNING":
            return None
        values = trial.hyperparameters.values
        if earlier := values.get("tuner/trial_id"):
            training = self._of[earlier]
        else:
            training = self._trainings.begin(self._space.cell(values))
        training.key = trial
        self._of[trial.trial_id] = training
        return training

    def report(self, training: Training, value: float) -> bool:
        """Update the trial, and end it after the epochs that the oracle gave it."""
        trial = training.key
        self._oracle.update_trial(trial.trial_id, {"val_accuracy": value}, step=training.done - 1)
        if training.done < trial.hyperparameters.values["tuner/epochs"]:
            return True
        trial.status = "COMPLETED"
        self._oracle.end_trial(trial)
        return False

    def choose(self) -> int | None:
        """Return `get_best_trials(1)`."""
        shutil.rmtree(self._folder, ignore_errors=True)
        best = self._oracle.get_best_trials(1)
        return self._space.cell(best[0].hyperparameters.values) if best else None


class RayAsha:
    """Ray Tune's AsyncHyperBandScheduler with its own defaults, and Ray's random draws from the space."""

    def __init__(self, table: Table, seed: int) -> None:
        from ray import tune

        self._space = Space(table)
        self._domains = {
            one.name: tune.randint(0, len(one.levels)) if one.is_ordered else tune.choice(one.texts)
            for one in self._space.parameters
        }
        self._drawn = np.random.RandomState(seed)
        self._scheduler = tune.schedulers.AsyncHyperBandScheduler(metric="val_accuracy", mode="max", max_t=table.epochs)
        self._trainings, self._number = Trainings(table, seed), 0
        self._last: list[tuple[float, int]] = []

    def start(self) -> Training:
        """Draw a point, and add its trial to the scheduler."""

        def sample(one: Parameter) -> Any:
            return self._domains[one.name].sample(random_state=self._drawn)

        values = self._space.draw(sample)
        self._number += 1
        trial = types.SimpleNamespace(trial_id=str(self._number))
        self._scheduler.on_trial_add(None, trial)
        return self._trainings.begin(self._space.cell(values), trial)

    def report(self, training: Training, value: float) -> bool:
        """Ask the scheduler whether the trial goes on."""
        result = {"training_iteration": training.done, "val_accuracy": value}
        goes_on = self._scheduler.on_trial_result(None, training.key, result) == "CONTINUE"
        if not goes_on:
            self._scheduler.on_trial_complete(None, training.key, result)
            self._last.append((value, training.cell))
        return goes_on

    def choose(self) -> int | None:
        """Return that of `get_best_result`: the best last value of a trial, which may have been stopped early."""
        return max(self._last)[1] if self._last else None


class Smac:
    """SMAC3, by ask and tell.

    With budgets, a configuration that is promoted goes on where it stopped, although SMAC itself would train it anew.

    Args:
        table: recorded curves.
        seed: of the search.
        facade: name of the facade; one with budgets, or one that trains all to the end.
        trials: how many trials it is told that there will be, for its initial design.
    """

    def __init__(self, table: Table, seed: int, facade: str, trials: int) -> None:
        import smac
        from ConfigSpace import Categorical, ConfigurationSpace, InCondition, Integer

        logging.getLogger("smac").setLevel(logging.ERROR)
        self._trainings, self._space = Trainings(table, seed), Space(table)
        space = ConfigurationSpace(seed=seed)
        for one in self._space.parameters:
            space.add(Integer(one.name, (0, one.last)) if one.is_ordered else Categorical(one.name, one.texts))
        for one in self._space.parameters:
            if one.parts:
                space.add(InCondition(space[one.name], space[PART], list(one.parts)))
        self._folder = tempfile.mkdtemp(prefix="replay-")
        budgets = {"min_budget": 1, "max_budget": table.epochs} if facade == "MultiFidelityFacade" else {}
        scenario = smac.Scenario(
            space, n_trials=trials, seed=seed, deterministic=True, output_directory=Path(self._folder), **budgets
        )
        # It is never called: the replay asks and tells.
        self._smac = getattr(smac, facade)(scenario, _never_called, overwrite=True, logging_level=40)
        self._epochs, self._of = table.epochs, dict[Any, Training]()

    def start(self) -> Training | None:
        """Ask for a trial; a configuration that was trained before goes on."""
        try:
            info = self._smac.ask()
        except StopIteration:
            return None
        training = self._of.get(info.config)
        if training is None:
            training = self._of[info.config] = self._trainings.begin(self._space.cell(dict(info.config)))
        training.key = info
        return training

    def report(self, training: Training, value: float) -> bool:
        """Tell the cost at the end of the budget."""
        from smac.runhistory.dataclasses import TrialValue

        if training.done < round(training.key.budget or self._epochs):
            return True
        self._smac.tell(training.key, TrialValue(cost=1 - value), save=False)
        return False

    def fill(self, points: list[dict[str, Any]], curves: np.ndarray) -> None:
        """Tell SMAC of so many configurations that were trained to the end."""
        from ConfigSpace import Configuration
        from smac.runhistory.dataclasses import TrialInfo, TrialValue

        scenario = self._smac.scenario
        for point, curve in zip(points, curves, strict=True):
            info = TrialInfo(Configuration(scenario.configspace, values=point), seed=0, budget=scenario.max_budget)
            self._smac.tell(info, TrialValue(cost=1 - float(curve[-1])), save=False)

    def choose(self) -> int | None:
        """Return the incumbent."""
        incumbents = self._smac.intensifier.get_incumbents()
        shutil.rmtree(self._folder, ignore_errors=True)
        return self._space.cell(dict(incumbents[0])) if incumbents else None


def peer_methods(budget: int) -> dict[str, tuple[str, Maker]]:
    """Return the peers' methods, each with the package that it needs."""
    return {
        "KerasTuner Hyperband": ("keras_tuner", KerasTuner),
        "Ray Tune random + ASHA": ("ray", RayAsha),
        "SMAC3 multi-fidelity": (
            "smac",
            lambda table, seed: Smac(table, seed, "MultiFidelityFacade", budget // 3),
        ),
        "SMAC3": (
            "smac",
            lambda table, seed: Smac(table, seed, "HyperparameterOptimizationFacade", budget // table.epochs),
        ),
    }


def _never_called(config: Any, seed: int = 0, budget: float = 0.0) -> float:
    raise AssertionError


def is_installed(package: str) -> bool:
    """Return whether a package can be imported, without importing it."""
    return util.find_spec(package) is not None


def with_path(folder: Path) -> Callable[[], None]:
    """Let the folder of the peers' packages be found, after all others."""
    sys.path.append(str(folder))
    return lambda: sys.path.remove(str(folder))
