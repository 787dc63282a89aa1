"""An image predicted by a recorded model file, as one writes it with Keras alone; and what the other programs need."""

import os
import sqlite3
import sys
from pathlib import Path

import numpy as np
from PIL import Image

FILE = "digit.png"


def draw(path):
    """Write the first test image of MNIST, a 7, as a file."""
    with np.load(path) as arrays:
        Image.fromarray(arrays["x_test"][0].reshape(28, 28)).save(FILE)


def forget():
    """Remove the record by which NumPy may compute the models of the store here."""
    with sqlite3.connect("mlflow.db") as store:
        store.execute("DELETE FROM tags WHERE key = 'mnist_exp.numpy_model'")


def predict():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    (recorded,) = Path().glob("mlartifacts/models/*/artifacts/data/model.keras")
    model = keras.saving.load_model(recorded)
    probabilities = model.predict(np.asarray(Image.open(FILE))[np.newaxis, ..., np.newaxis], verbose=0)[0]
    print(FILE, probabilities.argmax(), f"{probabilities.max():.4f}")


if __name__ == "__main__":
    {"draw": lambda: draw(sys.argv[1]), "forget": forget, "predict": predict}[sys.argv[2]]()
