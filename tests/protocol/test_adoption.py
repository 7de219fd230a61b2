"""Which rosters are adopted, and which never: forged, rival, early, rolled back, of another epoch
or with other keys.
"""

import msgspec
import pytest

from backchannel.protocol import command as commands
from backchannel.protocol import epoch, limits
from backchannel.protocol.codec import encode
from backchannel.protocol.content import Announcement, Echo, Gone, policy_hash
from backchannel.protocol.core import Kind, content_hash
from backchannel.protocol.epoch_core import seal_epoch
from backchannel.protocol.errors import (
    AuthenticationError,
    DecodeError,
    LocalProtocolError,
    RefusedError,
    RemoteProtocolError,
    StaleError,
)
from backchannel.protocol.identity import Bundle, BundleKeys, identity_hash
from backchannel.protocol.outcome import Alarm, Arrival, Ended, Outcome, RosterAdopted
from backchannel.protocol.proposal import Proposed
from backchannel.protocol.roster import Entry, Package, Policy, Roster, seal_package
from backchannel.protocol.secret import EpochSeed
from backchannel.protocol.types import Block, Core, Hour, IdentityHash, RosterHash, Slot, hour_of
from tests.support.entropy import ScriptedEntropy
from tests.support.insider import Insider, core_in, forbids, owed, refuses, waits
from tests.support.world import LIFETIME, START, Member, World

START_HOUR = hour_of(START)
NEXT = RosterHash(b"r" * 32)
STRANGER = BundleKeys.draw(ScriptedEntropy("stranger")).public()


@pytest.fixture
def trio() -> World:
    """Founder, a second facilitator, a participant."""
    world = World()
    world.admit_facilitator("Second")
    world.settle()
    world.admit("Third")
    world.settle()
    return world


def entry(slot: int, alias: str = "Newcomer", bundle: Bundle = STRANGER) -> Entry:
    return Entry(slot, alias, "South", "participant", identity_hash(bundle.identity))


class Issuer(Insider):
    """A facilitator who issues whatever roster one likes."""

    def successor(self, **changes: object) -> Roster:
        current = self.state.current()
        fields = {
            "version": current.version + 1,
            "previous": current.hash,
            "issuer": self.state.me,
            "entries": (*current.entries, entry(len(current.entries))),
            **changes,
        }
        return msgspec.structs.replace(current, **fields)

    def package(self, roster: Roster, bundles: dict[int, Bundle] | None = None) -> Package:
        known = {slot: peer.bundle for slot, peer in self.state.peers.items()}
        known[self.state.me] = self.state.keys.public()
        return Package(
            roster,
            {
                Slot(each.slot): (bundles or {}).get(
                    each.slot, known.get(Slot(each.slot), STRANGER)
                )
                for each in roster.entries
            },
        )

    def cores(self, package: Package) -> tuple[Core, ...]:
        posting = self.posting()
        secret = epoch.roster_secret(self.state.epoch.secret)
        return seal_package(package, secret, posting.clock, posting.hour, posting.entropy)

    def announce(self, version: int, roster: RosterHash, cores: tuple[Core, ...]) -> Arrival:
        names = tuple(content_hash(core) for core in cores)
        return self.post(Announcement(version, roster, names), roster, name=version % 256)

    def issue(
        self, roster: Roster, bundles: dict[int, Bundle] | None = None, *, alone: bool = False
    ) -> list[Arrival]:
        """Announcement and pieces."""
        cores = self.cores(Package(roster, {}) if alone else self.package(roster, bundles))
        arrivals = [self.arrival(core) for core in cores]
        return [self.announce(roster.version, roster.hash, cores), *arrivals]


def versions(member: Member, arrivals: list[Arrival]) -> list[int]:
    events = [event for arrival in arrivals for event in member.receive(arrival)]
    return [event.version for event in events if isinstance(event, RosterAdopted)]


def last_is_refused(
    member: Member, arrivals: list[Arrival], kind: type[RemoteProtocolError], match: str | None
) -> None:
    *before, last = arrivals
    assert versions(member, before) == []
    refuses(member, last, kind, match)


# --- What is adopted ------------------------------------------------------------------------------


def test_attack_23_a_member_is_added_by_an_adoption_that_everybody_is_told_of(trio: World) -> None:
    issuer = Issuer(trio.founder)
    arrivals = issuer.issue(issuer.successor())
    assert versions(trio[2], arrivals) == [4]
    assert [each.alias for each in trio[2].state.current().entries][-1] == "Newcomer"


