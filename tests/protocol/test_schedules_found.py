"""What random schedules found (`make schedules`), each by the claim that it broke; claim C8."""

import pytest
from msgspec.structs import replace

from backchannel.protocol import command as commands
from backchannel.protocol import courier, limits
from backchannel.protocol.core import Kind
from backchannel.protocol.outcome import Alarm, Answered
from backchannel.protocol.posting import Posting
from backchannel.protocol.types import DropId, RosterHash
from tests.simulation.person import Person
from tests.support.world import RELAYS, Member, World

FINDS = limits.RIVAL_STANDS + 60


class Programs(World):
    """Members whose programs say again by themselves what nobody took."""

    person = Person


def facilitated(guests: int = 2) -> World:
    """Two who facilitate, and others."""
    world = World()
    world.admit_facilitator("Second")
    world.settle()
    for number in range(guests):
        world.admit(f"Guest {number}")
        world.settle()
    return world


def rows(world: World) -> DropId:
    return world.founder.state.epoch.drops()[0][1].id


def reads(world: World, member: Member, *places: int) -> None:
    """One reads rows of the drop in an order of its own, as where other relays came first."""
    drop = member.state.epochs[0].drops()[0][1].id
    for place in places:
        member.receive(world.drops.rows[drop][place])
    member.read[drop] = len(world.drops.rows[drop])


def alarms(member: Member) -> set[str]:
    return {each.kind for each in member.told if isinstance(each, Alarm)}


def turn_when_due(world: World) -> None:
    for member in world.inside:
        if member.state.roster is not None and member.member.due(member.now):
            member.act(commands.Turn())
            member.flush()


def at_once(world: World, *changes: tuple[Member, commands.Command]) -> list[range]:
    """Each makes a change before it reads the others'; the places of the rows of each."""
    rows_, places = world.drops.rows[rows(world)], list[range]()
    for member, command in changes:
        start = len(rows_)
        member.act(command)
        member.flush()
        places.append(range(start, len(rows_)))
    return places


def split(world: World) -> tuple[Member, Member]:
    """Two change something at once, and each half of the others reads another one first."""
    first, second, one, other = world.members[:4]
    mine, theirs = at_once(world, (first, commands.Turn()), (second, commands.Turn()))
    reads(world, one, *mine, *theirs)
    reads(world, other, *theirs, *mine)
    assert one.state.current().hash != other.state.current().hash
    return one, other


def one_apart(world: World, *changes: tuple[Member, commands.Command]) -> Member:
    """Who reads the first of two changes first; all others read the second."""
    one, *others = world[2], world[0], world[1], world[3]
    first, second = at_once(world, *changes)
    reads(world, one, *first, *second)
    for each in others:
        reads(world, each, *second, *first)
    return one


def settled(world: World, gone: Member | None = None) -> bool:
    """Some hours of calm, in which whoever should begins a new epoch. `gone`: who is out after it,
    and knows it.
    """
    for _ in range(5):
        world.settle(rounds=2)
        world.pass_time(seconds=FINDS)
        world.settle(rounds=1)
        turn_when_due(world)
        world.settle(rounds=3)
    here = [each for each in world.inside if each is not gone]
    told = gone is None or gone.state.ended == "removed"
    return told and len({each.state.current().hash for each in here}) == 1


def test_keys_rest_on_no_line_block_that_a_sealed_drop_did_not_take() -> None:
    """Seed 30, "everything said is delivered": who was away while an epoch was sealed had healed a
    line there; its next sender key rested on a block that nobody has.
    """
    world = World.of(3)
    world.pass_time(hours=30)
    world[2].say("too late for this epoch")  # heals a line first
    world[0].act(commands.Turn())
    world[0].flush()
    world.settle([world[0], world[1]])
    world.pass_time(hours=limits.SEAL_HOURS + 1)
    world.settle([world[0], world[1]])
    world[2].flush()  # to a drop that is sealed
    world[2].sync()
    assert world[2].state.epoch.number == 1
    world.settle()
    for number in range(3):
        world[2].say(f"in the new one {number}")
        world.settle()
    for other in world.members[:2]:
        assert [text for _, text in other.said if text.startswith("in")] == [
            f"in the new one {number}" for number in range(3)
        ]


def test_an_echo_that_a_sealed_drop_did_not_take_is_missed_by_nobody() -> None:
    """Seed 30: it was named as a parent, and asked for in vain."""
    world = World.of(3)
    world[0].act(commands.Turn())
    world[0].flush()
    world.settle([world[0], world[1]])
    world.pass_time(hours=limits.SEAL_HOURS + 1)
    world.settle([world[0], world[1]])
    world[2].sync()
    world[2].say("here")
    world.settle()
    assert not world[0].state.transcript.missing
    assert not world[0].state.wants


def test_a_piece_of_a_roster_waits_for_its_announcement_and_its_epoch() -> None:
    """Seeds 34 and 68, "rosters converge": it was dropped after two hours, and could be asked for
    in vain only, since the drop was sealed.
    """
    world = World.of(3)
    drop = rows(world)
    start = len(world.drops.rows[drop])
    world.founder.act(commands.Turn())
    world.founder.flush()
    *rest, epoch, piece = world.drops.rows[drop][start:]
    world[2].read[drop] = len(world.drops.rows[drop])
    for row in (piece, *rest, epoch):
        world.pass_time(hours=30)
        world[2].tick()
        world[2].receive(row)
    assert world[2].state.epoch.number == 1


