"""Files: offered in a post, carried in cores that are named by their hashes."""

import hashlib
from collections.abc import Iterable

import pytest

from backchannel.protocol import command as commands
from backchannel.protocol import content, limits
from backchannel.protocol.codec import encode
from backchannel.protocol.content import CHUNK, NAMES, File, chunk_cores, index_cores
from backchannel.protocol.core import Kind, content_hash
from backchannel.protocol.errors import (
    AuthenticationError,
    DecodeError,
    LocalProtocolError,
    ProtocolError,
    RefusedError,
    RemoteProtocolError,
    StaleError,
    UnknownError,
)
from backchannel.protocol.filename import check_file_name
from backchannel.protocol.files import Progress, Shelf, assemble, progress, read_index
from backchannel.protocol.outcome import Append, Arrival, Event, Expired, Keep, Offered
from backchannel.protocol.roster import Role, seal_piece
from backchannel.protocol.secret import CoreSecret, FileKey
from backchannel.protocol.types import (
    MAIN_THREAD,
    ContentHash,
    Core,
    Hour,
    Slot,
    Timestamp,
    hour_of,
)
from tests.support.insider import Insider, core_in, owed, refuses
from tests.support.world import LIFETIME, Member, World

MEGABYTE = 1024 * 1024
KEY = FileKey(b"k" * 32)


def made_of(size: int) -> bytes:
    return hashlib.shake_256(size.to_bytes(4)).digest(size)


@pytest.fixture
def trio() -> World:
    return World.of(3)


def send(member: Member, data: bytes, name: str = "report.pdf") -> tuple[Offered, list[Arrival]]:
    """A file of one's own, and its blocks in the order on the wire: the post first."""
    member.flush()
    events = member.act(commands.SendFile(MAIN_THREAD, name, data))
    arrivals = owed(member)
    member.flush()
    return offer_in(events), arrivals


def offer_in(events: Iterable[Event]) -> Offered:
    (offer,) = (each for each in events if isinstance(each, Offered))
    return offer


def shelf(member: Member, now: Timestamp | None = None) -> Shelf:
    """What a member's shell has kept."""

    def get(name: ContentHash) -> Core | None:
        return member.disk.cores.get(name, (None, 0))[0]

    return Shelf(member.state, member.member.clocks, get, now or member.now)


def take(member: Member, arrivals: Iterable[Arrival]) -> list[Event]:
    return [event for arrival in arrivals for event in member.receive(arrival)]


# --- From end to end ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3985, 3986, 3987, 123 * 3986, 124 * 3986, 124 * 3986 + 1])
def test_a_file_is_read_as_it_was_sent(trio: World, size: int) -> None:
    data = made_of(size)
    own, blocks = send(trio[1], data)
    assert len(blocks) == 1 + index_cores(size) + chunk_cores(size)
    assert offer_in(take(trio[2], blocks)) == own
    assert assemble(shelf(trio[2]), own) == data
    assert assemble(shelf(trio[1]), own) == data
    assert trio[2].state.files == {}
    assert (own.name, own.size, own.thread, own.author) == ("report.pdf", size, MAIN_THREAD, 1)
    assert own.expires == own.hour + LIFETIME


@pytest.mark.slow
@pytest.mark.parametrize("size", [MEGABYTE, limits.FILE_BYTES])
def test_a_large_file(size: int) -> None:
    """Straight through the doors: saving after each block is the shell's business."""
    world = World.of(2)
    data, kept = made_of(size), dict[ContentHash, Core]()
    author, reader = world[1].member, world.founder.member
    outcome = author.act(commands.SendFile(MAIN_THREAD, "x", data), world.now, world[1].entropy)
    offers: list[Offered] = []
    for each in outcome.effects:
        assert isinstance(each, Append)
        arrival = Arrival(each.drop.id, hour_of(world.now), each.block)
        for event in reader.receive(arrival, world.now):
            if isinstance(event, Keep):
                kept[event.hash] = event.core
            if isinstance(event, Offered):
                offers.append(event)
    held = Shelf(reader.state, reader.clocks, kept.get, world.now)
    assert assemble(held, offers[0]) == data
    assert reader.state.files == {}
    assert len(kept) == 1 + index_cores(size) + chunk_cores(size)


