"""Group messages under a sender's own chain: SPEC.md section 14."""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from backchannel.protocol import limits, line, sender_key
from backchannel.protocol.chain import Chain, step
from backchannel.protocol.core import CoreKey, Head, Kind, content_hash, head_of, leaf_key
from backchannel.protocol.errors import (
    AuthenticationError,
    DecodeError,
    LocalProtocolError,
    RemoteProtocolError,
    ReplayError,
)
from backchannel.protocol.labels import Label
from backchannel.protocol.line import Line, Wrap
from backchannel.protocol.primitives import hash_, kdf, mac, open_, pad
from backchannel.protocol.secret import ChainKey, ChainSeed, ExportKey, MaskKey, MessageKey
from backchannel.protocol.sender_key import (
    GroupHeader,
    KeyHeader,
    Opened,
    OwnGeneration,
    Parent,
    PeerGeneration,
)
from backchannel.protocol.types import ContentHash, Core, GenerationId, Hour, Slot, Step
from tests.support import cast
from tests.support.bits import flip, sampled_flips
from tests.support.entropy import ScriptedEntropy
from tests.support.filled import secrets_of

SENDER = Slot(5)
READERS = tuple(Slot(slot) for slot in range(64) if slot != SENDER)
KEY_HEAD = cast.head(Kind.KEY)
SLOTS_AT = limits.CORE - 1024
PARENTS = tuple(Parent(ContentHash(bytes([n]) * 32), n) for n in (9, 3, 255, 7))


def wrap(slot: int, step: int = 1, use: int = 2) -> Wrap:
    return Wrap(Step(step), use, MessageKey(bytes([slot, step, use, 0]) * 8), mask(slot))


def mask(slot: int) -> MaskKey:
    """Of the line to a slot."""
    return MaskKey(bytes([slot, 77]) * 16)


def named(core: Core, slot: int) -> tuple[int, int]:
    """Step and use, as the slot reads them."""
    head = head_of(core)
    return sender_key.wrapped(core, SENDER, Slot(slot), mask(slot), cast.clock, head)


def wraps(*slots: int) -> Mapping[Slot, Wrap]:
    return {Slot(slot): wrap(slot) for slot in slots}


def export(slot: int, step: int = 1) -> ExportKey:
    """Of a block that carries seeds."""
    return ExportKey(bytes([slot, step]) * 16)


class Given(NamedTuple):
    """A generation and the core that gave it."""

    own: OwnGeneration
    core: Core


def given_to(*slots: int) -> Given:
    coins = ScriptedEntropy("key block")
    return Given(
        *sender_key.seal_key_block(SENDER, cast.ROSTER, wraps(*slots), cast.clock, KEY_HEAD, coins)
    )


GIVEN = given_to(0, 1, 2)


def taken(
    reader: int, core: Core = GIVEN.core, key: MessageKey | None = None, head: Head = KEY_HEAD
) -> PeerGeneration:
    key = key or wrap(reader).secret
    header = KeyHeader.read(core)
    return sender_key.open_key_block(core, header, Slot(reader), key, cast.clock, head)


def post(
    own: OwnGeneration = GIVEN.own, part: bytes = b"words", salt: int = 0
) -> tuple[OwnGeneration, Core]:
    coins = ScriptedEntropy(f"post {salt}")
    head = cast.head(Kind.GROUP, salt)
    sealed = sender_key.seal_post(
        own, SENDER, cast.ROSTER, PARENTS[:2], part, cast.clock, head, coins
    )
    return sealed.own, sealed.core


def opened_post(held: PeerGeneration, core: bytes, reader: int) -> Opened:
    known = Core(core)
    header = GroupHeader.read(known)
    return sender_key.open_post(held, header, known, Slot(reader), cast.clock, head_of(known))


def read(held: PeerGeneration, core: bytes, reader: int) -> tuple[PeerGeneration, bytes]:
    after = opened_post(held, core, reader)
    return after.held, after.part


# --- Derivations ----------------------------------------------------------------------------------


