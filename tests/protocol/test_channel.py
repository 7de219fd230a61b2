"""The doors of a channel: what comes in, what is refused, what is kept for later."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backchannel.protocol import command as commands
from backchannel.protocol import limits
from backchannel.protocol.channel import Channel
from backchannel.protocol.core import Kind
from backchannel.protocol.errors import (
    AuthenticationError,
    DecodeError,
    LocalProtocolError,
    RefusedError,
    RemoteProtocolError,
    StateError,
)
from backchannel.protocol.outcome import Alarm, Append, Arrival, Keep, OpenDrop, Said, ThreadBegan
from backchannel.protocol.roster import Entry, Policy
from backchannel.protocol.types import (
    MAIN_THREAD,
    Block,
    Hour,
    Slot,
    ThreadId,
    Timestamp,
    hour_of,
)
from tests.support.bits import sampled_flips
from tests.support.entropy import ScriptedEntropy
from tests.support.insider import Insider, as_if_by, cut, other_drop, owed, refuses, texts, waits
from tests.support.world import CHARTER, DISCLOSURE, LIFETIME, RELAY, START, Member, World


@pytest.fixture
def pair() -> World:
    return World.of(2)


def spoken(world: World, text: str = "hello") -> Arrival:
    """What the founder says, on its way."""
    world.founder.flush()
    world.founder.say(text)
    return owed(world.founder)[-1]


# --- Founding -------------------------------------------------------------------------------------


def found(
    role: str = "facilitator",
    charter: str = CHARTER,
    policy: Policy = Policy(LIFETIME),  # noqa: B008 - it is frozen
    name: str = "North",
) -> tuple[Channel, OpenDrop]:
    founder = Entry(9, "Ann", "Bridge", role, bytes(32))  # type: ignore[arg-type]
    channel, outcome = Channel.create(
        founder, name, (RELAY,), policy, charter, DISCLOSURE, START, ScriptedEntropy(1)
    )
    (opened,) = outcome.effects
    assert isinstance(opened, OpenDrop)
    return channel, opened


def create(role: str = "facilitator", charter: str = CHARTER) -> Channel:
    return found(role, charter)[0]


def test_a_founder_stands_alone_in_slot_zero() -> None:
    roster = create().state.current()
    assert [(entry.slot, entry.alias) for entry in roster.entries] == [(0, "Ann")]
    assert roster.version == 1


@pytest.mark.parametrize("role", ["participant", "observer", "note-taker"])
def test_only_a_facilitator_founds(role: str) -> None:
    with pytest.raises(LocalProtocolError, match="facilitator"):
        create(role)


@pytest.mark.parametrize("size", [0, limits.CHARTER_BYTES + 1])
def test_a_charter_that_no_card_could_carry_is_refused(size: int) -> None:
    with pytest.raises(LocalProtocolError, match="charter"):
        create(charter="x" * size)


@pytest.mark.parametrize("size", [1, limits.CHARTER_BYTES])
def test_charters_at_the_limits(size: int) -> None:
    assert len(create(charter="x" * size).state.charter) == size


@pytest.mark.parametrize(("lifetime", "keep"), [(1, 0), (24, 0), (25, 1), (168, 2), (2160, 5)])
def test_a_drop_keeps_blocks_as_long_as_content_lives(lifetime: int, keep: int) -> None:
    assert found(policy=Policy(lifetime))[1].keep == keep


@pytest.mark.parametrize("lifetime", [0, limits.LIFETIME + 1])
def test_a_lifetime_past_the_limits_is_refused(lifetime: int) -> None:
    with pytest.raises(DecodeError):
        found(policy=Policy(lifetime))


# --- Saved state ----------------------------------------------------------------------------------


def test_saved_state_opens_to_the_same_bytes(pair: World) -> None:
    for member in pair.members:
        before = member.snapshot()
        member.restart()
        assert member.snapshot() == before


def test_damaged_state_is_no_state(pair: World) -> None:
    name, clock = pair.founder.state.epoch.id, pair.founder.member.clock
    with pytest.raises(StateError):
        Channel.open(pair.founder.snapshot()[:-1], {name: (clock.hour, clock.value)})


# --- What is refused ------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(noise=st.binary(min_size=64, max_size=64).map(lambda seed: seed * 64))
def test_noise_is_refused(pair: World, noise: bytes) -> None:
    arrival = spoken(pair)._replace(block=Block(noise))
    refuses(pair[1], arrival, AuthenticationError, "no hour")


def test_a_block_with_any_bit_turned_is_refused(pair: World) -> None:
    arrival = spoken(pair)
    for bad in sampled_flips(arrival.block, 997):
        refuses(pair[1], arrival._replace(block=Block(bad)), AuthenticationError)
    assert texts(pair[1].receive(arrival)) == ["hello"]


@pytest.mark.parametrize("size", [0, 1, 4095, 4097, 8192])
def test_a_block_has_one_size(pair: World, size: int) -> None:
    refuses(pair[1], cut(spoken(pair), size), DecodeError, "4,096")


def test_a_drop_that_is_not_ours(pair: World) -> None:
    refuses(pair[1], other_drop(spoken(pair)), DecodeError, "not ours")


@pytest.mark.parametrize("hours", [-20, -2, 1, 2**31])
def test_the_hour_that_a_relay_names_is_a_hint(pair: World, hours: int) -> None:
    pair.pass_time(hours=20)
    arrival = spoken(pair)
    assert texts(pair[1].receive(arrival._replace(hour=Hour(arrival.hour + hours)))) == ["hello"]


def test_attack_57_a_block_that_a_relay_calls_old_is_no_more_than_withheld(pair: World) -> None:
    arrival = spoken(pair)
    before = pair[1].snapshot()
    assert pair[1].member.receive(arrival._replace(hour=Hour(0)), pair[1].now) == []
    assert pair[1].snapshot() == before
    assert texts(pair[1].receive(arrival)) == ["hello"]


def test_a_block_once_read_says_nothing_again(pair: World) -> None:
    arrival = spoken(pair)
    pair[1].receive(arrival)
    before = pair[1].snapshot()
    assert pair[1].member.receive(arrival, pair[1].now) == []
    assert pair[1].snapshot() == before


def test_attack_21_a_number_used_twice_shows_nothing_and_is_a_fork(pair: World) -> None:
    liar = Insider(pair.founder)
    own = liar.state.own
    first = liar.arrival(liar.seal(liar.part(b"\x95")))
    liar.state.own = own
    pair[1].receive(spoken(pair))
    (alarm,) = pair[1].receive(first)
    assert isinstance(alarm, Alarm)
    assert (alarm.kind, alarm.slot) == ("fork", 0)


def test_blocks_in_any_order(pair: World) -> None:
    arrivals = [spoken(pair, str(number)) for number in range(4)]
    heard = [text for each in reversed(arrivals) for text in texts(pair[1].receive(each))]
    assert heard == ["3", "2", "1", "0"]


@pytest.mark.parametrize("hours", [2, 5, 1000])
def test_a_block_of_an_hour_that_has_not_come(pair: World, hours: int) -> None:
    liar = Insider(pair.founder)
    core = liar.seal(liar.part(b"x"), hours=hours)
    refuses(pair[1], liar.arrival(core), AuthenticationError)


def test_the_next_hour_is_within_the_skew_of_two_clocks(pair: World) -> None:
    pair.founder.skew = 3600
    assert texts(pair[1].receive(spoken(pair))) == ["hello"]


def test_attack_59_a_block_withheld_past_its_hour(pair: World) -> None:
    arrival = spoken(pair)
    pair.pass_time(hours=LIFETIME + 1)
    refuses(pair[1], arrival, AuthenticationError)
    pair[1].tick()
    late = arrival._replace(hour=hour_of(pair.now))
    refuses(pair[1], late, AuthenticationError)
    pair.pass_time(hours=-LIFETIME - 1)  # a clock set back does not bring the keys back
    pair[1].member.clock.forget_before(Hour(hour_of(pair.now) + 1))
    refuses(pair[1], late, AuthenticationError)


def test_attack_25_at_the_very_hour_of_expiry_nothing_is_shown(pair: World) -> None:
    arrival = spoken(pair)
    pair.pass_time(hours=LIFETIME)
    assert texts(pair[1].receive(arrival)) == []
    assert pair[1].disk.expired == 1


def test_an_hour_before_it_expires_it_is_shown(pair: World) -> None:
    arrival = spoken(pair)
    pair.pass_time(hours=LIFETIME - 1)
    assert texts(pair[1].receive(arrival)) == ["hello"]


@pytest.mark.parametrize("kind", [9, 10])
def test_a_kind_that_has_no_place_here(pair: World, kind: int) -> None:
    liar = Insider(pair.founder)
    refuses(pair[1], liar.arrival(liar.noise(kind)), RefusedError, "no place")


def test_a_kind_that_nobody_knows(pair: World) -> None:
    from backchannel.protocol.block import outer_key
    from backchannel.protocol.drop import Drop
    from backchannel.protocol.primitives import xseal

    liar = Insider(pair.founder)
    hour = hour_of(pair.now)
    key = outer_key(
        Drop.of_epoch(liar.state.epoch.secret, RELAY.public).outer, liar.member.member.clock, hour
    )
    block = Block(bytes(24) + xseal(key, bytes(24), liar.noise(77)))
    refuses(pair[1], spoken(pair)._replace(block=block), DecodeError, "unknown kind")


def test_a_core_of_another_hour_than_its_key(pair: World) -> None:
    from backchannel.protocol.block import outer_key
    from backchannel.protocol.drop import Drop
    from backchannel.protocol.primitives import xseal

    liar = Insider(pair.founder)
    hour = hour_of(pair.now)
    key = outer_key(
        Drop.of_epoch(liar.state.epoch.secret, RELAY.public).outer, liar.member.member.clock, hour
    )
    block = Block(bytes(24) + xseal(key, bytes(24), liar.noise(Kind.COVER, hours=-1)))
    refuses(pair[1], spoken(pair)._replace(block=block), DecodeError, "another hour")


def test_cover_is_noise_and_changes_nothing_that_is_said(pair: World) -> None:
    liar = Insider(pair.founder)
    assert pair[1].receive(liar.arrival(liar.noise(Kind.COVER))) == []
    assert pair[1].refused == []


@pytest.mark.parametrize("kind", [Kind.GROUP, Kind.KEY])
def test_a_core_that_speaks_as_me(pair: World, kind: Kind) -> None:
    liar = Insider(pair.founder)
    core = as_if_by(liar.seal(liar.part(b"x")), Slot(1)) if kind is Kind.GROUP else None
    core = core or liar.noise(kind, bytes([1]))
    refuses(pair[1], liar.arrival(core), RefusedError, "as me")


def test_own_words_come_back_in_silence(pair: World) -> None:
    arrival = spoken(pair)
    assert pair.founder.receive(arrival) == []
    assert pair.founder.refused == []


def test_attack_57_a_relay_that_lies_about_the_hour_takes_one_hour_at_most(pair: World) -> None:
    pair.pass_time(hours=20)
    arrival = spoken(pair)
    lie = arrival._replace(hour=Hour(arrival.hour - 20))
    (said,) = [each for each in pair[1].receive(lie) if isinstance(each, Said)]
    assert said.expires == hour_of(pair.now) + LIFETIME - 1
    assert said.hour == hour_of(pair.now)


# --- What waits -----------------------------------------------------------------------------------


def renewed(world: World) -> list[Arrival]:
    """A key block and the post after it; the line block before them is there already."""
    world.pass_time(hours=limits.GENERATION_HOURS)
    world.settle(world.members[1:], rounds=1)
    world.founder.flush()
    world.founder.say("under a new key")
    moved, key, post = owed(world.founder)
    world[1].receive(moved)
    return [key, post]


def test_a_post_waits_for_its_key(pair: World) -> None:
    key, post = renewed(pair)
    waits(pair[1], post)
    events = pair[1].receive(key)
    assert texts(events) == ["under a new key"]
    assert pair[1].state.pending == []


def test_what_waits_stands_once(pair: World) -> None:
    _, post = renewed(pair)
    waits(pair[1], post)
    pair[1].receive(post)
    assert len(pair[1].state.pending) == 1


def test_what_waits_and_is_bad_is_dropped_when_its_key_comes(pair: World) -> None:
    world = pair
    world.pass_time(hours=limits.GENERATION_HOURS)
    liar = Insider(world.founder)
    posting = liar.posting()
    posting.new_generation()
    key = next(each for each in posting.effects if isinstance(each, Append))
    waits(world[1], liar.arrival(liar.seal(liar.part(b"nonsense"))))
    world[1].receive(Arrival(key.drop.id, posting.hour, key.block))
    assert world[1].state.pending == []
    assert world[1].disk.said == ()


def flood(world: World, slot: int, count: int) -> None:
    """Posts in the name of `slot` under generations that nobody has."""
    liar = Insider(world.founder)
    for number in range(count):
        start = bytes([slot]) + number.to_bytes(16) + bytes([0]) + liar.state.expected + bytes(132)
        world[1].receive(liar.arrival(liar.noise(Kind.GROUP, start)))


def test_attack_an_insider_fills_what_waits_and_others_still_get_in() -> None:
    world = World.of(3)
    key, post = renewed(world)
    waits(world[1], post)
    flood(world, 2, limits.PENDING_OF_ONE + 20)
    assert len(world[1].state.pending) == limits.PENDING_OF_ONE + 1
    assert texts(world[1].receive(key)) == ["under a new key"]


def test_attack_a_flood_in_the_victims_name_costs_a_delay_and_no_more() -> None:
    world = World.of(3)
    key, post = renewed(world)
    world.founder.flush()
    world[1].receive(post)
    flood(world, 0, limits.PENDING_OF_ONE)
    world[1].receive(key)
    assert world[1].said == []  # its place was taken
    world[2].sync()
    world[1]._fetch()  # the relay has nothing more for it
    world.founder.say("later")
    world.minutes(5)
    assert "under a new key" in [text for _, text in world[1].said]


def test_all_that_waits_is_bounded() -> None:
    world = World.of(6)
    for slot in (0, 2, 3, 4, 5):
        flood(world, slot, limits.PENDING_OF_ONE)
    assert len(world[1].state.pending) == limits.PENDING
    assert len(world[1].state.wants) <= 5 * limits.WANTS["generation"]


def test_attack_57_what_waits_dies_with_its_own_hour_whatever_the_relay_says(pair: World) -> None:
    _, post = renewed(pair)
    waits(pair[1], post._replace(hour=Hour(2**32 - 1)))
    pair.pass_time(hours=LIFETIME + 1)
    pair[1].tick()
    assert pair[1].state.pending == []


# --- What people ask for --------------------------------------------------------------------------


def test_a_say_is_one_block_and_a_text_for_oneself(pair: World) -> None:
    pair.founder.flush()
    said = pair.founder.say("hello")
    assert (said.author, said.text, said.expires) == (0, "hello", said.hour + LIFETIME)
    assert len(owed(pair.founder)) == 1


BOTH = (LocalProtocolError, DecodeError)
Kinds = type[Exception] | tuple[type[Exception], ...]


def refused_act(member: Member, command: commands.Command, kind: Kinds) -> None:
    before = member.snapshot()
    with pytest.raises(kind):
        member.act(command)
    assert member.snapshot() == before


@pytest.mark.parametrize("text", ["", "\ud800", "x" * 44_200])
def test_a_text_that_nobody_could_read_is_refused(pair: World, text: str) -> None:
    refused_act(pair.founder, commands.Say(MAIN_THREAD, text), BOTH)


def test_a_refused_wish_takes_no_reply_with_it() -> None:
    world = World.of(2)
    world.admit("Guest 2")
    world[2].sync()
    world[1].listen()
    assert any(peer.reply_due for peer in world[1].state.peers.values())
    refused_act(world[1], commands.Say(MAIN_THREAD, "x" * 44_200), DecodeError)


def test_a_text_is_sent_composed(pair: World) -> None:
    arrival = spoken(pair, "cafe\u0301")
    assert texts(pair[1].receive(arrival)) == ["caf\u00e9"]


def test_an_observer_does_not_speak() -> None:
    world = World()
    observer = world.admit("Watcher", "observer")
    world.settle()
    refused_act(observer, commands.Say(MAIN_THREAD, "hello"), LocalProtocolError)
    refused_act(observer, commands.Begin("topic"), LocalProtocolError)


def test_a_thread_begins_with_a_topic_and_a_lifetime(pair: World) -> None:
    (began,) = [
        e for e in pair.founder.act(commands.Begin("Water", 5)) if isinstance(e, ThreadBegan)
    ]
    said = pair.founder.say("about water", began.thread)
    pair.settle(rounds=1)
    assert said.expires == said.hour + 5
    assert pair[1].state.threads[began.thread].topic == "Water"
    assert pair[1].disk.said[-1].expires == said.expires


@pytest.mark.parametrize("lifetime", [LIFETIME + 1, -1])
def test_a_thread_lives_no_longer_than_its_channel(pair: World, lifetime: int) -> None:
    refused_act(pair.founder, commands.Begin("topic", lifetime), BOTH)


def test_a_channel_has_64_threads_at_one_time(pair: World) -> None:
    for number in range(limits.THREADS):
        pair.founder.act(commands.Begin(f"topic {number}"))
    refused_act(pair.founder, commands.Begin("one more"), LocalProtocolError)
    pair.pass_time(hours=LIFETIME + 1)
    pair.founder.tick()
    assert pair.founder.state.threads == {}


def test_a_kept_core_is_posted_again_under_another_outer_layer(pair: World) -> None:
    first = spoken(pair)
    pair[1].receive(first)
    kept = next(iter(pair.founder.disk.cores.values()))[0]
    pair.founder.flush()
    pair.founder.act(commands.Repost(kept))
    (again,) = owed(pair.founder)
    assert again.block != first.block


def test_a_core_whose_hour_is_over_is_posted_for_nobody(pair: World) -> None:
    """It may have been kept for longer than a shorter life, which holds at once, lets anybody read
    it.
    """
    kept = next(iter(pair.founder.disk.cores.values()))[0]
    pair.pass_time(hours=LIFETIME + 3)
    pair.founder.tick()
    before = pair.founder.disk.outbox
    assert pair.founder.act(commands.Repost(kept)) == []
    assert pair.founder.disk.outbox == before


def test_what_was_said_is_kept_for_whoever_asks(pair: World) -> None:
    events = pair.founder.act(commands.Say(MAIN_THREAD, "hello"))
    (keep,) = [each for each in events if isinstance(each, Keep)]
    assert (keep.expires, len(keep.core)) == (keep.hour + LIFETIME, limits.CORE)


def test_a_thread_that_is_not_known_lives_as_long_as_the_channel(pair: World) -> None:
    said = pair.founder.say("astray", ThreadId(b"\1" * 16))
    assert said.expires == said.hour + LIFETIME


def test_polls_name_the_drop_and_the_lobbies_of_open_invites(pair: World) -> None:
    assert [poll.relay for poll in pair.founder.member.polls()] == [RELAY.url]
    pair.invite("Guest 2")
    drops = {poll.drop.id for poll in pair.founder.member.polls()}
    assert len(drops) == 2


def test_no_door_raises_what_is_not_declared(pair: World) -> None:
    """Cores of every kind whose fields are all one value."""
    liar = Insider(pair.founder)
    for kind in (Kind.GROUP, Kind.LINE, Kind.INTRO, Kind.KEY, Kind.ROSTER, Kind.COVER):
        for value in (0, 1, 63, 64, 255):
            core = liar.noise(kind, bytes([value]) * 4035)
            try:
                pair[1].receive(liar.arrival(core))
            except RemoteProtocolError:
                pytest.fail("a member notes what it refuses")
    assert pair[1].disk.said == ()
    assert texts(pair[1].receive(spoken(pair))) == ["hello"]


def test_a_clock_that_was_set_back_does_not_stop_the_tongue(pair: World) -> None:
    pair.pass_time(hours=LIFETIME * 2)
    pair.founder.tick()
    pair.now = Timestamp(START - 3600)
    said = pair.founder.say("still here")
    assert said.hour == pair.founder.member.clock.hour
