"""From Hydra's errors to sentences for people: every problem in the overrides, in the order in which they apply."""

import functools
import re
from collections.abc import Sequence
from typing import Any

import yaml
from hydra import compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from mnist_exp.composition import hydra_section, overrides
from mnist_exp.composition.preflight import find_problems
from mnist_exp.config import components, wording
from mnist_exp.config.wording import show
from mnist_exp.errors import SettingsError

_TEXTS_OF_PYTHON = re.compile(r"^\w+ raised while resolving interpolation: ")
_MISSING_CHOICE = re.compile(r"Could not (?:find|load) '(.+)/([^/']+)'")
# In the words of Hydra 1.3 and of 1.4.
_MISSING_GROUP = re.compile(r"(?:Could not override|Invalid Defaults List override) '/?([\w/]+)(@[^':]*)?[':]")
# In the words of the two readers that PyYAML has; OmegaConf 2.3 uses the one, 2.4 the other.
_TAB = re.compile(r"character '\\t'|tab character")
# What people call options elsewhere.
_SHORT = {
    "lr": "learning_rate",
    "bs": "batch_size",
    "batch": "batch_size",
    "wd": "weight_decay",
    "patience": "early_stopping_patience",
    "gpus": "devices",
}
_FLAGS = ("json", "multirun", "help", "version")  # of the command line, as options
_DEPTH = ("layers", "n_layers", "num_layers", "hidden_layers", "depth")
_HOW_DEEP = (
    "a model has as many layers as the list of their sizes has numbers: model=convnet model.filters=[16,32], or "
    "model=mlp model.hidden_units=[128,64]"
)


def find(texts: Sequence[str], *, multirun: bool) -> list[str]:
    """Return every problem in overrides: they are added one by one, choices of groups first.

    Hydra must have been set up to compose.

    Args:
        texts: the overrides.
        multirun: whether several values may be swept over.
    """
    loader = GlobalHydra.instance().config_loader()
    parsed, problems = overrides.read_all(texts, loader)
    chosen = set(groups(loader))
    config: DictConfig | None = None
    accepted: list[str] = []
    # A folder of groups comes before the choices in it.
    for override in sorted(parsed, key=lambda o: (o.key_or_group != "hydra.searchpath", o.key_or_group not in chosen)):
        try:
            problem, text = _of_several_values(override, multirun=multirun), overrides.first_value(override)
        except SettingsError as error:
            problems += error.problems
            continue
        if problem:
            problems.append(problem)
            continue
        try:
            config = compose("config", [*accepted, text], return_hydra_config=True)
            accepted.append(text)
        except Exception as error:  # For what a user wrote, Hydra also raises AssertionError, TypeError and others.
            if multirun and _fits_another_choice(
                text, accepted, [each for each in parsed if each.key_or_group in chosen]
            ):
                continue
            config = config or _compose_or_none(accepted, with_hydra=True)
            problems.append(_describe(override, error, loader, config))
    if config is None:
        try:
            config = compose("config", accepted, return_hydra_config=True)
        except Exception as error:
            return problems or [reason(error)]
    if problems and config.get("resume") is not None:
        return problems  # The configuration of a run to resume is in the store.
    with hydra_section.resolving(config) as bare:
        return problems + find_problems(bare)[1]


def understood(texts: Sequence[str], error: Exception) -> Exception:
    """Return the problems for which Hydra refused to compose; its own error if there are none.

    Args:
        texts: the overrides of one run.
        error: that Hydra raised.
    """
    problems = find(texts, multirun=False)
    return SettingsError(problems) if problems else error


@functools.lru_cache(maxsize=2)
def groups(loader: ConfigLoader) -> list[str]:
    """Return the groups that have choices."""
    # What a loader returns itself, it returns from a new copy of its repository, 5 ms for each group.
    options = loader.repository.get_group_options if isinstance(loader, ConfigLoaderImpl) else loader.get_group_options
    return sorted({group for group in options("", ObjectType.GROUP) if options(group, ObjectType.CONFIG)})


def exists(config: DictConfig, key: str) -> bool:
    """Tell whether a configuration has an option."""
    parent, _, name = key.rpartition(".")
    section = _select(config, parent) if parent else config
    return isinstance(section, DictConfig) and name in section