def test_a_draft_that_lost_is_a_rival_while_anybody_stands_behind_it() -> None:
    """Seed 13, "rosters converge": its issuer came over, who had adopted it did not."""
    world = facilitated()
    first, _ = world.members[:2]
    split(world)
    assert settled(world), [each.state.current().version for each in world.inside]
    assert all(alarms(each) <= {"rival"} for each in world.inside)
    first.say("together")
    world.settle()
    assert all((0, "together") in each.said for each in world.inside)


def test_two_who_each_adopted_the_others_change_settle_it() -> None:
    """Seed 13: neither had the keys of the drop it had come to, and neither could act."""
    world = facilitated()
    first, second = world.members[:2]
    mine, theirs = at_once(world, (first, commands.Turn()), (second, commands.Turn()))
    reads(world, first, *theirs)
    reads(world, second, *mine)
    assert first.state.current().issuer != first.state.me
    assert second.state.current().issuer != second.state.me
    assert settled(world)


def shorter(member: Member) -> commands.SetPolicy:
    return commands.SetPolicy(replace(member.state.policy, lifetime=100))


def test_who_is_in_the_half_that_keeps_the_epoch_says_so() -> None:
    """Seed 13: whoever adopts a change without a new epoch was silent, and left alone."""
    world = facilitated()
    first, second = world.members[:2]
    one = one_apart(world, (first, shorter(first)), (second, commands.Turn()))
    assert one.state.epoch.number == 0
    assert first.state.epoch.number == 1
    assert settled(world)


def test_a_half_that_tightened_the_rules_takes_those_from_before() -> None:
    """Seed 38, "no alarm in an honest run": who settled it had not tightened them."""
    world = facilitated()
    first, second = world.members[:2]
    one = one_apart(world, (second, shorter(second)), (first, commands.Turn()))
    assert one.state.lifetime == 100
    assert settled(world)
    assert all(alarms(each) <= {"rival"} for each in world.inside)
    assert one.state.lifetime == 168


def test_who_changed_more_after_it_tightened_the_rules_takes_those_from_before() -> None:
    """Seed 302525, "no alarm in an honest run": a courier brought one the tighter rules, which lost
    everywhere else; with a change of its own it forgot those from before, and both went on to
    settle it past each other for ever.
    """
    world = World()
    for name in ("Second", "Third"):
        world.admit_facilitator(name)
        world.settle()
    world.admit("Guest")
    world.settle()
    first, second, third, guest = world.members
    first.act(shorter(first))
    cores = [core for core, _ in first.disk.cores.values()]
    for block in courier.pack(first.member, cores, first.entropy):
        found = courier.find(third.member, block, None, third.now)
        if found is not None:
            third.receive(found)
    assert third.state.lifetime == 100
    rows_ = world.drops.rows[rows(world)]
    start = len(rows_)
    third.act(commands.Turn())
    third.flush()
    third.sync()
    (later,) = at_once(world, (second, commands.Turn()))
    for each in (first, second, guest):
        reads(world, each, *later, *range(start, later.start))
    first.flush()
    assert {each.state.current().version for each in world.members} == {5, 6}
    assert settled(world)
    assert all(alarms(each) <= {"rival"} for each in world.inside)


def test_a_key_that_was_drawn_for_a_newcomer_before_its_roster_held_is_taken() -> None:
    """Seed 311780, "rosters converge": it came under the roster before the newcomer's first, was
    refused for its age, and with it all that whoever let it in said next.
    """
    world = facilitated()
    world.pass_time(hours=limits.GENERATION_HOURS - 2)
    guest = world.knock("Late")
    world.founder.act(commands.Admit("Late"))
    world.founder.flush()  # a draft, until it is read back
    world.pass_time(hours=3)
    world.founder.say("a new key of today")
    world.founder.sync()
    world.founder.act(commands.Turn())
    world.founder.sync()
    assert settled(world)
    assert guest.state.epoch.number == world.founder.state.epoch.number


def test_a_difference_alarms_only_when_it_was_seen_before_itself() -> None:
    """Two years, "no alarm": an older difference, settled since, gave its age to a new one."""
    world = World.of(3)
    for hours in (2, 5, 5):
        world.pass_time(hours=hours)
        one, other = world[1], world[2]
        other.online = False
        one.say("read later")
        one.flush()
        world.settle([world[0], one])
        world.pass_time(hours=3)
        other.act(commands.Digest())
        other.online = True
        other.flush()
        world.settle([world[0]])
        world.settle()
    assert not any(alarms(each) for each in world.members)


def test_a_post_that_only_a_courier_brought_is_in_its_authors_account() -> None:
    """Two years, "no alarm": where the only relay was gone, the author of a change counted it as
    read by nobody.
    """
    world = World.of(3)
    world.pass_time(hours=3)
    world.settle()
    gone = {world.founder.state.relays[0].url}
    for each in world.members:
        each.cut = gone
    world.founder.act(commands.Turn())
    world.founder.act(commands.SetRelays(RELAYS[1:2]))
    cores = [core for core, _ in world.founder.disk.cores.values()]
    file = [*courier.pack(world.founder.member, cores, world.founder.entropy)]
    for each in world.members[1:]:
        for block in file:
            each.receive(courier.find(each.member, block, None, each.now))
    for _ in range(4):
        world.settle()
        world.pass_time(hours=4)
        for each in world.members:
            each.act(commands.Digest())
        world.settle()
    assert not any(alarms(each) for each in world.members)


