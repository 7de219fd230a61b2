"""Speaking in another's name, to oneself: SPEC.md section 22. Real clients judge what is forged."""

from typing import NamedTuple

import pytest
from msgspec.structs import replace

from backchannel.protocol import command as commands
from backchannel.protocol import exhibit, limits, sender_key
from backchannel.protocol.core import Kind, content_hash
from backchannel.protocol.errors import (
    AuthenticationError,
    DecodeError,
    LocalProtocolError,
    RefusedError,
)
from backchannel.protocol.exhibit import Exhibit, Person, Piece, Statement
from backchannel.protocol.forge import Forged, Forger
from backchannel.protocol.outcome import Alarm, Event, Said
from backchannel.protocol.types import MAIN_THREAD, Timestamp, hour_of
from tests.protocol.test_schedules_found import at_once, reads, rows
from tests.support.insider import core_in, owed, refuses, texts
from tests.support.world import START, Member, World

TURN = commands.Turn()


@pytest.fixture
def three() -> World:
    """A settled channel of three, in which everybody has spoken."""
    world = World.of(3)
    for number, member in enumerate(world.members):
        member.say(f"real {number}")
        world.settle(rounds=2)
    return world


def forge(member: Member, alias: str, text: str = "Never said.") -> Forged:
    return Forger(member.member).say(alias, MAIN_THREAD, text, member.now, member.entropy)


def taken(member: Member, forged: Forged) -> list[Event]:
    """What a copy of the member makes of it, as from a relay."""
    copy = member.twin()
    return [event for each in forged.arrivals for event in copy.receive(each)]


def said_by(events: list[Event]) -> list[tuple[int, str]]:
    return [(each.author, each.text) for each in events if isinstance(each, Said)]


# Whose client takes it.


@pytest.mark.parametrize("me", range(3))
@pytest.mark.parametrize("author", range(3))
def test_anybody_makes_a_post_that_their_own_client_accepts_as_anybody_elses(
    three: World, me: int, author: int
) -> None:
    if me == author:
        return
    alias = three[author].state.alias
    forged = forge(three[me], alias)
    assert [len(each.block) for each in forged.arrivals] == [limits.BLOCK]
    events = taken(three[me], forged)
    assert said_by(events) == [(three[author].state.me, "Never said.")]
    assert not any(isinstance(each, Alarm) for each in events)


def test_the_forger_goes_on_talking_to_everybody_after_having_taken_it(three: World) -> None:
    """It stands in the record like a real one, until the others' records are compared."""
    guest = three[1].twin()
    for each in forge(three[1], "Founder").arrivals:
        guest.receive(each)
    guest.say("after it")
    guest.flush()
    three[2].sync()
    assert three[2].said[-1] == (guest.state.me, "after it")


def test_nobody_elses_client_accepts_it(three: World) -> None:
    """No insider speaks as another: only the forger's own slot can be made."""
    forged = forge(three[1], "Founder")
    refuses(three[0], forged.arrivals[0], RefusedError, "speaks as me")
    refuses(three[2], forged.arrivals[0], AuthenticationError, "slot")


def test_a_forger_leaves_its_own_state_as_it_was(three: World) -> None:
    before, clocks = three[1].snapshot(), [c.hour for c in three[1].member.clocks.values()]
    forger = Forger(three[1].member)
    for alias in ("Founder", "Guest 2", "Guest 1"):
        forger.say(alias, MAIN_THREAD, "text", three[1].now, three[1].entropy)
    forger.whisper("Founder", "note", three[1].now, three[1].entropy)
    assert three[1].snapshot() == before
    assert [c.hour for c in three[1].member.clocks.values()] == clocks


def test_a_long_text_is_forged_in_as_many_blocks_as_a_real_one_has(three: World) -> None:
    text = "A long story. " * 800
    three[0].say(text)
    real = len(owed(three[0]))
    forged = forge(three[1], "Founder", text)
    assert len(forged.arrivals) == len(forged.said.leaves) == real > 1
    assert texts(taken(three[1], forged)) == [text]


# What a forger needs, and in which states of the key material.


def test_a_used_up_sender_key_is_renewed_in_the_authors_name(three: World) -> None:
    """Through the line between the two: a key block, and the post under it."""
    three.pass_time(hours=30)
    forged = forge(three[1], "Founder")
    kinds = [core_in(three[1], each)[0] for each in forged.arrivals]
    assert kinds == [Kind.LINE, Kind.KEY, Kind.GROUP]
    assert said_by(taken(three[1], forged)) == [(0, "Never said.")]


