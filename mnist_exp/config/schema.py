"""The checked configuration: what a run may rely on, and the one function that makes it."""

import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from omegaconf import DictConfig, ListConfig, Node, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field

from mnist_exp.config import components, fields
from mnist_exp.config.components import Component
from mnist_exp.config.fields import Allowed, Count, Positive, Share
from mnist_exp.config.signatures import REQUIRED, Parameter
from mnist_exp.errors import SettingsError
from mnist_exp.runtime import backends
from mnist_exp.runtime.backends import Backend

Validation = Annotated[
    Literal["test"] | Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)],
    Allowed("test, a number of training images (5000), or a share of them above 0 and below 1 (0.1)"),
]
Points = Annotated[
    list[dict[str, Any]], Field(min_length=1), Allowed("a list of combinations: [{model.filters: 16, seed: 1}, …]")
]
ModelName = Annotated[
    str, Field(pattern=r"^[^\s/:@'\"][^/:@'\"]{0,199}$"), Allowed("a name, without / : @ and quotes,")
]
Devices = Annotated[Literal["all"] | Annotated[int, Field(ge=1)], Allowed("all, or a whole number, at least 1")]
Objective = Literal["val_accuracy", "val_loss", "accuracy", "loss"]


@dataclass(frozen=True)
class DataSettings:
    """Which images, how many, and what each epoch is validated on."""

    name: str
    loader: Component
    limit: Count | None = None
    validation: Validation = "test"


@dataclass(frozen=True)
class TrainerSettings:
    """How long and how the model is trained.

    Args:
        backend: once checked, the one that is meant where none is named.
    """

    epochs: Count = 10
    batch_size: Count = 200
    early_stopping_patience: Count | None = None
    restore_best: bool = False
    plateau_patience: Count | None = None
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    backend: Backend | None = None
    devices: Devices = 1
    threads: Count | None = None
    checkpoint_every: Count | None = 1


@dataclass(frozen=True)
class TrackingSettings:
    """Where the run is recorded, and what is not recorded yet."""

    store: Literal["mlflow", "none"] = "mlflow"
    uri: str | None = None
    experiment: Annotated[str, Field(min_length=1), Allowed("a name")] = "mnist_exp"
    run_name: str | None = None
    local_dir: str | None = None
    register_as: ModelName | None = None


@dataclass(frozen=True)
class SweepSettings:
    """How `-m` goes through several values; no part of any one experiment."""

    sampler: Literal["tpe", "random", "qmc", "cmaes", "nsgaii"] | None = None
    n_trials: Count = 20
    timeout_s: Positive | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    pruner: Literal["none", "asha", "hyperband", "median"] = "none"
    prune_after: Count = 1
    minimize_too: Literal["parameters", "fit_time_s"] | None = None
    storage: str | None = None
    study: str | None = None
    together: Count = 1
    zip: bool = False
    points: Points | None = None
    reuse: bool = True
    retry_failed: bool = False
    fail_fast: bool = False
    max_failure_rate: Share | None = None
    job_timeout_s: Positive | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class Settings:
    """A whole experiment, typed and range-checked. Made by `check` or `compose`, never by hand.

    Args:
        overrides: what the user changed, as written; not part of the experiment itself.
    """

    model: Component
    optimizer: Component
    schedule: Component
    augment: Component
    data: DataSettings
    trainer: TrainerSettings
    tracking: TrackingSettings
    seed: int = 7
    objective: Objective = "val_accuracy"
    direction: Literal["maximize", "minimize"] = "maximize"
    trusted_modules: tuple[str, ...] = ()
    sweep: SweepSettings = field(default_factory=SweepSettings, compare=False)
    overrides: tuple[str, ...] = ()

    def to_config(self) -> dict[str, Any]:
        """Return the configuration of this one run as nested plain values, in the shape that `check` takes."""
        config: dict[str, Any] = {}
        for group in ("model", "optimizer", "schedule"):
            config[group] = _component_config(getattr(self, group))
        loader = _component_config(self.data.loader)
        config["data"] = {
            "name": self.data.name,
            **loader,
            "limit": self.data.limit,
            "validation": self.data.validation,
        }
        config["augment"] = _component_config(self.augment)
        config["trainer"] = dataclasses.asdict(self.trainer)
        config["tracking"] = dataclasses.asdict(self.tracking)
        scalars = {"seed": self.seed, "objective": self.objective, "direction": self.direction}
        return {**config, **scalars, "trusted_modules": list(self.trusted_modules)}