def test_the_derivations_as_written() -> None:
    seed, key = ChainSeed(bytes(range(32))), wrap(1).secret
    generation = sender_key.generation_id(seed)
    assert generation == hash_(Label.GENERATION, seed.expose())[:16]
    assert sender_key.first_key(seed).expose() == kdf(seed.expose(), b"", Label.SENDER_CHAIN)
    known = sender_key.mac_seed(key, generation)
    assert known.expose() == kdf(key.expose(), b"", Label.MAC_SEED, generation)
    of_seeds = sender_key.mac_seed(ExportKey(key.expose()), generation)
    assert of_seeds == known
    hashed = ContentHash(b"h" * 32)
    assert sender_key.slot_mac(known, 7, hashed) == mac(known, Label.SLOT, b"\7" + hashed)[:16]


def test_what_names_a_copys_slots_is_of_them_alone() -> None:
    core = post()[1]
    named = hash_(Label.SLOT, core[SLOTS_AT:])[:16]
    assert sender_key.slots_name(core) == named
    assert sender_key.slots_name(Core(bytes(SLOTS_AT) + core[SLOTS_AT:])) == named
    assert sender_key.slots_name(Core(core[:-1] + bytes([core[-1] ^ 1]))) != named


def test_sender_and_reader_have_the_leaf_key_that_opens_a_post_alone() -> None:
    """The same on both sides, and of the chain, the hour's clock and the core's salt."""
    own, _ = post()
    head, coins = cast.head(Kind.GROUP, 1), ScriptedEntropy("leaf")
    sealed = sender_key.seal_post(own, SENDER, cast.ROSTER, (), b"second", cast.clock, head, coins)
    assert sealed.leaf == leaf_key(step(own.chain)[1], cast.clock, head)
    assert opened_post(taken(1), sealed.core, 1).leaf == sealed.leaf
    assert sender_key.read_part(sealed.core, sealed.leaf) == b"second"
    for other in (step(GIVEN.own.chain)[1], step(sealed.own.chain)[1]):
        with pytest.raises(AuthenticationError, match="commitment"):
            sender_key.read_part(sealed.core, leaf_key(other, cast.clock, head))


def test_a_generation_is_of_the_hour_of_its_latest_post() -> None:
    """Of its key block at first; an earlier post that comes late changes nothing."""
    assert given_to(1).own.hour == KEY_HEAD.hour
    held = taken(1)
    assert held.hour == KEY_HEAD.hour
    own, cores = GIVEN.own, []
    for salt, hour in enumerate((cast.HOUR + 2, cast.HOUR + 9)):
        head = cast.head(Kind.GROUP, salt, Hour(hour))
        coins = ScriptedEntropy("hours")
        own, core, _ = sender_key.seal_post(
            own, SENDER, cast.ROSTER, (), b"words", cast.clock, head, coins
        )
        cores.append(core)
    held, _ = read(held, cores[1], 1)
    assert held.hour == cast.HOUR + 9
    assert read(held, cores[0], 1)[0].hour == cast.HOUR + 9


# --- Posts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 31, 62, 63])
def test_one_block_serves_every_reader(count: int) -> None:
    slots = READERS[:count]
    own, core = given_to(*slots)
    _, said = post(own)
    for slot in slots:
        assert read(taken(slot, core), said, slot)[1] == b"words"
    assert len(said) == limits.CORE
    assert len(said) - SLOTS_AT == 1024


@given(st.binary(max_size=sender_key.PART), st.integers(0, 255))
def test_a_post_is_read_as_written(part: bytes, number: int) -> None:
    own, core = post(replace(GIVEN.own, number=number), part)
    held = replace(taken(1), chain=Chain(GIVEN.own.chain, number))
    following, text = read(held, core, 1)
    assert text == part
    assert (following.chain.key, following.chain.number) == (own.chain, number + 1)
    assert own.number == number + 1


def test_the_longest_part() -> None:
    assert sender_key.PART == 2780
    assert read(taken(1), post(part=b"p" * 2780)[1], 1)[1] == b"p" * 2780
    with pytest.raises(ValueError, match="do not fit"):
        post(part=b"p" * 2781)