def test_a_sender_key_with_all_numbers_used_is_renewed_too(three: World) -> None:
    held = list(three[1].state.peers[three.slot(three[0])].generations.values())[-1]
    for _ in range(held.chain.number, limits.POSTS):
        three[0].say("x")
    three[0].flush()
    three[1].listen()
    forged = forge(three[1], "Founder")
    assert Kind.KEY in [core_in(three[1], each)[0] for each in forged.arrivals]
    assert said_by(taken(three[1], forged)) == [(0, "Never said.")]


@pytest.mark.parametrize("rounds", range(4))
def test_it_opens_at_every_stage_of_a_line(rounds: int) -> None:
    """Before the reply, before it was read, after notes went one way or both."""
    world = World.of(1)
    guest = world.admit("Guest 1")
    world.settle(rounds=rounds)
    for member, alias in ((guest, "Founder"), (world.founder, "Guest 1")):
        if member.state.roster is None:
            continue
        if rounds == 3:
            member.act(commands.Whisper(alias, "real"))
            member.flush()
            world.settle(rounds=1)
        forged = forge(member, alias)
        assert texts(taken(member, forged)) == ["Never said."]


def test_who_never_met_is_not_forged_yet(three: World) -> None:
    """Somebody else was admitted, whom this member has no line to."""
    copy = three[1].twin()
    copy.state.peers[three.slot(three[2])].line = None
    with pytest.raises(LocalProtocolError, match="have not met"):
        forge(copy, "Guest 2")


def test_a_first_post_is_forged_before_anything_of_the_author_came(three: World) -> None:
    copy = three[1].twin()
    copy.state.peers[three.slot(three[0])].generations = {}
    forged = Forger(copy.member).say("Founder", MAIN_THREAD, "first", copy.now, copy.entropy)
    kinds = [core_in(copy, each)[0] for each in forged.arrivals]
    assert kinds[-2:] == [Kind.KEY, Kind.GROUP]
    assert said_by(taken(copy, forged)) == [(0, "first")]


def test_what_a_role_forbids_nobody_forges(three: World) -> None:
    three.founder.act(commands.SetRole("Guest 2", "observer"))
    three.founder.flush()
    three.settle()
    with pytest.raises(LocalProtocolError, match="observer does not speak"):
        forge(three[1], "Guest 2")
    with pytest.raises(LocalProtocolError, match="nobody of that name"):
        forge(three[1], "Guest 9")
    with pytest.raises(DecodeError, match="at most"):
        forge(three[1], "Founder", "x" * 50_000)


def test_who_has_not_the_floor_is_forged_all_the_same(three: World) -> None:
    three.founder.act(commands.GiveFloor("Guest 2"))
    three.founder.flush()
    three.settle(rounds=1)
    assert three[2].state.floor == three.slot(three[2])
    forged = forge(three[2], "Guest 1")
    (said,) = (each for each in taken(three[2], forged) if isinstance(each, Said))
    assert said.out_of_turn


# Private notes.


@pytest.mark.parametrize("real", [0, 1, 3])
@pytest.mark.parametrize("first", [0, 1])
def test_a_private_note_from_anybody_to_oneself(three: World, real: int, first: int) -> None:
    """However many went before, and whoever wrote the last."""
    founder, guest = three[0], three[1]
    pair = (founder, guest) if first else (guest, founder)
    for number in range(real):
        writer, reader = pair[number % 2], pair[1 - number % 2]
        writer.act(commands.Whisper(reader.state.alias, f"real {number}"))
        three.settle(rounds=1)
    forger = Forger(guest.member)
    forged = [forger.whisper("Founder", text, guest.now, guest.entropy) for text in ("one", "two")]
    copy = guest.twin()
    events = [e for each in forged for a in each.arrivals for e in copy.receive(a)]
    assert [(e.author, e.to, e.text) for e in events if isinstance(e, Said)] == [
        (0, guest.state.me, "one"),
        (0, guest.state.me, "two"),
    ]
    assert [len(each.block) for f in forged for each in f.arrivals] == [limits.BLOCK] * 2


def test_the_line_goes_on_in_the_forgers_copy_as_if_the_note_were_real(three: World) -> None:
    guest = three[1].twin()
    (arrival,) = Forger(guest.member).whisper("Founder", "x", guest.now, guest.entropy).arrivals
    guest.receive(arrival)
    again = Forger(guest.member).whisper("Founder", "y", guest.now, guest.entropy)
    assert texts([e for each in again.arrivals for e in guest.receive(each)]) == ["y"]


