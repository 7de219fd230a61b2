"""What is said to one member alone: private notes, and what facilitators give and hear."""

import pytest

from backchannel.protocol import command as commands
from backchannel.protocol import limits, line, whisper
from backchannel.protocol.codec import encode
from backchannel.protocol.core import Kind
from backchannel.protocol.errors import DecodeError, LocalProtocolError, ProtocolError
from backchannel.protocol.outcome import Alarm, Arrival, Event, Expired, Said
from backchannel.protocol.posting import Posting
from backchannel.protocol.proposal import Vouched
from backchannel.protocol.roster import Role
from backchannel.protocol.secret import CloseSecret
from backchannel.protocol.types import MAIN_THREAD, MessageId, Slot, Step, hour_of
from backchannel.protocol.whisper import (
    GivenClose,
    Note,
    Objection,
    Private,
    Whisper,
    read_note,
    read_whisper,
    split_note,
)
from tests.support.insider import Insider, core_in, owed
from tests.support.world import LIFETIME, Member, World, news

ID = MessageId(b"n" * 16)
HASH = b"h" * 32
NOTE = Private(HASH, 1, 24, 0, b"", "between us")


@pytest.fixture
def trio() -> World:
    """Whoever is here has the newest key of everybody, so nothing is due."""
    world = World.of(3)
    world.pass_time(hours=1)
    world.settle()
    return world


def note(member: Member, alias: str, text: str = "between us") -> Said:
    events = member.act(commands.Whisper(alias, text))
    return next(each for each in events if isinstance(each, Said))


def sent(member: Member) -> list[Arrival]:
    arrivals = owed(member)
    member.flush()
    return arrivals


def notes(events: list[Event]) -> list[Said]:
    return [each for each in events if isinstance(each, Said) and each.to is not None]


def whispered(liar: Insider, slot: int, content: Whisper) -> Arrival:
    """Whatever a member may say over a line."""
    return liar.arrival(liar.posting().line_block(Slot(slot), content).core)


# --- Whose it is ----------------------------------------------------------------------------------


def test_a_note_is_read_by_whom_it_is_for_and_stands_in_ones_own_record(trio: World) -> None:
    own = note(trio[1], "Guest 2")
    (read,) = notes(trio[2].receive(sent(trio[1])[0]))
    assert read == own
    assert (own.text, own.author, own.to, own.thread) == ("between us", 1, 2, MAIN_THREAD)
    assert own.expires == own.hour + LIFETIME


def test_a_note_carries_authority_and_what_it_answers(trio: World) -> None:
    trio[1].act(commands.Whisper("Founder", "Zoe\u0308", 2, b"m" * 16))
    trio[1].flush()
    trio.founder.listen()
    (read,) = notes(list(trio.founder.disk.said))
    assert (read.text, read.authority, read.about) == ("Zo\u00eb", 2, b"m" * 16)


def test_to_relay_and_others_a_note_is_one_block_like_any_and_nothing_answers_it(
    trio: World,
) -> None:
    before = trio.drops.count()
    note(trio[1], "Guest 2")
    (block,) = sent(trio[1])
    assert len(block.block) == limits.BLOCK
    held = [len(trio[0].state.pending), len(trio[0].state.wants)]
    trio.settle()
    trio.minutes()
    assert trio.drops.count() == before + 1
    assert [len(trio[0].state.pending), len(trio[0].state.wants)] == held
    assert Kind(core_in(trio[0], block)[0]) is Kind.LINE
    assert notes(list(trio[0].disk.said)) == []
    assert [each.text for each in notes(list(trio[2].disk.said))] == ["between us"]


def test_a_note_and_a_block_that_only_moves_the_ratchet_have_the_same_shape(trio: World) -> None:
    """What a third member can see of both is a head, and then noise of one length."""
    note(trio[1], "Guest 2")
    (spoken,) = sent(trio[1])
    posting = Insider(trio[1]).posting()
    silent = posting.line_block(Slot(2), whisper.Nothing()).core
    seen = core_in(trio[0], spoken)
    assert (seen[:5], len(seen)) == (silent[:5], len(silent))


