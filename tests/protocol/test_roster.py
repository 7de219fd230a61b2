"""Who is in a channel and by which rules: SPEC.md section 9, and what words bind: section 10."""

import hashlib
from collections.abc import Callable
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from backchannel.protocol import limits, roster
from backchannel.protocol.core import HEAD, Kind, head_of
from backchannel.protocol.errors import AuthenticationError, DecodeError, RefusedError
from backchannel.protocol.identity import Bundle, HybridPublic, identity_hash
from backchannel.protocol.roster import Entry, Package, Policy, Relay, Roster, succeeds
from backchannel.protocol.secret import CoreSecret
from backchannel.protocol.types import ChannelId, IdentityHash, Slot
from tests.support import cast
from tests.support.bits import flip, sampled_flips
from tests.support.entropy import ScriptedEntropy

FIRST = cast.roster("anna", "bela", "cleo")
PACKED = FIRST.pack()
SECRET = CoreSecret(bytes(range(32)))


def next_of(current: Roster, *added: Entry) -> Roster:
    return replace(
        current,
        version=current.version + 1,
        previous=current.hash,
        entries=(*current.entries, *(added or (cast.entry(9, "dora"),))),
    )


# --- Encoding -------------------------------------------------------------------------------------

NAMES = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=32)


@st.composite
def rosters(draw: st.DrawFn) -> Roster:
    slots = sorted(draw(st.sets(st.integers(0, 63), min_size=1, max_size=64)))
    names = draw(st.lists(NAMES, min_size=len(slots), max_size=len(slots), unique=True))
    entries = tuple(
        Entry(slot, name, draw(NAMES), draw(st.sampled_from(roster.ROLES)), bytes([slot]) * 32)
        for slot, name in zip(slots, names, strict=True)
    )
    version = draw(st.integers(1, 2**32 - 1))
    return replace(
        FIRST,
        version=version,
        previous=bytes(32) if version == 1 else b"p" * 32,
        issuer=draw(st.integers(0, 63)),
        hour=draw(st.integers(0, 2**32 - 1)),
        policy=Policy(
            draw(st.integers(1, 2160)),
            draw(st.sampled_from(get_args(roster.Format))),
            draw(st.integers(4, 64) | st.just(0)),
            draw(st.integers(0, limits.VOUCHES)),
        ),
        merged=(b"m" * 32,) * draw(st.integers(0, limits.MERGED)),
        heads=(b"h" * 32,) * draw(st.integers(0, limits.HEADS)),
        relays=tuple(cast.relay(f"r{each}") for each in range(draw(st.integers(1, 8)))),
        entries=entries,
    )


@given(rosters())
def test_a_roster_is_read_as_written(each: Roster) -> None:
    assert Roster.parse(each.pack()) == each
    assert len(each.pack()) <= limits.ROSTER_BYTES


def test_the_hash_as_written() -> None:
    assert FIRST.hash == hashlib.sha256(b"\x14backchannel/1 roster" + PACKED).digest()


@given(st.integers(0, 8 * len(PACKED) - 1))
def test_no_bit_of_a_roster_can_be_changed_unseen(bit: int) -> None:
    try:
        read = Roster.parse(flip(PACKED, bit))
    except DecodeError:
        return
    assert read.hash != FIRST.hash


@given(st.binary(max_size=200))
def test_noise_is_no_roster(data: bytes) -> None:
    with pytest.raises(DecodeError):
        Roster.parse(data)


def test_the_largest_roster_fits() -> None:
    """64 entries and eight relays with the longest of everything: by characters and by bytes."""
    names = [f"{number:02d}" + "桜" * 20 for number in range(64)]
    entries = tuple(
        Entry(n, name, "桜" * 21, "facilitator", n.to_bytes(32)) for n, name in enumerate(names)
    )
    relays = tuple(Relay(f"{n}" * 256, cast.relay(f"r{n}").key) for n in range(8))
    largest = replace(
        FIRST,
        entries=entries,
        relays=relays,
        version=2**32 - 1,
        previous=b"p" * 32,
        merged=(b"m" * 32,) * limits.MERGED,
        heads=(b"h" * 32,) * limits.HEADS,
        policy=Policy(2160, "bilateral", 64, 8),
    )
    assert Roster.parse(largest.pack()) == largest
    assert len(largest.pack()) <= limits.ROSTER_BYTES


