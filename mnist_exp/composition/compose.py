"""From YAML groups and overrides to one configuration."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig

from mnist_exp.composition import explain, hydra_policy, hydra_section, hydra_version, swept_choices
from mnist_exp.composition.overrides import read_all
from mnist_exp.composition.preflight import check
from mnist_exp.config import arguments, fields, wording
from mnist_exp.config.schema import Settings
from mnist_exp.errors import SettingsError
from mnist_exp.runtime import start_folder

_PACKAGE = Path(__file__).resolve().parents[1]


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
            search_path.append(provider="command-line", path=f"file://{self.own_folder}")


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
    Raises: SettingsError: with every problem there is.
    """
    with arguments.named(config_dir="config_dir"), composed(overrides, config_dir) as (config, words):
        return check(config, words)


@contextmanager
def composed(
    overrides: str | Sequence[str], config_dir: str | Path | None = None
) -> Iterator[tuple[DictConfig, list[str]]]:
    """Yield the configuration that overrides make, not yet checked, and the overrides; arguments as of `compose`."""
    arguments.check_folder("config_dir", config_dir)
    words = arguments.texts("overrides", overrides)
    with composer(config_dir):
        try:
            config = hydra_compose("config", words, return_hydra_config=True)
        except Exception as error:
            raise explain.understood(words, error) from error
        with hydra_section.resolving(config) as bare:
            yield bare, words


@contextmanager
def composer(config_dir: str | Path | None) -> Iterator[ConfigLoader]:
    """Set Hydra up to compose in the folder that the command was started in, and restore what was set up before."""
    register_search_path()
    if config_dir is not None:
        _check_own_folder(Path(config_dir))
    ExperimentsSearchPath.own_folder = Path(config_dir).resolve() if config_dir is not None else None
    running = GlobalHydra.instance().hydra  # Within a sweep or a job Hydra runs already.
    GlobalHydra.instance().clear()
    try:
        with start_folder.working_there(), initialize_config_dir(str(CONF), job_name="run", **hydra_version.BASE):
            yield GlobalHydra.instance().config_loader()
    finally:
        ExperimentsSearchPath.own_folder = None
        GlobalHydra.instance().hydra = running


def _check_own_folder(folder: Path) -> None:
    """Raise a SettingsError if it is not a folder, or if files of ours with the same names would hide some of its."""
    if not fields.is_folder(folder):
        raise SettingsError(f"--config-dir={wording.show(str(folder))} is not a folder")
    if any(folder.resolve().is_relative_to(ours.resolve()) for ours in (CONF, EXPERIMENTS)):
        return
    names = sorted({file.relative_to(ours) for ours in (CONF, EXPERIMENTS) for file in ours.rglob("*.yaml")})
    hidden = [name for name in names if (folder / name).is_file() and not _is_copy(folder / name)]
    if hidden:
        raise SettingsError(
            [f"{folder / name} would not be used: mnist_exp has a {name}, give yours another name" for name in hidden]
        )


def _is_copy(file: Path) -> bool:
    ours = [folder / file.parent.name / file.name for folder in (CONF, EXPERIMENTS)]
    return any(other.is_file() and other.read_bytes() == file.read_bytes() for other in ours)


def find_problems(overrides: Sequence[str], config_dir: str | Path | None = None, *, multirun: bool) -> list[str]:
    """Return every problem in overrides that Hydra refused, also those behind the first one."""
    with composer(config_dir):
        return explain.find(overrides, multirun=multirun)


def check_hydra(overrides: Sequence[str], config_dir: str | Path | None = None, *, multirun: bool = False) -> list[str]:
    """Refuse what cannot be composed, and what Hydra would call, or fail on, before a run is checked.

    Returns: the overrides as Hydra can compose them: see `swept_choices.for_hydra`.
    Raises: SettingsError: with every problem.
    """
    problems: dict[str, None] = {}
    with composer(config_dir) as loader, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a search path that is missing, which we refuse
        parsed, unreadable = read_all(overrides, loader)
        if unreadable:
            raise SettingsError(explain.find(overrides, multirun=multirun))
        sweeps = multirun and any(override.is_sweep_override() for override in parsed)
        for number, variant in enumerate(swept_choices.variants(parsed, loader)):
            try:
                hydra = hydra_compose("config", variant, return_hydra_config=True).hydra
            except Exception as error:
                if number > 0 or sweeps:
                    continue  # The plan of the sweep says which of its jobs has the problem.
                found = explain.find(overrides, multirun=multirun)
                raise SettingsError(found or f"the configuration cannot be used: {explain.reason(error)}") from error
            problems |= dict.fromkeys(hydra_policy.problems(hydra, variant))
        if not problems:
            return swept_choices.for_hydra(parsed, loader) if multirun else list(overrides)
    raise SettingsError(list(problems))