def test_the_largest_file_and_its_blocks() -> None:
    assert (CHUNK, NAMES) == (3986, 124)
    assert chunk_cores(limits.FILE_BYTES) == 2631
    assert index_cores(limits.FILE_BYTES) == 22 <= limits.FILE_INDEX
    assert chunk_cores(MEGABYTE) == 264


def test_post_and_index_go_before_the_data(trio: World) -> None:
    """Who reads in order knows each core when it comes, and keeps it at once."""
    own, blocks = send(trio[1], made_of(5000))
    cores = [core_in(trio[2], each) for each in blocks]
    assert [core[0] for core in cores] == [Kind.GROUP, *[Kind.CHUNK] * 3]
    assert [content_hash(core) for core in cores[:2]] == [own.hash, *own.names]
    kept = [e.hash for e in take(trio[2], blocks) if isinstance(e, Keep)]
    assert kept == [content_hash(core) for core in cores]


def test_every_block_of_a_file_has_the_one_size(trio: World) -> None:
    for size in (1, 5000):
        _, blocks = send(trio[1], made_of(size))
        assert {len(each.block) for each in blocks} == {limits.BLOCK}


def test_a_file_waits_for_nothing_that_is_here_and_asks_nobody(trio: World) -> None:
    _, blocks = send(trio[1], made_of(9000))
    take(trio[2], blocks)
    trio[2].tick()
    assert owed(trio[2]) == []


# --- What cannot be sent --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "match"),
    [
        ("x", b"", "1 to 10,485,760 bytes, and this one has 0"),
        ("x", bytes(limits.FILE_BYTES + 1), "and this one has 10,485,761"),
        ("a/b", b"x", "no separators"),
        ("", b"x", "1 to 120"),
    ],
)
def test_what_cannot_be_sent(trio: World, name: str, data: bytes, match: str) -> None:
    before = trio[1].snapshot()
    with pytest.raises(ProtocolError, match=match):
        trio[1].act(commands.SendFile(MAIN_THREAD, name, data))
    assert trio[1].snapshot() == before
    assert owed(trio[1]) == []


@pytest.mark.parametrize(("role", "may"), [("note-taker", True), ("observer", False)])
def test_who_may_send(role: Role, *, may: bool) -> None:
    world = World()
    world.admit("Guest", role)
    world.settle()
    if may:
        assert send(world[1], b"minutes")[0].size == 7
        return
    with pytest.raises(LocalProtocolError, match="an observer does not send files"):
        send(world[1], b"x")


def test_whoever_has_the_floor_sends_and_others_wait(trio: World) -> None:
    trio.founder.act(commands.GiveFloor("Guest 1"))
    trio.founder.flush()
    trio.settle()
    with pytest.raises(LocalProtocolError, match="somebody else has the floor"):
        send(trio[2], b"x")
    assert send(trio[1], b"x")[0].size == 1


# --- Loss and disorder ----------------------------------------------------------------------------


def test_what_comes_too_early_is_left_and_found_by_reading_again(trio: World) -> None:
    data = made_of(2 * 3986)
    own, blocks = send(trio[1], data)
    post, index, first, last = blocks
    reader = trio[2]
    before = reader.snapshot()
    assert take(reader, [first, index]) == []
    assert reader.snapshot() == before
    assert reader.refused == []
    take(reader, [post, last])
    assert progress(shelf(reader), own) == Progress(0, 3)
    take(reader, [index])
    assert progress(shelf(reader), own) == Progress(1, 3)
    take(reader, blocks)
    assert assemble(shelf(reader), own) == data


@pytest.mark.parametrize("seed", range(1, 5))
def test_any_order_in_a_few_readings(trio: World, seed: int) -> None:
    data = made_of(130 * 3986)
    own, blocks = send(trio[1], data)
    blocks = sorted(blocks, key=lambda each: hashlib.sha256(each.block + bytes([seed])).digest())
    for _ in range(3):  # the post, then the index, then the rest
        take(trio[2], blocks)
    assert assemble(shelf(trio[2]), own) == data


