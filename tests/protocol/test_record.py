"""A record that nobody bends: what was refused, cited or said twice comes to light, and honest
members are never at odds for long.
"""

import pytest

from backchannel.protocol import command as commands
from backchannel.protocol import limits, record
from backchannel.protocol.codec import encode
from backchannel.protocol.content import Digest, DigestRow, Text
from backchannel.protocol.core import GROUP_HASHED, content_hash
from backchannel.protocol.errors import AuthenticationError
from backchannel.protocol.outcome import Alarm, Append, Arrival, Keep, Said
from backchannel.protocol.record import Agreement
from backchannel.protocol.types import MAIN_THREAD, Block, Core, Hour, RosterHash, Slot, hour_of
from tests.support.insider import Insider, core_in, refuses, texts, waits
from tests.support.world import Member, Weather, World

HASH = b"h" * 32


@pytest.fixture
def trio() -> World:
    """Three who have been there for a while."""
    world = World.of(3)
    world.pass_time(hours=2)
    world.settle()
    return world


def text(words: str) -> Text:
    return Text.plain(MAIN_THREAD, 168, words)


def alarms(member: Member) -> list[tuple[str, int]]:
    return [(each.kind, each.slot) for each in member.told if isinstance(each, Alarm)]


def sealed(liar: Insider, words: str, roster: RosterHash | None = None) -> Core:
    return liar.seal(liar.part(encode(text(words))), roster)


def spoilt(core: Core, *slots: int) -> Core:
    """The same core, with slots that do not verify."""
    changed = bytearray(core)
    for slot in slots:
        changed[GROUP_HASHED + 16 * slot] ^= 1
    return Core(bytes(changed))


def put(world: World, arrival: Arrival) -> None:
    world.drops.append(arrival.drop, Block(arrival.block), arrival.hour)


def hours(world: World, count: int) -> None:
    """Time passes, and everybody reads and answers in every hour."""
    for _ in range(count):
        world.pass_time(hours=1)
        world.settle(rounds=1)
        world.minutes(3)


def skip(member: Member) -> None:
    """What is in the drops now never arrives."""
    for poll in member.member.polls():
        member.read[poll.drop.id] = len(member.drops.rows[poll.drop.id])


# --- Two posts under one number -------------------------------------------------------------------


def test_attack_21_two_posts_under_one_number_alarm_and_the_first_stands(trio: World) -> None:
    one, two = (Insider(trio[1]).post(text(words)) for words in ("yes", "no"))
    for member, first, second in ((trio[0], one, two), (trio[2], two, one)):
        hash_of = content_hash(core_in(member, second))
        assert len(texts(member.receive(first))) == 1
        assert member.receive(second) == [
            Alarm("fork", Slot(1), hash_of, "a second post under one number")
        ]
        assert hash_of not in member.state.transcript


def test_a_fork_alarms_once_however_often_it_comes(trio: World) -> None:
    liar, other = Insider(trio[1]), Insider(trio[1])
    core = sealed(other, "second")
    trio[0].receive(liar.post(text("first")))
    for _ in range(3):
        trio[0].receive(liar.arrival(core))
    assert alarms(trio[0]) == [("fork", 1)]


def test_a_fork_among_what_waited_for_its_key_alarms_too(trio: World) -> None:
    liar = Insider(trio[1])
    posting = liar.posting()
    posting.new_generation()
    (key,) = posting.outcome().effects
    assert isinstance(key, Append)
    fresh = liar.state.own
    one = liar.post(text("yes"))
    liar.state.own = fresh
    two = liar.post(text("no"))
    waits(trio[0], one)
    waits(trio[0], two)
    said, alarm = (
        each
        for each in trio[0].receive(one._replace(block=key.block))
        if not isinstance(each, Keep)
    )
    assert isinstance(said, Said)
    assert isinstance(alarm, Alarm)
    assert (said.text, alarm.kind) == ("yes", "fork")


def test_attack_08_the_same_content_again_is_no_fork(trio: World) -> None:
    liar = Insider(trio[1])
    post = liar.post(text("said"))
    assert texts(trio[0].receive(post)) == ["said"]
    assert trio[0].receive(liar.arrival(core_in(trio[0], post))) == []


def test_what_a_fork_names_as_parent_is_a_gap_and_is_not_asked_for(trio: World) -> None:
    """Others may have taken the second for the first, and answer it."""
    one, two = (Insider(trio[1]).post(text(words)) for words in ("yes", "no"))
    trio[0].receive(one)
    trio[0].receive(two)
    trio[2].receive(two)
    trio[2].say("I heard no")
    trio[2].flush()
    trio[1].online = False
    trio[0].sync()
    assert content_hash(core_in(trio[0], two)) in trio[0].state.transcript.missing
    assert trio[0].state.wants == []


# --- Refused, and cited ---------------------------------------------------------------------------