def test_no_third_member_opens_a_note_with_all_that_it_holds(trio: World) -> None:
    note(trio[1], "Guest 2")
    (block,) = sent(trio[1])
    third = trio[0].twin()
    assert news(third.receive(block)) == []
    assert third.refused == []
    assert all(
        line.open_(
            peer.line,
            core_in(trio[0], block),
            third.member.clock,
            Insider(trio[1]).head(Kind.LINE)._replace(salt=core_in(trio[0], block)[5:21]),
            third.state.keys.identity.kem,
        )
        is None
        for peer in third.state.peers.values()
        if peer.line is not None
    )


# --- Length ---------------------------------------------------------------------------------------


def longest(more: int = 0) -> Private:
    head = len(encode(NOTE)) - len(NOTE.text.encode()) + 2  # a longer length
    return Private(HASH, 1, 24, 0, b"", "w" * (whisper.MOST - head + more))


def test_the_fullest_piece_fills_its_block_to_the_byte() -> None:
    first = split_note(longest(), ID)[0]
    assert len(encode(first)) == line.CONTENT
    assert (whisper.PIECE, whisper.MOST) == (1565, 12_520)


def test_the_longest_note_and_one_more() -> None:
    pieces = split_note(longest(), ID)
    assert len(pieces) == limits.NOTE_PARTS
    assert read_note(b"".join(piece.piece for piece in pieces)) == longest()
    assert all(read_whisper(encode(piece)) == piece for piece in pieces)
    with pytest.raises(DecodeError, match="12,520"):
        split_note(longest(1), ID)
    with pytest.raises(DecodeError):
        read_note(encode(longest(1)))


@pytest.mark.parametrize("order", [1, -1])
def test_a_long_note_is_joined_once_whatever_the_order(trio: World, order: int) -> None:
    before = note(trio[1], "Guest 2", "w" * 5000)
    blocks = sent(trio[1])
    heard = [each for block in blocks[::order] for each in notes(trio[2].receive(block))]
    assert heard == [before]
    assert trio[2].state.partial == {}
    assert [notes(trio[2].receive(block)) for block in blocks] == [[]] * len(blocks)


def test_pieces_of_a_note_that_never_ends_die_with_their_hour(trio: World) -> None:
    note(trio[1], "Guest 2", "secret " * 700)
    trio[2].receive(sent(trio[1])[0])
    assert len(trio[2].state.partial) == 1
    assert b"secret secret" not in trio[2].snapshot()
    trio.pass_time(hours=LIFETIME + 1)
    trio[2].tick()
    assert trio[2].state.partial == {}


# --- What cannot be said --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "match"),
    [
        (commands.Whisper("Nobody", "x"), "nobody else of that name"),
        (commands.Whisper("Guest 1", "x"), "nobody else of that name"),
        (commands.Whisper("Guest 2", "x" * 13_000), "12,520"),
        (commands.Whisper("Guest 2", ""), "not a structure"),
        (commands.Whisper("Guest 2", "\ud800"), "half a character"),
        (commands.Whisper("Guest 2", "x", 3), "no such label"),
        (commands.Whisper("Guest 2", "x", -1), "no such label"),
        (commands.Whisper("Guest 2", "x", 0, b"short"), "not a private note"),
    ],
)
def test_what_cannot_be_said_leaves_nothing_behind(
    trio: World, command: commands.Whisper, match: str
) -> None:
    before = trio[1].snapshot()
    with pytest.raises(ProtocolError, match=match):
        trio[1].act(command)
    assert trio[1].snapshot() == before
    assert owed(trio[1]) == []


def test_who_greeted_and_was_not_answered_says_nothing_yet() -> None:
    world = World.of(2)
    newcomer = world.admit("Guest 2")
    world[1].online = False
    newcomer.sync()
    before = newcomer.snapshot()
    with pytest.raises(LocalProtocolError, match="opens when they next come online"):
        newcomer.act(commands.Whisper("Guest 1", "x"))
    assert newcomer.snapshot() == before
    world[1].online = True
    world.settle()
    assert note(newcomer, "Guest 1").to == 1


def test_who_is_not_greeted_yet_hears_nothing() -> None:
    world = World.of(2)
    world.admit("Guest 2")
    world[1].listen()
    with pytest.raises(LocalProtocolError, match="opens when"):
        world[1].act(commands.Whisper("Guest 2", "x"))


