"""What a member sends: order of what a post needs first, uses of an export, counts of blocks."""

import msgspec
import pytest

from backchannel.protocol import command as commands
from backchannel.protocol import limits
from backchannel.protocol.codec import encode
from backchannel.protocol.content import Announcement, Ask, Candidate, Text
from backchannel.protocol.core import Kind
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.outcome import Alarm, Append, Keep
from backchannel.protocol.posting import Posting, tidy
from backchannel.protocol.types import MAIN_THREAD, Slot
from backchannel.protocol.whisper import GivenSeeds
from tests.support.insider import Insider, forbids, kinds, texts
from tests.support.world import LIFETIME, World, news


@pytest.mark.parametrize("size", [1, 2_500])
def test_a_text_of_one_or_of_2500_bytes_is_one_block(size: int) -> None:
    world = World.of(2)
    world.founder.say("x" * size)
    assert kinds(world.founder) == [Kind.GROUP]


def test_the_longest_message_is_sixteen_blocks_and_one_message() -> None:
    world = World.of(2)
    data = encode(Text.plain(MAIN_THREAD, LIFETIME, "x" * 44_000))
    longest = 44_000 + limits.PARTS * 2_758 - len(data)
    world.founder.say("x" * longest)
    assert kinds(world.founder) == [Kind.GROUP] * limits.PARTS
    world.founder.flush()
    world[1].sync()
    assert [len(text) for _, text in world[1].said] == [longest]
    with pytest.raises(DecodeError, match="at most"):
        world.founder.say("x" * (longest + 1))


def test_a_post_answers_first_and_greets_before_it_speaks() -> None:
    world = World.of(2)
    for alias in ("Guest 2", "Guest 3"):
        world.admit(alias).listen()
    world[2].tick()
    world[2].flush()
    world[1].listen()
    world[1].say("all at once")
    assert kinds(world[1]) == [Kind.LINE, Kind.INTRO, Kind.GROUP]


def test_an_intro_takes_the_key_of_the_epoch_in_whose_drop_it_stands() -> None:
    """Who settles rivals announces that in an epoch that is over, and greets there."""
    world = World.of(2)
    new = world.admit("New")
    new.listen()
    one = world[1]
    one.sync()
    world.founder.act(commands.Turn())
    world.founder.flush()
    one.sync()
    posting = Posting(one.state, one.member.clocks, one.now, one.entropy)
    posting.into(one.state.epochs[0]).greet(new.state.me)
    one.carry(posting.outcome())
    one.flush()
    new.sync()
    assert new.state.peers[one.state.me].heard is not None


def test_a_clock_behind_the_rosters_does_not_speak_of_hours_before_it() -> None:
    world = World()
    world.founder.skew = 3600
    guest = world.knock("Guest")
    world.settle()
    world.founder.act(commands.Admit("Guest"))
    world.founder.flush()
    world.settle()
    said = guest.say("early")
    assert said.hour == world.founder.state.current().hour == guest.member.clock.hour


def test_text_is_composed() -> None:
    assert tidy("e\u0301") == "\u00e9"


# --- Uses of an export ----------------------------------------------------------------------------


def generations(world: World, count: int) -> None:
    """So many key blocks of the founder's, all of which its peer reads."""
    for _ in range(count):
        world.founder.state.renew = True
        world.founder.tick()
        world.founder.flush()
        world[1].listen()


def test_an_export_that_is_used_up_is_moved_on() -> None:
    world = World.of(2)
    generations(world, limits.USES + 2)
    world.founder.say("still heard")
    world.founder.flush()
    world[1].listen()
    assert world[1].said == [(0, "still heard")]
    line = world.founder.state.peers[Slot(1)].line
    assert line is not None
    assert line.export_out.step == 2


