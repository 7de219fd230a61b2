"""Kinds of channels: who may sit together, asked by whoever invites, issues and adopts."""

import msgspec
import pytest

from backchannel.protocol import command as commands
from backchannel.protocol.candidate import Candidate
from backchannel.protocol.channel import Channel
from backchannel.protocol.content import Announcement, policy_hash
from backchannel.protocol.core import content_hash
from backchannel.protocol.epoch import roster_secret
from backchannel.protocol.errors import LocalProtocolError, RefusedError
from backchannel.protocol.format import PARTIES, check_format, parties
from backchannel.protocol.identity import BundleKeys, identity_hash
from backchannel.protocol.invite import Person
from backchannel.protocol.outcome import Alarm, Arrival, Invited, RosterAdopted
from backchannel.protocol.roster import (
    Entry,
    Format,
    Package,
    Policy,
    Role,
    Roster,
    seal_package,
)
from backchannel.protocol.types import Slot
from tests.support.entropy import ScriptedEntropy
from tests.support.insider import Insider
from tests.support.world import CHARTER, DISCLOSURE, RELAY, START, Member, World

STRANGER = BundleKeys.draw(ScriptedEntropy("stranger")).public()


def seat(party: str, role: Role = "participant") -> Person:
    return Person("Somebody", party, role)


BRIDGE = seat("Bridge", "facilitator")


@pytest.mark.parametrize(("kind", "most"), PARTIES.items())
def test_a_kind_has_its_number_of_parties_and_not_one_more(kind: Format, most: int) -> None:
    seats = [BRIDGE, *(seat(f"Party {number}") for number in range(most))]
    check_format(Policy(24, kind), [*seats, seat("Party 0")])
    with pytest.raises(RefusedError, match="besides whoever facilitates"):
        check_format(Policy(24, kind), [*seats, seat("One more")])


@pytest.mark.parametrize("kind", ["plenary", "workshop", "hotline"])
def test_other_kinds_take_any_number(kind: Format) -> None:
    check_format(Policy(24, kind), [seat(f"Party {number}") for number in range(20)])


def test_whoever_facilitates_is_no_party_nor_are_those_who_help_it() -> None:
    seats = [BRIDGE, seat("Bridge", "note-taker"), seat("Bridge", "observer"), seat("North")]
    assert parties(seats) == ["North"]


def test_a_facilitators_party_that_takes_part_is_a_party() -> None:
    assert parties([BRIDGE, seat("Bridge"), seat("North")]) == ["Bridge", "North"]


def test_an_observer_of_a_third_party_makes_a_third_party() -> None:
    seats = [BRIDGE, seat("North"), seat("South"), seat("East", "observer")]
    with pytest.raises(RefusedError, match="at most 2 parties"):
        check_format(Policy(24, "bilateral"), seats)


def test_parties_that_look_alike_are_one() -> None:
    assert parties([seat("North"), seat("NORTH")]) == ["North"]


def test_nobody_in_particular_speaks_on_a_hotline() -> None:
    check_format(Policy(24, "hotline"), [BRIDGE])
    with pytest.raises(RefusedError, match="no unattributed posts"):
        check_format(Policy(24, "hotline", 4), [BRIDGE])


def test_what_is_said_on_a_hotline_is_kept_for_three_days_and_not_an_hour_more() -> None:
    check_format(Policy(72, "hotline"), [BRIDGE])
    with pytest.raises(RefusedError, match="at most 72 hours"):
        check_format(Policy(73, "hotline"), [BRIDGE])


def test_a_hotline_with_unattributed_posts_is_not_founded() -> None:
    founder = Entry(0, "Founder", "Bridge", "facilitator", bytes(32))
    policy, chance = Policy(24, "hotline", 4), ScriptedEntropy("founder")
    with pytest.raises(RefusedError, match="no unattributed posts"):
        Channel.create(founder, "Red", (RELAY,), policy, CHARTER, DISCLOSURE, START, chance)


# --- Among members ------------------------------------------------------------------------------


def room(kind: Format) -> World:
    """A channel of that kind; nobody but its founder is there."""
    world = World()
    for _ in range(0 if kind == "plenary" else 2):  # a proposal to oneself, then the roster
        world.founder.act(commands.SetPolicy(Policy(168, kind)))
    world.founder.flush()
    return world


def ask(world: World, alias: str, party: str, role: Role = "participant") -> Member:
    """Somebody invited for a party, who has answered."""
    events = world.founder.act(commands.Invite(alias, party, role, 24))
    world.founder.flush()
    words = next(each.words for each in events if isinstance(each, Invited))
    candidate = Candidate.begin(" ".join(words), RELAY.url, RELAY.key)
    guest = Member(alias, world.drops, world.time, lambda *_: None, candidate=candidate)
    world.members.append(guest)
    guest.sync()
    guest.accept(alias)
    guest.flush()
    world.founder.sync()
    return guest


