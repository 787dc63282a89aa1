"""One builder of a user's own for each group, as the tests name them in a configuration."""

import keras
import numpy as np

from mnist_exp import augmentation
from mnist_exp.tasks.classification import Classification


@keras.saving.register_keras_serializable("own_parts")
class Scaled(keras.layers.Layer):
    """A layer with a weight and an argument."""

    def __init__(self, start=1.0, **others):
        super().__init__(**others)
        self.start = start

    def build(self, shape):
        self.factor = self.add_weight(initializer=keras.initializers.Constant(self.start))

    def call(self, inputs):
        return inputs * self.factor

    def get_config(self):
        return super().get_config() | {"start": self.start}


def net(input_shape, classes, *, start: float = 0.5):
    layers = [keras.Input(input_shape), keras.layers.Flatten(), Scaled(start), keras.layers.Dropout(0.2)]
    return keras.Sequential([*layers, keras.layers.Dense(classes)])


class SignSGD(keras.optimizers.SGD):
    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, keras.ops.sign(gradient) * keras.ops.cast(learning_rate, variable.dtype))


def staircase(learning_rate, steps, *, height: float = 0.5):
    every = max(1, steps // 2)
    return keras.optimizers.schedules.ExponentialDecay(learning_rate, every, height, staircase=True)


def turned_and_mixed():
    return [*augmentation.mixup(alpha=0.5), keras.layers.RandomRotation(0.1)]


class Margin(keras.losses.Loss):
    """A hinge of the difference between the true class and the best other one."""

    def __init__(self, margin: float = 1.0):
        super().__init__()
        self.margin = margin

    def call(self, y_true, y_pred):
        right = keras.ops.sum(y_true * y_pred, axis=-1)
        wrong = keras.ops.max(y_pred - 1e9 * y_true, axis=-1)
        return keras.ops.relu(self.margin + wrong - right)


def worst_recall(labels, outputs):
    said = outputs.argmax(axis=1)
    return min((said[labels == label] == label).mean() for label in np.unique(labels))


class ByWorst(Classification):
    name = "by_worst"

    def metrics(self, objective):
        from mnist_exp.config.components import Component

        return super().metrics(objective) | {
            "worst_recall": Component("metrics", "own_parts.worst_recall", {}, ("own_parts",))
        }
