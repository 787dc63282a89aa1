"""What `${hydra:…}` means in a configuration that is composed here: the same as in a run that Hydra starts."""

import contextlib
import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from mnist_exp.runtime import start_folder

# The rest says how a sweep is run.
_NEEDED_ALONE = ("hydra.searchpath", "hydra.job.")


@dataclass(frozen=True)
class Alone:
    """What a command of its own needs of a sweep, beside the overrides of a job, to be the same experiment.

    Args:
        of_hydra: overrides of the section `hydra`.
        is_numbered: whether an option asks for the number of the job.
    """

    of_hydra: tuple[str, ...] = ()
    is_numbered: bool = False

    @classmethod
    def of(cls, sweep: DictConfig, *, is_numbered: bool) -> "Alone":
        """Return it of the configuration of a sweep."""
        needed = [text for text in written(sweep.hydra, "hydra") if text.lstrip("+~").startswith(_NEEDED_ALONE)]
        return cls(tuple(needed), is_numbered)

    def overrides(self, overrides: Sequence[str], number: int) -> list[str]:
        """Return the overrides of the command.

        Args:
            overrides: of the job.
            number: of the job in its sweep.
        """
        return [*self.of_hydra, *overrides, *([f"hydra.job.num={number}"] if self.is_numbered else [])]


def written(hydra: Any, kind: Literal["task", "hydra"]) -> list[str]:
    """Return overrides as they were written: `${…}` in them must not be resolved.

    Args:
        hydra: the section.
        kind: task for those of options, hydra for those of the section itself.
    """
    texts: Any = OmegaConf.to_container(hydra.overrides[kind], resolve=False)
    return list(texts)


@contextlib.contextmanager
def resolving(config: DictConfig, number: int | None = None) -> Iterator[DictConfig]:
    """Let `${hydra:…}` mean the section `hydra` of this configuration during a `with` block.

    Args:
        config: composed, with that section, which is completed as Hydra does when it starts a job.
        number: of the job in its sweep, `${hydra:job.num}`; None for a run by itself.
    Yields: the configuration without that section, as a job gets it.
    """
    instance = HydraConfig.instance()
    before = instance.cfg
    try:
        _number(config, number)
        instance.set_config(config)
        if OmegaConf.is_missing(config.hydra.runtime, "output_dir"):
            # A folder that cannot be named is told when it is to be made.
            with contextlib.suppress(Exception), read_write(config.hydra), open_dict(config.hydra):
                config.hydra.runtime.output_dir = str(_output_folder(config.hydra, number))
            instance.set_config(config)
        yield without(config)
    finally:
        instance.cfg = before


def without(config: DictConfig) -> DictConfig:
    """Return a copy of a configuration without its section `hydra`."""
    bare = copy.deepcopy(config)
    with read_write(bare), open_dict(bare):
        del bare["hydra"]
    return bare


@contextlib.contextmanager
def numbered(number: int) -> Iterator[None]:
    """Let `${hydra:job.num}` be this number during a `with` block, in a job to which Hydra gave another."""
    config = HydraConfig.instance().cfg
    assert isinstance(config, DictConfig)
    before = config.hydra.job.num
    _number(config, number)
    try:
        yield
    finally:
        _number(config, before)


def _number(config: DictConfig, number: int | None) -> None:
    if number is not None:
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.job.num = number
            config.hydra.job.id = str(number)  # OmegaConf 2.4 warns where it has to convert.


def _output_folder(hydra: DictConfig, number: int | None) -> Path:
    if hydra.mode != RunMode.MULTIRUN:
        return start_folder.absolute(str(hydra.run.dir))
    folder = start_folder.absolute(str(hydra.sweep.dir))
    return folder if number is None else folder / str(hydra.sweep.subdir)
