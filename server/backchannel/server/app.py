"""The ASGI application of one relay: routes and life, and nothing that watches."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import final

from fastapi import APIRouter, FastAPI, Response
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from backchannel.server.api.edge import refused
from backchannel.server.api.routes import routes
from backchannel.server.errors import Answer
from backchannel.server.relay import Relay

Endpoint = Callable[[HttpRequest], Awaitable[Response]]


@final
class _Application(FastAPI):
    """FastAPI, with a short way to the routes that take bytes and answer bytes: there is nothing to
    validate, inject or convert, which costs more than all that the relay does for them.
    """

    _short: Mapping[str, Endpoint]

    def shorten(self, router: APIRouter) -> None:
        """Of its routes those that take a body."""
        routes = [route for route in router.routes if isinstance(route, APIRoute)]
        self._short = {
            each.path: each.endpoint for each in routes if "POST" in (each.methods or ())
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        posted = scope["type"] == "http" and scope["method"] == "POST"
        endpoint = self._short.get(scope["path"]) if posted else None
        if endpoint is None:
            await super().__call__(scope, receive, send)
        else:
            response = await endpoint(HttpRequest(scope, receive, send))
            await response(scope, receive, send)


def build(relay: Relay) -> FastAPI:
    """The application; the relay works while the application's lifespan runs, and is closed by its
    end.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        relay.start()
        yield
        await relay.stop()

    app = _Application(
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
    router = routes(relay)
    app.include_router(router)
    app.shorten(router)
    app.add_exception_handler(HTTPException, _no_such_path)
    return app


async def _no_such_path(_http: HttpRequest, error: Exception) -> JSONResponse:
    """Another path or method: not of this protocol, but spoken like it."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    return refused(Answer(status, "no-such-path"))
