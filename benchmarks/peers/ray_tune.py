"""Ray Tune, two trials at a time with a CPU each: the grid, or a random search with ASHA.

    python ray_tune.py DATA.npz grid [--epochs 1]
    python ray_tune.py DATA.npz asha [--epochs 5] [--trials 20]

Ray listens on all of the machine's addresses and runs what it is sent, whatever it is told at its start. So bench.py
gives it a network of its own, in which there is none but itself.
"""

import argparse
import fcntl
import json
import os
import socket
import struct
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray import tune

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("kind", choices=["grid", "asha"])
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("--trials", type=int, default=20)
parser.add_argument("--filters", type=int, nargs="+", default=[8, 16, 32, 64], help="of the grid")
parser.add_argument("--dropouts", type=float, nargs="+", default=[0.1, 0.3, 0.5], help="of the grid")
options = parser.parse_args()
HERE, KIND, EPOCHS, DATA = Path.cwd(), options.kind, options.epochs, options.data


def train(config):
    import baseline
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    keras.utils.set_random_seed(7)
    images, val, _ = baseline.load(DATA)
    model = baseline.cnn(**{name: value for name, value in config.items() if name != "batch_size"})
    batch_size = config.get("batch_size", 200)

    def report(epoch, logs):
        tune.report({"val_accuracy": logs["val_accuracy"]})

    callbacks = [baseline.Noting(str(HERE / "epochs.txt")), keras.callbacks.LambdaCallback(on_epoch_end=report)]
    model.fit(*images, validation_data=val, epochs=EPOCHS, batch_size=batch_size, verbose=0, callbacks=callbacks)


def bring_up_loopback():
    """Bring up `lo`, which a new network has down: SIOCGIFFLAGS, then SIOCSIFFLAGS with IFF_UP."""
    with socket.socket() as asked:
        name, flags = struct.unpack("16sh14x", fcntl.ioctl(asked, 0x8913, struct.pack("16sh14x", b"lo", 0)))
        fcntl.ioctl(asked, 0x8914, struct.pack("16sh14x", name, flags | 1))


bring_up_loopback()
ray.init(num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
if KIND == "grid":
    space = {"filters": tune.grid_search(options.filters), "dropout": tune.grid_search(options.dropouts)}
    plan = tune.TuneConfig(metric="val_accuracy", mode="max")
else:
    space = {
        "filters": tune.lograndint(8, 65),
        "dropout": tune.uniform(0.0, 0.7),
        "dense_units": tune.lograndint(32, 257),
        "learning_rate": tune.loguniform(1e-4, 1e-2),
        "batch_size": tune.choice([100, 200, 400]),
    }
    scheduler = tune.schedulers.ASHAScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=3)
    plan = tune.TuneConfig(metric="val_accuracy", mode="max", num_samples=options.trials, scheduler=scheduler)
trainable = tune.with_resources(train, {"cpu": 1})
runs = tune.RunConfig(storage_path=str(HERE / "ray"), verbose=0)
results = tune.Tuner(trainable, param_space=space, tune_config=plan, run_config=runs).fit()
if results.errors:
    raise SystemExit(str(results.errors[0]))
print(results.get_best_result().config)
ray.shutdown()
# Not by `baseline`, which would bring TensorFlow into the launching process.
values = [float(line) for line in Path("epochs.txt").read_text(encoding="utf-8").splitlines()]
print("\n" + json.dumps({"trials": len(results), "epochs": len(values), "best": max(values)}))
