"""What a member, a facilitator or a relay does with several relays, courier files and closings."""

import itertools

import pytest
from msgspec.structs import replace

from backchannel.protocol import command as commands
from backchannel.protocol import limits, standing
from backchannel.protocol.block import wrap
from backchannel.protocol.codec import encode
from backchannel.protocol.content import Proposal, Text, policy_hash
from backchannel.protocol.core import Kind, content_hash, head_of
from backchannel.protocol.outcome import Arrival, Hushed, Keep
from backchannel.protocol.proposal import Proposed
from backchannel.protocol.roster import Policy
from backchannel.protocol.types import MAIN_THREAD, Core, DropId, Hour, Slot, hour_of
from tests.support.bridge import alarms, bridge, do
from tests.support.insider import Insider
from tests.support.world import LIFETIME, RELAYS, Member, World

WEEK = limits.CLOSING_HOURS
LATER = limits.LEVEL_AFTER + limits.LEVEL_SPREAD * limits.ENTRIES
A, B, C, _ = (relay.url for relay in RELAYS)
FOUNDER, NORTH, SOUTH = Slot(0), Slot(1), Slot(2)


@pytest.fixture
def room() -> World:
    return bridge()


def closing(world: World) -> Policy:
    return replace(world.founder.state.policy, standing="closed")


def by_hand(member: Member, core: Core) -> Arrival:
    """A core in a courier file."""
    over, hour = member.state.epoch, head_of(core).hour
    drop = over.courier()
    clock = member.member.clocks[over.id]
    return Arrival(drop.id, hour, wrap(core, drop.outer, clock, member.entropy))


def force(world: World) -> None:
    """A facilitator whose program does not ask closes."""
    state, policy = world.founder.state, closing(world)
    everybody = tuple(Slot(each.slot) for each in state.current().entries)
    state.proposals = {policy_hash(policy): Proposed(policy, FOUNDER, Hour(0), everybody)}
    world.founder.act(commands.SetPolicy(policy))
    world.founder.flush()


# --- Hours that a courier brings ------------------------------------------------------------------


