"""Which step of a line a core rests on, who can tell, and how a step is missed: SPEC.md sections 14
and 16.
"""

from collections.abc import Iterator

import msgspec
import pytest

from backchannel.protocol import command as commands
from backchannel.protocol import limits, line, posts, sender_key, steps, whisper
from backchannel.protocol.content import Ask
from backchannel.protocol.core import Kind, content_hash, head_of
from backchannel.protocol.errors import UnknownError
from backchannel.protocol.missing import Pending
from backchannel.protocol.outcome import Arrival
from backchannel.protocol.reception import Reception
from backchannel.protocol.secret import ExportKey, MaskKey
from backchannel.protocol.types import Core, Slot, Step, hour_of
from tests.support.filled import secrets_of
from tests.support.insider import Insider, core_in, owed
from tests.support.world import Member, World, news

ONE, TWO = Slot(1), Slot(2)


@pytest.fixture
def trio() -> World:
    """Lines between all three are answered, and nothing is due."""
    world = World.of(3)
    world.pass_time(hours=1)
    world.settle()
    return world


@pytest.fixture
def strangers() -> World:
    """Guest 1 and Guest 2 know of each other, and neither has greeted."""
    world = World.of(2)
    world.admit("Guest 2").listen()
    world[1].listen()
    return world


def sent(member: Member) -> list[Arrival]:
    arrivals = owed(member)
    member.flush()
    return arrivals


def note(member: Member, alias: str) -> list[Arrival]:
    member.act(commands.Whisper(alias, "between us"))
    return sent(member)


def line_to(member: Member, slot: Slot) -> line.Line:
    held = member.state.peers[slot].line
    assert held is not None
    return held


def reception(member: Member, core: Core) -> Reception:
    """A core of the current epoch's drop, as `member` is about to read it."""
    state, now = member.state, member.now
    return Reception(
        state,
        member.member.clocks,
        state.epoch,
        core,
        head_of(core),
        content_hash(core),
        hour_of(now),
        now,
    )


# --- Others do not count --------------------------------------------------------------------------


def key_block(member: Member) -> Core:
    """A new generation, which is posted."""
    member.state.renew = True
    member.tick()
    (found,) = [core_in(member, each) for each in sent(member) if is_key(member, each)]
    return found


def is_key(member: Member, arrival: Arrival) -> bool:
    return core_in(member, arrival)[0] == Kind.KEY


def masks_in(member: Member) -> Iterator[MaskKey]:
    """Whatever in a state may be a mask key, or give one."""
    for secret in secrets_of(member.state):
        yield MaskKey(secret.expose()[:32])
        yield line._mask(ExportKey(secret.expose()[:32]))


def readable(member: Member, core: Core, reader: Slot) -> set[tuple[int, int]]:
    """Every step and use that somebody can take an entry to name, with all that it holds."""
    clock, head = member.member.clock, head_of(core)
    return {
        sender_key.wrapped(core, Slot(core[21]), reader, mask, clock, head)
        for mask in masks_in(member)
    }


def test_attack_a_third_member_counts_another_pairs_notes_by_their_key_blocks(trio: World) -> None:
    cores, true = [], []
    for notes in (0, 3, 0):
        for _ in range(notes):
            note(trio[1], "Guest 2")
        export = line_to(trio[1], TWO).export_out
        cores.append(key_block(trio[1]))
        true.append((export.step, export.chain.number))
    assert [step - true[0][0] for step, _ in true] == [0, 3, 3]
    for core, named in zip(cores, true, strict=True):
        assert named in readable(trio[2], core, TWO)
        assert named not in readable(trio.founder, core, TWO)
        assert core[70 + 52 * TWO :][:4] != named[0].to_bytes(3) + bytes([named[1]])


def test_attack_two_key_blocks_are_compared(trio: World) -> None:
    """Each core has a mask of its own: what two have in common does not show."""
    entries, true = [], []
    for _ in range(2):
        export = line_to(trio[1], TWO).export_out
        true.append(export.step << 8 | export.chain.number)
        entries.append(int.from_bytes(key_block(trio[1])[70 + 52 * TWO :][:4]))
    assert entries[0] ^ entries[1] != true[0] ^ true[1]
    assert true[0] >> 8 == true[1] >> 8


def test_every_pair_has_a_mask_of_its_own_and_both_have_it(trio: World) -> None:
    masks = {
        frozenset({a, b}): [line_to(trio[a], Slot(b)).masks, line_to(trio[b], Slot(a)).masks]
        for a, b in ((0, 1), (0, 2), (1, 2))
    }
    assert all(one == other for one, other in masks.values())
    assert len({mask.expose() for (mask,), _ in masks.values()}) == 3


