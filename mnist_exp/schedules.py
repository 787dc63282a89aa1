"""Learning-rate schedules: builders that take the optimizer's rate and the number of steps.

They return Keras's own schedule classes, so that a saved model can be loaded without this package.
"""

from typing import TYPE_CHECKING

from mnist_exp.config.fields import Fraction, Share

if TYPE_CHECKING:
    from keras.optimizers.schedules import LearningRateSchedule


def constant(learning_rate: float, steps: int) -> "float | LearningRateSchedule":
    """Return the rate as it is.

    Args:
        learning_rate: step size.
        steps: optimizer steps in the whole training; not used.
    Returns: the rate.
    """
    return learning_rate


def cosine(
    learning_rate: float, steps: int, *, warmup: Fraction = 0.0, final: Fraction = 0.0
) -> "float | LearningRateSchedule":
    """Return a rise along a line, then a fall along half a cosine.

    Args:
        learning_rate: highest rate.
        steps: optimizer steps in the whole training.
        warmup: share of the steps spent rising from zero.
        final: rate at the end, as a share of the highest.
    Returns: a Keras schedule of the step.
    Source: Loshchilov & Hutter 2016, arXiv:1608.03983, without restarts.
    """
    from keras.optimizers.schedules import CosineDecay

    rise = round(warmup * steps)
    if rise == 0:
        return CosineDecay(learning_rate, max(steps, 1), alpha=final)
    return CosineDecay(0.0, max(steps - rise, 1), alpha=final, warmup_target=learning_rate, warmup_steps=rise)


def one_cycle(
    learning_rate: float, steps: int, *, warmup: Share = 0.3, initial: Share = 0.04, final: Fraction = 0.0001
) -> "float | LearningRateSchedule":
    """Return a rise along a line to the highest rate, then a fall along half a cosine to almost nothing.

    Args:
        learning_rate: highest rate.
        steps: optimizer steps in the whole training.
        warmup: share of the steps spent rising.
        initial: rate at the first step, as a share of the highest.
        final: rate after the last step, as a share of the highest.
    Returns: a Keras schedule of the step.
    Source: Smith & Topin 2018, arXiv:1708.07120, section 3; the fall is a cosine, as in fastai and PyTorch.
    """
    from keras.optimizers.schedules import CosineDecay

    rise = max(round(warmup * steps), 1)
    fall = max(steps - rise, 1)
    return CosineDecay(initial * learning_rate, fall, alpha=final, warmup_target=learning_rate, warmup_steps=rise)


def exponential(learning_rate: float, steps: int, *, final: Share = 0.01) -> "float | LearningRateSchedule":
    """Return a fall by the same factor at each step.

    Args:
        learning_rate: rate at the first step.
        steps: optimizer steps in the whole training.
        final: rate after the last step, as a share of the first.
    Returns: a Keras schedule of the step.
    """
    from keras.optimizers.schedules import ExponentialDecay

    return ExponentialDecay(learning_rate, max(steps, 1), decay_rate=final)