def test_256_posts_and_one_more() -> None:
    own = replace(GIVEN.own, number=255)
    own, _ = post(own)
    with pytest.raises(LocalProtocolError, match=r"^a generation is used up$"):
        post(own)


@given(st.permutations(range(8)))
def test_attack_09_posts_in_any_order(order: list[int]) -> None:
    own, cores = GIVEN.own, []
    for number in range(8):
        own, core = post(own, b"%d" % number, number)
        cores.append(core)
    held = taken(1)
    for number in order:
        held, part = read(held, cores[number], 1)
        assert part == b"%d" % number
        with pytest.raises(ReplayError):
            read(held, cores[number], 1)
    assert held.chain.skipped == {}


def test_the_last_number_may_come_first() -> None:
    own, cores = GIVEN.own, []
    for number in range(256):
        own, core = post(own, b"", number)
        cores.append(core)
    held, _ = read(taken(1), cores[255], 1)
    assert len(held.chain.skipped) == 255
    assert len(read(held, cores[0], 1)[0].chain.skipped) == 254


def test_a_number_used_for_two_posts_opens_once() -> None:
    """A vault restored from an old copy: the second is refused, and its salt kept the key apart."""
    _, one = post(salt=1)
    _, two = post(part=b"other", salt=2)
    assert GroupHeader.read(one).number == GroupHeader.read(two).number
    held, _ = read(taken(1), one, 1)
    with pytest.raises(ReplayError):
        read(held, two, 1)
    assert read(taken(1), two, 1)[1] == b"other"
    assert one[203:235] != two[203:235]


# --- Header ---------------------------------------------------------------------------------------

HASHES = st.binary(min_size=32, max_size=32).filter(any).map(ContentHash)
HEADERS = st.builds(
    GroupHeader,
    st.integers(0, 63).map(Slot),
    st.binary(min_size=16, max_size=16).map(GenerationId),
    st.integers(0, 255),
    st.just(cast.ROSTER),
    st.lists(st.builds(Parent, HASHES, st.integers(0, 255)), max_size=4, unique_by=lambda p: p.hash)
    .map(sorted)
    .map(tuple),
)


def in_core(header: bytes) -> Core:
    return Core((bytes([Kind.GROUP]) + bytes(20) + header).ljust(limits.CORE, b"\0"))


@given(HEADERS)
def test_a_header_is_read_as_written(header: GroupHeader) -> None:
    assert len(header.pack()) == 182
    assert GroupHeader.read(in_core(header.pack())) == header


def test_parents_are_put_in_order() -> None:
    header = GroupHeader(SENDER, GIVEN.own.id, 0, cast.ROSTER, PARENTS)
    assert GroupHeader.read(in_core(header.pack())).parents == tuple(sorted(PARENTS))


@pytest.mark.parametrize(
    ("hashes", "ages"),
    [
        ([2, 1, 0, 0], [0, 0, 0, 0]),
        ([1, 1, 0, 0], [0, 0, 0, 0]),
        ([1, 1, 0, 0], [0, 1, 0, 0]),
        ([0, 1, 0, 0], [0, 0, 0, 0]),
        ([1, 0, 2, 0], [0, 0, 0, 0]),
        ([1, 0, 0, 0], [0, 1, 0, 0]),
        ([0, 0, 0, 0], [0, 0, 0, 1]),
    ],
)
def test_a_header_has_one_encoding(hashes: list[int], ages: list[int]) -> None:
    plain = GroupHeader(SENDER, GIVEN.own.id, 0, cast.ROSTER, ()).pack()
    packed = plain[:50] + b"".join(bytes([n]) * 32 for n in hashes) + bytes(ages)
    with pytest.raises(DecodeError, match=r"^not the header of a post$"):
        GroupHeader.read(in_core(packed))