def reason(error: BaseException) -> str:
    """Return what an error of Hydra, OmegaConf or YAML says, in one line."""
    if isinstance(error, RecursionError):
        return "it leads back to itself"
    if isinstance(error, UnicodeDecodeError):
        return f"its file is not text in UTF-8: byte {error.start + 1} is {error.object[error.start]:#x}"
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark
        text = f"{error.problem or error.context}"
        if _TAB.search(text):
            text = "a tab, where YAML takes only blanks,"
        return text + (f" in {mark.name}, line {mark.line + 1}" if mark else "")
    if isinstance(error.__cause__, yaml.MarkedYAMLError):
        return reason(error.__cause__)
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()] or [type(error).__name__]
    if lines[0].startswith("Error merging override") and error.__cause__ is not None:
        return reason(error.__cause__)
    if lines[0].endswith(":") and len(lines) > 1:
        return f"{lines[0]} {lines[1]}"
    return _TEXTS_OF_PYTHON.sub("", lines[0]).partition(" expecting {")[0].strip('"')


def _fits_another_choice(text: str, accepted: Sequence[str], choosing: Sequence[Override]) -> bool:
    """Tell whether an override can be used with another choice of a group that is swept over."""
    for override in choosing:
        if override.is_discrete_sweep() and (first := overrides.first_value(override)) in accepted:
            for value in overrides.values(override)[1:]:
                other = f"{override.get_key_element()}={value}"
                if _compose_or_none([*(other if each == first else each for each in accepted), text]) is not None:
                    return True
    return False


def _of_several_values(override: Override, *, multirun: bool) -> str | None:
    """Return the problem with an override that names several values, if there is one."""
    if override.is_sweep_override() and not multirun:
        shown = show(override.input_line)
        name, _, value = (override.input_line or "").partition("=")
        one = ""
        if re.fullmatch(r"-?\d{1,3}(,\d{3})+", value):
            one = f", as {name}={value.replace(',', '')} without a comma"
        elif re.fullmatch(r"-?0,\d+", value):
            one = f", as {name}={value.replace(',', '.')} with a decimal point"
        return f"{shown} names several values: give one{one}, or sweep over them all with -m"
    if override.is_discrete_sweep() and not overrides.values(override):
        return f"{show(override.input_line)} has no value"
    return None


def _describe(override: Override, error: Exception, loader: ConfigLoader, config: DictConfig | None) -> str:
    key, value = override.key_or_group, override.value()
    written = show(override.input_line)
    known = groups(loader)
    if (key in known and not isinstance(value, dict)) or (
        key.startswith("hydra/") and loader.get_group_options(key, ObjectType.CONFIG)
    ):
        return _of_a_choice(override, error, loader)
    if override.package is not None:
        return f"{written} does not exist: OPTION@PACKAGE is for groups, which are {', '.join(known)}"
    if key == "hydra" or key.startswith("hydra."):
        config = _compose_or_none([], with_hydra=True)
    if config is None:
        return f"{written} is not allowed: {reason(error)}"
    if not exists(config, key):
        return _unknown(override, config, loader)
    if override.is_add():
        return f"{written} is not allowed: {key} exists already, change it with {key}={show(value)}"
    if override.is_delete():
        now = OmegaConf.select(config, key, throw_on_missing=False)
        if value is not None and now != value:
            return f"{written} is not allowed: {key} is {show(now)}, which ~{key} alone would remove"
        return f"{written} is not allowed: {key}={show(now)} cannot be removed"
    if isinstance(value, dict) and "Sweep(" in repr(value):
        return f'{written} is not allowed: inside of {{…}} several values are a text, in quotes: "interval(0,0.3)"'
    if isinstance(value, dict) and (inner := _unknown_inside(key, value, config)):
        return inner
    return f"{key}={show(value)} is not allowed: {reason(error)}"


def _of_a_choice(override: Override, error: Exception, loader: ConfigLoader) -> str:
    key, value = override.key_or_group, override.value()
    written = show(override.input_line)
    plain = f"{key}={show(value)}"
    if override.is_delete():
        return f"{written} is not allowed: {reason(error).rstrip('.')}; choose another with {key}=NAME"
    if override.package is not None:
        return f"{written} is not supported: choose with {plain}"
    if not isinstance(value, list) and str(value) not in loader.get_group_options(key, ObjectType.CONFIG):
        return _no_such_choice(key, value, loader)
    if override.is_add() or override.is_force_add():
        return f"{written} is not allowed: {key} is chosen already, change it with {plain}"
    text = reason(error)
    if (missing := _MISSING_CHOICE.search(text)) and missing[1] in groups(loader):
        text = _no_such_choice(missing[1], missing[2], loader)
    elif missing := _MISSING_GROUP.search(text):
        name = f"{missing[1]}{missing[2] or ''}"
        text = f"{name} is overridden, and nothing before it chooses {name}"
        if missing[1] not in groups(loader):
            text = wording.unknown(missing[1], missing[1], groups(loader))
    return f"{plain} cannot be used: {text}"