def test_a_post_whose_slot_fails_is_noted_and_nothing_else_changes(trio: World) -> None:
    liar = Insider(trio[1])
    core = spoilt(sealed(liar, "x"), 0)
    refuses(trio[0], liar.arrival(core), AuthenticationError)
    hour = hour_of(trio.now)
    assert trio[0].state.record.refused == {content_hash(core): (hour, 1)}


def test_attack_67_altered_slots_do_not_frame_an_honest_sender(trio: World) -> None:
    """One honest copy is enough."""
    said = trio[1].say("honest")
    core = trio[1].disk.cores[said.hash][0]
    trio[1].flush()
    skip(trio[0])
    put(trio, Insider(trio[2]).arrival(spoilt(core, 0)))
    trio[2].sync()
    trio[2].say("I read it")
    trio[2].flush()
    trio[0].sync()
    assert said.hash in trio[0].state.record.refused
    hours(trio, 3)
    assert (1, "honest") in trio[0].said
    assert said.hash not in trio[0].state.record.refused
    assert alarms(trio[0]) == []


def test_attack_68_slots_valid_for_some_only_alarm_with_who_accepted(trio: World) -> None:
    liar = Insider(trio[1])
    trio[1].online = False
    core = spoilt(sealed(liar, "x"), 0)
    put(trio, liar.arrival(core))
    trio.settle(rounds=2)
    assert content_hash(core) in trio[2].state.transcript
    trio[2].say("I accepted it")
    trio[2].flush()
    trio.settle(rounds=1)
    assert trio[0].state.wants[0].name == content_hash(core)
    trio.minutes()
    assert alarms(trio[0]) == []  # asked once: another copy may still come
    trio.pass_time(hours=1)
    trio.minutes()
    assert alarms(trio[0]) == [("cited", 2)]
    assert [each.name for each in trio[0].told if isinstance(each, Alarm)] == [content_hash(core)]
    trio.pass_time(hours=1)
    trio.minutes()
    assert alarms(trio[0]).count(("cited", 2)) == 1
    assert alarms(trio[2]) == []


def test_who_claims_a_sender_has_little_room_in_the_list_of_refused(trio: World) -> None:
    liar, founder = Insider(trio[1]), trio[0]
    cores = [spoilt(sealed(liar, str(n)), 0) for n in range(limits.REFUSED_OF_ONE + 1)]
    for core in cores:
        refuses(founder, liar.arrival(core), AuthenticationError)
    kept = founder.state.record.refused
    assert list(kept) == [content_hash(core) for core in cores[1:]]
    kept.update({content_hash(Core(bytes([n]) * 4056)): (Hour(0), Slot(9)) for n in range(16)})
    founder.state.record.refused = {
        **{content_hash(Core(n.to_bytes(4056))): (Hour(1), Slot(n % 60)) for n in range(600)},
    }
    refuses(founder, liar.arrival(cores[0]), AuthenticationError)
    assert len(founder.state.record.refused) == limits.REFUSED
    assert content_hash(cores[0]) in founder.state.record.refused


def test_what_was_refused_is_forgotten_with_its_hour(trio: World) -> None:
    liar = Insider(trio[1])
    core = spoilt(sealed(liar, "x"), 0)
    refuses(trio[0], liar.arrival(core), AuthenticationError)
    trio.pass_time(hours=168)
    trio[0].tick()
    assert trio[0].state.record.refused
    trio.pass_time(hours=1)
    trio[0].tick()
    assert trio[0].state.record.refused == {}


def test_a_digest_that_names_what_was_refused_brings_a_good_copy(trio: World) -> None:
    said = trio[1].say("honest")
    core = trio[1].disk.cores[said.hash][0]
    trio[1].flush()
    trio[2].sync()
    refuses(trio[0], Insider(trio[2]).arrival(spoilt(core, 0)), AuthenticationError)
    skip(trio[0])
    trio[0].act(commands.Digest())
    trio[0].flush()
    trio.minutes()
    assert (1, "honest") in trio[0].said


# --- Accounts of the past -------------------------------------------------------------------------


def test_members_who_hold_the_same_agree_up_to_the_last_closed_hour(trio: World) -> None:
    trio[1].say("one")
    hours(trio, 3)
    trio[0].act(commands.Digest(asks=True))
    trio[0].flush()
    now = hour_of(trio.now)
    trio.minutes()
    for member in trio.members:
        others = {each.state.me for each in trio.members} - {member.state.me}
        assert record.agreement(member.state) == dict.fromkeys(others, Agreement(Hour(now - 2)))
    assert [alarms(each) for each in trio.members] == [[], [], []]


def test_nothing_is_known_of_who_told_nothing(trio: World) -> None:
    assert record.agreement(trio[0].state) == {1: Agreement(), 2: Agreement()}