def test_pieces_in_any_order_and_before_their_announcement(trio: World) -> None:
    issuer = Issuer(trio.founder)
    announcement, *pieces = issuer.issue(issuer.successor())
    for piece in reversed(pieces):
        waits(trio[2], piece)
    assert versions(trio[2], [announcement]) == [4]
    assert trio[2].state.wants == []


def test_a_second_facilitator_issues_too(trio: World) -> None:
    issuer = Issuer(trio[1])
    assert versions(trio[2], issuer.issue(issuer.successor())) == [4]


def test_an_adopted_roster_that_is_announced_again_changes_nothing(trio: World) -> None:
    issuer = Issuer(trio.founder)
    roster = issuer.successor()
    assert versions(trio[2], issuer.issue(roster)) == [4]
    again = issuer.post(Announcement(4, roster.hash, (b"p" * 32,)), roster.hash, name=99)
    assert versions(trio[2], [again]) == []
    assert (trio[2].state.announced, trio[2].state.wants) == ([], [])


# --- Who may --------------------------------------------------------------------------------------


def test_only_a_facilitator_announces(trio: World) -> None:
    issuer = Issuer(trio[2])
    arrival = issuer.issue(issuer.successor())[0]
    forbids(trio[1], arrival, "does not change who is here")


def test_attack_63_who_facilitated_once_announces_nothing_any_more() -> None:
    """Under the roster by which it did, and before it has the one by which it does not."""
    world = World()
    second = world.admit_facilitator("Second")
    world.settle()
    world.admit("Third")
    world.settle()
    issuer = Issuer(second)
    rival = issuer.issue(issuer.successor())
    world.founder.act(commands.SetRole("Second", "participant"))
    world.settle([world.founder, world[2]])
    waits(world[2], rival[0])  # for somebody who stays to name it
    assert world[2].state.rivals == {}
    over = world[2].state.epochs[0].ending
    assert over is not None
    over.past.add(world[2].state.pending[-1].hash)
    world[2].state.pending = []
    forbids(world[2], rival[0], "does not change who is here")


def test_an_announcement_under_another_roster_than_it_names(trio: World) -> None:
    issuer = Issuer(trio.founder)
    content = Announcement(4, issuer.successor().hash, (b"p" * 32,))
    forbids(trio[2], issuer.post(content), "another roster than its own")


def test_a_roster_issued_in_anothers_name(trio: World) -> None:
    issuer = Issuer(trio[1])
    arrivals = issuer.issue(issuer.successor(issuer=0))
    last_is_forbidden(trio[2], arrivals, "not of the announced")


def test_a_package_of_another_roster_than_announced(trio: World) -> None:
    issuer = Issuer(trio.founder)
    cores = issuer.cores(issuer.package(issuer.successor()))
    announcement = issuer.announce(4, RosterHash(b"o" * 32), cores)
    arrivals = [announcement, *map(issuer.arrival, cores)]
    last_is_forbidden(trio[2], arrivals, "not of the announced")


def test_an_announcement_of_another_version_than_its_roster(trio: World) -> None:
    issuer = Issuer(trio.founder)
    roster = issuer.successor(version=5)
    cores = issuer.cores(issuer.package(roster))
    arrivals = [issuer.announce(4, roster.hash, cores), *map(issuer.arrival, cores)]
    last_is_forbidden(trio[2], arrivals, "another version")


# --- What a roster may say ------------------------------------------------------------------------


def shown(member: Member, arrivals: list[Arrival]) -> None:
    """All but the last, which is the one that matters."""
    for arrival in arrivals[:-1]:
        assert member.receive(arrival) is not None
    assert member.refused == []


def last_is_forbidden(member: Member, arrivals: list[Arrival], match: str) -> None:
    """The roster is not adopted, and who issued it is named."""
    shown(member, arrivals)
    before = member.state.current().hash
    forbids(member, arrivals[-1], match)
    assert member.state.current().hash == before


def without_one(roster: Roster) -> tuple[Entry, ...]:
    return (roster.entries[0], roster.entries[1], entry(3))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"channel": bytes(16)}, "another channel"),
        ({"epoch": 1}, "disagree about a new epoch"),
        ({"charter": bytes(32)}, "another channel"),
        ({"disclosure": bytes(32)}, "another channel"),
        ({"policy": Policy(LIFETIME + 1)}, "what an epoch keeps"),
        ({"commitment": bytes(32)}, "another epoch"),
    ],
)
def test_attack_60_61_what_a_successor_may_not_change(
    trio: World, changes: dict[str, object], match: str
) -> None:
    issuer = Issuer(trio.founder)
    last_is_forbidden(trio[2], issuer.issue(issuer.successor(**changes)), match)