def test_an_export_that_is_used_up_and_cannot_move_is_left_out() -> None:
    world = World.of(2)
    world.admit("Guest 2")  # never answers
    peer = world.founder.state.peers[Slot(2)]
    assert peer.line is not None
    spent = msgspec.structs.replace(peer.line.export_out.chain, number=limits.USES)
    export = msgspec.structs.replace(peer.line.export_out, chain=spent)
    peer.line = msgspec.structs.replace(peer.line, export_out=export)
    world.pass_time(hours=limits.GENERATION_HOURS)
    world.founder.say("to whoever can read")
    own = world.founder.state.own
    assert own is not None
    assert set(own.readers) == {Slot(1)}


# --- Who may say what -----------------------------------------------------------------------------


def test_an_observer_who_posts_is_refused_whole() -> None:
    world = World.of(2)
    observer = world.admit("Watcher", "observer")
    world.settle()
    liar = Insider(observer)
    forbids(world[1], liar.post(Text.plain(MAIN_THREAD, 5, "heard?")), "does not speak")
    part = liar.arrival(liar.seal(liar.part(b"half", 0, 2)))
    forbids(world[1], part, "does not speak")


def test_attack_an_act_beyond_a_role_in_several_parts_is_an_alarm_and_nothing_else() -> None:
    """What it is shows only when its last part is here; each part was authentic, so it counts."""
    world = World.of(2)
    liar = Insider(world[1])
    data = encode(Candidate("Friend", "North", "observer", bytes(32)))
    first, last = (
        liar.arrival(liar.seal(liar.part(piece, place, 2)))
        for place, piece in enumerate((data[:20], data[20:]))
    )
    world.founder.receive(first)
    events = world.founder.receive(last)
    assert [each.kind for each in events if isinstance(each, Alarm)] == ["forbidden"]
    assert (world.founder.refused, world.founder.state.candidates) == ([], {})
    said = liar.post(Text.plain(MAIN_THREAD, 5, "still heard"), name=8)
    assert texts(world.founder.receive(said)) == ["still heard"]


def test_an_observer_may_ask() -> None:
    world = World.of(2)
    observer = world.admit("Watcher", "observer")
    world.settle()
    assert world[1].receive(Insider(observer).post(Ask((bytes(32),), (), ()))) is not None
    assert world[1].refused == []


def test_a_roster_is_announced_in_one_part_or_not_at_all() -> None:
    world = World.of(2)
    liar = Insider(world.founder)
    data = encode(Announcement(9, bytes(32), (bytes(32),)))
    for place, piece in enumerate((data[:20], data[20:])):
        world[1].receive(liar.arrival(liar.seal(liar.part(piece, place, 2))))
    assert world[1].state.announced == []
    assert world[1].state.partial == {}


def test_seeds_that_are_given_again_change_nothing() -> None:
    world = World.of(2)
    liar = Insider(world.founder)
    posting = liar.posting()
    own = liar.state.own
    assert own is not None
    before = world[1].state.peers[Slot(0)].generations
    core = posting.line_block(Slot(1), GivenSeeds.of(own.seeds())).core
    assert news(world[1].receive(liar.arrival(core))) == []
    assert world[1].state.peers[Slot(0)].generations == before
    said = liar.post(Text.plain(MAIN_THREAD, 5, "as before"))
    assert texts(world[1].receive(said)) == ["as before"]


def test_a_newcomer_takes_no_text_under_a_roster_that_it_does_not_have() -> None:
    world = World.of(2)
    guest = world.admit("Guest 2")
    liar = Insider(world.founder)
    assert guest.receive(liar.post(Text.plain(MAIN_THREAD, 5, "too early"))) == []
    assert (len(guest.state.pending), guest.state.wants) == (1, [])
    guest.listen()
    assert guest.said == [(0, "too early")]


def test_what_is_kept_is_what_was_sent() -> None:
    world = World.of(2)
    posting = Insider(world.founder).posting()
    posting.post(Text.plain(MAIN_THREAD, 5, "kept"))
    kept = {each.hash for each in posting.events if isinstance(each, Keep)}
    assert kept == {each.hash for each in posting.effects if isinstance(each, Append)}
