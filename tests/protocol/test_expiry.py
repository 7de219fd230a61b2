"""Expiry keys: SPEC.md section 19. Places, items, and a file driven against a model."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
)

from backchannel.protocol import epoch, expiry
from backchannel.protocol.errors import (
    AuthenticationError,
    LocalProtocolError,
    StaleError,
    StateError,
)
from backchannel.protocol.expiry import (
    MOST_LEAP,
    PLACE,
    ExpiryKeys,
    Place,
    PlaceKind,
    Write,
    synced,
)
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import hash_, kdf
from backchannel.protocol.secret import ClockValue, ExpiryKey, ItemKey, StoreKey, ThreadKey
from backchannel.protocol.types import Block, Hour
from tests.support.entropy import ScriptedEntropy

START = Hour(489_936)  # the first hour of a day
STORE = StoreKey(bytes(range(32)))
NAME = bytes(range(16))
MAGIC = b"backchannel/1 expiry" + bytes(4)
FIRST = 2 * PLACE  # behind the headers
EMPTY = Place(PlaceKind.EMPTY, bytes(24), Hour(0), 0, bytes(32))


def fresh(places: int = 4) -> tuple[bytearray, ExpiryKeys]:
    disk = bytearray(ExpiryKeys.new(START, places, ScriptedEntropy("file")))
    return disk, ExpiryKeys(bytes(disk))


def put(disk: bytearray, writes: list[Write]) -> None:
    """What a shell does with `pwrite`."""
    for write in writes:
        disk.extend(bytes(max(0, write.offset - len(disk))))
        disk[write.offset : write.offset + len(write.data)] = write.data


def torn(old: bytes, new: bytes, at: int, *, tail: bool) -> bytes:
    """A write that ended at byte `at`; with `tail` the end of it came first."""
    return old[:at] + new[at:] if tail else new[:at] + old[at:]


# --- Places ---------------------------------------------------------------------------------------

HOURS = st.integers(0, 2**32 - 1).map(Hour)
VALUES = st.binary(min_size=32, max_size=32)


def named(kind: PlaceKind, name: bytes, extra: int = 0) -> st.SearchStrategy[Place]:
    return st.builds(Place, st.just(kind), st.just(name), HOURS, st.just(extra), VALUES)


def of_day(day: int, place: Place) -> Place:
    name = day.to_bytes(4) + place.hour.to_bytes(4)
    return place._replace(kind=PlaceKind.EXPIRY, name=name.ljust(24, b"\0"))


NAMES = st.binary(min_size=16, max_size=16).map(lambda name: name.ljust(24, b"\0"))
THREADS = NAMES.flatmap(lambda name: named(PlaceKind.THREAD, name))
CLOCKS = st.tuples(NAMES, HOURS).flatmap(lambda both: named(PlaceKind.CLOCK, *both))
PLACES = st.one_of(
    named(PlaceKind.HEADER, MAGIC), THREADS, CLOCKS, st.builds(of_day, HOURS, THREADS)
)


@given(PLACES)
def test_a_place_is_read_as_written(place: Place) -> None:
    assert len(place.pack()) == PLACE
    assert Place.read(place.pack()) == place


def test_the_bytes_of_a_place() -> None:
    place = Place(PlaceKind.CLOCK, NAME.ljust(24, b"\0"), START, 720, b"\7" * 32)
    body = "04" + NAME.hex() + "00" * 8 + "000779d0" + "000002d0" + "07" * 32 + "00" * 415
    assert place.pack().hex() == body + hash_(Label.PLACE, bytes.fromhex(body)).hex()


def test_an_empty_place_is_zeros_and_their_checksum() -> None:
    assert EMPTY.pack() == bytes(480) + hash_(Label.PLACE, bytes(480))
    assert Place.read(EMPTY.pack()) == EMPTY


@given(PLACES, st.integers(0, 8 * PLACE - 1))
def test_a_damaged_place_is_empty(place: Place, bit: int) -> None:
    data = bytearray(place.pack())
    data[bit // 8] ^= 1 << bit % 8
    assert Place.read(bytes(data)) == EMPTY


@pytest.mark.parametrize("data", [b"", b"\0", bytes(480), bytes(PLACE), b"\xff" * PLACE])
def test_what_was_never_written_is_empty(data: bytes) -> None:
    assert Place.read(data) == EMPTY


@pytest.mark.parametrize("kind", [6, 255])
def test_a_place_of_an_unknown_kind_is_empty(kind: int) -> None:
    body = bytes([kind]) + bytes(479)
    assert Place.read(body + hash_(Label.PLACE, body)) == EMPTY


@pytest.mark.parametrize(
    "place",
    [
        EMPTY._replace(value=b"\1" * 32),
        EMPTY._replace(hour=START),
        Place(PlaceKind.THREAD, bytes(16) + b"\1" + bytes(7), START, 0, bytes(32)),
        Place(PlaceKind.CLOCK, bytes(16) + b"\1" + bytes(7), START, 0, bytes(32)),
        Place(PlaceKind.BASE, bytes(16) + b"\1" + bytes(7), START, 0, bytes(32)),
    ],
)
def test_a_place_that_nobody_writes_is_empty(place: Place) -> None:
    assert Place.read(place.pack()) == EMPTY


@given(PLACES, st.integers(65, 479))
def test_a_place_with_filler_is_not_read(place: Place, at: int) -> None:
    body = bytearray(place.pack()[:480])
    body[at] = 1
    assert Place.read(bytes(body) + hash_(Label.PLACE, bytes(body))) == EMPTY


@pytest.mark.parametrize("kind", PlaceKind)
@given(place=PLACES, name=st.binary(min_size=24, max_size=24))
def test_a_place_of_a_name_that_is_not_its_own_is_not_read(
    kind: PlaceKind, place: Place, name: bytes
) -> None:
    other = place._replace(kind=kind, name=name[:23] + b"\1")
    assert Place.read(other.pack()) == EMPTY


@pytest.mark.parametrize("kind", [PlaceKind.HEADER, PlaceKind.EXPIRY, PlaceKind.THREAD])
def test_only_a_clock_has_a_lifetime(kind: PlaceKind) -> None:
    name = {PlaceKind.HEADER: MAGIC}.get(kind, bytes(24))
    place = Place(kind, name, Hour(0), 0, bytes(32))
    assert Place.read(place.pack()) == place
    assert Place.read(place._replace(extra=1).pack()) == EMPTY


def test_nothing_of_a_key_is_shown() -> None:
    place = Place(PlaceKind.EXPIRY, bytes(24), START, 0, b"\xa5" * 32)
    shown = f"{place!r} {Write(512, place.pack())!r}"
    assert shown == f"<Place EXPIRY {START}> <Write 512 at 512>"


@pytest.mark.parametrize("tail", [False, True])
@given(st.tuples(PLACES | st.just(EMPTY), PLACES | st.just(EMPTY)), st.integers(0, PLACE))
def test_attack_30_torn_writes_give_old_or_new_or_nothing(
    tail: bool, pair: tuple[Place, Place], at: int
) -> None:
    old, new = pair
    assert Place.read(torn(old.pack(), new.pack(), at, tail=tail)) in (old, new, EMPTY)


# --- Items ----------------------------------------------------------------------------------------

KEY = ExpiryKey(b"\1" * 32)
THREAD = ThreadKey(b"\2" * 32)


def test_the_item_key_as_written() -> None:
    """`kdf(store key | expiry key | thread key (or zeros), "", "item key", "", 32)`."""
    for thread, last in ((None, bytes(32)), (THREAD, THREAD.expose())):
        ikm = STORE.expose() + KEY.expose() + last
        assert expiry.item_key(STORE, KEY, thread) == ItemKey(kdf(ikm, b"", Label.ITEM_KEY))


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_an_item_opens_only_where_it_stands(plain: bytes, about: bytes) -> None:
    key = expiry.item_key(STORE, KEY)
    item = expiry.seal_item(key, plain, about, ScriptedEntropy())
    assert len(item) == 24 + len(plain) + 16
    assert expiry.open_item(key, item, about) == plain
    with pytest.raises(AuthenticationError):
        expiry.open_item(key, item, about + b"\0")
    with pytest.raises(AuthenticationError):
        expiry.open_item(expiry.item_key(STORE, KEY, THREAD), item, about)


@pytest.mark.parametrize("size", [0, 1, 23, 24, 39, 40])
def test_an_item_cut_short_does_not_open(size: int) -> None:
    key = expiry.item_key(STORE, KEY)
    item = expiry.seal_item(key, b"plain", b"", ScriptedEntropy())
    with pytest.raises(AuthenticationError):
        expiry.open_item(key, item[:size], b"")


def test_two_items_of_one_text_differ() -> None:
    key, entropy = expiry.item_key(STORE, KEY), ScriptedEntropy()
    items = {expiry.seal_item(key, b"plain", b"", entropy) for _ in range(10)}
    assert len(items) == 10


def test_a_stored_block_opens_only_where_it_stands() -> None:
    """`nonce 12 | ChaCha20-Poly1305`, by RFC 8439 itself."""
    key, block, about = expiry.item_key(STORE, KEY), Block(bytes(range(256)) * 16), bytes(24)
    stored = expiry.seal_block(key, block, about, ScriptedEntropy())
    assert len(stored) == expiry.STORED_BLOCK == 12 + 4096 + 16
    assert expiry.open_block(key, stored, about) == block
    cipher = ChaCha20Poly1305(key.expose())
    assert cipher.decrypt(stored[:12], stored[12:], about) == block
    for other in (about + b"\0", bytes(23) + b"\1"):
        with pytest.raises(AuthenticationError):
            expiry.open_block(key, stored, other)
    for broken in (stored[:-1], stored + b"\0", b"", bytes([stored[0] ^ 1]) + stored[1:]):
        with pytest.raises(AuthenticationError):
            expiry.open_block(key, broken, about)


def test_two_stored_blocks_of_one_differ() -> None:
    key, entropy = expiry.item_key(STORE, KEY), ScriptedEntropy()
    stored = {expiry.seal_block(key, Block(bytes(4096)), bytes(24), entropy) for _ in range(10)}
    assert len(stored) == 10


# --- Files ----------------------------------------------------------------------------------------


def test_a_fresh_file() -> None:
    disk, keys = fresh(4)
    header = Place.read(bytes(disk[:PLACE]))
    assert len(disk) == 6 * PLACE
    assert header.name == MAGIC
    assert header.value == ScriptedEntropy("file").draw(32)
    assert keys.highest == START
    assert disk[PLACE:FIRST] == disk[:PLACE]
    assert disk[FIRST:] == EMPTY.pack() * 4


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        bytes(PLACE),
        EMPTY.pack(),
        fresh()[0][1:],
        fresh()[0][: PLACE - 1],
        Place(PlaceKind.HEADER, bytes(24), START, 0, bytes(32)).pack(),
        Place(PlaceKind.CLOCK, MAGIC, START, 0, bytes(32)).pack(),
        bytes(FIRST) + fresh()[0][:PLACE],
    ],
)
def test_what_is_no_file_is_refused(data: bytes) -> None:
    with pytest.raises(StateError, match=r"^not an expiry-key file$"):
        ExpiryKeys(bytes(data))


def test_one_expiry_key_twice_is_refused() -> None:
    """Erasing would take one of them and leave the other."""
    disk, keys = fresh()
    put(disk, keys.add(START, Hour(START + 1), ScriptedEntropy())[1])
    with pytest.raises(StateError, match=r"^an expiry-key file holds one name twice$"):
        ExpiryKeys(bytes(disk + disk[FIRST : FIRST + PLACE]))


@pytest.mark.parametrize("twin", [0, 1])
def test_one_header_is_enough(twin: int) -> None:
    disk, keys = fresh()
    key, writes = keys.add(START, Hour(START + 50), ScriptedEntropy())
    put(disk, writes)
    disk[twin * PLACE : (twin + 1) * PLACE] = bytes(PLACE)
    keys = ExpiryKeys(bytes(disk))
    assert keys.highest == START
    for hour in (Hour(START + 1), Hour(START + 2)):
        put(disk, keys.advance(hour))
        assert ExpiryKeys(bytes(disk)).highest == hour
    assert ExpiryKeys(bytes(disk)).get(START, Hour(START + 50), START) == key
    assert all(Place.read(bytes(disk[at:][:PLACE])).name == MAGIC for at in (0, PLACE))


def test_a_file_of_one_header_alone() -> None:
    disk, _ = fresh(0)
    keys = ExpiryKeys(bytes(disk[:PLACE]))
    _, (write,) = keys.add(START, Hour(START + 1), ScriptedEntropy())
    assert write.offset == FIRST


def test_a_header_elsewhere_is_cleared_and_never_believed() -> None:
    disk, _ = fresh(1)
    disk[FIRST:] = Place(PlaceKind.HEADER, MAGIC, Hour(START + 9), 0, bytes(32)).pack()
    keys = ExpiryKeys(bytes(disk))
    assert keys.highest == START
    assert keys.advance(START) == [Write(FIRST, EMPTY.pack())]


def test_a_key_where_a_header_belongs_is_not_read() -> None:
    disk, keys = fresh()
    _, (write,) = keys.add(START, Hour(START + 1), ScriptedEntropy())
    put(disk, [Write(PLACE, write.data)])
    assert ExpiryKeys(bytes(disk)).find(START, Hour(START + 1)) is None


@pytest.mark.parametrize("size", range(0, PLACE + 1, 64))
def test_a_file_that_grew_by_half_a_place_still_reads(size: int) -> None:
    disk, keys = fresh(0)
    key, (write,) = keys.add(START, Hour(START + 5), ScriptedEntropy())
    assert write.offset == len(disk)
    again = ExpiryKeys(bytes(disk) + write.data[:size])
    assert again.find(START, Hour(START + 5)) == (key if size == PLACE else None)


def test_attack_30_a_torn_header_leaves_its_twin() -> None:
    disk, keys = fresh(0)
    for hour in (Hour(START + 0x1234), Hour(START + 0x3456)):
        (write,) = keys.advance(hour)
        before = ExpiryKeys(bytes(disk)).highest
        old = bytes(disk[write.offset :][:PLACE])
        for at in range(PLACE + 1):
            for tail in (False, True):
                half = bytearray(disk)
                put(half, [Write(write.offset, torn(old, write.data, at, tail=tail))])
                assert ExpiryKeys(bytes(half)).highest in (before, hour)
        put(disk, [write])


def test_places_are_filled_again() -> None:
    disk, keys = fresh(1)
    for day in range(5):
        now = Hour(START + 24 * day)
        put(disk, keys.advance(now))
        put(disk, keys.add(now, Hour(now + 24), ScriptedEntropy(day))[1])
    assert len(disk) == 3 * PLACE


def test_a_file_that_is_full_grows_by_a_place_at_a_time() -> None:
    disk, keys = fresh(1)
    for more in range(4):
        put(disk, keys.add(START, Hour(START + 1 + more), ScriptedEntropy(more))[1])
        assert len(disk) == (3 + more) * PLACE


@pytest.mark.parametrize("damaged", [0, 1])
def test_no_key_is_put_where_a_header_belongs(damaged: int) -> None:
    """Not even where the header there is torn: the next hour is written to it."""
    disk, _ = fresh()
    disk[damaged * PLACE : (damaged + 1) * PLACE] = bytes(PLACE)
    keys = ExpiryKeys(bytes(disk))
    (write,) = keys.add(START, Hour(START + 5), ScriptedEntropy())[1]
    assert write.offset == FIRST
    (raised,) = keys.advance(Hour(START + 1))
    assert raised.offset == damaged * PLACE


def test_a_clock_that_stands_where_it_should_is_not_written_again() -> None:
    disk, keys = fresh()
    put(disk, keys.set_clock(NAME, START, ClockValue(bytes(32)), 24))
    assert len(keys.advance(Hour(START + 26))) == 1
    assert len(keys.advance(Hour(START + 27))) == 3


def test_a_base_key_stands_beside_the_one_before_until_that_is_erased() -> None:
    disk, keys = fresh()
    first, writes = keys.add_base(START, ScriptedEntropy("one"))
    put(disk, writes)
    (old,) = keys.names(PlaceKind.BASE)
    second, writes = keys.add_base(Hour(START + 24), ScriptedEntropy("two"))
    assert [len(write.data) for write in writes] == [PLACE]
    put(disk, writes)
    again = ExpiryKeys(bytes(disk))
    (new,) = again.names(PlaceKind.BASE) - {old}
    places = [Place.read(bytes(disk[at : at + PLACE])) for at in (FIRST, FIRST + PLACE)]
    assert places == [
        Place(PlaceKind.BASE, old.ljust(24, b"\0"), START, 0, first.expose()),
        Place(PlaceKind.BASE, new.ljust(24, b"\0"), Hour(START + 24), 0, second.expose()),
    ]
    drawn = ScriptedEntropy("one")
    assert (old, first.expose()) == (drawn.draw(16), drawn.draw(32))
    put(disk, again.erase(PlaceKind.BASE, old))
    assert ExpiryKeys(bytes(disk)).names(PlaceKind.BASE) == {new}
    assert first.expose() not in bytes(disk)


def test_one_key_a_day_and_hour_of_expiry() -> None:
    _, keys = fresh()
    entropy = ScriptedEntropy()
    first, writes = keys.add(START, Hour(START + 50), entropy)
    assert len(writes) == 1
    assert keys.add(Hour(START + 23), Hour(START + 50), entropy) == (first, [])
    assert keys.find(Hour(START + 23), Hour(START + 50)) == first
    assert keys.find(Hour(START + 24), Hour(START + 50)) is None
    other, _ = keys.add(START, Hour(START + 51), entropy)
    later, _ = keys.add(Hour(START + 24), Hour(START + 50), entropy)
    assert len({first.expose(), other.expose(), later.expose()}) == 3


@pytest.mark.parametrize("ahead", [-1, 0])
def test_no_key_for_an_hour_that_is_over(ahead: int) -> None:
    with pytest.raises(LocalProtocolError, match=r"^that hour is over$"):
        fresh()[1].add(START, Hour(START + ahead), ScriptedEntropy())


def test_attack_25_a_key_is_gone_at_its_hour_before_anybody_erases_it() -> None:
    _, keys = fresh()
    end = Hour(START + 5)
    key, _ = keys.add(START, end, ScriptedEntropy())
    thread, _ = keys.add_thread(NAME, end, ScriptedEntropy(1))
    assert keys.get(START, end, Hour(end - 1)) == key
    assert keys.thread(NAME, Hour(end - 1)) == thread
    with pytest.raises(StaleError, match=r"^it has expired$"):
        keys.get(START, end, end)
    with pytest.raises(StaleError, match=r"^the thread has expired$"):
        keys.thread(NAME, end)


def test_attack_28_clock_rollback_revives_nothing() -> None:
    disk, keys = fresh()
    end = Hour(START + 5)
    key, writes = keys.add(START, Hour(START + 9), ScriptedEntropy())
    put(disk, writes + keys.advance(end))
    for held in (keys, ExpiryKeys(bytes(disk))):
        assert held.hour(START) == held.highest == end
        assert held.advance(START) == []
        assert held.get(START, Hour(START + 9), START) == key
        with pytest.raises(LocalProtocolError):
            held.add(START, end, ScriptedEntropy())


@pytest.mark.parametrize(("ahead", "leaps"), [(-99, False), (0, False), (24, False), (25, True)])
def test_attack_57_a_leap_of_the_clock_is_noticed(ahead: int, leaps: bool) -> None:
    assert fresh()[1].leaps(Hour(START + ahead)) is leaps


@pytest.mark.parametrize("ahead", [MOST_LEAP, MOST_LEAP + 1, 2**32, 2**64])
def test_attack_57_an_absurd_hour_changes_nothing_and_costs_nothing(ahead: int) -> None:
    disk, keys = fresh()
    put(disk, keys.add(START, Hour(START + 5), ScriptedEntropy())[1])
    if ahead == MOST_LEAP:
        put(disk, keys.advance(Hour(START + ahead)))
    else:
        with pytest.raises(StateError, match=r"^an hour so far ahead is no hour$"):
            keys.advance(Hour(START + ahead))
        assert keys.find(START, Hour(START + 5)) is not None
    assert ExpiryKeys(bytes(disk)).highest == keys.highest


def test_a_clock_of_an_absurd_hour_is_refused() -> None:
    _, keys = fresh()
    value, first = ClockValue(bytes(32)), Hour(START - MOST_LEAP)
    with pytest.raises(LocalProtocolError, match=r"^a clock of an hour so long ago is no clock$"):
        keys.set_clock(NAME, Hour(first - 1), value, 24)
    assert len(keys.set_clock(NAME, first, value, 24)) == 1


def test_attack_57_a_clock_that_would_take_minutes_to_move_is_not_read() -> None:
    """Whoever writes such a place could else hold up every start."""
    disk, _ = fresh()
    for hour, read in ((START - MOST_LEAP, True), (START - MOST_LEAP - 1, False)):
        place = Place(PlaceKind.CLOCK, NAME.ljust(24, b"\0"), Hour(hour), 24, bytes(32))
        disk[-PLACE:] = place.pack()
        if read:
            assert ExpiryKeys(bytes(disk)).clock(NAME)[0] == hour
        else:
            with pytest.raises(StateError, match=r"^an expiry-key file holds a clock that"):
                ExpiryKeys(bytes(disk))


def test_a_thread_lives_as_long_as_its_last_post() -> None:
    disk, keys = fresh()
    key, writes = keys.add_thread(NAME, Hour(START + 5), ScriptedEntropy())
    assert keys.prolong_thread(NAME, Hour(START + 5), START) == []
    assert keys.prolong_thread(NAME, Hour(START + 4), START) == []
    writes += keys.prolong_thread(NAME, Hour(START + 9), Hour(START + 4))
    put(disk, writes + keys.advance(Hour(START + 5)))
    assert ExpiryKeys(bytes(disk)).thread(NAME, Hour(START + 8)) == key


@pytest.mark.parametrize("dead", [0, 1, 50])
def test_a_dead_thread_is_not_revived_by_prolonging_it(dead: int) -> None:
    disk, keys = fresh()
    _, writes = keys.add_thread(NAME, Hour(START + 5), ScriptedEntropy())
    put(disk, writes)
    with pytest.raises(StaleError, match="has expired"):
        keys.prolong_thread(NAME, Hour(START + 99), Hour(START + 5 + dead))
    put(disk, keys.advance(Hour(START + 5)))
    with pytest.raises(StaleError, match="has expired"):
        keys.prolong_thread(NAME, Hour(START + 99), START)


def test_a_thread_has_one_key() -> None:
    _, keys = fresh()
    keys.add_thread(NAME, Hour(START + 5), ScriptedEntropy())
    with pytest.raises(LocalProtocolError, match=r"^that thread has a key$"):
        keys.add_thread(NAME, Hour(START + 5), ScriptedEntropy())


def test_what_is_not_there() -> None:
    _, keys = fresh()
    assert keys.erase(PlaceKind.THREAD, NAME) == []
    with pytest.raises(StaleError, match=r"^that key is gone$"):
        keys.clock(NAME)
    with pytest.raises(StaleError):
        keys.prolong_thread(NAME, Hour(START + 5), START)
    with pytest.raises(StaleError):
        keys.thread(NAME, START)


@pytest.mark.parametrize("size", [0, 15, 17, 24, 40])
def test_a_name_has_16_bytes(size: int) -> None:
    _, keys = fresh()
    value = ClockValue(bytes(32))
    asks: list[Any] = [
        lambda: keys.add_thread(bytes(size), START, ScriptedEntropy()),
        lambda: keys.set_clock(bytes(size), START, value, 24),
        lambda: keys.erase(PlaceKind.THREAD, bytes(size)),
        lambda: keys.clock(bytes(size)),
    ]
    for ask in asks:
        with pytest.raises(LocalProtocolError, match=r"^such a key is named by 16 bytes$"):
            ask()


def test_a_clock_and_a_thread_may_share_a_name() -> None:
    _, keys = fresh()
    keys.set_clock(NAME, START, ClockValue(bytes(32)), 24)
    thread, _ = keys.add_thread(NAME, Hour(START + 5), ScriptedEntropy())
    assert keys.thread(NAME, START) == thread
    assert len(keys.erase(PlaceKind.CLOCK, NAME)) == 1
    assert keys.thread(NAME, START) == thread


@given(st.integers(-40, 40), st.integers(0, 100), st.integers(1, 72))
def test_a_clock_moves_as_derived_and_only_forwards(first: int, ahead: int, lifetime: int) -> None:
    _, keys = fresh()
    value, hour = ClockValue(bytes(range(32))), Hour(START + first)
    keys.set_clock(NAME, hour, value, lifetime)
    keys.advance(Hour(START + ahead))
    kept, moved = keys.clock(NAME)
    assert kept == max(hour, START + ahead - lifetime - 2)
    assert moved == epoch.advance(value, kept - hour)
    assert keys.set_clock(NAME, Hour(kept - 1), value, lifetime) == []
    assert keys.set_clock(NAME, kept, value, lifetime) == []
    assert keys.clock(NAME) == (kept, moved)
    assert len(keys.set_clock(NAME, Hour(kept + 1), value, lifetime)) == 2
    assert keys.clock(NAME) == (kept + 1, value)


def test_a_clock_takes_a_shorter_life_at_once_and_never_a_longer_one() -> None:
    _, keys = fresh()
    value = ClockValue(bytes(range(32)))
    keys.set_clock(NAME, START, value, 24)
    assert len(keys.set_clock(NAME, START, value, 6)) == 2
    assert keys.set_clock(NAME, START, value, 12) == []
    keys.advance(Hour(START + 10))
    assert keys.clock(NAME)[0] == START + 10 - 6 - 2


@pytest.mark.parametrize("first", [True, False])
def test_of_two_clocks_of_one_hour_the_shorter_life_counts(first: bool) -> None:
    """Power was lost between filling the new place and emptying the old one."""
    value = bytes(range(32))
    name = NAME.ljust(24, b"\0")
    places = [Place(PlaceKind.CLOCK, name, START, lifetime, value) for lifetime in (24, 6)]
    disk, _ = fresh()
    for number, place in enumerate(places if first else places[::-1]):
        disk[FIRST + number * PLACE : FIRST + (number + 1) * PLACE] = place.pack()
    keys = ExpiryKeys(bytes(disk))
    keys.advance(Hour(START + 10))
    assert keys.clock(NAME)[0] == START + 10 - 6 - 2


def test_every_key_is_named_and_erased_by_that_name() -> None:
    disk, keys = fresh()
    entropy = ScriptedEntropy()
    key, writes = keys.add(START, Hour(START + 5), entropy)
    put(disk, writes)
    put(disk, keys.add_thread(NAME, Hour(START + 5), entropy)[1])
    put(disk, keys.set_clock(NAME, START, ClockValue(bytes(range(32))), 24))
    name = expiry.expiry_name(START, Hour(START + 5))
    assert keys.names(PlaceKind.EXPIRY) == {name}
    assert keys.names(PlaceKind.THREAD) == keys.names(PlaceKind.CLOCK) == {NAME}
    put(disk, keys.erase(PlaceKind.EXPIRY, name))
    assert keys.names(PlaceKind.EXPIRY) == set()
    assert keys.names(PlaceKind.THREAD) == {NAME}
    assert key.expose() not in disk


def test_attack_58_an_older_copy_opens_nothing_of_a_later_day() -> None:
    """Even with the vault's key and all items: only what was stored up to the copy's own day."""
    disk, keys = fresh()
    entropy, items, copies = ScriptedEntropy(58), [], []
    for day in range(4):
        now = Hour(START + 24 * day)
        put(disk, keys.advance(now))
        key, writes = keys.add(now, Hour(START + 240), entropy)
        put(disk, writes)
        sealing = expiry.item_key(STORE, key)
        items.append(expiry.seal_item(sealing, b"words", bytes([day]), entropy))
        copies.append(bytes(disk))
    for day, copy in enumerate(copies):
        assert [number for number in range(4) if opens(copy, items[number], number)] == list(
            range(day + 1)
        )


def opens(copy: bytes, item: bytes, number: int) -> bool:
    """Whether anything in the copy of a file is the key of an item."""
    values = [copy[at + 33 : at + 65] for at in range(0, len(copy), PLACE)]
    for value in values:
        try:
            key = expiry.item_key(STORE, ExpiryKey(value))
            return expiry.open_item(key, item, bytes([number])) == b"words"
        except AuthenticationError:
            continue
    return False


@pytest.mark.parametrize("tail", [False, True])
@pytest.mark.parametrize("at", [1, 30, 40, 64, 66, 300, 481, 511])
def test_attack_30_half_an_erasure_is_finished_later(at: int, tail: bool) -> None:
    """A place that reads as empty may still hold most of a key; the next `advance` clears it."""
    disk, keys = fresh(1)
    key, writes = keys.add(START, Hour(START + 1), ScriptedEntropy())
    put(disk, writes)
    erasing = keys.advance(Hour(START + 1))[0]
    half = torn(bytes(disk[FIRST:]), erasing.data, at, tail=tail)
    put(disk, [Write(FIRST, half)])
    put(disk, ExpiryKeys(bytes(disk)).advance(Hour(START + 1)))
    assert disk[FIRST:] == EMPTY.pack()
    assert key.expose()[-4:] not in bytes(disk)
    assert ExpiryKeys(bytes(disk)).advance(Hour(START + 1)) == []


def states(disk: bytes, writes: list[Write], cuts: tuple[int, ...]) -> list[bytes]:
    """The disk after a loss of power at each of `cuts` bytes within each write, in order."""
    found, done = [disk], bytearray(disk)
    for write in writes:
        done.extend(bytes(max(0, write.offset + PLACE - len(done))))
        old = bytes(done[write.offset :][:PLACE])
        for at in cuts:
            for tail in (False, True):
                half = bytearray(done)
                put(half, [Write(write.offset, torn(old, write.data, at, tail=tail))])
                found.append(bytes(half))
        put(done, [write])
    return [*found, bytes(done)]


@pytest.mark.parametrize(
    "change",
    [
        lambda keys: keys.advance(Hour(START + 60)),
        lambda keys: keys.set_clock(NAME, Hour(START + 1), ClockValue(b"\7" * 32), 24),
        lambda keys: keys.prolong_thread(NAME, Hour(START + 99), START),
    ],
)
def test_attack_30_a_clock_or_thread_that_moves_is_never_lost(
    change: Callable[[ExpiryKeys], list[Write]],
) -> None:
    """At any byte of any write: the old or the new, whole."""
    disk, keys = fresh(3)
    put(disk, keys.set_clock(NAME, START, ClockValue(b"\5" * 32), 24))
    put(disk, keys.add_thread(NAME, Hour(START + 90), ScriptedEntropy())[1])
    thread, before = keys.thread(NAME, START), keys.clock(NAME)
    writes = change(keys)
    after = keys.clock(NAME)
    assert len(writes) >= 2
    for state in states(bytes(disk), writes, tuple(range(PLACE + 1))):
        again = ExpiryKeys(state)
        assert again.clock(NAME) in (before, after)
        assert again.thread(NAME, START) == thread


def test_what_was_moved_from_is_emptied_by_whoever_comes_next() -> None:
    disk, keys = fresh(3)
    put(disk, keys.set_clock(NAME, START, ClockValue(b"\5" * 32), 24))
    fill, erase = keys.set_clock(NAME, Hour(START + 1), ClockValue(b"\6" * 32), 24)
    put(disk, [fill])
    asks: list[Callable[[ExpiryKeys], list[Write]]] = [
        lambda again: again.advance(START),
        lambda again: again.erase(PlaceKind.THREAD, NAME),
        lambda again: again.set_clock(NAME, Hour(START + 2), ClockValue(b"\7" * 32), 24),
    ]
    for ask in asks:
        again = ExpiryKeys(bytes(disk))
        assert again.clock(NAME) == (START + 1, ClockValue(b"\6" * 32))
        assert erase in ask(again)


def test_erasures_share_a_sync_and_nothing_else_does() -> None:
    gone, kept = EMPTY.pack(), fresh()[0][:PLACE]
    writes = [
        Write(number, bytes(kept if kind == "k" else gone)) for number, kind in enumerate("kkeekee")
    ]
    assert [[write.offset for write in group] for group in synced(writes)] == [
        [0],
        [1],
        [2, 3],
        [4],
        [5, 6],
    ]
    assert list(synced([])) == []


# --- Against a model ------------------------------------------------------------------------------

AHEAD = st.integers(1, 80)


class ExpiryFile(RuleBasedStateMachine):
    """A file on a disk that may lose power, beside plain dictionaries of what must be in it."""

    threads_made = Bundle("threads_made")
    clocks_made = Bundle("clocks_made")

    def __init__(self) -> None:
        super().__init__()
        self.entropy = ScriptedEntropy("machine")
        self.disk = bytearray(ExpiryKeys.new(START, 2, self.entropy))
        self.keys = ExpiryKeys(bytes(self.disk))
        self.now = self.highest = START
        self.live: dict[tuple[Hour, Hour], ExpiryKey] = {}
        self.threads: dict[bytes, tuple[Hour, ThreadKey]] = {}
        self.clocks: dict[bytes, tuple[Hour, ClockValue, int]] = {}
        self.dead: set[bytes] = set()

    @property
    def hour(self) -> Hour:
        return max(self.now, self.highest)

    def put(self, writes: list[Write]) -> None:
        put(self.disk, writes)

    def lose_power(self, writes: list[Write], data: st.DataObject) -> None:
        """Within any group of writes, each of that group torn on its own; then start again."""
        groups = list(synced(writes))
        done = data.draw(st.integers(0, len(groups)))
        self.put([write for group in groups[:done] for write in group])
        for write in [write for group in groups[done : done + 1] for write in group]:
            at, tail = data.draw(st.tuples(st.integers(0, PLACE), st.booleans()))
            self.disk.extend(bytes(max(0, write.offset + PLACE - len(self.disk))))
            old = bytes(self.disk[write.offset :][:PLACE])
            self.put([Write(write.offset, torn(old, write.data, at, tail=tail))])
        self.reopen()

    def clean(self) -> None:
        """What a shell does after a restart."""
        self.put(self.keys.advance(self.now))
        self.settle()

    @rule()
    def reopen(self) -> None:
        self.keys = ExpiryKeys(bytes(self.disk))

    @rule(hours=st.integers(1, 60))
    def time_passes(self, hours: int) -> None:
        self.now = Hour(self.now + hours)

    @rule(hours=st.integers(1, 200))
    def the_clock_is_set_back(self, hours: int) -> None:
        self.now = Hour(self.now - hours)

    @rule(ahead=AHEAD)
    def add(self, ahead: int) -> None:
        expires = Hour(self.hour + ahead)
        name = (Hour(self.hour // 24), expires)
        key, writes = self.keys.add(self.now, expires, self.entropy)
        self.put(writes)
        assert len(writes) == (name not in self.live)
        assert self.live.setdefault(name, key) == key

    @rule(ahead=AHEAD, data=st.data())
    def add_and_lose_power(self, ahead: int, data: st.DataObject) -> None:
        expires = Hour(self.hour + ahead)
        key, writes = self.keys.add(self.now, expires, self.entropy)
        self.lose_power(writes, data)
        found = self.keys.find(self.now, expires)
        assert found in (None, key)
        if found:
            self.live[Hour(self.hour // 24), expires] = found

    @rule(target=threads_made, ahead=AHEAD)
    def add_thread(self, ahead: int) -> bytes:
        name, expires = self.entropy.draw(16), Hour(self.hour + ahead)
        key, writes = self.keys.add_thread(name, expires, self.entropy)
        self.put(writes)
        self.threads[name] = (expires, key)
        return name

    @rule(name=threads_made, ahead=AHEAD)
    def prolong_thread(self, name: bytes, ahead: int) -> None:
        wanted = Hour(self.hour + ahead)
        if self.lives(name):
            expires, key = self.threads[name]
            self.put(self.keys.prolong_thread(name, wanted, self.now))
            self.threads[name] = (max(expires, wanted), key)
        else:
            with pytest.raises(StaleError):
                self.keys.prolong_thread(name, wanted, self.now)

    @rule(name=threads_made, ahead=AHEAD, data=st.data())
    def prolong_thread_and_lose_power(self, name: bytes, ahead: int, data: st.DataObject) -> None:
        if self.lives(name):
            expires, key = self.threads[name]
            wanted = max(expires, Hour(self.hour + ahead))
            self.lose_power(self.keys.prolong_thread(name, wanted, self.now), data)
            assert self.keys.thread(name, self.now) == key
            longer = self.until(name)
            assert longer in (expires, wanted)
            self.threads[name] = (longer, key)
            self.clean()

    def lives(self, name: bytes) -> bool:
        return name in self.threads and self.threads[name][0] > self.hour

    def until(self, name: bytes) -> Hour:
        """The hour when a thread that lives will die, as the keys have it."""
        first = self.hour
        while True:
            try:
                self.keys.thread(name, first)
            except StaleError:
                return first
            first = Hour(first + 1)

    @rule(name=consumes(threads_made))
    def erase_thread(self, name: bytes) -> None:
        self.put(self.keys.erase(PlaceKind.THREAD, name))
        self.forget_thread(name)

    @rule(name=consumes(threads_made), data=st.data())
    def erase_thread_and_lose_power(self, name: bytes, data: st.DataObject) -> None:
        """Nobody was told that it is erased; whoever comes back does it again."""
        self.lose_power(self.keys.erase(PlaceKind.THREAD, name), data)
        self.put(self.keys.erase(PlaceKind.THREAD, name))
        self.forget_thread(name)

    def forget_thread(self, name: bytes) -> None:
        if name in self.threads:
            self.dead.add(self.threads.pop(name)[1].expose())

    @rule(target=clocks_made, behind=st.integers(0, 90), lifetime=st.sampled_from([1, 24, 72]))
    def add_clock(self, behind: int, lifetime: int) -> bytes:
        name, hour = self.entropy.draw(16), Hour(self.hour - behind)
        value = ClockValue(self.entropy.draw(32))
        self.put(self.keys.set_clock(name, hour, value, lifetime))
        self.clocks[name] = (hour, value, lifetime)
        return name

    @rule(name=clocks_made, ahead=st.integers(-10, 10))
    def set_clock(self, name: bytes, ahead: int) -> None:
        hour, value, lifetime = self.clocks[name]
        moved = epoch.advance(value, max(0, ahead))
        self.put(self.keys.set_clock(name, Hour(hour + ahead), moved, lifetime))
        self.move_clock(name, Hour(hour + max(0, ahead)))

    @rule(name=clocks_made, ahead=st.integers(1, 10), data=st.data())
    def set_clock_and_lose_power(self, name: bytes, ahead: int, data: st.DataObject) -> None:
        hour, value, lifetime = self.clocks[name]
        old, new = (hour, value), (Hour(hour + ahead), epoch.advance(value, ahead))
        self.lose_power(self.keys.set_clock(name, *new, lifetime), data)
        found = self.keys.clock(name)
        assert found in (old, new)
        self.move_clock(name, found[0])
        self.clean()

    @rule()
    def advance(self) -> None:
        self.clean()

    @rule(data=st.data())
    def advance_and_lose_power(self, data: st.DataObject) -> None:
        """All that was there is old or new, and it ends as if nothing had happened."""
        self.lose_power(self.keys.advance(self.now), data)
        assert self.keys.highest in (self.highest, self.hour)
        for name, (hour, _, lifetime) in self.clocks.items():
            moved = Hour(max(hour, self.hour - lifetime - 2))
            assert self.keys.clock(name)[0] in (hour, moved)
        if data.draw(st.booleans()):
            self.lose_power(self.keys.advance(self.now), data)
        self.clean()

    def settle(self) -> None:
        """What the model says after an `advance`."""
        self.highest = self.hour
        for day in [day for day in self.live if day[1] <= self.highest]:
            self.dead.add(self.live.pop(day).expose())
        for name, (expires, _) in list(self.threads.items()):
            if expires <= self.highest:
                self.forget_thread(name)
        for name, (hour, _, lifetime) in list(self.clocks.items()):
            self.move_clock(name, Hour(max(hour, self.highest - lifetime - 2)))

    def move_clock(self, name: bytes, hour: Hour) -> None:
        """Every value below `hour` is dead, derived here one by one."""
        held, value, lifetime = self.clocks[name]
        for _ in range(hour - held):
            self.dead.add(value.expose())
            value = epoch.next_hour(value)
        self.clocks[name] = (hour, value, lifetime)

    @invariant()
    def time_never_goes_back(self) -> None:
        assert self.keys.highest == self.highest
        assert self.keys.hour(self.now) == self.hour

    @invariant()
    def living_keys_are_found_and_dead_ones_refused(self) -> None:
        for (day, expires), key in self.live.items():
            stored = Hour(24 * day + 23)
            if expires > self.hour:
                assert self.keys.get(stored, expires, self.now) == key
            else:
                with pytest.raises(StaleError):
                    self.keys.get(stored, expires, self.now)
        values = [key.expose() for key in self.live.values()]
        assert len(values) == len(set(values))

    @invariant()
    def threads_and_clocks_are_as_in_the_model(self) -> None:
        for name, (expires, key) in self.threads.items():
            if expires > self.hour:
                assert self.keys.thread(name, self.now) == key
        for name, (hour, value, _) in self.clocks.items():
            assert self.keys.clock(name) == (hour, value)

    @invariant()
    def no_part_of_a_dead_key_is_in_the_file(self) -> None:
        data = bytes(self.disk)
        assert not [
            key for key in self.dead if any(key[at : at + 8] in data for at in (0, 8, 16, 24))
        ]


TestExpiryFile = ExpiryFile.TestCase
