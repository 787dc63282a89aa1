"""From YAML groups and overrides to one configuration, and from Hydra's complaints to sentences for a person."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from mnist_exp import components, fields, hydra_policy
from mnist_exp.errors import SettingsError
from mnist_exp.settings import Settings, check, find_problems

# Hydra raises a bare ValueError for a group set to null.
_REFUSED = (HydraException, OmegaConfBaseException, ValueError, yaml.YAMLError)
_PACKAGE = Path(__file__).resolve().parent


def _shipped(name: str) -> Path:
    """Return a folder that a wheel carries inside the package and a checkout beside it."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


CONF = _shipped("conf")
EXPERIMENTS = _shipped("experiments")


class ExperimentsSearchPath(SearchPathPlugin):
    """Put the folder of experiments on Hydra's search path, and a user's own folder behind it.

    Hydra puts `--config-dir` there: were it elsewhere here, what is checked would not be what is run.
    """

    own_folder: Path | None = None

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add the folders."""
        search_path.append(provider="mnist_exp", path=f"file://{EXPERIMENTS}")
        if self.own_folder is not None:
            search_path.append("command-line", f"file://{self.own_folder}")


def register_search_path() -> None:
    """Tell Hydra of the experiments; twice does no harm."""
    plugins = Plugins.instance()
    if ExperimentsSearchPath not in plugins.discover(SearchPathPlugin):
        plugins.register(ExperimentsSearchPath)


def compose(overrides: Sequence[str] = (), *, config_dir: str | Path | None = None) -> Settings:
    """Return checked settings, as the command line would make them: for notebooks and scripts.

    Args:
        overrides: as on the command line, `["model.dropout=0.5", "data=mnist_5k"]`.
        config_dir: a folder of your own with groups or experiments.
    Raises: SettingsError: with every mistake there is.
    """
    overrides = [overrides] if isinstance(overrides, str) else list(overrides)
    with composer(config_dir):
        try:
            config = hydra_compose("config", overrides)
        except _REFUSED:
            raise SettingsError(_find_mistakes(overrides, multirun=False)) from None
        return check(config, overrides)


@contextmanager
def composer(config_dir: str | Path | None) -> Iterator[ConfigLoader]:
    """Set Hydra up to compose, and put back what was set up before."""
    register_search_path()
    if config_dir is not None and not Path(config_dir).is_dir():
        raise SettingsError(f"--config-dir={config_dir} is not a folder")
    ExperimentsSearchPath.own_folder = Path(config_dir).resolve() if config_dir is not None else None
    running = GlobalHydra.instance().hydra  # Within a sweep or a job Hydra runs already.
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3", job_name="run"):
            yield GlobalHydra.instance().config_loader()
    finally:
        ExperimentsSearchPath.own_folder = None
        GlobalHydra.instance().hydra = running


def explain(overrides: Sequence[str], config_dir: str | Path | None = None, *, multirun: bool) -> list[str]:
    """Return every mistake in overrides that Hydra refused, and those that it did not come to."""
    with composer(config_dir):
        return _find_mistakes(overrides, multirun=multirun)


def check_hydra(overrides: Sequence[str], config_dir: str | Path | None = None) -> None:
    """Refuse what Hydra would call, or let be called, before a run is checked.

    Raises: SettingsError: the section `hydra` names code.
    """
    problems: dict[str, None] = {}
    with composer(config_dir) as loader:
        for variant in _variants(overrides, loader):
            try:
                config = hydra_compose("config", variant, return_hydra_config=True)
            except _REFUSED:
                continue  # Hydra will refuse it as well, and then it is explained.
            problems |= dict.fromkeys(hydra_policy.problems(config.hydra))
    if problems:
        raise SettingsError(list(problems))


def _variants(overrides: Sequence[str], loader: ConfigLoader) -> Iterator[list[str]]:
    """Yield the overrides with the first value of each sweep, then with each other value in its turn."""
    parser = OverridesParser.create(loader)
    try:
        parsed = parser.parse_overrides(list(overrides))
    except HydraException:
        return
    first = [_one_value(override) for override in parsed]
    yield first
    for position, override in enumerate(parsed):
        if override.is_sweep_override() and override.is_discrete_sweep() and "." not in override.key_or_group:
            for value in _values(override)[1:]:
                yield [*first[:position], f"{override.get_key_element()}={value}", *first[position + 1 :]]


class PointComposer:
    """Compose many override lists that are much alike: 4 ms each instead of 60 ms (docs/decisions/0005-sweeps.md).

    What groups decide is composed once for each choice of them; plain values are put in by Hydra's own function.
    Use it within `composer`.
    """

    def __init__(self, loader: ConfigLoader) -> None:
        self._groups = set(_groups(loader))
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Return the configuration that the overrides lead to.

        Raises: SettingsError: with every mistake in them.
        """
        try:
            parsed = OverridesParser.create().parse_overrides(list(overrides))
            values = [o for o in parsed if not self._chooses(o)]
            chosen = tuple(o.input_line or "" for o in parsed if self._chooses(o))
            if chosen not in self._composed:
                self._composed[chosen] = _without_hydra(hydra_compose("config", list(chosen), return_hydra_config=True))
            config = copy.deepcopy(self._composed[chosen])
            ConfigLoaderImpl._apply_overrides_to_config(values, config)
        except _REFUSED:
            raise SettingsError(_find_mistakes(overrides, multirun=False)) from None
        return config

    def _chooses(self, override: Override) -> bool:
        key = override.key_or_group
        return key.startswith("hydra") or (key in self._groups and not isinstance(override.value(), dict))