def seated(kind: Format, *who: str) -> World:
    world = room(kind)
    for party in who:
        ask(world, f"From {party}", party)
        world.founder.act(commands.Admit(f"From {party}"))
        world.founder.flush()
        world.settle()
    return world


def test_a_third_party_is_not_invited_to_a_bilateral_channel() -> None:
    world = seated("bilateral", "North", "South")
    world.founder.act(commands.Invite("Another", "South", "participant", 24))
    with pytest.raises(LocalProtocolError, match="at most 2 parties"):
        world.founder.act(commands.Invite("Third", "East", "participant", 24))


def test_an_open_invite_holds_its_partys_place() -> None:
    world = seated("shuttle")
    world.founder.act(commands.Invite("First", "North", "participant", 24))
    with pytest.raises(LocalProtocolError, match="at most one party"):
        world.founder.act(commands.Invite("Second", "South", "participant", 24))
    world.founder.act(commands.Refuse("First"))
    world.founder.act(commands.Invite("Second", "South", "participant", 24))


def test_who_was_invited_before_the_kind_changed_is_not_admitted() -> None:
    world = seated("plenary", "North")
    ask(world, "Third", "East")
    policy = Policy(168, "shuttle")
    world.founder.act(commands.SetPolicy(policy))
    world.founder.flush()
    world.settle()
    world[1].act(commands.Consent(policy_hash(policy)))
    world.settle()
    world.founder.act(commands.SetPolicy(policy))
    with pytest.raises(LocalProtocolError, match="at most one party"):
        world.founder.act(commands.Admit("Third"))


def test_a_kind_changes_only_when_everybody_agrees() -> None:
    world = seated("bilateral", "North", "South")
    world.founder.act(commands.SetPolicy(Policy(168, "plenary")))
    with pytest.raises(LocalProtocolError, match="not everybody has agreed yet"):
        world.founder.act(commands.SetPolicy(Policy(168, "plenary")))
    assert world.founder.state.policy.format == "bilateral"


class Host(Insider):
    """A facilitator who lets in whom it likes."""

    def lets_in(self, party: str, **changes: object) -> list[Arrival]:
        current, me = self.state.current(), self.state
        new = Entry(9, "Third", party, "participant", identity_hash(STRANGER.identity))
        fields: dict[str, object] = {
            "version": current.version + 1,
            "previous": current.hash,
            "issuer": me.me,
            "entries": (*current.entries, new),
            **changes,
        }
        roster: Roster = msgspec.structs.replace(current, **fields)
        bundles = {slot: peer.bundle for slot, peer in me.peers.items()}
        bundles |= {me.me: me.keys.public(), Slot(9): STRANGER}
        posting = self.posting()
        cores = seal_package(
            Package(roster, bundles),
            roster_secret(me.epoch.secret),
            posting.clock,
            posting.hour,
            posting.entropy,
        )
        names = tuple(content_hash(core) for core in cores)
        announcement = Announcement(roster.version, roster.hash, names)
        return [
            self.post(announcement, roster.hash, name=7),
            *(self.arrival(core) for core in cores),
        ]


def told(member: Member, arrivals: list[Arrival]) -> list[object]:
    return [event for arrival in arrivals for event in member.receive(arrival)]


def barred(member: Member, arrival: Arrival) -> list[str]:
    """The alarms at an arrival that must not change who is here."""
    before = member.state.current()
    events = member.receive(arrival)
    assert member.state.current() == before
    return [event.kind for event in events if isinstance(event, Alarm)]


def test_attack_a_facilitator_seats_a_third_party_and_every_member_refuses_it() -> None:
    world = seated("bilateral", "North", "South")
    *before, last = Host(world.founder).lets_in("East")
    for member in (world[1], world[2]):
        told(member, before)
        assert barred(member, last) == ["forbidden"]


def test_one_more_of_the_same_party_is_welcome() -> None:
    world = seated("bilateral", "North", "South")
    events = told(world[1], Host(world.founder).lets_in("South"))
    assert any(isinstance(each, RosterAdopted) for each in events)


def test_attack_a_roster_makes_a_bilateral_channel_a_plenary_to_seat_a_third_party() -> None:
    world = seated("bilateral", "North", "South")
    *before, last = Host(world.founder).lets_in("East", policy=Policy(168, "plenary"))
    told(world[1], before)
    assert barred(world[1], last) == ["forbidden"]
    assert world[1].state.policy.format == "bilateral"
