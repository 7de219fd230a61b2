"""One request from its bytes to its answer, the same way for all operations, and never with status
500.

Knows the order of the steps; what they do stands elsewhere.
"""

import asyncio

from fastapi import Request as HttpRequest
from fastapi import Response
from fastapi.responses import JSONResponse

from backchannel.protocol.drop import DropKeys, Operation
from backchannel.server import errors
from backchannel.server.api import bodies
from backchannel.server.api.schemas import Refused
from backchannel.server.errors import Answer
from backchannel.server.limits import BODY, RETRY_AFTER
from backchannel.server.logs import LOG
from backchannel.server.relay import Call, Relay

_QUIET = {"cache-control": "no-store"}


async def carry_out(relay: Relay, http: HttpRequest, operation: Operation) -> Response:
    """The answer to one request, whatever happens."""
    mark = relay.floor.mark()
    try:
        with relay.gate:
            body = await bodies.take(http, BODY[operation], relay.settings.body_seconds)
            mark = relay.floor.mark()
            call = bodies.read(operation, body)
            keys = await relay.authorize(call)
            return await _authorized(relay, http, call, keys)
    except asyncio.CancelledError:  # the relay ends, and was patient with this one for long enough
        return refused(errors.BUSY)
    except Exception as error:  # noqa: BLE001 - a relay has no bug that a client should see
        answer = told(error)
        if answer == errors.UNKNOWN_DROP:
            await relay.floor.wait(mark)
        return refused(answer)


def told(error: Exception) -> Answer:
    """What the table says; a bug is logged, and looks like a full house from outside."""
    answer = errors.answer_to(error)
    if answer is None:
        LOG.error("a bug in answering a request", exc_info=error)
    return answer or errors.BUSY


def refused(answer: Answer) -> JSONResponse:
    """A refusal without MAC."""
    headers = dict(_QUIET)
    if answer == errors.BUSY:
        headers["retry-after"] = str(RETRY_AFTER)
    if answer.status == 413:
        headers["connection"] = "close"  # the rest of the body is not awaited
    return JSONResponse(Refused(code=answer.code).model_dump(), answer.status, headers)


async def _authorized(relay: Relay, http: HttpRequest, call: Call, keys: DropKeys) -> Response:
    async def leaving() -> None:
        await http.receive()  # the body is here, so the next that can come is the end

    try:
        status, payload = 200, await relay.perform(call, leaving)
    except errors.Refusal as refusal:
        answer = told(refusal)
        if not answer.mac:
            raise
        status, payload = answer.status, answer.code.encode("ascii")
    body = call.request.answer(status, payload, keys)
    return Response(body, status, _QUIET, "application/octet-stream")
