"""A drop's credentials, and the requests and answers of a relay: SPEC.md sections 6 and 18.

Both ends stand here, so that client and relay cannot disagree: `Request` is written by the one and
read by the other, and the same key pair (request, answer) authenticates both ways. Knows nothing of
HTTP beyond a status.
"""

import base64
import binascii
from enum import IntEnum
from itertools import pairwise
from typing import Final, NamedTuple, Self, final

from backchannel.protocol import limits
from backchannel.protocol.errors import AuthenticationError, DecodeError
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import X25519Public, dh, hash_, kdf, mac, same, x25519_public
from backchannel.protocol.secret import (
    AnswerKey,
    CloseSecret,
    DropSecret,
    EpochSecret,
    InviteSecret,
    OuterSecret,
    RequestKey,
    X25519Private,
)
from backchannel.protocol.types import Block, DropId, Hour

MAC = 32
REQUEST_HEAD = limits.ID + 4 + 16 + MAC
BY_HAND = X25519Public(bytes(limits.X25519))
"""In place of a relay's key for what a courier carries: of low order, so no relay has it."""
_BLOCK_ROW = 8 + 4 + limits.BLOCK


class Operation(IntEnum):
    """What a request asks of a relay: SPEC.md section 18."""

    CREATE = 1
    APPEND = 2
    READ = 3
    SEAL = 4
    DELETE = 5


@final
class Drop:
    """What a member knows of a drop: its id, and the keys that open its door and outer layer."""

    __slots__ = ("access", "id", "outer", "relay")

    def __init__(self, secret: DropSecret, relay: X25519Public) -> None:
        self.relay = relay
        """Static key of the relay that holds it."""
        self.id = DropId(kdf(secret.expose(), b"", Label.DROP_ID, length=limits.ID))
        self.access = X25519Private(kdf(secret.expose(), b"", Label.DROP_ACCESS))
        self.outer = OuterSecret(kdf(secret.expose(), b"", Label.DROP_OUTER))

    @classmethod
    def of_epoch(cls, secret: EpochSecret, relay: X25519Public) -> Self:
        """A channel's drop on one relay."""
        return cls(DropSecret(kdf(secret.expose(), relay.value, Label.DROP)), relay)

    @classmethod
    def of_lobby(cls, secret: InviteSecret, relay: X25519Public) -> Self:
        """An invite's lobby on one relay."""
        return cls(DropSecret(kdf(secret.expose(), relay.value, Label.LOBBY_DROP)), relay)

    def close_key(self, secret: CloseSecret) -> X25519Private:
        """The facilitators' key that seals and deletes this drop."""
        return X25519Private(kdf(secret.expose(), b"", Label.DROP_CLOSE, self.id))


class DropKeys(NamedTuple):
    """One labelled key per direction, for one drop and one of its two keys; never stored."""

    request: RequestKey
    answer: AnswerKey

    @classmethod
    def of_client(cls, drop: DropId, private: X25519Private, relay: X25519Public) -> Self:
        """From the client's side."""
        return cls._of(drop, dh(private, relay), x25519_public(private), relay)

    @classmethod
    def of_relay(
        cls, drop: DropId, public: X25519Public, private: X25519Private, relay: X25519Public
    ) -> Self:
        """From the relay's side, which keeps both halves of its key.

        `AuthenticationError` for a low-order `public`.
        """
        return cls._of(drop, dh(private, public), public, relay)

    @classmethod
    def _of(cls, drop: DropId, shared: bytes, public: X25519Public, relay: X25519Public) -> Self:
        both = kdf(shared, b"", Label.RELAY_KEYS, drop + public.value + relay.value, 64)
        return cls(RequestKey(both[:32]), AnswerKey(both[32:]))


