"""Keep passwords and tokens out of everything that is written down.

A secret is known by where it stands (in an address, behind a name), by its looks, or by being in the environment
under a name that says so; the last is hidden wherever it turns up.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

# Hydra writes the colon of a value as `\:`, an address within another has it as `%3A`.
# Of bounded length: else a long text without an address takes a time that grows with its square.
_SCHEME = r"([a-zA-Z][\w+.-]{0,30}(?:\\?:|%3A)(?://|%2F%2F))"
_USER_INFO = re.compile(rf"{_SCHEME}[^\s'\"]{{0,4000}}(?:@|%40)", re.IGNORECASE)
# A password with a quote in it is taken only up to the next slash: there may be other quoted texts behind.
_QUOTED_USER_INFO = re.compile(rf"{_SCHEME}[^\s/]{{0,4000}}@", re.IGNORECASE)
_NAME = (
    r"(?:[\w.-]*?(?:password|passwd|passphrase|secret|token|credentials?|signature)|(?:[\w.-]*[._-])?(?:pwd|sig|auth)"
    r"|[\w.-]*?(?:api|access|private|account|signing|encryption)[_-]?key)(?:[_-]\w*key)?"
)
_VALUE = r"\\?\"(?:\\.|[^\"\\])*\"?|\\?'(?:\\.|[^'\\])*'?|[^\s&,;'\"()]+(?![\w(])"
# `num_tokens`, `tokenizer` and `secretary` are no such names. Quotes may be escaped, as in JSON within JSON.
_NAMED = re.compile(rf"(?<![\w.-])({_NAME}\\*[\"']?\s*(?:=|:(?!:)|=>)\s*)(?:{_VALUE})", re.IGNORECASE)
_FLAG = re.compile(rf"((?<!\S)--{_NAME}\s+)(?:{_VALUE})", re.IGNORECASE)
_HEADER = re.compile(r"((?:\bauthorization\b\\*[\"']?\s*[:=]\s*\\*[\"']?)(?:[a-z]+ +)?)[^\s'\"\\]+", re.IGNORECASE)
_BEARER = re.compile(r"(\bBearer +)[^\s'\"\\]+")
_OVERRIDE = re.compile(rf"([+~]*{_NAME}=).+", re.IGNORECASE)
_KNOWN = re.compile(
    r"\b(?:hf_|sk-|gh[opsur]_|github_pat_|glpat-|npm_|pypi-|xox[abeprs]-|AKIA|ASIA|AIza|dapi)[\w-]{12,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)
_PASSWORD_IN_ADDRESS = re.compile(r"[a-zA-Z][\w+.-]{0,30}://[^\s:/@]*:([^\s]+)@")
_SHORTEST = 6  # characters; what is shorter may as well be a part of any other word
_HIDDEN = r"\1***"


def redact(text: str) -> str:
    """Return the text without the user part of addresses, the values of secret-sounding names, and known tokens."""
    for secret in _of_environment(os.environ):
        text = text.replace(secret, "***")
    if "\n" not in text:
        text = _OVERRIDE.sub(_HIDDEN, text) if _OVERRIDE.fullmatch(text) else text
    for form in (_USER_INFO, _QUOTED_USER_INFO):
        text = form.sub(r"\1***@", text)
    for form in (_HEADER, _BEARER, _NAMED, _FLAG):
        text = form.sub(_HIDDEN, text)
    return _KNOWN.sub("***", text)


def redact_config(value: Any, name: str = "") -> Any:
    """Return a nested configuration with its secret texts hidden; numbers stay: `num_tokens: 5` is no secret."""
    if isinstance(value, dict):
        return {key: redact_config(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact_config(inner, name) for inner in value]
    if isinstance(value, str):
        return "***" if value and re.fullmatch(_NAME, name, re.IGNORECASE) else redact(value)
    return value


def _of_environment(environment: Mapping[str, str]) -> list[str]:
    """Return the secrets in environment variables, the longest first: one may be a part of another."""
    found = set()
    for name, value in environment.items():
        # PWD is the working folder; a file with credentials is named by its path.
        if re.fullmatch(_NAME, name, re.IGNORECASE) and not os.path.exists(value):  # noqa: PTH110
            found |= {value, value.strip()}
        found |= set(_PASSWORD_IN_ADDRESS.findall(value))
    return sorted((secret for secret in found if len(secret) >= _SHORTEST), key=len, reverse=True)
