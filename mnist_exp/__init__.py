"""mnist_exp: Hydra-configured experiments for Keras classifiers and regressors, recorded by MLflow.

On the command line `python -m mnist_exp.run`; in a notebook:

    from mnist_exp import compose, run, runs
    result = run(compose(["model.dropout=0.5", "data=mnist_5k"]))
    runs()[["name", "model.dropout", "test_accuracy"]]
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnist_exp.composition.compose import compose
    from mnist_exp.composition.preflight import check
    from mnist_exp.config.schema import Settings
    from mnist_exp.errors import DataError, MnistExpError, SettingsError, TrackingError
    from mnist_exp.experiment.api import run
    from mnist_exp.experiment.runner import Result
    from mnist_exp.inference.api import evaluate, predict
    from mnist_exp.inference.evaluated import Evaluation
    from mnist_exp.inference.load import load_model
    from mnist_exp.inference.predictions import Predictions
    from mnist_exp.reports.api import report
    from mnist_exp.reports.as_data import Report
    from mnist_exp.results.api import history, runs
    from mnist_exp.sweeps.api import sweep
    from mnist_exp.sweeps.shown.result import Sweep

    __version__: str

__all__ = [
    "DataError",
    "Evaluation",
    "MnistExpError",
    "Predictions",
    "Report",
    "Result",
    "Settings",
    "SettingsError",
    "Sweep",
    "TrackingError",
    "check",
    "compose",
    "evaluate",
    "history",
    "load_model",
    "predict",
    "report",
    "run",
    "runs",
    "sweep",
]
# Where each is: imported when it is asked for, since a command that composes nothing needs no Hydra, which takes 0.3 s.
_HOMES = {
    "DataError": "errors",
    "Evaluation": "inference.evaluated",
    "MnistExpError": "errors",
    "Predictions": "inference.predictions",
    "Report": "reports.as_data",
    "Result": "experiment.runner",
    "Settings": "config.schema",
    "SettingsError": "errors",
    "Sweep": "sweeps.shown.result",
    "TrackingError": "errors",
    "check": "composition.preflight",
    "compose": "composition.compose",
    "evaluate": "inference.api",
    "history": "results.api",
    "load_model": "inference.load",
    "predict": "inference.api",
    "report": "reports.api",
    "run": "experiment.api",
    "runs": "results.api",
    "sweep": "sweeps.api",
}


def __getattr__(name: str) -> Any:
    """Return what this package offers, imported at its first use."""
    if name == "__version__":
        from importlib.metadata import version

        found: Any = version(__name__)
    elif name in _HOMES:
        found = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the names of all that this package offers."""
    return sorted({*globals(), *__all__, "__version__"})
