"""Takes a body off the wire: never more of it than the operation allows, never slower than the
operator allows.

Then cuts it apart. Authenticates nothing.
"""

from collections.abc import Callable
from typing import Final

from fastapi import Request as HttpRequest
from starlette.requests import ClientDisconnect

from backchannel.protocol import limits
from backchannel.protocol.drop import Create, Operation, Read, Request
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.types import Block
from backchannel.server.errors import MalformedError, NotABlockError, TooLargeError
from backchannel.server.gate import Gate
from backchannel.server.limits import DRAINED
from backchannel.server.relay import Call, Payload


async def take(http: HttpRequest, most: int, gate: Gate, seconds: float) -> bytes:
    """The whole body; `TooLargeError` past `most` bytes, `MalformedError` when it does not come in
    time, `BusyError` when its place at the gate is needed meanwhile.
    """
    if _declared(http) > DRAINED:
        raise TooLargeError
    try:
        async with gate.arriving(seconds):
            return await _collect(http, most)
    except (TimeoutError, ClientDisconnect):
        raise MalformedError from None


def read(operation: Operation, body: bytes) -> Call:
    """A request and its payload; a `Refusal` or `DecodeError` for anything else."""
    request = Request.read(operation, body)
    return Call(request, _PAYLOADS[operation](request.payload))


def _declared(http: HttpRequest) -> int:
    """What the client says it will send; 0 where it does not say."""
    length = http.headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0


async def _collect(http: HttpRequest, most: int) -> bytes:
    """What is too much is read on for a while, but not kept: else its sender would not see the
    answer.
    """
    body, size = bytearray(), 0
    async for chunk in http.stream():
        size += len(chunk)
        if size <= most:
            body += chunk
        elif size > DRAINED:
            break
    if size > most:
        raise TooLargeError
    return bytes(body)


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