def test_a_roster_that_leaves_somebody_out(trio: World) -> None:
    issuer = Issuer(trio.founder)
    roster = issuer.successor(entries=without_one(issuer.state.current()))
    last_is_forbidden(trio[2], issuer.issue(roster), "takes away what somebody has")


def test_a_roster_that_adds_nobody_needs_no_bundles(trio: World) -> None:
    issuer = Issuer(trio.founder)
    roster = issuer.successor(entries=issuer.state.current().entries)
    assert versions(trio[2], issuer.issue(roster, alone=True)) == [4]


def test_attack_74_a_newcomer_without_a_bundle(trio: World) -> None:
    issuer = Issuer(trio.founder)
    arrivals = issuer.issue(issuer.successor(), alone=True)
    last_is_refused(trio[2], arrivals, RefusedError, "without a bundle")


@pytest.mark.parametrize("hours", [2, 100])
def test_a_roster_of_an_hour_that_has_not_come(trio: World, hours: int) -> None:
    issuer = Issuer(trio.founder)
    hour = Hour(hour_of(trio.now) + hours)
    clock = trio.founder.member.clock
    commitment = epoch.commitment(issuer.state.epoch.secret, hour, clock(hour))
    roster = issuer.successor(hour=hour, commitment=commitment)
    last_is_refused(trio[2], issuer.issue(roster), RefusedError, "has not come")


def test_a_roster_of_an_hour_that_is_gone(trio: World) -> None:
    issuer = Issuer(trio.founder)
    roster = issuer.successor(hour=1)
    last_is_forbidden(trio[2], issuer.issue(roster), "what an epoch keeps")


def test_attack_74_a_bundle_that_is_not_its_entrys(trio: World) -> None:
    issuer = Issuer(trio.founder)
    other = BundleKeys.draw(ScriptedEntropy("other")).public()
    arrivals = issuer.issue(issuer.successor(), {3: other})
    last_is_refused(trio[2], arrivals, DecodeError, "not its entry's")


def test_attack_74_a_newcomer_with_the_keys_of_a_member(trio: World) -> None:
    issuer = Issuer(trio.founder)
    stolen = issuer.state.peers[Slot(2)].bundle
    entries = (*issuer.state.current().entries, entry(3, bundle=stolen))
    arrivals = issuer.issue(issuer.successor(entries=entries), {3: stolen})
    last_is_refused(trio[2], arrivals, DecodeError, "share a key")


def test_two_names_that_are_alike(trio: World) -> None:
    issuer = Issuer(trio.founder)
    entries = (*issuer.state.current().entries, entry(3, "THIRD"))
    last_is_refused(trio[2], issuer.issue(issuer.successor(entries=entries)), DecodeError, "alike")


# --- Which comes next -----------------------------------------------------------------------------


def rival_of(issuer: Issuer) -> Roster:
    return issuer.successor(entries=(*issuer.state.current().entries, entry(3, "Rival")))


def test_attack_63_a_rival_after_adoption_holds_nothing_and_is_remembered(trio: World) -> None:
    first, second = Issuer(trio.founder), Issuer(trio[1])
    assert versions(trio[2], first.issue(first.successor())) == [4]
    late = second.issue(rival_of(second))
    assert versions(trio[2], late) == []
    assert trio[2].state.current().entries[-1].alias == "Newcomer"
    assert [each.by for each in trio[2].state.rivals.values()] == [1]
    with pytest.raises(LocalProtocolError, match="two lists of members"):
        trio[2].say("which of you?")


def test_a_rival_is_none_any_more_once_its_issuer_has_come_over(trio: World) -> None:
    first, second = Issuer(trio.founder), Issuer(trio[1])
    rightful = first.issue(first.successor())
    assert versions(trio[2], rightful) == [4]
    trio[2].receive(second.issue(rival_of(second))[0])
    assert versions(trio[1], rightful) == [4]
    over = Insider(trio[1])
    over.state.own = second.state.own
    trio[2].receive(over.post(Echo(4, over.state.current().hash)))
    assert trio[2].state.rivals == {}
    trio[2].receive(second.issue(rival_of(second))[0])
    assert trio[2].state.rivals == {}


