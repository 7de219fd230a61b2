"""What a program does by itself: a digest a day where there is news, rules that all agreed to."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from backchannel.client.rounds import chores
from backchannel.client.rounds.session import Session
from backchannel.protocol import command as commands
from backchannel.protocol import limits
from backchannel.protocol.content import policy_hash
from backchannel.protocol.roster import Policy
from backchannel.protocol.types import Hour, hour_of
from tests.support.insider import owed
from tests.support.world import START, Member, World

BEGAN = hour_of(START)


@pytest.fixture
def world() -> World:
    return World.of(3)


def session(member: Member, **about: Any) -> Session:
    """What chores look at."""
    summary = {"since": BEGAN, "news": 0} | about
    held = SimpleNamespace(state=member.state, summary=summary, hour=hour_of(member.now))
    return cast(Session, held)


def test_a_digest_goes_once_a_day_and_only_where_there_is_news(world: World) -> None:
    founder = world.founder
    assert chores.due(session(founder, news=BEGAN)) == []
    world.pass_time(chores.DIGEST_HOURS)
    assert chores.due(session(founder, news=0)) == []
    assert chores.due(session(founder, news=BEGAN + 1)) == [commands.Digest()]
    founder.act(commands.Digest())
    assert chores.due(session(founder, news=BEGAN + 1)) == []
    world.pass_time(chores.DIGEST_HOURS)
    assert chores.due(session(founder, news=BEGAN + 1)) == []
    assert chores.due(session(founder, news=Hour(BEGAN + 25))) == [commands.Digest()]


def test_what_has_died_is_not_told_of() -> None:
    world = World.of(2, lifetime=24)
    world.pass_time(25)
    assert chores.due(session(world.founder, news=BEGAN + 1)) == []
    assert chores.due(session(world.founder, news=BEGAN + 2)) == [commands.Digest()]


def test_who_is_alone_or_gone_tells_nothing() -> None:
    alone = World()
    alone.pass_time(48)
    assert chores.due(session(alone.founder, news=BEGAN + 1)) == []
    world = World.of(2)
    world[1].act(commands.Leave())
    world.pass_time(48)
    assert chores.due(session(world[1], news=BEGAN + 1)) == []


def beats(pulse: int, *, news: bool) -> list[tuple[int, list[int]]]:
    """What a member's program sends by itself, hour by hour, and how long each block is."""
    world = World.of(3)
    policy = replace(world.founder.state.policy, pulse=pulse)
    world.founder.act(commands.SetPolicy(policy))
    world.settle()
    member, found = world[2], []
    for hour in range(72):
        if news and hour % 5 == 0:
            world[1].say(f"news of hour {hour}")
            world[1].flush()
        member.listen()
        for command in chores.due(session(member, news=hour_of(member.now) * news)):
            member.act(command)
        found.append((hour, [len(each.block) for each in owed(member)]))
        member.flush()
        world.pass_time(hours=1)
    return found


@pytest.mark.parametrize("pulse", [1, 24])
def test_heartbeats_come_at_the_same_hours_and_are_as_long_with_news_and_without(
    pulse: int,
) -> None:
    with_news, without = beats(pulse, news=True), beats(pulse, news=False)
    assert with_news == without
    first, *rest = [hour for hour, blocks in without if blocks]
    assert first == 0
    assert rest == list(range(rest[0], 72, pulse))


def test_an_account_that_somebody_asked_for_is_no_heartbeat(world: World) -> None:
    founder = world.founder
    founder.act(commands.SetPolicy(replace(founder.state.policy, pulse=24)))
    world.settle()
    assert chores.due(session(founder)) == [commands.Digest(beat=True)]
    founder.act(commands.Digest())
    assert chores.due(session(founder)) == [commands.Digest(beat=True)]
    founder.act(commands.Digest(beat=True))
    assert chores.due(session(founder)) == []
    world.pass_time(hours=24)
    assert chores.due(session(founder)) == [commands.Digest(beat=True)]


def test_who_has_nobody_to_tell_has_no_heartbeat() -> None:
    alone = World()
    alone.founder.act(commands.SetPolicy(replace(alone.founder.state.policy, pulse=1)))
    assert chores.due(session(alone.founder)) == []


def test_a_channel_that_nobody_objects_to_closing_is_closed_by_who_proposed_it(
    world: World,
) -> None:
    closed = replace(world.founder.state.policy, standing="closed")
    world.founder.act(commands.SetPolicy(closed))
    world.settle()
    world.pass_time(hours=limits.CLOSING_HOURS + limits.CLOSING_LATE - 1)
    assert chores.due(session(world.founder)) == []
    world.pass_time(hours=1)
    assert chores.due(session(world[1])) == []
    assert chores.due(session(world.founder)) == [commands.SetPolicy(closed)]


def test_longer_rules_hold_when_the_last_has_agreed_and_by_their_proposer_alone(
    world: World,
) -> None:
    longer = Policy(336)
    world.founder.act(commands.SetPolicy(longer))
    world.settle()
    world[1].act(commands.Consent(policy_hash(longer)))
    world.settle()
    assert chores.due(session(world.founder)) == []
    world[2].act(commands.Consent(policy_hash(longer)))
    world.settle()
    assert chores.due(session(world[1])) == []
    (command,) = chores.due(session(world.founder))
    assert command == commands.SetPolicy(longer)
    world.founder.act(command)
    world.settle()
    assert [each.state.lifetime for each in world.members] == [336] * 3
    assert chores.due(session(world.founder)) == []
