"""Attacks on a room, by name: each with the answer that the rules give.

Two posts under one number, slots that are valid for some only, altered slots, and citing what
another was made to refuse stand in `test_record`; what a single roster may not say in
`test_adoption`.
"""

from dataclasses import replace
from typing import NamedTuple

import msgspec
import pytest

from backchannel.protocol import command as commands
from backchannel.protocol import epoch, limits
from backchannel.protocol.codec import encode
from backchannel.protocol.content import Announcement, Echo, Text, policy_hash
from backchannel.protocol.core import GROUP_HASHED, Kind, content_hash
from backchannel.protocol.epoch_core import seal_epoch
from backchannel.protocol.errors import (
    AuthenticationError,
    DecodeError,
    LocalProtocolError,
    RefusedError,
    RemoteProtocolError,
)
from backchannel.protocol.outcome import (
    Acted,
    Alarm,
    Append,
    Arrival,
    Ended,
    Expired,
    Lost,
)
from backchannel.protocol.roster import Package, Roster, seal_package
from backchannel.protocol.secret import EpochSeed
from backchannel.protocol.sender_key import Parent
from backchannel.protocol.types import (
    MAIN_THREAD,
    Block,
    MessageId,
    RosterHash,
    Slot,
    hour_of,
)
from backchannel.protocol.whisper import Private, split_note
from tests.support.entropy import ScriptedEntropy
from tests.support.insider import (
    Insider,
    as_if_by,
    core_in,
    forbids,
    owed,
    refuses,
    texts,
    waits,
)
from tests.support.world import LIFETIME, Member, World, news


@pytest.fixture
def room() -> World:
    """Founder and Second facilitate, Third takes part, Fourth observes; for some hours now."""
    world = World()
    world.admit_facilitator("Second")
    world.settle()
    world.admit("Third")
    world.settle()
    world.admit("Fourth", "observer")
    world.settle()
    world.pass_time(hours=2)
    world.settle()
    world.minutes()
    return world


def text(words: str) -> Text:
    return Text.plain(MAIN_THREAD, 168, words)


def alarms(member: Member) -> list[str]:
    return [each.kind for each in member.told if isinstance(each, Alarm)]


def rosters(*members: Member) -> set[RosterHash]:
    return {member.state.current().hash for member in members}


def skip(*members: Member) -> None:
    """What is in the drops now does not reach them yet."""
    for member in members:
        for poll in member.member.polls():
            member.read[poll.drop.id] = len(member.drops.rows[poll.drop.id])


def heal(world: World) -> None:
    """Everything reaches everybody, and there is time to concede or to be alarmed."""
    for member in world.members:
        member.read.clear()
    world.settle()
    world.minutes()
    world.pass_time(seconds=limits.RIVAL_STANDS)
    world.minutes()


def act(member: Member, command: commands.Command) -> None:
    member.act(command)
    member.flush()


class Turned(NamedTuple):
    """A new epoch as one member is to see it."""

    announcement: Arrival
    core: Arrival
    pieces: list[Arrival]

    @property
    def all(self) -> list[Arrival]:
        return [self.announcement, self.core, *self.pieces]


class Issuer(Insider):
    """A facilitator who gives whatever epoch and roster one likes."""

    def roster(self, seed: EpochSeed, **changes: object) -> Roster:
        """The next, bound to the epoch of this seed."""
        current, hour = self.state.current(), self.posting().hour
        fields = {
            "version": current.version + 1,
            "previous": current.hash,
            "issuer": self.state.me,
            "hour": hour,
            "epoch": current.epoch + 1,
            "commitment": epoch.commitment(*epoch.begin(seed)[:1], hour, epoch.begin(seed)[1]),
            **changes,
        }
        return msgspec.structs.replace(current, **fields)

    def turn(self, roster: Roster, seed: EpochSeed) -> Turned:
        """An announcement, an epoch of this seed and the pieces."""
        posting, state = self.posting(), self.state
        head, wraps = posting.head(Kind.EPOCH), posting.wraps(state.peers)
        core = seal_epoch(state.me, roster.hash, seed, wraps, posting.clock, head, posting.entropy)
        secret = epoch.roster_secret(epoch.begin(seed)[0])
        clock, hour, entropy = posting.clock, posting.hour, posting.entropy
        pieces = seal_package(Package(roster, {}), secret, clock, hour, entropy)
        names = tuple(content_hash(piece) for piece in pieces)
        announcement = Announcement(roster.version, roster.hash, names, content_hash(core))
        return Turned(
            self.post(announcement, roster.hash),
            self.arrival(core),
            [self.arrival(piece) for piece in pieces],
        )


