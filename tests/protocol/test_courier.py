"""What a courier carries: blocks and nothing else, read once, whole or in parts; claim C8."""

import collections

import pytest

from backchannel.protocol import block, courier, limits
from backchannel.protocol import command as commands
from backchannel.protocol.core import head_of
from backchannel.protocol.errors import AuthenticationError
from backchannel.protocol.outcome import Arrival
from backchannel.protocol.primitives import xseal
from backchannel.protocol.types import Hour
from tests.support.world import LIFETIME, RELAY, RELAYS, Member, World


def packed(member: Member) -> bytes:
    cores = [core for core, _ in member.disk.cores.values()]
    return b"".join(courier.pack(member.member, cores, member.entropy))


def take(member: Member, file: bytes) -> list[bool]:
    """Whether each block opened; what it gave is carried as from a relay."""
    before: Arrival | None = None
    opened = []
    for at in range(0, len(file), limits.BLOCK):
        try:
            before = courier.find(member.member, file[at : at + limits.BLOCK], before, member.now)
        except AuthenticationError:
            opened.append(False)
            continue
        opened.append(True)
        member.receive(before)
    return opened


def cut_off(world: World) -> None:
    for member in world.members:
        member.cut = {RELAY.url}


def test_row_a018_what_is_carried_by_hand_is_read_once_and_only_once() -> None:
    world = World.of(3)
    cut_off(world)
    world[1].say("by hand")
    file = packed(world[1])
    assert len(file) % limits.BLOCK == 0
    assert all(take(world[2], file))
    assert world[2].said.count((1, "by hand")) == 1
    before = world[2].disk.said
    assert all(take(world[2], file))
    assert world[2].disk.said == before


def test_every_byte_looks_random() -> None:
    world = World.of(3)
    world[1].say("by hand")
    file = packed(world[1])
    counts = collections.Counter(file)
    expected = len(file) / 256
    chi = sum((counts[value] - expected) ** 2 / expected for value in range(256))
    assert chi < 256 + 6 * (2 * 255) ** 0.5
    assert packed(world[1])[:64] != file[:64]


def test_damaged_parts_are_passed_over() -> None:
    world = World.of(2)
    cut_off(world)
    for number in range(5):
        world[0].say(f"number {number}")
    file = bytearray(packed(world[0]))
    file[-2 * limits.BLOCK] ^= 1
    opened = take(world[1], bytes(file))
    assert opened.count(False) == 1
    assert [text for _, text in world[1].said] == [f"number {n}" for n in (0, 1, 2, 4)]


def test_attack_a_courier_file_is_not_the_relays_and_no_relays_block_is_taken() -> None:
    world = World.of(2)
    row = world.drops.rows[world[0].state.epoch.drops()[0][1].id][-1]
    with pytest.raises(AuthenticationError):
        courier.find(world[1].member, row.block, None, world.now)
    for other in (row.block[1:], row.block + b"1", b""):
        with pytest.raises(AuthenticationError):
            courier.find(world[1].member, other, None, world.now)


def test_who_is_gone_reads_nothing_that_is_carried_later() -> None:
    world = World.of(3)
    gone = world[2]
    world.founder.act(commands.Remove("Guest 2"))
    world.founder.flush()
    world.settle([world[0], world[1]])
    gone.listen()
    world[1].say("without you")
    file = packed(world[1])
    assert not all(take(gone, file))
    assert all(text != "without you" for _, text in gone.said)


def test_nothing_dead_is_packed_or_taken() -> None:
    world = World.of(2)
    world[0].say("soon gone")
    file = packed(world[0])
    world.pass_time(hours=LIFETIME + 3)
    world[0].tick()
    world[1].tick()
    assert not any(take(world[1], file))
    assert len(packed(world[0])) < len(file)


