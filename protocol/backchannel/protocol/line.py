"""A pairwise session: SPEC.md section 13. Hybrid double ratchet with encrypted headers, begun by the intro's responder.

```
line core
  21 header commitment 32 | AEAD 2360 of the header | body commitment 32 | [reply: ciphertext 1088] | AEAD of the body
```
A `Line` is a value: sending and opening give the next one, and a refused block gives none.
"""

from typing import NamedTuple, Self

import msgspec

from backchannel.protocol import limits
from backchannel.protocol.chain import Chain, step
from backchannel.protocol.core import HEAD, Clock, CoreKey, Head
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import LocalProtocolError, RefusedError
from backchannel.protocol.identity import HybridPrivate, HybridPublic
from backchannel.protocol.intro import SessionKeys
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import KemPublic, X25519Public, decapsulate, dh, kdf, pad, unpad, x25519_public
from backchannel.protocol.secret import (
    ChainKey,
    CoreSecret,
    ExportKey,
    HeaderKey,
    KemSeed,
    KemShared,
    MessageKey,
    RootKey,
    X25519Private,
)
from backchannel.protocol.types import Core, Hour, Step

_HEADER = limits.IDENTITY + limits.X25519 + limits.KEM_CIPHERTEXT + 8
_HEADER_AT = HEAD + limits.HASH
_COMMITMENT_AT = _HEADER_AT + _HEADER + limits.TAG
_BODY_AT = _COMMITMENT_AT + limits.HASH
_REPLY_AT = _BODY_AT + limits.KEM_CIPHERTEXT
CONTENT = limits.CORE - _BODY_AT - limits.TAG - 1
REPLY_CONTENT = limits.CORE - _REPLY_AT - limits.TAG - 1


class Export(msgspec.Struct, frozen=True, array_like=True):
    """What a line gives to sender keys at one step of one direction."""

    step: Step
    key: ExportKey
    hour: Hour


class Sending(msgspec.Struct, frozen=True, array_like=True):
    """The chain that one's own blocks stand on, until the peer answers it."""

    header: HeaderKey
    chain: ChainKey
    number: int


class Receiving(msgspec.Struct, frozen=True, array_like=True):
    """One chain of the peer's, with the private keys that its blocks are sealed to."""

    header: HeaderKey
    own: HybridPrivate
    peer: X25519Public
    chain: Chain
    base: int
    """Blocks of the chains before."""
    previous: int
    """What each header of this chain says of the one before."""
    replies: bool
    """Whether its first block is the reply."""
    hour: Hour
    """Of the latest block read."""