class Request(NamedTuple):
    """`drop id 16 | hour 4 | nonce 16 | mac 32 | payload`."""

    operation: Operation
    drop: DropId
    hour: Hour
    nonce: bytes
    mac: bytes
    payload: bytes

    @classmethod
    def write(
        cls,
        operation: Operation,
        drop: DropId,
        hour: Hour,
        nonce: bytes,
        payload: bytes,
        keys: DropKeys,
    ) -> Self:
        """Make one; `nonce` is 16 random bytes."""
        head = drop + hour.to_bytes(4) + nonce
        tag = mac(keys.request, Label.RELAY_REQUEST, bytes([operation]), head, payload)
        return cls(operation, drop, hour, nonce, tag, payload)

    @classmethod
    def read(cls, operation: Operation, body: bytes) -> Self:
        """Cut a body apart; `DecodeError` when it is shorter than a head. Authenticates nothing."""
        if len(body) < REQUEST_HEAD:
            msg = "a request is shorter than its head"
            raise DecodeError(msg)
        hour = Hour(int.from_bytes(body[16:20]))
        return cls(operation, DropId(body[:16]), hour, body[20:36], body[36:68], body[68:])

    def __repr__(self) -> str:
        return f"<Request {self.operation.name}>"

    def pack(self) -> bytes:
        """The body to send."""
        return self.drop + self.hour.to_bytes(4) + self.nonce + self.mac + self.payload

    def verify(self, keys: DropKeys) -> None:
        """`AuthenticationError` unless the MAC is right."""
        expected = Request.write(
            self.operation, self.drop, self.hour, self.nonce, self.payload, keys
        )
        if not same(expected.mac, self.mac):
            msg = "a request does not verify"
            raise AuthenticationError(msg)

    def answer(self, status: int, payload: bytes, keys: DropKeys) -> bytes:
        """The relay's answer to this very request: `mac 32 | payload`."""
        tag = mac(keys.answer, Label.RELAY_ANSWER, self.mac, status.to_bytes(2), payload)
        return tag + payload

    def read_answer(self, status: int, body: bytes, keys: DropKeys) -> bytes:
        """The payload of the answer to this very request; `AuthenticationError` for other bytes."""
        payload = body[MAC:]
        if not same(self.answer(status, payload, keys)[:MAC], body[:MAC]):
            msg = "an answer is not from the relay of this drop"
            raise AuthenticationError(msg)
        return payload


class Create(NamedTuple):
    """Payload of create: `voucher 16 | access public 32 | close public 32 | class 1`."""

    voucher: bytes
    access: X25519Public
    close: X25519Public
    keep: int
    """Index into `limits.CLASSES`."""

    def __repr__(self) -> str:
        return f"<Create {self.keep}>"  # a voucher is as good as money

    def pack(self) -> bytes:
        """81 bytes."""
        return self.voucher + self.access.value + self.close.value + bytes([self.keep])

    @classmethod
    def read(cls, payload: bytes) -> Self:
        """`DecodeError` for a wrong size, a key not canonical, or a class that is not there."""
        if len(payload) != 81 or payload[80] >= len(limits.CLASSES):
            msg = "not a request to create"
            raise DecodeError(msg)
        access, close = X25519Public(payload[16:48]), X25519Public(payload[48:80])
        return cls(payload[:16], access, close, payload[80])


NEWEST: Final = 2**64 - 1
"""In place of a position: from so far before the end that it makes a whole page."""


