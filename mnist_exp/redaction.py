"""Keep passwords and tokens out of everything that is written down."""

import re

_USER_INFO = re.compile(r"(?P<scheme>[a-zA-Z][\w+.-]*://)[^/\s@'\"]+@")
_SECRET = re.compile(
    r"(?P<name>[\w.-]*(?:password|passwd|secret|token|api_?key|access_?key|credential)[\w.-]*)(?P<sign>\s*[=:]\s*)[^\s&'\",]+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return the text with the user part of addresses and the values of secret-sounding names hidden."""
    text = _USER_INFO.sub(r"\g<scheme>***@", text)
    return _SECRET.sub(r"\g<name>\g<sign>***", text)