@pytest.mark.parametrize("slot", [64, 255])
def test_a_slot_that_cannot_be(slot: int) -> None:
    header = bytes([slot]) + GroupHeader(SENDER, GIVEN.own.id, 0, cast.ROSTER, ()).pack()[1:]
    with pytest.raises(DecodeError):
        GroupHeader.read(in_core(header))
    with pytest.raises(DecodeError, match=r"^not the header of a key block$"):
        KeyHeader.read(Core(GIVEN.core[:21] + bytes([slot]) + GIVEN.core[22:]))


# --- Slots ----------------------------------------------------------------------------------------


def slot_of(core: bytes, reader: int) -> slice:
    at = SLOTS_AT + 16 * reader
    return slice(at, at + 16)


def with_slot(core: bytes, reader: int, value: bytes) -> bytes:
    place = slot_of(core, reader)
    return core[: place.start] + value + core[place.stop :]


def test_unused_slots_are_noise_and_change_nothing() -> None:
    _, core = post()
    empty = [core[slot_of(core, slot)] for slot in range(3, 64)]
    assert len(set(empty)) == len(empty)
    assert bytes(16) not in empty
    noisy = with_slot(core, 40, b"x" * 16)
    assert read(taken(1), noisy, 1)[1] == b"words"


def test_the_content_hash_leaves_the_slots_out() -> None:
    _, core = post()
    for reader in range(64):
        assert content_hash(Core(with_slot(core, reader, bytes(16)))) == content_hash(core)
    assert content_hash(Core(flip(core, 8 * SLOTS_AT - 1))) != content_hash(core)


def test_attack_insider_speaks_as_another() -> None:
    """A reader knows the chain and so every body key; what it lacks is another reader's MAC."""
    insider = taken(0)
    assert insider.chain.key is not None
    forged_own = OwnGeneration(
        insider.id, cast.HOUR, insider.chain.key, 0, {Slot(0): insider.mac, Slot(1): insider.mac}
    )
    _, forged = post(forged_own, b"never said")
    with pytest.raises(AuthenticationError, match=r"^a post's slot for me does not verify$"):
        read(taken(1), forged, 1)
    assert read(taken(0), forged, 0)[1] == b"never said"


def test_deniability_a_reader_can_always_have_made_its_own_slot() -> None:
    """Byte for byte, for the part that the reader can show: the rest is noise to everybody else."""
    _, real = post()
    insider = taken(1)
    assert insider.chain.key is not None
    known = OwnGeneration(insider.id, cast.HOUR, insider.chain.key, 0, {Slot(1): insider.mac})
    _, forged = post(known)
    assert forged[:SLOTS_AT] == real[:SLOTS_AT]
    assert forged[slot_of(forged, 1)] == real[slot_of(real, 1)]
    assert read(taken(1), forged, 1) == read(taken(1), real, 1)


def test_attack_67_framing_an_honest_sender_by_altered_slots() -> None:
    """Altered slots change no content hash: the reader refuses, and nobody counts two posts."""
    _, core = post()
    altered = with_slot(core, 1, b"x" * 16)
    held = taken(1)
    with pytest.raises(AuthenticationError, match="slot for me"):
        read(held, altered, 1)
    assert held == taken(1)
    assert content_hash(Core(altered)) == content_hash(core)
    assert read(held, core, 1)[1] == b"words"


def test_attack_68_slots_valid_for_some_only() -> None:
    own = replace(GIVEN.own, readers={k: v for k, v in GIVEN.own.readers.items() if k != 2})
    _, core = post(own)
    assert read(taken(1), core, 1)[1] == b"words"
    with pytest.raises(AuthenticationError, match="slot for me"):
        read(taken(2), core, 2)


def test_attack_21_one_number_two_contents_are_both_verified_and_seen() -> None:
    """A sender shows one thing to Anna and another to Bela: two hashes under one number."""
    _, one = post(part=b"yes")
    _, two = post(part=b"no")
    held = taken(1)
    for core, part in ((one, b"yes"), (two, b"no")):
        assert read(held, core, 1)[1] == part
    headers = [GroupHeader.read(core) for core in (one, two)]
    assert headers[0][:3] == headers[1][:3]
    assert content_hash(one) != content_hash(two)


