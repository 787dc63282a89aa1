"""Losses: builders of what a training minimizes.

The signature of a builder is the schema of its group in `conf/loss`. The runner gives four arguments itself, if there
are such: `activation`, which makes predictions of the raw outputs (softmax, sigmoid or linear: `tasks`),
`from_logits`, whether the loss gets the outputs from before it, `outputs`, how many there are for an image, and
`is_mixed`, whether an image may have shares of several classes.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from mnist_exp.config.fields import Allowed, NonNegative, Positive
from mnist_exp.errors import SettingsError

if TYPE_CHECKING:
    from keras import losses

Activation = Literal["softmax", "sigmoid", "linear"]
Smoothing = Annotated[float, Field(ge=0, lt=1)]
Alpha = Annotated[
    Annotated[float, Field(gt=0, le=1)] | list[Annotated[float, Field(gt=0, le=1)]],
    Allowed("a number above 0, at most 1, or a list of one for each class"),
]
_OF_CLASSES = ("softmax", "sigmoid")


def auto(*, activation: Activation = "softmax", from_logits: bool = True, is_mixed: bool = False) -> "losses.Loss":
    """Return the usual loss: cross-entropy for classes and labels, the mean squared error for numbers."""
    if activation == "linear":
        return mse()
    return crossentropy(activation=activation, from_logits=from_logits, is_mixed=is_mixed)


def crossentropy(
    *,
    activation: Activation = "softmax",
    from_logits: bool = True,
    is_mixed: bool = False,
    label_smoothing: Smoothing = 0.0,
) -> "losses.Loss":
    """Return the cross-entropy.

    Args:
        activation: softmax for one of several classes, sigmoid for labels of which each is there or not.
        from_logits: whether it gets logits.
        is_mixed: whether an image may have shares of several classes.
        label_smoothing: share of the true class that is spread evenly over all of them.
    Source: label smoothing: Szegedy et al. 2016, arXiv:1512.00567, section 7.
    """
    from keras import losses

    _refuse_numbers("crossentropy", activation)
    if activation == "sigmoid":
        return losses.BinaryCrossentropy(from_logits=from_logits, label_smoothing=label_smoothing)
    if label_smoothing == 0 and not is_mixed:
        return losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    return losses.CategoricalCrossentropy(from_logits=from_logits, label_smoothing=label_smoothing)


def focal(
    *,
    activation: Activation = "softmax",
    from_logits: bool = True,
    outputs: int = 0,
    gamma: NonNegative = 2.0,
    alpha: Alpha = 0.25,
) -> "losses.Loss":
    """Return the focal loss, a cross-entropy in which images that are easy count little.

    Args:
        activation: softmax for one of several classes, sigmoid for labels of which each is there or not.
        from_logits: whether it gets logits.
        outputs: number of classes or labels.
        gamma: how much less the easy ones count; with 0 all count alike.
        alpha: weight of the loss, or a list of one for each class; for sigmoid that of the label that is there, and
            1 - alpha that of the one that is not.
    Source: Lin, Goyal, Girshick, He & Dollár 2017, arXiv:1708.02002, section 3.
    """
    _refuse_numbers("focal", activation)
    if activation == "sigmoid":
        from keras import losses

        if not isinstance(alpha, float):
            raise ValueError(f"alpha={alpha} must be one number here, the weight of a label that is there")
        return losses.BinaryFocalCrossentropy(
            apply_class_balancing=True, alpha=alpha, gamma=gamma, from_logits=from_logits
        )
    if isinstance(alpha, list) and len(alpha) != outputs:
        raise ValueError(f"alpha={alpha} has {len(alpha)} numbers for {outputs} classes; it must be one for each")
    return _focal_of_classes(from_logits, gamma, alpha)


def mse() -> "losses.Loss":
    """Return the mean squared error; for classes, of the probabilities (Brier)."""
    from keras import losses

    return losses.MeanSquaredError()


def mae() -> "losses.Loss":
    """Return the mean absolute error; for classes, of the probabilities."""
    from keras import losses

    return losses.MeanAbsoluteError()


def huber(*, delta: Positive = 1.0) -> "losses.Loss":
    """Return the Huber loss: squared for small errors, linear for large ones.

    Args:
        delta: error from which on it is linear, in the unit of the target.
    Source: Huber 1964, Annals of Mathematical Statistics 35, 73–101.
    """
    from keras import losses

    return losses.Huber(delta=delta)


def _refuse_numbers(name: str, activation: Activation) -> None:
    if activation not in _OF_CLASSES:
        raise SettingsError(f"loss={name} is for classes and labels: for numbers take loss=mse, mae or huber")


def _focal_of_classes(from_logits: bool, gamma: float, alpha: Any) -> "losses.Loss":
    """Return the focal loss of one-hot labels. Keras's clips probabilities, so that a sure mistake has no gradient."""
    import keras
    from keras import ops

    class Focal(keras.losses.Loss):  # type: ignore[misc]
        def call(self, y_true: Any, y_pred: Any) -> Any:
            if from_logits:
                log_p = ops.log_softmax(y_pred, axis=-1)
            else:
                log_p = ops.log(ops.maximum(y_pred, keras.config.epsilon()))
            easy = ops.power(1.0 - ops.exp(log_p), gamma)
            return -ops.sum(ops.cast(alpha, log_p.dtype) * y_true * easy * log_p, axis=-1)

    return Focal(name="focal")
