"""What decides a run's result, and the key by which two equal jobs are known.

Keys are recorded: a sweep that is issued again trains no job whose key it finds. So a new option must not change the
keys of runs recorded before it: it stands in a key only where it differs from its default, which those runs had. You
need not do anything here for a new option, unless it can never change a result. Never change the default of an option:
that would change what recorded keys mean.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mnist_exp.config import components, input_files, schema
from mnist_exp.config.components import Component
from mnist_exp.config.nested import digest, flatten
from mnist_exp.config.schema import Settings
from mnist_exp.runtime import backends

# These were in every key, at their default too, before there was the rule above. The list is closed: whatever is added
# to it, or taken from it, changes the keys of all recorded runs.
_ALWAYS = frozenset(
    (
        "model", "optimizer", "schedule", "augment", "data.limit", "data.validation", "trainer.epochs",
        "trainer.batch_size", "trainer.early_stopping_patience", "trainer.restore_best", "trainer.plateau_patience",
        "trainer.plateau_factor", "trainer.precision", "trainer.threads", "seed", "objective", "direction",
    )
)  # fmt: skip
# Options and whole sections that never change a result. Data are known by their bytes, not by name and place.
WITHOUT_EFFECT = frozenset(
    (
        "data.name",
        "data.loader",
        "trainer.checkpoint_every",
        "tracking",
        "sweep",
        "trusted_modules",
        "tags",
        "overrides",
    )
)
# Null means whatever this machine has, and is replaced when a configuration is checked.
_DEFAULTS = {"trainer.backend": backends.DEFAULT}
_NUMERIC = ("keras", "numpy")


def result_config(settings: Settings, files: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the part of a configuration that decides a run's result, as nested plain values.

    Where a run is recorded, where the data lie and what they are called, how often the run is saved, and whether a
    default is written out or omitted, make no difference. Files that a builder reads are known by their bytes.

    Args:
        settings: checked.
        files: SHA-256 of these files, by option, as a run recorded them; None reads them.
    """
    if files is None:
        files = {name: file.sha256 for name, file in input_files.all_of(settings).items()}
    found = _with_effect("", settings)
    for name, sha256 in files.items():
        *sections, argument = name.split(".")
        place = found
        for section in sections:
            place = place.get(section, {})
        if "_target_" in place:
            place[argument] = f"sha256:{sha256}"
    return found


def job_key(settings: Settings, data_sha256: str) -> str:
    """Return the SHA-256, in hex, of what decides a run's result: its configuration and its data."""
    return digest({"config": result_config(settings), "data": data_sha256})


def changed_options(section: Any, *, known: Collection[str]) -> dict[str, Any]:
    """Return the options of a section that differ from their defaults, without those that are known."""
    options = schema.parameters(type(section)).items()
    changed = {name: (getattr(section, name), each.default) for name, each in options if name not in known}
    return {name: _plain(value) for name, (value, default) in changed.items() if _plain(value) != _plain(default)}


def defaults_since(kind: type = Settings, prefix: str = "") -> dict[str, Any]:
    """Return, by dotted names, the options that a run recorded earlier may lack, with the values that it had."""
    found: dict[str, Any] = {}
    for option, parameter in schema.parameters(kind).items():
        name, default = f"{prefix}{option}", _DEFAULTS.get(f"{prefix}{option}", parameter.default)
        if name in WITHOUT_EFFECT or name in _ALWAYS:
            continue
        if parameter.annotation is not Component and dataclasses.is_dataclass(parameter.annotation):
            found |= defaults_since(parameter.annotation, f"{name}.")  # type: ignore[arg-type]
        else:
            found |= flatten({name: _plain(default)})
    return found


def common(settings: Sequence[Settings]) -> dict[str, str | None]:
    """Return what decides the results of several configurations, by dotted names: None where they differ."""
    all_of_them = [_as_json(each) for each in settings]
    names = dict.fromkeys(name for each in all_of_them for name in each)
    values = {name: {each.get(name) for each in all_of_them} for name in names}
    return {name: found.pop() if len(found) == 1 else None for name, found in values.items()}


def differences(settings: Settings, wanted: Mapping[str, str | None]) -> list[str]:
    """Return how a configuration differs from what `common` returned: `trainer.epochs=2 instead of 1`."""
    found = _as_json(settings)
    default = "its default"
    return [
        f"{name}={found.get(name, default)} instead of {wanted.get(name, default)}"
        for name in dict.fromkeys([*wanted, *found])
        if found.get(name) != wanted.get(name) and not (name in wanted and wanted[name] is None)
    ]


def code_sha256(settings: Settings, own: Mapping[str, str] | None = None) -> str:
    """Return the SHA-256, in hex, of what turns a configuration into numbers: this package, one's own code, Keras.

    Nothing of it is imported.

    Args:
        settings: of the run.
        own: the user's own modules that took part, and their digests; None takes all files of the trusted modules, as
            runs did before their own code was recorded.
    """
    content = _of_this_package().copy()
    for name in sorted(settings.trusted_modules) if own is None else ():
        for file in _sources(name):
            content.update(file.read_bytes() + b"\0")
    for name, sha256 in sorted((own or {}).items()):
        content.update(f"{name}={sha256}\0".encode())
    for package in (*backends.PACKAGES[settings.trainer.backend or backends.DEFAULT], *_NUMERIC):
        content.update(f"{package}=={_version(package)}".encode())
    return content.hexdigest()


@functools.cache
def _of_this_package() -> "hashlib._Hash":
    """Return the hash of this package's files; read once in a process, which goes on with what it has imported."""
    content = hashlib.sha256()
    for file in _sources("mnist_exp"):
        content.update(file.read_bytes() + b"\0")
    return content


@functools.cache
def _version(package: str) -> str:
    return importlib.metadata.version(package)


def _with_effect(prefix: str, section: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option, parameter in schema.parameters(type(section)).items():
        name, value = f"{prefix}{option}", getattr(section, option)
        if name in WITHOUT_EFFECT:
            continue
        if dataclasses.is_dataclass(value) and not isinstance(value, Component):
            if inner := _with_effect(f"{name}.", value):
                found[option] = inner
        elif name == "data.validation" and value == "own":
            found[option] = "test"  # The same where data bring a validation set, which their digest tells.
        elif name in _ALWAYS or _plain(value) != _plain(_DEFAULTS.get(name, parameter.default)):
            found[option] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Component):
        return {"_target_": value.target, **components.essential(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _as_json(settings: Settings) -> dict[str, str]:
    return {name: json.dumps(value) for name, value in flatten(result_config(settings)).items()}


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