def test_who_owes_a_reply_replies_first() -> None:
    world = World.of(2)
    newcomer = world.admit("Guest 2")
    newcomer.sync()
    world[1].listen()
    assert world[1].state.peers[Slot(2)].reply_due
    with pytest.raises(DecodeError):
        world[1].act(commands.Whisper("Guest 2", "x" * 13_000))
    assert world[1].state.peers[Slot(2)].reply_due
    note(world[1], "Guest 2", "welcome " * 100)
    world[1].flush()
    newcomer.sync()
    assert [each.text for each in notes(list(newcomer.disk.said))] == ["welcome " * 100]


@pytest.mark.parametrize("role", ["participant", "note-taker", "facilitator"])
def test_roles_that_may(role: Role) -> None:
    world = World()
    world.admit("Guest", role)
    world.settle()
    assert note(world[1], "Founder").text == "between us"


def test_an_observer_sends_no_note_and_may_be_sent_one() -> None:
    world = World()
    world.admit("Guest", "observer")
    world.settle()
    with pytest.raises(LocalProtocolError, match="an observer does not send private notes"):
        world[1].act(commands.Whisper("Founder", "x"))
    note(world.founder, "Guest", "to watch")
    world.founder.flush()
    world[1].sync()
    assert world[1].said == [(0, "to watch")]


def observed() -> World:
    world = World()
    world.admit("Guest", "observer")
    world.settle()
    return world


def pieces_of(world: World, roster: bytes) -> tuple[Note, ...]:
    return split_note(Private(roster, 1, 24, 0, b"", "I may not"), ID)


def test_attack_an_observers_note_is_not_shown_and_the_line_moves_on() -> None:
    world = observed()
    liar, founder = Insider(world[1]), world.founder
    (piece,) = pieces_of(world, founder.state.expected)
    (alarm,) = news(founder.receive(whispered(liar, 0, piece)))
    assert isinstance(alarm, Alarm)
    assert (alarm.kind, alarm.slot) == ("forbidden", 1)
    assert "an observer does not send private notes" in alarm.reason
    assert news(founder.receive(whispered(liar, 0, whisper.Nothing()))) == []
    assert [want for want in founder.state.wants if want.kind == "step"] == []


@pytest.mark.parametrize("length", [10, 2000])
def test_attack_178_an_observers_note_under_a_roster_that_nobody_made_is_never_shown(
    length: int,
) -> None:
    world = observed()
    liar, founder = Insider(world[1]), world.founder
    pieces = split_note(Private(HASH, 1, 24, 0, b"", "x" * length), ID)
    for piece in pieces:
        assert news(founder.receive(whispered(liar, 0, piece))) == []
    assert [each.core[0] for each in founder.state.pending] == [Kind.LINE]
    assert news(founder.receive(whispered(liar, 0, whisper.Nothing()))) == []
    founder.act(commands.Turn())  # a roster comes, and it is another
    assert [each.core[0] for each in founder.state.pending] == [Kind.LINE]


@pytest.mark.parametrize("length", [10, 2000])
def test_a_note_by_who_was_given_a_role_waits_for_the_roster_that_gave_it(length: int) -> None:
    """It came before: read from another relay, or by a courier."""
    world = World.of(2)
    world.admit("Guest 2", "observer")
    world.settle()
    world.founder.act(commands.SetRole("Guest 2", "participant"))
    world.founder.flush()
    world[2].listen()
    said = note(world[2], "Guest 1", "x" * length)
    early = sent(world[2])
    assert [notes(world[1].receive(block)) for block in early] == [[]] * len(early)
    world[1].listen()
    (read,) = notes(list(world[1].disk.said))
    assert (read.text, read.id) == (said.text, said.id)
    assert world[1].state.pending == []


def test_attack_who_lost_a_role_names_the_roster_in_which_it_had_it(trio: World) -> None:
    before = trio.founder.state.current().hash
    trio.founder.act(commands.SetRole("Guest 1", "observer"))
    trio.founder.flush()
    trio.settle()
    liar = Insider(trio[1])
    (piece,) = split_note(Private(before, 1, 24, 0, b"", "as if nothing had changed"), ID)
    events = trio[2].receive(whispered(liar, 2, piece))
    assert [(each.kind, each.slot) for each in events if isinstance(each, Alarm)] == [
        ("forbidden", Slot(1))
    ]
    assert notes(events) == []


