"""One request from its bytes to its answer, the same way for all operations, and never with status
500.

Knows the order of the steps; what they do stands elsewhere.
"""

import asyncio
from dataclasses import dataclass
from typing import Final, NamedTuple, final

from fastapi import Request as HttpRequest
from fastapi import Response
from fastapi.responses import JSONResponse

from backchannel.protocol.drop import Operation
from backchannel.server import errors
from backchannel.server.api import bodies
from backchannel.server.api.schemas import Refused
from backchannel.server.authorize import Door
from backchannel.server.errors import Answer
from backchannel.server.exchange import Exchange
from backchannel.server.limits import BODY, RETRY_AFTER
from backchannel.server.logs import LOG
from backchannel.server.metrics import Metrics
from backchannel.server.relay import Call, Relay, WhenGone

QUIET = {"cache-control": "no-store"}
_QUIETLY: Final = (b"cache-control", b"no-store")


async def carry_out(relay: Relay, http: HttpRequest, operation: Operation) -> Response:
    """The answer to one request, whatever happens."""
    arrival = _Arrival(relay.floor.mark())
    try:
        return await _done(relay, http, operation, arrival)
    except asyncio.CancelledError:  # the relay ends, and was patient with this one for long enough
        return refused(errors.BUSY)
    except Exception as error:  # noqa: BLE001 - a relay has no bug that a client should see
        answer, after = told(error, relay.metrics), getattr(error, "retry_after", None)
    if answer == errors.UNKNOWN_DROP:  # its body is let go of before the wait
        await relay.floor.wait(arrival.mark)
    relay.metrics.answered(operation, answer.code)
    return refused(answer, after)


@final
class _Authentic(Response):
    """Bytes under a MAC, with no header that would have to be looked at first, and none that says
    what everybody knows: lines are slow.
    """

    def __init__(self, body: bytes, status: int, after: int | None) -> None:
        self.status_code, self.body, self.background = status, body, None
        self.raw_headers = [_QUIETLY, (b"content-length", b"%d" % len(body))]
        if after is not None:
            self.raw_headers.append((b"retry-after", b"%d" % after))


@dataclass
class _Arrival:
    """When a request had arrived whole."""

    mark: float


async def _done(
    relay: Relay, http: HttpRequest, operation: Operation, arrival: _Arrival
) -> Response:
    """The answer under a MAC; raises what is told without one."""
    first = await http.receive()  # that it comes, and soon, is the connection's affair
    with relay.gate:
        patience = relay.settings.body_seconds
        body = await bodies.take(http, first, BODY[operation], relay.gate, patience)
        arrival.mark = relay.floor.mark()
        call = bodies.read(operation, body)
        door = await relay.authorize(call)
        answer, payload, after = await _performed(relay, http, call, door)
        if answer == errors.VOUCHER_REFUSED:  # time does not tell its two reasons apart either
            with relay.gate.outside():
                await relay.floor.wait(arrival.mark)
        body = call.request.answer(answer.status, payload, door.keys)
        relay.metrics.answered(operation, answer.code)
        return _Authentic(body, answer.status, after)


def told(error: Exception, metrics: Metrics) -> Answer:
    """What the table says; a bug is logged, and looks like a full house from outside."""
    answer = errors.answer_to(error)
    if answer is None:
        metrics.bug()
        LOG.error("a bug in answering a request", exc_info=error)
    return answer or errors.BUSY


def refused(answer: Answer, after: int | None = None) -> JSONResponse:
    """A refusal without MAC; `busy` always says after how many seconds to come again."""
    headers = _headers(after or RETRY_AFTER if answer == errors.BUSY else None)
    if answer.status == 413:
        headers["connection"] = "close"  # the rest of the body is not awaited
    return JSONResponse(Refused(code=answer.code).model_dump(), answer.status, headers)


def _headers(after: int | None) -> dict[str, str]:
    return {**QUIET} if after is None else {**QUIET, "retry-after": str(after)}


class _Told(NamedTuple):
    """What an authorized request is told under its MAC."""

    answer: Answer
    payload: bytes
    after: int | None = None


def _when_gone(http: HttpRequest) -> WhenGone:
    """By the connection, which costs no task; another server has none of ours."""
    exchange = http.scope.get("exchange")
    return exchange.when_gone if isinstance(exchange, Exchange) else lambda _call: None


async def _performed(relay: Relay, http: HttpRequest, call: Call, door: Door) -> _Told:
    """Done and a payload, or why not."""
    try:
        return _Told(errors.DONE, await relay.perform(call, door, _when_gone(http)))
    except errors.Refusal as refusal:
        answer = told(refusal, relay.metrics)
        if not answer.mac:
            raise
        after = refusal.retry_after
        said = f"{answer.code} {after}" if answer == errors.TOO_FAST else answer.code
        return _Told(answer, said.encode("ascii"), after)