def test_a_post_that_waits_is_no_fork_of_its_copy_from_another_relay() -> None:
    """Seed 1091, "no alarm in an honest run": the copy could be read before the one that waited was
    tried again.
    """
    world = World.of(3, relays=RELAYS[:2])
    reader, author = world[0], world[1]
    drops = [drop.id for _, drop in reader.state.epoch.drops()]
    before = [len(world.drops.rows[drop]) for drop in drops]
    said = author.say("once")
    author.flush()
    key = reader.state.peers[author.state.me].generations
    reader.state.peers[author.state.me].generations = {}
    reader.receive(world.drops.rows[drops[0]][before[0]])
    assert [each.hash for each in reader.state.pending] == [said.hash]
    reader.state.peers[author.state.me].generations = key
    reader.receive(world.drops.rows[drops[1]][before[1]])
    reader.tick()
    world[2].say("opens what waits")
    world.settle()
    assert reader.said.count((author.state.me, "once")) == 1
    assert not alarms(reader)
    assert not any(each.hash == said.hash for each in reader.state.pending)


def test_who_speaks_at_once_in_a_new_epoch_has_told_the_old_one_first() -> None:
    """Seed 2046, "rosters converge": the echo stood under a sender key that was given in the new
    epoch alone, so the other half could not read it.
    """
    world = World.of(3)
    old = rows(world)
    world.founder.act(commands.Turn())
    world.founder.flush()
    one = world[1]
    one.listen()
    start = len(world.drops.rows[old])
    one.say("before anything else")
    one.flush()
    one.tick()
    one.flush()
    reader = world[2].twin()
    reader.receive(world.drops.rows[old][start])
    assert not reader.state.wants or all(want.kind == "core" for want in reader.state.wants)
    assert len(world.drops.rows[old]) == start + 1
    world.settle()
    assert (1, "before anything else") in world[2].said


def lost_and_gone_on(world: World, *changes: commands.Command) -> Member:
    """One who facilitates changes something twice before another reads it, who removes somebody;
    that is read at once by the one whom it takes away.
    """
    first, second, one, _ = world.members
    drop, start = rows(world), len(world.drops.rows[rows(world)])
    for change in changes:
        second.act(change)
        second.flush()
        second.sync()
    before = len(world.drops.rows[drop])
    first.act(commands.Remove("Guest 0"))
    first.flush()
    reads(world, one, *range(before, len(world.drops.rows[drop])))
    one.read[drop] = start
    assert one.state.ended == "removed"
    first.listen()  # of what begins an epoch, what stands in that is read next
    first.sync()
    return one


def test_who_comes_over_and_goes_on_says_what_it_lost_to() -> None:
    """Seeds 301950 and 304385, "nobody is out whom others have": who lost was further on by then,
    and said only so; whom its change took away waited for another of that version.
    """
    world = facilitated()
    one = lost_and_gone_on(world, commands.Turn(), commands.Turn())
    assert world.founder.state.epoch.number == 2
    assert settled(world)
    assert one.state.ended == ""


def test_who_asked_to_go_is_not_here_again_where_a_change_without_it_is_lost() -> None:
    """Seed 325415, "rosters converge": it facilitated, and began an epoch in every round, for its
    own going, which it could not leave out of it.
    """
    world = facilitated()
    world[2].act(commands.Leave())
    one = lost_and_gone_on(world, commands.Turn(), commands.Turn())
    for _ in range(2):
        world.settle(world.members[:2])
        one.listen()
    assert one.state.ended == "left"


def test_who_asks_to_go_stands_behind_no_change_of_its_own() -> None:
    """Seed 402643, "rosters converge": its change was too late, and its program, at an end, said
    no more; so it was settled, in the epoch before somebody came, who never read that.
    """
    world = facilitated()
    first, second = world.members[:2]
    second.act(shorter(second))
    second.act(commands.Leave())
    first.act(commands.Turn())
    first.flush()
    world.settle([first, *world.members[2:4]])
    new = world.admit("New")
    second.flush()
    settled(world)
    stay = [each for each in world.members if each is not second]
    assert {each.state.current().hash for each in stay} == {new.state.current().hash}
    assert [entry.slot for entry in new.state.current().entries] == [each.state.me for each in stay]


def test_what_somebody_goes_on_with_stands_though_its_issuer_asked_to_go() -> None:
    """Others are behind it, who stay."""
    world = facilitated()
    one = one_apart(world, (world[1], shorter(world[1])), (world[0], commands.Turn()))
    world[1].act(commands.Leave())
    world[1].flush()
    assert one.state.current().issuer == world[1].state.me
    settled(world)
    assert one.state.current().hash == world[0].state.current().hash
    assert one.state.current().merged


