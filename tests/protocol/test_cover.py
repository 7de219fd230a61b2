"""Cover: turns without memory, blocks that say nothing and leave nothing, and what it costs."""

from dataclasses import dataclass
from itertools import accumulate, pairwise

import pytest

from backchannel.protocol import command as commands
from backchannel.protocol import cover, limits
from backchannel.protocol.block import unwrap
from backchannel.protocol.core import Kind, head_of
from backchannel.protocol.outcome import Alone, Append, Arrival
from backchannel.protocol.primitives import KemPublic
from backchannel.protocol.secret import KemShared
from backchannel.protocol.types import MAIN_THREAD, Core, hour_of
from tests.support.entropy import ScriptedEntropy
from tests.support.noise import doubts
from tests.support.world import RELAYS, Member, World

MANY = 4000
DAY = 86_400


@dataclass
class Drawn:
    """Entropy that draws the same always."""

    value: bytes

    def draw(self, count: int, /) -> bytes:
        assert count == len(self.value)
        return self.value

    def encapsulate(self, public: KemPublic, /) -> tuple[KemShared, bytes]:
        raise AssertionError(public)


def pauses(members: int, seconds: int, seed: str, count: int = MANY) -> list[int]:
    entropy = ScriptedEntropy(seed)
    return [cover.pause(members, seconds, entropy) for _ in range(count)]


def test_the_shortest_and_the_longest_pause_are_bounded() -> None:
    assert cover.pause(5, 60, Drawn(b"\xff" * 8)) == 1
    assert cover.pause(5, 60, Drawn(bytes(8))) == 13_309  # 64 ln 2 of the mean


@pytest.mark.parametrize("members", [1, 2, 5, 12])
def test_the_whole_channel_posts_one_block_in_so_many_seconds_in_the_mean(members: int) -> None:
    found = pauses(members, 60, f"mean {members}")
    assert sum(found) / MANY == pytest.approx(members * 60, rel=0.06)


def test_a_pause_has_no_memory_so_who_begins_anew_shows_nothing() -> None:
    """What is left of a pause after any time is a pause."""
    found = pauses(5, 60, "memory", 20_000)
    for waited in (60, 300, 900):
        left = [pause - waited for pause in found if pause > waited]
        assert sum(left) / len(left) == pytest.approx(300, rel=0.1)
        assert sum(each > 300 for each in left) / len(left) == pytest.approx(0.368, abs=0.03)


def test_attack_150_the_moments_do_not_tell_how_many_take_turns() -> None:
    """Two who post each in ten minutes and ten who post each in fifty look like one in five."""
    shares = []
    for members in (1, 2, 10):
        moments = sorted(
            moment
            for each in range(members)
            for moment in accumulate(pauses(members, 300, f"{members} {each}", 10_000 // members))
        )
        last = 0.9 * 10_000 * 300
        gaps = [b - a for a, b in pairwise(moments) if b < last]
        shares.append([sum(gap > limit for gap in gaps) / len(gaps) for limit in (30, 300, 900)])
    for share in shares:
        assert share == pytest.approx([0.905, 0.368, 0.050], abs=0.03)


def filled(member: Member) -> list[Alone]:
    before = member.snapshot()
    outcome = member.member.act(commands.Cover(), member.now, member.entropy)
    assert (outcome.events, member.snapshot()) == ([], before)
    effects = [each for each in outcome.effects if isinstance(each, Alone)]
    assert len(effects) == len(outcome.effects)
    return effects


def core_of(member: Member, effect: Alone | Append) -> Core:
    clock, hour = member.member.clock, hour_of(member.now)
    return unwrap(effect.block, effect.drop.outer, clock, hour, (hour, hour))


def test_a_block_that_says_nothing_goes_to_every_relay_and_changes_nothing_here() -> None:
    world = World.of(2, relays=RELAYS[:3])
    effects = filled(world[1])
    assert [each.relay for each in effects] == [relay.url for relay in RELAYS[:3]]
    assert len({each.block for each in effects}) == 3
    cores = {core_of(world[1], each) for each in effects}
    assert len(cores) == 1
    assert head_of(cores.pop()).kind is Kind.COVER


def test_each_is_of_its_own_bytes() -> None:
    world = World.of(2)
    cores = [core_of(world[1], *filled(world[1])) for _ in range(40)]
    assert len({core[21:] for core in cores}) == 40


def test_attack_47_no_state_grows_by_what_says_nothing() -> None:
    """A day of it: in nobody's state, record, kept cores, and brought to no other relay."""
    world = World.of(3, relays=RELAYS[:2])
    reader = world[2]
    before, kept = reader.snapshot(), dict(reader.disk.cores)
    for _ in range(1440):
        effect = filled(world[1])[0]
        arrival = Arrival(effect.drop.id, hour_of(world.now), effect.block)
        assert reader.member.receive(arrival, reader.now) == []
        assert reader.member.receive(arrival, reader.now) == []
    assert reader.snapshot() == before
    assert reader.disk.cores == kept
    assert not reader.state.epoch.lacking
    assert Kind.COVER not in {head_of(core).kind for core, _ in kept.values()}


def test_attack_47_blocks_that_say_nothing_are_noise_as_posts_are() -> None:
    world = World.of(2)
    dummies = [bytes(filled(world[1])[0].block) for _ in range(200)]
    outcome = [
        each
        for number in range(200)
        for each in world[1]
        .member.act(commands.Say(MAIN_THREAD, f"{number}"), world.now, world[1].entropy)
        .effects
    ]
    posts = [bytes(each.block) for each in outcome if isinstance(each, Append)]
    assert doubts(dummies) == doubts(posts) == []
    assert {len(each) for each in dummies} == {len(each) for each in posts} == {limits.BLOCK}


def test_what_it_costs_is_reckoned_for_a_day() -> None:
    found = cover.budget(5, 60)
    assert found == cover.Budget(1440, 288, 288 * 4164, 1440 * 4108, 300, 899)
    assert cover.budget(2, 86_400).blocks == 1
    assert cover.pages(60) == 1440 * (41 + 64 * 4108)


def test_the_blocks_of_a_drop_are_those_of_an_epoch_or_of_a_life() -> None:
    assert cover.standing(168, 60) == 168 * 60
    assert cover.standing(2160, 60) == 192 * 60
    assert cover.standing(20, 60) == 24 * 60
    assert cover.standing(24, 7) == 12_343


def test_who_takes_turns_all_day_posts_what_was_reckoned() -> None:
    spent = accumulate(pauses(5, 60, "day", 600))
    assert sum(moment <= DAY for moment in spent) == pytest.approx(288, abs=60)
