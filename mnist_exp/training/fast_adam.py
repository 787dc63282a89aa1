"""Adam in one operation a variable instead of a dozen."""

from typing import Any

import keras


class QuickAdam(keras.optimizers.Adam):  # type: ignore[misc]
    """Keras's Adam, updated by TensorFlow's own fused operation, which computes the same. TensorFlow only.

    But for the gradients of an `Embedding`: those of a row that is used several times are added up before they are
    squared, as the source has it; Keras adds the squares.

    Source: Kingma & Ba 2014, arXiv:1412.6980, in the form before section 2.1, whose epsilon is the hatted one.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update a variable and its moments.

        Args:
            gradient: of the loss, of the variable's shape.
            variable: Keras's or TensorFlow's.
            learning_rate: step size, a scalar.
        """
        if self.amsgrad:
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        index = self._get_variable_index(variable)
        mean, square = (kind[index] for kind in (self._momentums, self._velocities))
        step = tf.cast(self.iterations + 1, variable.dtype)
        beta_1, beta_2, rate, epsilon = (
            tf.cast(value, variable.dtype) for value in (self.beta_1, self.beta_2, learning_rate, self.epsilon)
        )
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(mean),
            v=_handle(square),
            beta1_power=tf.pow(beta_1, step),
            beta2_power=tf.pow(beta_2, step),
            lr=rate,
            beta1=beta_1,
            beta2=beta_2,
            epsilon=epsilon,
            grad=tf.cast(gradient, variable.dtype),
            use_locking=True,
        )


def _handle(variable: Any) -> Any:
    """Return the resource of a variable of Keras's or TensorFlow's."""
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle
