"""Several relays: any of them is enough, whoever reaches which; claim C8."""

import pytest

from backchannel.protocol import command as commands
from backchannel.protocol import limits
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.outcome import Acted, Invited
from backchannel.protocol.primitives import x25519_public
from backchannel.protocol.roster import Relay
from backchannel.protocol.secret import X25519Private
from tests.support.world import RELAYS, Member, World

LATER = limits.LEVEL_AFTER + limits.LEVEL_SPREAD * limits.ENTRIES
THREE = RELAYS[:3]
A, B, C = (relay.url for relay in THREE)


def on(world: World, relay: str) -> int:
    """Blocks in the channel's drop on one relay."""
    drops = world.founder.state.epoch.drops()
    return sum(len(world.drops.rows.get(d.id, [])) for each, d in drops if each.url == relay)


def test_one_core_has_another_drop_and_another_ciphertext_on_each_relay() -> None:
    world = World.of(3, relays=THREE)
    drops = [drop.id for _, drop in world.founder.state.epoch.drops()]
    blocks = [{row.block for row in world.drops.rows[drop]} for drop in drops]
    assert len(set(drops)) == len(drops)
    assert not blocks[0] & blocks[1] | blocks[1] & blocks[2]
    assert len(blocks[0]) == len(blocks[1]) == len(blocks[2])


def test_everything_is_heard_once_with_any_one_relay() -> None:
    world = World.of(3, relays=THREE)
    for each, lost in zip(world.members, ({A, B}, {B, C}, {A, C}), strict=True):
        world[0].say(f"before {lost}")
        each.cut = lost
    for member in world.members:
        member.say(f"from {member.name}")
        member.flush()
    world.settle()
    assert len(world[0].said) == 4  # 3 befores, and one's own
    for member in world.members:
        member.cut = set()
    world.settle()
    assert [sorted(m.said) for m in world.members] == [sorted(world[0].said)] * 3
    assert len(world[0].said) == 6


def test_who_reaches_both_relays_brings_each_what_the_other_has() -> None:
    """Two members who reach no common relay talk on, and their lines and keys are carried, too."""
    world = World.of(3, relays=THREE[:2])
    one, other = world[1], world[2]
    one.cut, other.cut = {B}, {A}
    for day in range(4):
        world.pass_time(hours=26)
        one.say(f"one {day}")
        other.say(f"other {day}")
        for _ in range(4):
            world.settle()
            world.pass_time(seconds=LATER)
    assert [text for _, text in one.said if text.startswith("other")] == [
        f"other {day}" for day in range(4)
    ]
    assert sorted(one.said) == sorted(other.said)


def test_what_the_author_brings_itself_is_not_brought_twice() -> None:
    world = World.of(4, relays=THREE)
    before = [on(world, relay) for relay in (A, B, C)]
    world.pass_time(seconds=60)
    world[1].say("hello")
    world.settle()
    world.pass_time(seconds=LATER)
    world.settle()
    after = [on(world, relay) for relay in (A, B, C)]
    assert {new - old for new, old in zip(after, before, strict=True)} == {after[0] - before[0]}
    assert not any(member.state.epoch.lacking for member in world.members)


