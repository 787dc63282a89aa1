"""A constant learning rate which ends the process when the first step of a training has come to it."""

import os

REACHED = 77


def ending(learning_rate: float, steps: int = 0):
    """Return a Keras schedule at whose first use in a step the process ends at once, with exit code REACHED.

    The optimizer asks for the rate inside each step, when the gradients are there; nothing else is changed.
    """
    import keras
    import tensorflow as tf

    class Ending(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            if not tf.executing_eagerly():
                tf.py_function(lambda: os._exit(REACHED), [], [])
            return tf.constant(learning_rate, tf.float32)

        def get_config(self):
            return {}

    return Ending()