def test_who_comes_over_and_goes_on_says_so_where_the_epoch_stays_too() -> None:
    world = facilitated()
    two = commands.SetPolicy(replace(world[0].state.policy, lifetime=90))
    one = lost_and_gone_on(world, shorter(world[1]), two)
    assert (world.founder.state.epoch.number, world.founder.state.lifetime) == (0, 90)
    assert settled(world)
    assert one.state.ended == ""


def test_who_was_apart_when_somebody_came_takes_the_intro_from_then() -> None:
    """Seeds 210509 and 301106, "everything said is delivered": its roster was never adopted there,
    so the newcomer's intro was refused, and what rested on it, until it answered theirs, was noise.
    """
    world = facilitated()
    new = world.knock("New")
    apart = one_apart(world, (world[1], shorter(world[1])), (world[0], commands.Admit("New")))
    world[0].flush()
    world.settle()
    assert new.state.current().version == world[0].state.current().version
    assert new.state.current().hash != apart.state.current().hash
    while not new.state.current().merged:
        world.settle()
        world.pass_time(seconds=FINDS)
        turn_when_due(world)
        new.sync()
    new.say("first of all")
    assert settled(world)
    assert (new.state.me, "first of all") in apart.said


def test_what_ends_rivals_is_announced_where_all_of_both_came_from() -> None:
    """Seed 251074, "rosters converge": a change in the next epoch stood against what had ended
    rivals in the one before; what ended that stood in the next epoch, where whoever came from the
    other half never read.
    """
    world = facilitated()
    first, second, one, other = world.members
    one_apart(world, (first, commands.Turn()), (second, commands.Turn()))
    second.tick()
    second.flush()
    first.listen()  # has the other's part of the keys
    first.act(shorter(first))
    first.flush()
    other.sync()
    second.act(commands.Turn())
    second.flush()
    for each in (second, first, one):
        each.sync()
    assert other.state.lifetime == 100
    assert {each.state.current().version for each in world.members} == {6}
    assert {each.state.epoch.number for each in world.members} == {1, 10}
    assert settled(world)
    assert all(alarms(each) <= {"rival"} for each in world.inside)


def unheard() -> tuple[World, Member, Member]:
    """Who came while one was about to be away; its reply is made, and comes when the drop of its
    epoch is sealed.
    """
    world = World.of(3)
    one, new = world[2], world.admit("New")
    new.sync()
    one.listen()
    one.tick()
    world.founder.act(commands.Turn())
    world.founder.flush()
    world.settle([world[0], world[1], new])
    world.pass_time(hours=limits.SEAL_HOURS + 1)
    world.settle([world[0], world[1], new])
    assert rows(world) != one.state.epoch.drops()[0][1].id
    one.flush()
    one.sync()
    return world, one, new


def both_whisper(one: Member, other: Member) -> None:
    """Their line goes either way."""
    for author, reader in ((one, other), (other, one)):
        author.act(commands.Whisper(reader.state.alias, "between us"))
        author.flush()
        reader.sync()
        assert (author.state.me, "between us") in reader.said


def test_a_reply_that_a_sealed_drop_did_not_take_is_given_by_a_later_block() -> None:
    """Seed 262937, "nobody is invited again": it was posted again where nobody could read it, and
    the line to the newcomer was not answered for a lifetime.
    """
    world, one, new = unheard()
    line = new.state.peers[one.state.me].line
    assert line is not None
    assert not line.answered
    world.settle()
    world.minutes()
    line = new.state.peers[one.state.me].line
    assert line is not None
    assert line.answered
    assert [each.slot for each in new.told if isinstance(each, Answered)].count(one.state.me) == 1
    both_whisper(one, new)


@pytest.mark.parametrize("hours", [0, limits.SEAL_HOURS])
def test_a_reply_to_who_follows_another_list_comes(hours: int) -> None:
    """Seed 313262, "nobody is invited again": who came followed another list than who had let it
    in, and answered where that one never reads. It answers in the epoch before; where that may be
    sealed by then, a later block gives the reply again.
    """
    world = facilitated()
    new = world.admit("New")
    new.listen()
    world.settle(world.members[:4])
    mine, theirs = at_once(world, (world[0], commands.Turn()), (world[1], commands.Turn()))
    for each in (new, world[3]):
        reads(world, each, *theirs, *mine)
    for each in world.members[:3]:
        reads(world, each, *mine, *theirs)
    world.pass_time(hours=hours)
    new.sync()
    reply = new.state.peers[world.founder.state.me].reply
    assert reply is not None
    assert new.state.epoch_of(reply) is new.state.epochs[1 if hours else 0]
    assert new.state.epoch.id not in {each.id for each in world.founder.state.epochs}
    assert settled(world)
    assert settled(world)
    assert all(each.answers for each in world.founder.state.peers.values())


def test_who_came_is_heard_though_it_follows_another_list_alone() -> None:
    """It had answered nobody yet, and did so where only it reads: so nobody who reads elsewhere
    could read where it is, and after a day it took itself for removed.
    """
    world = facilitated()
    new = world.admit("New")
    new.listen()
    world.settle(world.members[:4])
    mine, theirs = at_once(world, (world[0], commands.Turn()), (world[1], commands.Turn()))
    reads(world, new, *theirs, *mine)
    for each in world.members[:4]:
        reads(world, each, *mine, *theirs)
    assert settled(world)
    assert not new.state.ended


