"""How members are called: what is not settled about them stands beside the name."""

import pytest

from backchannel.client.telling import people
from backchannel.protocol import command as commands
from backchannel.protocol.outcome import NOBODY
from tests.support.world import Member, World


@pytest.fixture
def world() -> World:
    return World.of(3)


def marks(member: Member) -> dict[str, str]:
    state = member.state
    return {e.alias: people.mark(state, e.slot) for e in state.current().entries}


def test_who_was_never_compared_is_marked_everywhere(world: World) -> None:
    assert marks(world.founder) == {
        "Founder": "", "Guest 1": "unverified", "Guest 2": "unverified",
    }  # fmt: skip
    assert people.shown(world.founder.state, world[1].state.me) == "Guest 1 (unverified)"


def test_comparing_settles_the_mark_of_exactly_those_compared(world: World) -> None:
    world.founder.act(commands.Compare(("Guest 1",)))
    assert marks(world.founder)["Guest 1"] == ""
    assert marks(world.founder)["Guest 2"] == "unverified"


def test_everybody_sees_who_compared_the_words_of_these_very_people(world: World) -> None:
    world[1].act(commands.Compare())
    world.settle()
    state = world.founder.state
    assert people.has_compared(state, world[1].state.me)
    assert not people.has_compared(state, world[2].state.me)
    world.admit("Late")
    world.settle()
    assert not people.has_compared(world.founder.state, world[1].state.me)


def test_attack_41_a_new_entry_under_a_former_name_has_new_keys(world: World) -> None:
    world.founder.act(commands.Compare())
    world.founder.act(commands.Remove("Guest 1", "compromised"))
    world.settle()
    former = world[1].state.me
    assert people.shown(world.founder.state, former) == "Guest 1 (gone)"
    world.admit("guest 1")
    world.settle()
    assert marks(world.founder)["guest 1"] == "new keys"
    assert marks(world[2])["guest 1"] == "new keys"
    world.founder.act(commands.Compare(("guest 1",)))
    assert marks(world.founder)["guest 1"] == ""


def test_nobody_is_somebody_and_the_unknown_have_a_number(world: World) -> None:
    assert people.shown(world.founder.state, NOBODY) == "somebody"
    assert people.alias(world.founder.state, 40) == "member 40"


def test_who_has_not_come_along_is_known_until_they_do(world: World) -> None:
    world[2].online = False
    world.founder.act(commands.Turn())
    world.settle()
    assert people.not_here(world.founder.state) == ["Guest 2"]
    assert people.not_here(world[1].state) == ["Guest 2"]
    world[2].online = True
    world.settle()
    assert people.not_here(world.founder.state) == []


def test_whoever_began_the_epoch_is_there(world: World) -> None:
    world.founder.act(commands.Turn())
    world.founder.flush()
    world[1].sync()
    assert people.not_here(world[1].state) == ["Guest 2"]


def test_whoever_comes_after_the_turn_is_here_by_its_line(world: World) -> None:
    world.founder.act(commands.Turn())
    world.settle()
    world.admit("Late")
    world.settle()
    assert people.not_here(world.founder.state) == []
    assert people.not_here(world.members[-1].state) == []