def test_attack_rivals_without_end_fill_nobodys_memory(trio: World) -> None:
    issuer = Issuer(trio.founder)
    member = trio[1]
    version = member.state.current().version
    for number in range(limits.MERGED + 3):
        roster = RosterHash(number.to_bytes(1) * 32)
        announcement = Announcement(version, roster, (b"p" * 32,))
        member.receive(issuer.post(announcement, roster, name=200 + number))
    assert len(member.state.rivals) + len(member.state.record.conceded) == limits.MERGED


def test_a_rival_that_is_announced_twice_is_one(trio: World) -> None:
    first, second = Issuer(trio.founder), Issuer(trio[1])
    assert versions(trio[2], first.issue(first.successor())) == [4]
    late = rival_of(second)
    for name in (8, 9):
        announcement = Announcement(4, late.hash, (b"p" * 32,))
        assert versions(trio[2], [second.post(announcement, late.hash, name=name)]) == []
    assert list(trio[2].state.rivals) == [late.hash]


def test_a_roster_that_is_announced_twice_is_waited_for_once(trio: World) -> None:
    issuer = Issuer(trio.founder)
    roster = issuer.successor()
    cores = issuer.cores(issuer.package(roster))
    for name in (8, 9):
        names = tuple(content_hash(core) for core in cores)
        again = issuer.post(Announcement(4, roster.hash, names), roster.hash, name=name)
        assert versions(trio[2], [again]) == []
    assert len(trio[2].state.announced) == 1
    assert versions(trio[2], [issuer.arrival(core) for core in cores]) == [4]


def test_a_newcomer_is_not_told_of_rosters_before_its_own(trio: World) -> None:
    issuer = Issuer(trio.founder)
    old = Announcement(2, NEXT, (b"p" * 32,))
    assert trio[2].state.transcript.first == 3
    refuses(trio[2], issuer.post(old, NEXT), StaleError, "before my time")


def test_of_two_unadopted_the_first_that_is_whole_is_taken(trio: World) -> None:
    """The order of the drop is everybody's: so all take the same."""
    first, second = Issuer(trio.founder), Issuer(trio[1])
    early, late = second.issue(rival_of(second)), first.issue(first.successor())
    arrivals = [late[0], early[0], *early[1:], *late[1:]]
    for arrival in arrivals:
        trio[2].receive(arrival)
    assert trio[2].state.current().entries[-1].alias == "Rival"
    assert [each.by for each in trio[2].state.rivals.values()] == [0]
    assert (trio[2].state.announced, trio[2].state.wants) == ([], [])


def test_who_announces_twice_is_held_to_the_last(trio: World) -> None:
    issuer = Issuer(trio.founder)
    before, after = issuer.issue(rival_of(issuer)), None
    trio[2].receive(before[0])
    again = Issuer(trio.founder)
    again.state.own = issuer.state.own
    after = again.arrival(
        again.seal(again.part(encode(Announcement(4, NEXT, (b"p" * 32,))), name=9), NEXT)
    )
    trio[2].receive(after)
    assert [each.announcement.roster for each in trio[2].state.announced] == [NEXT]
    assert [each.name for each in trio[2].state.wants] == [b"p" * 32]


def test_the_higher_slots_announcement_does_not_displace(trio: World) -> None:
    first, second = Issuer(trio.founder), Issuer(trio[1])
    rival = second.successor(entries=(*second.state.current().entries, entry(3, "Rival")))
    rightful = first.issue(first.successor())
    assert versions(trio[2], [rightful[0], second.issue(rival)[0], *rightful[1:]]) == [4]


def test_a_roster_rolled_back(trio: World) -> None:
    """Said, and of another branch: its pieces are not even waited for."""
    issuer, late = Issuer(trio.founder), Issuer(trio[1])
    assert versions(trio[2], issuer.issue(issuer.successor())) == [4]
    before = trio[2].state.current()
    old = late.successor(version=3)
    cores = late.cores(late.package(old))
    again = [late.announce(3, old.hash, cores), *map(late.arrival, cores)]
    assert versions(trio[2], again) == []
    assert trio[2].state.current() == before
    assert (trio[2].state.announced, trio[2].state.wants) == ([], [])
    assert [each.version for each in trio[2].state.rivals.values()] == [3]


def test_a_roster_further_ahead_than_the_next_waits(trio: World) -> None:
    issuer = Issuer(trio.founder)
    announcement, *pieces, last = issuer.issue(issuer.successor(version=6))
    assert versions(trio[2], [announcement, *pieces]) == []
    waits(trio[2], last)


