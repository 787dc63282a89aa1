"""Whether a tracking server answers and lets this user in, without importing MLflow, which would take seconds."""

import base64
import configparser
import contextlib
import http.client
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from mnist_exp.errors import TrackingError

_TIMEOUT_S = 5.0
_NAME, _PASSWORD, _TOKEN = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"
_FILE = "~/.mlflow/credentials"
# With these, requests are signed in ways that only MLflow knows.
_OTHER_WAYS = ("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_TRACKING_CLIENT_CERT_PATH")
# A list of one, which every user may ask for, even one that may see nothing.
_ASKED = "/api/2.0/mlflow/experiments/search?max_results=1"
_WRONG_HOST = "Invalid Host header"
_LONGEST = 1000  # bytes of a refusal that are read


def check(uri: str, shown: str) -> None:
    """Make sure that a server answers and knows the user.

    Args:
        uri: its address.
        shown: option and address, as they are told.
    Raises: TrackingError: it does not, with the reason and what to do.
    """
    try:
        parts = urllib.parse.urlsplit(uri)
        address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        _get(f"{address}/health")  # One that refuses is one that answers.
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise TrackingError(
            f"{shown}: nothing answers there ({reason}); start it, or unset it to use a local file"
        ) from error
    if any(os.environ.get(name) for name in _OTHER_WAYS):
        return
    try:
        status, text = _get(address + _ASKED, _authorization(parts))
    except (OSError, ValueError, http.client.HTTPException):
        return  # It answers, if not at once: what follows waits longer.
    if status == http.HTTPStatus.UNAUTHORIZED:
        raise TrackingError(f"{shown} {_unknown(parts)}")
    if status == http.HTTPStatus.FORBIDDEN and _WRONG_HOST in text:
        host = address.partition("://")[2].partition("/")[0]
        raise TrackingError(
            f"{shown}: the server refuses requests under the name {host}: add it to its --allowed-hosts, with the "
            "port, or use a name that is there"
        )


def _get(url: str, authorization: str = "") -> tuple[int, str]:
    """Return status and text of an answer. Raises: OSError, ValueError, HTTPException: there is none."""
    request = urllib.request.Request(url)  # noqa: S310
    if authorization:
        request.add_unredirected_header("Authorization", authorization)  # It is for nobody else.
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=_certificates(url)) as answer:  # noqa: S310
            return answer.status, ""
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read(_LONGEST).decode(errors="replace")


def _certificates(url: str) -> ssl.SSLContext | None:
    """Return whom to trust, as MLflow and `requests` are told it; None leaves it to Python."""
    if not url.startswith("https://"):
        return None
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        return ssl._create_unverified_context()  # noqa: S323  The user asked for it.
    for name in ("MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if path := os.environ.get(name):
            is_folder = Path(path).is_dir()
            return ssl.create_default_context(cafile=None if is_folder else path, capath=path if is_folder else None)
    return None


def _authorization(parts: urllib.parse.SplitResult) -> str:
    """Return the header that MLflow would send; empty if it has none."""
    if parts.username is not None:  # `requests` lets it win.
        name, password = urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or "")
    else:
        name, password = _credentials()
    if name and password:
        return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"
    token = os.environ.get(_TOKEN)
    return f"Bearer {token}" if token else ""


def _credentials() -> tuple[str, str]:
    """Return user and password, each from the environment, else from MLflow's file; empty where there is none."""
    kept: dict[str, str] = {}
    with contextlib.suppress(configparser.Error, OSError, LookupError, UnicodeDecodeError):
        read = configparser.ConfigParser()
        read.read(Path(_FILE).expanduser())
        kept = dict(read["mlflow"])
    name, password = (os.environ.get(key) or kept.get(key.lower(), "") for key in (_NAME, _PASSWORD))
    return name, password


def _unknown(parts: urllib.parse.SplitResult) -> str:
    """Say who was not let in, and what to do; never the password."""
    name, password = _credentials()
    if parts.username is None and not (name and password):
        if os.environ.get(_TOKEN):
            return f"does not accept what ${_TOKEN} holds; renew it"
        what = "a password" if name else "a user and a password"
        return f"asks for {what}; set {_NAME} and {_PASSWORD}, or write them to {_FILE}"
    where = "the address" if parts.username is not None else f"${_NAME} and ${_PASSWORD}, or {_FILE}"
    return f"does not know this user, or not with this password; correct what is in {where}"
