"""The folder of a recorded model: the file that Keras wrote, and beside it what MLflow wants to know of it.

It is what `mlflow.keras.save_model` writes. That reads the file lists of all installed packages, to warn of versions
that are not those of this process, which takes half a second of CPU in each (MLflow 3.17); here they always are.
"""

import functools
import platform
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mnist_exp.runtime import backends

if TYPE_CHECKING:
    from mlflow.models import Model

_DATA, _MODEL_FILE = "data", "model.keras"
KERAS_FILE = Path(_DATA) / _MODEL_FILE  # in the folder
_CONDA, _VIRTUALENV, _REQUIREMENTS = "conda.yaml", "python_env.yaml", "requirements.txt"
_PACKAGES = ("tensorflow", "keras", "numpy", "mlflow")
_BUILD_PACKAGES = ("pip", "setuptools", "wheel")


def made_by() -> dict[str, Any]:
    """Return what a model needs that this process has made: Keras's backend, and the versions of packages."""
    return {"backend": backends.default(), "versions": backends.versions(_PACKAGES)}


def write(folder: Path, keras_file: Path, described: "Model", maker: Mapping[str, Any]) -> None:
    """Write the folder of a model. Models that MLflow wrote are read by what this one has: `mlflow.keras.load_model`.

    Args:
        folder: is made.
        keras_file: the model in Keras's format; it is moved.
        described: what MLflow knows of the model; it learns what is in the folder.
        maker: what `made_by` returned where the model was made.
    Raises: OSError: the disk is full.
    """
    (folder / _DATA).mkdir(parents=True)
    shutil.move(keras_file, folder / KERAS_FILE)
    (folder / _DATA / "keras_module.txt").write_text("keras")
    versions = maker["versions"]
    described.add_flavor(
        "keras",
        data=_DATA,
        keras_version=versions["keras"],
        keras_backend=maker["backend"],
        save_exported_model=False,
    )
    described.add_flavor(
        "python_function",
        loader_module="mlflow.keras",
        python_version=platform.python_version(),
        env={"conda": _CONDA, "virtualenv": _VIRTUALENV},
    )
    described.model_size_bytes = sum(file.stat().st_size for file in (folder / _DATA).iterdir())
    described.save(str(folder / "MLmodel"))
    for name, content in _environment(tuple(f"{name}=={version}" for name, version in versions.items())):
        (folder / name).write_text(content)


@functools.cache
def _environment(requirements: Sequence[str]) -> list[tuple[str, str]]:
    """Return the files with packages to install, and their contents."""
    python = platform.python_version()
    build = backends.versions(_BUILD_PACKAGES)
    pip = f"pip<={build['pip']}" if "pip" in build else "pip"
    conda = {
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", pip, {"pip": list(requirements)}],
        "name": "mlflow-env",
    }
    virtualenv = {
        "python": python,
        "build_dependencies": [f"{name}=={build[name]}" if name in build else name for name in _BUILD_PACKAGES],
        "dependencies": [f"-r {_REQUIREMENTS}"],
    }
    return [
        (_CONDA, yaml.safe_dump(conda, default_flow_style=False)),
        (_VIRTUALENV, yaml.safe_dump(virtualenv, sort_keys=False, default_flow_style=False)),
        (_REQUIREMENTS, "\n".join(requirements)),
    ]