def test_attack_nobody_uses_up_the_numbers_of_rosters(trio: World) -> None:
    """What ends a branch may jump over versions, but not over all of them."""
    issuer = Turner(trio.founder)
    current = trio[2].state.current()
    far = issuer.turn(
        version=current.version + limits.VERSIONS_AHEAD + 1,
        previous=b"p" * 32,
        merged=(current.hash,),
    )
    waits(trio[2], far[0])
    assert versions(trio[2], far[1:]) == []
    assert trio[2].state.current() == current


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize(("late", "adopted"), [(0, True), (1, False)])
def test_attack_174_a_half_that_never_was_undoes_no_shortening_that_is_long_past(
    trio: World, late: int, adopted: bool, changed: bool
) -> None:
    """While something lives that was said before, there may be such a half; whatever else was
    changed since gives it no more time.
    """
    policy = trio.founder.state.policy
    shorter = msgspec.structs.replace(policy, lifetime=policy.lifetime // 4)
    trio.founder.act(commands.SetPolicy(shorter))
    trio.settle()
    trio.pass_time(hours=shorter.lifetime // 2)
    if changed:
        trio.founder.act(commands.Turn())
    trio.settle()
    trio.pass_time(hours=shorter.lifetime // 2 + late)
    trio.settle()
    current = trio[2].state.current()
    made = Turner(trio.founder).turn(
        version=current.version + 2,
        previous=b"p" * 32,
        merged=(current.hash,),
        epoch=current.epoch + 1,
        policy=policy,
    )
    if adopted:
        assert versions(trio[2], made) == [current.version + 2]
        (alarm,) = [each for each in trio[2].told if isinstance(each, Alarm)]
        assert (alarm.kind, alarm.slot) == ("rival", 0)
    else:
        last_is_forbidden(trio[2], made, "lengthens what I did not agree to")
    assert trio[2].state.policy == (policy if adopted else shorter)


def test_attack_announcements_without_end_fill_nobodys_memory(trio: World) -> None:
    issuer = Issuer(trio.founder)
    for ahead in range(1, limits.MERGED + 1):
        assert versions(trio[2], issuer.issue(issuer.successor(version=4 + ahead))[:1]) == []
    waits(trio[2], issuer.issue(issuer.successor(version=9 + limits.MERGED))[0])
    assert len(trio[2].state.announced) == limits.MERGED


@pytest.mark.parametrize("ahead", [1, limits.VERSIONS_AHEAD])
def test_attack_176_a_removal_that_was_only_announced_ends_with_who_announced_it(
    trio: World, ahead: int
) -> None:
    """However far ahead: else whom it names would be silent for a year."""
    founder, second, third = trio.members
    name = RosterHash(b"r" * 32)
    version = third.state.current().version + ahead
    said = Announcement(version, name, (b"c" * 32,), b"d" * 32, (Gone(2, "removed"),))
    third.receive(Insider(second).post(said, name))
    assert third.state.ended == "removed"
    founder.act(commands.Remove("Second", "removed"))
    founder.flush()
    for each in (founder, third) * 3:
        each.sync()
    assert (third.state.ended, third.state.announced) == ("", [])
    third.say("still here")
    third.flush()
    founder.sync()
    assert (2, "still here") in founder.said


def test_attack_61_a_roster_after_one_that_never_was_is_found_out(trio: World) -> None:
    """It may be of another branch, so nobody is accused at once; and nobody adopts it."""
    issuer = Issuer(trio.founder)
    before = trio[2].state.current()
    assert versions(trio[2], issuer.issue(issuer.successor(previous=b"x" * 32))) == []
    assert trio[2].state.current() == before
    assert trio[2].state.record.foreign == {b"x" * 32: ((0,), trio[2].now)}
    trio.pass_time(seconds=limits.PATIENCE)
    trio[2].tick()
    (alarm,) = [each for each in trio[2].told if isinstance(each, Alarm)]
    assert (alarm.kind, alarm.slot, alarm.name) == ("foreign", 0, b"x" * 32)


def test_a_roster_after_one_that_is_over_follows_nothing(trio: World) -> None:
    """What came before mine is known: whoever goes on there is of no branch."""
    issuer = Issuer(trio.founder)
    old = trio[2].state.current().previous
    last_is_forbidden(trio[2], issuer.issue(issuer.successor(previous=old)), "does not follow")


def test_a_piece_that_nobody_announced_waits(trio: World) -> None:
    issuer = Issuer(trio.founder)
    waits(trio[2], issuer.issue(issuer.successor())[1])


def test_a_piece_that_does_not_open_is_refused(trio: World) -> None:
    issuer = Issuer(trio.founder)
    core = issuer.cores(issuer.package(issuer.successor()))[0]
    damaged = Core(core[:-1] + bytes([core[-1] ^ 1]))
    announcement = issuer.announce(4, issuer.successor().hash, (damaged,))
    last_is_refused(trio[2], [announcement, issuer.arrival(damaged)], AuthenticationError, None)


# --- A new epoch ----------------------------------------------------------------------------------


class Turner(Issuer):
    """A facilitator who begins whatever epoch one likes."""

    def turn(
        self,
        *,
        gone: tuple[int, ...] = (),
        said: tuple[int, ...] | None = None,
        hours: int = 0,
        seed: bytes = b"s" * 32,
        other: bytes | None = None,
        core_roster: RosterHash | None = None,
        **changes: object,
    ) -> list[Arrival]:
        """Announcement, epoch core and pieces. `said` are those who are said to go; `other` is the
        seed that the roster is bound to.
        """
        current, posting = self.state.current(), self.posting()
        secret, _ = epoch.begin(EpochSeed(seed))
        bound, clock = epoch.begin(EpochSeed(other or seed))
        hour = Hour(posting.hour + hours)
        fields = {
            "version": current.version + 1,
            "previous": current.hash,
            "issuer": self.state.me,
            "epoch": current.epoch + 1,
            "hour": hour,
            "commitment": epoch.commitment(bound, hour, clock),
            "entries": tuple(each for each in current.entries if each.slot not in gone),
            **changes,
        }
        roster = msgspec.structs.replace(current, **fields)
        wraps = posting.wraps(self.state.peers)
        core = seal_epoch(
            self.state.me,
            core_roster or roster.hash,
            EpochSeed(seed),
            wraps,
            posting.clock,
            self.head(Kind.EPOCH),
            posting.entropy,
        )
        pieces = seal_package(
            Package(roster, {}),
            epoch.roster_secret(secret),
            posting.clock,
            posting.hour,
            posting.entropy,
        )
        leaving = tuple(Gone(slot, "removed") for slot in (gone if said is None else said))
        names = tuple(content_hash(each) for each in pieces)
        announcement = Announcement(roster.version, roster.hash, names, content_hash(core), leaving)
        first = self.post(announcement, roster.hash, name=77)
        return [first, *map(self.arrival, (core, *pieces))]


def test_an_epoch_begins_with_its_core_whatever_the_order(trio: World) -> None:
    announcement, core, piece = Turner(trio.founder).turn()
    for arrival in (piece, core):
        waits(trio[2], arrival)
    assert versions(trio[2], [announcement]) == [4]
    secret, _ = epoch.begin(EpochSeed(b"s" * 32))
    assert trio[2].state.epoch.secret == secret
    assert trio[2].state.wants == []
    assert versions(trio[1], [announcement, piece, core]) == [4]


def test_attack_60_an_epoch_of_another_secret_than_its_rosters(trio: World) -> None:
    arrivals = Turner(trio.founder).turn(other=b"o" * 32)
    shown(trio[2], arrivals)
    before, clocks = trio[2].state.epoch.secret, set(trio[2].member.clocks)
    (alarm,) = trio[2].receive(arrivals[-1])
    assert isinstance(alarm, Alarm)
    assert (alarm.kind, alarm.slot) == ("epoch", 0)
    assert trio[2].state.epoch.secret == before
    trio[2].state.announced = []
    trio[2].tick()
    assert set(trio[2].member.clocks) <= clocks


@pytest.mark.parametrize("hours", [-1, 1])
def test_an_epoch_that_begins_at_another_hour_than_its_roster(trio: World, hours: int) -> None:
    trio.pass_time(hours=3)
    arrivals = Turner(trio.founder).turn(hours=hours)
    shown(trio[2], arrivals)
    (alarm,) = trio[2].receive(arrivals[-1])
    assert isinstance(alarm, Alarm)
    assert (alarm.kind, alarm.reason) == (
        "epoch",
        "an epoch begins at another hour than its roster",
    )


def test_attack_23_who_goes_is_who_is_said_to_go(trio: World) -> None:
    arrivals = Turner(trio.founder).turn(gone=(1,), said=())
    last_is_forbidden(trio[2], arrivals, "takes away others than its announcement says")
    arrivals = Turner(trio.founder).turn(said=(1,), seed=b"t" * 32)
    last_is_forbidden(trio[1], arrivals, "takes away others")


def test_an_epoch_that_lengthens_what_one_did_not_agree_to(trio: World) -> None:
    arrivals = Turner(trio.founder).turn(policy=Policy(LIFETIME + 1))
    last_is_forbidden(trio[2], arrivals, "lengthens what I did not agree to")


def test_another_members_consent_is_not_ones_own(trio: World) -> None:
    policy = Policy(LIFETIME + 1)
    known = Proposed(policy, Slot(0), START_HOUR, (Slot(0),))
    trio[2].state.proposals[policy_hash(policy)] = known
    arrivals = Turner(trio.founder).turn(policy=policy)
    last_is_forbidden(trio[2], arrivals, "lengthens what I did not agree to")


def test_a_core_for_an_epoch_that_stays(trio: World) -> None:
    arrivals = Turner(trio.founder).turn(epoch=0)
    last_is_forbidden(trio[2], arrivals, "disagree about a new epoch")


def test_attack_66_a_roster_brings_back_the_keys_of_who_went(trio: World) -> None:
    issuer = Issuer(trio.founder)
    trio[2].state.former.append(IdentityHash(identity_hash(STRANGER.identity)))
    last_is_forbidden(trio[2], issuer.issue(issuer.successor()), "keys of somebody who went")


def test_a_roster_of_parties_that_its_kind_does_not_seat(trio: World) -> None:
    """A newcomer's is held to it too."""
    for member in trio.members:
        roster = member.state.current()
        policy = Policy(LIFETIME, "shuttle")
        member.state.roster = msgspec.structs.replace(roster, policy=policy)
        member.state.expected = member.state.roster.hash
        member.state.knows(member.state.roster)
        member.carry(Outcome([], []))
    issuer = Issuer(trio.founder)
    last_is_forbidden(trio[2], issuer.issue(issuer.successor()), "at most one party")


def test_an_epoch_core_of_another_roster_than_announced(trio: World) -> None:
    first, core, _ = Turner(trio.founder).turn(core_roster=NEXT)
    assert versions(trio[2], [first]) == []
    refuses(trio[2], core, RefusedError, "not of the announced roster")


def test_an_epoch_core_that_is_damaged_where_it_is_for_me(trio: World) -> None:
    turner = Turner(trio.founder)
    good, at = core_in(trio[2], turner.turn()[1]), 70 + 52 * 2 + 4
    roster = turner.successor(epoch=1)
    bad = Core(good[:38] + roster.hash + good[70:at] + bytes(48) + good[at + 48 :])
    announcement = Announcement(4, roster.hash, (b"p" * 32,), content_hash(bad))
    trio[2].receive(turner.post(announcement, roster.hash, name=78))
    refuses(trio[2], turner.arrival(bad), AuthenticationError, "does not open")


def test_who_is_said_to_go_is_told_and_takes_no_roster_without_a_place_for_it(trio: World) -> None:
    """Even where its issuer gives it the new keys: it would not know what it is."""
    first, core, piece = Turner(trio[1]).turn(gone=(2,))
    assert Ended("removed", Slot(1)) in trio[2].receive(first)
    trio[2].receive(core)
    refuses(trio[2], piece, RefusedError, "no place for me")
    assert trio[2].state.ended == "removed"


def test_attack_63_who_is_removed_for_everybody_else_follows_no_rival_of_that(trio: World) -> None:
    """Else one half of the room would think it gone and it would think itself in the other."""
    removal = Turner(trio[1]).turn(gone=(2,))
    issuer = Issuer(trio.founder)
    rivals = issuer.issue(issuer.successor())
    trio[2].receive(removal[0])
    trio[2].receive(rivals[0])
    turner = trio[2].state.peers[Slot(1)]
    turner.line, line = None, turner.line  # what is wrapped for others is noise to who goes
    for arrival in removal[1:]:
        trio[2].receive(arrival)
    turner.line = line
    for arrival in rivals[1:-1]:
        trio[2].receive(arrival)
    waits(trio[2], rivals[-1])
    assert trio[2].state.ended == "removed"


def test_whose_removal_lost_says_so_and_takes_no_place_away(trio: World) -> None:
    """Then what was first for everybody else, and waited, is followed at once."""
    turner = Turner(trio[1])
    removal = turner.turn(gone=(2,))
    issuer = Issuer(trio.founder)
    roster = issuer.successor()
    first, *rest = issuer.issue(roster)
    trio[2].receive(removal[0])
    trio[2].receive(first)
    with_keys = trio[2].state.peers[Slot(1)]
    with_keys.line, line = None, with_keys.line
    for arrival in removal[1:]:
        trio[2].receive(arrival)
    with_keys.line = line
    for arrival in rest:
        trio[2].receive(arrival)
    assert (trio[2].state.ended, trio[2].state.current().version) == ("removed", roster.version - 1)
    over = turner.post(Echo(roster.version, roster.hash), name=9)
    trio[2].receive(over)
    assert (trio[2].state.ended, trio[2].state.current().hash) == ("", roster.hash)


# --- A newcomer's first ---------------------------------------------------------------------------


@pytest.fixture
def newcomer() -> World:
    """The newcomer has its admission; the founder has published nothing yet."""
    world = World.of(2)
    world.knock("Guest 2")
    world.founder.act(commands.Admit("Guest 2"))
    lobby = world[2].candidate
    assert lobby is not None
    for arrival in owed(world.founder):
        if arrival.drop == lobby.polls()[0].drop.id:
            world.drops.append(arrival.drop, Block(arrival.block), arrival.hour)
    world[2].listen()
    assert world[2].state.roster is None
    return world


def test_a_newcomer_is_silent_until_it_has_its_roster(newcomer: World) -> None:
    guest = newcomer[2]
    assert guest.member.tick(guest.now, guest.entropy).effects == []
    newcomer.founder.flush()
    guest.listen()
    guest.tick()
    assert len(guest.disk.outbox) > 1
    assert guest.state.current().version == 3


def test_a_newcomer_takes_only_the_roster_that_it_was_admitted_by(newcomer: World) -> None:
    issuer, guest = Issuer(newcomer.founder), newcomer[2]
    other = issuer.successor()
    waits(guest, issuer.issue(other)[0])
    assert guest.state.roster is None


@pytest.mark.parametrize(
    "field", ["charter", "lifetime", "alias", "expected", "disclosure", "id", "epoch"]
)
def test_a_newcomers_first_roster_says_what_the_card_said(newcomer: World, field: str) -> None:
    guest = newcomer[2]
    state = guest.state
    here = state.epoch
    other: dict[str, tuple[object, str, object]] = {
        "charter": (state, "charter", "Another"),
        "lifetime": (state, "policy", Policy(5)),
        "alias": (state, "alias", "Nobody"),
        "expected": (state, "expected", state.expected),
        "disclosure": (
            state,
            "disclosure",
            msgspec.structs.replace(state.disclosure, funded_by="Others"),
        ),
        "id": (state, "id", bytes(16)),
        "epoch": (here, "number", 3),
    }
    setattr(*other[field])
    newcomer.founder.flush()
    guest.listen()
    agreed = field == "expected"
    assert (state.roster is not None) == agreed
    assert any("admitted by" in str(error) for error in guest.refused) != agreed


def test_a_first_roster_that_gives_the_facilitator_another_identity(newcomer: World) -> None:
    guest = newcomer[2]
    peer = guest.state.peers[Slot(0)]
    peer.bundle = STRANGER
    newcomer.founder.flush()
    guest.listen()
    assert guest.state.roster is None
    assert any("another identity" in str(error) for error in guest.refused)


def test_what_comes_before_the_first_roster_waits(newcomer: World) -> None:
    guest = newcomer[2]
    before = newcomer[1].say("under the roster before mine")
    newcomer[1].flush()
    guest.listen()
    assert before.hash in {each.hash for each in guest.state.pending}
    assert (guest.said, guest.state.wants) == ([], [])
    newcomer.founder.flush()
    guest.listen()
    assert before.hash not in {each.hash for each in guest.state.pending}


def test_a_lost_package_comes_again_until_the_newcomer_answers(newcomer: World) -> None:
    guest = newcomer[2]
    newcomer.founder.flush()
    guest._fetch()  # lost, all of it
    newcomer.pass_time(hours=limits.INTRO_AGAIN[0])
    newcomer.settle()
    assert guest.state.current().version == 3
    assert newcomer.founder.state.peers[Slot(2)].greeting is None


def test_a_newcomer_whose_package_is_lost_twice_still_gets_it_after_another_admission(
    newcomer: World,
) -> None:
    guest = newcomer[2]
    newcomer.admit("Guest 3")
    guest._fetch()
    newcomer.settle()
    assert guest.state.roster is None
    newcomer.pass_time(hours=limits.INTRO_AGAIN[0])
    newcomer.settle()
    assert guest.state.current().version == 3
    newcomer.founder.say("under the fourth roster")
    newcomer.minutes(10)
    assert guest.state.current().version == 4
