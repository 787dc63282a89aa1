"""Methods that search_replay.py compares: this package and Optuna, each through its own library."""

import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import optuna
from curve_tables import Table
from optuna.distributions import BaseDistribution, IntDistribution
from replay_simulation import Method, Training, Trainings
from replay_space import PART, Parameter, Space

from mnist_exp.config.schema import SweepSettings
from mnist_exp.search import attributes, budget, distributions, ledger, race
from mnist_exp.search import seeds as raced_seeds
from mnist_exp.search import space as swept
from mnist_exp.search import study as search_study
from mnist_exp.search.attributes import begun_run
from mnist_exp.search.conditions import Condition
from mnist_exp.search.space import Axis, Interval
from mnist_exp.sweeps.planning import rules
from mnist_exp.tracking.run_folder import RunFolder

_MOST_TRIALS = 1_000_000
_MOST_REPEATS = 1000  # Points in a row that were tried before; then the search has nothing more to try.
RACED = "seeds="  # In the name of a method that needs a table of several seeds.
Maker = Callable[[Table, int], Method]


class Perfect:
    """Knows the truth: a check of the replay, whose regret is 0 as soon as it has seen an epoch."""

    def __init__(self, table: Table, seed: int) -> None:
        self._trainings, self._best = Trainings(table, seed), int(table.true_means.argmax())

    def start(self) -> Training | None:
        """Begin the best cell."""
        return self._trainings.begin(self._best)

    def report(self, training: Training, value: float) -> bool:
        """Go on."""
        return True

    def choose(self) -> int | None:
        """Return the best cell."""
        return self._best


class Ours:
    """`mnist_exp.search`: its study in a journal file, as the jobs of a search use it.

    Args:
        table: recorded curves.
        seed: of the search.
        settings: of `sweep.*`; with `seeds`, points are raced over the table's, in an order drawn for each search.
    """

    def __init__(self, table: Table, seed: int, **settings: Any) -> None:
        self._trainings, self._space, self._epochs = Trainings(table, seed), Space(table), table.epochs
        self._folder = Path(tempfile.mkdtemp(prefix="replay-", dir=_fast_folder()))
        how = SweepSettings(seed=seed, **({"sampler": "tpe", "n_trials": _MOST_TRIALS} | settings))
        order = np.random.default_rng([seed, 1]).permutation(table.seeds)[: how.seeds]
        self._seeds = tuple(map(int, order)) if how.seeds > 1 else ()
        axes = tuple(map(_axis, self._space.parameters))
        self._search = search_study.Study(
            "replay",
            str(self._folder / "study.journal"),
            axes,
            rules.with_pruner(how, swept.Space((), axes), table.epochs),
            ("maximize",),
            table.epochs,
            self._folder,
            seeds=self._seeds,
        )
        self._opened = self._search.open()
        self._of_run: dict[str, Training] = {}

    def start(self) -> Training | None:
        """Claim a trial, new or promoted; one whose values are known costs nothing, as in a job."""
        for _ in range(_MOST_REPEATS):
            # Where the budget lets it wait for others, the replay does.
            claimed = self._search.claim(self._opened, lambda: True)
            if claimed is None:
                return None
            trial, overrides = claimed
            if (run := begun_run(trial)) is not None:
                training = self._of_run[run]
                training.key = trial
                return training
            value = search_study.known(self._opened, trial)
            if value is None:
                return self._begun(trial, dict(text.split("=", 1) for text in overrides))
            self._opened.tell(trial, value)
        return None

    def _begun(self, trial: optuna.Trial, written: Mapping[str, str]) -> Training:
        training = self._trainings.begin(self._space.cell(written), trial)
        training.seed = int(written.get("seed", training.seed))
        run = f"run-{trial.number}"
        self._of_run[run] = training
        search_study.note_run(trial, run)
        # In place of the checkpoint from which a job would go on.
        folder = RunFolder(self._folder / run)
        folder.path.mkdir()
        folder.keep(wanted=True)
        return training

    def report(self, training: Training, value: float) -> bool:
        """Report an epoch, as the callback of a job does, and tell the end."""
        trial, is_last = training.key, training.done == self._epochs
        if self._search.settings.budget_epochs is not None:
            budget.note_epoch(trial, 1.0)
        is_judged = attributes.SEED not in trial.user_attrs  # As in a job, another seed of a point is not.
        if is_judged:
            trial.report(value, training.done)
        if is_last:
            self._opened.tell(trial, value)
        elif is_judged and trial.should_prune():
            self._opened.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return False
        return not is_last

    def choose(self) -> int | None:
        """Return the leaderboard's first: the best of the trials that ended, or the best mean of the race's final."""
        cell = self._best_of_final() if self._seeds else _best_of(self._opened, self._space)
        shutil.rmtree(self._folder, ignore_errors=True)
        return cell

    def fill(self, points: list[dict[str, Any]], curves: np.ndarray) -> None:
        """Let the search have so many ended trials."""
        _fill(self._opened, points, curves, {axis.key: distributions.of(axis) for axis in self._search.axes})

    def _best_of_final(self) -> int | None:
        done = raced_seeds.of_study(self._opened, ledger.read(self._opened), self._seeds).done
        needed = race.seeds_of_final([len(values) for values in done.values()])
        means = {point: fmean(values.values()) for point, values in done.items() if len(values) >= needed}
        if not means:
            return None
        return self._space.cell(dict(max(means, key=means.__getitem__)))


