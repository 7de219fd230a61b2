"""The JSON that a relay speaks, and for OpenAPI the bytes that it speaks otherwise."""

from typing import Any

from pydantic import BaseModel, Field

from backchannel.protocol import limits
from backchannel.protocol.drop import MAC, REQUEST_HEAD, Operation
from backchannel.server.limits import BODY

_BYTES = "application/octet-stream"
_PAGE_HEAD = 9
_PLACE = 12


class Description(BaseModel):
    """What `GET /v1/relay` answers."""

    protocol: str = "backchannel/1"
    static_key: str = Field(pattern="^[0-9a-f]{64}$")
    hour: int
    classes: list[int] = list(limits.CLASSES)
    max_blocks: int = limits.MOST_BLOCKS


class Refused(BaseModel):
    """A refusal that nobody vouches for."""

    code: str


def binary(least: int, most: int) -> dict[str, Any]:
    """Bytes of a length between two bounds, both included."""
    schema = {"type": "string", "format": "binary", "minLength": least, "maxLength": most}
    return {_BYTES: {"schema": schema}}


def request_body(operation: Operation) -> dict[str, Any]:
    """For `openapi_extra`: the handler reads the stream itself, so FastAPI cannot know."""
    least = _LEAST.get(operation, BODY[operation])
    return {"requestBody": {"required": True, "content": binary(least, BODY[operation])}}


_LEAST = {Operation.APPEND: REQUEST_HEAD + limits.BLOCK, Operation.SEAL: REQUEST_HEAD}
_ANSWERS = {
    Operation.CREATE: (0, 0),
    Operation.APPEND: (_PLACE, limits.MOST_BLOCKS * _PLACE),
    Operation.READ: (_PAGE_HEAD, _PAGE_HEAD + limits.MOST_BLOCKS * (_PLACE + limits.BLOCK)),
    Operation.SEAL: (0, limits.MOST_BLOCKS * _PLACE),
    Operation.DELETE: (0, 0),
}
_REFUSALS = {
    404: "unknown-drop: no such drop, or the wrong key for it",
    413: "too-large",
    422: "not-a-block or malformed",
    503: "busy: see Retry-After",
}
_TOO_FAST = "too-fast and the seconds to wait"
_AUTHENTIC = {
    Operation.CREATE: {403: "voucher-refused", 409: "wrong-hour"},
    Operation.APPEND: {409: "wrong-hour or sealed", 429: _TOO_FAST, 507: "quota: see Retry-After"},
    Operation.READ: {409: "wrong-hour", 429: _TOO_FAST},
    Operation.SEAL: {409: "wrong-hour or sealed"},
    Operation.DELETE: {409: "wrong-hour"},
}


def responses(operation: Operation) -> dict[int | str, dict[str, Any]]:
    """Every answer of an operation: bytes under a MAC, or JSON without one."""
    least, most = _ANSWERS[operation]
    told: dict[int | str, dict[str, Any]] = {
        200: {"description": "done", "content": binary(MAC + least, MAC + most)}
    }
    for status, text in _REFUSALS.items():
        told[status] = {"description": text, "model": Refused}
    for status, text in _AUTHENTIC[operation].items():
        told[status] = {"description": text, "content": binary(MAC + 1, MAC + 32)}
    return told