def test_attack_69_one_ciphertext_two_keys() -> None:
    """Under a key that is not the chain's the commitment differs, whatever the ciphertext does."""
    head = cast.head(Kind.GROUP)
    other = CoreKey(MessageKey(bytes(32)), cast.clock, head)
    header = GroupHeader(SENDER, GIVEN.own.id, 0, cast.ROSTER, ())
    front = head.pack() + header.pack() + other.commitment
    hashed = front + other.seal(pad(b"two ways", 2781), front)
    digest = ContentHash(hash_(Label.CONTENT, hashed))
    slots = sender_key.slot_mac(GIVEN.own.readers[Slot(1)], 0, digest)
    core = (hashed + bytes(16) + slots).ljust(limits.CORE, b"\0")
    with pytest.raises(AuthenticationError, match="commitment"):
        read(taken(1), core, 1)


def test_attack_18_the_bits_of_a_post_cannot_be_changed() -> None:
    _, core = post()
    held = taken(1)
    for altered in sampled_flips(core[1:SLOTS_AT], 499):
        with pytest.raises(RemoteProtocolError):
            read(held, core[:1] + altered + core[SLOTS_AT:], 1)
    for bit in range(128):
        with pytest.raises(AuthenticationError):
            read(held, flip(core, 8 * slot_of(core, 1).start + bit), 1)
    assert held == taken(1)


def test_a_post_is_of_its_hour() -> None:
    _, core = post()
    later = core[:1] + (cast.HOUR + 1).to_bytes(4) + core[5:]
    with pytest.raises(AuthenticationError):
        read(taken(1), later, 1)


# --- Key blocks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, 33, 63])
def test_a_key_block_gives_all_peers_the_same_chain(count: int) -> None:
    slots = READERS[:count]
    own, core = given_to(*slots)
    assert len(core) == limits.CORE
    assert KeyHeader.read(core) == (SENDER, own.id, cast.ROSTER)
    for slot in slots:
        held = taken(slot, core)
        assert (held.id, held.chain.key, held.mac) == (own.id, own.chain, own.readers[slot])
        assert named(core, slot) == (1, 2)
        assert held.block == own.block == content_hash(core)
    assert len({seed.expose() for seed in own.readers.values()}) == count


def test_an_entry_as_written() -> None:
    """Key from the key rule, context `"wrap" | u8 sender | u8 j`; bound to head, j, step, use, and
    these masked.
    """
    secret = wrap(1).secret.expose() + cast.clock(cast.HOUR).expose()
    context = cast.HOUR.to_bytes(4) + bytes([6]) + b"wrap" + bytes([SENDER, 1])
    key = kdf(secret, KEY_HEAD.salt, Label.CORE_KEY, context, 64)[:32]
    place = cast.HOUR.to_bytes(4) + bytes([6, SENDER, 1])
    under = mask(1).expose() + cast.clock(cast.HOUR).expose()
    hidden = kdf(under, KEY_HEAD.salt, Label.STEP_MASK, place, 4)
    masked = bytes(a ^ b for a, b in zip(b"\0\0\1\2", hidden, strict=True))
    seed = open_(key, GIVEN.core[126:174], GIVEN.core[:70] + b"\1" + masked)
    assert GIVEN.core[122:126] == masked
    assert sender_key.generation_id(ChainSeed(seed)) == GIVEN.own.id


def test_a_key_block_gives_nothing_to_others() -> None:
    for slot in (3, SENDER, 63):
        with pytest.raises(AuthenticationError):
            taken(slot)


def test_two_readers_entries_cannot_be_swapped() -> None:
    places = [70 + 52 * slot for slot in (0, 1)]
    entries = [GIVEN.core[at : at + 52] for at in places]
    core = Core(GIVEN.core[:70] + entries[1] + entries[0] + GIVEN.core[70 + 104 :])
    for reader, of in ((0, 0), (0, 1), (1, 0)):
        with pytest.raises(AuthenticationError):
            taken(reader, core, wrap(of).secret)


