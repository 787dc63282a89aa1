"""The baseline as one writes it with Keras alone: the arrays, the network; what all peers' programs share."""

import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers


def load(path):
    """Return images and labels of training, validation and test, float32 and one-hot.

    Without a hold-out the test images are validated on.
    """
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}

    def part(name):
        x = arrays[f"x_{name}"].reshape(-1, 28, 28, 1).astype("float32") / 255
        return x, keras.utils.to_categorical(arrays[f"y_{name}"], 10)

    train, test = part("train"), part("test")
    return train, part("val") if "x_val" in arrays else test, test


def cnn(filters=32, dropout=0.3, dense_units=128, learning_rate=0.001, **mistakes):
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(filters, 5, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(dropout, **mistakes),
            layers.Flatten(),
            layers.Dense(dense_units, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    return compiled(model, learning_rate)


def perceptron():
    """One hidden unit: a training that costs nothing but what is around it."""
    hidden = [layers.Flatten(), layers.Dense(1, activation="relu"), layers.Dropout(0.2)]
    return compiled(keras.Sequential([keras.Input((28, 28, 1)), *hidden, layers.Dense(10, activation="softmax")]))


def compiled(model, learning_rate=0.001):
    optimizer = keras.optimizers.Adam(learning_rate)
    model.compile(loss="categorical_crossentropy", optimizer=optimizer, metrics=["accuracy"])
    return model


class Noting(keras.callbacks.Callback):
    """Counts epochs and remembers the best validation accuracy, over all trainings that get it.

    Args:
        path: of a file that gets a line an epoch; for peers that copy their callbacks or work in several processes.
    """

    def __init__(self, path="epochs.txt"):
        super().__init__()
        self.path = path

    def __deepcopy__(self, memo):
        return Noting(self.path)

    def on_epoch_end(self, epoch, logs=None):
        with Path(self.path).open("a") as file:
            file.write(f"{logs['val_accuracy']}\n")

    def facts(self):
        with Path(self.path).open() as file:
            values = [float(line) for line in file]
        return {"epochs": len(values), "best": max(values)}


def tell(**facts):
    """Print what bench.py reads, on a line of its own."""
    print("\n" + json.dumps(facts), flush=True)
