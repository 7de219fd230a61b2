"""Expiry keys: SPEC.md section 19. Places, items, and a file driven against a model."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
)

from backchannel.protocol import epoch, expiry
from backchannel.protocol.errors import (
    AuthenticationError,
    LocalProtocolError,
    StaleError,
    StateError,
)
from backchannel.protocol.expiry import PLACE, ExpiryKeys, Place, PlaceKind, Write
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import hash_, kdf
from backchannel.protocol.secret import ClockValue, ExpiryKey, ItemKey, StoreKey, ThreadKey
from backchannel.protocol.types import Hour
from tests.support.entropy import ScriptedEntropy

START = Hour(489_936)  # the first hour of a day
STORE = StoreKey(bytes(range(32)))
NAME = bytes(range(16))
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

PLACES = st.builds(
    Place,
    st.sampled_from([kind for kind in PlaceKind if kind is not PlaceKind.EMPTY]),
    st.binary(min_size=24, max_size=24),
    st.integers(0, 2**32 - 1).map(Hour),
    st.integers(0, 2**32 - 1),
    st.binary(min_size=32, max_size=32),
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


@pytest.mark.parametrize("kind", [5, 255])
def test_a_place_of_an_unknown_kind_is_empty(kind: int) -> None:
    body = bytes([kind]) + bytes(479)
    assert Place.read(body + hash_(Label.PLACE, body)) == EMPTY


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


# --- Files ----------------------------------------------------------------------------------------


def test_a_fresh_file() -> None:
    disk, keys = fresh(4)
    header = Place.read(bytes(disk[:PLACE]))
    assert len(disk) == 5 * PLACE
    assert header.name == b"backchannel/1 expiry" + bytes(4)
    assert header.value == ScriptedEntropy("file").draw(32)
    assert keys.highest == START
    assert disk[PLACE:] == EMPTY.pack() * 4


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
        Place(PlaceKind.CLOCK, b"backchannel/1 expiry" + bytes(4), START, 0, bytes(32)).pack(),
    ],
)
def test_what_is_no_file_is_refused(data: bytes) -> None:
    with pytest.raises(StateError, match="not an expiry-key file"):
        ExpiryKeys(bytes(data))


def test_one_name_twice_is_refused() -> None:
    """Erasing would take one of them and leave the other."""
    disk, keys = fresh()
    put(disk, keys.add_thread(NAME, START, ScriptedEntropy())[1])
    with pytest.raises(StateError, match="one name twice"):
        ExpiryKeys(bytes(disk + disk[PLACE : 2 * PLACE]))


@pytest.mark.parametrize("size", range(0, PLACE + 1, 64))
def test_a_file_that_grew_by_half_a_place_still_reads(size: int) -> None:
    disk, keys = fresh(0)
    key, (write,) = keys.add(START, Hour(START + 5), ScriptedEntropy())
    assert write.offset == len(disk)
    again = ExpiryKeys(bytes(disk) + write.data[:size])
    assert again.find(START, Hour(START + 5)) == (key if size == PLACE else None)


def test_a_torn_header_is_no_file() -> None:
    """Loud, and never another hour: a person restores it, nobody guesses."""
    disk, keys = fresh(0)
    (write,) = keys.advance(Hour(START + 0x1234))
    for at in range(PLACE + 1):
        data = torn(bytes(disk), write.data, at, tail=False)
        if data in (bytes(disk), write.data):
            assert ExpiryKeys(data).highest in (START, START + 0x1234)
        else:
            with pytest.raises(StateError):
                ExpiryKeys(data)


def test_places_are_filled_again() -> None:
    disk, keys = fresh(1)
    for day in range(5):
        now = Hour(START + 24 * day)
        put(disk, keys.advance(now))
        put(disk, keys.add(now, Hour(now + 24), ScriptedEntropy(day))[1])
    assert len(disk) == 2 * PLACE


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
    with pytest.raises(LocalProtocolError, match="over"):
        fresh()[1].add(START, Hour(START + ahead), ScriptedEntropy())


def test_attack_25_a_key_is_gone_at_its_hour_before_anybody_erases_it() -> None:
    _, keys = fresh()
    end = Hour(START + 5)
    key, _ = keys.add(START, end, ScriptedEntropy())
    thread, _ = keys.add_thread(NAME, end, ScriptedEntropy(1))
    assert keys.get(START, end, Hour(end - 1)) == key
    assert keys.thread(NAME, Hour(end - 1)) == thread
    with pytest.raises(StaleError, match="it has expired"):
        keys.get(START, end, end)
    with pytest.raises(StaleError, match="thread has expired"):
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


def test_a_thread_lives_as_long_as_its_last_post() -> None:
    disk, keys = fresh()
    key, writes = keys.add_thread(NAME, Hour(START + 5), ScriptedEntropy())
    assert keys.prolong_thread(NAME, Hour(START + 5)) == []
    assert keys.prolong_thread(NAME, Hour(START + 4)) == []
    put(disk, writes + keys.prolong_thread(NAME, Hour(START + 9)) + keys.advance(Hour(START + 5)))
    assert ExpiryKeys(bytes(disk)).thread(NAME, Hour(START + 8)) == key


def test_a_thread_has_one_key() -> None:
    _, keys = fresh()
    keys.add_thread(NAME, Hour(START + 5), ScriptedEntropy())
    with pytest.raises(LocalProtocolError, match="has a key"):
        keys.add_thread(NAME, Hour(START + 5), ScriptedEntropy())


def test_what_is_not_there() -> None:
    _, keys = fresh()
    assert keys.erase(PlaceKind.THREAD, NAME) == []
    for ask in (lambda: keys.clock(NAME), lambda: keys.prolong_thread(NAME, START)):
        with pytest.raises(StaleError, match="that key is gone"):
            ask()
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
        with pytest.raises(LocalProtocolError, match="16 bytes"):
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
    assert len(keys.set_clock(NAME, Hour(kept + 1), value, lifetime)) == 1
    assert keys.clock(NAME) == (kept + 1, value)


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
    half = torn(bytes(disk[PLACE:]), erasing.data, at, tail=tail)
    put(disk, [Write(PLACE, half)])
    put(disk, ExpiryKeys(bytes(disk)).advance(Hour(START + 1)))
    assert disk[PLACE:] == EMPTY.pack()
    assert key.expose()[-4:] not in bytes(disk)
    assert ExpiryKeys(bytes(disk)).advance(Hour(START + 1)) == []


# --- Against a model ------------------------------------------------------------------------------

AHEAD = st.integers(1, 80)
TEAR = st.tuples(st.integers(0, PLACE), st.booleans())


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

    def put_torn(self, write: Write, tear: tuple[int, bool]) -> None:
        """Lose power within one write, and start again."""
        at, tail = tear
        self.disk.extend(bytes(max(0, write.offset + PLACE - len(self.disk))))
        old = bytes(self.disk[write.offset : write.offset + PLACE])
        self.put([Write(write.offset, torn(old, write.data, at, tail=tail))])
        self.reopen()

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

    @rule(ahead=AHEAD, tear=TEAR)
    def add_and_lose_power(self, ahead: int, tear: tuple[int, bool]) -> None:
        expires = Hour(self.hour + ahead)
        key, writes = self.keys.add(self.now, expires, self.entropy)
        for write in writes:
            self.put_torn(write, tear)
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
        if name in self.threads:
            expires, key = self.threads[name]
            longer = max(expires, Hour(self.hour + ahead))
            self.put(self.keys.prolong_thread(name, Hour(self.hour + ahead)))
            self.threads[name] = (longer, key)

    @rule(name=consumes(threads_made))
    def erase_thread(self, name: bytes) -> None:
        self.put(self.keys.erase(PlaceKind.THREAD, name))
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
        if name not in self.clocks:
            return
        hour, value, lifetime = self.clocks[name]
        moved = epoch.advance(value, max(0, ahead))
        self.put(self.keys.set_clock(name, Hour(hour + ahead), moved, lifetime))
        self.move_clock(name, Hour(hour + max(0, ahead)))

    @rule()
    def advance(self) -> None:
        self.put(self.keys.advance(self.now))
        self.settle()

    @precondition(lambda self: self.now > self.highest)
    @rule(tear=TEAR, data=st.data())
    def advance_and_lose_power(self, tear: tuple[int, bool], data: st.DataObject) -> None:
        *writes, _ = self.keys.advance(self.now)
        done = data.draw(st.integers(0, len(writes)))
        self.put(writes[:done])
        for write in writes[done : done + 1]:
            self.put_torn(write, tear)
        self.reopen()
        self.put(self.keys.advance(self.now))
        self.settle(may_be_lost=True)

    def settle(self, *, may_be_lost: bool = False) -> None:
        """What the model says after an `advance`. Only a clock may be lost to a torn write."""
        self.highest = self.hour
        for day in [day for day in self.live if day[1] <= self.highest]:
            self.dead.add(self.live.pop(day).expose())
        for name, (expires, key) in list(self.threads.items()):
            if expires <= self.highest:
                self.dead.add(key.expose())
                del self.threads[name]
        for name, (hour, value, lifetime) in list(self.clocks.items()):
            if may_be_lost and self.is_lost(name):
                self.dead.add(value.expose())
                del self.clocks[name]
            else:
                self.move_clock(name, Hour(max(hour, self.highest - lifetime - 2)))

    def is_lost(self, name: bytes) -> bool:
        try:
            self.keys.clock(name)
        except StaleError:
            return True
        return False

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
