"""One request from its bytes to its answer, the same way for all operations, and never with status
500.

Knows the order of the steps; what they do stands elsewhere.
"""

import asyncio

from fastapi import Request as HttpRequest
from fastapi import Response
from fastapi.responses import JSONResponse

from backchannel.protocol.drop import Operation
from backchannel.server import errors
from backchannel.server.api import bodies
from backchannel.server.api.schemas import Refused
from backchannel.server.errors import Answer
from backchannel.server.limits import BODY, RETRY_AFTER
from backchannel.server.logs import LOG
from backchannel.server.relay import Call, Relay

QUIET = {"cache-control": "no-store"}


async def carry_out(relay: Relay, http: HttpRequest, operation: Operation) -> Response:
    """The answer to one request, whatever happens."""
    mark = relay.floor.mark()
    try:
        with relay.gate:
            body = await bodies.take(http, BODY[operation], relay.gate, relay.settings.body_seconds)
            mark = relay.floor.mark()
            call = bodies.read(operation, body)
            keys = await relay.authorize(call)
            answer, payload = await _performed(relay, http, call)
            if answer == errors.VOUCHER_REFUSED:  # time does not tell its two reasons apart either
                with relay.gate.outside():
                    await relay.floor.wait(mark)
            body = call.request.answer(answer.status, payload, keys)
            return Response(body, answer.status, QUIET, "application/octet-stream")
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
    headers = dict(QUIET)
    if answer == errors.BUSY:
        headers["retry-after"] = str(RETRY_AFTER)
    if answer.status == 413:
        headers["connection"] = "close"  # the rest of the body is not awaited
    return JSONResponse(Refused(code=answer.code).model_dump(), answer.status, headers)


async def _performed(relay: Relay, http: HttpRequest, call: Call) -> tuple[Answer, bytes]:
    """What an authorized request is told under its MAC: done and a payload, or why not."""

    async def leaving() -> None:
        await http.receive()  # the body is here, so the next that can come is the end

    try:
        return errors.DONE, await relay.perform(call, leaving)
    except errors.Refusal as refusal:
        answer = told(refusal)
        if not answer.mac:
            raise
        return answer, answer.code.encode("ascii")
