"""The rules of a sweep: checks of options that depend on each other."""

import importlib.util
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from omegaconf import DictConfig
from pydantic import Field

from mnist_exp.composition.overrides import MOST_VALUES
from mnist_exp.config import fields, rules, wording
from mnist_exp.config.schema import Settings, SweepSettings
from mnist_exp.errors import SettingsError, plural
from mnist_exp.runtime import backends
from mnist_exp.runtime.terminal import Screen
from mnist_exp.search.space import Space, short_names
from mnist_exp.tracking import names

_LONG = 9  # Epochs of a trial from which on a pruner pays by default.
_OURS = "hydra_plugins.mnist_exp_plugins."
_SLURM_IS_EARLY_S = 60
# Written into a script for the shell.
_Word = (
    Annotated[str, Field(pattern=r"^[\w.,:=+*&|()\[\]/@%-]+$"), fields.Allowed("a word of sbatch's, without blanks")]
    | None
)
_Workers = Annotated[fields.Count | Literal["auto"], fields.Allowed("auto, or a whole number, at least 1")]
_OF_A_SEARCH = (
    "pruner",
    "minimize_too",
    "timeout_s",
    "budget_epochs",
    "budget_s",
    "n_trials",
    "seed",
    "prune_after",
    "keep_paused",
    "finish_best",
    "storage",
    "study",
    "start_from",
    "try_first",
)
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "LocalLauncher": {"n_workers": _Workers},
    "RayLauncher": {"num_cpus": fields.Count, "num_gpus": fields.NonNegative, "max_restarts": fields.Whole},
    "SlurmLauncher": {
        **dict.fromkeys(("partition", "account", "qos", "constraint"), _Word),
        **dict.fromkeys(("timeout_min", "cpus_per_task", "array_parallelism", "signal_delay_s"), fields.Count),
        **dict.fromkeys(("gpus_per_node", "max_num_timeout"), fields.Whole),
        "mem_gb": fields.Positive | None,
    },
}


def is_search(how: SweepSettings, space: Space) -> bool:
    """Tell whether a sweep is a search: it names a sampler, or sweeps over an interval, which no grid can try out."""
    return how.sampler is not None or any(axis.is_continuous for axis in space.axes)


def check(how: SweepSettings, space: Space, launcher: DictConfig) -> None:
    """Check the options of a sweep.

    Args:
        how: the options `sweep.*`.
        space: what it sweeps over.
        launcher: the section `hydra.launcher`.
    Raises: SettingsError: with every problem.
    """
    problems = _of_a_search(how, space) if is_search(how, space) else _of_a_grid(how, space)
    if how.job_timeout_s and how.together > 1:
        problems.append(
            f"sweep.job_timeout_s={how.job_timeout_s} cannot stop one of the jobs that sweep.together={how.together} "
            "trains as one program: give only one of the two"
        )
    if how.job_timeout_s and not launcher._target_.startswith(_OURS):
        problems.append(f"sweep.job_timeout_s={how.job_timeout_s} needs hydra/launcher=local, ray or slurm")
    for name, kind in _OPTIONS.get(launcher._target_.removeprefix(_OURS), {}).items():
        _, problem = fields.check(f"hydra.launcher.{name}", launcher.get(name), kind)
        problems += [problem] if problem else []
    if not problems and launcher._target_ == _OURS + "SlurmLauncher":
        problems += _of_slurm(launcher.timeout_min, launcher.signal_delay_s)
    if problems:
        raise SettingsError(problems)


def warn_of_unused(how: SweepSettings, screen: Screen) -> None:
    """Warn of an option that another one makes useless; no mistake, for a preset may set it."""
    if how.prune_after != SweepSettings.prune_after and not how.prunes:
        screen.warn(f"sweep.prune_after={how.prune_after} has no effect without sweep.pruner")
    if how.keep_paused != SweepSettings.keep_paused and how.pruner != "asha":
        screen.warn(f"sweep.keep_paused={how.keep_paused} has no effect without sweep.pruner=asha")
    if how.sampler == "gp" and how.prunes:
        screen.warn(
            f"sweep.sampler=gp learns nothing from a trial that sweep.pruner={how.pruner} stops: sweep.sampler=tpe "
            "does, or leave out the pruner"
        )


