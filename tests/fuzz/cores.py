"""Targets: what every member can read of a core, and each kind of core under right keys."""

from backchannel.protocol import limits
from backchannel.protocol.block import unwrap, wrap
from backchannel.protocol.codec import encode
from backchannel.protocol.core import HEAD, CoreKey, Kind, head_of
from backchannel.protocol.epoch import unattributed_secret
from backchannel.protocol.errors import (
    AuthenticationError,
    DecodeError,
    GapTooLargeError,
    RefusedError,
    ReplayError,
)
from backchannel.protocol.files import _listed
from backchannel.protocol.intro import Envelope
from backchannel.protocol.invite import Lobby, invite_secret, open_card_piece
from backchannel.protocol.line import Line, open_
from backchannel.protocol.ratchet import HEADER, Header
from backchannel.protocol.roster import PIECE, seal_piece
from backchannel.protocol.secret import EpochSecret, OuterSecret
from backchannel.protocol.sender_key import GroupHeader, KeyHeader, wrapped
from backchannel.protocol.types import Core, Hour, Slot
from backchannel.protocol.unattributed import Unattributed, open_unattributed
from tests.fuzz.target import Bytes, decoder
from tests.support import cast
from tests.support.entropy import ScriptedEntropy

OUTER = OuterSecret(bytes(32))
WINDOW = (Hour(cast.HOUR - 3), Hour(cast.HOUR + 1))
_EPOCH = EpochSecret(bytes(32))
LOBBY = Lobby.of(invite_secret(bytes(16)), cast.relay().public)


def _core(data: bytes, kind: Kind) -> Core:
    """A core of a kind, whatever its fields."""
    return Core((cast.head(kind).pack() + data)[: limits.CORE].ljust(limits.CORE, b"\0"))


def _pieces(data: bytes) -> bytes:
    return data[:PIECE]


def _block(data: bytes) -> bytes:
    """Noise, or a core of any kind and hour under the outer key of its hour or another."""
    take = Bytes(data)
    if take.byte() % 4 == 0:
        return unwrap(data[1:].ljust(limits.BLOCK, b"\0"), OUTER, cast.clock, cast.HOUR, WINDOW)
    head = bytes([take.byte()]) + (cast.HOUR + take.byte() - 128).to_bytes(4) + take.take(16)
    core = Core((head + take.rest())[: limits.CORE].ljust(limits.CORE, b"\0"))
    return unwrap(wrap(core, OUTER, cast.clock, ScriptedEntropy()), OUTER, cast.clock,
                  Hour(cast.HOUR + data[0] - 128), WINDOW)  # fmt: skip


def _wraps(data: bytes) -> object:
    core = _core(data, Kind.KEY)
    KeyHeader.read(core)
    mask = cast.pair().a.masks[0]
    return wrapped(core, Slot(core[HEAD]), Slot(1), mask, cast.clock, head_of(core))


def _envelope(data: bytes) -> Envelope:
    return Envelope.read(_core(data, Kind.INTRO))


def _card_piece(data: bytes) -> object:
    head = cast.head(Kind.CARD)
    core = seal_piece(_pieces(data), LOBBY.card, LOBBY.at, head)
    return open_card_piece(core, head, LOBBY)


def _unattributed(data: bytes) -> object:
    head, secret = cast.head(Kind.UNATTRIBUTED), _EPOCH
    core = seal_piece(_pieces(data), unattributed_secret(secret), cast.clock, head)
    return open_unattributed(core, secret, cast.clock, head)


def _line_block(data: bytes) -> object:
    """A header that says anything, under the right header key; a body of noise or of right keys."""
    take, head = Bytes(data), cast.head(Kind.LINE)
    a, _ = cast.answered()
    assert a.receiving
    header_key = a.receiving[0].header if take.byte() % 2 else a.next_receiving
    key = CoreKey(header_key, cast.clock, head, b"header")
    front = head.pack() + key.commitment
    front += key.seal(_header(take, a), front)
    core = Core((front + take.rest())[: limits.CORE].ljust(limits.CORE, b"\0"))
    return open_(a, core, cast.clock, head, cast.keys("anna").identity.kem)


def _header(take: Bytes, line: Line) -> bytes:
    keys = line.peer if take.byte() % 4 else cast.bundle("cleo").prekey
    assert keys is not None
    fresh, numbers = cast.bundle("dora").prekey.x, (take.number(), take.number())
    if take.byte() % 4 == 0:
        return take.take(HEADER)
    previous, number = (abs(each) % (1 << (8 * (1 + each % 4))) for each in numbers)
    return Header(keys, fresh, bytes(limits.KEM_CIPHERTEXT), previous, number).pack()


def _listing(data: bytes) -> object:
    """The plaintext of an index core, for a file of any size."""
    take = Bytes(data)
    size = 1 + abs(take.number()) % limits.FILE_BYTES
    return _listed(take.rest(), size, take.byte())


def _none() -> list[bytes]:
    return [b"", bytes(40), bytes(range(256)), bytes(limits.CORE)]


_MORE = (AuthenticationError, DecodeError, GapTooLargeError, RefusedError, ReplayError)

TARGETS = [
    decoder("block", _block, _none, AuthenticationError, DecodeError, longest=limits.BLOCK + 1),
    decoder(
        "group header", lambda data: GroupHeader.read(_core(data, Kind.GROUP)), _none, DecodeError
    ),
    decoder("key block", _wraps, _none, DecodeError),
    decoder("intro envelope", _envelope, _none, DecodeError),
    decoder("line block", _line_block, _none, *_MORE),
    decoder("card piece", _card_piece, _none, DecodeError),
    decoder(
        "unattributed core",
        _unattributed,
        lambda: [encode(Unattributed(bytes(16), 24, "what if?"))],
        DecodeError,
    ),
    decoder("file index", _listing, _none, RefusedError),
]
