"""Targets: what goes between client and relay, read by the one and by the other."""

from backchannel.client.errors import RelayGarbage
from backchannel.client.wire.relay import _read_description
from backchannel.protocol import limits
from backchannel.protocol.drop import (
    Create,
    Operation,
    Page,
    Read,
    Request,
    read_stored,
    read_voucher,
    show_voucher,
)
from backchannel.protocol.errors import DecodeError
from backchannel.server.api import bodies
from backchannel.server.errors import NotABlockError
from tests.fuzz.target import as_text, decoder, texts
from tests.fuzz.vectors import recorded

_PAGE = 9 + limits.MOST_BLOCKS * (12 + limits.BLOCK)
_KEY = "09" * 32
_DESCRIPTION = (
    f'{{"protocol":"backchannel/1","static_key":"{_KEY}","hour":5,"classes":[24],"max_blocks":64}}'
)
_VOUCHER = show_voucher(bytes(range(16)))


def _body(data: bytes) -> object:
    """A request as a relay takes it; the path says which operation it is."""
    return bodies.read(Operation(1 + data[0] % 5) if data else Operation.READ, data[1:])


def _stored(data: bytes) -> object:
    return read_stored(data[1:], data[0] if data else 0)


def _bodies() -> list[bytes]:
    return [bytes([place]) + each for place in range(5) for each in recorded("relay", "request")()]


TARGETS = [
    decoder(
        "request",
        lambda data: Request.read(Operation.READ, data),
        recorded("relay", "request"),
        DecodeError,
        write=Request.pack,
    ),
    decoder("relay body", _body, _bodies, DecodeError, NotABlockError, longest=20_000),
    decoder(
        "create",
        Create.read,
        lambda: [bytes(16) + bytes([9]) * 64 + b"\1"],
        DecodeError,
        write=Create.pack,
    ),
    decoder(
        "read",
        Read.read,
        lambda: [Read(1, Read.read(bytes(12) + b"\0\1\0\0").hour, 64, 60).pack()],
        DecodeError,
        write=Read.pack,
    ),
    decoder(
        "page",
        Page.read,
        recorded("relay", "payload", does="page"),
        DecodeError,
        write=Page.pack,
        longest=_PAGE,
    ),
    decoder("stored", _stored, lambda: [b"\1" + bytes(7) + b"\1" + bytes(4)], DecodeError),
    decoder(
        "voucher",
        lambda data: read_voucher(as_text(data)),
        texts(_VOUCHER),
        DecodeError,
        longest=200,
    ),
    decoder("relay description", _read_description, texts(_DESCRIPTION), RelayGarbage),
]