def test_attack_153_an_older_date_in_a_courier_file_shortens_no_waiting(room: World) -> None:
    policy = closing(room)
    room.pass_time(hours=LIFETIME // 2)
    liar = Insider(room.founder)
    core = liar.seal(liar.part(encode(Proposal(policy))), hours=1 - LIFETIME // 2)
    for member in room.members[1:]:
        member.receive(by_hand(liar.member, core))
        assert member.state.proposals[policy_hash(policy)].hour == hour_of(room.now)


def test_attack_153_who_lost_a_role_whispers_by_a_courier_file_with_an_older_date() -> None:
    world = World()
    for alias in ("Heron", "Ibis"):
        world.admit(alias)
        world.settle()
    liar = world[1].twin()
    do(world, world.founder, commands.SetRole("Heron", "observer"))
    world.pass_time(hours=6)
    for each in world.members:
        each.tick()
    clock = liar.time
    liar.time = lambda: type(world.now)(clock() - 6 * 3600)  # as if before
    events = liar.act(commands.Whisper("Ibis", "still here"))
    cores = [each.core for each in events if isinstance(each, Keep)]
    for core in cores:
        world[2].receive(by_hand(liar, core))
    assert world[2].said == []


# --- Closing --------------------------------------------------------------------------------------


def carried(world: World, member: Member) -> list[Arrival]:
    """What a member owes the relay, kept back."""
    before = {drop: len(rows) for drop, rows in world.drops.rows.items()}
    member.flush()
    return [row for drop, rows in world.drops.rows.items() for row in rows[before.get(drop, 0) :]]


def test_attack_155_a_relay_that_keeps_a_yes_back_takes_no_later_no_away(room: World) -> None:
    do(room, room.founder, commands.SetPolicy(closing(room)))
    name = policy_hash(closing(room))
    room[2].act(commands.Consent(name, yes=True))
    yes = carried(room, room[2])
    room.pass_time(hours=1)
    room[2].act(commands.Consent(name, yes=False))
    no = carried(room, room[2])
    for row in (*no, *yes):
        room[1].receive(row)
    assert room[1].state.proposals[name].no == (SOUTH,)
    assert room[1].state.proposals[name].yes == (FOUNDER,)


def test_attack_155_a_relay_that_shows_a_no_before_its_proposal_does_not_lose_it(
    room: World,
) -> None:
    room.founder.act(commands.SetPolicy(closing(room)))
    proposal = carried(room, room.founder)
    room[2].sync()
    room[2].act(commands.Consent(policy_hash(closing(room)), yes=False))
    for row in (*carried(room, room[2]), *proposal):
        room[1].receive(row)
    (proposed,) = room[1].state.proposals.values()
    assert proposed.no == (SOUTH,)


def test_attack_155_whoever_proposes_anew_shakes_off_no_objection(room: World) -> None:
    policy = closing(room)
    do(room, room.founder, commands.SetPolicy(policy))
    do(room, room[2], commands.Consent(policy_hash(policy), yes=False))
    do(room, room.founder, commands.SetPolicy(Policy(2 * LIFETIME)))
    do(room, room.founder, commands.SetPolicy(policy))
    for member in room.members:
        assert standing.objects(member.state, member.state.proposals[policy_hash(policy)])


def test_attack_154_a_facilitator_who_takes_the_others_voices_closes_nothing_alone(
    room: World,
) -> None:
    for alias in ("Heron", "Ibis"):
        do(room, room.founder, commands.SetRole(alias, "observer"))
    do(room, room.founder, commands.SetPolicy(closing(room)))
    force(room)
    room.settle()
    assert [each.state.policy.standing for each in room.members[1:]] == ["open"] * 2


def test_attack_154_who_objects_and_is_demoted_objects_still(room: World) -> None:
    do(room, room.founder, commands.SetPolicy(closing(room)))
    do(room, room[2], commands.Consent(policy_hash(closing(room)), yes=False))
    do(room, room.founder, commands.SetRole("Ibis", "observer"))
    room.pass_time(hours=WEEK)
    force(room)
    room.settle()
    assert [each.state.policy.standing for each in room.members[1:]] == ["open"] * 2


def closed(world: World) -> None:
    do(world, world.founder, commands.SetPolicy(closing(world)))
    for member in world.members[1:]:
        do(world, member, commands.Consent(policy_hash(closing(world))))
    do(world, world.founder, commands.SetPolicy(closing(world)))
    assert {each.state.ended for each in world.members} == {"closed"}


def test_attack_160_nobody_speaks_in_a_closed_channel_with_a_changed_program(room: World) -> None:
    before = room[1].state.current().hash
    closed(room)
    liar = Insider(room[1])
    said = Text.plain(MAIN_THREAD, LIFETIME, "hello")
    room[2].receive(liar.post(said))
    room.pass_time(hours=1)
    room[2].receive(liar.post(said, before, name=8))
    assert room[2].said == []
    assert alarms(room[2]) == [("forbidden", NORTH)]
    assert sum(isinstance(each, Hushed) for each in room[2].told) == 1


# --- Levelling ------------------------------------------------------------------------------------


def level(member: Member, drop: DropId) -> int:
    """How many cores a member would bring there now."""
    before = len(member.disk.outbox)
    member.act(commands.Level(drop))
    return len(member.disk.outbox) - before


def test_attack_158_a_copy_with_altered_slots_keeps_nobody_from_bringing_the_true_one() -> None:
    world = World.of(3, relays=RELAYS[:2])
    _, (_, second) = world.founder.state.epoch.drops()
    world[1].cut = {B}
    world[1].say("hello")
    world[1].flush()
    world[0].listen()
    (core,) = [
        core for core, _ in world[0].disk.cores.values() if content_hash(core) == last(world[0])
    ]
    altered = Core(core[:3032] + bytes(1024))
    clock = world[0].member.clock
    world[0].receive(
        Arrival(second.id, head_of(core).hour, wrap(altered, second.outer, clock, world[0].entropy))
    )
    assert last(world[0]) in world[0].state.epoch.lacking
    world.pass_time(seconds=LATER)
    world[0].sync()
    world[2].cut = {A}
    world[2].sync()
    assert (1, "hello") in world[2].said


def last(member: Member) -> bytes:
    return member.disk.said[-1].hash


def test_attack_159_noise_that_is_made_for_it_is_not_brought_by_all_at_once() -> None:
    world = World.of(5, relays=RELAYS[:2])
    _, (_, second) = world.founder.state.epoch.drops()
    liar = Insider(world[1])
    spread = limits.LEVEL_SPREAD * len(world.members)
    for salt in itertools.count():
        core = Core(liar.noise(Kind.LINE)[:-4] + salt.to_bytes(4))
        if int.from_bytes(content_hash(core)[:4]) % spread == 0:
            break
    row = liar.arrival(core)
    world.pass_time(seconds=LATER)
    world.settle()
    for member in world.members:
        member.receive(row)
    world.pass_time(seconds=limits.LEVEL_AFTER)
    assert sum(level(member, second.id) for member in world.members) < 4


def test_attack_159_a_new_relay_is_not_filled_by_everybody_at_once() -> None:
    """Nor by an honest change of relays in the last minute of an hour."""
    world = World.of(4)
    world.pass_time(seconds=3600 - 70)
    for member in world.members:
        member.say(f"from {member.name}")
    world.settle()
    world.founder.act(commands.SetRelays(RELAYS[:2]))
    for effect in world.founder.disk.outbox:
        world.drops.open(effect.drop.id)
    world.founder.flush()
    brought = 0
    for member in world.members[1:]:
        member.listen()
        brought += level(member, member.state.epoch.drops()[1][1].id)
    assert brought == 0


def test_attack_158_what_waits_for_a_key_is_brought_when_it_opens() -> None:
    """A relay that keeps a key block back does not keep the post behind it from the others."""
    world = World.of(3, relays=RELAYS[:2])
    world.pass_time(hours=limits.GENERATION_HOURS + 1)
    world[1].cut, world[2].cut = {B}, {A}
    world[1].say("hello")
    rows = carried(world, world[1])
    world[0].receive(rows[-1])
    world[0].read[rows[-1].drop] = len(world.drops.rows[rows[-1].drop])
    world[0].tick()
    for row in rows[:-1]:
        world[0].receive(row)
    world.pass_time(seconds=LATER)
    world[0].level()
    world[0].flush()
    world[2].sync()
    assert (1, "hello") in world[2].said


# --- Relays of one's own --------------------------------------------------------------------------


def test_attack_156_a_facilitator_moves_one_member_alone_to_a_relay_of_its_own() -> None:
    world = World.of(3)
    liar, victim = world.founder.twin(), world[1]
    liar.act(commands.SetRelays((RELAYS[1],)))
    for row in carried(world, liar):
        victim.receive(row)
    for drop, rows in list(world.drops.rows.items()):
        victim.read[drop] = len(rows)
    assert [each.url for each in victim.state.relays] == [B]
    gone = {row.block for rows in world.drops.rows.values() for row in rows}
    victim.sync()
    for _ in range(3):
        for rows in world.drops.rows.values():
            for row in rows:
                if row.block not in gone and row.drop in world[2]._polled():
                    world[2].receive(row)
        world.pass_time(seconds=limits.PATIENCE)
        world[2].tick()
    assert ("foreign", 1) in alarms(world[2])


def test_attack_157_two_halves_that_move_apart_find_together_again() -> None:
    """A relay shows each of two facilitators its own change first."""
    world = World.of(3)
    world.admit_facilitator("Second")
    world.settle()
    move_apart(world, world[0], world[3])
    assert [[r.url for r in m.state.relays] for m in world.members] == [[B], [B], [C], [C]]
    for _ in range(12):
        world.pass_time(hours=2)
        world.settle()
        turn_if_due(world)
    assert len({m.state.expected for m in world.members}) == 1
    for member in world.members:
        member.say(f"{member.name} is back")
    world.settle()
    assert all(len({text for _, text in m.said}) == 4 for m in world.members)


def move_apart(world: World, one: Member, other: Member) -> None:
    """Each of the two moves the channel, and half of it reads that first."""
    one.act(commands.SetRelays((RELAYS[1],)))
    ours = carried(world, one)
    other.act(commands.SetRelays((RELAYS[2],)))
    theirs = carried(world, other)
    for number, member in enumerate(world.members):
        for row in (*ours, *theirs) if number < 2 else (*theirs, *ours):
            member.receive(row)
        member.read = {drop: len(rows) for drop, rows in world.drops.rows.items()}


def turn_if_due(world: World) -> None:
    for member in world.members:
        if member.member.due(member.now):
            member.act(commands.Turn())
            member.flush()
    world.settle()
