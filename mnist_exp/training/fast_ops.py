"""Dropout and Adam in fewer operations, for TensorFlow; the model that is saved has Keras's own.

Times of a step of the baseline: 10.2 ms with Keras's Dropout and 9.0 with ours on two threads, 15.6 and 13.4 on one
(docs/decisions/0009-training-loop.md). Our Adam makes the first step, which traces the graph, take 0.68 of Keras's CPU
time (median of five runs of each in turn, 0.65 to 0.83), and a later step 0.96 (0.89 to 1.09).
"""

from typing import Any

import keras

_LEVELS = 2**16


class QuickDropout(keras.layers.Layer):  # type: ignore[misc]
    """Drop as a `keras.layers.Dropout` does while training, from 16 random bits a value instead of 32. TensorFlow only.

    The share that is dropped is the rate to within 1/131,072, and what is kept is scaled by exactly what is kept.

    Args:
        layer: whose rate, seeds and name are taken.
    """

    def __init__(self, layer: keras.layers.Dropout) -> None:
        super().__init__(name=layer.name, dtype=layer.dtype_policy)
        self.seed_generator = layer.seed_generator
        self._dropped = round(layer.rate * _LEVELS)
        self.supports_masking = True
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Return what it is made of, for those who look into the model; it is not saved, nor made again from that."""
        return {"name": self.name, "rate": self._dropped / _LEVELS}

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the inputs, some of them zero while training."""
        if not training:
            return inputs
        import tensorflow as tf

        shape = tf.shape(inputs)
        count = tf.size(inputs)
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        pairs = tf.random.stateless_uniform([(count + 1) // 2], seed, minval=None, maxval=None, dtype=tf.uint32)
        bits = tf.reshape(tf.reshape(tf.bitcast(pairs, tf.uint16), [-1])[:count], shape)
        kept = tf.cast(bits >= tf.constant(self._dropped, tf.uint16), inputs.dtype)
        return inputs * (kept * tf.cast(_LEVELS / (_LEVELS - self._dropped), inputs.dtype))


def quicken(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Return a layer with a quick dropout in place of Keras's; any other layer as it is. TensorFlow only."""
    return QuickDropout(layer) if _is_quickened(layer) else layer


def is_made_of_layers(network: keras.Model) -> bool:
    """Tell whether a model is nothing but layers in Keras's own containers, whose `call` is known."""
    if type(network).__name__ not in ("Sequential", "Functional") or not network.built:
        return False
    return all(is_made_of_layers(layer) for layer in network.layers if isinstance(layer, keras.Model))


def _is_quickened(layer: keras.layers.Layer) -> bool:
    if type(layer) is not keras.layers.Dropout or layer.noise_shape is not None:
        return False
    return bool(0 < round(layer.rate * _LEVELS) < _LEVELS)


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