def warn_of_sampler(how: SweepSettings, space: Space, screen: Screen) -> None:
    """Warn of a sampler that does not learn the values of options that apply with some choices only."""
    short = short_names(space.keys)
    limited = dict.fromkeys(short[axis.key] for axis in space.axes if axis.when is not None)
    if limited and how.sampler not in (None, "tpe", "random"):
        screen.warn(
            f"sweep.sampler={how.sampler} draws {', '.join(limited)} at random, for it learns only of options that all "
            "trials have: sweep.sampler=tpe learns of these too"
        )


def with_pruner(how: SweepSettings, space: Space, epochs: int) -> SweepSettings:
    """Return the options of a search with the pruner that it has where none is named.

    On recorded curves of 9 and of 27 epochs asha, which promotes, chose better than no pruner for the same epochs
    (experiments/findings/search-methods.md). It compares trials after the same epochs, by one objective; `gp` learns
    nothing from those that it stops.

    Args:
        how: the options `sweep.*`.
        space: that is searched.
        epochs: of each trial.
    """
    if how.pruner is not None:
        return how
    is_comparable = how.minimize_too is None and "trainer.epochs" not in space.keys
    is_long = epochs >= max(_LONG, 2 * how.prune_after)
    return replace(how, pruner="asha" if is_comparable and is_long and how.sampler != "gp" else "none")


def words_of_search(how: SweepSettings, decided: SweepSettings) -> str:
    """Return how a search chooses, for display: `tpe, seed 0, pruned by asha`.

    Args:
        how: the options `sweep.*`.
        decided: the same, with the pruner that it has.
    """
    default = "" if how.pruner else " (sweep.pruner=none trains all to their end)"
    pruner = f", pruned by {decided.pruner}{default}" if decided.prunes else ""
    return f"{how.sampler or 'tpe'}, seed {how.seed}{pruner}"


def as_many_as_there_are(how: SweepSettings, space: Space, screen: Screen) -> SweepSettings:
    """Return the options of a search with no more trials than there are points, each with all its seeds.

    Args:
        how: the options `sweep.*`.
        space: that is searched.
        screen: to tell of it.
    """
    listed = space.listed(how.n_trials)
    if listed is None or how.n_trials <= (most := listed.size * max(len(space.seeds), 1)):
        return how
    seeds = f", with {len(space.seeds)} seeds each" if space.seeds else ""
    screen.warn(
        f"sweep.n_trials={how.n_trials} is more than the {plural(listed.size, 'point')} that there "
        f"{'is' if listed.size == 1 else 'are'}{seeds}: the search has {plural(most, 'trial')}"
    )
    return replace(how, n_trials=most)


def warn_of_lucky_seed(space: Space, screen: Screen) -> None:
    """Warn of a search that searches the seed, with others or alone."""
    if any(axis.key == names.SEED for axis in space.axes):
        screen.warn(
            "a search over seed chooses the luckiest one, which is no better for new images: leave seed out, and let "
            "sweep.seeds=5 try promising points with several"
        )


def check_together(how: SweepSettings, settings: Settings) -> None:
    """Check that jobs can be trained together.

    Args:
        how: the options `sweep.*`.
        settings: of the first job; all have the same backend.
    Raises: SettingsError: the backend is not JAX.
    """
    backend = settings.trainer.backend or backends.default()
    if how.together > 1 and backend != "jax":
        raise SettingsError(
            f"sweep.together={how.together} needs trainer.backend=jax, not {backend}: add it, or leave out "
            "sweep.together"
        )


def check_models(how: SweepSettings, settings: Settings) -> None:
    """Check that one number ranks the jobs where the best models are to stay, and that it is not of the test set.

    Raises: SettingsError: two do, or it is.
    """
    kept = settings.tracking.keep_models
    if settings.tracking.best_models and (
        problems := rules.selected_on_test(settings, [f"tracking.keep_models={kept}"])
    ):
        raise SettingsError(problems)
    if how.minimize_too and settings.tracking.best_models:
        raise SettingsError(
            f"tracking.keep_models={settings.tracking.keep_models} goes by one objective, and sweep.minimize_too="
            f"{how.minimize_too} adds another: take tracking.keep_models=all"
        )


