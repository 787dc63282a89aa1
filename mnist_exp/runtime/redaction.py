"""Keep passwords and tokens out of everything that is written down.

A secret is known by where it stands (in an address, behind a name), by its looks, or by being in the environment
under a name that says so; the last is hidden wherever it turns up.

All that is recorded, kept or printed goes through here at the door through which it leaves: `tracking.store.client` and
`tracking.spool` to MLflow, `jobs.events` between processes, `redacted_files` to disk, `redacted_output` and
`terminal.Screen` to a person. Who adds a record has nothing to call.
"""

import functools
import json
import os
import re
from collections.abc import Callable, Mapping
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
_NAMED = re.compile(rf"(?<![\w.-])({_NAME}\\*[\"']?\s*(?:=|:(?!:)|=>)\s*)({_VALUE})", re.IGNORECASE)
_FLAG = re.compile(rf"((?<!\S)--{_NAME}\s+)({_VALUE})", re.IGNORECASE)
_HEADER = re.compile(r"((?:\bauthorization\b\\*[\"']?\s*[:=]\s*\\*[\"']?)(?:[a-z]+ +)?)[^\s'\"\\]+", re.IGNORECASE)
_BEARER = re.compile(r"(\bBearer +)[^\s'\"\\]+")
# A command that is called at the end of a run, whose words may hold an address that nobody else may know.
# What our own message says behind it stays.
_COMMAND = re.compile(r"(\btracking\.notify=)(?!\*\*\*)[^\n]+?(?= is not allowed: it must be |\n|\Z)")
_COMMAND_NAME = "tracking.notify="
_OVERRIDE = re.compile(rf"([+~]*{_NAME}=).+", re.IGNORECASE)
_KNOWN = re.compile(
    r"\b(?:hf_|sk-|gh[opsur]_|github_pat_|glpat-|npm_|pypi-|xox[abeprs]-|AKIA|ASIA|AIza|dapi)[\w-]{12,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)
_PASSWORD_IN_ADDRESS = re.compile(r"[a-zA-Z][\w+.-]{0,30}://[^\s:/@]*:([^\s]+)@")
_SHORTEST = 6  # characters; what is shorter may as well be a part of any other word
# A picture, say, in base64: what looks like a token in it is none, and to hide that would spoil it.
_ENCODED = re.compile(r"[A-Za-z0-9+/]{1000,}={0,2}")
HIDDEN = "***"
_HIDDEN = r"\1***"
# One of these words is in whatever a form may match. Most texts have none and are done: 0.03 ms for the line of an
# epoch instead of 1.6, 20 ms for a table of 1 MB instead of 2,600 (one busy core).
_NAME_WORDS = ["passw", "passphrase", "secret", "token", "credential", "signature", "pwd", "sig", "auth", "key"]
_OTHER_WORDS = ["@", "%40", "hf_", "sk-", "gho_", "ghp_", "ghs_", "ghu_", "ghr_", "github_pat_", "glpat-", "npm_"]
_OTHER_WORDS += ["pypi-", "xox", "akia", "asia", "aiza", "dapi", "eyj", "-----begin", "bearer"]


def redact(text: str) -> str:
    """Return the text without the user part of addresses, the values of secret-sounding names, and known tokens.

    What is JSON, or a line of it each, stays JSON; numbers in it stay too. What has no secret stays as it is.
    """
    return _redact_all(text, _of_environment(os.environ))


def redact_many() -> Callable[[str], str]:
    """Return `redact` for many texts of one moment: the environment is looked at once, and equal texts too."""
    return functools.cache(functools.partial(_redact_all, known=_of_environment(os.environ)))


def _redact_all(text: str, known: tuple[str, ...]) -> str:
    redacted = _redact(text, known)
    if redacted != text and text.lstrip()[:1] in ("{", "["):
        for parts in ([text], text.splitlines(keepends=True)):
            with_json = [_redact_json(part) for part in parts]
            if None not in with_json:
                return "".join(map(str, with_json))
    return redacted


def redact_json(text: str) -> str:
    """Return `redact` of JSON, value by value at once: for a long text that most often has nothing to hide."""
    redacted = _redact_json(text)
    return redact(text) if redacted is None else redacted


def redact_known(text: str) -> str:
    """Return the text without the secrets of the environment: in program code, `token = 1` hides none."""
    return _without(text, _of_environment(os.environ))


def _without(text: str, known: tuple[str, ...]) -> str:
    for secret in known:
        text = text.replace(secret, HIDDEN)
    return text


def _redact(text: str, known: tuple[str, ...]) -> str:
    text = _without(text, known)
    if _ENCODED.fullmatch(text):
        return text
    folded = text.casefold()
    is_named = any(word in folded for word in _NAME_WORDS)
    if not is_named and _COMMAND_NAME not in folded and not any(word in folded for word in _OTHER_WORDS):
        return text
    if is_named and "\n" not in text:
        text = _OVERRIDE.sub(_HIDDEN, text) if _OVERRIDE.fullmatch(text) else text
    if _COMMAND_NAME in text:
        text = _COMMAND.sub(_HIDDEN, text)
    for form in (_USER_INFO, _QUOTED_USER_INFO):
        text = form.sub(r"\1***@", text)
    for form in (_HEADER, _BEARER):
        text = form.sub(_HIDDEN, text)
    if is_named:
        for form in (_NAMED, _FLAG):
            text = form.sub(_hide_value, text)
    return _KNOWN.sub(HIDDEN, text)


def _hide_value(found: re.Match[str]) -> str:
    """Hide the value; the quotes around it stay, for whoever reads the text back."""
    before, value = found[1], found[2]
    quoted = re.fullmatch(r"([\"'])(.*)\1", value, re.DOTALL)
    return f"{before}{quoted[1]}{HIDDEN}{quoted[1]}" if quoted else f"{before}{HIDDEN}"


def _redact_json(text: str) -> str | None:
    """Return JSON redacted value by value, and as it is where there is nothing to hide; None if it is no JSON."""
    inner = text.strip()
    if not inner:
        return text
    try:
        value = json.loads(inner)
        redacted = redact_config(value)
    except (ValueError, RecursionError):
        return None
    if redacted == value or str(redacted) == str(value):  # The second: NaN is no equal of itself.
        return text
    return text.replace(inner, json.dumps(redacted, ensure_ascii=inner.isascii()))


def redact_config(value: Any, name: str = "") -> Any:
    """Return a nested configuration with its secret texts hidden; numbers stay: `num_tokens: 5` is no secret."""
    return _nested(value, name, bool, redact_many())


def redact_record(value: Any, name: str = "", hide: Callable[[str], str] | None = None) -> Any:
    """Return nested values of a record as `redact_config` does; a number, or none, that became a text stays as well.

    Args:
        value: the record, or a part of it.
        name: of the value.
        hide: what `redact_many` returned, for several parts of one moment.
    """
    return _nested(value, name, lambda text: not _is_plain(text), hide or redact_many())


def _nested(value: Any, name: str, is_secret: Callable[[str], bool], hide: Callable[[str], str]) -> Any:
    """Return nested values with texts gone through `hide`; one of a secret name is hidden if `is_secret` says so."""
    if isinstance(value, Mapping):
        return {key: _nested(inner, str(key), is_secret, hide) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_nested(inner, name, is_secret, hide) for inner in value]
    if isinstance(value, str):
        return HIDDEN if is_secret_name(name) and is_secret(value) else hide(value)
    return value


def without_secrets(value: Any) -> Any:
    """Return nested values without the entries that are secrets: what is read back has none, instead of a wrong one."""
    if isinstance(value, Mapping):
        return {
            key: without_secrets(inner)
            for key, inner in value.items()
            if not (isinstance(inner, str) and redact_config(inner, str(key)) != inner)
        }
    return [without_secrets(inner) for inner in value] if isinstance(value, list | tuple) else value


def _is_plain(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in ("", "None", "null", "True", "False", "true", "false")
    return True


@functools.lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Tell whether a value of this name is a secret: of `data.token`, not of `num_tokens`."""
    return re.fullmatch(_NAME, name, re.IGNORECASE) is not None


def _of_environment(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets in environment variables, the longest first: one may be a part of another."""
    # One by one: another thread may take one away meanwhile, as MLflow's does with its own.
    found = ((name, environment.get(name)) for name in list(environment))
    return _of_variables(tuple((name, value) for name, value in found if value is not None))


@functools.lru_cache(maxsize=8)
def _of_variables(variables: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """Kept: it takes 1 ms, and is asked for each line."""
    found = set()
    for name, value in variables:
        # PWD is the working folder; a file with credentials is named by its path.
        if is_secret_name(name) and not os.path.exists(value):  # noqa: PTH110
            found |= {value, value.strip()}
        found |= set(_PASSWORD_IN_ADDRESS.findall(value))
    return tuple(sorted((secret for secret in found if len(secret) >= _SHORTEST), key=len, reverse=True))