def test_who_reads_in_a_new_epoch_alone_is_answered_there() -> None:
    """Whoever was admitted after it began finds nothing in the one before."""
    world = World.of(3)
    one = world[2]
    world.founder.act(commands.Turn())
    world.founder.flush()
    new = world.admit("New")
    new.sync()
    one.listen()
    one.listen()
    one.tick()
    reply = one.state.peers[new.state.me].reply
    assert reply is not None
    assert one.state.epoch_of(reply) is one.state.epoch


def test_a_reply_is_given_by_a_later_block_to_who_waits_for_it_alone() -> None:
    """Asked for again once it came, it is posted again as any core."""
    world, one, new = unheard()
    reply = one.state.peers[new.state.me].reply
    assert reply is not None
    world.settle()
    world.minutes()
    new.act(commands.Whisper(one.state.alias, "heard"))
    new.flush()
    one.sync()
    start = world.drops.count()
    one.act(commands.Repost(one.disk.cores[reply][0]))
    one.flush()
    assert world.drops.count() == start


@pytest.mark.parametrize("late", [False, True])
def test_a_reply_that_a_courier_brings_beside_is_one_answer(*, late: bool) -> None:
    """Whichever comes first counts, and the line goes on."""
    world, one, new = unheard()
    reply = one.state.peers[new.state.me].reply
    assert reply is not None
    world.settle()
    world.pass_time(seconds=40)
    new.sync()  # asks
    (block,) = courier.pack(one.member, [one.disk.cores[reply][0]], one.entropy)
    if late:
        world.minutes()
    found = courier.find(new.member, block, None, new.now)
    assert found is not None
    new.receive(found)
    world.minutes()
    assert [each.slot for each in new.told if isinstance(each, Answered)].count(one.state.me) == 1
    both_whisper(one, new)


def test_an_epoch_that_is_over_may_have_begun_by_a_clock_that_was_ahead() -> None:
    """Seed 513006, an error in every round of that hour: what ended rivals was of the hour before
    one's own epoch, so nothing could be said there of where one went.
    """
    world = facilitated()
    first, second = world.members[:2]
    first.skew = 3600
    one = one_apart(world, (first, commands.Turn()), (second, commands.Turn()))
    began = one.state.epoch
    second.act(commands.Turn())
    second.flush()
    one.sync()
    assert one.state.current().hour < began.began
    assert [over for over in one.state.epochs if over.ending and over.ending.echoed][1] is began
    assert settled(world)


def test_keys_rest_on_no_reply_that_a_sealed_drop_did_not_take() -> None:
    """It goes to an epoch that is over: the next sender key rests on a further block."""
    world = World.of(3)
    one, new = world[2], world.admit("New")
    new.sync()
    world.founder.act(commands.Turn())
    world.founder.flush()
    one.listen()
    one.tick()
    reply = one.state.peers[new.state.me].reply
    assert reply is not None
    assert one.state.epoch_of(reply) is one.state.epochs[0]
    world.pass_time(hours=limits.SEAL_HOURS)
    world.settle([world[0], world[1], new])
    one.flush()  # in part to a drop that is sealed
    one.say("in the new one")
    one.flush()
    new.sync()
    assert (one.state.me, "in the new one") in new.said


@pytest.mark.parametrize("since", [False, True])
def test_who_comes_to_what_ends_rivals_says_so_where_all_came_from(*, since: bool) -> None:
    """Seed 513140, "rosters converge": two ended the same rivals at once, and each adopted the
    other's; where one went, it said in the epoch that it left, which few of the others read. So
    whom that one took away took it for lost. `since`: it had a new sender key since, which it had
    given in that epoch alone, and which nobody else could open either (seed 810442).
    """
    world = World()
    for name in ("Second", "Third"):
        world.admit_facilitator(name)
        world.settle()
    for number in range(2):
        world.admit(f"Guest {number}")
        world.settle()
    first, second, *others = world.members
    drop = rows(world)
    turns = at_once(world, *((each, commands.Turn()) for each in world.members[:3]))
    of_first, of_second, of_third = turns
    reads(world, first, *of_second, *of_first, *of_third)
    reads(world, second, *of_first, *of_second, *of_third)
    for each in others:
        reads(world, each, *of_third, *of_first, *of_second)
    world.settle()
    assert len({each.state.epoch.id for each in world.members}) == 3
    world.pass_time(seconds=FINDS)
    for each in (first, second):
        each.tick()
    places = []
    for each, command in ((first, commands.Turn()), (second, commands.Remove("Guest 1"))):
        start = len(world.drops.rows[drop])
        each.act(command)
        each.flush()
        places.append(range(start, len(world.drops.rows[drop])))
        if since:
            each.act(commands.Begin("of my half", None))
            each.flush()
    assert all(places)
    reads(world, first, *places[1], *places[0])
    for each in (second, *others):
        reads(world, each, *places[0], *places[1])
    assert first.state.current().issuer == second.state.me
    assert all(each.state.current().issuer == first.state.me for each in (second, *others))
    assert settled(world, gone=world[4])