def _no_such_choice(key: str, value: Any, loader: ConfigLoader) -> str:
    choices = loader.get_group_options(key, ObjectType.CONFIG)
    guess = wording.nearest(str(value), choices)
    hint = f"did you mean {key}={guess}? " if guess else ""
    others = "; others come with a plug-in of Hydra's, to be installed" if key.startswith("hydra/") else ""
    return f"{key}={show(value)} does not exist: {hint}it must be one of {', '.join(choices)}{others}"


def _unknown(override: Override, config: DictConfig, loader: ConfigLoader) -> str:
    """Return the sentence for an option that does not exist."""
    key, value = override.key_or_group, override.value()
    parent, _, name = key.rpartition(".")
    section: Any = _select(config, parent) if parent else config
    siblings = [str(n) for n in section] if isinstance(section, DictConfig) else []
    if parent in components.KINDS and isinstance(section, DictConfig):
        target = str(section.get("_target_"))
        if components.takes(parent, target, name):
            return f"{key} is an argument of {target} that is not configured: add it with +{key}={show(value)}"
    if not parent and name.lower() in _FLAGS:
        return f"{show(key)} does not exist: did you mean --{name.lower()}?"
    if name.lower() in _DEPTH and parent in ("", "model"):
        return f"{show(key)} does not exist: {_HOW_DEEP}"
    if parent and (usual := _SHORT.get(name.lower())) in siblings:
        return f"{show(key)} does not exist: did you mean {parent}.{usual}?"
    if not parent:
        siblings += [g for g in groups(loader) if "/" not in g]
        if meant := _in_sections(name, config, siblings):
            return f"{show(key)} does not exist: did you mean {' or '.join(meant)}?"
    if parent and not siblings:
        if isinstance(section, DictConfig) and parent.startswith("hydra."):
            return f"{show(key)} is not configured: add it with +{show(key)}={show(value)}"
        top = parent.split(".")[0]
        if section is None or top not in config:
            return wording.unknown(key, top, [str(n) for n in config if n != "hydra"])
        return f"{show(key)} does not exist: {parent} has no options of its own"
    siblings = [s for s in dict.fromkeys(siblings) if s != "hydra" and not s.startswith("_")]
    if parent in components.KINDS and wording.nearest(name, siblings) is None:
        elsewhere = [
            choice for choice in loader.get_group_options(parent, ObjectType.CONFIG) if name in _options(parent, choice)
        ]
        if elsewhere:
            return f"{key} does not exist here: it is an option of {parent}={f' and {parent}='.join(elsewhere)}"
    return wording.unknown(key, name, siblings, f"{parent}." if parent else "")


def _in_sections(name: str, config: DictConfig, siblings: Sequence[str]) -> list[str]:
    """Return the options of sections that a name without a section means; none if a section is meant."""
    name = _SHORT.get(name.lower(), name)
    plain: Any = OmegaConf.to_container(config)
    inner = [
        (str(section), str(option))
        for section, options in plain.items()
        if section != "hydra" and isinstance(options, dict)
        for option in options
    ]
    options = {option for _, option in inner if not option.startswith("_")}
    if name not in options:
        if wording.nearest(name, siblings) is not None:
            return []
        name = wording.nearest(name, sorted(options)) or name
    return [f"{section}.{option}" for section, option in inner if option == name]


def _options(group: str, choice: str) -> list[str]:
    config = _compose_or_none([f"{group}={choice}"])
    section = config.get(group) if config is not None else None
    return [str(name) for name in section] if isinstance(section, DictConfig) else []


def _unknown_inside(key: str, value: dict[Any, Any], config: DictConfig) -> str | None:
    """Return the sentence for the first name in a section, given as a value, that does not exist."""
    section = _select(config, key)
    for name, inner in value.items():
        if not isinstance(section, DictConfig) or name not in section:
            names = [str(n) for n in section] if isinstance(section, DictConfig) else []
            if not names:
                return f"{key}.{name} is not configured: add it with +{key}.{name}={show(inner)}"
            return wording.unknown(f"{key}.{name}", str(name), names, f"{key}.")
        if isinstance(inner, dict) and (problem := _unknown_inside(f"{key}.{name}", inner, config)):
            return problem
    return None


def _select(config: DictConfig, key: str) -> Any:
    try:
        return OmegaConf.select(config, key)
    except Exception:  # A key may be anything, as `a[`.
        return None


def _compose_or_none(texts: Sequence[str], *, with_hydra: bool = False) -> DictConfig | None:
    try:
        return compose("config", list(texts), return_hydra_config=with_hydra)
    except Exception:
        return None
