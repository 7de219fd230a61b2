"""Targets: every structure of the codec, every fixed shape of keys and numbers, and saved state."""

from backchannel.protocol import exhibit, limits
from backchannel.protocol.candidate import CandidateState
from backchannel.protocol.codec import decode, encode
from backchannel.protocol.content import MOST, Part, read_content
from backchannel.protocol.errors import DecodeError, StateError
from backchannel.protocol.identity import Bundle
from backchannel.protocol.intro import Payload
from backchannel.protocol.invite import Join, read_card
from backchannel.protocol.line import Line
from backchannel.protocol.primitives import KemPublic, X25519Public
from backchannel.protocol.ratchet import HEADER, Header
from backchannel.protocol.roster import Package, Roster
from backchannel.protocol.snapshot import FORMAT, load, save
from backchannel.protocol.state import ChannelState
from backchannel.protocol.unattributed import Unattributed
from backchannel.protocol.whisper import read_note, read_whisper
from tests.fuzz.target import decoder
from tests.fuzz.vectors import recorded
from tests.support import cast
from tests.support.filled import filled

_PACKAGE = 65_536


def _note() -> list[bytes]:
    return [b"\x96\xc4\x20" + bytes(32) + b"\x01\x18\x00\xc4\x00\xa5hello"]


def _unattributed() -> list[bytes]:
    return [encode(Unattributed(bytes(16), 24, "what if?"))]


def _payload() -> list[bytes]:
    keys = cast.bundle("anna").prekey
    return [Payload(keys, cast.SEEDS, None).pack()]


def _header() -> list[bytes]:
    keys = cast.bundle("anna").prekey
    return [Header(keys, keys.x, bytes(limits.KEM_CIPHERTEXT), 3, 4).pack()]


def _states() -> list[bytes]:
    state = filled(ChannelState)
    state.format = FORMAT
    return [save(state)]


TARGETS = [
    decoder(
        "content", read_content, recorded("content", "encoded"), DecodeError,
        write=encode, longest=MOST + 1, packed=True),
    decoder(
        "part", Part.parse, recorded("content", "part"), DecodeError, write=Part.pack
    ),
    decoder(
        "whisper",
        read_whisper,
        recorded("whisper", "encoded"),
        DecodeError,
        write=encode,
        packed=True,
    ),
    decoder("note", read_note, _note, DecodeError, write=encode, longest=30_000, packed=True),
    decoder(
        "unattributed", lambda data: decode(data, Unattributed, 4056), _unattributed, DecodeError,
        write=encode, packed=True),
    decoder(
        "roster", Roster.parse, recorded("roster", "encoded", "current", "new"), DecodeError,
        write=Roster.pack, longest=_PACKAGE, packed=True),
    decoder(
        "package", Package.parse, recorded("roster", "package"), DecodeError,
        write=Package.pack, longest=_PACKAGE,
    ),
    decoder(
        "card", read_card, recorded("lobby", "encoded", does="card"), DecodeError,
        write=encode, longest=_PACKAGE, packed=True),
    decoder(
        "join", lambda data: decode(data, Join, 4056), recorded("lobby", "encoded", does="joined"),
        DecodeError, write=encode, packed=True),
    decoder(
        "transcript file",
        exhibit.read,
        recorded("transcript_file", "data"),
        DecodeError,
        write=exhibit.write,
        longest=_PACKAGE,
        packed=True,
    ),
    decoder("bundle", Bundle.parse, recorded("identity", "bundle"), DecodeError, write=Bundle.pack),
    decoder(
        "intro payload", Payload.parse, _payload, DecodeError, write=Payload.pack
    ),
    decoder(
        "line header", lambda data: Header.parse(data[:HEADER].ljust(HEADER, b"\0")), _header,
        DecodeError,
    ),
    decoder(
        "x25519 key", X25519Public, recorded("primitives", "public", does="dh"), DecodeError,
        write=lambda key: key.value, longest=64,
    ),
    decoder(
        "ml-kem key", KemPublic, recorded("primitives", "public", does="kem public"), DecodeError,
        write=lambda key: key.value, longest=2048,
    ),
    decoder(
        "saved channel", lambda data: load(data, ChannelState), _states, StateError,
        longest=_PACKAGE, packed=True),
    decoder(
        "saved line", lambda data: load(data, Line), lambda: [save(each) for each in cast.pair()],
        StateError, longest=_PACKAGE, packed=True),
    decoder(
        "saved candidate", lambda data: load(data, CandidateState),
        lambda: [save(filled(CandidateState))], StateError, longest=_PACKAGE, packed=True),
]  # fmt: skip