def test_who_waits_to_be_led_by_somebody_who_goes_too_is_out() -> None:
    """Seed 512242, "rosters converge": the other half went on without one, where that one does not
    read, and without the only one who facilitated with it, who was told so and was silent.
    """
    world = facilitated()
    first, second, lead, last = world.members
    made, lost = at_once(
        world,
        (second, commands.SetRole("Guest 0", "facilitator")),
        (first, commands.Remove("Guest 0")),
    )
    for each in world.members:
        reads(world, each, *made, *lost)
    world.settle()
    assert all(each.state.facilitates(lead.state.me) for each in world.members)
    made, lost = at_once(
        world, (second, commands.SetRelays(RELAYS[:2])), (first, commands.Remove("Guest 1"))
    )
    reads(world, first, *lost, *made)
    for each in (second, lead, last):
        reads(world, each, *made, *lost)
    assert first.state.current().hash != last.state.current().hash
    settled(world)
    assert [each.state.ended for each in world.members] == ["", "", "removed", "removed"]


def by_hand(one: Member, other: Member) -> None:
    """A courier brings all that one holds."""
    cores = [core for core, _ in one.disk.cores.values()]
    for block in courier.pack(one.member, cores, one.entropy):
        found = courier.find(other.member, block, None, other.now)
        if found is not None:
            other.receive(found)


def one_leads_on() -> tuple[World, Member]:
    """Of two who facilitate the founder asks to go."""
    world = facilitated(guests=1)
    world.founder.act(commands.Leave())
    world.founder.flush()
    world[1].sync()
    return world, world[1]


def test_who_alone_still_facilitates_waits_for_no_relay() -> None:
    """Seed 324843, "nobody is out whom others have": the relay died before a removal was read
    back; a courier told who was removed, and nobody was left whose post would make it hold.
    """
    world, lead = one_leads_on()
    lead.act(commands.Remove("Guest 0"))
    assert lead.state.draft is None
    assert [each.alias for each in lead.state.current().entries] == ["Second"]
    by_hand(lead, world[2])
    assert world[2].state.ended == "removed"


def test_who_alone_settles_rivals_keeps_nothing_of_who_goes() -> None:
    """It kept their bundles, and greeted who did not stand there any more."""
    world, lead = one_leads_on()
    state, name = lead.state, RosterHash(bytes(32))
    rival = state.rival(state.current().version, name, world.founder.state.me, state.epoch.id, ())
    state.rivals = {name: rival}
    lead.act(commands.Turn())
    assert list(state.peers) == [world[2].state.me]
    lead.tick()


@pytest.mark.parametrize("lost", [0, 1])
def test_what_who_goes_changed_before_may_be_first(lost: int) -> None:
    """Its announcement, or a part of what that names, is still on the way."""
    world = facilitated(guests=1)
    lead, drop, start = world[1], rows(world), len(world.drops.rows[rows(world)])
    world.founder.act(shorter(world.founder))
    world.founder.act(commands.Leave())
    world.founder.flush()
    changed = world.drops.rows[drop][start:]
    for row in changed[:lost] + changed[2:]:
        lead.receive(row)
    assert world.founder.state.me in lead.state.leavers
    assert (len(lead.state.announced), bool(lead.state.transcript.missing)) == (lost, not lost)
    lead.act(commands.Turn())
    assert lead.state.draft is not None
    world.settle()
    assert lead.state.lifetime == 100


def test_who_came_over_to_other_relays_is_heard_where_its_own_change_may_be_followed() -> None:
    """Seed 330887, "rosters converge": its change had lost there, and held for all others; what it
    decided next was said on the new relays alone, and whom it removed was never told.
    """
    world = facilitated(guests=1)
    first, second, one = world.members
    move = commands.SetRelays(RELAYS[1:2])
    moved, turned = at_once(world, (first, move), (second, commands.Turn()))
    reads(world, second, *moved, *turned)
    for each in (first, one):
        reads(world, each, *turned, *moved)
    second.act(commands.Remove("Guest 0"))
    second.flush()
    second.sync()
    assert second.state.current().version == first.state.current().version + 1
    settled(world)
    assert first.state.current().hash == second.state.current().hash
    assert one.state.ended == "removed"


def test_who_came_over_is_heard_there_until_all_others_came_too() -> None:
    """Nobody may follow the change that lost any more."""
    world = facilitated(guests=1)
    second = world[1]
    left = second.state.epoch.drops()[0][1].id
    at_once(world, (world.founder, commands.SetRelays(RELAYS[1:2])), (second, commands.Turn()))
    world.settle()
    assert second.state.record.conceded
    before = len(world.drops.rows[left])
    second.say("where all are")
    second.flush()
    assert len(world.drops.rows[left]) == before


def told_by_hand(*, turns: bool = True) -> tuple[World, Member]:
    """Who alone has read of its removal: another change is first in the drop."""
    world = facilitated()
    first, second, one, _ = world.members
    second.act(commands.Remove("Guest 0"))
    by_hand(second, one)
    assert one.state.ended == "removed"
    first.act(commands.Turn() if turns else shorter(first))
    first.flush()
    first.sync()
    first.say("only its issuer is there")
    first.flush()
    one.listen()
    assert one.state.ended == "removed"
    return world, one