ONE, TWO = EpochSeed(b"1" * 32), EpochSeed(b"2" * 32)


# --- Rosters and epochs ---------------------------------------------------------------------------


def test_the_honest_issuer_of_these_tests_is_followed(room: World) -> None:
    issuer = Issuer(room.founder)
    roster = issuer.roster(ONE)
    for arrival in issuer.turn(roster, ONE).all:
        room[2].receive(arrival)
    assert rosters(room[2]) == {roster.hash}


def test_attack_60_different_epoch_secrets_for_different_members(room: World) -> None:
    """The roster that everybody is shown binds one epoch; who is given another one knows."""
    roster = Issuer(room.founder).roster(ONE)
    turned = Issuer(room.founder).turn(roster, TWO)
    for arrival in turned.all:
        room[2].receive(arrival)
    assert alarms(room[2]) == ["epoch"]
    assert room[2].state.current().version == roster.version - 1


def test_attack_60_one_epoch_core_with_another_seed_for_one_reader(room: World) -> None:
    issuer = Issuer(room.founder)
    turned = issuer.turn(issuer.roster(ONE), ONE)
    core = core_in(room[2], turned.core)
    other = Issuer(room.founder).turn(issuer.roster(ONE), TWO)
    at = 70 + 52 * 2
    mixed = core[:at] + core_in(room[2], other.core)[at : at + 52] + core[at + 52 :]
    room[2].receive(turned.announcement)
    waits(room[2], issuer.arrival(mixed))
    assert room[2].state.current().epoch == 0


def test_attack_61_two_rosters_shown_to_two_halves(room: World) -> None:
    """What one half says under its roster alarms the other."""
    for half, seed in ((room[2], ONE), (room[1], TWO)):
        issuer = Issuer(room.founder)
        for arrival in issuer.turn(issuer.roster(seed), seed).all:
            half.receive(arrival)
    room[0].online = room[3].online = False
    assert len(rosters(room[1], room[2])) == 2
    for member in (room[2], room[1]):
        member.tick()  # the echo into the epoch that both read
        member.flush()
    room.settle([room[1], room[2]])
    room.pass_time(seconds=limits.PATIENCE)
    room.settle([room[1], room[2]])
    assert "foreign" in alarms(room[1])
    assert "foreign" in alarms(room[2])


def test_attack_62_ground_words(room: World) -> None:
    """Nothing that an issuer chooses changes what is spoken, only who is there."""
    roster = room.founder.state.current()
    same = msgspec.structs.replace(roster, hour=1, version=9, commitment=bytes(32), heads=())
    assert same.spoken() == roster.spoken()
    for number, entry in enumerate(roster.entries):
        other = msgspec.structs.replace(entry, identity=bytes(32))
        entries = (*roster.entries[:number], other, *roster.entries[number + 1 :])
        assert msgspec.structs.replace(roster, entries=entries).spoken() != roster.spoken()


def test_attack_63_a_removed_facilitators_rival_roster(room: World) -> None:
    """Whoever had not read of the removal when it issued; or had, and pretends."""
    room[1].online = False
    old = Issuer(room[1])
    act(room.founder, commands.Remove("Second"))
    room.settle()
    held = rosters(room[0], room[2], room[3])
    assert len(held) == 1
    for member in (room[0], room[2], room[3]):
        for arrival in Issuer(room[1]).turn(old.roster(TWO), TWO).all:
            member.receive(arrival)
        assert not member.state.rivals
    room.settle()
    room.minutes()
    assert rosters(room[0], room[2], room[3]) == held
    assert len(room[2].said) == len(room[0].said) == 0


def test_attack_63_an_ex_members_policy_change(room: World) -> None:
    act(room.founder, commands.Remove("Second"))
    room.settle()
    assert any(isinstance(each, Ended) for each in room[1].told)
    with pytest.raises(LocalProtocolError, match="not a member"):
        room[1].act(commands.SetPolicy(msgspec.structs.replace(room[1].state.policy, lifetime=1)))
    assert room[0].state.epoch.secret not in [each.secret for each in room[1].state.epochs]


