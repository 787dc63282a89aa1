"""Compose the points of a sweep, each as the job that runs it is composed."""

import contextlib
import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hydra import compose as hydra_compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from mnist_exp.composition import explain, hydra_policy, hydra_section, hydra_version
from mnist_exp.composition.overrides import read
from mnist_exp.composition.preflight import find_problems
from mnist_exp.config.schema import Settings
from mnist_exp.errors import SettingsError

_ASKS_NUMBER = re.compile(r"\$\{\s*hydra\s*:\s*job\.(num|id)")
_ASKS_HYDRA = re.compile(r"\$\{\s*(hydra|now)\s*:")
_IS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True)
class _Choice:
    """One choice of groups, composed: with the section `hydra`, and without it, also as it is written.

    `plain` has the values without the section `hydra`; it is None where some are interpolations.
    """

    whole: DictConfig
    bare: DictConfig
    text: str
    plain: dict[str, Any] | None


class PointComposer:
    """Compose many override lists that are much alike: 1.5 ms each instead of 60 ms (docs/decisions/0005-sweeps.md).

    Each choice of groups is composed once; other values are then set by Hydra's own function. Where numbers and texts
    take the place of others, and nothing is interpolated, they are set in plain dictionaries, which are sooner copied.
    Use it within `compose.composer`.

    Args:
        loader: Hydra's.
        sweep: the configuration of the sweep, or of one of its jobs: the overrides of its section `hydra` are those of
            every job. None if there are none.

    Attributes:
        asks_number: whether an option of what was composed so far asks for the number of its job.
    """

    def __init__(self, loader: ConfigLoader, sweep: DictConfig | None = None) -> None:
        self._groups = set(explain.groups(loader))
        self._sweep = sweep
        self._of_hydra = hydra_section.written(sweep.hydra, "hydra") if sweep is not None else []
        self.asks_number = False
        self._choices: dict[tuple[str, ...], _Choice] = {}
        self._parsed: dict[str, Override] = {}  # An axis has few values, a grid has many points.

    def check(self, overrides: Sequence[str], number: int) -> tuple[Settings | None, list[str]]:
        """Return the settings of a job, where no option has a problem of its own, and all problems.

        Args:
            overrides: of the job.
            number: of the job in its sweep, `${hydra:job.num}`.
        Raises: SettingsError: they cannot be composed; with every problem.
        """
        plain = self._plain(overrides)
        if plain is not None:
            return find_problems(plain, overrides)
        with self.composed(overrides, number) as config:
            return find_problems(config, overrides)

    def _plain(self, overrides: Sequence[str]) -> dict[str, Any] | None:
        """Return what `composed` yields as plain values; None if that takes more than replacing values by values."""
        if any("${" in _unescaped(text) for text in overrides):
            return None
        try:
            parsed = [self._read(text) for text in overrides]
            chosen = tuple(o.input_line or "" for o in parsed if self._chooses(o))
            base = self._choice(chosen).plain
        except Exception:
            return None  # `composed` says what is wrong.
        if base is None:
            return None
        values = copy.deepcopy(base)
        for override in parsed:
            if not self._chooses(override) and not _is_set(override, values):
                return None
        return values

    def _read(self, text: str) -> Override:
        if text not in self._parsed:
            self._parsed[text] = read(text)
        return self._parsed[text]

    @contextlib.contextmanager
    def composed(self, overrides: Sequence[str], number: int) -> Iterator[DictConfig]:
        """Yield the configuration of a job; its interpolations can be resolved during the `with` block.

        Args:
            overrides: of the job.
            number: of the job in its sweep.
        Raises: SettingsError: with every problem in the overrides.
        """
        try:
            parsed = [self._read(text) for text in overrides]
            choice = self._choice(tuple(o.input_line or "" for o in parsed if self._chooses(o)))
            texts = [choice.text, *map(_unescaped, overrides)]
            asks_hydra = any(map(_ASKS_HYDRA.search, texts))
            self.asks_number = self.asks_number or (asks_hydra and any(map(_ASKS_NUMBER.search, texts)))
            config = copy.deepcopy(choice.whole if asks_hydra else choice.bare)
            # Hydra has no public way to put overrides into what is composed already.
            ConfigLoaderImpl._apply_overrides_to_config([o for o in parsed if not self._chooses(o)], config)
        except SettingsError:
            raise
        except Exception as error:
            raise explain.understood([*self._of_hydra, *overrides], error) from error
        if not asks_hydra:
            yield config
            return
        self._complete(config, parsed)
        with hydra_section.resolving(config, number) as bare:
            yield bare
            if self._sweep is not None:
                # The time that `${now:…}` means is one time in all jobs, as Hydra has it.
                OmegaConf.copy_cache(from_config=bare, to_config=self._sweep)

    def with_hydra(self, overrides: Sequence[str]) -> DictConfig:
        """Return what the choices of groups among overrides lead to, with the section `hydra`; not to be changed."""
        chosen = [parsed for parsed in map(self._read, overrides) if self._chooses(parsed)]
        return self._choice(tuple(each.input_line or "" for each in chosen)).whole

    def _choice(self, chosen: tuple[str, ...]) -> _Choice:
        if chosen not in self._choices:
            words = [*self._of_hydra, *chosen]
            whole = hydra_compose("config", words, return_hydra_config=True)
            problems = list(hydra_policy.problems(whole.hydra, words))
            if problems:
                raise SettingsError(problems)
            bare = hydra_section.without(whole)
            text = OmegaConf.to_yaml(bare)
            plain: Any = OmegaConf.to_container(bare) if "${" not in text else None
            self._choices[chosen] = _Choice(whole, bare, text, plain)
        return self._choices[chosen]

    def _complete(self, config: DictConfig, parsed: list[Override]) -> None:
        """Complete the section `hydra` as Hydra's loader does."""
        own = [override for override in parsed if not override.is_hydra_override()]
        how = config.hydra.job.config.override_dirname
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.overrides.task = [override.input_line for override in own]
            if hydra_version.IS_1_3:  # From 1.4 on it is an interpolation, made of the line above.
                lines = sorted(each.input_line or "" for each in own if each.key_or_group not in how.exclude_keys)
                config.hydra.job.override_dirname = how.item_sep.join(lines).replace("=", how.kv_sep)
            if self._sweep is not None:
                OmegaConf.copy_cache(from_config=self._sweep, to_config=config)
                if not OmegaConf.is_missing(self._sweep.hydra.runtime, "output_dir"):
                    config.hydra.runtime.output_dir = self._sweep.hydra.runtime.output_dir

    def _chooses(self, override: Override) -> bool:
        key = override.key_or_group
        return key.startswith("hydra") or (key in self._groups and not isinstance(override.value(), dict))


def _unescaped(text: str) -> str:
    r"""Return an override as it is read: Hydra writes an interpolation that is one of several values as `$\{…\}`."""
    return text.replace("\\", "")


def _is_set(override: Override, values: dict[str, Any]) -> bool:
    """Set a plain value in the place of another one; return False if the override does anything else."""
    value = override.value() if override.type is OverrideType.CHANGE and override.package is None else {}
    if not _is_plain(value) or not _IS_PATH.fullmatch(override.key_or_group):
        return False
    *parents, name = override.key_or_group.split(".")
    section: Any = values
    for parent in parents:
        section = section.get(parent) if isinstance(section, dict) else None
    if not isinstance(section, dict) or name not in section or isinstance(section[name], dict):
        return False
    section[name] = copy.deepcopy(value)
    return True


def _is_plain(value: Any) -> bool:
    return all(map(_is_plain, value)) if isinstance(value, list) else isinstance(value, bool | int | float | str | None)