def test_attack_a_core_under_the_key_of_another_hour_is_none() -> None:
    """Nor is one of a kind that there is not: the reader does not stumble over it."""
    world = World.of(2)
    world[0].say("hello")
    member = world[0].member
    core = next(core for core, _ in world[0].disk.cores.values())
    clock, outer = member.clock, member.state.epoch.courier().outer
    hour = Hour(head_of(core).hour + 1)
    for other in (core, bytes([255]) + core[1:5] + core[5:]):
        key = block.outer_key(outer, clock, hour)
        nonce = bytes(limits.NONCE)
        with pytest.raises(AuthenticationError):
            courier.find(world[1].member, nonce + xseal(key, nonce, other), None, world.now)


def test_a_key_block_of_a_new_epoch_never_stands_before_what_opens_it() -> None:
    world = World.of(2)
    world.founder.act(commands.Turn())
    world.founder.flush()
    world.settle()
    world[0].say("new epoch")
    late = world[1].twin()
    assert all(take(late, packed(world[0])))


def test_the_next_block_is_found_without_trying_every_hour() -> None:
    world = World.of(2)
    world.pass_time(hours=60)
    world[0].say("one")
    world.founder.act(commands.Turn())
    world.founder.flush()
    world.settle()
    finder, file = courier.Finder(world[1].member, world.now), packed(world[0])
    first = finder.find(file[: limits.BLOCK], None)
    assert first is not None
    near = list(finder.near(first.arrival))
    assert len(near) < len(list(finder.every())) / 10
    assert any(courier.opened(file[limits.BLOCK : 2 * limits.BLOCK], key) for key in near)


def test_what_nobody_can_open_any_more_is_not_packed() -> None:
    world = World.of(2)
    world[0].say("soon gone")
    member = world[0].member
    cores = [core for core, _ in world[0].disk.cores.values()]
    member.clocks[member.state.epoch.id].forget_before(Hour(head_of(cores[-1]).hour + 1))
    assert list(courier.pack(member, cores, world[0].entropy)) == []


def test_the_epochs_of_a_file_are_found_one_after_another() -> None:
    world = World.of(2)
    world[0].say("old epoch")
    world.settle()
    world.founder.act(commands.Turn())
    world.founder.flush()
    world.settle()
    world[0].say("new epoch")
    file = packed(world[0])
    late = world[1].twin()
    assert all(take(late, file))
    assert {text for _, text in late.said} == {"old epoch", "new epoch"}


def test_a_channel_whose_only_relay_is_gone_moves_by_a_file() -> None:
    """Row A126: nobody is invited again, and the lines go on where it stands now."""
    world = World.of(4)
    world[2].say("unread by some")
    world[2].flush()
    world.founder.sync()
    cut_off(world)
    world.founder.act(commands.SetRelays((RELAYS[1],)))
    world.founder.flush()
    file = packed(world.founder)
    for member in world.members[1:]:
        assert all(take(member, file))
        assert [relay.url for relay in member.state.relays] == [RELAYS[1].url]
    world.settle()
    for member in world.members:
        member.say(f"{member.name} is here")
    world.settle()
    assert all(len(set(member.said)) == 5 for member in world.members)
    assert {text for _, text in world[3].said} >= {"unread by some", "Founder is here"}


def test_what_came_by_hand_is_brought_to_the_relays_at_once() -> None:
    world = World.of(3)
    world[1].cut = {RELAY.url}
    world[1].say("by hand")
    take(world[2], packed(world[1]))
    world[2].sync()
    world[0].sync()
    assert (1, "by hand") in world[0].said


def test_a_third_carries_what_only_two_can_open() -> None:
    """A private note and the keys behind it: blocks that say nothing to who carries them."""
    world = World.of(3)
    cut_off(world)
    world[1].act(commands.Whisper("Guest 2", "for you alone"))
    take(world[0], packed(world[1]))
    assert world[0].said == []
    take(world[2], packed(world[0]))
    assert world[2].said == [(1, "for you alone")]
