"""The demo's web server: a page, what it asks for, and who may ask."""

import importlib.resources
import ipaddress
import socket
import urllib.parse
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from mnist_exp.demo_page.session import Exhibit, png
from mnist_exp.errors import DataError

LARGEST = 25_000_000  # bytes of an image
_FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/pad.js": ("pad.js", "text/javascript"),
    "/answers.js": ("answers.js", "text/javascript"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def application(exhibit: Exhibit, host: str) -> FastAPI:
    """Return the web application.

    Args:
        exhibit: what it shows.
        host: that it listens on; a request must name it, or this machine.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        refused = _refusal(request, host)
        answer = JSONResponse({"error": refused}, 403) if refused else await call_next(request)
        answer.headers.update(_HEADERS)
        return answer

    for path, (name, kind) in _FILES.items():
        _add_file(app, path, (importlib.resources.files(__package__) / name).read_bytes(), kind)

    @app.get("/api/about")
    def about() -> dict[str, Any]:
        return exhibit.about()

    @app.get("/api/mistakes/{number}.png")
    def mistake(number: int) -> Response:
        if not 0 <= number < len(exhibit.mistakes.images):
            return JSONResponse({"error": "there is no such mistake"}, 404)
        return Response(png(exhibit.mistakes.images[number]), media_type="image/png")

    @app.post("/api/read")
    async def read(request: Request) -> Response:
        return await _answer(request, exhibit.read)

    @app.post("/api/look")
    async def look(request: Request, way: str) -> Response:
        return await _answer(request, lambda content: exhibit.look(content, way))

    return app


def _add_file(app: FastAPI, path: str, content: bytes, kind: str) -> None:
    @app.get(path)
    def file() -> Response:
        return Response(content, media_type=kind)


async def _answer(request: Request, action: Callable[[bytes], dict[str, Any]]) -> Response:
    try:
        content = await _body(request)
    except ClientDisconnect:  # A page that was left; nobody hears the answer.
        return Response(status_code=400)
    if content is None:
        return JSONResponse({"error": f"an image may have {LARGEST:,} bytes at the most"}, 413)
    try:
        return JSONResponse(await run_in_threadpool(action, content))
    except DataError as error:
        return JSONResponse({"error": str(error)}, 422)


async def _body(request: Request) -> bytes | None:
    """Return what was sent, None where that is too much; no more than this is ever in memory."""
    if int(request.headers.get("content-length") or 0) > LARGEST:
        return None
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > LARGEST:
            return None
    return bytes(content)


def _refusal(request: Request, host: str) -> str:
    """Return why a request is not answered, empty where it is.

    Any page in the same browser can send requests here, and a name that its author controls can be made to mean this
    machine; the browser then still says which name it meant, and which page asks.
    """
    named = request.headers.get("host", "")
    if not _is_named(named, host):
        return "this address is not meant for the demo: use the one that it printed"
    origin = request.headers.get("origin")
    if origin is not None and origin != f"http://{named}":
        return "another page may not ask"
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and request.url.path != "/":
        return "another page may not ask"
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
    try:  # No rebinding is needed, nor possible, for an address that is a number.
        ipaddress.ip_address(name)
    except ValueError:
        own = socket.gethostname().lower()
        return name in {own, f"{own}.local"}
    return True


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