def check_selection(
    settings: Settings, screen: Screen, *, on_test: bool, search: bool, jobs: int, varies_loss: bool = False
) -> None:
    """Refuse a search that would select on the test set, or by losses of several kinds; warn of such a grid.

    Raises: SettingsError: it is a search.
    """
    if varies_loss and settings.objective.endswith("loss"):
        other = "these jobs have different losses, whose values are not one quantity: select by another metric, as "
        fix = f"{other}objective=val_accuracy direction=maximize"
        if search:
            raise SettingsError(fix)
        screen.warn(fix)
    if not on_test or not settings.objective.startswith("val_"):
        return
    fix = (
        "hold training images out with data.validation=0.1, or take the validation set that the data bring, "
        "data.validation=own"
    )
    if search:
        raise SettingsError(
            "a search would select on the test set (data.validation=test), and its score would no longer be honest: "
            + fix
        )
    if jobs > 1:
        screen.warn(f"these jobs are validated on the test set: to choose the best of them, {fix}")


def _of_slurm(timeout_min: int, signal_delay_s: int) -> list[str]:
    if timeout_min * 60 > signal_delay_s + _SLURM_IS_EARLY_S:
        return []
    return [
        f"hydra.launcher.timeout_min={timeout_min} is not allowed with hydra.launcher.signal_delay_s={signal_delay_s}: "
        "Slurm could ask a job to end as it begins, because its signal may come "
        f"{_SLURM_IS_EARLY_S} s early; give it more minutes"
    ]


def _of_a_search(how: SweepSettings, space: Space) -> list[str]:
    problems = []
    if how.together > 1:
        problems.append(
            f"sweep.together={how.together} is for jobs that are known before they start; a search asks for one "
            "trial after the other: leave it out"
        )
    if how.zip or how.points:
        problems.append("sweep.zip and sweep.points are combinations to try; a search chooses its own: leave them out")
    elif not space.axes:
        problems.append(f"sweep.sampler={how.sampler} has nothing to search: sweep over an option")
    if how.retry_failed:
        problems.append(
            "sweep.retry_failed=true runs the failed jobs of a grid again; a search asks for other values: leave it "
            f"out, or give it more trials: sweep.n_trials={how.n_trials + 5}"
        )
    if how.minimize_too and how.prunes:
        problems.append(f"sweep.pruner={how.pruner} cannot judge trials by two objectives: give only one of the two")
    if how.minimize_too and how.seeds > 1:
        problems.append(f"sweep.seeds={how.seeds} cannot rank points by two objectives: give only one of the two")
    if how.finish_best and how.minimize_too:
        problems.append(
            f"sweep.finish_best={how.finish_best} goes by one objective, and sweep.minimize_too={how.minimize_too} "
            "adds another: give only one of the two"
        )
    if how.finish_best and how.seeds > 1:
        problems.append(
            f"sweep.finish_best={how.finish_best} goes by single runs, and sweep.seeds={how.seeds} by means: give only "
            "one of the two"
        )
    if how.finish_best and "trainer.epochs" in space.keys:
        problems.append(
            f"sweep.finish_best={how.finish_best} goes on up to trainer.epochs, which is searched: give it one value"
        )
    if how.minimize_too and how.sampler == "cmaes":
        problems.append("sweep.sampler=cmaes cannot search for two objectives: take tpe, random, qmc, nsgaii or gp")
    # Optuna imports it for the eleventh trial. Not imported here: that takes 2 s and 200 MB.
    if how.sampler == "gp" and importlib.util.find_spec("torch") is None:
        problems.append(
            "sweep.sampler=gp needs PyTorch, which is not installed: pip install 'mnist_exp[torch]', or take "
            "sweep.sampler=tpe"
        )
    return problems


def _of_a_grid(how: SweepSettings, space: Space) -> list[str]:
    if space.size > MOST_VALUES:
        return [
            f"this sweep has {space.size:,} jobs: {space.sizes}; at most {MOST_VALUES:,} can be planned, so take fewer "
            "values, or a search of sweep.n_trials with sweep.sampler=random"
        ]
    return [
        f"sweep.{name}={wording.show(getattr(how, name))} needs a search, and this is a grid, which runs all its jobs: "
        "add sweep.sampler=tpe"
        for name in _OF_A_SEARCH
        if getattr(how, name) != getattr(SweepSettings, name)
    ]
