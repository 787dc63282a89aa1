"""Where a run came from: command, commit, machine and versions, and what of these is different now."""

import functools
import os
import platform
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnist_exp.config.nested import flatten
from mnist_exp.config.schema import Settings
from mnist_exp.runtime import backends, notebooks, threads
from mnist_exp.runtime.redaction import HIDDEN, redact, redact_config
from mnist_exp.runtime.start_folder import start_folder
from mnist_exp.tracking import names

_NOTIFY = "tracking.notify="
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


def command_of(
    overrides: Sequence[str], config_dir: str | Path | None = None, hide: Callable[[str], str] = redact
) -> str:
    """Return the command line that runs one experiment, as it would be typed, without secrets.

    Args:
        overrides: of the experiment.
        config_dir: the user's folder of configuration files.
        hide: returns an override without secrets; thousands of jobs have few different ones.
    """
    own = ["--config-dir", str(config_dir)] if config_dir else []
    return shlex.join(["python", "-m", "mnist_exp.run", *own, *map(hide, _told(overrides))])


def command(same: Sequence[str] = ()) -> str:
    """Return the command line that started this process, as it would be typed, without secrets.

    Args:
        same: the words of `mnist_exp.run` that do the same, for a notebook: its kernel's command line says nothing.
    """
    if notebooks.shell() is not None:
        return command_of(same)
    program = Path(sys.argv[0])
    words = [sys.argv[0]]
    if program.parent.name == "mnist_exp" and program.suffix == ".py":
        words = ["python", "-m", f"mnist_exp.{program.stem}"]
    return shlex.join([*words, *map(redact, _told(sys.argv[1:]))])


def _told(words: Sequence[str]) -> list[str]:
    """Return the words of a command line without `tracking.notify`, which would be hidden and so be none any more."""
    return [word for word in words if not word.lstrip("+").startswith(_NOTIFY)]


def config_without_secrets(settings: Settings) -> dict[str, Any]:
    """Return a configuration as it may be recorded: `***` for a text whose name, or look, says that it is a secret."""
    config: dict[str, Any] = redact_config(settings.to_config())
    if settings.tracking.notify is not None:  # A part of an address may be all that keeps others from using it.
        config["tracking"]["notify"] = HIDDEN
    return config


def commit() -> Commit | None:
    """Return the commit of the repository that the command runs in, else of the package's own; None without one."""
    for folder in (start_folder(), Path(__file__).resolve().parent):
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
        "working_folder": str(start_folder()),
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


@functools.cache
def _machine(backend: str) -> dict[str, Any]:
    """Return versions and machine; looked up once in a process, which keeps what it has imported."""
    packages = dict.fromkeys([*PACKAGES, *backends.PACKAGES[backend]])
    return {
        "python": platform.python_version(),
        "packages": backends.versions(packages),
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