# --- Asking ---------------------------------------------------------------------------------------


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[Ask]:
    """What is asked for in posts, as others read it."""
    found: list[Ask] = []
    true = posts._asked

    def listening(state: object, asker: Slot, ask: Ask, *more: object) -> None:
        found.append(ask)
        true(state, asker, ask, *more)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(posts, "_asked", listening)
    return found


def lose(world: World, *arrivals: Arrival) -> None:
    for arrival in arrivals:
        world.drops.rows[arrival.drop].remove(arrival)


def steps_wanted(member: Member) -> list[int]:
    return [int.from_bytes(each.name) for each in member.state.wants if each.kind == "step"]


def test_attack_members_count_by_asks_what_two_others_say(trio: World, heard: list[Ask]) -> None:
    """Lost notes and a lost line block below a key block: all asked for over the line."""
    for _ in range(3):
        lose(trio, *note(trio[1], "Guest 2"))
    trio[1].state.renew = True
    trio[1].say("under a lost step")
    trio[1].flush()
    trio[2].listen()
    assert len(steps_wanted(trio[2])) == 1
    note(trio[1], "Guest 2")
    trio.minutes(12)
    assert steps_wanted(trio[2]) == []
    assert [each.text for each in trio[2].disk.said if each.to is not None] == ["between us"] * 4
    assert (1, "under a lost step") in trio[2].said
    assert [ask.steps for ask in heard if ask.steps] == []


def test_an_epoch_core_under_a_lost_step_waits_for_it(trio: World, heard: list[Ask]) -> None:
    """Who lacks the step lacks the epoch: both sides still read the drop that is over."""
    lose(trio, *note(trio.founder, "Guest 2"))
    trio.founder.act(commands.Turn())
    trio.founder.flush()
    trio[2].listen()
    assert len(steps_wanted(trio[2])) == 1
    assert trio[2].state.epoch.number == 0
    trio.minutes(8)
    assert [member.state.epoch.number for member in trio.members] == [1, 1, 1]
    assert [ask.steps for ask in heard if ask.steps] == []


def test_attack_an_ask_over_the_line_is_a_line_block_like_others(trio: World) -> None:
    lose(trio, *note(trio[1], "Guest 2"))
    note(trio[1], "Guest 2")
    trio[2].listen()
    trio.pass_time(seconds=limits.ASK_AFTER + 1)
    trio[2].tick()
    (ask,) = sent(trio[2])
    assert core_in(trio.founder, ask)[0] == Kind.LINE
    before = trio.founder.snapshot()
    assert news(trio.founder.receive(ask)) == []
    state = trio.founder.state
    state.epoch.seen.pop(content_hash(core_in(trio.founder, ask)))
    assert trio.founder.snapshot() == before


def test_a_lost_reply_is_asked_for_in_a_post(strangers: World, heard: list[Ask]) -> None:
    """Without it there is no line, and it counts nothing: every line has one."""
    strangers[2].tick()
    strangers[2].flush()
    strangers[1].listen()
    strangers[1].tick()
    (reply,) = [each for each in sent(strangers[1]) if core_in(strangers[1], each)[0] == Kind.LINE]
    lose(strangers, reply)
    note(strangers[1], "Guest 2")
    strangers[2].listen()
    assert steps_wanted(strangers[2]) == [1]
    assert not line_to(strangers[2], ONE).answered
    strangers.minutes(8)
    assert {ask.steps for ask in heard if ask.steps} == {((1, 1),)}
    assert line_to(strangers[2], ONE).answered


def test_who_asks_over_the_line_for_what_was_never_sent_gets_nothing(trio: World) -> None:
    liar = Insider(trio[2])
    true = max(trio[1].state.peers[TWO].steps)
    lost = whisper.LostSteps((true, true + 1, 2**32 - 1))
    trio[1].receive(liar.arrival(liar.posting().line_block(ONE, lost).core))
    assert list(trio[1].state.owed) == [trio[1].state.peers[TWO].steps[true]]


# --- What a core names ----------------------------------------------------------------------------


def test_a_core_names_a_step_that_is_here(trio: World) -> None:
    liar = Insider(trio.founder)
    export = line_to(liar.member, ONE).export_out
    found = steps.named(reception(trio[1], liar.key_block()), Slot(0), wants=True)
    assert found == (line_to(trio[1], Slot(0)), export.step, export.chain.number)
    assert trio[1].state.wants == []