def test_a_note_written_before_a_role_changed_is_read_after(trio: World) -> None:
    note(trio[1], "Guest 2", "while I may")
    late = sent(trio[1])
    trio.founder.act(commands.SetRole("Guest 1", "observer"))
    trio.founder.flush()
    trio[2].listen()
    # the note stands in the drop of an epoch that may be over by now
    heard = [each for block in late for each in notes(trio[2].receive(block))]
    heard += notes(list(trio[2].disk.said))
    assert [each.text for each in heard][:1] == ["while I may"]


def test_a_newcomer_hears_the_one_who_let_it_in_before_its_roster_comes() -> None:
    world = World.of(2)
    newcomer = world.admit("Guest 2")
    newcomer.sync()
    world.founder.sync()
    note(world.founder, "Guest 2")
    newcomer.state.roster = None
    (read,) = notes(newcomer.receive(sent(world.founder)[-1]))
    assert read.author == 0


# --- Life -----------------------------------------------------------------------------------------


def test_attack_25_a_note_that_comes_at_its_hour_is_not_shown(trio: World) -> None:
    note(trio[1], "Guest 2")
    (block,) = sent(trio[1])
    trio.pass_time(hours=LIFETIME)
    assert news(trio[2].receive(block)) == [Expired(Slot(1))]


def test_a_note_lives_no_longer_than_either_side_says(trio: World) -> None:
    liar = Insider(trio[1])
    roster = trio[1].state.expected
    for number, (lifetime, lives) in enumerate([(3, 3), (2160, LIFETIME)]):
        name = MessageId(bytes([number]) * 16)
        (piece,) = split_note(Private(roster, 1, lifetime, 0, b"", "x"), name)
        (read,) = notes(trio[2].receive(whispered(liar, 2, piece)))
        assert read.expires == read.hour + lives


# --- Order ----------------------------------------------------------------------------------------


def test_notes_and_posts_of_one_hour_stand_in_the_order_of_their_saying(trio: World) -> None:
    said = [trio[1].say("one")]
    said += [note(trio[1], "Guest 2", text) for text in ("two", "three")]
    trio[1].flush()
    trio[2].listen()
    said += [note(trio[2], "Guest 1", text) for text in ("four", "five")]
    trio[2].flush()
    trio[1].listen()
    for member in (trio[1], trio[2]):
        shown = sorted(member.disk.said, key=lambda each: (each.hour, each.order, each.hash))
        assert [each.text for each in shown] == ["one", "two", "three", "four", "five"]


def test_posts_do_not_count_notes_or_others_would(trio: World) -> None:
    first = trio[1].say("one")
    for _ in range(3):
        note(trio[1], "Guest 2")
    assert trio[1].say("two").order == first.order + 1


def test_the_order_of_a_liar_is_capped_and_gone_in_an_hour(trio: World) -> None:
    (piece,) = split_note(Private(trio[1].state.expected, 2**32 - 1, 24, 0, b"", "x"), ID)
    trio[2].receive(whispered(Insider(trio[1]), 2, piece))
    assert note(trio[2], "Guest 1").order == 2**32 - 1
    trio.pass_time(hours=1)
    assert note(trio[2], "Guest 1").order < 100


# --- Loss -----------------------------------------------------------------------------------------


def steps_wanted(member: Member) -> list[int]:
    return [int.from_bytes(each.name) for each in member.state.wants if each.kind == "step"]


def test_claim_8_a_lost_note_is_asked_for_and_comes_again(trio: World) -> None:
    note(trio[1], "Guest 2", "lost")
    (lost,) = sent(trio[1])
    trio.drops.rows[lost.drop].remove(lost)
    note(trio[1], "Guest 2", "found")
    trio[1].flush()
    trio[2].listen()
    assert [each.text for each in notes(list(trio[2].disk.said))] == ["found"]
    assert len(steps_wanted(trio[2])) == 1
    trio.minutes(8)
    texts = [each.text for each in notes(list(trio[2].disk.said))]
    assert texts == ["found", "lost"]
    assert steps_wanted(trio[2]) == []


def test_claim_8_a_lost_note_at_the_end_of_a_chain_is_missed_by_the_next(trio: World) -> None:
    """The other side has answered since, so the next block stands on another chain."""
    note(trio[1], "Guest 2", "first")
    trio[1].flush()
    trio[2].sync()
    note(trio[1], "Guest 2", "lost")
    (lost,) = sent(trio[1])
    trio.drops.rows[lost.drop].remove(lost)
    note(trio[2], "Guest 1", "mine")
    trio[2].flush()
    trio[1].listen()
    note(trio[1], "Guest 2", "next")
    trio[1].flush()
    trio.minutes(8)
    texts = [each.text for each in notes(list(trio[2].disk.said)) if each.author == 1]
    assert texts == ["first", "next", "lost"]


