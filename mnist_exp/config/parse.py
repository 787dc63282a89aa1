"""From a composed configuration to typed settings, with every problem of the options themselves.

Nothing heavy is imported, no file is read but sources, nothing named in it is run. Whether data, store and backend are
there is not asked here but above, in `composition.preflight`.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, ListConfig, Node, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_exp.config import components, fields, metric_names, own_tags, rules, wording
from mnist_exp.config.schema import (
    BUILDER_GROUPS,
    MAPPING_GROUPS,
    SECTIONS,
    TOP_LEVEL,
    DataSettings,
    Settings,
    SweepSettings,
    TrackingSettings,
    parameters,
)
from mnist_exp.config.signatures import REQUIRED
from mnist_exp.errors import SettingsError
from mnist_exp.runtime import backends

_NAMES = [*BUILDER_GROUPS, *MAPPING_GROUPS, "data", *SECTIONS, *TOP_LEVEL]
_OPTIONAL = {name for name, each in parameters(Settings).items() if each.default is not REQUIRED}


@dataclass(frozen=True)
class Parsed:
    """What a configuration means, as far as it is valid.

    Args:
        settings: None where an option has a problem of its own.
        parts: groups and sections by name; None where one has a problem.
        problems: one sentence each.
    """

    settings: Settings | None
    parts: Mapping[str, Any]
    problems: list[str]


def parse(config: DictConfig | Mapping[str, Any], overrides: Sequence[str] = ()) -> Parsed:
    """Return the settings that a composed configuration means, and all problems with them.

    Args:
        config: the composed configuration.
        overrides: what the user changed, for the record.
    """
    values, problems = _resolved(config) if isinstance(config, DictConfig) else (dict(config), [])
    if problems:
        return Parsed(None, {}, problems)
    resume = values.pop("resume", None)
    if resume is not None:
        problem = f"resume={wording.show(resume)} is for one run by itself: python -m mnist_exp.run resume=RUN_ID"
        return Parsed(None, {}, [problem])
    sections, problems = _sections(values)
    if problems:
        return Parsed(None, {}, problems)

    scalars, found = fields.check_all("", {n: v for n, v in values.items() if n in TOP_LEVEL}, TOP_LEVEL)
    problems += found
    tags, found = own_tags.check(scalars.get("tags", {}))
    problems += found
    trusted, found = _trusted(scalars.get("trusted_modules", []), sections)
    problems += found
    parts: dict[str, Any] = {}
    for name, section in sections.items():
        if name in BUILDER_GROUPS:
            parts[name], found = components.check(name, section, trusted)
        elif name in MAPPING_GROUPS:
            parts[name], found = components.check_mapping(name, section, trusted)
            found += metric_names.problems(parts[name]) if name == "metrics" else []
        elif name == "data":
            parts[name], found = _check_data(section, trusted)
        else:
            checked, found = fields.check_all(f"{name}.", section, parameters(SECTIONS[name]))
            parts[name] = None if found else SECTIONS[name](**checked)
        problems += found
    if parts["trainer"] is not None and parts["trainer"].backend is None:
        parts["trainer"] = dataclasses.replace(parts["trainer"], backend=backends.default())
    if problems:
        return Parsed(None, parts, problems)
    settings = Settings(**parts, **(scalars | {"trusted_modules": trusted, "tags": tags}), overrides=tuple(overrides))
    return Parsed(settings, parts, rules.find_problems(settings))


def sweep_settings(config: DictConfig) -> SweepSettings:
    """Return how a sweep goes, from a configuration whose other parts differ from job to job.

    Raises: SettingsError: with every problem in the section `sweep`.
    """
    return SweepSettings(**_checked("sweep", config, SweepSettings))


def tracking_settings(config: DictConfig) -> TrackingSettings:
    """Return where runs are recorded, from a configuration whose other parts do not matter.

    Raises: SettingsError: with every problem in the section `tracking`.
    """
    return TrackingSettings(**_checked("tracking", config, TrackingSettings))


def _checked(name: str, config: DictConfig, kind: type) -> dict[str, Any]:
    found = config.get(name)
    section, problems = _resolved(found) if isinstance(found, DictConfig) else ({}, [_no_section(name, {name: found})])
    if problems:
        raise SettingsError(problems)
    checked, problems = fields.check_all(f"{name}.", section, parameters(kind))
    if problems:
        raise SettingsError(problems)
    return checked


def _sections(values: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the groups and sections by name, and a sentence for each name that is unknown or missing."""
    problems = [_unknown(str(name)) for name in values if name not in _NAMES]
    sections: dict[str, dict[str, Any]] = {}
    for name in (*BUILDER_GROUPS, *MAPPING_GROUPS, "data", *SECTIONS):
        if isinstance(values.get(name), dict):
            sections[name] = dict(values[name])
        elif name in values or name not in _OPTIONAL:
            problems.append(_no_section(name, values))
    return sections, problems