def test_one_member_brings_it_and_the_others_see_it_there() -> None:
    world = World.of(5, relays=THREE[:2])
    world.pass_time(seconds=60)
    before = on(world, B)
    world[1].cut = {B}
    world[1].say("hello")
    world.settle()
    count = on(world, A) - before
    for _ in range(40):
        world.pass_time(seconds=limits.LEVEL_SPREAD // 2)
        world.settle(rounds=1)
    assert on(world, B) - before == count
    assert count >= 1


def test_a_relay_that_cannot_be_read_gets_nothing_twice() -> None:
    world = World.of(3, relays=THREE[:2])
    for member in world.members[1:]:
        member.cut = {B}
    world[1].say("hello")
    world.settle()
    world.pass_time(seconds=LATER)
    world.settle()
    assert len(world[2].disk.outbox) <= len(world[1].disk.outbox)


# --- Relays come and go ---------------------------------------------------------------------------


def moved(world: World, *relays: str) -> None:
    chosen = tuple(relay for relay in RELAYS if relay.url in relays)
    world.founder.act(commands.SetRelays(chosen))
    world.founder.flush()


def everybody_is_on(world: World, *relays: str) -> bool:
    urls = tuple(relay.url for relay in RELAYS if relay.url in relays)
    return all(tuple(r.url for r in m.state.relays) == urls for m in world.inside)


def test_a_relay_is_added_and_has_all_that_was_said() -> None:
    world = World.of(3)
    for member in world.members:
        member.say(f"from {member.name}")
    world.settle()
    moved(world, A, B)
    world.settle()
    assert everybody_is_on(world, A, B)
    assert on(world, B) >= on(world, A)
    late = world[2].twin()
    late.read = {}
    late.cut = {A}
    late.listen()
    assert set(late.said) >= {(each.state.me, f"from {each.name}") for each in world.members}


def test_a_channel_moves_and_nobody_is_invited_again() -> None:
    """Row A126: on the next sync all are elsewhere, and the old relay learns no new address."""
    world = World.of(4)
    old = on(world, A)
    moved(world, B)
    world.settle()
    assert everybody_is_on(world, B)
    for member in world.members:
        member.cut = {A}
    world[3].say("elsewhere")
    world.settle()
    assert all((world[3].state.me, "elsewhere") in member.said for member in world.members)
    drop = world.founder.state.epoch.left()[0][1].id
    assert old < len(world.drops.rows[drop])
    new = RELAYS[1].url.encode()
    assert not any(new in row.block for row in world.drops.rows[drop])


def test_everybody_sees_who_moved_the_channel_and_where_it_is_now() -> None:
    world = World.of(2)
    moved(world, B, C)
    world.settle()
    for member in world.members:
        acts = [each for each in member.told if isinstance(each, Acted)]
        assert [c.what for c in acts[-1].changes] == ["relays"]
        assert acts[-1].changes[0].detail == f"{B}, {C}"


def test_what_was_said_on_the_way_is_read_where_it_was_said() -> None:
    world = World.of(3)
    moved(world, B)
    world[1].say("I do not know yet")
    world[1].flush()
    world[1].cut = {A, B}  # and brings nothing to where the others are
    world.settle()
    assert (world[1].state.me, "I do not know yet") in world[2].said
    assert (world[1].state.me, "I do not know yet") in world[0].said


def test_what_no_relay_has_of_ones_own_is_on_the_new_one_at_once_with_its_keys() -> None:
    """Seed 230572: the text was brought at once, the key block that opens it an hour later; by then
    the epoch was over.
    """
    world = World.of(3)
    world.pass_time(hours=30)
    moved(world, B)
    world[2].listen()
    world[1].say("under a new key")
    world[1].listen()
    for member in world.members:
        member.cut = {A}
    world[1].sync()
    world[2].listen()
    assert (world[1].state.me, "under a new key") in world[2].said


def test_an_epoch_begins_on_the_new_relays() -> None:
    world = World.of(3)
    moved(world, B, C)
    world.settle()
    world.founder.act(commands.Turn())
    world.founder.flush()
    for member in world.members:
        member.cut = {A}
    world.settle()
    assert [m.state.epoch.number for m in world.members] == [1, 1, 1]
    assert all(m.state.epoch.former == () for m in world.members)
    world[1].say("on both")
    world.settle()
    assert (world[1].state.me, "on both") in world[2].said


def test_a_relay_is_not_read_any_more_where_another_stands_now() -> None:
    world = World.of(2, relays=THREE[:2])
    (old,) = [drop.id for relay, drop in world[1].state.epoch.drops() if relay.url == B]
    world.founder.act(commands.SetRelays((THREE[0], Relay(B, THREE[2].key))))
    world.founder.flush()
    world.settle()
    assert old in {drop.id for _, drop in world[1].state.epoch.left()}
    assert old not in {poll.drop.id for poll in world[1].member.polls()}
    assert {poll.relay for poll in world[1].member.polls()} == {A, B}


def test_back_to_the_first_relay() -> None:
    world = World.of(3)
    moved(world, B)
    world.settle()
    moved(world, A)
    world.settle()
    assert everybody_is_on(world, A)
    world[1].say("back")
    world.settle()
    assert (world[1].state.me, "back") in world[2].said


def test_a_newcomer_finds_the_channel_on_its_new_relays() -> None:
    world = World.of(2)
    guest = world.knock("Late")
    moved(world, A, B)
    world.settle()
    world.founder.act(commands.Admit("Late"))
    world.founder.flush()
    world.settle([world.founder, guest, world[1]])
    assert [relay.url for relay in guest.state.relays] == [A, B]
    guest.cut = {A}
    guest.say("here")
    world.settle()
    assert (guest.state.me, "here") in world[1].said


def test_a_newcomer_whose_relays_are_all_gone_is_not_let_in() -> None:
    """It could not read the list of members; a new invite names the new ones."""
    world = World.of(2)
    world.knock("Late")
    moved(world, B)
    world.settle([world[0], world[1]])
    with pytest.raises(LocalProtocolError, match="invite anew"):
        world.founder.act(commands.Admit("Late"))
    assert "Late" not in {entry.alias for entry in world.founder.state.current().entries}


def test_a_lobby_stands_on_the_relay_that_was_chosen() -> None:
    world = World.of(1, relays=THREE)
    for relay in ("", B):
        events = world.founder.act(
            commands.Invite(f"On{len(relay)}", "South", "observer", 5, "", relay)
        )
        (invited,) = [each for each in events if isinstance(each, Invited)]
        assert invited.relay == (relay or A)
    with pytest.raises(LocalProtocolError, match="does not stand on that relay"):
        world.founder.act(commands.Invite("Nowhere", "South", "observer", 5, "", "https://other"))


def anywhere(number: int) -> Relay:
    key = x25519_public(X25519Private(number.to_bytes(32)))
    return Relay(f"https://of-{number}.example", key.value)


@pytest.mark.parametrize("turns", [False, True])
def test_attack_173_who_moves_again_and_again_has_nobody_ask_hundreds(turns: bool) -> None:
    """What was left first is read on: junk comes after it."""
    world = World.of(2, relays=THREE[:2])
    for number in range(6):
        others = tuple(map(anywhere, range(7 * number + 1, 7 * number + 8)))
        world.founder.act(commands.SetRelays((THREE[0], *others)))
        world.settle(rounds=2)
        if turns:
            world.founder.act(commands.Turn())
            world.settle(rounds=2)
    for member in world.members:
        asked = {poll.relay for poll in member.member.polls()}
        assert asked >= {A, B, *(each.url for each in member.state.relays)}
        assert len(asked) == limits.RELAYS_READ
        assert all(len(each.former) <= limits.RELAYS_READ for each in member.state.epochs)


def test_the_same_relays_again_are_no_change() -> None:
    world = World.of(2)
    with pytest.raises(LocalProtocolError, match="the relays already"):
        world.founder.act(commands.SetRelays(world.founder.state.relays))


def test_a_relay_that_stays_away_fills_nobodys_vault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many cores the oldest are left to whoever asks for them."""
    monkeypatch.setattr(limits, "LACKING", 3)
    world = World.of(2, relays=THREE[:2])
    world[1].cut = {B}
    for number in range(5):
        world[1].say(str(number))
    world[1].flush()
    world[0].listen()
    lacking = world[0].state.epoch.lacking
    assert len(lacking) == limits.LACKING
    assert [each.hash for each in world[0].disk.said[-3:]] == list(lacking)


def saves(member: Member) -> bytes:
    member.restart()
    return member.snapshot()


def test_it_survives_a_restart() -> None:
    world = World.of(3, relays=THREE[:2])
    world[1].cut = {B}
    world[1].say("hello")
    world[1].flush()
    world[2].sync()
    assert world[2].state.epoch.lacking
    assert saves(world[2]) == world[2].disk.state
