"""Check that a tracking server answers and accepts this user, without importing MLflow, which takes 2 s.

The import of `requests` takes 66 ms (median of five starts) and costs a run nothing, since MLflow imports it anyway.
`requests` uses the same credentials, proxies and certificates as MLflow will: a password in `~/.netrc` is used before
one in the address, and that before MLflow's own.
"""

import configparser
import contextlib
import os
import urllib.parse
import warnings
from base64 import b64encode
from http import HTTPStatus
from pathlib import Path

from mnist_exp.errors import StoreAwayError
from mnist_exp.runtime.redaction import redact

_TIMEOUT_S = 5.0
_NAME, _PASSWORD, _TOKEN = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"
_FILE = "~/.mlflow/credentials"
# With one of these set, MLflow signs its requests in ways that are not repeated here.
_OTHER_WAYS = ("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_TRACKING_CLIENT_CERT_PATH")
# Every user may ask for a list of one experiment, even a user without any permission.
_ASKED = "/api/2.0/mlflow/experiments/search?max_results=1"
_WRONG_HOST = b"Invalid Host header"
_LONGEST = 1000  # bytes of a refusal that are read


def check(uri: str, shown: str) -> None:
    """Check that a server answers and accepts the user.

    Args:
        uri: address of the server.
        shown: option and address, as the error message shows them.
    Raises: StoreAwayError: it does not; the message says why and what to do.
    """
    import requests

    address = uri.rstrip("/")
    try:
        _get(f"{address}/health")  # Any status will do: a server that refuses is running.
    except (requests.RequestException, ValueError) as error:
        raise StoreAwayError(
            f"{shown}: nothing answers there ({_reason(error)}); start it, or unset it to use a local file"
        ) from error
    if any(os.environ.get(name) for name in _OTHER_WAYS):
        return
    try:
        status, text = _get(address + _ASKED)
    except (requests.RequestException, ValueError):
        return  # It has answered once; a slow answer is no reason to stop, since later calls wait longer.
    if status == HTTPStatus.UNAUTHORIZED:
        raise StoreAwayError(f"{shown} {_unknown(address)}")
    if status == HTTPStatus.FORBIDDEN and _WRONG_HOST in text:
        host = urllib.parse.urlsplit(address).netloc.rpartition("@")[2]
        raise StoreAwayError(
            f"{shown}: the server refuses requests under the name {host}: add it to its --allowed-hosts, with the "
            "port, or use a name that is there"
        )


def _get(url: str) -> tuple[int, bytes]:
    """Return the status of an answer and the start of its text. Raises: RequestException, ValueError: no answer."""
    import requests

    is_insecure = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1")
    name, password = _credentials()
    headers = {}
    if name and password:
        headers["Authorization"] = f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"
    elif token := os.environ.get(_TOKEN):
        headers["Authorization"] = f"Bearer {token}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # urllib3 warns of unchecked certificates, but the user asked for that.
        answer = requests.get(
            url,
            headers=headers,
            timeout=_TIMEOUT_S,
            verify=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or not is_insecure,
            allow_redirects=False,  # A redirect is an answer too, and its target must not get the password.
            stream=True,
        )
    with answer:
        return answer.status_code, next(answer.iter_content(_LONGEST), b"")


def _credentials() -> tuple[str, str]:
    """Return user and password, each from the environment, else from MLflow's file; empty if it has none."""
    kept: dict[str, str] = {}
    with contextlib.suppress(configparser.Error, OSError, LookupError, UnicodeDecodeError):
        read = configparser.ConfigParser()
        read.read(Path(_FILE).expanduser())
        kept = dict(read["mlflow"])
    name, password = (os.environ.get(key) or kept.get(key.lower(), "") for key in (_NAME, _PASSWORD))
    return name, password


def _unknown(address: str) -> str:
    """Say whose credentials the server refused, and what to do. The password is never shown."""
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
                return f"does not accept the token in ${_TOKEN}; renew it"
            what = "a password" if name else "a user and a password"
            return f"asks for {what}; set {_NAME} and {_PASSWORD}, or write them to {_FILE}"
    return f"does not accept this user and password; correct them in {where}"


def _reason(error: BaseException) -> str:
    """Return the first cause of an error, without the errors that `requests` and urllib3 wrap around it."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return redact(str(error) or type(error).__name__)