@pytest.mark.parametrize(("step", "use"), [(2, 2), (1, 3), (1, 1)])
def test_another_step_or_use_does_not_open(step: int, use: int) -> None:
    with pytest.raises(AuthenticationError):
        taken(1, key=wrap(1, step, use).secret)
    turned = bytes([0, 0, 1 ^ step, 2 ^ use])
    lie = bytes(a ^ b for a, b in zip(GIVEN.core[122:126], turned, strict=True))
    other = Core(GIVEN.core[:122] + lie + GIVEN.core[126:])
    assert named(other, 1) == (step, use)
    with pytest.raises(AuthenticationError):
        taken(1, other)


def test_attack_64_others_do_not_count_by_a_key_block_what_two_say() -> None:
    """Step and use are noise to everybody else, and other noise in each core."""
    seen = set()
    for salt in range(50):
        coins, head = ScriptedEntropy("as ever"), cast.head(Kind.KEY, salt)
        _, core = sender_key.seal_key_block(SENDER, cast.ROSTER, wraps(1), cast.clock, head, coins)
        assert named(core, 1) == (1, 2)
        seen.add(core[122:126])
        assert sender_key.wrapped(core, SENDER, Slot(1), mask(2), cast.clock, head) != (1, 2)
    assert len(seen) == 50


def test_the_highest_step_and_use() -> None:
    last = wrap(1)._replace(step=Step(2**24 - 1), use=255)
    _, core = sender_key.seal_key_block(
        SENDER, cast.ROSTER, {Slot(1): last}, cast.clock, KEY_HEAD, ScriptedEntropy()
    )
    assert named(core, 1) == last[:2]
    assert taken(1, core, last.secret).chain.key is not None


def test_attack_69_the_generation_id_commits_to_the_seed() -> None:
    """A sender wraps another seed for one reader: that reader refuses it."""
    other = ChainSeed(b"o" * 32)
    front = GIVEN.core[:70]
    key = CoreKey(wrap(1).secret, cast.clock, KEY_HEAD, b"wrap" + bytes([SENDER, 1]))
    wrapped = key.seal(other.expose(), front + b"\1" + GIVEN.core[122:126])
    core = Core(GIVEN.core[:126] + wrapped + GIVEN.core[174:])
    with pytest.raises(AuthenticationError, match=r"^a key block gives another generation than"):
        taken(1, core)
    assert taken(0, core).id == GIVEN.own.id


def test_the_bits_before_the_entries_are_bound_to_each() -> None:
    for bit in (*range(8 * 5, 8 * 70, 13), 8 * 122, 8 * 126, 8 * 174 - 1):
        core = Core(flip(GIVEN.core, bit))
        with pytest.raises(RemoteProtocolError):
            taken(1, core, head=head_of(core))


def test_two_key_blocks_are_two_generations() -> None:
    own, _ = sender_key.seal_key_block(
        SENDER, cast.ROSTER, wraps(0), cast.clock, KEY_HEAD, ScriptedEntropy("another")
    )
    assert own.id != GIVEN.own.id
    assert own.readers[Slot(0)] != GIVEN.own.readers[Slot(0)]


# --- Key blocks on a line -------------------------------------------------------------------------


class Turn(NamedTuple):
    """A key block, and both ends of the line after it."""

    own: Line
    reader: Line
    core: Core
    held: PeerGeneration


def turn(own: Line, reader: Line, salt: int) -> Turn:
    """Bela gives Anna a generation."""
    own, use = line.spend(own)
    head = cast.head(Kind.KEY, salt)
    _, core = sender_key.seal_key_block(
        Slot(1), cast.ROSTER, {Slot(0): use}, cast.clock, head, ScriptedEntropy(salt)
    )
    reader, held = opened(reader, core)
    return Turn(own, reader, core, held)


def on_a_line(core: Core) -> tuple[Step, int]:
    """Step and use, as Anna reads what Bela gives."""
    (key,) = cast.answered().a.masks
    return sender_key.wrapped(core, Slot(1), Slot(0), key, cast.clock, head_of(core))


