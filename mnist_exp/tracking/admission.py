"""Whether a tracking server answers and lets this user in, without importing MLflow, which takes 2 s.

`requests` takes 66 ms (median of five starts), which no run pays: MLflow imports it anyway. Asked through it, a
server gets the credentials, proxies and certificates that MLflow will use: a password in `~/.netrc` goes before one in
the address, and that before MLflow's own.
"""

import configparser
import contextlib
import os
import urllib.parse
import warnings
from base64 import b64encode
from http import HTTPStatus
from pathlib import Path

from mnist_exp.errors import TrackingError
from mnist_exp.runtime.redaction import redact

_TIMEOUT_S = 5.0
_NAME, _PASSWORD, _TOKEN = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"
_FILE = "~/.mlflow/credentials"
# With these, requests are signed in ways that only MLflow knows.
_OTHER_WAYS = ("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_TRACKING_CLIENT_CERT_PATH")
# A list of one, which every user may ask for, even one that may see nothing.
_ASKED = "/api/2.0/mlflow/experiments/search?max_results=1"
_WRONG_HOST = b"Invalid Host header"
_LONGEST = 1000  # bytes of a refusal that are read


def check(uri: str, shown: str) -> None:
    """Make sure that a server answers and knows the user.

    Args:
        uri: its address.
        shown: option and address, as they are told.
    Raises: TrackingError: it does not, with the reason and what to do.
    """
    import requests

    address = uri.rstrip("/")
    try:
        _get(f"{address}/health")  # One that refuses is one that answers.
    except (requests.RequestException, ValueError) as error:
        raise TrackingError(
            f"{shown}: nothing answers there ({_reason(error)}); start it, or unset it to use a local file"
        ) from error
    if any(os.environ.get(name) for name in _OTHER_WAYS):
        return
    try:
        status, text = _get(address + _ASKED)
    except (requests.RequestException, ValueError):
        return  # It answers, if not at once: what follows waits longer.
    if status == HTTPStatus.UNAUTHORIZED:
        raise TrackingError(f"{shown} {_unknown(address)}")
    if status == HTTPStatus.FORBIDDEN and _WRONG_HOST in text:
        host = urllib.parse.urlsplit(address).netloc.rpartition("@")[2]
        raise TrackingError(
            f"{shown}: the server refuses requests under the name {host}: add it to its --allowed-hosts, with the "
            "port, or use a name that is there"
        )


def _get(url: str) -> tuple[int, bytes]:
    """Return the status of an answer and how its text begins. Raises: RequestException, ValueError: there is none."""
    import requests

    is_insecure = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1")
    name, password = _credentials()
    headers = {}
    if name and password:
        headers["Authorization"] = f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"
    elif token := os.environ.get(_TOKEN):
        headers["Authorization"] = f"Bearer {token}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of certificates that are not looked at, as the user asked
        answer = requests.get(
            url,
            headers=headers,
            timeout=_TIMEOUT_S,
            verify=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or not is_insecure,
            allow_redirects=False,  # A redirect is an answer; where it leads is told no password.
            stream=True,
        )
    with answer:
        return answer.status_code, next(answer.iter_content(_LONGEST), b"")


def _credentials() -> tuple[str, str]:
    """Return user and password, each from the environment, else from MLflow's file; empty where there is none."""
    kept: dict[str, str] = {}
    with contextlib.suppress(configparser.Error, OSError, LookupError, UnicodeDecodeError):
        read = configparser.ConfigParser()
        read.read(Path(_FILE).expanduser())
        kept = dict(read["mlflow"])
    name, password = (os.environ.get(key) or kept.get(key.lower(), "") for key in (_NAME, _PASSWORD))
    return name, password


def _unknown(address: str) -> str:
    """Say who was not let in, and what to do; never the password."""
    from requests.utils import get_netrc_auth

    if get_netrc_auth(address):
        where = "~/.netrc"
    elif urllib.parse.urlsplit(address).username is not None:
        where = "the address"
    else:
        name, password = _credentials()
        where = f"${_NAME} and ${_PASSWORD}, or {_FILE}"
        if not (name and password):
            if os.environ.get(_TOKEN):
                return f"does not accept what ${_TOKEN} holds; renew it"
            what = "a password" if name else "a user and a password"
            return f"asks for {what}; set {_NAME} and {_PASSWORD}, or write them to {_FILE}"
    return f"does not know this user, or not with this password; correct what is in {where}"


def _reason(error: BaseException) -> str:
    """Return what went wrong without the wrappers that `requests` and urllib3 put around it."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return redact(str(error) or type(error).__name__)