def test_an_error_says_how_many_blocks_are_missing(trio: World) -> None:
    data = made_of(125 * 3986)
    own, blocks = send(trio[1], data)
    post, one, two, *pieces = blocks
    take(trio[2], [post])
    with pytest.raises(UnknownError, match="127 of the 127 blocks of this file are not here"):
        assemble(shelf(trio[2]), own)
    take(trio[2], [one, *pieces[:100]])
    with pytest.raises(UnknownError, match="26 of the 127"):
        assemble(shelf(trio[2]), own)
    assert read_index(shelf(trio[2]), own)[123:] == (
        content_hash(core_in(trio[1], pieces[123])),
        None,
    )
    take(trio[2], [two, *pieces[100:124]])
    with pytest.raises(UnknownError, match="1 of the 127"):
        assemble(shelf(trio[2]), own)
    take(trio[2], pieces)
    assert assemble(shelf(trio[2]), own) == data


def test_a_restart_in_the_middle_loses_nothing(trio: World) -> None:
    data = made_of(20_000)
    own, blocks = send(trio[1], data)
    take(trio[2], blocks[:4])
    trio[2].restart()
    take(trio[2], blocks[4:])
    assert assemble(shelf(trio[2]), own) == data


def test_a_core_that_was_lost_on_disk_is_missing_again(trio: World) -> None:
    own, blocks = send(trio[1], made_of(5000))
    take(trio[2], blocks)
    del trio[2].disk.cores[content_hash(core_in(trio[1], blocks[-1]))]
    with pytest.raises(UnknownError, match="1 of the 3"):
        assemble(shelf(trio[2]), own)


def test_two_files_at_once_do_not_mix(trio: World) -> None:
    sent = [send(trio[place], made_of(size)) for place, size in ((0, 9000), (1, 9001))]
    mixed = [each for pair in zip(sent[0][1], sent[1][1], strict=True) for each in pair]
    take(trio[2], mixed)
    for own, _ in sent:
        assert assemble(shelf(trio[2]), own) == made_of(own.size)


def test_the_shell_that_hands_out_another_core_is_found_out(trio: World) -> None:
    own, blocks = send(trio[1], made_of(5000))
    take(trio[2], blocks)
    first, last = (content_hash(core_in(trio[1], each)) for each in blocks[-2:])
    cores = trio[2].disk.cores
    cores[first], cores[last] = cores[last], cores[first]
    with pytest.raises(AuthenticationError, match="not the one that a file names"):
        assemble(shelf(trio[2]), own)


# --- Insiders -------------------------------------------------------------------------------------


def chunk(liar: Insider, piece: bytes, key: FileKey = KEY, hours: int = 0) -> Core:
    """A core of a file, with nothing wrong in it."""
    clock, head = liar.member.member.clock, liar.head(Kind.CHUNK, hours)
    return seal_piece(piece, CoreSecret(key.expose()), clock, head)


def offering(index: tuple[bytes, ...], size: int, key: FileKey = KEY, lifetime: int = 24) -> File:
    return File(MAIN_THREAD, lifetime, "report.pdf", size, key.expose(), index)


def test_attack_an_insider_who_knows_the_key_puts_nothing_in_a_files_place(trio: World) -> None:
    """Every member knows the key, so it proves nothing: the hash does."""
    data = made_of(5000)
    own, blocks = send(trio[1], data)
    post, index, *pieces = blocks
    reader, liar = trio[2], Insider(trio.founder)
    take(reader, [post, index])
    forged = liar.arrival(chunk(liar, made_of(3986), own.key))
    before = reader.snapshot()
    assert reader.receive(forged) == []
    assert reader.snapshot() == before
    take(reader, pieces)
    assert assemble(shelf(reader), own) == data


def test_attack_an_index_of_an_insiders_making_is_not_taken(trio: World) -> None:
    own, blocks = send(trio[1], made_of(5000))
    reader, liar = trio[2], Insider(trio.founder)
    take(reader, blocks[:1])
    forged = chunk(liar, made_of(64), own.key)
    before = reader.snapshot()
    assert reader.receive(liar.arrival(forged)) == []
    assert reader.snapshot() == before


