"""A pairwise session: SPEC.md section 13. A hybrid double ratchet with encrypted headers.

```
line core
  21   header commitment 32 | AEAD 2360 of the header
  2413 body commitment 32 | [reply: ciphertext 1088] | AEAD of the body
```
Begun by the intro's responder. A `Line` is a value: sending and opening give the next one, and a
refused block gives none. Knows not what is said on it.
"""

from collections.abc import Iterator
from typing import NamedTuple, Self

import msgspec

from backchannel.protocol import limits
from backchannel.protocol.chain import Chain, step
from backchannel.protocol.core import HEAD, Clock, CoreKey, Head
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import (
    GapTooLargeError,
    LocalProtocolError,
    RefusedError,
    ReplayError,
)
from backchannel.protocol.identity import HybridPrivate, HybridPublic
from backchannel.protocol.intro import SessionKeys
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import (
    KemPublic,
    decapsulate,
    dh,
    kdf,
    pad,
    unpad,
    x25519_public,
)
from backchannel.protocol.ratchet import HEADER, Header, body_keys, root_step
from backchannel.protocol.secret import (
    ChainKey,
    CoreSecret,
    ExportKey,
    HeaderKey,
    KemSeed,
    KemShared,
    MaskKey,
    MessageKey,
    RootKey,
    X25519Private,
)
from backchannel.protocol.types import Core, Hour, Step

_HEADER_AT = HEAD + limits.HASH
_COMMITMENT_AT = _HEADER_AT + HEADER + limits.TAG
_BODY_AT = _COMMITMENT_AT + limits.HASH
_REPLY_AT = _BODY_AT + limits.KEM_CIPHERTEXT
CONTENT = limits.CORE - _BODY_AT - limits.TAG - 1
REPLY_CONTENT = limits.CORE - _REPLY_AT - limits.TAG - 1

REPLY = Step(1)
"""Of the reply, and of what it confirms the other way."""


class Export(msgspec.Struct, frozen=True, array_like=True):
    """What a line gives to sender keys at one step and way: a chain, a key for each use."""

    step: Step
    chain: Chain
    hour: Hour

    @classmethod
    def fresh(cls, step: Step, key: ExportKey, hour: Hour) -> Self:
        """Of a block or intro that was just made or read."""
        return cls(step, Chain(ChainKey(key.expose())), hour)


class Wrap(NamedTuple):
    """One use of an export."""

    step: Step
    use: int
    secret: MessageKey
    mask: MaskKey


class Sending(msgspec.Struct, frozen=True, array_like=True):
    """The chain that one's own blocks stand on, until the peer answers it."""

    header: HeaderKey
    chain: ChainKey
    number: int


class Receiving(msgspec.Struct, frozen=True, array_like=True):
    """One chain of the peer's, with the private keys that its blocks are sealed to."""

    header: HeaderKey
    own: HybridPrivate
    peer: HybridPublic
    chain: Chain
    base: int
    """Blocks of the chains before."""
    previous: int
    """What each header of this chain says of the one before."""
    replies: bool
    """Whether its first block is the reply."""
    hour: Hour
    """Of the latest block read; once closed, of the block that closed it: none can be later."""


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
    first: ExportKey | None
    """Derived of what the intro exports from its initiator, until the reply confirms it."""
    export_out: Export
    exports_in: tuple[Export, ...]
    """Steps rise."""
    masks: tuple[MaskKey, ...]
    """Of this line's intro; then of one that gave way to it, which key blocks may rest on."""

    @property
    def ready(self) -> bool:
        """Whether a block may be sent: an initiator waits for the reply."""
        return self.answered or not self.initiator

    @property
    def unheard(self) -> bool:
        """Whether one's reply may not have come: nothing was read that rests on it."""
        return not self.initiator and self.reply_secret is not None


class Sent(NamedTuple):
    """What one block of one's own is and gives."""

    line: Line
    core: Core
    export: ExportKey


class Opened(NamedTuple):
    """What one block gave."""

    line: Line
    content: bytes
    step: Step
    export: ExportKey
    reply: bool


def _beside(export: ExportKey) -> ExportKey:
    """What the reply will confirm; it opens none of the export's uses."""
    return ExportKey(kdf(export.expose(), b"", Label.ANSWERED))


def _mask(export: ExportKey) -> MaskKey:
    """Of what an intro exports from its initiator: both sides have it, nobody else."""
    return MaskKey(kdf(export.expose(), b"", Label.STEP_MASK))


