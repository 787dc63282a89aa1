"""KerasTuner: the grid, or Hyperband.

python tuner.py DATA.npz grid [--epochs 1]
python tuner.py DATA.npz hyperband [--epochs 5] [--iterations 3]
"""

import argparse

import baseline
import keras
import keras_tuner

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("kind", choices=["grid", "hyperband"])
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("--iterations", type=int, default=3)
parser.add_argument("--filters", type=int, nargs="+", default=[8, 16, 32, 64], help="of the grid")
parser.add_argument("--dropouts", type=float, nargs="+", default=[0.1, 0.3, 0.5], help="of the grid")
options = parser.parse_args()


class Grid(keras_tuner.HyperModel):
    def build(self, hp):
        return baseline.cnn(hp.Choice("filters", options.filters), hp.Choice("dropout", options.dropouts))

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, batch_size=200, **kwargs)


class Searched(keras_tuner.HyperModel):
    def build(self, hp):
        return baseline.cnn(
            hp.Int("filters", 8, 64, sampling="log"),
            hp.Float("dropout", 0.0, 0.7),
            hp.Int("dense_units", 32, 256, sampling="log"),
            hp.Float("learning_rate", 1e-4, 1e-2, sampling="log"),
        )

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, batch_size=hp.Choice("batch_size", [100, 200, 400]), **kwargs)


keras.utils.set_random_seed(7)
train, val, _ = baseline.load(options.data)
common = {"objective": "val_accuracy", "directory": "tuned", "project_name": options.kind, "seed": 7}
noting = baseline.Noting()
if options.kind == "grid":
    tuner = keras_tuner.GridSearch(Grid(), max_trials=None, **common)
    tuner.search(*train, validation_data=val, epochs=options.epochs, verbose=2, callbacks=[noting])
else:
    tuner = keras_tuner.Hyperband(
        Searched(), max_epochs=options.epochs, factor=3, hyperband_iterations=options.iterations, **common
    )
    tuner.search(*train, validation_data=val, verbose=2, callbacks=[noting])
tuner.results_summary(1)
baseline.tell(trials=len(tuner.oracle.trials), **noting.facts())
