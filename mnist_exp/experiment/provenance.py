"""Where a run came from: command, code, machine, versions, and the key that tells equal jobs."""

import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnist_exp.config import components
from mnist_exp.config.schema import Settings
from mnist_exp.runtime import backends, threads
from mnist_exp.runtime.redaction import redact
from mnist_exp.tracking import names

_NUMERIC = ("keras", "numpy")
PACKAGES = ("mnist_exp", "tensorflow", "keras", "mlflow", "hydra-core", "omegaconf", "numpy")


@dataclass(frozen=True)
class Commit:
    """The state of the code: `diff` is the text of what is changed but not committed."""

    sha: str
    diff: str

    @property
    def is_dirty(self) -> bool:
        """Whether tracked files differ from the commit."""
        return bool(self.diff)


def decisive(settings: Settings) -> dict[str, Any]:
    """Return the part of a configuration that decides a run's result.

    Where it is recorded, where the data lie and what they are called, how often it is saved, and whether a default is
    written out or left away, make no difference.
    """
    config: dict[str, Any] = {
        group: {"_target_": component.target, **components.essential(component)}
        for group in ("model", "optimizer", "schedule", "augment")
        for component in [getattr(settings, group)]
    }
    config["data"] = {"limit": settings.data.limit, "validation": settings.data.validation}
    trainer = dataclasses.asdict(settings.trainer)
    # Left out as they were before there was a choice: the keys of runs of then are still theirs.
    usual = {"checkpoint_every": trainer["checkpoint_every"], "backend": backends.DEFAULT, "devices": 1}
    config["trainer"] = {name: value for name, value in trainer.items() if name not in usual or value != usual[name]}
    return config | {"seed": settings.seed, "objective": settings.objective, "direction": settings.direction}


def job_key(settings: Settings, data_sha256: str) -> str:
    """Return the SHA-256, in hex, of what decides a run's result: its configuration and its data."""
    return digest({"config": decisive(settings), "data": data_sha256})


def common(settings: Sequence[Settings]) -> dict[str, str | None]:
    """Return what decides the results of several configurations, by dotted names: None where they differ."""
    all_of_them = [{name: json.dumps(value) for name, value in flatten(decisive(each)).items()} for each in settings]
    names = dict.fromkeys(name for each in all_of_them for name in each)
    values = {name: {each.get(name) for each in all_of_them} for name in names}
    return {name: found.pop() if len(found) == 1 else None for name, found in values.items()}


def departures(settings: Settings, wanted: Mapping[str, str | None]) -> list[str]:
    """Return how a configuration departs from what `common` returned: `trainer.epochs=2 instead of 1`."""
    found = {name: json.dumps(value) for name, value in flatten(decisive(settings)).items()}
    default = "its default"
    return [
        f"{name}={found.get(name, default)} instead of {wanted.get(name, default)}"
        for name in dict.fromkeys([*wanted, *found])
        if found.get(name) != wanted.get(name) and not (name in wanted and wanted[name] is None)
    ]


def code_sha256(settings: Settings) -> str:
    """Return the SHA-256, in hex, of what turns a configuration into numbers: this package, what it trusts, Keras.

    Nothing of it is imported; modules that are trusted are found by their names.
    """
    content = hashlib.sha256()
    for name in ("mnist_exp", *sorted(settings.trusted_modules)):
        for file in _sources(name):
            content.update(file.read_bytes() + b"\0")
    for package in (*backends.PACKAGES[settings.trainer.backend or backends.DEFAULT], *_NUMERIC):
        content.update(f"{package}=={importlib.metadata.version(package)}".encode())
    return content.hexdigest()


def _sources(module: str) -> list[Path]:
    """Return the source files of a module, or of a whole package; none if it cannot be found."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if folders:
        return sorted(file for folder in folders for file in folder.rglob("*.py"))
    return [Path(spec.origin)] if spec.origin and Path(spec.origin).is_file() else []


def digest(value: Any) -> str:
    """Return the SHA-256, in hex, of nested plain values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested sections as one level, names joined by dots."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def command_of(overrides: Sequence[str], config_dir: str | Path | None = None) -> str:
    """Return the command line that runs one experiment, as it would be typed, without secrets."""
    own = ["--config-dir", str(config_dir)] if config_dir else []
    return shlex.join(["python", "-m", "mnist_exp.run", *own, *map(redact, overrides)])


def command() -> str:
    """Return the command line that started this process, as it would be typed, without secrets."""
    program = Path(sys.argv[0])
    words = [sys.argv[0]]
    if program.parent.name == "mnist_exp" and program.suffix == ".py":
        words = ["python", "-m", f"mnist_exp.{program.stem}"]
    return shlex.join([*words, *map(redact, sys.argv[1:])])


def commit() -> Commit | None:
    """Return the commit of the repository that the command runs in, else of the package's own; None without one."""
    for folder in (Path.cwd(), Path(__file__).resolve().parent):
        sha = _git(folder, "rev-parse", "HEAD")
        if sha:
            return Commit(sha.strip(), _git(folder, "diff", "--no-ext-diff", "--no-color", "HEAD", "--") or "")
    return None


def commit_tags(commit: Commit | None) -> dict[str, str]:
    """Return the tags of a run that say what code it ran."""
    return {
        names.GIT_COMMIT: commit.sha if commit else "none",
        names.GIT_DIRTY: str(commit.is_dirty).lower() if commit else "unknown",
    }


def environment() -> dict[str, Any]:
    """Return versions, machine and thread counts; call it once Keras runs."""
    backend = backends.default()
    return {
        **_machine(backend),
        "cpu_count": os.cpu_count(),
        "threads": threads.counts(),
        "backend": backend,
        "gpus": _gpus(backend),
        "hostname": socket.gethostname(),
        "pid": os.getpid(),
        "working_folder": str(Path.cwd()),
    }


def drift(recorded: Mapping[str, Any], backend: str | None) -> list[str]:
    """Return what is different from a recorded environment, and can change results; needs no Keras.

    Args:
        recorded: what `environment` returned then.
        backend: of the run.
    """
    then, now = (flatten(dict(each)) for each in (recorded, _machine(backend or backends.DEFAULT)))
    return [
        f"{name.removeprefix('packages.')} is {now[name]}, was {then.get(name)}"
        for name in now
        if name in then and now[name] != then[name]
    ]


def _machine(backend: str) -> dict[str, Any]:
    packages = dict.fromkeys([*PACKAGES, *backends.PACKAGES[backend]])
    return {
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "platform": platform.platform(),
        "cpu": _cpu(),
    }


def _gpus(backend: str) -> list[str]:
    if backend == "jax":
        import jax

        return [str(device) for device in jax.local_devices() if device.platform == "gpu"]
    if backend == "torch":
        import torch

        return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    import tensorflow as tf

    return [device.name for device in tf.config.list_physical_devices("GPU")]


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
