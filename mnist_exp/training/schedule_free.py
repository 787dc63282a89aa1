"""Schedule-free AdamW as its source has it, on every backend, and the weights that it is evaluated with."""

from typing import Any

import keras
from keras import ops


class ScheduleFreeAdamW(keras.optimizers.ScheduleFreeAdamW):  # type: ignore[misc]
    """Keras's, with two differences.

    On TensorFlow, Keras reads the sequence `z` after its update where the one before is meant; so the weights of the
    training are the averages, whatever `beta_1` is (findings/keras-schedule-free-on-tensorflow.sh). And elsewhere it
    leaves the weights of the training in the model, between `z` and the averages `x`; the source keeps `x`.

    Source: Defazio et al. 2024, arXiv:2405.15682, algorithm 1.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update a variable `y`, and the sequences that it is between.

        Args:
            gradient: of the loss, of the variable's shape.
            variable: Keras's or the backend's.
            learning_rate: step size, a scalar.
        """
        kind = variable.dtype
        gradient, rate = ops.cast(gradient, kind), ops.cast(learning_rate, kind)
        step = ops.cast(self.iterations + 1, kind)
        beta_1, beta_2 = ops.cast(self.beta_1, kind), ops.cast(self.beta_2, kind)
        if self.warmup_steps > 0:
            rate = rate * ops.minimum(step / ops.cast(self.warmup_steps, kind), 1.0)
        index = self._get_variable_index(variable)
        z, square = self._momentums[index], self._velocities[index]
        # First of all, from values and not from variables, which change below.
        x = self.average(ops.convert_to_tensor(variable) + 0, ops.convert_to_tensor(z) + 0)
        self.assign_add(square, (ops.square(gradient) - square) * (1 - beta_2))
        root = ops.sqrt(square / (1 - ops.power(beta_2, step))) + ops.cast(self.epsilon, kind)
        moved = ops.convert_to_tensor(z) - rate * gradient / root
        self.assign(z, moved)
        x = x + (moved - x) / step
        self.assign(variable, (1 - beta_1) * moved + beta_1 * x)

    def average(self, variable: Any, z: Any) -> Any:
        """Return the averages `x` that a variable `y = (1 - beta_1) z + beta_1 x` holds.

        Args:
            variable: values of it.
            z: of the sequence of steps, of the same shape.
        """
        return (variable - (1 - self.beta_1) * z) / self.beta_1

    def averages(self) -> list[tuple[Any, Any]]:
        """Return each trainable variable with its average; there is none for scales of float8."""
        pairs = zip(self._trainable_variables, self._momentums, strict=True)
        return [(v, self.average(ops.convert_to_tensor(v), z)) for v, z in pairs if z is not None]

    def finalize_variable_values(self, var_list: Any) -> None:
        """Put the averages into the model at the end of a training, as Keras does for `use_ema`."""
        for variable, average in self.averages():
            variable.assign(average)
