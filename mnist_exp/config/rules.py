"""Problems that only show when options meet."""

import shlex
from collections.abc import Sequence

from mnist_exp.config import components, objectives, optimizers, wording
from mnist_exp.config.schema import Settings, TrainerSettings
from mnist_exp.errors import plural
from mnist_exp.runtime.redaction import HIDDEN


def find_problems(settings: Settings) -> list[str]:
    """Return the problems that only show when options meet."""
    problems = []
    measure = settings.metrics.get(settings.objective.removeprefix(objectives.VAL))
    target = measure.target if measure else ""
    if problem := objectives.direction_problem(settings.objective, settings.direction, target):
        problems.append(problem)
    if settings.schedule.name != "constant" and "learning_rate" not in settings.optimizer.arguments:
        problems.append(
            f"schedule={settings.schedule.name} has nothing to change: set optimizer.learning_rate, its highest rate"
        )
    warmup = settings.schedule.arguments.get("warmup") if settings.schedule.name == "cosine" else None
    if warmup and settings.optimizer.target == f"{optimizers.PACKAGE}.Ftrl":
        problems.append(
            f"schedule.warmup={warmup} begins with a rate of 0, by which Ftrl divides: take schedule=one_cycle, or none"
        )
    trainer = settings.trainer
    if trainer.plateau_patience is not None and settings.schedule.name != "constant":
        problems.append(
            f"trainer.plateau_patience={trainer.plateau_patience} cannot change the rate of "
            f"schedule={settings.schedule.name}: it needs schedule=constant"
        )
    problems += _parallel_rules(trainer)
    selecting = {
        f"trainer.early_stopping_patience={trainer.early_stopping_patience}": trainer.early_stopping_patience
        is not None,
        f"trainer.restore_best={wording.show(trainer.restore_best)}": trainer.restore_best,
        f"trainer.plateau_patience={trainer.plateau_patience}": trainer.plateau_patience is not None,
        # Its champion is the version with the best objective.
        f"tracking.register_as={settings.tracking.register_as}": settings.tracking.register_as is not None,
    }
    tracking = settings.tracking
    if tracking.register_as is not None and tracking.best_models is not None:
        problems.append(
            f"tracking.register_as={tracking.register_as} registers every model, and a registered model is never "
            f"removed, as tracking.keep_models={tracking.keep_models} would: give only one of the two"
        )
    problems += notify_problems(tracking.notify, settings.overrides)
    return problems + selected_on_test(settings, [option for option, is_on in selecting.items() if is_on])


def selected_on_test(settings: Settings, options: Sequence[str]) -> list[str]:
    """Return a sentence for each of some options that select by the objective, if that is measured on the test set."""
    if settings.data.validation != "test" or not settings.objective.startswith("val_"):
        return []
    return [
        f"{option} would select on the test set (data.validation=test), and its score would no longer be honest: "
        "hold training images out with data.validation=0.1, or take the validation set that the data bring, "
        "data.validation=own"
        for option in options
    ]


def notify_problems(command: str | None, overrides: Sequence[str]) -> list[str]:
    """Return why `tracking.notify` is not called, without its words: they may be secret.

    A command is code, and no YAML file names code: see SECURITY.md.

    Args:
        command: None for none.
        overrides: that the user gave.
    """
    if command is None:
        return []
    if not any(text.lstrip("+").startswith("tracking.notify=") for text in overrides):
        return ["tracking.notify is a command, which a configuration file cannot name: give it on the command line"]
    if command == HIDDEN:
        return ["tracking.notify=*** was hidden when it was recorded: write the command again, or leave it out"]
    try:
        words = shlex.split(command)
    except ValueError as error:
        return [f"tracking.notify is not a command: {error}"]
    return [] if words and words[0] else ["tracking.notify is not a command: it has no word"]


def without_effect(settings: Settings) -> list[str]:
    """Return a sentence for each option that was changed and, by what another option is, can change nothing.

    They are no problems: a sweep may vary the other option, and a recorded run must stay usable.
    """
    trainer, found = settings.trainer, []
    if trainer.plateau_factor != TrainerSettings.plateau_factor and trainer.plateau_patience is None:
        found.append(("trainer", "plateau_factor", trainer.plateau_factor, " without trainer.plateau_patience"))
    changed = components.essential(settings.optimizer)
    found += [
        ("optimizer", name, changed[name], why)
        for name, why in optimizers.without_effect(settings.optimizer.name, changed)
    ]
    if settings.tracking.store == "none":
        sections = {
            "tracking": (
                "uri",
                "experiment",
                "run_name",
                "description",
                "local_dir",
                "register_as",
                "system_metrics",
                "keep_models",
            ),
            "trainer": ("checkpoint_every",),
        }
        for section, names in sections.items():
            own = getattr(settings, section)
            changed = {name: getattr(own, name) for name in names if getattr(own, name) != getattr(type(own), name)}
            found += [(section, name, value, " without a store (tracking=mlflow)") for name, value in changed.items()]
    return [
        *_overridden(settings.overrides),
        *(f"{part}.{name}={wording.show(value)} has no effect{why}" for part, name, value, why in found),
    ]


def _overridden(overrides: Sequence[str]) -> list[str]:
    """Return a sentence for each override that a later one of the same option takes the place of."""
    last = {text.partition("=")[0].lstrip("+"): text for text in overrides}
    earlier = [(text, last[text.partition("=")[0].lstrip("+")]) for text in overrides]
    return [f"{text} has no effect: {later} comes after it" for text, later in earlier if text != later]


def problems_of_size(settings: Settings, images: int) -> list[str]:
    """Return the problems that only show once the number of training images is known.

    Args:
        settings: of the run.
        images: that an epoch trains on.
    """
    every, steps = _accumulation(settings), _steps(settings, images)
    if every <= steps:
        return []
    return [
        f"optimizer.gradient_accumulation_steps={every}: the training has {plural(steps, 'step')} "
        f"({settings.trainer.epochs} × {settings.trainer.steps(images)}), so no gradient would ever be applied: "
        f"take at most {steps}, a smaller trainer.batch_size or more trainer.epochs"
    ]


def warnings_of_size(settings: Settings, images: int) -> list[str]:
    """Return a sentence for each thing that a user may not expect of a training on so many images."""
    found, size = [], settings.trainer.batch_size
    if size > images:
        found.append(
            f"trainer.batch_size={size} is more than the {plural(images, 'training image')}: an epoch is one step"
        )
    every, steps = _accumulation(settings), _steps(settings, images)
    if left := steps % every:
        found.append(
            f"optimizer.gradient_accumulation_steps={every} makes {steps // every} updates of {steps} steps: the "
            f"gradients of the last {left} are not applied"
        )
    return found + _never_reached(settings, steps, steps // every)


def _never_reached(settings: Settings, steps: int, updates: int) -> list[str]:
    """Return a sentence for each option that counts steps which the training does not have."""
    arguments, found = settings.optimizer.arguments, []
    overwrites, warmup = arguments.get("ema_overwrite_frequency"), arguments.get("warmup_steps")
    if arguments.get("use_ema") and overwrites is not None and overwrites > updates:
        found.append(f"optimizer.ema_overwrite_frequency={overwrites} has no effect in {plural(updates, 'update')}")
    if isinstance(warmup, int) and warmup > updates:
        found.append(
            f"optimizer.warmup_steps={warmup} is more than the {plural(updates, 'update')} of the training: the rate "
            "stays below optimizer.learning_rate"
        )
    share = settings.schedule.arguments.get("warmup")
    if settings.schedule.target == "mnist_exp.schedules.cosine" and share and round(share * steps) == 0:
        found.append(f"schedule.warmup={share} has no effect: it is less than one of {plural(steps, 'step')}")
    return found


def _accumulation(settings: Settings) -> int:
    return settings.optimizer.arguments.get("gradient_accumulation_steps") or 1


def _steps(settings: Settings, images: int) -> int:
    return settings.trainer.epochs * settings.trainer.steps(images)


def _parallel_rules(trainer: TrainerSettings) -> list[str]:
    problems = []
    if trainer.backend == "jax" and trainer.threads is not None:
        problems.append(
            f"trainer.threads={trainer.threads} cannot be set for trainer.backend=jax, which takes a thread for each "
            "CPU that it may run on: leave it null, and name the CPUs with `taskset`"
        )
    if trainer.backend == "torch" and trainer.devices != 1:
        problems.append(
            f"trainer.devices={trainer.devices} needs trainer.backend=tensorflow or jax: on torch Keras trains on one "
            "device"
        )
    if isinstance(trainer.devices, int) and trainer.batch_size % trainer.devices:
        problems.append(
            f"trainer.batch_size={trainer.batch_size} cannot be shared equally by trainer.devices={trainer.devices}: "
            f"take {-(-trainer.batch_size // trainer.devices) * trainer.devices}"
        )
    return problems