def test_forging_a_roster(room: World) -> None:
    """Nobody but a facilitator announces, and nobody in a facilitator's name."""
    issuer = Issuer(room[2])
    forged = issuer.turn(issuer.roster(ONE), ONE)
    forbids(room[3], forged.announcement, "does not change who is here")
    core = as_if_by(core_in(room[3], forged.announcement), room.slot(room.founder))
    assert room[3].receive(issuer.arrival(core)) == []  # a generation that is not the founder's
    assert room[3].state.current().version == 4


def test_rolling_an_epoch_back(room: World) -> None:
    before = room.founder.twin()
    first = rosters(room[2])
    act(room.founder, commands.Turn())
    room.settle()
    issuer = Issuer(room.founder)
    behind = issuer.turn(issuer.roster(ONE, epoch=0), ONE)
    for arrival in behind.all:
        room[2].receive(arrival)
    assert alarms(room[2]) == ["forbidden"]
    again = Issuer(before)
    for arrival in again.turn(again.state.current(), ONE).all:
        room[2].receive(arrival)
    assert rosters(room[2]) == rosters(room[0]) != first


def test_attack_61_an_announcement_that_is_cited_but_was_refused_here(room: World) -> None:
    """Slots that are bad for one member hide a roster from it, not that there is one."""
    issuer = Issuer(room.founder)
    turned = issuer.turn(issuer.roster(ONE), ONE)
    core = bytearray(core_in(room[2], turned.announcement))
    core[GROUP_HASHED + 16 * 3] ^= 1
    for arrival in (issuer.arrival(bytes(core)), turned.core, *turned.pieces):
        room.drops.append(arrival.drop, Block(arrival.block), arrival.hour)
    room[0].online = False
    for _ in range(4):
        room.pass_time(hours=1)
        room.settle(rounds=2)
        room.minutes(2)
    assert room[2].state.current().version == 5
    assert {"cited", "foreign"} & set(alarms(room[3]))


# --- Who facilitates together ---------------------------------------------------------------------

PAIRS: dict[str, tuple[commands.Command, commands.Command]] = {
    "roles": (commands.SetRole("Third", "facilitator"), commands.SetRole("Fourth", "participant")),
    "turns": (commands.Turn(), commands.Turn()),
    "a turn and a role": (commands.Turn(), commands.SetRole("Fourth", "participant")),
    "a role and a turn": (commands.SetRole("Third", "facilitator"), commands.Turn()),
}
REMOVALS = (commands.Remove("Third"), commands.Remove("Fourth"))


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("acts", PAIRS.values(), ids=PAIRS)
def test_two_at_once_end_alike_and_the_loser_is_told(
    room: World, acts: tuple[commands.Command, commands.Command], first: int
) -> None:
    for member, command in zip(room.members, acts, strict=False):
        member.act(command)
    room[first].flush()
    room[1 - first].flush()
    heal(room)
    assert len(rosters(*room.members)) == 1
    assert room[0].state.current().version == 5
    assert [sum(isinstance(e, Lost) for e in m.told) for m in room.members[:2]] == [
        first,
        1 - first,
    ]
    assert [(member.state.rivals, alarms(member)) for member in room.members] == [({}, [])] * 4
    room[2].say("we go on")


def test_two_at_once_with_their_blocks_mixed_end_alike(room: World) -> None:
    """Whose change is whole first holds, for its author too."""
    for member in room.members[:2]:
        member.act(commands.Turn())
    while any(member.disk.outbox for member in room.members[:2]):
        for member in room.members[:2]:
            member.flush(1)
            member.disk = replace(member.disk, outbox=member.disk.outbox[1:])
    heal(room)
    assert len(rosters(*room.members)) == 1
    assert [alarms(member) for member in room.members] == [[]] * 4


def test_who_was_removed_by_the_change_that_held_does_not_follow_the_other(room: World) -> None:
    room[0].act(REMOVALS[0])
    room[1].act(REMOVALS[1])
    room[1].flush()
    room[0].flush()
    heal(room)
    assert len(rosters(*room.members[:3])) == 1
    assert room[2].state.ended == ""
    assert room[3].state.ended == "removed"
    assert room[3].state.current().version == 4