class Read(NamedTuple):
    """Payload of read: `position 8 | hour 4 | most 2 | wait 2`."""

    position: int
    hour: Hour
    most: int
    wait: int

    def pack(self) -> bytes:
        """16 bytes."""
        return (
            self.position.to_bytes(8)
            + self.hour.to_bytes(4)
            + self.most.to_bytes(2)
            + self.wait.to_bytes(2)
        )

    @classmethod
    def read(cls, payload: bytes) -> Self:
        """`DecodeError` for a wrong size, more than 64 blocks or none, a wait over 60 seconds."""
        if len(payload) != 16:
            msg = "not a request to read"
            raise DecodeError(msg)
        most, wait = int.from_bytes(payload[12:14]), int.from_bytes(payload[14:16])
        if not 1 <= most <= limits.MOST_BLOCKS or wait > limits.MOST_WAIT:
            msg = "a read asks for too much"
            raise DecodeError(msg)
        return cls(int.from_bytes(payload[:8]), Hour(int.from_bytes(payload[8:12])), most, wait)

    def of(self, following: int) -> Self:
        """The same for a drop whose next position this is: `NEWEST` becomes a position."""
        if self.position != NEWEST:
            return self
        return self._replace(position=max(1, following - self.most))


class Stored(NamedTuple):
    """Where a block stands: `position 8 | hour 4`, and in answers to a read the block."""

    position: int
    hour: Hour
    block: Block = Block(b"")

    def pack(self) -> bytes:
        """12 or 4,108 bytes."""
        return self.place() + self.block

    def place(self) -> bytes:
        """12 bytes."""
        return self.position.to_bytes(8) + self.hour.to_bytes(4)


class Page(NamedTuple):
    """Payload of the answer to read: `next position 8 | more 1 | stored blocks`."""

    following: int
    more: bool
    rows: tuple[Stored, ...]

    def pack(self) -> bytes:
        """9 bytes and 4,108 a block."""
        return (
            self.following.to_bytes(8) + bytes([self.more]) + b"".join(r.pack() for r in self.rows)
        )

    @classmethod
    def read(cls, payload: bytes) -> Self:
        """`DecodeError` unless whole rows, at most 64, with rising positions below the next."""
        rows = _rows(payload[9:], _BLOCK_ROW)
        following = int.from_bytes(payload[:8])
        order = [row.position for row in rows] + [following]
        rising = all(a < b for a, b in pairwise(order))
        if len(payload) < 9 or payload[8] > 1 or not rising or len(rows) > limits.MOST_BLOCKS:
            msg = "not a page of a drop"
            raise DecodeError(msg)
        return cls(following, bool(payload[8]), rows)


def read_stored(payload: bytes, count: int) -> tuple[Stored, ...]:
    """The answer to an append or seal with `count` blocks; `DecodeError` for another number."""
    rows = _rows(payload, 12)
    if len(rows) != count:
        msg = "an answer counts other blocks than were sent"
        raise DecodeError(msg)
    return rows


def _rows(data: bytes, size: int) -> tuple[Stored, ...]:
    if len(data) % size:
        msg = "an answer holds a part of a row"
        raise DecodeError(msg)
    rows = tuple(
        Stored(int.from_bytes(row[:8]), Hour(int.from_bytes(row[8:12])), Block(row[12:]))
        for row in (data[start : start + size] for start in range(0, len(data), size))
    )
    if not all(row.position for row in rows):
        msg = "an answer names a position below the first"
        raise DecodeError(msg)
    return rows


_VOUCHER_PREFIX = "bc-"


def show_voucher(voucher: bytes) -> str:
    """`bc-` and 26 characters of base32."""
    return _VOUCHER_PREFIX + base64.b32encode(voucher).decode("ascii").rstrip("=").lower()


def read_voucher(text: str) -> bytes:
    """16 bytes; `DecodeError` for what is no voucher. Case and spaces around it do not matter."""
    text = text.strip().lower()
    body = text.removeprefix(_VOUCHER_PREFIX)
    try:
        voucher = base64.b32decode(body.upper() + "======", casefold=False)
    except (binascii.Error, ValueError):
        voucher = b""
    if len(voucher) != limits.ID or show_voucher(voucher) != text:
        msg = "not a voucher"
        raise DecodeError(msg)
    return voucher


def voucher_hash(voucher: bytes) -> bytes:
    """What a relay keeps of a voucher, 32 bytes."""
    return hash_(Label.VOUCHER, voucher)
