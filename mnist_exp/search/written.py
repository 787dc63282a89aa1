"""Write a value as an override, such that Hydra reads the same value again."""

import re
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

_PLAIN = re.compile(r"[\w./-]+", re.ASCII)


def override(key: str, value: Any) -> str:
    """Return the override that gives an option a value."""
    # Hydra's own way to write a value such that it reads the same one again.
    return f"{key}={Override._get_value_element_as_str(_quoted(value))}"


def _quoted(value: Any) -> Any:
    """Put quotes around texts that Hydra would parse as something else."""
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    if isinstance(value, dict):
        return {name: _quoted(item) for name, item in value.items()}
    if isinstance(value, str) and not (_PLAIN.fullmatch(value) and _reads_as_text(value)):
        return QuotedString(value, Quote.single)
    return value


def _reads_as_text(value: str) -> bool:
    try:
        return isinstance(OverridesParser.create().parse_rule(value, "element"), str)
    except HydraException:
        return False