def part(room: World, acts: tuple[commands.Command, commands.Command]) -> None:
    """Founder and Third see one change, Second and Fourth the other."""
    halves = ([room[0], room[2]], [room[1], room[3]])
    for number, command in enumerate(acts):
        act(halves[number][0], command)
        for _ in range(3):
            for member in halves[number]:
                member.sync()
            skip(*halves[1 - number])
    for half in halves:
        half[0].say("in this half")
        half[0].flush()
        half[1].sync()


@pytest.mark.parametrize("acts", PAIRS.values(), ids=PAIRS)
def test_attack_61_a_partition_that_heals(
    room: World, acts: tuple[commands.Command, commands.Command]
) -> None:
    """Alarm on all, talk stops, and a successor that names both brings everybody together."""
    part(room, acts)
    assert len(rosters(*room.members)) == 2
    heal(room)
    assert [alarms(each) for each in room.members] == [["rival"]] * 4
    for member in room.members[:3]:
        with pytest.raises(LocalProtocolError, match="two lists of members"):
            member.act(commands.Say(MAIN_THREAD, "anybody?"))
    assert [each.member.due(each.now) for each in room.members] == ["rivals", "", "", ""]
    act(room.founder, commands.Turn())
    heal(room)
    assert len(rosters(*room.members)) == 1
    (merged,) = {each.state.current().merged for each in room.members}
    assert len(merged) == 1
    assert not any(each.state.rivals for each in room.members)
    for member in room.members[:3]:
        member.say(f"{member.name} is back")
        member.flush()
    room.settle()
    for member in room.members:
        assert {"Founder is back", "Second is back", "Third is back"} <= {t for _, t in member.said}
        if acts == PAIRS["roles"]:  # nobody left the drop that both halves read
            assert {(0, "in this half"), (1, "in this half")} <= set(member.said)


def test_the_other_facilitator_settles_it_where_the_first_is_away(room: World) -> None:
    part(room, PAIRS["turns"])
    heal(room)
    room[0].online = False
    assert room[1].member.due(room.now) == ""
    room.pass_time(hours=limits.YIELD_HOURS)
    room.settle()
    assert room[1].member.due(room.now) == "rivals"
    act(room[1], commands.Turn())
    heal(room)
    assert len(rosters(*room.members[1:])) == 1
    room[0].online = True
    heal(room)
    assert len(rosters(*room.members)) == 1


def test_a_removal_in_either_half_stays(room: World) -> None:
    part(room, REMOVALS)
    heal(room)
    act(room.founder, commands.Turn())
    heal(room)
    assert len(rosters(*room.members[:2])) == 1
    assert [entry.alias for entry in room[0].state.current().entries] == ["Founder", "Second"]
    assert [each.state.ended for each in room.members[2:]] == ["removed"] * 2


# --- Who went, and what was -----------------------------------------------------------------------


def test_attack_66_old_keys_reviving_a_line(room: World) -> None:
    """A second intro of an entry, from an old copy of its device; or its keys under a new name."""
    thief = room[2].twin()
    posting = Insider(thief).posting()
    posting.greet(room.slot(room[3]))
    (intro,) = [each for each in posting.effects if isinstance(each, Append)]
    arrival = Arrival(intro.drop.id, hour_of(room.now), intro.block)
    refuses(room[3], arrival, RefusedError, "second intro")


@pytest.mark.parametrize("alone", [False, True])
def test_attack_71_a_quota_filled_by_the_one_about_to_be_removed(room: World, alone: bool) -> None:
    """The change goes with the seal, beyond the quota; nothing comes after it."""
    if alone:
        act(room.founder, commands.SetRole("Second", "participant"))
        heal(room)
    (old,) = [each.id for each in room[2].state.epochs if each.ending is None]
    drop = room.founder.member.polls()[-1].drop.id
    room.founder.act(commands.Remove("Third"))
    cores = tuple(core_in(room.founder, each) for each in owed(room.founder) if each.drop == drop)
    room.founder.disk = replace(  # what was sent to the full drop was not taken
        room.founder.disk,
        outbox=tuple(
            each
            for each in room.founder.disk.outbox
            if not isinstance(each, Append) or each.drop.id != drop
        ),
    )
    act(room.founder, commands.LastBlocks(cores))
    assert drop in room.drops.sealed
    heal(room)
    assert len(rosters(room[0], room[1], room[3])) == 1
    assert room[0].state.current().named("Third") is None
    assert room[2].state.ended == "removed"
    assert room[2].state.epoch.id == old
    assert [alarms(each) for each in room.members] == [[]] * 4


