"""What Keras's optimizers allow for their arguments, and which of these change nothing beside others.

Keras's own signatures carry no types. An argument that is not named here takes whatever Keras takes.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from mnist_exp.config.fields import Count, Fraction, NonNegative, Positive, Share, Whole

PACKAGE = "keras.optimizers"

RANGES: dict[str, Any] = {
    "learning_rate": Positive,
    "beta_1": Fraction,
    "beta_2": Fraction,
    "momentum": Fraction,
    "rho": Fraction,
    "epsilon": Positive,
    "weight_decay": NonNegative | None,
    "clipnorm": Positive | None,
    "clipvalue": Positive | None,
    "global_clipnorm": Positive | None,
    "use_ema": bool,
    "ema_momentum": Fraction,
    "ema_overwrite_frequency": Count | None,
    "gradient_accumulation_steps": Annotated[int, Field(ge=2)] | None,
    "nesterov": bool,
    "amsgrad": bool,
    "centered": bool,
    "loss_scale_factor": Positive | None,
    "name": str | None,
    # Of Adafactor.
    "beta_2_decay": Annotated[float, Field(lt=0)],
    "epsilon_1": Positive,
    "epsilon_2": Positive,
    "clip_threshold": Positive,
    "relative_step": bool,
    # Of Ftrl.
    "learning_rate_power": Annotated[float, Field(le=0)],
    "initial_accumulator_value": NonNegative,
    "l1_regularization_strength": NonNegative,
    "l2_regularization_strength": NonNegative,
    "l2_shrinkage_regularization_strength": NonNegative,
    "beta": NonNegative,
    # Of Muon.
    "adam_beta_1": Fraction,
    "adam_beta_2": Fraction,
    "adam_weight_decay": NonNegative | None,
    "adam_lr_ratio": Positive,
    "exclude_layers": list[str] | None,
    "exclude_embeddings": bool,
    "muon_a": float,
    "muon_b": float,
    "muon_c": float,
    "ns_steps": Count,
    "rms_rate": Positive | None,
    # Of ScheduleFreeAdamW.
    "warmup_steps": Whole,
}
# Where one of them allows less than the others, for it divides by the number, or refuses it.
_OWN_RANGES: dict[tuple[str, str], Any] = {
    ("AdamW", "weight_decay"): NonNegative,
    ("Lion", "beta_1"): Share,
    ("ScheduleFreeAdamW", "beta_1"): Share,
}
_NOT_CHOSEN = {
    "LossScaleOptimizer": "trainer.precision=mixed_float16 wraps the optimizer in it",
    "MultiOptimizer": "it is made of other optimizers, which a configuration cannot give it",
    "Optimizer": "it is the base of the others",
    "OptimizerMap": "it is a part of MultiOptimizer",
}
CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")
AVERAGING = ("ema_momentum", "ema_overwrite_frequency")
# Below it the product of two of them over a mean square is 0 in float32, and a gradient of 0 is divided by it.
LEAST_EPSILON_1 = 1e-19


def range_of(optimizer: str, argument: str, otherwise: Any) -> Any:
    """Return what an argument of one of Keras's optimizers allows; `otherwise` where that is not known."""
    return _OWN_RANGES.get((optimizer, argument), RANGES.get(argument, otherwise))


def why_not_chosen(optimizer: str) -> str | None:
    """Return why a class of Keras's package cannot be the optimizer of a training; None if it can."""
    return _NOT_CHOSEN.get(optimizer)


def find_problems(optimizer: str, arguments: Mapping[str, Any]) -> list[str]:
    """Return the problems of an optimizer's arguments that only show when they meet.

    Args:
        optimizer: name of Keras's class.
        arguments: as configured.
    """
    problems = []
    clipping = [f"optimizer.{name}={arguments[name]}" for name in CLIPPING if arguments.get(name) is not None]
    if len(clipping) > 1:
        problems.append(f"{' and '.join(clipping)} exclude each other: keep one and set the others to null")
    if optimizer == "ScheduleFreeAdamW" and arguments.get("use_ema"):
        problems.append("optimizer.use_ema=true: ScheduleFreeAdamW averages the weights itself, leave it out")
    problems += [
        f"optimizer.exclude_layers: {pattern!r} is no regular expression"
        for pattern in arguments.get("exclude_layers") or ()
        if not _is_pattern(pattern)
    ]
    return problems


def without_effect(optimizer: str, changed: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return each argument that was changed and changes nothing, and why: ` without …`, or after a colon.

    Args:
        optimizer: name of the class.
        changed: arguments that are not at their defaults.
    """
    found = []
    if not changed.get("use_ema"):
        found += [(name, " without optimizer.use_ema=true") for name in AVERAGING if name in changed]
    if changed.get("nesterov") and not changed.get("momentum"):
        found.append(("nesterov", " without optimizer.momentum"))
    if changed.get("loss_scale_factor") is not None:
        why = "the gradients are divided by it again, and trainer.precision=mixed_float16 has a scale of its own"
        found.append(("loss_scale_factor", f": {why}"))
    if optimizer == "Adafactor" and "relative_step" in changed:
        found.append(("relative_step", ": Adafactor takes the lower of optimizer.learning_rate and 1/√step either way"))
    return found


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True
