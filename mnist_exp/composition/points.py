"""Compose the points of a sweep, each as the job that runs it is composed."""

import contextlib
import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hydra import compose as hydra_compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from mnist_exp.composition import explain, hydra_policy, hydra_section, hydra_version
from mnist_exp.composition.overrides import read
from mnist_exp.composition.preflight import find_problems
from mnist_exp.config.schema import Settings
from mnist_exp.errors import SettingsError

_ASKS_NUMBER = re.compile(r"\$\{\s*hydra\s*:\s*job\.(num|id)")
_ASKS_HYDRA = re.compile(r"\$\{\s*(hydra|now)\s*:")


@dataclass(frozen=True)
class _Choice:
    """One choice of groups, composed: with the section `hydra`, and without it, also as it is written."""

    whole: DictConfig
    bare: DictConfig
    text: str


class PointComposer:
    """Compose many override lists that are much alike: 4 ms each instead of 60 ms (docs/decisions/0005-sweeps.md).

    Each choice of groups is composed once; plain values are then set by Hydra's own function.
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

    def check(self, overrides: Sequence[str], number: int) -> tuple[Settings | None, list[str]]:
        """Return the settings of a job, where no option has a problem of its own, and all problems.

        Args:
            overrides: of the job.
            number: of the job in its sweep, `${hydra:job.num}`.
        Raises: SettingsError: they cannot be composed; with every problem.
        """
        with self.composed(overrides, number) as config:
            return find_problems(config, overrides)

    @contextlib.contextmanager
    def composed(self, overrides: Sequence[str], number: int) -> Iterator[DictConfig]:
        """Yield the configuration of a job; its interpolations can be resolved during the `with` block.

        Args:
            overrides: of the job.
            number: of the job in its sweep.
        Raises: SettingsError: with every problem in the overrides.
        """
        try:
            parsed = [read(text) for text in overrides]
            choice = self._choice(tuple(o.input_line or "" for o in parsed if self._chooses(o)))
            texts = [choice.text, *overrides]
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
        chosen = [parsed for parsed in map(read, overrides) if self._chooses(parsed)]
        return self._choice(tuple(each.input_line or "" for each in chosen)).whole

    def _choice(self, chosen: tuple[str, ...]) -> _Choice:
        if chosen not in self._choices:
            whole = hydra_compose("config", [*self._of_hydra, *chosen], return_hydra_config=True)
            problems = list(hydra_policy.problems(whole.hydra))
            if problems:
                raise SettingsError(problems)
            bare = hydra_section.without(whole)
            self._choices[chosen] = _Choice(whole, bare, OmegaConf.to_yaml(bare))
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