def test_attack_a_file_that_names_anothers_cores_spoils_only_itself(trio: World) -> None:
    """Under a wrong key, under a wrong size, or as its own index."""
    data = made_of(5000)
    own, blocks = send(trio[1], data)
    post, index, *pieces = blocks
    reader, liar = trio[2], Insider(trio.founder)
    names = tuple(content_hash(core_in(reader, each)) for each in pieces)
    take(reader, [post])
    for name, spoiler in enumerate(
        (
            offering(own.names, 5000),
            offering(own.names, 1, own.key),
            offering(names[:1], 1, own.key),
        )
    ):
        assert offer_in(reader.receive(liar.post(spoiler, name=name))).author == 0
    take(reader, [index, *pieces])
    assert assemble(shelf(reader), own) == data
    assert len(reader.state.files) == 3


def test_attack_a_file_that_offers_the_same_cores_first_takes_nothing_away(trio: World) -> None:
    data = made_of(5000)
    own, blocks = send(trio[1], data)
    reader, liar = trio[2], Insider(trio.founder)
    stolen = offer_in(reader.receive(liar.post(offering(own.names, 5000, own.key, 1))))
    take(reader, blocks)
    assert assemble(shelf(reader), own) == data
    assert assemble(shelf(reader), stolen) == data
    trio.pass_time(hours=2)
    assert assemble(shelf(reader), own) == data


@pytest.mark.parametrize("names", [0, 1, 3])
def test_a_size_that_the_index_does_not_bear_out(trio: World, names: int) -> None:
    liar, reader = Insider(trio.founder), trio[2]
    core = chunk(liar, bytes(32 * names))
    reader.receive(liar.post(offering((content_hash(core),), 5000)))
    refuses(reader, liar.arrival(core), RefusedError, "not of the size")


@pytest.mark.parametrize("lengths", [(3986, 1013), (3986, 1015), (3986, 0), (5, 5)])
def test_a_size_that_the_data_do_not_bear_out(trio: World, lengths: tuple[int, int]) -> None:
    liar, reader = Insider(trio.founder), trio[2]
    pieces = [chunk(liar, made_of(length)) for length in lengths]
    index = chunk(liar, b"".join(content_hash(core) for core in pieces))
    offer = offer_in(reader.receive(liar.post(offering((content_hash(index),), 5000))))
    take(reader, [liar.arrival(core) for core in (index, *pieces)])
    with pytest.raises(RefusedError, match="not of the size"):
        assemble(shelf(reader), offer)


def test_a_core_under_another_key_is_found_out(trio: World) -> None:
    liar, reader = Insider(trio.founder), trio[2]
    piece = chunk(liar, b"x", FileKey(b"o" * 32))
    index = chunk(liar, content_hash(piece))
    offer = offer_in(reader.receive(liar.post(offering((content_hash(index),), 1))))
    take(reader, [liar.arrival(index), liar.arrival(piece)])
    with pytest.raises(AuthenticationError):
        assemble(shelf(reader), offer)


def test_attack_a_file_that_names_a_post_as_its_piece_is_found_out(trio: World) -> None:
    liar, reader = Insider(trio.founder), trio[2]
    said = trio[1].say("not a piece")
    trio[1].flush()
    reader.listen()
    index = chunk(liar, said.hash)
    offer = offer_in(reader.receive(liar.post(offering((content_hash(index),), 1))))
    take(reader, [liar.arrival(index)])
    with pytest.raises(AuthenticationError):
        assemble(shelf(reader), offer)


def test_a_file_of_which_one_core_serves_twice(trio: World) -> None:
    """Odd, and harmless."""
    liar, reader = Insider(trio.founder), trio[2]
    piece = chunk(liar, made_of(3986))
    index = chunk(liar, content_hash(piece) * 2)
    offer = offer_in(reader.receive(liar.post(offering((content_hash(index),), 2 * 3986))))
    take(reader, [liar.arrival(index), liar.arrival(piece)])
    assert assemble(shelf(reader), offer) == made_of(3986) * 2


