"""Every option, typed: who adds one adds it here.

`parse` makes these from a configuration, `rules` has what only shows when options meet.
"""

import dataclasses
import functools
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from mnist_exp.config import own_tags
from mnist_exp.config.components import Component
from mnist_exp.config.fields import Allowed, Count, Positive, Share, Whole
from mnist_exp.config.own_tags import OwnTags
from mnist_exp.config.signatures import REQUIRED, Parameter
from mnist_exp.runtime.backends import Backend

Validation = Annotated[
    Literal["test", "own"] | Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)],
    Allowed("test, own, a number of training images (5000), or a share of them above 0 and below 1 (0.1)"),
]
Reporting = Annotated[
    Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)] | None,
    Allowed("a number of training images (5000), or a share of them above 0 and below 1 (0.1)"),
]
Points = Annotated[
    list[dict[str, Any]], Field(min_length=1), Allowed("a list of combinations: [{model.filters: 16, seed: 1}, …]")
]
Where = Annotated[
    dict[str, dict[str, dict[str, Any]]],
    Field(min_length=1),
    Allowed("the values that a choice has for itself: {model: {mlp: {model.dropout: 'interval(0,0.3)'}}}"),
]
FirstPoints = Annotated[
    Literal["defaults"] | Annotated[list[Literal["defaults"] | dict[str, Any]], Field(min_length=1)],
    Allowed("defaults, or a list of points: [defaults, {model.filters: 16, model.dropout: 0.1}, …]"),
]
RunIds = Annotated[
    str | Annotated[list[str], Field(min_length=1)], Allowed("the id of a sweep's parent run, or a list of them")
]
ModelName = Annotated[
    str, Field(pattern=r"^[^\s/:@'\"][^/:@'\"]{0,199}$"), Allowed("a name, without / : @ and quotes,")
]
Description = Annotated[str, Field(max_length=own_tags.MOST_CHARACTERS), Allowed("text, at most 8,000 characters")]
Notify = Annotated[str, Allowed("a command as one text: 'notify-send done'")]
KeptModels = Annotated[
    str, Field(pattern=r"^(all|none|best:[1-9][0-9]{0,5})$"), Allowed("all, none, or best:N with N from 1, as best:5")
]
Devices = Annotated[Literal["all"] | Annotated[int, Field(ge=1)], Allowed("all, or a whole number, at least 1")]
Objective = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$"), Allowed("the name of a metric, as val_loss")]
ClassWeight = Annotated[
    Literal["balanced"] | dict[str | int, Annotated[float, Field(ge=0)]] | None,
    Allowed("balanced, or a weight for each class by its name: {cat: 1, dog: 3.5}"),
]
Components = Mapping[str, Component]
_AUTO_LOSS = Component("loss", "mnist_exp.losses.auto")
_AUTO_TASK = Component("task", "mnist_exp.tasks.builders.auto")
Seed = Annotated[int, Field(ge=0, lt=2**32)]


@dataclass(frozen=True)
class DataSettings:
    """Which examples, how many, what they are validated and reported on, and whether features are standardized."""

    name: str
    loader: Component
    limit: Count | None = None
    validation: Validation = "test"
    reporting: Reporting = None
    standardize: bool = False


@dataclass(frozen=True)
class TrainerSettings:
    """How long and how the model is trained.

    Args:
        class_weight: of each class by its name, `balanced` for weights that make all classes count alike.
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
    class_weight: ClassWeight = None

    def steps(self, images: int) -> int:
        """Return the steps of an epoch on so many images."""
        return math.ceil(images / self.batch_size)


@dataclass(frozen=True)
class TrackingSettings:
    """Where the run is recorded, what of it, and what is not recorded yet."""

    store: Literal["mlflow", "none"] = "mlflow"
    uri: str | None = None
    experiment: Annotated[str, Field(min_length=1), Allowed("a name")] = "mnist_exp"
    run_name: str | None = None
    description: Description | None = None
    local_dir: str | None = None
    register_as: ModelName | None = None
    system_metrics: bool = False
    keep_models: KeptModels = "all"
    notify: Notify | None = None

    @property
    def best_models(self) -> int | None:
        """How many of a sweep's models are to stay; None for all."""
        return None if self.keep_models == "all" else int(self.keep_models.partition(":")[2] or 0)