def opened(reader: Line, core: Core) -> tuple[Line, PeerGeneration]:
    ((after, secret),) = line.redeem(reader, *on_a_line(core))
    held = sender_key.open_key_block(
        core, KeyHeader.read(core), Slot(0), secret, cast.clock, head_of(core)
    )
    return after, held


@cache
def turns() -> tuple[Turn, ...]:
    """Six key blocks under one export, of an answered line."""
    a, b = cast.answered()
    made = [turn(b, a, 0)]
    for salt in range(1, 6):
        made.append(turn(made[-1].own, made[-1].reader, salt))
    return tuple(made)


def test_c4_a_use_opens_one_key_block_only() -> None:
    assert [on_a_line(each.core) for each in turns()] == [(1, use) for use in range(6)]
    assert len({each.held.id for each in turns()}) == 6


@pytest.mark.parametrize("place", range(6))
def test_c4_a_copied_state_opens_no_key_block_that_was_opened_before(place: int) -> None:
    """A thief of either device, with E(hour) and all that the relay ever held."""
    for copy in (turns()[place].reader, turns()[place].own):
        keys = [MessageKey(key) for key in uses_from(copy)]
        for number, each in enumerate(turns()):
            found = any(opens(each.core, key) for key in keys)
            assert found == (number > place), number


def uses_from(copy: Line) -> list[bytes]:
    """What a thief can take for a key: every secret, and the chain that may follow from each."""
    found = []
    for held in secrets_of(copy):
        chain = ChainKey(held.expose()[:32])
        found.append(chain.expose())
        for _ in range(8):
            chain, secret = step(chain)
            found.append(secret.expose())
    return found


def opens(core: Core, key: MessageKey) -> bool:
    try:
        sender_key.open_key_block(
            core, KeyHeader.read(core), Slot(0), key, cast.clock, head_of(core)
        )
    except AuthenticationError:
        return False
    return True


def test_attack_09_a_key_block_that_comes_again_gives_nothing() -> None:
    last = turns()[-1]
    for each in turns():
        assert list(line.redeem(last.reader, *on_a_line(each.core))) == []


def test_key_blocks_that_come_late_still_open() -> None:
    reader, _ = cast.answered()
    for each in reversed(turns()):
        reader, held = opened(reader, each.core)
        assert held == each.held
    assert reader == turns()[-1].reader


# --- Seeds ----------------------------------------------------------------------------------------


def test_a_newcomer_is_handed_the_generation_as_it_stands() -> None:
    own, before = post()
    key = export(60, step=4)
    held = sender_key.from_seeds(own.seeds(), key, cast.HOUR)
    own, after = post(own.with_reader(Slot(60), key), b"welcome", salt=1)
    assert read(held, after, 60)[1] == b"welcome"
    assert read(taken(1), after, 1)[1] == b"welcome"
    with pytest.raises(AuthenticationError):
        read(held, before, 60)
    assert own.seeds().number == 2
    assert (held.id, held.first, held.hour) == (own.id, 1, cast.HOUR)


def test_seeds_do_not_reach_back() -> None:
    """Even with a slot of its own a newcomer has no key for what was said before."""
    own, _ = post()
    key = export(60)
    _, earlier = post(GIVEN.own.with_reader(Slot(60), key))
    with pytest.raises(ReplayError):
        read(sender_key.from_seeds(own.seeds(), key, cast.HOUR), earlier, 60)


def test_with_reader_leaves_the_others() -> None:
    own = GIVEN.own.with_reader(Slot(60), export(60))
    assert own.readers == {
        **GIVEN.own.readers,
        Slot(60): sender_key.mac_seed(export(60), own.id),
    }
    assert Slot(60) not in GIVEN.own.readers


def test_secrets_do_not_print() -> None:
    shown = repr((GIVEN.own, taken(1), GIVEN.own.seeds()))
    for secret in (GIVEN.own.chain, *GIVEN.own.readers.values()):
        assert secret.expose().hex() not in shown
        assert repr(secret.expose()) not in shown
