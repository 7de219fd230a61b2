"""How many blocks the relay sees for what a large room does, and that it sees no more than that:
SPEC.md sections 9 and 14.
"""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from backchannel.protocol import command as commands
from backchannel.protocol import limits
from backchannel.protocol.outcome import Append
from backchannel.protocol.roster import Policy
from backchannel.protocol.types import MAIN_THREAD
from tests.support.crowd import crowd
from tests.support.world import Member, World

pytestmark = pytest.mark.slow

LARGE = 64
MOST_STATE = 4 * 1024 * 1024


class Story(NamedTuple):
    """Blocks for each part of it."""

    post: int
    refresh: int
    admission: int
    newcomer: int
    greeting: int
    removal: int
    following: int
    state: int
    """Bytes of the largest at the end."""
    rosters: set[bytes]
    there: int


def _blocks(world: World, act: Callable[[], object]) -> int:
    before = world.drops.count()
    act()
    return world.drops.count() - before


def _say(member: Member) -> None:
    member.say("A sentence.")
    member.flush()


def _admit(world: World) -> tuple[int, int, int]:
    guest = world.knock("Newcomer")
    world.founder.act(commands.Admit("Newcomer"))
    admission = _blocks(world, world.founder.flush)
    guest.listen()
    newcomer = _blocks(world, lambda: world.settle([guest], rounds=2))
    return admission, newcomer, _blocks(world, lambda: world.settle(rounds=3))


def _tell(size: int) -> Story:
    world = crowd(size - 1)
    post = _blocks(world, lambda: _say(world[5]))
    world.settle(rounds=1)
    world.pass_time(hours=limits.GENERATION_HOURS)
    _say(world[5])  # it has written to nobody for a day: a line block goes before
    world.pass_time(hours=limits.GENERATION_HOURS)
    refresh = _blocks(world, lambda: _say(world[5]))
    world.settle(rounds=1)
    admission, newcomer, greeting = _admit(world)
    world.founder.act(commands.Remove("Guest 3"))
    removal = _blocks(world, world.founder.flush)
    following = _blocks(world, lambda: world.settle(rounds=3))
    staying = [member for member in world.members if not member.state.ended]
    return Story(
        post,
        refresh,
        admission,
        newcomer,
        greeting,
        removal,
        following,
        max(len(member.snapshot()) for member in world.members),
        {member.state.current().hash for member in staying},
        len(staying),
    )


@pytest.fixture(scope="module")
def large() -> Story:
    return _tell(LARGE)


@pytest.fixture(scope="module")
def small() -> Story:
    return _tell(10)


def test_a_post_among_64_is_one_block(large: Story) -> None:
    assert large.post == 1


def test_a_refresh_is_one_key_block(large: Story) -> None:
    """With a line block to the stalest peer before it, and the post after it."""
    assert large.refresh == 3


def test_an_admission_costs_at_most_50_blocks_among_64_and_12_among_10(
    large: Story, small: Story
) -> None:
    assert large.admission <= 50
    assert small.admission <= 12


def test_a_newcomer_sends_one_intro_to_each_and_its_reply(large: Story, small: Story) -> None:
    assert large.newcomer == LARGE - 2 + 1
    assert small.newcomer == 10 - 2 + 1


def test_each_answers_a_newcomer_once_and_the_newcomer_confirms(large: Story) -> None:
    assert large.greeting == LARGE - 2 + 1 + 1  # the founder confirms, too


def test_a_removal_from_64_costs_at_most_140_blocks_with_echoes_and_renewals(large: Story) -> None:
    assert large.removal == 4  # announcement, epoch core, two pieces
    assert large.removal + large.following <= 140
    assert large.there == LARGE - 1
    assert len(large.rosters) == 1


def test_the_state_of_a_large_room_is_small(large: Story) -> None:
    assert large.state < MOST_STATE


ONE_BLOCK: dict[str, commands.Command] = {
    "text": commands.Say(MAIN_THREAD, "Short."),
    "long text": commands.Say(MAIN_THREAD, "x" * 2_600),
    "private note": commands.Whisper("Guest 2", "Between us."),
    "thread": commands.Begin("Borders"),
    "hand": commands.RaiseHand(),
    "compared": commands.Compare(),
    "digest": commands.Digest(),
    "floor": commands.GiveFloor("Guest 1"),
    "proposal": commands.SetPolicy(Policy(240)),
}


@pytest.mark.parametrize("deed", list(ONE_BLOCK))
def test_whatever_is_done_looks_like_one_block(deed: str) -> None:
    """Of one size, and it provokes nothing from others."""
    world = crowd(4)
    world.founder.act(ONE_BLOCK[deed])
    sent = [effect for effect in world.founder.disk.outbox if isinstance(effect, Append)]
    assert [len(effect.block) for effect in sent] == [limits.BLOCK]
    assert _blocks(world, lambda: world.settle(rounds=3)) == 1


def test_an_epoch_begins_alike_whatever_the_reason() -> None:
    """A removal, a lighter role, a weekly turn: the relay counts the same blocks but for who is
    gone.
    """
    counts = {}
    deeds: tuple[commands.Command, ...] = (
        commands.Turn(),
        commands.SetRole("Guest 2", "observer"),
        commands.Remove("Guest 2"),
    )
    for command in deeds:
        world = crowd(5)
        world.founder.act(command)
        counts[type(command)] = (
            _blocks(world, world.founder.flush),
            _blocks(world, lambda world=world: world.settle(rounds=3)),  # type: ignore[misc]
        )
    whole = counts[commands.Turn]
    assert counts[commands.SetRole] == whole
    assert counts[commands.Remove] == (whole[0], whole[1] - 2)  # its echo and its key block
