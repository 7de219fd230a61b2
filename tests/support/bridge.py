"""A channel between two parties, and what tests of it do again and again.

Asserts nothing.
"""

from backchannel.protocol import command as commands
from backchannel.protocol.outcome import Alarm
from tests.support.world import Member, World


def bridge() -> World:
    """A facilitator of a bridge, and one member each of North and South."""
    world = World()
    for alias, party in (("Heron", "North"), ("Ibis", "South")):
        world.admit(alias, party=party)
        world.settle()
    return world


def do(world: World, member: Member, command: commands.Command) -> None:
    """Everybody hears of it."""
    member.act(command)
    world.settle(rounds=2)


def alarms(member: Member) -> list[tuple[str, int]]:
    """Their kinds, and against whom."""
    return [(each.kind, each.slot) for each in member.told if isinstance(each, Alarm)]