_SCALARS: dict[str, Parameter] = {
    "seed": Parameter(Annotated[int, Field(ge=0, lt=2**32)], 7),
    "objective": Parameter(Objective, "val_accuracy"),
    "direction": Parameter(Literal["maximize", "minimize"], "maximize"),
    "trusted_modules": Parameter(list[str], ()),
}
_BUILDER_GROUPS = ("model", "optimizer", "schedule", "augment")
_NAMES = [*_BUILDER_GROUPS, "data", "trainer", "tracking", "sweep", *_SCALARS]


def check(config: DictConfig | Mapping[str, Any], overrides: Sequence[str] = ()) -> Settings:
    """Return the settings that a composed configuration means.

    Nothing heavy is imported, no file is read but sources, nothing named in it is run.

    Args:
        config: the composed configuration.
        overrides: what the user changed, for the record.
    Raises: SettingsError: with every mistake there is, one sentence each.
    """
    settings, problems = find_problems(config, overrides)
    if settings is None or problems:
        raise SettingsError(problems)
    return settings


def sweep_settings(config: DictConfig) -> SweepSettings:
    """Return how a sweep goes, from a configuration whose other parts differ from job to job.

    Raises: SettingsError: with every mistake in the section `sweep`.
    """
    return SweepSettings(**_checked("sweep", config, SweepSettings))


def tracking_settings(config: DictConfig) -> TrackingSettings:
    """Return where runs are recorded, from a configuration whose other parts do not matter.

    Raises: SettingsError: with every mistake in the section `tracking`.
    """
    return TrackingSettings(**_checked("tracking", config, TrackingSettings))


def _checked(name: str, config: DictConfig, kind: type) -> dict[str, Any]:
    found = config.get(name)
    section, problems = _resolved(found) if isinstance(found, DictConfig) else ({}, [_no_section(name, {name: found})])
    if problems:
        raise SettingsError(problems)
    checked, problems = fields.check_all(f"{name}.", section, _parameters(kind))
    if problems:
        raise SettingsError(problems)
    return checked


def find_problems(
    config: DictConfig | Mapping[str, Any], overrides: Sequence[str] = ()
) -> tuple[Settings | None, list[str]]:
    """Return the settings, where enough of them is right to tell, and all mistakes."""
    values, problems = _resolved(config) if isinstance(config, DictConfig) else (dict(config), [])
    if problems:
        return None, problems
    resume = values.pop("resume", None)
    if resume is not None:
        return None, [
            f"resume={fields.show(resume)} goes on with one run, alone: python -m mnist_exp.run resume=RUN_ID"
        ]
    problems = [_unknown(str(name)) for name in values if name not in _NAMES]
    sections: dict[str, dict[str, Any]] = {}
    for name in (*_BUILDER_GROUPS, "data", "trainer", "tracking", "sweep"):
        section = values.get(name, {} if name == "sweep" else None)  # The record of one run has no sweep.
        if not isinstance(section, dict):
            problems.append(_no_section(name, values))
        sections[name] = section if isinstance(section, dict) else {}
    if problems:
        return None, problems

    scalars, found = fields.check_all("", {n: v for n, v in values.items() if n in _SCALARS}, _SCALARS)
    problems += found
    trusted, found = _trusted(scalars.get("trusted_modules", []), sections)
    problems += found
    parts: dict[str, Any] = {}
    for group in _BUILDER_GROUPS:
        parts[group], found = components.check(group, sections[group], trusted)
        problems += found
    parts["data"], found = _check_data(sections["data"], trusted)
    problems += found
    for name, kind in (("trainer", TrainerSettings), ("tracking", TrackingSettings), ("sweep", SweepSettings)):
        checked, found = fields.check_all(f"{name}.", sections[name], _parameters(kind))
        problems += found
        parts[name] = kind(**checked) if not found else None
    if parts["trainer"] is not None and parts["trainer"].backend is None:
        parts["trainer"] = dataclasses.replace(parts["trainer"], backend=backends.default())
    if not problems:
        settings = Settings(**parts, **(scalars | {"trusted_modules": trusted}), overrides=tuple(overrides))
        return settings, _rules(settings)
    from mnist_exp.composition import preflight

    problems += backends.problems(parts["trainer"].backend) if parts["trainer"] else []
    problems += preflight.data_problems(parts["data"], parts["model"]) if parts["data"] else []
    problems += preflight.store_problems(parts["tracking"]) if parts["tracking"] else []
    return None, problems


def _resolved(config: DictConfig) -> tuple[dict[str, Any], list[str]]:
    """Return plain values, or a sentence for each interpolation that leads nowhere."""
    try:
        values: Any = OmegaConf.to_container(config, resolve=True)
        return {str(name): value for name, value in values.items()}, []
    except (OmegaConfBaseException, RecursionError) as error:
        problems = [_unresolved(node, why) for node in _nodes(config) if (why := _why_unresolved(node))]
        return {}, list(dict.fromkeys(problems)) or [f"the configuration cannot be resolved: {_first_line(error)}"]