@dataclass(frozen=True)
class SweepSettings:
    """How `-m` goes through several values; no part of any one experiment."""

    sampler: Literal["tpe", "random", "qmc", "cmaes", "nsgaii", "gp"] | None = None
    n_trials: Count = 20
    timeout_s: Positive | None = None
    budget_epochs: Count | None = None
    budget_s: Positive | None = None
    seed: Seed = 0
    pruner: Literal["none", "asha", "hyperband", "median"] | None = None
    prune_after: Count = 1
    keep_paused: Whole = 20
    finish_best: Whole = 0
    minimize_too: Literal["parameters", "fit_time_s"] | None = None
    storage: str | None = None
    study: str | None = None
    together: Count = 1
    zip: bool = False
    points: Points | None = None
    where: Where | None = None
    start_from: RunIds | None = None
    try_first: FirstPoints | None = None
    reuse: bool | Literal["any"] = True
    retry_failed: bool = False
    fail_fast: bool = False
    max_failure_rate: Share | None = None
    job_timeout_s: Positive | None = None
    seeds: Count = 1
    dry_run: bool | Literal["jobs"] = False

    @property
    def prunes(self) -> bool:
        """Whether poor trials are stopped early."""
        return self.pruner not in (None, "none")


@dataclass(frozen=True)
class Settings:
    """A whole experiment, typed and range-checked. Made by `check` or `compose`, never by hand.

    A group or a section with a default may be absent from a configuration, as from one recorded before it existed.

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
    loss: Component = _AUTO_LOSS
    metrics: Components = field(default_factory=dict)
    callbacks: Components = field(default_factory=dict)
    task: Component = _AUTO_TASK
    seed: Seed = 7
    objective: Objective = "val_accuracy"
    direction: Literal["maximize", "minimize"] = "maximize"
    trusted_modules: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict, compare=False)
    sweep: SweepSettings = field(default_factory=SweepSettings, compare=False)
    overrides: tuple[str, ...] = ()

    def to_config(self) -> dict[str, Any]:
        """Return the configuration of this one run as nested plain values, in the shape that `check` takes."""
        config: dict[str, Any] = {}
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Component):
                config[each.name] = _component_config(value)
            elif each.name in MAPPING_GROUPS:
                config[each.name] = {name: _component_config(component) for name, component in value.items()}
            elif each.name == "data":
                own = {n: v for n, v in vars(value).items() if n not in ("name", "loader")}
                config["data"] = {"name": value.name, **_component_config(value.loader), **own}
            elif dataclasses.is_dataclass(value) and each.name != "sweep":
                config[each.name] = dataclasses.asdict(value)  # type: ignore[arg-type]
            elif each.name in TOP_LEVEL:
                config[each.name] = _IN_YAML[each.name](value) if each.name in _IN_YAML else value
        return config


def parameters(section: type) -> dict[str, Parameter]:
    """Return the options of a section, or of the whole configuration: their types and defaults."""
    hints = _hints(section)
    return {f.name: Parameter(hints[f.name], _default(f)) for f in dataclasses.fields(section)}


@functools.cache
def _hints(section: type) -> dict[str, Any]:
    return typing.get_type_hints(section, include_extras=True)


def _component_config(component: Component) -> dict[str, Any]:
    return {"_target_": component.target, **component.arguments}


def _default(option: "dataclasses.Field[Any]") -> Any:
    if option.default_factory is not dataclasses.MISSING:
        return option.default_factory()
    return REQUIRED if option.default is dataclasses.MISSING else option.default


_PARTS = parameters(Settings)
BUILDER_GROUPS = tuple(name for name, each in _PARTS.items() if each.annotation is Component)
# Groups that map names to builders.
MAPPING_GROUPS = tuple(name for name, each in _PARTS.items() if each.annotation == Components)
SECTIONS: dict[str, type] = {
    name: each.annotation
    for name, each in _PARTS.items()
    if isinstance(each.annotation, type) and dataclasses.is_dataclass(each.annotation)
    if name not in (*BUILDER_GROUPS, "data")
}
# What a configuration holds where settings hold a tuple or a mapping of texts.
_IN_YAML: dict[str, type] = {"trusted_modules": list, "tags": dict}
_WRITTEN = {"trusted_modules": list[str], "tags": OwnTags}
TOP_LEVEL = {
    name: Parameter(_WRITTEN.get(name, each.annotation), each.default)
    for name, each in _PARTS.items()
    if name not in (*BUILDER_GROUPS, *MAPPING_GROUPS, *SECTIONS, "data", "overrides")
}
