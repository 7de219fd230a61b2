"""A newcomer's side of an invite: the card, the answer, the admission, and what is refused before
it.
"""

import msgspec
import pytest

from backchannel.protocol import command as commands
from backchannel.protocol.block import unwrap, wrap
from backchannel.protocol.candidate import Candidate
from backchannel.protocol.core import Head, Kind
from backchannel.protocol.errors import (
    AuthenticationError,
    DecodeError,
    LocalProtocolError,
    RefusedError,
    StaleError,
)
from backchannel.protocol.guest import Guest
from backchannel.protocol.invite import Card, Marker, Person, seal_card
from backchannel.protocol.lobby import admit, lobby_of
from backchannel.protocol.outcome import Admitted, Append, Arrival, CardRead, Invited, Marked
from backchannel.protocol.posting import Posting
from backchannel.protocol.roster import Relay, Role, seal_piece
from backchannel.protocol.types import Block, Core, Hour, Slot, hour_of
from tests.support.bits import sampled_flips
from tests.support.entropy import ScriptedEntropy
from tests.support.insider import Insider, refuses
from tests.support.world import CHARTER, RELAY, Member, World


@pytest.fixture
def world() -> World:
    return World()


def door(member: Member) -> Candidate:
    assert member.candidate is not None
    return member.candidate


def invited(world: World) -> Guest:
    return world.founder.state.guests[-1]


def rows(world: World, guest: Member) -> list[Arrival]:
    return world.drops.rows[door(guest).polls()[0].drop.id]


def in_lobby(world: World, core: Core, hours: int = 0) -> Arrival:
    lobby = lobby_of(invited(world))
    block = wrap(core, lobby.drop.outer, lobby.at, ScriptedEntropy("outer"))
    return Arrival(lobby.drop.id, Hour(hour_of(world.now) + hours), block)


def card_cores(
    world: World, content: Card | Marker, name: str = "liar", hours: int = 0
) -> list[Arrival]:
    hour = Hour(hour_of(world.now) + hours)
    cores = seal_card(content, lobby_of(invited(world)), hour, ScriptedEntropy(name))
    return [in_lobby(world, core) for core in cores]


# --- Words and card -------------------------------------------------------------------------------


def test_mistyped_words_are_told_at_once(world: World) -> None:
    (told,) = [
        each
        for each in world.founder.act(commands.Invite("Guest", "North", "participant", 24))
        if isinstance(each, Invited)
    ]
    swapped = [*told.words[1:], told.words[0]]
    with pytest.raises(DecodeError):
        Candidate.begin(" ".join(["zebra", *swapped[1:11], "zebra zebra"]), RELAY.url, RELAY.key)


def test_the_card_shows_what_one_would_join(world: World) -> None:
    guest = world.invite("Guest")
    assert door(guest).phase == "reading"
    with pytest.raises(LocalProtocolError, match="not been read"):
        _ = door(guest).card
    guest.sync()
    card = door(guest).card
    assert (guest.told, door(guest).phase) == ([CardRead()], "deciding")
    assert (card.name, card.charter, card.invited.alias, card.facilitator.alias) == (
        "North",
        CHARTER,
        "Guest",
        "Founder",
    )


def test_a_card_of_several_pieces_comes_in_any_order() -> None:
    world = World()
    world.founder.state.charter = "x" * 9_000
    guest = world.invite("Guest")
    arrivals = rows(world, guest)
    assert len(arrivals) > 2
    for arrival in (*reversed(arrivals[1:]), arrivals[1], arrivals[0], *arrivals):
        guest.receive(arrival)
    assert guest.told == [CardRead()]
    assert len(door(guest).card.charter) == 9_000


def test_the_same_card_again_says_nothing(world: World) -> None:
    guest = world.invite("Guest")
    guest.sync()
    before = guest.snapshot()
    guest.sync()
    assert (guest.snapshot(), guest.told) == (before, [CardRead()])


def test_a_second_card_is_not_believed(world: World) -> None:
    guest = world.invite("Guest")
    guest.sync()
    other = msgspec.structs.replace(invited(world).card, name="South")
    for arrival in card_cores(world, other):
        assert guest.receive(arrival) == []
    assert door(guest).card.name == "North"


def test_attack_a_card_that_names_another_relay_key(world: World) -> None:
    guest = world.invite("Guest")
    door(guest).state.relay = Relay(RELAY.url, invited(world).card.bundle[:32])
    refuses(guest, rows(world, guest)[0], RefusedError, "another relay key")


def test_another_address_of_the_same_relay_will_do(world: World) -> None:
    guest = world.invite("Guest")
    door(guest).state.relay = Relay("http://onion.example", RELAY.key)
    guest.sync()
    assert door(guest).phase == "deciding"


