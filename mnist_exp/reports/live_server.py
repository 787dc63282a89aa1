"""The web application of the page of sweeps that still run."""

from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, Response

from mnist_exp.reports.live import DATA, LiveReport
from mnist_exp.runtime import local_server

# The page itself has the rest of its policy: only its own programs, and no address but this one.
_POLICY = "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


def application(report: LiveReport, host: str) -> FastAPI:
    """Return the web application.

    Args:
        report: on the sweeps.
        host: address to listen on. A request must be addressed to it or to this machine.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    local_server.guard(app, host, _POLICY)

    @app.get("/")
    def page() -> Response:
        return HTMLResponse(report.page())

    @app.get(DATA)
    def data(version: str = "") -> dict[str, Any]:
        return report.news(version)

    @app.get("/pictures/{run_id}/{name}")
    def picture(run_id: str, name: str) -> Response:
        content = report.picture(run_id, name)
        if content is None:
            return JSONResponse({"error": "there is no such picture"}, 404)
        return Response(content, media_type="image/png")

    return app