def test_who_reads_that_others_follow_another_change_is_not_gone() -> None:
    """Seed 720883, "nobody is out whom others have": a courier had brought a removal that no relay
    took; whoever had made it came over when the drop was sealed, and could not say so there.
    """
    world, one = told_by_hand()
    first, second, _, other = world.members
    other.sync()
    world.pass_time(hours=limits.SEAL_HOURS + 1)
    first.sync()
    assert first.state.epochs[0].drops()[0][1].id in world.drops.sealed
    second.flush()
    second.sync()
    assert second.state.record.conceded
    one.sync()
    assert not one.state.ended
    assert settled(world)


def test_who_reads_that_others_speak_under_another_change_is_not_gone() -> None:
    """Where the epoch stays nothing else tells where they are."""
    world, one = told_by_hand(turns=False)
    other = world[3]
    other.listen()
    other.say("there, too")
    other.flush()
    one.listen()
    assert not one.state.ended
    assert (other.state.me, "there, too") in one.said


def test_who_was_taken_away_where_others_stand_behind_that_too_is_gone() -> None:
    """By what lost in the drop, and somebody else has adopted."""
    world, one = told_by_hand()
    first, second, _, other = world.members
    by_hand(second, other)
    assert other.state.current().issuer == second.state.me
    second.flush()
    other.sync()
    settled(world)
    assert first.state.current().hash == other.state.current().hash
    assert one.state.ended == "removed"


def test_what_goes_before_ones_own_change_is_not_held_back_as_too_late() -> None:
    """Seed 402224, "rosters converge": who ended an epoch where it reached no relay said again a
    day later, in the next one, what it had said before; keys of that one rested on it, and whoever
    it was for stayed behind.
    """
    world = Programs.of(3)
    founder, guest = world[0], world[1]
    founder.cut = {RELAYS[0].url}
    founder.act(commands.Whisper(guest.state.alias, "before it ended"))
    founder.act(commands.Turn())
    over = founder.state.epochs[0]
    world.pass_time(hours=limits.SEAL_HOURS + 1)
    founder.flush()
    assert founder.state.untold(over)
    founder.cut = set()
    world.settle()
    assert not founder.state.untold(over)
    assert {each.state.epoch.number for each in world.members} == {1}
    assert guest.said == [(founder.state.me, "before it ended")]


def test_keys_of_an_epoch_rest_on_no_line_block_that_a_sealed_drop_did_not_take() -> None:
    """Who facilitates had been away, and ended the next epoch before anything else: whoever it had
    written to just before could not open the keys, and stayed behind.
    """
    world = facilitated()
    first, second, one, other = world.members
    second.act(commands.Whisper(one.state.alias, "too late for this epoch"))
    first.act(commands.Turn())
    first.flush()
    world.settle([first, one, other])
    world.pass_time(hours=limits.SEAL_HOURS + 1)
    world.settle([first, one, other])
    second.flush()  # to a drop that is sealed
    for _ in range(2):
        second.listen()
    second.act(commands.Turn())
    second.flush()
    world.settle()
    world.minutes()
    assert {each.state.epoch.number for each in world.members} == {2}


def test_a_key_of_an_echo_in_an_epoch_that_is_over_heals_no_line_for_good() -> None:
    """Seed 810344, "everything said is delivered": who had let somebody in too late told the epoch
    that was over where it went, under a new sender key. The drop was sealed, and took neither that
    key nor the line block before it, which the next sender key rested on.
    """
    world = facilitated()
    world.knock("New")
    first, second, one, other, _ = world.members
    turned, admitted = at_once(world, (second, commands.Turn()), (first, commands.Admit("New")))
    reads(world, first, *turned, *admitted)
    first.tick()
    first.flush()
    assert first.state.own is None  # the newcomer that is none had seeds of it
    world.settle([second, one, other])
    second.act(commands.Turn())
    second.flush()
    world.settle([second, one, other], rounds=1)
    first.act(commands.Whisper(one.state.alias, "in the epoch that ends"))
    first.flush()
    first.listen()
    first.tick()
    assert first.state.epoch.number == 2
    world.pass_time(hours=limits.SEAL_HOURS + 1)
    world.settle([second, one, other])
    first.flush()  # to a drop that is sealed
    first.say("in the new one")
    world.settle()
    world.minutes()
    assert (first.state.me, "in the new one") in one.said


def test_who_was_away_for_epochs_says_where_it_is_in_the_one_that_is_open() -> None:
    """Under the key that stood all the time, though the drops of the others are sealed."""
    world = World.of(3)
    away, rest = world[2], [world[0], world[1]]
    for number in range(3):
        world.pass_time(hours=limits.SEAL_HOURS + 1 if number else 0)
        world.settle(rest)
        world[0].act(commands.Turn())
        world[0].flush()
        world.settle(rest)
    assert len(world.drops.sealed) == 2
    for _ in range(4):
        away.listen()
    assert away.state.epoch.number == 3
    away.sync()
    world.settle(rest)
    open_, posts = world[1].state.epochs[2], world[1].state.transcript.posts
    assert [each for each in open_.seen if each in posts and posts[each].author == away.state.me]