def test_attack_72_the_old_epochs_tail(room: World) -> None:
    """What who is gone says afterwards counts nowhere, unless somebody who stays answered it."""
    gone = Insider(room[2])
    act(room.founder, commands.Remove("Third"))
    room.settle()
    late = gone.post(text("one more thing"))
    for member in (room[0], room[1], room[3]):
        assert member.receive(late) == []
    hash_of = content_hash(core_in(room[0], late))
    room.drops.append(late.drop, Block(late.block), late.hour)
    room.settle()
    room.minutes()
    assert all(hash_of not in each.state.transcript for each in room.members)


def test_what_a_member_answered_before_the_switch_reaches_those_who_had_switched(
    room: World,
) -> None:
    said = room[2].say("my last word")
    room[2].flush()
    room[1].sync()
    skip(room[0], room[3])
    act(room.founder, commands.Remove("Third"))
    room[3].sync()
    assert said.hash not in room[3].state.transcript
    for member in room.members:
        member.read.clear()
    room.settle()
    room.minutes()
    act(room[1], commands.Say(MAIN_THREAD, "I heard you"))
    room.settle()
    room.minutes()
    assert all((2, "my last word") in each.said for each in (room[0], room[1], room[3]))
    assert [alarms(each) for each in room.members] == [[]] * 4


def test_a_removed_member_opens_nothing_new_and_a_newcomer_nothing_old(room: World) -> None:
    room[2].say("before")
    room[2].flush()
    room.settle()
    act(room.founder, commands.Remove("Third"))
    room.settle()
    room.pass_time(hours=2)
    guest = room.admit("Fifth")
    room.settle()
    room.founder.say("after")
    room.founder.flush()
    room.settle()
    assert (0, "after") not in room[2].said
    drops = {each.drop.id for each in room[2].member.polls()}
    assert room.founder.state.epoch.secret not in [each.secret for each in room[2].state.epochs]
    assert room.founder.member.polls()[-1].drop.id not in drops
    assert guest.said == [(0, "after")]


# --- Posts ----------------------------------------------------------------------------------------


def test_speaking_as_another_member(room: World) -> None:
    liar = Insider(room[2])
    core = core_in(room[3], liar.post(text("I am Second")))
    own = room[1].state.own
    assert own is not None
    renamed = core[:21] + bytes([1]) + own.id + core[38:]
    refuses(room[3], liar.arrival(renamed), RemoteProtocolError)
    waits(room[0], liar.arrival(as_if_by(core, room.slot(room[1]))))
    with pytest.raises(RefusedError, match="speaks as me"):
        room[1].member.receive(liar.arrival(renamed), room.now)


@pytest.mark.parametrize("place", [5, 37, 38, 69, 70, 198, 203, 235, GROUP_HASHED - 1])
def test_altering_a_body(room: World, place: int) -> None:
    """Any byte that is not a slot: nothing is shown, and who was not the author gains nothing."""
    honest = Insider(room[2])
    core = bytearray(core_in(room[3], honest.post(text("yes"))))
    core[place] ^= 1
    before = list(room[3].said)
    room[3].receive(honest.arrival(bytes(core)))
    assert room[3].said == before
    assert alarms(room[3]) == []


def test_attack_09_replaying_a_post_in_its_own_channel(room: World) -> None:
    """The thread is inside, and once is once: under other outer layers, in other epochs."""
    said = room[2].say("once")
    room[2].flush()
    room.settle()
    core = room[2].disk.cores[said.hash][0]
    for member in (room[0], room[1], room[3]):
        assert member.receive(Insider(room[2]).arrival(core)) == []
    act(room.founder, commands.Turn())
    room.settle()
    for member in (room[0], room[1], room[3]):
        assert member.receive(Insider(room[2]).arrival(core)) == []
        assert member.said.count((2, "once")) == 1


def test_a_post_of_one_epoch_counts_nowhere_in_another(room: World) -> None:
    room[2].online = False
    old = Insider(room[2])
    act(room.founder, commands.Turn())
    room.settle()
    core = core_in(room[3], old.post(text("from the epoch before")))
    refuses(room[3], Insider(room[1]).arrival(core), AuthenticationError)