def _resolved(config: DictConfig) -> tuple[dict[str, Any], list[str]]:
    """Return plain values, or a sentence for each interpolation that cannot be resolved."""
    try:
        values: Any = OmegaConf.to_container(config, resolve=True)
        return {str(name): value for name, value in values.items()}, []
    except (OmegaConfBaseException, RecursionError) as error:
        problems = [_unresolved(node, why) for node in _nodes(config) if (why := _why_unresolved(node))]
        return {}, list(dict.fromkeys(problems)) or [f"the configuration cannot be resolved: {_first_line(error)}"]


def _nodes(config: DictConfig | ListConfig) -> Iterator[Node]:
    """Yield the values in a configuration that are interpolations."""
    for name in range(len(config)) if isinstance(config, ListConfig) else list(config):
        node: Any = config._get_node(name)  # Reading it in public would resolve it, and fail.
        if node._is_interpolation():
            yield node
        elif isinstance(node, DictConfig | ListConfig) and not node._is_none() and not node._is_missing():
            yield from _nodes(node)


def _why_unresolved(node: Node) -> str | None:
    try:
        # A node does not resolve itself in public, only as a part of its parent.
        node._maybe_dereference_node(throw_on_resolution_failure=True)
    except (OmegaConfBaseException, RecursionError) as error:
        return _first_line(error)
    return None


def _unresolved(node: Node, why: str) -> str:
    # In public a node tells neither its name nor its text.
    return f"{node._get_full_key(None)}={wording.show(node._value())} cannot be resolved: {why}"


def _first_line(error: Exception) -> str:
    before, _, after = str(error).partition(" raised while resolving interpolation: ")
    line = ((after or before).splitlines() or ["it leads back to itself"])[0]
    return line.partition(" expecting {")[0].strip('"')


def _unknown(name: str) -> str:
    if name == "experiment":
        return "experiment is not a section: the file of an experiment begins with the line `# @package _global_`"
    return wording.unknown(name, name, _NAMES)


def _no_section(name: str, values: Mapping[str, Any]) -> str:
    if name not in values or values[name] is None:
        return f"{name} is missing: choose one with {name}=NAME; --help lists the names"
    return f"{name}={wording.show(values[name])} is not allowed: it must be a section of options"


def _trusted(modules: list[str], sections: Mapping[str, dict[str, Any]]) -> tuple[tuple[str, ...], list[str]]:
    """Return the modules trusted by the whole configuration and by single groups, which may name theirs.

    A module that may not be trusted is not among them: data of a trusted one may be loaded in spite of other problems.
    """
    named, problems = list(modules), []
    for group, section in sections.items():
        own, problem = fields.check(f"{group}.trusted_modules", section.pop("trusted_modules", []), list[str])
        named += own if problem is None else []
        problems += [problem] if problem else []
    for name in named:
        if not components.may_be_trusted(name):
            problems.append(
                f"trusted_modules: {name!r} is not allowed: it must be a package of your own, as my_pkg or my_pkg.nets"
            )
    return tuple(dict.fromkeys(name for name in named if components.may_be_trusted(name))), problems


def _check_data(section: dict[str, Any], trusted: Sequence[str]) -> tuple[DataSettings | None, list[str]]:
    own = {name: p for name, p in parameters(DataSettings).items() if name != "loader"}
    common, problems = fields.check_all("data.", {n: v for n, v in section.items() if n in own}, own)
    loader, found = components.check("data", {n: v for n, v in section.items() if n not in own}, trusted)
    problems += found
    return (None if problems else DataSettings(loader=loader, **common)), problems