def test_what_ends_rivals_is_read_by_who_was_given_ones_key_only_since() -> None:
    """Who came late to the epoch in which rivals were announced had no sender key of it from who
    ended them.
    """
    world = World()
    for name in ("Second", "Third"):
        world.admit_facilitator(name)
        world.settle()
    for number in range(2):
        world.admit(f"Guest {number}")
        world.settle()
    first, second, third, one, other = world.members
    new = world.admit("New")
    world.settle([first, second, third, one, other])
    drop = rows(world)
    mine, theirs = at_once(world, (first, commands.Turn()), (third, commands.Turn()))
    reads(world, new, *range(mine.stop))
    for each in (first, second, one):
        reads(world, each, *mine)
    for each in (third, other):
        reads(world, each, *theirs)
    half = [first, second, one, new]
    world.settle(half)
    world.settle([third, other])
    world.pass_time(seconds=60)
    second.say("in the new one")
    second.flush()
    world.settle(half)
    assert (second.state.me, "in the new one") in new.said
    first.online = False
    for each in world.members:
        each.read[drop] = 0
    for _ in range(8):
        settled(world)
        world.pass_time(hours=5)
    assert len({each.state.current().hash for each in world.members if each is not first}) == 1


def test_what_ends_rivals_is_read_by_ones_own_half_after_a_night() -> None:
    """It has forgotten the sender key of the epoch before, where lives are short."""
    world = World(lifetime=6)
    world.admit_facilitator("Second")
    world.settle()
    for number in range(2):
        world.admit(f"Guest {number}")
        world.settle()
    first, second, one, other = world.members
    drop = rows(world)
    mine, theirs = at_once(world, (first, commands.Turn()), (second, commands.Turn()))
    for each in (first, one):
        reads(world, each, *mine)
    for each in (second, other):
        reads(world, each, *theirs)
    world.settle([first, one], rounds=3)
    world.settle([second, other], rounds=3)
    world.pass_time(hours=2)
    first.say("in the new one")
    first.flush()
    one.sync()
    for each in world.members:
        each.read[drop] = 0
    world.settle(rounds=1)
    first.online = second.online = False
    for _ in range(8):
        world.pass_time(hours=1)
        world.settle([one, other], rounds=1)
    first.online = second.online = True
    for _ in range(4):
        settled(world)
        world.pass_time(hours=2)
    assert len({each.state.current().hash for each in world.members}) == 1


def test_an_echo_stands_under_a_new_key_once_the_numbers_of_the_former_are_used() -> None:
    world = World.of(3)
    world[1].say("hello")
    world.settle()
    world[0].act(commands.Turn())
    world[0].flush()
    world.settle()
    one, over = world[1], world[1].state.epochs[0]
    posting = Posting(one.state, one.member.clocks, one.now, one.entropy)
    assert over.ending is not None
    assert over.ending.own is not None
    over.ending.own = replace(over.ending.own, number=limits.POSTS)
    posting.echo(over, one.state.current().version, one.state.current().hash)
    assert over.ending.own.number == limits.POSTS


@pytest.mark.parametrize("since", [False, True])
def test_two_who_end_the_same_rivals_after_a_night_say_where_they_went(*, since: bool) -> None:
    """Under the key that each had given there with its own change: of the one before, others may
    have forgotten by then. `since`: each had another one since.
    """
    world = World(lifetime=6)
    for name in ("Second", "Third"):
        world.admit_facilitator(name)
        world.settle()
    for number in range(2):
        world.admit(f"Guest {number}")
        world.settle()
    first, second, *others = world.members
    drop = rows(world)
    turns = at_once(world, *((each, commands.Turn()) for each in world.members[:3]))
    reads(world, first, *turns[1], *turns[0], *turns[2])
    reads(world, second, *turns[0], *turns[1], *turns[2])
    for each in others:
        reads(world, each, *turns[2], *turns[0], *turns[1])
    world.settle()
    world.pass_time(seconds=FINDS)
    world.settle()
    for _ in range(7):
        world.pass_time(hours=1)
        world.settle(rounds=1)
    places = []
    for each, command in ((first, commands.Turn()), (second, commands.Remove("Guest 1"))):
        start = len(world.drops.rows[drop])
        each.act(command)
        each.flush()
        places.append(range(start, len(world.drops.rows[drop])))
        if since:
            each.act(commands.Begin("of my half", None))
            each.flush()
    reads(world, first, *places[1], *places[0])
    for each in (second, *others):
        reads(world, each, *places[0], *places[1])
    for each in others:
        each.sync()
    first.tick()
    first.flush()
    assert settled(world, gone=world[4])


def test_who_lets_somebody_in_first_says_where_it_is_under_the_key_that_it_replies_with() -> None:
    """The echo is the first act, before a key is drawn for the newcomer."""
    world = World()
    world.admit_facilitator("Second")
    world.settle()
    first, second = world.members
    world.knock("Late")
    world.settle([first, second])
    world.founder = second
    first.say("under a key")
    first.flush()
    world.settle([first, second])
    new = world.admit("New")
    new.listen()
    over = first.state.epoch
    second.act(commands.Turn())
    second.flush()
    new.tick()
    new.flush()
    second.sync()
    second.sync()
    first.listen()
    first.listen()
    assert first.state.epoch is not over
    assert first.state.peers[new.state.me].reply_due
    drop = over.drops()[0][1].id
    start = len(world.drops.rows[drop])
    first.act(commands.Admit("Late"))
    first.flush()
    for row in world.drops.rows[drop][start:]:
        new.receive(row)
    assert not [each for each in new.state.pending if each.core[0] == Kind.GROUP]
