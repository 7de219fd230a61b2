"""The ASGI application of one relay: routes and life, and nothing that watches."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from backchannel.server.api.edge import refused
from backchannel.server.api.routes import routes
from backchannel.server.errors import Answer
from backchannel.server.relay import Relay


def build(relay: Relay) -> FastAPI:
    """The application; the relay works while the application's lifespan runs, and is closed by its
    end.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        relay.start()
        yield
        await relay.stop()

    app = FastAPI(
        title="Backchannel relay",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    app.include_router(routes(relay))
    app.add_exception_handler(HTTPException, _no_such_path)
    return app


async def _no_such_path(_http: HttpRequest, error: Exception) -> JSONResponse:
    """Another path or method: not of this protocol, but spoken like it."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    return refused(Answer(status, "no-such-path"))