def beside(line: Line, export: ExportKey, hour: Hour) -> Line:
    """The line, with what an intro that gave way to it exports: key blocks may rest on that."""
    extra = Export.fresh(Step(0), export, hour)
    exports, masks = (extra, *line.exports_in), (*line.masks, _mask(export))
    return msgspec.structs.replace(line, exports_in=exports, masks=masks)


def begin(keys: SessionKeys, own: HybridPrivate, hour: Hour) -> Line:
    """The initiator's line after its intro."""
    ways = (keys.header_ab, keys.export_ab), (keys.header_ba, keys.export_ba)
    return _new(keys, own, None, ways, hour)


def answer(keys: SessionKeys, peer: HybridPublic, hour: Hour) -> Line:
    """The responder's line after reading the intro; its first block will be the reply."""
    ways = (keys.header_ba, keys.export_ba), (keys.header_ab, keys.export_ab)
    return _new(keys, None, peer, ways, hour)


_Way = tuple[HeaderKey, ExportKey]


def _new(
    keys: SessionKeys,
    own: HybridPrivate | None,
    peer: HybridPublic | None,
    ways: tuple[_Way, _Way],
    hour: Hour,
) -> Line:
    """What both sides begin with; of the two ways the first is the one out."""
    (next_sending, export_out), (next_receiving, export_in) = ways
    return Line(
        initiator=own is not None,
        root=keys.root,
        own=own,
        peer=peer,
        sending=None,
        next_sending=next_sending,
        next_receiving=next_receiving,
        receiving=(),
        previous=0,
        sent=0,
        reply_secret=None,
        answered=False,
        first=_beside(keys.export_ab),
        export_out=Export.fresh(Step(0), export_out, hour),
        exports_in=(Export.fresh(Step(0), export_in, hour),),
        masks=(_mask(keys.export_ab),),
    )


def _sending_step(line: Line, entropy: Entropy) -> Line:
    if line.sending is not None:
        return line
    if line.peer is None or not line.ready:
        msg = "a line is not answered yet"
        raise LocalProtocolError(msg)
    own = HybridPrivate.draw(entropy)
    mirrored = line.reply_secret if line.initiator else None
    root, chain, following = root_step(line.root, own.x, line.peer.x, mirrored)
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
) -> Sent:
    """The next line, and a block's core; a responder's first is the reply.

    `identity` is the peer's identity KEM key, which the reply is sealed to. `LocalProtocolError`
    while an initiator has no reply; `ValueError` for content over 1,594 bytes, in the reply 506.
    """
    line = _sending_step(line, entropy)
    assert line.sending is not None  # noqa: S101 - after the step
    front, shared = _seal_header(line, line.sending, clock, head, entropy)
    is_reply = not line.initiator and line.sent == 0
    reply, ciphertext = entropy.encapsulate(identity) if is_reply else (None, b"")
    chain, message = step(line.sending.chain)
    secret, key = body_keys(message, shared, reply)
    core = _seal_body(front, ciphertext, content, CoreKey(secret, clock, head, b"body"))
    sending = msgspec.structs.replace(line.sending, chain=chain, number=line.sending.number + 1)
    export = Export.fresh(_step(line.sent, initiator=line.initiator), key, head.hour)
    return Sent(_sent(line, sending, export, reply), core, key)


def _seal_header(
    line: Line, sending: Sending, clock: Clock, head: Head, entropy: Entropy
) -> tuple[bytes, bytes]:
    """The core up to its body's commitment, and the block's own secrets 64."""
    assert line.own is not None  # noqa: S101 - both stand once a sending step was made
    assert line.peer is not None  # noqa: S101
    fresh = X25519Private(entropy.draw(limits.X25519))
    kem, ciphertext = entropy.encapsulate(line.peer.kem)
    public = x25519_public(fresh)
    header = Header(line.own.public(), public, ciphertext, line.previous, sending.number)
    key = CoreKey(sending.header, clock, head, b"header")
    front = head.pack() + key.commitment
    return front + key.seal(header.pack(), front), dh(fresh, line.peer.x) + kem.expose()


def _seal_body(front: bytes, ciphertext: bytes, content: bytes, key: CoreKey) -> Core:
    front += key.commitment + ciphertext
    return Core(front + key.seal(pad(content, limits.CORE - len(front) - limits.TAG), front))


