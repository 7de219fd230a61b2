"""Somebody with one drop on a relay, under keys made up for the occasion: SPEC.md section 18.

Speaks as clients do, and shows each answer as it is. Knows nothing of the store.
"""

from typing import NamedTuple, final

from backchannel.protocol import limits
from backchannel.protocol.drop import (
    Create,
    DropKeys,
    Operation,
    Page,
    Read,
    Request,
    Stored,
    read_stored,
)
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import AuthenticationError, DecodeError
from backchannel.protocol.primitives import X25519Public, x25519_public
from backchannel.protocol.secret import X25519Private
from backchannel.protocol.types import Block, DropId, Hour
from backchannel.server.errors import OperatorError
from backchannel.server.operate.asking import Address

_CLOSING = {Operation.SEAL, Operation.DELETE}


class Heard(NamedTuple):
    """An answer: `payload` of a 200, else `code`."""

    status: int
    payload: bytes
    code: str


@final
class Visitor:
    """A client of one drop."""

    def __init__(self, address: Address, relay: X25519Public, hour: Hour, entropy: Entropy) -> None:
        self._address = address
        self._relay = relay
        self._hour = hour
        self._entropy = entropy
        self._access = X25519Private(entropy.draw(32))
        self._close = X25519Private(entropy.draw(32))
        self.drop = DropId(entropy.draw(limits.ID))

    def stranger(self) -> "Visitor":
        """Somebody else."""
        return Visitor(self._address, self._relay, self._hour, self._entropy)

    def impostor(self) -> "Visitor":
        """Somebody else, who knows the drop's id."""
        other = self.stranger()
        other.drop = self.drop
        return other

    def create(self, voucher: bytes) -> Heard:
        """A drop of the shortest class."""
        access, close = x25519_public(self._access), x25519_public(self._close)
        return self.send(Operation.CREATE, Create(voucher, access, close, 0).pack())

    def append(self, *blocks: Block) -> Heard:
        return self.send(Operation.APPEND, b"".join(blocks))

    def read(self, position: int, wait: int = 0) -> Heard:
        return self.send(Operation.READ, Read(position, Hour(0), 64, wait).pack(), 15 + wait)

    def seal(self, *blocks: Block) -> Heard:
        return self.send(Operation.SEAL, b"".join(blocks))

    def delete(self) -> Heard:
        return self.send(Operation.DELETE, b"")

    def send(self, operation: Operation, payload: bytes, seconds: float = 15) -> Heard:
        """`OperatorError` where no answer comes, or one under another key than the relay's."""
        own = self._close if operation in _CLOSING else self._access
        keys = DropKeys.of_client(self.drop, own, self._relay)
        nonce = self._entropy.draw(16)
        request = Request.write(operation, self.drop, self._hour, nonce, payload, keys)
        said = self._address.ask(f"/v1/{operation.name.lower()}", request.pack(), seconds)
        code = said.json().get("code")
        if said.status != 200 and isinstance(code, str):
            return Heard(said.status, b"", code)
        try:
            heard = request.read_answer(said.status, said.body, keys)
        except (AuthenticationError, DecodeError):
            message = f"what answers is not under this relay's key (status {said.status})"
            next_ = "let the proxy pass all of /v1/ to the relay unchanged"
            raise OperatorError(message, next_=next_) from None
        return Heard(said.status, heard, "done" if said.status == 200 else heard.decode("ascii"))


def page_of(heard: Heard) -> Page:
    """Of a read that was answered."""
    return Page.read(heard.payload)


def stored_of(heard: Heard, count: int) -> tuple[Stored, ...]:
    """Of an append that was answered."""
    return tuple(read_stored(heard.payload, count))
