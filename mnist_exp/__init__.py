"""mnist_exp: Hydra-configured experiments for Keras classifiers and regressors, recorded by MLflow.

On the command line `python -m mnist_exp.run`; in a notebook:

    from mnist_exp import compose, run
    result = run(compose(["model.dropout=0.5", "data=mnist_5k"]))
"""

from importlib.metadata import version

from mnist_exp.composition.compose import compose
from mnist_exp.composition.preflight import check
from mnist_exp.config.schema import Settings
from mnist_exp.errors import DataError, MnistExpError, SettingsError, TrackingError
from mnist_exp.experiment.runner import Result, run
from mnist_exp.inference.load import load_model

__version__ = version("mnist_exp")
__all__ = [
    "DataError",
    "MnistExpError",
    "Result",
    "Settings",
    "SettingsError",
    "TrackingError",
    "check",
    "compose",
    "load_model",
    "run",
]