def _nodes(config: DictConfig | ListConfig) -> Iterator[Node]:
    """Yield the values in a configuration that are interpolations."""
    for name in range(len(config)) if isinstance(config, ListConfig) else list(config):
        node: Any = config._get_node(name)
        if node._is_interpolation():
            yield node
        elif isinstance(node, DictConfig | ListConfig) and not node._is_none() and not node._is_missing():
            yield from _nodes(node)


def _why_unresolved(node: Node) -> str | None:
    try:
        node._maybe_dereference_node(throw_on_resolution_failure=True)
    except (OmegaConfBaseException, RecursionError) as error:
        return _first_line(error)
    return None


def _unresolved(node: Node, why: str) -> str:
    return f"{node._get_full_key(None)}={fields.show(node._value())} cannot be resolved: {why}"


def _first_line(error: Exception) -> str:
    before, _, after = str(error).partition(" raised while resolving interpolation: ")
    line = ((after or before).splitlines() or ["it leads back to itself"])[0]
    return line.partition(" expecting {")[0].strip('"')


def _unknown(name: str) -> str:
    if name == "experiment":
        return "experiment is no section: the file of an experiment begins with the line `# @package _global_`"
    return fields.unknown(name, name, _NAMES)


def _no_section(name: str, values: Mapping[str, Any]) -> str:
    if name not in values or values[name] is None:
        return f"{name} is missing: choose one, as {name}=NAME; --help tells the names"
    return f"{name}={fields.show(values[name])} is not allowed: it must be a section of options"


def _trusted(modules: list[str], sections: Mapping[str, dict[str, Any]]) -> tuple[tuple[str, ...], list[str]]:
    """Return the modules trusted by the whole configuration and by single groups, which may name theirs.

    A module that may not be trusted is not among them: what is found right is tried even if other parts are mistaken.
    """
    named, problems = list(modules), []
    for group, section in sections.items():
        own, problem = fields.check(f"{group}.trusted_modules", section.pop("trusted_modules", []), list[str])
        named += own if problem is None else []
        problems += [problem] if problem else []
    for name in named:
        if not components.may_be_trusted(name):
            problems.append(
                f"trusted_modules: {name!r} is not allowed: it must be a package of your own, as my_pkg or my_pkg.nets"
            )
    return tuple(dict.fromkeys(name for name in named if components.may_be_trusted(name))), problems


def _check_data(section: dict[str, Any], trusted: Sequence[str]) -> tuple[DataSettings | None, list[str]]:
    own = {name: p for name, p in _parameters(DataSettings).items() if name != "loader"}
    common, problems = fields.check_all("data.", {n: v for n, v in section.items() if n in own}, own)
    loader, found = components.check("data", {n: v for n, v in section.items() if n not in own}, trusted)
    problems += found
    return (None if problems else DataSettings(loader=loader, **common)), problems


def _rules(settings: Settings) -> list[str]:
    """Return the problems that only show when options meet."""
    problems = []
    best = "minimize" if settings.objective.endswith("loss") else "maximize"
    if settings.direction != best:
        problems.append(
            f"direction={settings.direction} does not fit objective={settings.objective}: it must be {best}"
        )
    if settings.schedule.name != "constant" and "learning_rate" not in settings.optimizer.arguments:
        problems.append(
            f"schedule={settings.schedule.name} has nothing to change: set optimizer.learning_rate, its highest rate"
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
        f"trainer.restore_best={fields.show(trainer.restore_best)}": trainer.restore_best,
        f"trainer.plateau_patience={trainer.plateau_patience}": trainer.plateau_patience is not None,
        # Its champion is the version with the best objective.
        f"tracking.register_as={settings.tracking.register_as}": settings.tracking.register_as is not None,
    }
    if settings.data.validation == "test" and settings.objective.startswith("val_"):
        problems += [
            f"{option} would select on the test set (data.validation=test), and its score would no longer be honest: "
            "hold training images out with data.validation=5000 or data.validation=0.1"
            for option, is_on in selecting.items()
            if is_on
        ]
    return problems


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


def _parameters(section: type) -> dict[str, Parameter]:
    hints = typing.get_type_hints(section, include_extras=True)
    return {
        f.name: Parameter(hints[f.name], REQUIRED if f.default is dataclasses.MISSING else f.default)
        for f in dataclasses.fields(section)
    }


def _component_config(component: Component) -> dict[str, Any]:
    return {"_target_": component.target, **component.arguments}