class Optuna:
    """Optuna by ask and tell, with a sampler and a pruner of its own.

    Args:
        table: recorded curves.
        seed: of the draws of seeds.
        sampler: new.
        pruner: new; None for none.
    """

    def __init__(
        self,
        table: Table,
        seed: int,
        sampler: optuna.samplers.BaseSampler,
        pruner: optuna.pruners.BasePruner | None = None,
    ) -> None:
        self._trainings, self._space = Trainings(table, seed), Space(table)
        self._study = optuna.create_study(
            direction="maximize", sampler=sampler, pruner=pruner or optuna.pruners.NopPruner()
        )
        self._epochs = table.epochs

    def start(self) -> Training | None:
        """Ask for a trial."""
        trial = self._study.ask()

        def suggest(one: Parameter) -> Any:
            if one.is_ordered:
                return trial.suggest_int(one.name, 0, one.last)
            return trial.suggest_categorical(one.name, one.texts)

        return self._trainings.begin(self._space.cell(self._space.draw(suggest)), trial)

    def report(self, training: Training, value: float) -> bool:
        """Report an epoch, and tell the end."""
        trial, is_last = training.key, training.done == self._epochs
        trial.report(value, training.done)
        if not is_last and trial.should_prune():
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return False
        if is_last:
            self._study.tell(trial, value)
        return not is_last

    def fill(self, points: list[dict[str, Any]], curves: np.ndarray) -> None:
        """Let the study have so many ended trials."""
        _fill(self._study, points, curves, {one.name: IntDistribution(0, one.last) for one in self._space.parameters})

    def choose(self) -> int | None:
        """Return `best_trial`: of those that were trained to the end."""
        return _best_of(self._study, self._space)


def optuna_methods() -> dict[str, Maker]:
    """Return Optuna's methods, each with the library's own defaults; Hyperband needs the number of epochs."""
    samplers: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
        "TPE": lambda seed: optuna.samplers.TPESampler(seed=seed),
        "GP": lambda seed: optuna.samplers.GPSampler(seed=seed),
        "CMA-ES": lambda seed: optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False),
        "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    }
    pruners: dict[str, Callable[[int], optuna.pruners.BasePruner | None]] = {
        "": lambda _: None,
        " + ASHA": lambda _: optuna.pruners.SuccessiveHalvingPruner(),
        " + Hyperband": lambda epochs: optuna.pruners.HyperbandPruner(max_resource=epochs),
    }

    def maker(sampler: str, pruner: str) -> Maker:
        return lambda table, seed: Optuna(table, seed, samplers[sampler](seed), pruners[pruner](table.epochs))

    return {f"Optuna {sampler}{pruner}": maker(sampler, pruner) for sampler in samplers for pruner in pruners}


def our_methods(epochs: int = 1) -> dict[str, Maker]:
    """Return the ways in which this package searches; a race of seeds has to know its budget."""

    def maker(**settings: Any) -> Maker:
        return lambda table, seed: Ours(table, seed, **settings)

    def raced(seeds: int, **settings: Any) -> Maker:
        return lambda table, seed: Ours(table, seed, seeds=seeds, budget_epochs=epochs, **settings)

    return {
        "mnist_exp": maker(),
        "mnist_exp, seeds=3": raced(3),
        "mnist_exp, no pruner": maker(pruner="none"),
        "mnist_exp, no pruner, seeds=3": raced(3, pruner="none"),
        "mnist_exp, asha after 3": maker(pruner="asha", prune_after=3),
        "mnist_exp, asha without promotion": maker(pruner="asha", keep_paused=0),
        "mnist_exp, hyperband": maker(pruner="hyperband"),
        "mnist_exp, median": maker(pruner="median"),
        "mnist_exp, gp": maker(sampler="gp"),
        "mnist_exp, gp, asha": maker(sampler="gp", pruner="asha"),
        "mnist_exp, gp, hyperband": maker(sampler="gp", pruner="hyperband"),
        "mnist_exp, random": maker(sampler="random"),
        "mnist_exp, random, no pruner": maker(sampler="random", pruner="none"),
        "mnist_exp, qmc": maker(sampler="qmc"),
    }


def be_quiet() -> None:
    """Keep the libraries from telling of each trial."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("optuna").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module="optuna")


def _axis(parameter: Parameter) -> Axis:
    """Return the axis of a parameter: the indices of its levels if they are ordered, `range(0,5)`, else a list."""
    when = Condition((PART,), tuple((part,) for part in parameter.parts)) if parameter.parts else None
    if parameter.is_ordered:
        values = tuple(map(str, range(len(parameter.levels))))
        return Axis(parameter.name, parameter.name, values, Interval(0, parameter.last, 1), when=when)
    return Axis(parameter.name, parameter.name, tuple(parameter.texts), when=when)


def _fill(
    study: optuna.Study, points: list[dict[str, Any]], curves: np.ndarray, of: Mapping[str, BaseDistribution]
) -> None:
    study.add_trials(
        optuna.trial.create_trial(
            params=point,
            distributions=dict(of),
            value=float(curve[-1]),
            intermediate_values={epoch: float(value) for epoch, value in enumerate(curve, start=1)},
        )
        for point, curve in zip(points, curves, strict=True)
    )


def _best_of(study: optuna.Study, space: Space) -> int | None:
    try:
        return space.cell(study.best_trial.params)
    except ValueError:  # None has ended.
        return None


def _fast_folder() -> str | None:
    """Return a folder in memory, where there is one: the time of a disk is no part of what a search chooses."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
