"""The script that most people write: load, build, fit, evaluate; with --autolog, recorded by MLflow's own means.

python plain.py DATA.npz [--epochs 1] [--filters 32] [--dropout 0.3] [--autolog]
"""

import argparse
import time

import baseline
import keras

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("--filters", type=int, default=32)
parser.add_argument("--dropout", type=float, default=0.3)
parser.add_argument("--autolog", action="store_true")
parser.add_argument("--until-first-step", action="store_true")
parser.add_argument("--mistake", action="store_true", help="call a layer with an argument that it does not have")
options = parser.parse_args()

keras.utils.set_random_seed(7)
if options.autolog:
    import mlflow

    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("plain")
    mlflow.tensorflow.autolog()
train, val, test = baseline.load(options.data)
rate = 0.001
if options.until_first_step:
    import first_step

    rate = first_step.ending(rate)
mistakes = {"nose_shape": None} if options.mistake else {}
model = baseline.cnn(options.filters, options.dropout, learning_rate=rate, **mistakes)
began = time.perf_counter()
# Without a callback autolog records nothing in Keras 3.
callbacks = [keras.callbacks.LambdaCallback()] if options.autolog else None
fitted = model.fit(*train, validation_data=val, epochs=options.epochs, batch_size=200, verbose=2, callbacks=callbacks)
seconds = time.perf_counter() - began
print("test", model.evaluate(*test, verbose=0))
baseline.tell(fit=seconds, epochs=options.epochs, best=max(fitted.history["val_accuracy"]))