@pytest.mark.parametrize("wants", [True, False])
def test_a_step_that_was_lost_is_asked_for_if_one_wants_it(trio: World, wants: bool) -> None:
    liar = Insider(trio.founder)
    core = liar.with_step(liar.key_block(), 1, 5)
    with pytest.raises(UnknownError, match="has not come"):
        steps.named(reception(trio[1], core), Slot(0), wants=wants)
    assert steps_wanted(trio[1]) == [5] * wants


@pytest.mark.parametrize(("above", "wanted"), [(512, True), (513, False)])
def test_a_step_too_far_is_noise(trio: World, above: int, wanted: bool) -> None:
    """What is for nobody is random: it is not asked for."""
    liar = Insider(trio.founder)
    newest = max(each.step for each in line_to(trio[1], Slot(0)).exports_in)
    core = liar.with_step(liar.key_block(), 1, newest + above)
    with pytest.raises(UnknownError):
        steps.named(reception(trio[1], core), Slot(0), wants=True)
    assert steps_wanted(trio[1]) == [newest + above] * wanted


def test_of_a_line_that_nobody_answered_no_step_is_missed(trio: World) -> None:
    liar = Insider(trio.founder)
    peer = trio[1].state.peers[Slot(0)]
    peer.line = msgspec.structs.replace(line_to(trio[1], Slot(0)), answered=False)
    with pytest.raises(UnknownError):
        steps.named(reception(trio[1], liar.with_step(liar.key_block(), 1, 5)), Slot(0), wants=True)
    assert trio[1].state.wants == []


def test_without_a_line_nothing_is_named(trio: World) -> None:
    core = Insider(trio.founder).key_block()
    trio[1].state.peers[Slot(0)].line = None
    with pytest.raises(UnknownError):
        steps.named(reception(trio[1], core), Slot(0), wants=True)
    assert trio[1].state.wants == []


def test_a_core_under_the_mask_of_an_intro_that_gave_way(trio: World) -> None:
    """After crossing intros a line has two masks; what one makes noise of, the other may open."""
    held = line_to(trio[1], Slot(0))
    core = Insider(trio.founder).key_block()
    other = MaskKey(b"o" * 32)
    crossed = msgspec.structs.replace(held, masks=(other, *held.masks))
    trio[1].state.peers[Slot(0)].line = crossed
    found = steps.named(reception(trio[1], core), Slot(0), wants=True)
    assert (found.line, found.step) == (crossed, line_to(trio.founder, ONE).export_out.step)
    trio[1].state.peers[Slot(0)].line = msgspec.structs.replace(held, masks=(other,))
    with pytest.raises(UnknownError):
        steps.named(reception(trio[1], core), Slot(0), wants=True)


# --- What is not needed any more ------------------------------------------------------------------


def waiting(world: World, core: Core) -> Pending:
    """A core of the founder's that waits at Guest 1."""
    state = world[1].state
    return Pending(core, content_hash(core), 0, hour_of(world[1].now), state.epoch.id)


def test_a_step_is_not_wanted_for_the_sake_of_what_is_here(trio: World) -> None:
    liar = Insider(trio.founder)
    core = liar.with_step(liar.key_block(), 1, 5)
    trio[1].state.want("step", 0, (5).to_bytes(4), trio[1].now)
    trio[1].state.want("step", 0, (6).to_bytes(4), trio[1].now)
    steps.needless(reception(trio[1], core), Slot(0), waiting(trio, core))
    assert steps_wanted(trio[1]) == [6]


def test_a_step_that_was_jumped_over_stays_wanted(trio: World) -> None:
    """Its block may hold a note."""
    liar = Insider(trio.founder)
    lost = Step(line_to(liar.member, ONE).export_out.step + 1)
    for _ in range(2):
        block = liar.posting().line_block(ONE, whisper.Nothing()).core
    trio[1].receive(liar.arrival(block))
    assert steps_wanted(trio[1]) == [lost]
    core = liar.with_step(liar.key_block(), 1, lost)
    steps.needless(reception(trio[1], core), Slot(0), waiting(trio, core))
    assert steps_wanted(trio[1]) == [lost]


def test_without_a_line_there_is_nothing_to_be_done_without(trio: World) -> None:
    core = Insider(trio.founder).key_block()
    trio[1].state.want("step", 0, (5).to_bytes(4), trio[1].now)
    trio[1].state.peers[Slot(0)].line = None
    steps.needless(reception(trio[1], core), Slot(0), waiting(trio, core))
    assert steps_wanted(trio[1]) == [5]
