"""What a program does by itself: a digest a day where there is news, rules that all agreed to."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from backchannel.client import chores
from backchannel.client.session import Session
from backchannel.protocol import command as commands
from backchannel.protocol.content import policy_hash
from backchannel.protocol.roster import Policy
from backchannel.protocol.types import Hour, hour_of
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
