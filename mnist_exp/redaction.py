"""Keep passwords and tokens out of everything that is written down."""

import re
from typing import Any

# Hydra writes the colon of a value as `\:`.
_USER_INFO = re.compile(r"([a-zA-Z][\w+.-]*\\?://)[^\s'\"]*@")
_NAME = (
    r"(?:[\w-]*[_-])?(?:password|passwd|pwd|passphrase|secret|token|api_?key|access_?key|private_?key|credentials?)"
    r"(?:_\w*key)?"
)
_NAMED = re.compile(rf"(?<!\w)({_NAME}[\"']?\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s&,'\"()]+(?![\w(]))", re.IGNORECASE)
_KNOWN = re.compile(r"\b(?:hf_|sk-|ghp_|github_pat_|AKIA)[\w-]{12,}|(?<=Bearer )\S+")


def redact(text: str) -> str:
    """Return the text without the user part of addresses, the values of secret-sounding names, and known tokens."""
    text = _USER_INFO.sub(r"\1***@", text)
    return _KNOWN.sub("***", _NAMED.sub(r"\1***", text))


def redact_config(value: Any, name: str = "") -> Any:
    """Return a nested configuration with its secret texts hidden; numbers stay: `num_tokens: 5` is no secret."""
    if isinstance(value, dict):
        return {key: redact_config(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact_config(inner, name) for inner in value]
    if isinstance(value, str):
        return "***" if value and re.fullmatch(_NAME, name, re.IGNORECASE) else redact(value)
    return value