def test_a_card_with_any_bit_turned_is_refused(world: World) -> None:
    guest = world.invite("Guest")
    arrival = rows(world, guest)[0]
    for bad in sampled_flips(arrival.block, 1511):
        refuses(guest, arrival._replace(block=Block(bad)), AuthenticationError)


@pytest.mark.parametrize("piece", [b"\0\1", b"\1\1xx", b"\0\x09xx", b"\0\0xx", b"\0\1nonsense"])
def test_a_piece_that_is_none(world: World, piece: bytes) -> None:
    guest = world.invite("Guest")
    lobby = lobby_of(invited(world))
    head = Head(Kind.CARD, hour_of(world.now), bytes(16))
    refuses(guest, in_lobby(world, seal_piece(piece, lobby.card, lobby.at, head)), DecodeError)


@pytest.mark.parametrize("hint", [0, 1, 2**32 - 1])
def test_attack_57_a_relay_that_lies_about_the_hour_stops_nobody(world: World, hint: int) -> None:
    guest = world.invite("Guest")
    assert guest.receive(rows(world, guest)[0]._replace(hour=Hour(hint))) == [CardRead()]


def test_a_card_of_an_hour_that_has_not_come(world: World) -> None:
    guest = world.invite("Guest")
    (arrival,) = card_cores(world, Marker("used"), hours=2)
    refuses(guest, arrival, AuthenticationError)


def test_a_card_after_the_last_hour(world: World) -> None:
    guest = world.invite("Guest")
    guest.sync()
    (arrival,) = card_cores(world, Marker("used"), hours=25)
    world.pass_time(hours=25)
    refuses(guest, arrival, StaleError, "last")


@pytest.mark.parametrize("reason", ["used", "refused", "burnt", "withdrawn"])
def test_a_marker_says_once_why_nobody_is_waited_for(world: World, reason: str) -> None:
    guest = world.invite("Guest")
    for name in ("one", "two"):
        for arrival in card_cores(world, Marker(reason), name):
            guest.receive(arrival)
    assert (guest.told, door(guest).phase) == ([Marked(reason)], "over")


def test_other_kinds_in_a_lobby_are_nothing(world: World) -> None:
    guest = world.invite("Guest")
    core = Core(Head(Kind.COVER, hour_of(world.now), bytes(16)).pack().ljust(4056, b"\1"))
    assert guest.receive(in_lobby(world, core)) == []
    intro = Core(Head(Kind.INTRO, hour_of(world.now), bytes(16)).pack().ljust(4056, b"\1"))
    for arrival in card_cores(world, Marker("used")):
        guest.receive(arrival)
    assert guest.receive(in_lobby(world, intro)) == []
    assert guest.refused == []


# --- Answering ------------------------------------------------------------------------------------


def test_nothing_is_answered_before_the_card_is_read(world: World) -> None:
    guest = world.invite("Guest")
    with pytest.raises(LocalProtocolError, match="no invitation"):
        guest.accept("Guest")
    with pytest.raises(LocalProtocolError, match="not been read"):
        door(guest).check()


def test_an_answer_is_one_block_and_given_once(world: World) -> None:
    guest = world.invite("Guest")
    guest.sync()
    with pytest.raises(LocalProtocolError, match="not been answered"):
        door(guest).check()
    guest.accept("Guest")
    assert (len(guest.disk.outbox), door(guest).phase) == (1, "waiting")
    with pytest.raises(LocalProtocolError, match="no invitation"):
        guest.accept("Guest")


@pytest.mark.parametrize("alias", ["", " x", "a" * 33, "\u202eevil"])
def test_an_alias_that_is_none_is_refused(world: World, alias: str) -> None:
    guest = world.invite("Guest")
    guest.sync()
    before = guest.snapshot()
    with pytest.raises(DecodeError):
        guest.accept(alias)
    assert guest.snapshot() == before


def test_an_expired_invitation_is_not_answered(world: World) -> None:
    guest = world.invite("Guest", valid=2)
    guest.sync()
    world.pass_time(hours=3)
    with pytest.raises(LocalProtocolError, match="expired"):
        guest.accept("Guest")


def test_a_candidate_is_saved_and_opened(world: World) -> None:
    guest = world.knock("Guest")
    before, check = guest.snapshot(), door(guest).check()
    guest.restart()
    assert (guest.snapshot(), door(guest).check()) == (before, check)


# --- Admission ------------------------------------------------------------------------------------


def test_an_admission_makes_a_channel(world: World) -> None:
    guest = world.knock("Guest")
    with pytest.raises(LocalProtocolError, match="nobody has admitted"):
        door(guest).channel()
    world.founder.act(commands.Admit("Guest"))
    world.founder.flush()
    guest.listen()
    assert Admitted() in guest.told
    assert (door(guest).phase, guest.state.me) == ("admitted", Slot(1))
    with pytest.raises(LocalProtocolError, match="has not arrived"):
        guest.say("too early")


