"""The paths of SPEC.md section 18. Nothing identifying stands in a path or a header."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse

from backchannel.protocol.drop import Operation
from backchannel.server.api.edge import QUIET, carry_out, refused, told
from backchannel.server.api.schemas import Description, Refused, request_body, responses
from backchannel.server.relay import Relay


def routes(relay: Relay) -> APIRouter:
    """All paths of one relay."""
    router = APIRouter(prefix="/v1")

    @router.get("/relay", response_model=Description, responses={503: {"model": Refused}})
    async def describe() -> Response:
        """What this relay is, for whoever wants to use it."""
        try:
            hour = relay.hour()
        except Exception as error:  # noqa: BLE001 - as in carry_out
            return refused(told(error, relay.metrics))
        key = relay.authorizer.public.value.hex()
        return JSONResponse(Description(static_key=key, hour=hour).model_dump(), headers=QUIET)

    @router.post("/create", **_described(Operation.CREATE))
    async def create(http: HttpRequest) -> Response:
        """Make a drop for a voucher."""
        return await carry_out(relay, http, Operation.CREATE)

    @router.post("/append", **_described(Operation.APPEND))
    async def append(http: HttpRequest) -> Response:
        """Put blocks into a drop; what stands there already is not put twice."""
        return await carry_out(relay, http, Operation.APPEND)

    @router.post("/read", **_described(Operation.READ))
    async def read(http: HttpRequest) -> Response:
        """Blocks from a position and an hour on; waits for one if asked."""
        return await carry_out(relay, http, Operation.READ)

    @router.post("/seal", **_described(Operation.SEAL))
    async def seal(http: HttpRequest) -> Response:
        """End the appending, with last blocks that no quota keeps out."""
        return await carry_out(relay, http, Operation.SEAL)

    @router.post("/delete", **_described(Operation.DELETE))
    async def delete(http: HttpRequest) -> Response:
        """End the drop."""
        return await carry_out(relay, http, Operation.DELETE)

    return router


def _described(operation: Operation) -> dict[str, Any]:
    return {
        "response_class": Response,
        "responses": responses(operation),
        "openapi_extra": request_body(operation),
    }