def _without_hydra(config: DictConfig) -> DictConfig:
    """Return a configuration without the section that Hydra keeps to itself, which must name no code either."""
    problems = list(hydra_policy.problems(config.hydra))
    if problems:
        raise SettingsError(problems)
    with open_dict(config):
        del config["hydra"]
    return config


def _find_mistakes(overrides: Sequence[str], *, multirun: bool) -> list[str]:
    """Add the overrides one by one, choices of groups first, and note those that do not go in."""
    problems: list[str] = []
    parsed: list[Override] = []
    loader = GlobalHydra.instance().config_loader()
    for text in overrides:
        try:
            parsed.append(OverridesParser.create().parse_override(text))
            parsed[-1].config_loader = loader
        except HydraException as error:
            problems.append(f"{text} cannot be read: {_first_line(error)}; the form is option=value")
    groups = set(_groups(loader))
    config: DictConfig | None = None
    accepted: list[str] = []
    for override in sorted(parsed, key=lambda o: o.key_or_group not in groups):
        if override.is_sweep_override() and not multirun:
            problems.append(f"{override.input_line} names several values: give one, or sweep over them all with -m")
            continue
        if override.is_discrete_sweep() and not _values(override):
            problems.append(f"{override.input_line} has no value")
            continue
        text = _one_value(override)
        try:
            config = hydra_compose("config", [*accepted, text])
            accepted.append(text)
        except _REFUSED as error:
            config = config or _compose_or_none(accepted)
            problems.append(_describe(override, error, loader, config))
    if config is None:
        try:
            config = hydra_compose("config", accepted)
        except _REFUSED as error:
            return [*problems, _first_line(error)]
    return problems + find_problems(config)[1]


def _describe(override: Override, error: Exception, loader: ConfigLoader, config: DictConfig | None) -> str:
    key, value = override.key_or_group, override.value()
    text = f"{key}={fields.show(value)}"
    groups = _groups(loader)
    if key in groups or key.startswith("hydra/"):
        choices = loader.get_group_options(key, ObjectType.CONFIG)
        if not isinstance(value, list) and str(value) not in choices:
            guess = fields.nearest(str(value), choices)
            hint = f"did you mean {key}={guess}? " if guess else ""
            others = "; others come with a plug-in of Hydra's, to be installed" if key.startswith("hydra/") else ""
            return f"{text} does not exist: {hint}it must be one of {', '.join(choices)}{others}"
        return f"{text}: {_first_line(error)}"
    if key.startswith("hydra."):
        config = hydra_compose("config", [], return_hydra_config=True)
    if config is not None and not _exists(config, key):
        parent, _, name = key.rpartition(".")
        section: Any = OmegaConf.select(config, parent) if parent else config
        is_section = isinstance(section, DictConfig)
        siblings = [str(n) for n in section] if is_section else []
        if is_section and parent in components.KINDS and components.takes(parent, str(section.get("_target_")), name):
            return f"{key} is an argument of {section['_target_']} that is not configured: add it with +{text}"
        if not parent:
            siblings += [g for g in groups if "/" not in g]
        if parent and not siblings:
            return fields.unknown(key, parent.split(".")[0], [str(n) for n in config])
        return fields.unknown(
            key, name, [s for s in siblings if s != "hydra" and not s.startswith("_")], f"{parent}." if parent else ""
        )
    return f"{text}: {_first_line(error)}"


def _exists(config: DictConfig, key: str) -> bool:
    parent, _, name = key.rpartition(".")
    try:
        section = OmegaConf.select(config, parent) if parent else config
    except OmegaConfBaseException:
        return False
    return isinstance(section, DictConfig) and name in section


def _groups(loader: ConfigLoader) -> list[str]:
    return sorted({g for g in loader.list_groups("") if loader.get_group_options(g, ObjectType.CONFIG)})


def _one_value(override: Override) -> str:
    """Return the override, or with its first value where it sweeps over several."""
    if not override.is_sweep_override():
        return override.input_line or ""
    if override.is_discrete_sweep():
        return f"{override.get_key_element()}={next(iter(_values(override)), 'null')}"
    return f"{override.get_key_element()}={getattr(override.value(), 'start', 'null')}"


def _values(override: Override) -> list[str]:
    """Return what a sweep over several values goes through; nothing for a range that leads nowhere."""
    try:
        return list(override.sweep_string_iterator())
    except ValueError:  # step 0
        return []


def _compose_or_none(overrides: list[str]) -> DictConfig | None:
    try:
        return hydra_compose("config", overrides)
    except _REFUSED:
        return None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