def with_entry(**changes: object) -> Callable[[Roster], Roster]:
    return lambda each: replace(
        each, entries=(*each.entries[:-1], replace(each.entries[-1], **changes))
    )


REFUSED: dict[str, Callable[[Roster], Roster]] = {
    "channel too short": lambda r: replace(r, channel=bytes(15)),
    "version 0": lambda r: replace(r, version=0),
    "version too large": lambda r: replace(r, version=2**32, previous=b"p" * 32),
    "version 1 with one before": lambda r: replace(r, previous=b"p" * 32),
    "version 2 with none before": lambda r: replace(r, version=2),
    "issuer 64": lambda r: replace(r, issuer=64),
    "hour too large": lambda r: replace(r, hour=2**32),
    "hour below zero": lambda r: replace(r, hour=-1),
    "commitment too long": lambda r: replace(r, commitment=bytes(33)),
    "no relay": lambda r: replace(r, relays=()),
    "nine relays": lambda r: replace(r, relays=r.relays * 9),
    "relay key": lambda r: replace(r, relays=(Relay("https://r", b"\xff" * 32),)),
    "the key of courier files": lambda r: replace(r, relays=(Relay("https://r", bytes(32)),)),
    "one key twice": lambda r: replace(r, relays=(*r.relays, Relay("https://r", r.relays[0].key))),
    "one address twice": lambda r: replace(
        r, relays=(*r.relays, Relay(r.relays[0].url, cast.relay("other").key))
    ),
    "relay without address": lambda r: replace(r, relays=(Relay("", r.relays[0].key),)),
    "relay address too long": lambda r: replace(r, relays=(Relay("u" * 257, r.relays[0].key),)),
    "relay address not composed": lambda r: replace(
        r, relays=(Relay("https://zoe\u0308", r.relays[0].key),)
    ),
    "lifetime 0": lambda r: replace(r, policy=Policy(0)),
    "lifetime too long": lambda r: replace(r, policy=Policy(2161)),
    "a format that is none": lambda r: replace(r, policy=Policy(24, "party")),  # type: ignore[arg-type]
    "65 people for an unattributed post": lambda r: replace(r, policy=Policy(24, unattributed=65)),
    "so few that a guess names the author": lambda r: replace(r, policy=Policy(24, unattributed=3)),
    "nine vouches": lambda r: replace(r, policy=Policy(24, vouches=9)),
    "five rivals ended": lambda r: replace(r, merged=(bytes(32),) * 5),
    "a rival's hash too short": lambda r: replace(r, merged=(bytes(31),)),
    "65 heads": lambda r: replace(r, heads=(bytes(32),) * 65),
    "no entry": lambda r: replace(r, entries=()),
    "65 entries": lambda r: replace(r, entries=(r.entries[0],) * 65),
    "slots that fall": lambda r: replace(r, entries=r.entries[::-1]),
    "a slot twice": with_entry(slot=1),
    "slot 64": with_entry(slot=64),
    "an alias that is none": with_entry(alias="a\u202eb"),
    "a party that is none": with_entry(party=" "),
    "no role": with_entry(role="owner"),
    "identity too short": with_entry(identity=bytes(31)),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_a_roster_may_not_be(why: str) -> None:
    with pytest.raises(DecodeError):
        Roster.parse(REFUSED[why](FIRST).pack())


@pytest.mark.parametrize("twin", ["anna", "ANNA", "Ａｎｎａ", "anna."[:4]])
def test_attack_41_two_names_of_a_roster_are_alike(twin: str) -> None:
    with pytest.raises(DecodeError, match=r"alike|script"):
        Roster.parse(with_entry(alias=twin)(FIRST).pack())


# --- Look-ups -------------------------------------------------------------------------------------


def test_who_stands_where() -> None:
    assert FIRST.entry(1).alias == "bela"
    assert FIRST.named("BELA") == FIRST.entry(1)
    assert FIRST.named("dora") is None
    with pytest.raises(RefusedError, match="nobody"):
        FIRST.entry(3)


def test_what_the_ten_words_are_made_from() -> None:
    expected = b"roster" + cast.CHANNEL
    for slot, name in enumerate(("anna", "bela", "cleo")):
        expected += bytes([slot, 4]) + name.encode()
        expected += identity_hash(cast.bundle(name).identity)
    assert FIRST.spoken() == expected


def test_words_bind_identities_and_nothing_else() -> None:
    """Then a new relay or policy asks nobody to read aloud again, and a new key does."""
    same = replace(FIRST, version=2, previous=b"p" * 32, policy=Policy(1), hour=1, relays=())
    assert same.spoken() == FIRST.spoken()
    for change in ({"alias": "clea"}, {"slot": 5}, {"identity": b"i" * 32}):
        assert with_entry(**change)(FIRST).spoken() != FIRST.spoken()


def test_what_the_six_words_are_made_from() -> None:
    anna = FIRST.entry(0)
    known = IdentityHash(b"n" * 32)
    data = roster.check_data(ChannelId(cast.CHANNEL), anna, "zoë", known)
    expected = b"check" + cast.CHANNEL + b"\x00\x04anna" + anna.identity + b"\x04zo\xc3\xab" + known
    assert data == expected


def test_hashes_of_charter_and_disclosure() -> None:
    charter = hashlib.sha256(b"\x15backchannel/1 charter" + "zoë".encode()).digest()
    assert roster.charter_hash("zoë") == charter
    encoded = b"\x93\xaetwo institutes\xaca foundation\xa8a friend"
    assert (
        cast.DISCLOSURE.hash == hashlib.sha256(b"\x18backchannel/1 disclosure" + encoded).digest()
    )


# --- Successors -----------------------------------------------------------------------------------


def test_a_roster_that_adds_one_succeeds() -> None:
    following = next_of(FIRST)
    succeeds(following, FIRST)
    succeeds(next_of(following, cast.entry(63, "emil")), following)
    with pytest.raises(RefusedError, match="does not follow"):
        succeeds(FIRST, following)


def staying(r: Roster, **changes: object) -> Roster:
    """The next roster with the one who stays in slot 1 changed."""
    return replace(r, entries=(r.entries[0], replace(r.entries[1], **changes), *r.entries[2:]))


THIRD = replace(FIRST, version=5, previous=b"b" * 32, epoch=3)
SUCCESSORS: dict[str, tuple[str, Callable[[Roster], Roster]]] = {
    "channel": ("another channel", lambda r: replace(r, channel=b"x" * 16)),
    "charter": ("another channel", lambda r: replace(r, charter=b"c" * 32)),
    "disclosure": ("another channel", lambda r: replace(r, disclosure=b"d" * 32)),
    "an epoch back": ("goes back", lambda r: replace(r, epoch=2)),
    "heads while the epoch stays": ("keeps", lambda r: replace(r, heads=(b"h" * 32,))),
    "an hour before": ("keeps", lambda r: replace(r, hour=r.hour - 1)),
    "a longer life while the epoch stays": ("keeps", lambda r: replace(r, policy=Policy(721))),
    "another kind of talk while the epoch stays": (
        "keeps",
        lambda r: replace(r, policy=Policy(720, "workshop")),
    ),
    "version the same": ("follow", lambda r: replace(r, version=5)),
    "version skipped": ("follow", lambda r: replace(r, version=7)),
    "more versions than branches count apart": (
        "follow",
        lambda r: replace(r, version=70, epoch=4, previous=b"p" * 32, merged=(THIRD.hash,)),
    ),
    "an epoch that a branch may have": ("jumps", lambda r: replace(r, epoch=11)),
    "a rival ended in its own epoch": (
        "goes back",
        lambda r: replace(r, previous=b"p" * 32, merged=(THIRD.hash,)),
    ),
    "previous": ("follow", lambda r: replace(r, previous=b"p" * 32)),
    "one left out": ("takes away", lambda r: replace(r, entries=r.entries[1:])),
    "one removed": ("takes away", lambda r: replace(r, entries=r.entries[:1])),
    "nobody who facilitates": (
        "nobody who facilitates",
        lambda r: replace(r, epoch=4, entries=r.entries[1:]),
    ),
    "one renamed": ("another name", lambda r: staying(r, alias="x")),
    "one of another party": ("another name", lambda r: staying(r, party="x")),
    "another identity": ("another name", lambda r: staying(r, identity=bytes(32))),
    "another identity under a new epoch": (
        "another name",
        lambda r: replace(staying(r, identity=bytes(32)), epoch=4),
    ),
    "one who stops facilitating while the epoch stays": (
        "takes away",
        lambda r: replace(r, entries=(replace(r.entries[0], role="observer"), *r.entries[1:])),
    ),
    "a participant who only observes while the epoch stays": (
        "takes away",
        lambda r: staying(r, role="observer"),
    ),
    "issued by a participant": ("facilitator", lambda r: replace(r, issuer=1)),
    "issued by nobody": ("nobody", lambda r: replace(r, issuer=40)),
    "issued by the newcomer": ("nobody", lambda r: replace(r, issuer=9)),
}


@pytest.mark.parametrize("why", SUCCESSORS)
def test_attack_23_what_may_not_follow(why: str) -> None:
    reason, change = SUCCESSORS[why]
    with pytest.raises(RefusedError, match=reason):
        succeeds(change(next_of(THIRD)), THIRD)


FOLLOWING: dict[str, Callable[[Roster], Roster]] = {
    "nobody added": lambda r: replace(r, entries=r.entries[:-1]),
    "another role": lambda r: staying(r, role="facilitator"),
    "a lighter role with a new epoch": lambda r: replace(staying(r, role="observer"), epoch=4),
    "rules that tighten": lambda r: replace(r, policy=Policy(719, unattributed=4, vouches=8)),
    "an hour later": lambda r: replace(r, hour=r.hour + 1),
    "a new epoch": lambda r: replace(r, epoch=4, heads=(b"h" * 32,)),
    "one removed with a new epoch": lambda r: replace(r, epoch=4, entries=r.entries[:1]),
    "other relays": lambda r: replace(r, relays=(cast.relay("other"),)),
    "other relays with a new epoch": lambda r: replace(r, epoch=4, relays=(cast.relay("other"),)),
    "a longer life with a new epoch": lambda r: replace(r, epoch=4, policy=Policy(721)),
    "over two epochs, as a rival's followers come": lambda r: replace(r, epoch=5),
    "over all epochs that there may be": lambda r: replace(r, epoch=10),
    "by ending a shorter branch": lambda r: replace(
        r, version=69, epoch=4, previous=b"p" * 32, merged=(THIRD.hash,)
    ),
    "by being named as a rival that ends": lambda r: replace(
        r, epoch=10, previous=b"p" * 32, merged=(b"m" * 32, THIRD.hash)
    ),
}


@pytest.mark.parametrize("why", FOLLOWING)
def test_what_may_follow(why: str) -> None:
    following = FOLLOWING[why](next_of(THIRD))
    succeeds(Roster.parse(following.pack()), THIRD)


def test_who_came_last_stands_in_a_place_that_was_free() -> None:
    """Whoever stood there keeps name and key: nobody is handed another's place."""
    taken = replace(next_of(THIRD), entries=(*THIRD.entries[:2], cast.entry(2, "dora")))
    with pytest.raises(RefusedError, match="another name"):
        succeeds(taken, THIRD)


def test_a_package_without_newcomers_has_no_bundles() -> None:
    alone = Package(FIRST, {})
    assert alone.pack() == len(PACKED).to_bytes(4) + PACKED
    assert Package.parse(alone.pack()) == alone
    for length in (len(PACKED) - 1, len(PACKED) + 1, 2**32 - 1):
        with pytest.raises(DecodeError):
            Package.parse(length.to_bytes(4) + PACKED)


# --- Package --------------------------------------------------------------------------------------

PACKAGE = cast.package(FIRST)


def test_a_package_is_read_as_written() -> None:
    data = PACKAGE.pack()
    assert len(data) == 4 + len(PACKED) + 3 * limits.BUNDLE
    assert Package.parse(data) == PACKAGE


@pytest.mark.parametrize("size", [0, 3, 4, 100, -limits.BUNDLE, -1, 1])
def test_a_package_is_whole(size: int) -> None:
    data = PACKAGE.pack()
    cut = data + b"\0" if size == 1 else data[:size]
    with pytest.raises(DecodeError):
        Package.parse(cut)


@pytest.mark.parametrize("length", [0, len(PACKED) - 1, len(PACKED) + 1, 2**32 - 1])
def test_a_package_says_how_long_its_roster_is(length: int) -> None:
    with pytest.raises(DecodeError):
        Package.parse(length.to_bytes(4) + PACKAGE.pack()[4:])


def test_attack_02_each_bundle_is_its_entrys() -> None:
    swapped = PACKAGE.bundles | {Slot(1): cast.bundle("cleo"), Slot(2): cast.bundle("bela")}
    with pytest.raises(DecodeError, match="not its entry's"):
        Package.parse(Package(FIRST, swapped).pack())


@pytest.mark.parametrize("half", ["x", "kem", "both"])
def test_two_entries_share_no_identity_key(half: str) -> None:
    anna, bela = cast.bundle("anna"), cast.bundle("bela")
    x = bela.identity.x if half == "kem" else anna.identity.x
    kem = bela.identity.kem if half == "x" else anna.identity.kem
    twin = Bundle(HybridPublic(x, kem), bela.prekey)
    entry = replace(FIRST.entry(1), identity=identity_hash(twin.identity))
    shared = replace(FIRST, entries=(FIRST.entries[0], entry))
    with pytest.raises(DecodeError, match="share a key"):
        Package.parse(Package(shared, {Slot(0): anna, Slot(1): twin}).pack())


@pytest.mark.parametrize("point", cast.LOW_ORDER)
def test_attack_74_one_poisoned_bundle_is_refused_before_anybody_keeps_it(point: bytes) -> None:
    data = PACKAGE.pack()
    with pytest.raises(DecodeError, match="low order"):
        Package.parse(data[: -limits.IDENTITY] + point + data[-limits.IDENTITY + 32 :])


# --- Cores ----------------------------------------------------------------------------------------


def test_a_package_in_cores() -> None:
    cores = roster.seal_package(PACKAGE, SECRET, cast.clock, cast.HOUR, ScriptedEntropy())
    assert len(cores) == 1 + len(PACKAGE.pack()) // roster.PIECE
    assert len({core[5:HEAD] for core in cores}) == len(cores)
    pieces = [roster.open_piece(core, SECRET, cast.clock, head_of(core)) for core in cores]
    assert b"".join(pieces) == PACKAGE.pack()
    assert {len(piece) for piece in pieces[:-1]} == {roster.PIECE}
    assert {head_of(core)[:2] for core in cores} == {(Kind.ROSTER, cast.HOUR)}


def test_64_bundles_are_within_the_pieces_of_an_announcement() -> None:
    largest = 4 + limits.ROSTER_BYTES + limits.ENTRIES * limits.BUNDLE
    assert -(-largest // roster.PIECE) <= limits.ROSTER_PIECES


@pytest.mark.parametrize("size", [0, 1, roster.PIECE])
def test_a_piece_is_read_as_written(size: int) -> None:
    head = cast.head(Kind.ROSTER)
    core = roster.seal_piece(b"p" * size, SECRET, cast.clock, head)
    assert len(core) == limits.CORE
    assert roster.open_piece(core, SECRET, cast.clock, head) == b"p" * size
    with pytest.raises(ValueError, match="do not fit"):
        roster.seal_piece(b"p" * (roster.PIECE + 1), SECRET, cast.clock, head)


def test_no_bit_of_a_roster_core_can_be_changed() -> None:
    core = roster.seal_piece(b"piece", SECRET, cast.clock, cast.head(Kind.ROSTER))
    for changed in sampled_flips(core[1:], 997):
        altered = core[:1] + changed
        with pytest.raises(AuthenticationError):
            roster.open_piece(altered, SECRET, cast.clock, head_of(altered))  # type: ignore[arg-type]