def test_attack_03_replaying_across_channels(room: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(seed: object) -> ScriptedEntropy:
        return ScriptedEntropy(f"another {seed}")

    monkeypatch.setattr("tests.support.world.ScriptedEntropy", drawn)
    other = World()
    other.admit("Second")
    other.admit("Third")
    other.settle()
    other.now = room.now
    assert other[0].state.id != room[0].state.id
    arrival = Insider(room[2]).post(text("for this channel"))
    with pytest.raises(DecodeError, match="a drop that is not ours"):
        other[0].member.receive(arrival, other.now)
    waits(other[0], Insider(other[1]).arrival(core_in(room[3], arrival)))
    other.settle()
    assert other[0].said == []


def test_an_observer_who_posts(room: World) -> None:
    forbids(room[2], Insider(room[3]).post(text("but I think")), "an observer does not speak")
    with pytest.raises(LocalProtocolError, match="observer"):
        room[3].act(commands.Say(MAIN_THREAD, "but I think"))


# --- Too much, and too little ---------------------------------------------------------------------


def test_flooding_a_drop(room: World) -> None:
    """Nonsense has a bound in everybody's memory, and nothing honest is lost by it."""
    liar = Insider(room[2])
    for number in range(limits.PENDING + 40):
        kind = (Kind.GROUP, Kind.KEY, Kind.LINE, Kind.ROSTER, Kind.INTRO)[number % 5]
        start = bytes([number % 4, *number.to_bytes(16)])
        arrival = liar.arrival(liar.noise(kind, start))
        room.drops.append(arrival.drop, Block(arrival.block), arrival.hour)
    room[1].say("still here")
    room[1].flush()
    room.settle()
    for member in room.members:
        assert (1, "still here") in member.said
        assert len(member.state.pending) <= limits.PENDING
        assert len(member.state.wants) <= 4 * (limits.WANTS["generation"] + limits.WANTS["step"])
        assert len(member.snapshot()) < 4_000_000


def test_garbage_in_the_sender_key_messages(room: World) -> None:
    """A key block that opens to nothing: its author goes unheard, and everybody else does not."""
    liar = Insider(room[2])
    posting = liar.posting()
    posting.new_generation()
    (key,) = [each for each in posting.effects if isinstance(each, Append)]
    core = bytearray(core_in(room[3], Arrival(key.drop.id, hour_of(room.now), key.block)))
    at = 70 + 52 * 3
    core[at + 20] ^= 1
    refuses(room[3], liar.arrival(bytes(core)), AuthenticationError)
    waits(room[3], liar.post(text("whatever")))
    room[1].say("still here")
    room[1].flush()
    room.settle()
    assert (1, "still here") in room[3].said


def test_a_member_who_never_answers_an_intro(room: World) -> None:
    """Nobody else waits for it, and it can read when it comes back."""
    room[2].online = False
    guest = room.admit("Fifth")
    for _ in range(3):
        room.pass_time(hours=6)
        room.settle()
    guest.say("hello")
    guest.flush()
    room.settle()
    assert all((4, "hello") in each.said for each in (room[0], room[1], room[3]))
    room[2].online = True
    room.settle()
    room.minutes()
    assert (4, "hello") in room[2].said


# --- Late, once more, or elsewhere ----------------------------------------------------------------


def test_what_who_went_said_out_of_turn_frames_nobody_when_it_comes_late(room: World) -> None:
    """It is read once, whoever has the floor: half read, its copy would look like a fork."""
    act(room[2], commands.Say(MAIN_THREAD, "out of turn"))
    late = room.drops.rows[room[2].member.polls()[0].drop.id][-1]
    room.settle([room.founder])
    act(room.founder, commands.GiveFloor("Second"))
    act(room.founder, commands.Remove("Third"))
    for row in [each for each in room.drops.rows[late.drop] if each != late]:
        room[3].receive(row)
    room[3].online = False
    (said,) = texts(room[3].receive(late))
    assert said == "out of turn"
    room[3].receive(late)
    assert alarms(room[3]) == []


def test_an_old_post_is_no_fork_for_who_set_its_clock_back(room: World) -> None:
    """What can still be opened is still known."""
    act(room[2], commands.Say(MAIN_THREAD, "once"))
    room.settle()
    rows = list(room.drops.rows[room[3].member.polls()[0].drop.id])
    room.pass_time(hours=LIFETIME + 1)
    room[3].tick()
    room.pass_time(hours=-1)
    for row in rows:
        room[3].receive(row)
    assert alarms(room[3]) == []
    assert [said for _, said in room[3].said] == ["once"]


def test_who_lost_a_role_does_not_vouch_for_its_own_words_in_the_old_drop(room: World) -> None:
    before = Insider(room[2])
    act(room.founder, commands.SetRole("Third", "observer"))
    room.settle()
    late = before.post(text("I speak on"))
    waits(room[3], late)
    now, roster = Insider(room[2]), room[2].state.current()
    parent = Parent(content_hash(core_in(room[3], late)), 1)
    echo = encode(Echo(roster.version, roster.hash))
    named = now.seal(now.part(echo, name=8), parents=(parent,))
    assert texts(room[3].receive(now.arrival(named))) == []
    other, roster = Insider(room[1]), room[1].state.current()  # somebody else had read it
    vouched = room[3].receive(other.arrival(other.seal(other.part(echo), parents=(parent,))))
    assert texts(vouched) == ["I speak on"]


def test_what_an_honest_member_said_as_it_lost_its_role_makes_no_record_differ(room: World) -> None:
    room[2].online = False
    act(room.founder, commands.SetRole("Third", "observer"))
    room.settle()
    said = room[2].say("as I was told to be silent")
    room[2].online = True
    room.settle()
    for _ in range(6):
        room.pass_time(hours=1)
        for member in room.members:
            act(member, commands.Digest(asks=True))
        room.settle()
        room.minutes()
    assert [alarms(member) for member in room.members] == [[]] * 4
    assert said.hash in room[2].state.transcript
    assert said.hash not in room[3].state.transcript


def test_who_lost_a_role_does_not_keep_it_for_private_notes_in_the_old_drop(room: World) -> None:
    before = Insider(room[2])
    act(room.founder, commands.SetRole("Third", "observer"))
    room.settle([room[0], room[3]])
    at_once, late = (note(before, words, number) for number, words in enumerate(("so far", "on")))
    assert texts(room[3].receive(at_once)) == ["so far"]
    room.pass_time(hours=2)
    events = news(room[3].receive(late._replace(hour=hour_of(room.now))))
    assert events == [Expired(Slot(2))], "who brings it may be late: that frames nobody"


def note(liar: Insider, words: str, number: int) -> Arrival:
    """To Fourth, under the roster that stands for the liar."""
    private = Private(liar.state.current().hash, number, LIFETIME, 0, b"", words)
    (piece,) = split_note(private, MessageId(bytes([number]) * 16))
    return liar.arrival(liar.posting().line_block(Slot(3), piece).core)


def test_who_may_not_speak_does_not_make_a_change_hold(room: World) -> None:
    """Nor who goes by it: and the log of a change that holds is not lost with a refused post."""
    room.founder.act(commands.Remove("Third", "compromised"))
    draft = room.founder.state.draft
    assert draft is not None
    forbids(room.founder, Insider(room[3]).post(text("I speak"), draft.roster), "does not speak")
    refuses(room.founder, Insider(room[2]).post(text("I stay"), draft.roster), RefusedError)
    assert room.founder.state.draft == draft
    other = room[1].state.current()
    (log, *_) = [
        each
        for each in room.founder.receive(Insider(room[1]).post(text("come along"), draft.roster))
        if isinstance(each, Acted)
    ]
    assert log.version == other.version + 1


def test_who_was_removed_first_does_not_hold_what_it_drafted_itself(room: World) -> None:
    room[0].act(commands.Remove("Second"))
    room[1].act(commands.Remove("Founder"))
    room[0].flush()
    room[1].flush()
    room.settle()
    assert room[1].state.ended == "removed"
    assert room[1].state.draft is None
    assert any(isinstance(each, Lost) for each in room[1].told)
    assert [len(each.state.current().entries) for each in room.members] == [3, 4, 3, 3]
    assert len(rosters(room[0], room[2], room[3])) == 1


def test_a_yes_to_a_longer_life_ends_when_the_rules_change(room: World) -> None:
    """Said when content lived for a week, it is not a yes once people have agreed on a day."""
    longer = msgspec.structs.replace(room.founder.state.policy, lifetime=720)
    act(room.founder, commands.SetPolicy(longer))
    room.settle()
    for member in room.members[1:]:
        act(member, commands.Consent(policy_hash(longer)))
    room.settle()
    act(room.founder, commands.SetPolicy(msgspec.structs.replace(longer, lifetime=24)))
    room.settle()
    assert room[3].state.lifetime == 24
    issuer = Issuer(room.founder)
    for arrival in issuer.turn(issuer.roster(ONE, policy=longer), ONE).all:
        room[3].receive(arrival)
    assert alarms(room[3]) == ["forbidden"]
    assert room[3].state.lifetime == 24


def test_naming_many_rosters_hides_none(room: World) -> None:
    """An accomplice cannot push what somebody else's post betrays out of sight."""
    version = room[1].state.current().version
    room[3].receive(Insider(room[1]).post(Echo(version, b"x" * 32)))
    for number in range(40):
        room[3].receive(Insider(room[2]).post(Echo(version, bytes([number]) * 32), name=9))
    assert len(room[3].state.record.foreign) <= 1 + limits.FOREIGN
    room.pass_time(seconds=limits.PATIENCE)
    room[3].tick()
    told = {(each.kind, each.slot) for each in room[3].told if isinstance(each, Alarm)}
    assert told >= {("foreign", 1)}


def test_a_copy_of_anothers_seed_does_not_frame_its_author(room: World) -> None:
    """A relay hands out the copy first: then the author's epoch is not read, and nobody is blamed
    for hours that are not its.
    """
    author = Issuer(room.founder)
    turned = author.turn(author.roster(ONE), ONE)
    room.pass_time(hours=1)
    thief = Issuer(room[1])
    copied = thief.turn(thief.roster(ONE), ONE)
    for arrival in (turned.announcement, copied.announcement, copied.core):
        room[3].receive(arrival)
    refuses(room[3], turned.core, RefusedError, "not new")
    for piece in (*turned.pieces, *copied.pieces):
        room[3].receive(piece)
    assert [each.slot for each in room[3].told if isinstance(each, Alarm)] in ([], [1])


def test_an_epoch_does_not_begin_with_the_keys_of_one_that_is_over(room: World) -> None:
    issuer = Issuer(room.founder)
    for arrival in issuer.turn(issuer.roster(ONE), ONE).all:
        room[3].receive(arrival)
    issuer.state.roster = room[3].state.current()
    room[3].state.delivered.clear()  # the announcements of these tests have one message id
    turned = issuer.turn(issuer.roster(ONE), ONE)
    room[3].receive(turned.announcement)
    refuses(room[3], turned.core, RefusedError, "not new")


def test_nobody_uses_up_the_numbers_of_epochs(room: World) -> None:
    """After the last number there would be no epoch without who took it."""
    issuer = Issuer(room.founder)
    for arrival in issuer.turn(issuer.roster(ONE, epoch=2**32 - 1), ONE).all:
        room[1].receive(arrival)
    assert alarms(room[1]) == ["forbidden"]
    assert room[1].state.current().epoch == 0


def test_nobody_hides_a_difference_behind_a_rival_that_never_was(room: World) -> None:
    """Versions in which there were two halves are compared no more: so who says that there were is
    shown to have said so.
    """
    issuer = Issuer(room.founder)
    for arrival in issuer.turn(issuer.roster(ONE, merged=(b"z" * 32,)), ONE).all:
        room[3].receive(arrival)
    (alarm,) = [each for each in room[3].told if isinstance(each, Alarm)]
    assert (alarm.kind, alarm.slot, alarm.name) == ("rival", 0, b"z" * 32)


def test_attack_61_a_partition_in_which_one_half_let_somebody_in_heals(room: World) -> None:
    """The other half has never heard of the newcomer: what brings both together shows it who."""
    guest = room.knock("Fifth")
    halves = ([room[0], room[2]], [room[1], room[3]])
    deeds: tuple[commands.Command, ...] = (commands.Admit("Fifth"), commands.Turn())
    for number, command in enumerate(deeds):
        act(halves[number][0], command)
        for _ in range(3):
            for member in halves[number]:
                member.sync()
            skip(*halves[1 - number])
    guest.sync()
    heal(room)
    act(room.founder, commands.Turn())
    heal(room)
    heal(room)
    assert len(rosters(*room.members)) == 1
    assert not any(each.state.rivals for each in room.members)
    guest.say("here I am")
    guest.flush()
    room.settle()
    room.minutes()
    assert all((4, "here I am") in each.said for each in room.members)
