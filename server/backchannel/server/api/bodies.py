"""Takes a body off the wire: never more of it than the operation allows, never slower than the
operator allows.

Then cuts it apart. Authenticates nothing.
"""

from collections.abc import Callable
from typing import Final

from fastapi import Request as HttpRequest
from starlette.types import Message

from backchannel.protocol import limits
from backchannel.protocol.drop import Create, Operation, Read, Request
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.types import Block
from backchannel.server.errors import MalformedError, NotABlockError, TooLargeError
from backchannel.server.gate import Arrival, Gate
from backchannel.server.limits import DRAINED
from backchannel.server.relay import Call, Payload


async def take(http: HttpRequest, first: Message, most: int, gate: Gate, seconds: float) -> bytes:
    """The whole body, of which the `first` message is here; `TooLargeError` past `most` bytes,
    `MalformedError` when it does not come in time, `BusyError` when its place at the gate is needed
    meanwhile.
    """
    if not first.get("more_body"):
        return _within(most, _chunk(first))
    if _declared(http) > DRAINED:
        raise TooLargeError
    try:
        async with gate.arriving(seconds) as arrival:
            return await _collect(http, first, most, arrival)
    except TimeoutError:
        raise MalformedError from None


def read(operation: Operation, body: bytes) -> Call:
    """A request and its payload; a `Refusal` or `DecodeError` for anything else."""
    request = Request.read(operation, body)
    return Call(request, _PAYLOADS[operation](request.payload))


def _declared(http: HttpRequest) -> int:
    """What the client says it will send; 0 where it does not say."""
    length = http.headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0


async def _collect(http: HttpRequest, message: Message, most: int, arrival: Arrival) -> bytes:
    """What is too much is read on for a while, but not kept: else its sender would not see the
    answer.
    """
    body, size = bytearray(_chunk(message)), len(_chunk(message))
    while message.get("more_body") and size <= DRAINED:
        arrival.size = size
        message = await http.receive()
        size += len(_chunk(message))
        if size <= most:
            body += _chunk(message)
    if size > most:
        raise TooLargeError
    return bytes(body)


def _chunk(message: Message) -> bytes:
    """`MalformedError` where the client went away in the middle of it."""
    if message["type"] != "http.request":
        raise MalformedError
    chunk: bytes = message.get("body", b"")
    return chunk


def _within(most: int, body: bytes) -> bytes:
    if len(body) > most:
        raise TooLargeError
    return body


def _blocks(payload: bytes) -> tuple[Block, ...]:
    if not payload:
        raise NotABlockError
    return _last_blocks(payload)


def _last_blocks(payload: bytes) -> tuple[Block, ...]:
    """A drop may be sealed without any."""
    if len(payload) % limits.BLOCK:
        raise NotABlockError
    starts = range(0, len(payload), limits.BLOCK)
    return tuple(Block(payload[start : start + limits.BLOCK]) for start in starts)


def _nothing(payload: bytes) -> None:
    if payload:
        msg = "this operation has no payload"
        raise DecodeError(msg)


_PAYLOADS: Final[dict[Operation, Callable[[bytes], Payload]]] = {
    Operation.CREATE: Create.read,
    Operation.APPEND: _blocks,
    Operation.READ: Read.read,
    Operation.SEAL: _last_blocks,
    Operation.DELETE: _nothing,
}
