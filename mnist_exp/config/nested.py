"""Nested plain values, as a configuration is: all on one level, and their digest."""

import hashlib
import json
from typing import Any


def digest(value: Any) -> str:
    """Return the SHA-256, in hex, of nested plain values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested sections as one level, names joined by dots."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
