"""The values that swept options have without the sweep."""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mnist_exp.config import wording


def chosen(config: DictConfig, group: str) -> str | None:
    """Return what is chosen of a group; None if it is an option, not a group."""
    choice = config.hydra.runtime.choices.get(group)
    return None if choice is None else str(choice)


def value(config: DictConfig, key: str) -> Any:
    """Return the value of an option, or the choice of a group; None if there is none."""
    if (choice := chosen(config, key)) is not None:
        return choice
    found = OmegaConf.select(config, key)
    return OmegaConf.to_container(found, resolve=True) if OmegaConf.is_config(found) else found


def words(config: DictConfig, keys: Sequence[str]) -> dict[str, str]:
    """Return the default of each option that has one, as text.

    Args:
        config: composed from the overrides that are the same in all jobs.
        keys: the swept options.
    """
    missing = object()
    found = {}
    for key in keys:
        is_there = chosen(config, key) is not None or OmegaConf.select(config, key, default=missing) is not missing
        if is_there:
            found[key] = wording.text(value(config, key))
    return found
