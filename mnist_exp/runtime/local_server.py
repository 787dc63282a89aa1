"""A web server for the person at this machine: its socket, its thread, and the check of who may ask it."""

import contextlib
import errno
import ipaddress
import socket
import threading
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

from mnist_exp.errors import RunError, SettingsError
from mnist_exp.runtime import imports

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def listener(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address. It keeps the address while a command prepares; early requests wait.

    Raises: SettingsError: the address is in use, or not one of this machine.
    """
    if not 0 <= port <= 65535:
        raise SettingsError(f"--port={port} is not allowed: it must be 0 to 65535; 0 takes a free port")
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise SettingsError(
            f"--host={host[:200]} is not known: use 127.0.0.1, or an address of this machine"
        ) from error
    bound = socket.socket(family)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
        bound.listen(64)
    except OSError as error:
        bound.close()
        raise SettingsError(_why_not(host, port, error)) from error
    return bound


@contextlib.contextmanager
def serving(app: "FastAPI", host: str, bound: socket.socket) -> Iterator[str]:
    """Serve a web application in a thread. The context gives its address as soon as the server answers.

    Args:
        app: the application.
        host: the address that the socket is bound to.
        bound: the socket.
    Raises: RunError: the server does not start.
    """
    with imports.quick_imports():
        import uvicorn
    # In a thread: in the main one uvicorn would take over the signals and wait for open connections.
    config = uvicorn.Config(app, ws="none", lifespan="off", log_level="warning", server_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RunError("the web server stopped while it was starting")
            time.sleep(0.01)
        port = bound.getsockname()[1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    finally:
        server.should_exit = True
        thread.join(timeout=5)


def guard(app: "FastAPI", host: str, policy: str) -> None:
    """Let an application answer only its own pages, with headers that keep other pages out.

    Args:
        app: the application.
        host: the address that it listens on. A request must be addressed to it or to this machine.
        policy: the Content-Security-Policy of its answers.
    """
    from fastapi.responses import JSONResponse

    @app.middleware("http")
    async def check(request: "Request", call_next: "Callable[[Request], Awaitable[Response]]") -> "Response":
        refused = _refusal(request, host)
        answer = JSONResponse({"error": refused}, 403) if refused else await call_next(request)
        answer.headers.update(_HEADERS | {"Content-Security-Policy": policy})
        return answer


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _refusal(request: "Request", host: str) -> str:
    """Return why a request is refused; empty if it is allowed.

    Any page in the user's browser can send requests to this server. Its author can also make a domain name point to
    this machine (DNS rebinding). The browser still sends the name in `Host` and the asking page in `Origin`.
    """
    named = request.headers.get("host", "")
    if not _is_named(named, host):
        return "this address is not allowed: open the one that the command printed"
    origin = request.headers.get("origin")
    if origin is not None and origin != f"http://{named}":
        return "requests from other pages are not allowed"
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and request.url.path != "/":
        return "requests from other pages are not allowed"
    return ""


def _is_named(named: str, host: str) -> bool:
    try:
        name = urllib.parse.urlsplit(f"//{named}").hostname or ""
    except ValueError:
        return False
    if name in {"localhost", "127.0.0.1", "::1", host.lower()}:
        return True
    if is_loopback(host):
        return False
    try:  # DNS rebinding needs a name, so a numeric address is safe.
        ipaddress.ip_address(name)
    except ValueError:
        own = socket.gethostname().lower()
        return name in {own, f"{own}.local"}
    return True


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"--port={port} is in use by another program: choose another, as --port={port % 65535 + 1}, or --port=0"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host={host} is not an address of this machine: use 127.0.0.1, or 0.0.0.0 for all of its addresses"
    return f"--host={host} --port={port} cannot be used: {error.strerror}; choose another with --port, or --port=0"