def test_blocks_that_only_came_late_are_not_asked_for(trio: World) -> None:
    for text in ("one", "two"):
        note(trio[1], "Guest 2", text)
    one, two = sent(trio[1])
    trio[2].receive(two)
    assert len(steps_wanted(trio[2])) == 1
    trio[2].receive(one)
    assert steps_wanted(trio[2]) == []
    trio[2].tick()
    assert owed(trio[2]) == []


def test_attack_16_a_jump_makes_few_wants_whatever_its_length(trio: World) -> None:
    liar = Insider(trio[1])
    for _ in range(40):
        liar.posting().line_block(Slot(2), whisper.Nothing())
    trio[2].receive(whispered(liar, 2, whisper.Nothing()))
    wanted = steps_wanted(trio[2])
    assert len(wanted) == limits.WANTS["step"]
    held = trio[2].state.peers[Slot(1)].line
    assert held is not None
    assert set(wanted) == set(sorted(line.lacking(held))[-limits.WANTS["step"] :])


def test_a_step_that_may_hold_a_note_is_wanted_though_its_key_block_is_not() -> None:
    """A key block that waits for a lost line block is not needed once its generation came another
    way; the line block may still hold a note.
    """
    world = World.of(2)
    world.pass_time(hours=1)
    world.settle()
    note(world[1], "Founder", "lost")
    (lost,) = sent(world[1])
    posting = Posting(world[1].state, world[1].member.clocks, world[1].now, world[1].entropy)
    posting.new_generation()
    world[1].carry(posting.outcome())
    (key,) = sent(world[1])
    world.founder.receive(key)
    step = steps_wanted(world.founder)
    note(world[1], "Founder", "found")
    world.founder.receive(sent(world[1])[0])
    own = world[1].state.own
    assert own is not None
    given = whisper.GivenSeeds.of(own.seeds())
    world[1].flush()
    world.founder.receive(whispered(Insider(world[1]), 0, given))
    assert own.id in world.founder.state.peers[Slot(1)].generations
    assert steps_wanted(world.founder) == step
    assert notes(world.founder.receive(lost))[0].text == "lost"
    assert steps_wanted(world.founder) == []


def test_steps_of_both_sides_are_named_as_the_specification_counts(trio: World) -> None:
    """1 + sum of pn + n for who answered the intro, 2 + for who sent it."""
    for place, other in ((1, 2), (2, 1)):
        peer = trio[place].state.peers[Slot(other)]
        assert peer.line is not None
        first = max(peer.steps, default=Step(0))
        note(trio[place], f"Guest {other}")
        sent_now = max(peer.steps)
        assert sent_now in (first + 1, 2 if peer.line.initiator else 1)
        note(trio[place], f"Guest {other}")
        later = sent(trio[place])[-1]
        trio[other].receive(later)
        assert steps_wanted(trio[other]) == [sent_now]


# --- What is no note ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        Note(ID, 1, 1, b"p"),
        Note(ID, 0, 0, b"p"),
        Note(ID, 8, 9, b"p"),
        Note(ID, 0, 9, b"p"),
        Note(ID, 0, 1, b""),
        Note(ID, 0, 1, b"p" * (whisper.PIECE + 1)),
        Note(b"short", 0, 1, b"p"),
    ],
)
def test_what_is_no_piece_of_a_note(trio: World, wrong: Note) -> None:
    with pytest.raises(DecodeError):
        read_whisper(encode(wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        Private(HASH, 1, 24, 0, b"short", "x"),
        Private(HASH, 1, 24, 0, b"", "Zoe\u0308"),
        Private(HASH, 1, 24, 0, b"", ""),
        Private(HASH, 1, 24, 3, b"", "x"),
        Private(HASH, 1, 0, 0, b"", "x"),
        Private(HASH, 2**32, 24, 0, b"", "x"),
        Private(b"short", 1, 24, 0, b"", "x"),
    ],
)
def test_what_is_no_note_is_not_shown_and_the_line_moves_on(trio: World, wrong: Private) -> None:
    with pytest.raises(DecodeError):
        read_note(encode(wrong))
    liar = Insider(trio[1])
    assert news(trio[2].receive(whispered(liar, 2, Note(ID, 0, 1, encode(wrong))))) == []
    after = split_note(Private(trio[1].state.expected, 1, 24, 0, b"", "true"), MessageId(b"t" * 16))
    (read,) = notes(trio[2].receive(whispered(liar, 2, after[0])))
    assert read.text == "true"


