"""Callbacks of a user's own, as the tests name them in a configuration."""

import keras
import numpy as np


class Counts(keras.callbacks.Callback):
    """Counts, in numbers, lists and arrays; changes the rate by them, and adds a metric."""

    def __init__(self, factor: float = 0.9):
        super().__init__()
        self.factor, self.steps, self.validations, self.begun = factor, 0, 0, 0
        self.losses, self.totals = [], {"sum": np.zeros(2), "last": (0, None)}

    def on_epoch_begin(self, epoch, logs=None):
        self.begun += 1

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.totals["sum"] += [1, logs["loss"]]
        self.model.optimizer.learning_rate = float(self.model.optimizer.learning_rate) * (1 - 1e-3 * self.steps)

    def on_test_batch_end(self, batch, logs=None):
        self.validations += 1

    def on_epoch_end(self, epoch, logs=None):
        self.losses.append(float(logs["val_loss"]))
        self.totals["last"] = (epoch, "x")
        logs["steps_seen"] = self.steps
        logs["sum_seen"] = self.totals["sum"][1] + sum(self.losses) + self.begun
        logs["validations_seen"] = self.validations
        self.model.optimizer.learning_rate = float(self.model.optimizer.learning_rate) * self.factor


class Says(keras.callbacks.Callback):
    """Says itself what is to be kept."""

    def __init__(self):
        super().__init__()
        self.rng, self.drawn = np.random.default_rng(0), 0.0

    def get_state(self):
        return {"rng": self.rng.bit_generator.state["state"]["state"].to_bytes(16, "big").hex(), "drawn": self.drawn}

    def set_state(self, state):
        self.drawn = state["drawn"]
        known = self.rng.bit_generator.state
        known["state"]["state"] = int.from_bytes(bytes.fromhex(state["rng"]), "big")
        self.rng.bit_generator.state = known

    def on_epoch_end(self, epoch, logs=None):
        self.drawn += self.rng.random()
        logs["drawn"] = self.drawn


class Holds(keras.callbacks.Callback):
    """Holds what no checkpoint can."""

    def __init__(self):
        super().__init__()
        self.seen = {1, 2}


class Fails(keras.callbacks.Callback):
    """Does what a callback must not do."""

    def __init__(self, how: str = "raises"):
        super().__init__()
        self.how = how

    def on_epoch_end(self, epoch, logs=None):
        if self.how == "raises":
            raise KeyError("val_acc")
        if self.how == "freezes":
            self.model.layers[-1].trainable = False
        if self.how == "compiles":
            self.model.compile("sgd", "mse")
        if self.how == "adds":
            logs["text"] = "good"


def nothing():
    """Return no callback."""
    return 3