class Header(NamedTuple):
    """The encrypted header of one block, 2,344 bytes."""

    ratchet: HybridPublic
    fresh: X25519Public
    ciphertext: bytes
    previous: int
    number: int

    def pack(self) -> bytes:
        """2,344 bytes."""
        return (
            self.ratchet.pack()
            + self.fresh.value
            + self.ciphertext
            + self.previous.to_bytes(4)
            + self.number.to_bytes(4)
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """`DecodeError` for keys that are not canonical."""
        fresh_at = limits.IDENTITY
        sealed_at = fresh_at + limits.X25519
        return cls(
            HybridPublic.parse(data[:fresh_at]),
            X25519Public(data[fresh_at:sealed_at]),
            data[sealed_at:-8],
            int.from_bytes(data[-8:-4]),
            int.from_bytes(data[-4:]),
        )


class Line(msgspec.Struct, frozen=True, array_like=True):
    """The state of one side."""

    initiator: bool
    root: RootKey
    own: HybridPrivate | None
    peer: HybridPublic | None
    sending: Sending | None
    """None until the next block makes a sending step."""
    next_sending: HeaderKey
    next_receiving: HeaderKey
    receiving: tuple[Receiving, ...]
    """Oldest first; the last is the open one."""
    previous: int
    sent: int
    reply_secret: KemShared | None
    """Enters the initiator's first sending step."""
    answered: bool
    """Whether the reply was sent (responder) or read (initiator)."""
    export_out: Export
    exports_in: tuple[Export, ...]

    @property
    def ready(self) -> bool:
        """Whether a block may be sent: an initiator waits for the reply."""
        return self.answered or not self.initiator


class Opened(NamedTuple):
    """What one block gave."""

    line: Line
    content: bytes
    export: Export
    reply: bool


def begin(keys: SessionKeys, own: HybridPrivate, hour: Hour) -> Line:
    """The initiator's line after its intro."""
    return Line(
        initiator=True,
        root=keys.root,
        own=own,
        peer=None,
        sending=None,
        next_sending=keys.header_ab,
        next_receiving=keys.header_ba,
        receiving=(),
        previous=0,
        sent=0,
        reply_secret=None,
        answered=False,
        export_out=Export(Step(0), keys.export_ab, hour),
        exports_in=(Export(Step(0), keys.export_ba, hour),),
    )


def answer(keys: SessionKeys, peer: HybridPublic, hour: Hour) -> Line:
    """The responder's line after reading the intro; its first block will be the reply."""
    return Line(
        initiator=False,
        root=keys.root,
        own=None,
        peer=peer,
        sending=None,
        next_sending=keys.header_ba,
        next_receiving=keys.header_ab,
        receiving=(),
        previous=0,
        sent=0,
        reply_secret=None,
        answered=False,
        export_out=Export(Step(0), keys.export_ba, hour),
        exports_in=(Export(Step(0), keys.export_ab, hour),),
    )


def _root_step(
    root: RootKey, own: X25519Private, peer: X25519Public, reply: KemShared | None
) -> tuple[RootKey, ChainKey, HeaderKey]:
    mixed = dh(own, peer) + (reply.expose() if reply else b"")
    out = kdf(mixed, root.expose(), Label.RATCHET_ROOT, length=96)
    return RootKey(out[:32]), ChainKey(out[32:64]), HeaderKey(out[64:])


def _body_keys(
    message: MessageKey, shared: bytes, kem: KemShared, reply: KemShared | None
) -> tuple[CoreSecret, ExportKey]:
    mixed = message.expose() + shared + kem.expose() + (reply.expose() if reply else b"")
    both = kdf(mixed, b"", Label.LINE_BODY, length=64)
    return CoreSecret(both[:32]), ExportKey(both[32:])


def _sending_step(line: Line, entropy: Entropy) -> Line:
    if line.sending is not None:
        return line
    if line.peer is None or not line.ready:
        msg = "a line is not answered yet"
        raise LocalProtocolError(msg)
    own = HybridPrivate.draw(entropy)
    mirrored = line.reply_secret if line.initiator else None
    root, chain, following = _root_step(line.root, own.x, line.peer.x, mirrored)
    return msgspec.structs.replace(
        line,
        root=root,
        own=own,
        sending=Sending(line.next_sending, chain, 0),
        next_sending=following,
        reply_secret=None if line.initiator else line.reply_secret,
    )


def send(
    line: Line, content: bytes, identity: KemPublic, clock: Clock, head: Head, entropy: Entropy
) -> tuple[Line, Core]:
    """The next line, and a block's core; a responder's first is the reply, sealed to the peer's `identity` too.

    `LocalProtocolError` while an initiator has no reply; `ValueError` for content over 1,594 bytes, in the reply 506.
    """
    line = _sending_step(line, entropy)
    sending, own, peer = line.sending, line.own, line.peer
    assert sending is not None and own is not None and peer is not None  # noqa: S101, PT018 - after the step
    is_reply = not line.initiator and line.sent == 0
    fresh = X25519Private(entropy.draw(limits.X25519))
    kem, ciphertext = entropy.encapsulate(peer.kem)
    reply, reply_ciphertext = entropy.encapsulate(identity) if is_reply else (None, b"")
    chain, message = step(sending.chain)
    header = Header(own.public(), x25519_public(fresh), ciphertext, line.previous, sending.number)
    header_key = CoreKey(sending.header, clock, head, b"header")
    front = head.pack() + header_key.commitment
    front += header_key.seal(header.pack(), front)
    secret, export = _body_keys(message, dh(fresh, peer.x), kem, reply)
    body_key = CoreKey(secret, clock, head, b"body")
    front += body_key.commitment + reply_ciphertext
    padded = pad(content, limits.CORE - len(front) - limits.TAG)
    following = msgspec.structs.replace(
        line,
        sending=Sending(sending.header, chain, sending.number + 1),
        sent=line.sent + 1,
        answered=True,
        reply_secret=reply or line.reply_secret,
        export_out=Export(_step(line.initiator, line.sent), export, head.hour),
    )
    if reply is not None:
        following = _promised(following, reply, head.hour)
    return following, Core(front + body_key.seal(padded, front))


def _answered_export(first: ExportKey, reply: KemShared, hour: Hour) -> Export:
    """The initiator's step 1: what it exported at step 0, confirmed by the reply."""
    mixed = kdf(first.expose() + reply.expose(), b"", Label.ANSWERED)
    return Export(Step(1), ExportKey(mixed), hour)


def _promised(line: Line, reply: KemShared, hour: Hour) -> Line:
    """The responder knows the initiator's step 1 as soon as it has made the reply."""
    promised = _answered_export(line.exports_in[-1].key, reply, hour)
    return msgspec.structs.replace(line, exports_in=(*line.exports_in, promised))


def _step(initiator: bool, count: int) -> Step:
    """Step of the block that has `count` before it in its direction: section 13, "Steps"."""
    return Step(count + (2 if initiator else 1))


def open_(line: Line, core: Core, clock: Clock, head: Head, identity: KemSeed) -> Opened | None:
    """What a block of this line says; None when it is of another line.

    `identity` is the reader's identity KEM key, which the reply is sealed to. Raises `RemoteProtocolError`s for a
    block of this line that does not open; the line given stays good.
    """
    for place, chain in enumerate(line.receiving):
        key = CoreKey(chain.header, clock, head, b"header")
        if key.matches(core[HEAD:_HEADER_AT]):
            return _open_at(line, place, _header(core, key), core, clock, head, identity)
    key = CoreKey(line.next_receiving, clock, head, b"header")
    if not key.matches(core[HEAD:_HEADER_AT]):
        return None
    header = _header(core, key)
    stepped = _receiving_step(line, header, head.hour)
    return _open_at(stepped, len(stepped.receiving) - 1, header, core, clock, head, identity)


def _header(core: Core, key: CoreKey) -> Header:
    return Header.parse(key.open(core[_HEADER_AT:_COMMITMENT_AT], core[:_HEADER_AT]))


def _receiving_step(line: Line, header: Header, hour: Hour) -> Line:
    if line.own is None:
        msg = "a line's peer moved before it was answered"
        raise RefusedError(msg)
    mirrored = None if line.initiator else line.reply_secret
    root, chain, following = _root_step(line.root, line.own.x, header.ratchet.x, mirrored)
    closed, base = line.receiving, 0
    if not closed and header.previous:
        msg = "a line's first chain has none before it"
        raise RefusedError(msg)
    if closed:
        last = closed[-1]
        if header.previous < last.chain.number:
            msg = "a line's chain is shorter than was read of it"
            raise RefusedError(msg)
        rest = last.chain.close(header.previous, limits.SKIPPED)
        closed = (*closed[:-1], msgspec.structs.replace(last, chain=rest))
        base = last.base + header.previous
    opened = Receiving(
        header=line.next_receiving,
        own=line.own,
        peer=header.ratchet.x,
        chain=Chain(chain),
        base=base,
        previous=header.previous,
        replies=line.initiator and not line.receiving,
        hour=hour,
    )
    sending = line.sending
    return msgspec.structs.replace(
        line,
        root=root,
        peer=header.ratchet,
        sending=None,
        previous=sending.number if sending else line.previous,
        next_receiving=following,
        receiving=(*closed, opened),
        reply_secret=line.reply_secret if line.initiator else None,
    )


def _open_at(
    line: Line, place: int, header: Header, core: Core, clock: Clock, head: Head, identity: KemSeed
) -> Opened:
    chain = line.receiving[place]
    if (header.ratchet.x, header.previous) != (chain.peer, chain.previous):
        msg = "a block's header is not of its chain"
        raise RefusedError(msg)
    rest, message = chain.chain.take(header.number, limits.SKIPPED)
    is_reply = chain.replies and header.number == 0
    reply = decapsulate(identity, core[_BODY_AT:_REPLY_AT]) if is_reply else None
    shared = dh(chain.own.x, header.fresh)
    secret, export_key = _body_keys(message, shared, decapsulate(chain.own.kem, header.ciphertext), reply)
    body_at = _REPLY_AT if is_reply else _BODY_AT
    key = CoreKey(secret, clock, head, b"body")
    key.check(core[_COMMITMENT_AT:_BODY_AT])
    content = unpad(key.open(core[body_at:], core[:body_at]))
    read = msgspec.structs.replace(chain, chain=rest, hour=max(chain.hour, head.hour))
    export = Export(_step(not line.initiator, chain.base + header.number), export_key, head.hour)
    following = msgspec.structs.replace(
        line,
        receiving=_bounded((*line.receiving[:place], read, *line.receiving[place + 1 :])),
        exports_in=(*line.exports_in, export)[-limits.EXPORTS :],
    )
    if reply is not None:
        following = _answered(following, reply, head.hour)
    return Opened(following, content, export, is_reply)


def _answered(line: Line, reply: KemShared, hour: Hour) -> Line:
    return msgspec.structs.replace(
        line,
        answered=True,
        reply_secret=reply,
        export_out=_answered_export(line.export_out.key, reply, hour),
    )


def _bounded(chains: tuple[Receiving, ...]) -> tuple[Receiving, ...]:
    """Without closed chains that nothing can come on, and with at most 512 skipped keys, the newest."""
    room, kept = limits.SKIPPED, []
    for chain in reversed(chains):
        newest = sorted(chain.chain.skipped.items())[-room:] if room else []
        room -= len(newest)
        if newest or chain.chain.key is not None:
            rest = Chain(chain.chain.key, chain.chain.number, dict(newest))
            kept.append(msgspec.structs.replace(chain, chain=rest))
    return tuple(reversed(kept))


def forget(line: Line, oldest: Hour) -> Line:
    """Without closed chains and exports whose last use is before `oldest`; the newest export of each way stays."""
    chains = tuple(c for c in line.receiving if c.chain.key is not None or c.hour >= oldest)
    exports = tuple(e for e in line.exports_in[:-1] if e.hour >= oldest) + line.exports_in[-1:]
    if (chains, exports) == (line.receiving, line.exports_in):
        return line
    return msgspec.structs.replace(line, receiving=chains, exports_in=exports)


def exports_at(line: Line, wanted: Step) -> tuple[ExportKey, ...]:
    """The peer's exports of one step: after crossing intros step 0 may have two."""
    return tuple(export.key for export in line.exports_in if export.step == wanted)