def test_two_notes_of_one_id_are_one(trio: World) -> None:
    liar = Insider(trio[1])
    for text, count in (("one", 1), ("two", 0)):
        (piece,) = split_note(Private(trio[1].state.expected, 1, 24, 0, b"", text), ID)
        assert len(notes(trio[2].receive(whispered(liar, 2, piece)))) == count


# --- Close secrets and objections -----------------------------------------------------------------


def waiting_for(world: World) -> bytes:
    """Everybody was told of somebody who waits."""
    identity = b"stranger".ljust(32, b".")
    for member in world.members:
        who = Vouched("Stranger", "North", "participant", Slot(0), hour_of(world.now))
        member.state.candidates[identity] = who
    return identity


def test_an_objection_reaches_every_facilitator_and_nobody_else(trio: World) -> None:
    identity = waiting_for(trio)
    trio[1].act(commands.Objection("Stranger"))
    assert len(sent(trio[1])) == 1
    trio.settle()
    assert [each.state.candidates[identity].objected for each in trio.members] == [
        True,
        False,
        False,
    ]


def test_a_facilitators_own_objection_counts() -> None:
    world = World()
    world.admit("Second", "facilitator")
    world.settle()
    identity = waiting_for(world)
    world.founder.act(commands.Objection("Stranger"))
    world.founder.flush()
    world[1].sync()
    assert all(each.state.candidates[identity].objected for each in world.members)


def test_an_objection_to_nobody() -> None:
    with pytest.raises(LocalProtocolError, match="nobody of that name is presented"):
        World.of(2)[1].act(commands.Objection("Stranger"))


def test_an_objection_that_reaches_nobody_says_so(trio: World) -> None:
    waiting_for(trio)
    peer = trio[1].state.peers[Slot(0)]
    held, peer.line = peer.line, None
    before = trio[1].snapshot()
    with pytest.raises(LocalProtocolError, match="no line to a facilitator"):
        trio[1].act(commands.Objection("Stranger"))
    assert trio[1].snapshot() == before
    peer.line = held


def test_an_objection_to_a_facilitator_who_waits_for_a_reply_goes_behind_it() -> None:
    world = World.of(2)
    second = world.admit("Second", "facilitator")
    second.sync()
    world[1].listen()
    identity = waiting_for(world)
    assert world[1].state.peers[Slot(2)].reply_due
    world[1].act(commands.Objection("Stranger"))
    world[1].flush()
    for member in (world.founder, second):
        member.sync()
        assert member.state.candidates[identity].objected
    assert second.state.peers[Slot(1)].greeting is None


def test_attack_an_observers_objection_does_not_count() -> None:
    world = observed()
    identity = waiting_for(world)
    world.founder.receive(whispered(Insider(world[1]), 0, Objection(identity)))
    assert not world.founder.state.candidates[identity].objected


def test_attack_a_close_secret_counts_only_between_facilitators(trio: World) -> None:
    given = GivenClose(trio[1].state.epoch.id, b"c" * 32)
    trio.founder.state.epoch.close, held = None, trio.founder.state.epoch.close
    trio.founder.receive(whispered(Insider(trio[1]), 0, given))
    assert trio.founder.state.epoch.close is None
    trio.founder.state.epoch.close = held
    trio[1].receive(whispered(Insider(trio.founder), 1, given))
    assert trio[1].state.epoch.close is None


def test_a_close_secret_fills_a_gap_and_replaces_nothing() -> None:
    world = World()
    world.admit("Second", "facilitator")
    world.settle()
    epoch, liar = world[1].state.epoch, Insider(world.founder)
    true, epoch.close = epoch.close, None
    for given, kept in ((b"c", b"c"), (b"d", b"c")):
        world[1].receive(whispered(liar, 1, GivenClose(epoch.id, given * 32)))
        assert epoch.close == CloseSecret(kept * 32)
    epoch.close = None
    world[1].receive(whispered(liar, 1, GivenClose(b"of another epoch", b"c" * 32)))
    assert epoch.close is None
    assert true is not None