# Time.


def test_what_is_forged_at_an_earlier_hour_names_nothing_that_came_later(three: World) -> None:
    early = three.now
    three.pass_time(hours=5)
    three[0].say("five hours later")
    three.settle(rounds=1)
    guest = three[1]
    forged = Forger(guest.member).say("Founder", MAIN_THREAD, "early", early, guest.entropy)
    assert forged.said.hour == hour_of(early)
    late = {post for post, row in guest.state.transcript.posts.items() if row.hour > hour_of(early)}
    (core,) = (c for h, c in forged.cores.items() if h == forged.said.hash)
    parents = {parent.hash for parent in sender_key.GroupHeader.read(core).parents}
    assert late
    assert parents
    assert late.isdisjoint(parents)
    assert said_by(taken(guest, forged)) == [(0, "early")]


def test_what_is_older_than_the_list_of_members_or_the_epoch_is_forged_like_the_rest(
    three: World,
) -> None:
    """Real files reach back over both, so forged ones do."""
    hours = []
    for change in (None, lambda: three.admit("Guest 3"), lambda: three.founder.act(TURN)):
        if change is not None:
            change()
            three.founder.flush()
            three.settle()
        hours.append(three.now)
        three.pass_time(hours=2)
    guest, forger = three[1], Forger(three[1].member)
    assert len(guest.state.epochs) == 2
    assert guest.state.current().version == 5
    for author, alias in enumerate(("Founder", "Guest 1", "Guest 2")):
        for now in hours:
            forged = Forger(guest.member).say(alias, MAIN_THREAD, "then", now, guest.entropy)
            assert forged.said.hour == hour_of(now)
            if alias != "Guest 1":
                assert said_by(taken(guest, forged)) == [(author, "then")]
    whole = [
        exhibit.statement(each.said, "", each.cores)
        for now in (*hours, three.now)
        for each in [forger.say("Founder", MAIN_THREAD, f"at {now}", now, guest.entropy)]
    ]
    exhibit.write(Shown(three, guest).file(whole))


def test_what_a_forged_post_says_first_in_an_older_epoch_opens_too() -> None:
    """What ended rivals was announced there: an echo goes before the text, under the author's key
    and not under the one that the forger had there.
    """
    world = World()
    world.admit_facilitator("Second")
    world.settle()
    for number in range(2):
        world.admit(f"Guest {number}")
        world.settle()
    first, second, one, other = world.members
    drop = rows(world)
    mine, theirs = at_once(world, (first, TURN), (second, TURN))
    for each in (first, one):
        reads(world, each, *mine)
    for each in (second, other):
        reads(world, each, *theirs)
    world.settle([first, one])
    world.settle([second, other])
    one.say("in the new one")
    one.flush()
    world.settle([first, one])
    for each in world.members:
        each.read[drop] = 0
    world.settle(rounds=1)
    world.pass_time(seconds=limits.RIVAL_STANDS + 60)
    world.settle(rounds=1)
    lead = next(each for each in (first, second) if each.member.due(each.now))
    lead.act(TURN)
    lead.flush()
    lead.listen()
    one.listen()
    assert one.state.current().merged
    for author in (first, second, other):
        copy, alias = one.twin(), author.state.alias
        forged = Forger(one.member).say(alias, MAIN_THREAD, "never", one.now, one.entropy)
        assert len({each.drop for each in forged.arrivals}) > 1
        for arrival in forged.arrivals:
            copy.receive(arrival)
        assert (author.state.me, "never") in copy.said
        assert not [each for each in copy.state.pending if each.core[0] == Kind.GROUP]


@pytest.mark.parametrize("alias", ["Guest 1", "Founder"])
def test_nobody_says_anything_at_an_hour_whose_keys_are_not_here(three: World, alias: str) -> None:
    guest = three[1]
    for hours in (-7, -200):
        now = Timestamp(START + 3600 * hours)
        with pytest.raises(LocalProtocolError, match="its keys are gone, or never came"):
            Forger(guest.member).say(alias, MAIN_THREAD, "x", now, guest.entropy)
    three.pass_time(hours=200)
    three.settle(rounds=1)
    with pytest.raises(LocalProtocolError, match="its keys are gone, or never came"):
        Forger(guest.member).say(alias, MAIN_THREAD, "x", START, guest.entropy)


# The file.