def test_attack_files_that_never_come_are_few_of_each_member(trio: World) -> None:
    liar, reader = Insider(trio.founder), trio[2]
    own, blocks = send(trio[1], made_of(5000))
    take(reader, blocks[:1])
    for number in range(limits.FILES_OF_ONE + 2):
        reader.receive(liar.post(offering((bytes([number]) * 32,), 1), name=number))
    authors = [each.author for each in reader.state.files.values()]
    assert (authors.count(Slot(0)), authors.count(Slot(1))) == (limits.FILES_OF_ONE, 1)
    take(reader, blocks)
    assert assemble(shelf(reader), own) == made_of(5000)


def test_an_observers_file_is_an_alarm() -> None:
    world = World()
    world.admit("Guest", "observer")
    world.settle()
    liar = Insider(world[1])
    refuses(world.founder, liar.post(offering((b"h" * 32,), 1)), RemoteProtocolError, "send files")
    assert world.founder.state.files == {}


# --- Hours and epochs -----------------------------------------------------------------------------


def test_attack_3_a_core_of_another_hour_is_another_core(trio: World) -> None:
    _, blocks = send(trio[1], made_of(5000))
    reader = trio[2]
    take(reader, blocks[:1])
    core = core_in(reader, blocks[1])
    moved = Core(core[:1] + (hour_of(trio.now) + 1).to_bytes(4) + core[5:])
    before = reader.snapshot()
    assert reader.receive(Insider(trio.founder).arrival(moved)) == []
    assert reader.snapshot() == before


def test_attack_3_a_core_in_another_epochs_drop_is_refused_and_the_true_one_taken(
    trio: World,
) -> None:
    """Taken from there, it would be tried with that epoch's clock for ever."""
    own, blocks = send(trio[1], made_of(5000))
    rows = trio.drops.rows[blocks[0].drop]
    trio.drops.rows[blocks[0].drop] = rows[: -len(blocks) + 1]
    trio.founder.act(commands.Turn())
    trio.founder.flush()
    trio.settle()
    reader = trio[2]
    assert reader.state.epoch.number == 1
    assert progress(shelf(reader), own) == Progress(0, 3)
    for block in blocks[1:2]:
        moved = Insider(trio.founder).arrival(core_in(reader, block))
        assert moved.drop != block.drop
        refuses(reader, moved, RefusedError, "from another epoch")
    take(reader, blocks)
    assert assemble(shelf(reader), own) == made_of(5000)


def test_a_file_of_an_epoch_that_is_over_is_still_put_together(trio: World) -> None:
    own, blocks = send(trio[1], made_of(5000))
    trio.founder.act(commands.Turn())
    trio.founder.flush()
    trio.settle()
    assert trio[2].state.epoch.number == 1
    assert assemble(shelf(trio[2]), own) == made_of(5000)
    assert blocks


def test_nothing_of_a_file_opens_after_its_hour(trio: World) -> None:
    own, blocks = send(trio[1], made_of(5000))
    take(trio[2], blocks[:-1])
    trio.pass_time(hours=LIFETIME - 1)
    take(trio[2], blocks[-1:])
    assert assemble(shelf(trio[2]), own) == made_of(5000)
    trio.pass_time(hours=1)
    with pytest.raises(StaleError, match="this file has expired"):
        assemble(shelf(trio[2]), own)


def test_claim_5_all_cores_and_the_key_open_nothing_after_the_hour(trio: World) -> None:
    """Whoever moves a device's clock back finds the hour's key gone."""
    own, blocks = send(trio[1], made_of(5000))
    take(trio[2], blocks)
    then = trio.now
    trio.pass_time(hours=LIFETIME + 3)
    trio[2].tick()
    for each in trio[2].state.epochs:
        each.seen |= dict.fromkeys([*own.names], own.hour)
    with pytest.raises(StaleError, match="keys of that hour are gone"):
        assemble(shelf(trio[2], then), own)


def test_attack_25_a_file_that_is_offered_at_its_hour_is_not_shown(trio: World) -> None:
    _, blocks = send(trio[1], b"x")
    trio.pass_time(hours=LIFETIME)
    assert trio[2].receive(blocks[0])[0] == Expired(Slot(1))
    assert trio[2].state.files == {}