def test_one_answer_an_hour_whoever_asks(trio: World) -> None:
    hours(trio, 3)
    for member in (trio[0], trio[1]):
        member.act(commands.Digest(asks=True))
        member.flush()
    trio.settle(rounds=1)
    trio[2].sync()
    due = trio[2].state.record.answer
    assert due is not None
    assert 0 < due - trio.now <= limits.REPOST_DELAY + limits.REPOST_SPREAD * 2
    before = trio[2].state.own
    trio.pass_time(seconds=60)
    trio[2].sync()
    assert trio[2].state.record.told == hour_of(trio.now)
    assert trio[2].state.own is not None
    assert before is not None
    trio[0].act(commands.Digest(asks=True))
    trio[0].flush()
    trio[2].sync()
    assert trio[2].state.record.answer is None


def test_attack_21_records_that_differ_alarm_on_both_sides(trio: World) -> None:
    one, two = (Insider(trio[1]).post(text(words)) for words in ("yes", "no"))
    trio[1].online = False
    trio[0].receive(one)
    trio[2].receive(two)
    hour = hour_of(trio.now)
    hours(trio, 3)
    trio[0].act(commands.Digest(asks=True))
    trio[0].flush()
    trio.minutes()
    for member, other in ((trio[0], trio[2]), (trio[2], trio[0])):
        found = record.agreement(member.state)[other.state.me]
        assert found.differs == hour
    assert ("record", 2) not in alarms(trio[0])
    hours(trio, 4)
    assert alarms(trio[0]).count(("record", 2)) == 1
    assert alarms(trio[2]).count(("record", 0)) == 1


def test_a_post_that_was_sent_late_is_no_difference_for_long(trio: World) -> None:
    """Even where it is read before a digest that knew nothing of it."""
    trio[1].say("in time")
    late = trio[1].disk.outbox
    trio[1].online = False
    hours(trio, 4)
    trio[2].act(commands.Digest())
    trio[2].flush()
    trio[1].online = True
    assert trio[1].disk.outbox == late
    trio[1].flush()
    trio[0].listen(Weather(shuffle=2))
    hours(trio, 6)
    assert [alarms(each) for each in trio.members] == [[], [], []]
    assert record.agreement(trio[0].state)[Slot(2)].differs is None


def test_a_newcomer_is_held_to_what_it_can_read(trio: World) -> None:
    trio[1].say("before")
    trio.pass_time(hours=2)
    trio.admit("Late")
    trio[1].say("under the roster before")
    trio[1].flush()
    trio.settle()
    hours(trio, 3)
    trio[3].act(commands.Digest(asks=True))
    trio[3].flush()
    trio.minutes()
    hours(trio, 5)
    for member in trio.members:
        for found in record.agreement(member.state).values():
            assert found.upto is not None
            assert found.differs is None
        assert alarms(member) == []


def test_an_old_account_does_not_replace_a_newer_one(trio: World) -> None:
    hours(trio, 4)
    told = Digest(0, hour_of(trio.now) - 3, 1, (DigestRow(hour_of(trio.now) - 2, 1, 1, HASH),), ())
    liar = Insider(trio[1])
    old = liar.seal(liar.part(encode(told), name=8), hours=-1)
    new = liar.post(told)
    trio[0].receive(new)
    account = trio[0].state.record.accounts[Slot(1)]
    assert account.differs
    trio[0].receive(liar.arrival(old))
    assert trio[0].state.record.accounts[Slot(1)] == account


def test_a_digest_of_many_hours_tells_from_where_it_is_whole(trio: World) -> None:
    for _ in range(limits.DIGEST_ROWS + 3):
        trio[0].say("again")
        trio[0].sync()
        trio.pass_time(hours=1)
    trio[0].sync()
    told = record.digest(trio[0].state, hour_of(trio.now))
    assert len(told.rows) == limits.DIGEST_ROWS - 1
    assert told.since == told.rows[0].hour


def test_ones_own_post_counts_once_a_relay_has_shown_it(trio: World) -> None:
    hour = hour_of(trio.now)
    trio[0].say("on its way")
    trio.pass_time(hours=2)
    told = record.digest(trio[0].state, hour_of(trio.now))
    assert hour not in {row.hour for row in told.rows}
    trio[0].flush()
    trio[0].listen()
    told = record.digest(trio[0].state, hour_of(trio.now))
    assert [row.count for row in told.rows if row.hour == hour] == [1]


# --- Rosters that nobody announced ----------------------------------------------------------------


def test_attack_61_a_post_under_a_roster_that_stays_unknown_alarms_once(trio: World) -> None:
    trio[1].online = False
    name = RosterHash(b"f" * 32)
    put(trio, Insider(trio[1]).post(text("elsewhere"), name))
    trio.settle()
    assert alarms(trio[0]) == []
    hours(trio, 4)
    found = [each for each in trio[0].told if isinstance(each, Alarm)]
    assert found == [Alarm("foreign", Slot(1), name)]
    assert trio[0].said == []


def test_unknown_rosters_that_are_watched_have_a_bound(trio: World) -> None:
    for number in range(limits.FOREIGN + 4):
        liar = Insider(trio[1])
        name = RosterHash(bytes([number]) * 32)
        trio[0].receive(liar.arrival(sealed(liar, "x", name)))
    assert len(trio[0].state.record.foreign) == limits.FOREIGN
