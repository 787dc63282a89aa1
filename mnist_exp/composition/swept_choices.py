"""Choices of swept groups, and an option that only some of them have: `model=lenet5,mlp model.hidden_units=[64]`.

Hydra composes what is not swept over without the choices that are, and would refuse the option. So Hydra gets it as a
sweep over one value, with a tag that tells it from those that a person writes.
"""

import re
from collections.abc import Iterator, Sequence

from hydra import compose
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig

from mnist_exp.composition import explain
from mnist_exp.composition.overrides import first_value, values

_AS_SWEEP = re.compile(r"([^=]+)=tag\(of_some_choices,choice\((.*)\)\)", re.DOTALL)


def variants(parsed: Sequence[Override], loader: ConfigLoader) -> Iterator[list[str]]:
    """Yield the overrides with the first value of each sweep, then with each other choice of one group at a time."""
    first = [first_value(override) for override in parsed]
    yield first
    for position, override in enumerate(parsed):
        if override.is_discrete_sweep() and override.key_or_group in explain.groups(loader):
            for value in values(override)[1:]:
                yield [*first[:position], f"{override.get_key_element()}={value}", *first[position + 1 :]]


def for_hydra(parsed: Sequence[Override], loader: ConfigLoader) -> list[str]:
    """Return the overrides of a sweep as Hydra can compose them; as they are typed, if nothing helps.

    Args:
        parsed: the overrides.
        loader: Hydra's.
    """
    groups = set(explain.groups(loader))
    words = [override.input_line or "" for override in parsed]
    same = [override.input_line or "" for override in parsed if not override.is_sweep_override()]
    is_swept = any(override.is_sweep_override() and override.key_or_group in groups for override in parsed)
    if not is_swept or _composed(same) is not None:
        return words
    chooses = [override.key_or_group in groups for override in parsed]
    base = _composed([text for text, each in zip(words, chooses, strict=True) if each and text in same])
    others = [
        _composed([text for text, each in zip(variant, chooses, strict=True) if each])
        for variant in variants(parsed, loader)
    ]

    def is_of_some(override: Override) -> bool:
        is_plain = override.type is OverrideType.CHANGE and override.package is None
        key = override.key_or_group
        if not is_plain or override.is_sweep_override() or key in groups or base is None or explain.exists(base, key):
            return False
        return any(config is not None and explain.exists(config, key) for config in others)

    return [_as_sweep(text) if is_of_some(each) else text for each, text in zip(parsed, words, strict=True)]


def as_typed(text: str) -> str:
    """Return an override of `for_hydra` as it was typed."""
    found = _AS_SWEEP.fullmatch(text)
    return f"{found[1]}={found[2]}" if found else text


def _as_sweep(text: str) -> str:
    key, _, value = text.partition("=")
    return f"{key}=tag(of_some_choices,choice({value}))"


def _composed(words: Sequence[str]) -> DictConfig | None:
    try:
        return compose("config", list(words), return_hydra_config=True)
    except Exception:
        return None
