"""The web application of the demo: the page and its API."""

import importlib.resources
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from mnist_exp.demo_page.session import DemoSession, png
from mnist_exp.errors import DataError
from mnist_exp.runtime import local_server

LARGEST = 25_000_000  # bytes of an image
_FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/pad.js": ("pad.js", "text/javascript"),
    "/answers.js": ("answers.js", "text/javascript"),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def application(session: DemoSession, host: str) -> FastAPI:
    """Return the web application.

    Args:
        session: the run and the model that answer.
        host: address to listen on. A request must be addressed to it or to this machine.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    local_server.guard(app, host, _POLICY)
    for path, (name, kind) in _FILES.items():
        _add_file(app, path, (importlib.resources.files(__package__) / name).read_bytes(), kind)

    @app.get("/api/about")
    def about() -> dict[str, Any]:
        return session.about()

    @app.get("/api/mistakes/{number}.png")
    def mistake(number: int) -> Response:
        if not 0 <= number < len(session.mistakes.images):
            return JSONResponse({"error": "there is no such mistake"}, 404)
        return Response(png(session.mistakes.images[number]), media_type="image/png")

    @app.post("/api/read")
    async def read(request: Request) -> Response:
        return await _answer(request, session.read)

    @app.post("/api/look")
    async def look(request: Request, way: str) -> Response:
        return await _answer(request, lambda content: session.look(content, way))

    return app


def _add_file(app: FastAPI, path: str, content: bytes, kind: str) -> None:
    @app.get(path)
    def file() -> Response:
        return Response(content, media_type=kind)


async def _answer(request: Request, action: Callable[[bytes], dict[str, Any]]) -> Response:
    try:
        content = await _body(request)
    except ClientDisconnect:  # The page was closed; nobody reads the answer.
        return Response(status_code=400)
    if content is None:
        return JSONResponse({"error": f"the image is too large: at most {LARGEST:,} bytes are allowed"}, 413)
    try:
        return JSONResponse(await run_in_threadpool(action, content))
    except DataError as error:
        return JSONResponse({"error": str(error)}, 422)


async def _body(request: Request) -> bytes | None:
    """Return the body of a request; None if it is longer than `LARGEST`. Never holds more than that in memory."""
    if int(request.headers.get("content-length") or 0) > LARGEST:
        return None
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > LARGEST:
            return None
    return bytes(content)
