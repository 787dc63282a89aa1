"""A loop around Optuna and Keras, in one process, as Optuna's own examples have it.

python optuna_loop.py DATA.npz grid [--epochs 1]
python optuna_loop.py DATA.npz asha [--epochs 5] [--trials 20]
python optuna_loop.py DATA.npz nothing [--trials 200]      trainings of a net with one hidden unit
"""

import argparse
import time

import baseline
import keras
import optuna

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("kind", choices=["grid", "asha", "nothing"])
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("--trials", type=int, default=20)
parser.add_argument("--filters", type=int, nargs="+", default=[8, 16, 32, 64], help="of the grid")
parser.add_argument("--dropouts", type=float, nargs="+", default=[0.1, 0.3, 0.5], help="of the grid")
options = parser.parse_args()

GRID = {"filters": options.filters, "dropout": options.dropouts}
train, val, test = baseline.load(options.data)
noting = baseline.Noting()
starts, fits = [], []


class Pruning(keras.callbacks.Callback):
    def __init__(self, trial):
        super().__init__()
        self.trial = trial

    def on_epoch_end(self, epoch, logs=None):
        self.trial.report(logs["val_accuracy"], epoch + 1)
        if self.trial.should_prune():
            self.model.stop_training = True


def objective(trial):
    starts.append(time.time())
    keras.utils.clear_session()
    keras.utils.set_random_seed(7)
    batch_size = 200
    if options.kind == "grid":
        model = baseline.cnn(*(trial.suggest_categorical(name, values) for name, values in GRID.items()))
    elif options.kind == "nothing":
        trial.suggest_int("seed", 1, options.trials)
        model = baseline.perceptron()
    else:
        model = baseline.cnn(
            trial.suggest_int("filters", 8, 64, log=True),
            trial.suggest_float("dropout", 0.0, 0.7),
            trial.suggest_int("dense_units", 32, 256, log=True),
            trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        )
        batch_size = trial.suggest_categorical("batch_size", [100, 200, 400])
    callbacks = [noting, *([Pruning(trial)] if options.kind == "asha" else [])]
    began = time.perf_counter()
    fitted = model.fit(
        *train, validation_data=val, epochs=options.epochs, batch_size=batch_size, verbose=0, callbacks=callbacks
    )
    fits.append(time.perf_counter() - began)
    values = fitted.history["val_accuracy"]
    if options.kind == "asha" and len(values) < options.epochs:
        raise optuna.TrialPruned
    return values[-1]


pruner = optuna.pruners.NopPruner()
if options.kind == "asha":
    sampler = optuna.samplers.TPESampler(seed=0, multivariate=True, constant_liar=True)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
elif options.kind == "grid":
    sampler = optuna.samplers.GridSampler(GRID, seed=0)
else:
    sampler = optuna.samplers.GridSampler({"seed": list(range(1, options.trials + 1))}, seed=0)
study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
study.optimize(objective, n_trials=None if options.kind == "grid" else options.trials)
print(study.best_params)
if options.kind == "nothing":
    baseline.tell(starts=starts, end=time.time(), fits=fits)
else:
    baseline.tell(trials=len(study.trials), **noting.facts())