def test_what_never_came_is_not_waited_for_longer_than_it_lives(trio: World) -> None:
    liar, reader = Insider(trio.founder), trio[2]
    reader.receive(liar.post(offering((b"h" * 32,), 1, lifetime=3)))
    trio.pass_time(hours=2)
    reader.tick()
    assert len(reader.state.files) == 1
    trio.pass_time(hours=1)
    reader.tick()
    assert reader.state.files == {}


def test_a_file_lives_no_longer_than_its_thread(trio: World) -> None:
    trio[1].act(commands.Begin("short", 3))
    trio[1].flush()
    trio.settle()
    (thread,) = trio[2].state.threads
    trio[1].act(commands.SendFile(thread, "x", b"x"))
    trio[1].flush()
    trio[2].listen()
    offer = next(each for each in trio[2].told if isinstance(each, Offered))
    assert offer.expires == offer.hour + 3


def test_a_file_is_kept_as_long_as_it_can_be_asked_for(trio: World) -> None:
    own, blocks = send(trio[1], b"x")
    kept = [each for each in take(trio[2], blocks) if isinstance(each, Keep)]
    assert {each.expires for each in kept} == {Hour(own.hour + LIFETIME)}
    assert {trio[1].disk.cores[each.hash][1] for each in kept} == {own.expires}


# --- Names ----------------------------------------------------------------------------------------

HARMLESS = [
    "report.pdf",
    "Schlußbericht – 2. Fassung.odt",
    "会議録.txt",
    "تقرير.pdf",
    "a",
    "console.txt",
    "null",
    "a.b..c",
    "com10.txt",
    "-rf",
    "n" * 120,
    "桜" * 80,
]
MISLEADING = [
    "",
    "n" * 121,
    "桜" * 81,
    ".",
    "..",
    ".bashrc",
    "../x",
    "a/b",
    "/etc/passwd",
    "a\\b",
    "C:x",
    "x.txt:hidden",
    "what?",
    "*",
    'a"b',
    "a<b",
    "a|b",
    "x.",
    "x ",
    " x",
    "a\0b",
    "a\nb",
    "a\x1b[2J",
    "a\x7f",
    "a\x9bb",
    "invoice\u202efdp.exe",
    "a\u2066b",
    "a\u200fb",
    "a\u200bb",
    "a\ufeffb",
    "a\u2028b",
    "a\ud800",
    "con",
    "CON.txt",
    "aux.tar.gz",
    "nul .txt",
    "com1",
    "LPT9.doc",
    "com\u00b9.txt",
    "\uff43\uff4f\uff4e",
    "conin$",
]


@pytest.mark.parametrize("name", HARMLESS)
def test_a_name_that_is_a_name(name: str) -> None:
    assert check_file_name(name) == name
    post = File(MAIN_THREAD, 24, name, 1, KEY.expose(), (b"h" * 32,))
    assert content.read_content(encode(post)) == post


@pytest.mark.parametrize("name", MISLEADING)
def test_attack_44_and_40_a_name_that_is_more_than_one(name: str) -> None:
    with pytest.raises(DecodeError):
        check_file_name(name)


@pytest.mark.parametrize("name", [each for each in MISLEADING if "\ud800" not in each])
def test_attack_44_and_40_no_reader_takes_it(trio: World, name: str) -> None:
    liar = Insider(trio.founder)
    post = File(MAIN_THREAD, 24, name, 1, KEY.expose(), (b"h" * 32,))
    refuses(trio[2], liar.post(post), DecodeError)


def test_a_name_goes_out_composed(trio: World) -> None:
    assert send(trio[1], b"x", "Zoe\u0308.txt")[0].name == "Zo\u00eb.txt"


@pytest.mark.parametrize(
    ("size", "count"),
    [(0, 1), (limits.FILE_BYTES + 1, 22), (5000, 2), (5000, 0), (494_265, 1)],
)
def test_what_is_no_offer(size: int, count: int) -> None:
    with pytest.raises(DecodeError):
        content.read_content(encode(offering((b"h" * 32,) * count, size)))