def test_a_candidate_that_was_admitted_is_saved_as_a_channel(world: World) -> None:
    guest = world.admit("Guest")
    with pytest.raises(LocalProtocolError, match="saved as a channel"):
        door(guest).snapshot()
    guest.restart()
    assert guest.state.me == Slot(1)


def test_a_candidate_that_was_admitted_reads_no_second_admission(world: World) -> None:
    guest = world.admit("Guest")
    *_, admission, _used = rows(world, guest)
    before = guest.snapshot()
    assert door(guest).receive(admission, world.now) == []
    assert guest.snapshot() == before


@pytest.mark.parametrize("hours", [0, 1, 6, 23])
def test_an_admission_that_was_lost_is_read_when_it_comes_again(world: World, hours: int) -> None:
    guest = world.knock("Guest")
    world.founder.act(commands.Admit("Guest"))
    world.founder.flush()
    *_, admission, _used = rows(world, guest)
    world.pass_time(hours=hours)
    again = admission._replace(hour=hour_of(world.now))
    assert guest.receive(again) == [Admitted()]


def test_a_marker_before_the_admission_does_not_shut_the_door(world: World) -> None:
    guest = world.knock("Guest")
    world.founder.act(commands.Admit("Guest"))
    world.founder.flush()
    *_, admission, used = rows(world, guest)
    assert guest.receive(used) == [Marked("used")]
    assert guest.receive(admission) == [Admitted()]


def admission_by(world: World, role: Role = "participant", slot: int = 0) -> Arrival:
    """An intro in the lobby as a liar would make it: in another role, or in another's name."""
    liar = Insider(world.founder)
    invited_ = liar.state.guests[-1]
    invited_.card = msgspec.structs.replace(invited_.card, invited=Person("Guest", "North", role))
    posting, lobby = liar.posting(), lobby_of(invited_)
    admit(posting, "Guest")
    window = (Hour(posting.hour - 1), Hour(posting.hour + 1))
    cores = [
        unwrap(each.block, lobby.drop.outer, lobby.at, posting.hour, window)
        for each in posting.effects
        if isinstance(each, Append) and each.drop.id == lobby.drop.id
    ]
    core = next(each for each in cores if each[0] == Kind.INTRO)
    return in_lobby(world, Core(core[:21] + bytes([slot]) + core[22:]))


def test_an_honest_admission_made_so_is_taken(world: World) -> None:
    guest = world.knock("Guest")
    assert guest.receive(admission_by(world)) == [Admitted()]


def test_an_admission_by_somebody_else_than_the_card_said(world: World) -> None:
    guest = world.knock("Guest")
    refuses(guest, admission_by(world, slot=2), RefusedError, "not of this invitation")


def test_attack_an_admission_in_another_role_than_the_card_said(world: World) -> None:
    guest = world.knock("Guest")
    refuses(guest, admission_by(world, "observer"), AuthenticationError)


def test_an_intro_that_admits_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = world.knock("Guest")
    honest = Posting.intro

    def without(posting: Posting, *args: object) -> object:
        slot, roster, key, _admission, clock = args
        return honest(posting, slot, roster, key, None, clock)  # type: ignore[arg-type]

    monkeypatch.setattr(Posting, "intro", without)
    refuses(guest, admission_by(world), DecodeError, "admits nobody")


def test_an_admission_with_any_bit_turned_is_refused(world: World) -> None:
    guest = world.knock("Guest")
    lobby = lobby_of(invited(world))
    world.founder.act(commands.Admit("Guest"))
    world.founder.flush()
    *_, admission, _ = rows(world, guest)
    window = (Hour(hour_of(world.now) - 1), Hour(hour_of(world.now) + 1))
    core = unwrap(admission.block, lobby.drop.outer, lobby.at, admission.hour, window)
    for bad in sampled_flips(core[21:], 1511):
        forged = in_lobby(world, Core(core[:21] + bad))
        refuses(guest, forged, (RefusedError, AuthenticationError, DecodeError))
    assert guest.receive(admission) == [Admitted()]


def test_attack_20_another_holder_of_the_words_cannot_read_the_admission(world: World) -> None:
    guest = world.invite("Guest")
    eavesdropper = world.invite("Other")
    eavesdropper.candidate = Candidate.open(door(guest).snapshot())
    for each in (guest, eavesdropper):
        each.sync()
        each.accept("Guest")
    guest.flush()
    world.founder.sync()
    world.founder.act(commands.Admit("Guest"))
    world.founder.flush()
    eavesdropper.sync()
    assert door(eavesdropper).phase == "over"
    assert any(
        isinstance(error, RefusedError | AuthenticationError) for error in eavesdropper.refused
    )