def _sent(line: Line, sending: Sending, export: Export, reply: KemShared | None) -> Line:
    following = msgspec.structs.replace(
        line,
        sending=sending,
        sent=line.sent + 1,
        answered=True,
        reply_secret=reply or line.reply_secret,
        export_out=export,
    )
    if reply is None:
        return following
    promised = _answered_export(line, reply, export.hour)
    exports = (*line.exports_in, promised)
    return msgspec.structs.replace(following, first=None, exports_in=exports)


def _answered_export(line: Line, reply: KemShared, hour: Hour) -> Export:
    """The initiator's step 1: what its intro exported, confirmed by the reply."""
    assert line.first is not None  # noqa: S101 - a line is answered once
    mixed = kdf(line.first.expose() + reply.expose(), b"", Label.ANSWERED)
    return Export.fresh(REPLY, ExportKey(mixed), hour)


def _step(count: int, *, initiator: bool) -> Step:
    """Step of the block that has `count` before it in its direction: section 13, "Steps"."""
    return Step(count + (2 if initiator else 1))


class _Sealed(NamedTuple):
    """A block being opened: made for it, and gone with it."""

    core: Core
    clock: Clock
    head: Head
    identity: KemSeed

    def header(self, key: HeaderKey) -> Header | None:
        """None where the header is under another key."""
        opener = CoreKey(key, self.clock, self.head, b"header")
        if not opener.matches(self.core[HEAD:_HEADER_AT]):
            return None
        sealed = self.core[_HEADER_AT:_COMMITMENT_AT]
        return Header.parse(opener.open(sealed, self.core[:_HEADER_AT]))

    def reply(self) -> KemShared:
        """The secret of a reply's ciphertext."""
        return decapsulate(self.identity, self.core[_BODY_AT:_REPLY_AT])

    def body(self, secret: CoreSecret, at: int) -> bytes:
        """The content of a body whose ciphertext stands at `at`."""
        key = CoreKey(secret, self.clock, self.head, b"body")
        key.check(self.core[_COMMITMENT_AT:_BODY_AT])
        return unpad(key.open(self.core[at:], self.core[:at]))


def open_(line: Line, core: Core, clock: Clock, head: Head, identity: KemSeed) -> Opened | None:
    """What a block of this line says; None when it is of another line.

    `identity` is the reader's identity KEM key, which the reply is sealed to. Raises a
    `RemoteProtocolError` for a block of this line that does not open; the line given stays good.
    """
    sealed = _Sealed(core, clock, head, identity)
    for place, chain in enumerate(line.receiving):
        header = sealed.header(chain.header)
        if header is not None:
            return _open_at(line, place, header, sealed)
    header = sealed.header(line.next_receiving)
    if header is None:
        return None
    stepped = _receiving_step(line, header, head.hour)
    return _open_at(stepped, len(stepped.receiving) - 1, header, sealed)


def _receiving_step(line: Line, header: Header, hour: Hour) -> Line:
    if line.own is None:
        msg = "a line's peer moved before it was answered"
        raise RefusedError(msg)
    mirrored = None if line.initiator else line.reply_secret
    root, chain, following = root_step(line.root, line.own.x, header.ratchet.x, mirrored)
    closed = _close(line.receiving, header.previous, hour)
    opened = Receiving(
        header=line.next_receiving,
        own=line.own,
        peer=header.ratchet,
        chain=Chain(chain),
        base=closed[-1].base + header.previous if closed else 0,
        previous=header.previous,
        replies=line.initiator and not closed,
        hour=hour,
    )
    return msgspec.structs.replace(
        line,
        root=root,
        peer=header.ratchet,
        sending=None,
        previous=line.sending.number if line.sending else line.previous,
        next_receiving=following,
        receiving=(*closed, opened),
        reply_secret=line.reply_secret if line.initiator else None,
    )


def _close(chains: tuple[Receiving, ...], length: int, hour: Hour) -> tuple[Receiving, ...]:
    """The chains after the peer began another, and said how long its last one is."""
    if not chains:
        if length:
            msg = "a line's first chain has none before it"
            raise RefusedError(msg)
        return ()
    last = chains[-1]
    rest = last.chain.close(length, limits.SKIPPED)
    return (*chains[:-1], msgspec.structs.replace(last, chain=rest, hour=max(last.hour, hour)))


