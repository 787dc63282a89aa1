"""What Keras's optimizers allow for their arguments; Keras's own signatures carry no types.

An argument that is not named here takes whatever Keras takes.
"""

from typing import Annotated, Any

from pydantic import Field

from mnist_exp.config.fields import Count, Fraction, NonNegative, Positive

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
}
CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")


def check_clipping(arguments: dict[str, Any]) -> list[str]:
    """Return the problem of naming two kinds of gradient clipping, which Keras refuses."""
    named = [f"optimizer.{name}={arguments[name]}" for name in CLIPPING if arguments.get(name) is not None]
    return [f"{' and '.join(named)} exclude each other: keep one and set the others to null"] if len(named) > 1 else []