class Shown(NamedTuple):
    """A conversation and what one member writes down of it."""

    world: World
    me: Member

    def real(self) -> Exhibit:
        """What this member received."""
        cores = {name: core for name, (core, _) in self.me.disk.cores.items()}
        return self.file(
            [exhibit.statement(each, self.topic(each), cores) for each in self.me.disk.said]
        )

    def forged(self, *lines: tuple[str, str]) -> Exhibit:
        forger, made = Forger(self.me.member), []
        for alias, text in lines:
            said = forger.say(alias, MAIN_THREAD, text, self.me.now, self.me.entropy)
            made.append(exhibit.statement(said.said, self.topic(said.said), said.cores))
        return self.file(made)

    def topic(self, said: Said) -> str:
        known = self.me.state.threads.get(said.thread)
        return known.topic if known else ""

    def file(self, statements: list[Statement | None]) -> Exhibit:
        people = [Person.of(each) for each in self.me.state.current().entries]
        return exhibit.draw_up("North", people, [each for each in statements if each is not None])


@pytest.fixture
def shown(three: World) -> Shown:
    three[0].act(commands.Begin("Ceasefire"))
    three.settle(rounds=1)
    (thread,) = three[0].state.threads
    three[2].say("In a thread. " * 700, thread)
    three.settle(rounds=2)
    return Shown(three, three[1])


def test_real_and_forged_are_accepted_alike_and_look_alike(shown: Shown) -> None:
    real = shown.real()
    forged = shown.forged(("Founder", "real 0"), ("Guest 1", "real 1"), ("Guest 2", "real 2"))
    for each in (real, forged):
        assert exhibit.read(exhibit.write(each)) == each
    assert len(real.statements) == 4
    assert real.members == forged.members
    for one, other in zip(real.statements, forged.statements, strict=False):
        assert (one.author, one.text, one.topic) == (other.author, other.text, other.topic)
        assert len(exhibit.write(shown.file([one]))) == len(exhibit.write(shown.file([other])))


def test_leaf_keys_open_their_core_and_no_other(shown: Shown) -> None:
    first, second, *_ = shown.real().statements
    swapped = Piece(first.pieces[0].core, second.pieces[0].key)
    with pytest.raises(DecodeError, match="message 1"):
        exhibit.write(shown.file([replace(first, pieces=(swapped,))]))


def test_one_who_was_not_there_cannot_be_sure_of_a_file_of_any_author(shown: Shown) -> None:
    """Each member forges each other one, and every file is whole."""
    for member in shown.world.members:
        mine = Shown(shown.world, member)
        lines = [(each.state.alias, "I did it.") for each in shown.world.members]
        found = exhibit.read(exhibit.write(mine.forged(*lines)))
        assert {each.author for each in found.statements} == {0, 1, 2}


def test_notes_and_what_is_off_the_record_have_no_leaf_keys(shown: Shown) -> None:
    world = shown.world
    world[0].act(commands.Begin("Quiet", off=True))
    world[0].act(commands.Whisper("Guest 1", "note"))
    world.settle(rounds=1)
    quiet = next(name for name, each in world[0].state.threads.items() if each.off)
    world[0].say("off", quiet)
    world[1].say("off, too", quiet)
    world.settle(rounds=1)
    silent = [each for each in shown.me.disk.said if each.text in ("off", "off, too", "note")]
    assert len(silent) == 3
    for each in silent:
        assert each.leaves == ()
        assert exhibit.statement(each, "", {}) is None


def test_a_text_whose_core_is_gone_is_left_out(shown: Shown) -> None:
    assert exhibit.statement(shown.me.disk.said[0], "", {}) is None


def test_a_piece_that_waits_keeps_its_leaf_key(shown: Shown) -> None:
    """The key of each block of a long text, whichever came last."""
    said = shown.me.disk.said[-1]
    assert len(said.leaves) == 4
    for leaf in said.leaves:
        core, _ = shown.me.disk.cores[leaf.core]
        assert content_hash(core) == leaf.core
        sender_key.read_part(core, leaf.key)


def test_threads_of_a_forged_file_may_be_any_that_the_forger_knows(shown: Shown) -> None:
    me = shown.me
    (thread,) = me.state.threads
    said = Forger(me.member).say("Founder", thread, "here", me.now, me.entropy)
    made = exhibit.statement(said.said, shown.topic(said.said), said.cores)
    assert made is not None
    assert made.topic == "Ceasefire"
    exhibit.write(shown.file([made]))