def _open_at(line: Line, place: int, header: Header, sealed: _Sealed) -> Opened:
    chain = line.receiving[place]
    if (header.ratchet, header.previous) != (chain.peer, chain.previous):
        msg = "a block's header is not of its chain"
        raise RefusedError(msg)
    rest, message = chain.chain.take(header.number, limits.SKIPPED)
    reply = sealed.reply() if chain.replies and header.number == 0 else None
    secret, key = body_keys(message, header.shared(chain.own), reply)
    content = sealed.body(secret, _REPLY_AT if reply else _BODY_AT)
    hour = sealed.head.hour
    count = _step(chain.base + header.number, initiator=not line.initiator)
    export = Export.fresh(count, key, hour)
    read = msgspec.structs.replace(chain, chain=rest, hour=max(chain.hour, hour))
    following = _took(line, place, read, export)
    if reply is not None and not line.answered:
        following = _answered(following, reply, hour)
    return Opened(following, content, count, key, reply is not None)


def _took(line: Line, place: int, read: Receiving, export: Export) -> Line:
    exports = sorted((*line.exports_in, export), key=lambda each: each.step)
    return msgspec.structs.replace(
        line,
        receiving=_bounded((*line.receiving[:place], read, *line.receiving[place + 1 :])),
        exports_in=tuple(exports[-limits.EXPORTS :]),
    )


def _answered(line: Line, reply: KemShared, hour: Hour) -> Line:
    return msgspec.structs.replace(
        line,
        answered=True,
        reply_secret=reply,
        first=None,
        export_out=_answered_export(line, reply, hour),
    )


def given_again(core: Core) -> bytes:
    """The ciphertext of a reply, which may go in a later block where that was lost."""
    return core[_BODY_AT:_REPLY_AT]


def answered_late(line: Line, ciphertext: bytes, identity: KemSeed, hour: Hour) -> Line:
    """The initiator's line, where a later block brought the ciphertext of a reply that was lost."""
    return line if line.ready else _answered(line, decapsulate(identity, ciphertext), hour)


def _bounded(chains: tuple[Receiving, ...]) -> tuple[Receiving, ...]:
    """Without closed chains on which nothing can come; of skipped keys the newest 512."""
    room, kept = limits.SKIPPED, []
    for chain in reversed(chains):
        newest = sorted(chain.chain.skipped.items())[-room:] if room else []
        room -= len(newest)
        if newest or chain.chain.key is not None:
            rest = Chain(chain.chain.key, chain.chain.number, dict(newest))
            kept.append(msgspec.structs.replace(chain, chain=rest))
    return tuple(reversed(kept))


def forget(line: Line, oldest: Hour) -> Line:
    """Without closed chains and exports of hours before `oldest`; the newest step stays."""
    chains = tuple(c for c in line.receiving if c.chain.key is not None or c.hour >= oldest)
    newest = line.exports_in[-1].step
    exports = tuple(e for e in line.exports_in if e.hour >= oldest or e.step == newest)
    if (chains, exports) == (line.receiving, line.exports_in):
        return line
    return msgspec.structs.replace(line, receiving=chains, exports_in=exports)


def spend(line: Line) -> tuple[Line, Wrap]:
    """The line after one use of its newest export, and that use; nothing can repeat it.

    `LocalProtocolError` when all 256 uses are taken.
    """
    export = line.export_out
    use = export.chain.number
    if use >= limits.USES:
        msg = "an export is used up"
        raise LocalProtocolError(msg)
    chain, secret = export.chain.take(use, 0)
    spent = msgspec.structs.replace(export, chain=chain)
    return msgspec.structs.replace(line, export_out=spent), Wrap(
        export.step, use, secret, line.masks[0]
    )


def knows(line: Line, step: Step) -> bool:
    """Whether the peer's export of that step is here."""
    return any(export.step == step for export in line.exports_in)


def lacking(line: Line) -> set[Step]:
    """Steps of the peer's blocks that were jumped over and can still be read."""
    return {
        _step(chain.base + number, initiator=not line.initiator)
        for chain in line.receiving
        for number in chain.chain.skipped
    }


def redeem(line: Line, step: Step, use: int) -> Iterator[tuple[Line, MessageKey]]:
    """What a use of the peer's may be: after crossing intros step 0 has two exports. Of uses that
    were jumped over the newest 64 are kept.
    """
    for place, export in enumerate(line.exports_in):
        if export.step != step:
            continue
        try:
            chain, secret = export.chain.take(use, limits.USES_SKIPPED)
        except (ReplayError, GapTooLargeError):
            continue
        newest = dict(sorted(chain.skipped.items())[-limits.USES_SKIPPED :])
        chain = msgspec.structs.replace(chain, skipped=newest)
        spent = msgspec.structs.replace(export, chain=chain)
        exports = (*line.exports_in[:place], spent, *line.exports_in[place + 1 :])
        yield msgspec.structs.replace(line, exports_in=exports), secret
