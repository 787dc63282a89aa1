"""What the section `hydra` may contain: Hydra itself would instantiate or import nearly anything named there."""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_exp.config import fields, wording

# Hydra looks its plug-ins up among those that are installed, but instantiates whatever is nested in their options.
_PLUGINS = ("hydra.launcher._target_", "hydra.sweeper._target_")
_PLUGIN_HOMES = ("hydra_plugins.", "hydra._internal.core_plugins.")
_OURS = "hydra_plugins.mnist_exp_plugins."
_INSTRUCTIONS = ("_args_", "_convert_", "_partial_", "_recursive_")
_LOG_STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
_LOG_FACTORIES = {
    "()": ("colorlog.ColoredFormatter",),
    "class": ("logging.StreamHandler", "logging.FileHandler", "logging.NullHandler", "logging.Formatter"),
}
# Others choose the code that this process or its children load: PYTHONPATH, LD_PRELOAD, PATH, XLA_FLAGS, …
_VARIABLES = (
    "CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES", "MNIST_EXP_DATA", "OMP_NUM_THREADS", "TF_CPP_MIN_LOG_LEVEL",
    "TF_ENABLE_ONEDNN_OPTS", "TF_FORCE_GPU_ALLOW_GROWTH", "TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS",
)  # fmt: skip


def problems(hydra: DictConfig, words: Sequence[str]) -> Iterator[str]:
    """Yield one sentence for everything in the composed section that would run code, choose code, or make Hydra fail.

    Args:
        hydra: the section, its interpolations as they are written: what they become may differ from job to job.
        words: the overrides with which it was composed.
    """
    section: Any = OmegaConf.to_container(hydra, resolve=False)
    yield from _claims(section, words)
    yield from _shapes(section)
    callbacks, job = section.pop("callbacks", None) or {}, section.get("job") or {}
    for name in callbacks if isinstance(callbacks, dict) else [callbacks]:
        yield f"hydra.callbacks.{name} is not allowed: callbacks run unchecked code"
    yield from _targets("hydra", section)
    for name in ("launcher", "sweeper"):  # These are instantiated, with all that is in them.
        yield from _borrowed("hydra", hydra, name)
    for name in ("job_logging", "hydra_logging"):
        yield from _factories("hydra", {name: section.get(name)})
    variables = (job.get("env_set") or {}) if isinstance(job, dict) else job
    for name in variables if isinstance(variables, dict) else [variables]:
        if name not in _VARIABLES:
            yield (
                f"hydra.job.env_set.{name} is not allowed: it must be one of {', '.join(_VARIABLES)}; "
                "set others in the shell that starts the command"
            )


def _claims(section: Any, words: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for what a file passes off as typed: a command is called only if it was typed."""
    said = section.get("overrides")
    written = (
        [text for kind in ("task", "hydra") for text in (said.get(kind) or ())] if isinstance(said, dict) else None
    )
    if written is None or not {str(text).strip() for text in written} <= {word.strip() for word in words}:
        yield "hydra.overrides is not allowed in a file: it is what was typed on the command line"
    for name in ("sweeper", "launcher"):
        params = section[name].get("params") if isinstance(section[name], dict) else None
        for key in params if isinstance(params, dict) else ():
            if key.lstrip("+~").partition("@")[0] == "tracking.notify":
                yield (
                    f"hydra.{name}.params: tracking.notify is a command, which a configuration file cannot name: "
                    "give it on the command line"
                )


def _shapes(section: Any) -> Iterator[str]:
    """Yield a sentence for each option that Hydra does not know, or whose type it asserts."""
    names = ["env", *(field.name for field in dataclasses.fields(HydraConf))]
    yield from (wording.unknown(f"hydra.{name}", name, names, "hydra.") for name in section if name not in names)
    for name in ("launcher", "sweeper"):
        if not isinstance(section[name], dict) or "_target_" not in section[name]:
            yield f"hydra.{name}={wording.show(section[name])} is not allowed: choose one with hydra/{name}=NAME"
        elif not isinstance(section[name].get("params") or {}, dict):
            value = wording.show(section[name]["params"])
            yield f"hydra.{name}.params={value} is not allowed: it must be a section, {{model.filters: '16,32'}}"
    named = [isinstance(section[n], dict) and _OURS in str(section[n].get("_target_")) for n in ("launcher", "sweeper")]
    if named == [True, False]:
        yield "hydra/launcher=local takes jobs of hydra/sweeper=mnist_exp only: add hydra/launcher=basic"
    verbose = section["verbose"]
    loggers = verbose if isinstance(verbose, list) else [verbose]
    if not isinstance(verbose, bool) and not all(isinstance(name, str) and "$" not in name for name in loggers):
        yield f"hydra.verbose={wording.show(verbose)} is not allowed: it must be true, false or a list of loggers"
    for path in section["searchpath"] or ():
        if "://" not in path.removeprefix("file://") and not fields.is_folder(Path(path.removeprefix("file://"))):
            yield f"hydra.searchpath: {wording.show(path)} is not a folder"


def _targets(path: str, node: Any) -> Iterator[str]:
    for name, value in _children(node):
        inner = f"{path}.{name}"
        if name in _INSTRUCTIONS:
            yield f"{inner}={value} is not allowed: it tells Hydra how to make a call that is not allowed"
        elif name != "_target_":
            yield from _targets(inner, value)
        elif inner not in _PLUGINS:
            yield f"{inner}={value} is not allowed: only Hydra's own launcher and sweeper are named by a _target_"
        elif not (isinstance(value, str) and value.startswith(_PLUGIN_HOMES)):
            yield f"{inner}={value} is not allowed: it must be a plug-in of Hydra's, as hydra_plugins.NAME"


def _borrowed(path: str, parent: Any, key: Any) -> Iterator[str]:
    """Yield a sentence for each section that an interpolation takes from elsewhere: it may hold a `_target_`."""
    inner = f"{path}.{key}"
    is_borrowed = OmegaConf.is_interpolation(parent, key)
    try:
        value = parent[key]
    except OmegaConfBaseException:
        value = None if not is_borrowed else DictConfig({})  # It may become anything.
    if is_borrowed and OmegaConf.is_config(value):
        yield f"{inner} is not allowed: no section may be taken from elsewhere by an interpolation"
    elif isinstance(value, DictConfig):
        for name in value:
            yield from _borrowed(inner, value, name)
    elif isinstance(value, ListConfig):
        for position in range(len(value)):
            yield from _borrowed(inner, value, position)


def _factories(path: str, node: Any) -> Iterator[str]:
    for name, value in _children(node):
        allowed = _LOG_FACTORIES.get(name)
        is_text = isinstance(value, str)
        if name == "level" and value not in logging.getLevelNamesMapping():
            levels = ", ".join(logging.getLevelNamesMapping())
            yield f"{path}.level={wording.show(value)} is not allowed: it must be one of {levels}"
        elif allowed is not None and value not in allowed:
            yield f"{path}.{name}={value} is not allowed: it must be one of {', '.join(allowed)}"
        elif is_text and value.startswith(("ext://", "cfg://")) and value not in _LOG_STREAMS:
            yield f"{path}.{name}={value} is not allowed: it must be one of {', '.join(_LOG_STREAMS)}"
        elif is_text and value.startswith("${") and not value.startswith("${hydra.runtime.output_dir}/"):
            yield f"{path}.{name}={value} is not allowed: it must not begin with an interpolation"
        else:
            yield from _factories(f"{path}.{name}", value)


def _children(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        yield from ((str(name), value) for name, value in node.items())
    elif isinstance(node, list):
        yield from ((str(position), value) for position, value in enumerate(node))
