"""A pairwise session: SPEC.md section 13."""

import contextlib
from functools import cache
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from backchannel.protocol import limits, line, snapshot
from backchannel.protocol.chain import Chain, step
from backchannel.protocol.core import CoreKey, Head, Kind
from backchannel.protocol.errors import (
    AuthenticationError,
    GapTooLargeError,
    LocalProtocolError,
    RefusedError,
    RemoteProtocolError,
    ReplayError,
)
from backchannel.protocol.identity import HybridPrivate
from backchannel.protocol.labels import Label
from backchannel.protocol.line import Export, Line, Opened, Wrap
from backchannel.protocol.primitives import kdf, unpad
from backchannel.protocol.ratchet import Header, body_keys, root_step
from backchannel.protocol.secret import ChainKey, ExportKey, HeaderKey, MessageKey
from backchannel.protocol.types import Core, Hour, Step
from tests.support import cast
from tests.support.bits import flip, sampled_flips
from tests.support.entropy import ScriptedEntropy
from tests.support.filled import secrets_of

IDENTITY = {True: cast.keys("anna").identity, False: cast.keys("bela").identity}
"""By initiator or not: Anna began, Bela answers."""


class Sent(NamedTuple):
    """A block on its way, and what its author knows of it."""

    to_a: bool
    core: Core
    head: Head
    content: bytes
    step: Step
    export: ExportKey

    @property
    def whole(self) -> Export:
        """What it gives to sender keys, before any use."""
        return Export.fresh(self.step, self.export, self.head.hour)


def send(
    own: Line, content: bytes = b"hello", salt: int = 0, hour: int = cast.HOUR
) -> tuple[Line, Sent]:
    head = cast.head(Kind.LINE, salt, Hour(hour))
    kem = IDENTITY[not own.initiator].public().kem
    coins = ScriptedEntropy(f"{own.initiator} {salt} {own.sent}")
    after, core, export = line.send(own, content, kem, cast.clock, head, coins)
    return after, Sent(not own.initiator, core, head, content, after.export_out.step, export)


def open_(own: Line, sent: Sent) -> Opened:
    opened = attempt(own, sent.core, sent.head)
    assert opened is not None
    return opened


def attempt(own: Line, core: bytes, head: Head) -> Opened | None:
    kem = IDENTITY[own.initiator].kem
    return line.open_(own, Core(core), cast.clock, head, kem)


def read(own: Line, sent: Sent) -> Line:
    opened = open_(own, sent)
    assert opened[1:4] == (sent.content, sent.step, sent.export)
    return opened.line


def exports_at(own: Line, step: Step) -> list[Chain]:
    """The peer's exports of one step."""
    return [export.chain for export in own.exports_in if export.step == step]


def redeemed(own: Line, wrap: Wrap) -> tuple[Line, MessageKey]:
    """What a use of the peer's gives, where its step has one export."""
    ((after, secret),) = line.redeem(own, wrap.step, wrap.use)
    return after, secret


def spent(own: Line, count: int) -> tuple[Line, list[Wrap]]:
    """The next uses of an export."""
    wraps = []
    for _ in range(count):
        own, wrap = line.spend(own)
        wraps.append(wrap)
    return own, wraps


@cache
def answered() -> cast.Pair:
    """Anna's and Bela's line after the reply."""
    a, b = cast.pair()
    b, reply = send(b)
    return cast.Pair(read(a, reply), b)


@cache
def settled() -> cast.Pair:
    """After one block each way more."""
    a, b = answered()
    a, first = send(a)
    b = read(b, first)
    b, second = send(b)
    return cast.Pair(read(a, second), b)


# --- Any order ------------------------------------------------------------------------------------


class TwoParties(RuleBasedStateMachine):
    """Whatever the relays do: each block that arrives opens once, to what was said."""

    @initialize()
    def begin(self) -> None:
        self.lines = dict(zip((True, False), cast.pair(), strict=True))
        self.under_way: list[Sent] = []
        self.arrived: list[Sent] = []
        self.uses: list[tuple[bool, Wrap]] = []
        self.count = 0
        self.hour = int(cast.HOUR)

    @rule(initiator=st.booleans(), more=st.integers(1, 4), content=st.binary(max_size=506))
    def say(self, initiator: bool, more: int, content: bytes) -> None:
        for _ in range(more):
            self.count += 1
            own = self.lines[initiator]
            if not own.ready:
                with pytest.raises(LocalProtocolError):
                    send(own)
                return
            self.lines[initiator], sent = send(own, content, self.count, self.hour)
            self.under_way.append(sent)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def arrive(self, data: st.DataObject) -> None:
        sent = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        before = self.lines[sent.to_a]
        opened = open_(before, sent)
        assert opened[1:4] == (sent.content, sent.step, sent.export)
        assert opened.reply == (sent.to_a and sent.step == 1)
        assert exports_at(opened.line, sent.step) == [sent.whole.chain]
        self.lines[sent.to_a] = opened.line
        self.arrived.append(sent)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def get_lost(self, data: st.DataObject) -> None:
        self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))

    @precondition(lambda self: self.arrived)
    @rule(data=st.data())
    def arrive_again(self, data: st.DataObject) -> None:
        sent = data.draw(st.sampled_from(self.arrived))
        self.refused(self.lines[sent.to_a], sent.core, sent.head)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), bit=st.integers(8 * 21, 8 * limits.CORE - 1))
    def arrive_changed(self, data: st.DataObject, bit: int) -> None:
        sent = data.draw(st.sampled_from(self.under_way))
        self.refused(self.lines[sent.to_a], flip(sent.core, bit), sent.head)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        sent = data.draw(st.sampled_from(self.under_way))
        assert attempt(self.lines[not sent.to_a], sent.core, sent.head) is None

    @rule(initiator=st.booleans())
    def use(self, initiator: bool) -> None:
        self.lines[initiator], wrap = line.spend(self.lines[initiator])
        self.uses.append((not initiator, wrap))

    @precondition(lambda self: self.uses)
    @rule(data=st.data())
    def take_use(self, data: st.DataObject) -> None:
        to_a, wrap = self.uses.pop(data.draw(st.integers(0, len(self.uses) - 1)))
        own = self.lines[to_a]
        if not line.knows(own, wrap.step):
            assert list(line.redeem(own, wrap.step, wrap.use)) == []
            return
        self.lines[to_a], secret = redeemed(own, wrap)
        assert secret == wrap.secret
        assert list(line.redeem(self.lines[to_a], wrap.step, wrap.use)) == []

    @rule()
    def an_hour_passes(self) -> None:
        self.hour += 1

    @rule(initiator=st.booleans())
    def restart(self, initiator: bool) -> None:
        saved = snapshot.save(self.lines[initiator])
        assert snapshot.load(saved, Line) == self.lines[initiator]
        self.lines[initiator] = snapshot.load(saved, Line)

    def refused(self, own: Line, core: bytes, head: Head) -> None:
        before = snapshot.save(own)
        with contextlib.suppress(RemoteProtocolError):
            assert attempt(own, core, head) is None
        assert snapshot.save(own) == before

    @invariant()
    def both_sides_agree_on_the_next_use(self) -> None:
        for initiator, own in self.lines.items():
            _, wrap = line.spend(own)
            if line.knows(self.lines[not initiator], wrap.step):
                assert redeemed(self.lines[not initiator], wrap)[1] == wrap.secret

    @invariant()
    def the_answered_step_is_known_before_it_is_used(self) -> None:
        a, b = self.lines[True], self.lines[False]
        assert all((own.first is None) == own.answered for own in (a, b))
        if a.answered and not a.sent:
            assert line.knows(b, a.export_out.step)

    @invariant()
    def nothing_grows_without_bound(self) -> None:
        for own in self.lines.values():
            assert sum(len(c.chain.skipped) for c in own.receiving) <= limits.SKIPPED
            steps = [export.step for export in own.exports_in]
            assert steps == sorted(steps)
            assert all(chain.chain.key is None for chain in own.receiving[:-1])


TestTwoParties = TwoParties.TestCase
TestTwoParties.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


# --- The beginning --------------------------------------------------------------------------------


def test_both_begin_with_the_intros_exports() -> None:
    a, b = cast.pair()
    assert (a.ready, b.ready) == (False, True)
    assert exports_at(a, Step(0)) == [b.export_out.chain]
    assert exports_at(b, Step(0)) == [a.export_out.chain]
    assert a.root == b.root


def test_what_the_intro_exports_is_of_its_hour() -> None:
    a, b = cast.pair()
    extra = line.beside(b, ExportKey(bytes(32)), Hour(cast.HOUR - 5))
    assert extra.exports_in[0].hour == cast.HOUR - 5
    for own in (a, b):
        assert (own.answered, own.export_out.hour) == (False, cast.HOUR)
        assert [export.hour for export in own.exports_in] == [cast.HOUR]


def test_an_initiator_waits_for_the_reply() -> None:
    a, b = cast.pair()
    with pytest.raises(LocalProtocolError, match=r"^a line is not answered yet$"):
        send(a)
    b, reply = send(b)
    b, more = send(b, salt=1)
    a = read(a, more)
    with pytest.raises(LocalProtocolError, match=r"^a line is not answered yet$"):
        send(a)
    a, first = send(read(a, reply))
    assert read(b, first).answered


def test_the_steps_as_written() -> None:
    a, b = cast.pair()
    b, reply = send(b)
    assert reply.step == 1
    opened = open_(a, reply)
    assert opened.reply
    secret = opened.line.reply_secret
    assert a.first is not None
    assert secret is not None
    mixed = ExportKey(kdf(a.first.expose() + secret.expose(), b"", Label.ANSWERED))
    assert opened.line.export_out == Export.fresh(Step(1), mixed, cast.HOUR)
    assert exports_at(b, Step(1)) == [opened.line.export_out.chain]
    a, first = send(opened.line)
    assert first.step == 2
    b, second = send(read(b, first))
    assert second.step == 2


def test_the_reply_is_sealed_to_the_initiators_identity() -> None:
    """Post-quantum authentication: with everything of A but its identity it stays closed."""
    a, b = cast.pair()
    b, reply = send(b, b"secret")
    other = cast.keys("cleo").identity.kem
    with pytest.raises(AuthenticationError):
        line.open_(a, reply.core, cast.clock, reply.head, other)
    assert read(a, reply).answered
    b, after = send(b, salt=1)
    assert after.core[2445:3533] != reply.core[2445:3533]


def test_the_secret_of_the_reply_enters_the_next_roots() -> None:
    a, b = answered()
    a, first = send(a)
    wrong = replace(b, reply_secret=None)
    healed = read(b, first)
    assert healed.reply_secret is None
    assert a.reply_secret is None
    assert healed.root == a.root
    with pytest.raises(AuthenticationError):
        attempt(wrong, first.core, first.head)


@pytest.mark.parametrize(("place", "most"), [(0, line.REPLY_CONTENT), (1, line.CONTENT)])
def test_the_longest_content(place: int, most: int) -> None:
    assert (line.REPLY_CONTENT, line.CONTENT) == (506, 1594)
    own = cast.pair().b if place == 0 else answered().b
    peer = cast.pair().a if place == 0 else answered().a
    for size in (0, most):
        assert read(peer, send(own, b"c" * size)[1]) != peer
    with pytest.raises(ValueError, match="do not fit"):
        send(own, b"c" * (most + 1))


# --- Refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [True, False])
def test_attack_18_a_changed_block_changes_nothing(reply: bool) -> None:
    a, b = cast.pair() if reply else settled()
    _, sent = send(b)
    before = snapshot.save(a)
    for altered in sampled_flips(sent.core[21:], 307):
        try:
            assert attempt(a, sent.core[:21] + altered, sent.head) is None
        except RemoteProtocolError:
            continue
    assert snapshot.save(a) == before
    assert read(a, sent) != a


def test_attack_03_a_block_of_another_line_is_none_of_ours() -> None:
    _, sent = send(settled().b)
    assert attempt(cast.pair().a, sent.core, sent.head) is None
    later = sent.head._replace(hour=Hour(cast.HOUR + 1))
    assert attempt(settled().a, sent.core, later) is None


def test_attack_10_ones_own_block_comes_back() -> None:
    a, _ = settled()
    a, sent = send(a)
    assert attempt(a, sent.core, sent.head) is None


def test_attack_09_a_block_opens_once() -> None:
    a, b = settled()
    _, sent = send(b)
    with pytest.raises(ReplayError):
        attempt(read(a, sent), sent.core, sent.head)


LIARS = {
    "another ratchet key": lambda b: replace(b, own=cast.keys("cleo").prekey),
    "another KEM key": lambda b: replace(
        b, own=HybridPrivate(b.own.x, cast.keys("cleo").prekey.kem)
    ),
    "another length of the chain before": lambda b: replace(b, previous=b.previous + 1),
}


@pytest.mark.parametrize("why", LIARS)
def test_a_header_of_another_chain(why: str) -> None:
    """Only the peer could make it; it is refused all the same, and the true block still opens."""
    a, b = settled()
    b, first = send(b)
    a = read(a, first)
    _, lie = send(LIARS[why](b))
    with pytest.raises(RefusedError, match=r"^a block's header is not of its chain$"):
        attempt(a, lie.core, lie.head)
    assert read(a, send(b, salt=2)[1]) != a


def test_a_first_chain_has_none_before_it() -> None:
    a, b = cast.pair()
    _, lie = send(replace(b, previous=1))
    with pytest.raises(RefusedError, match=r"^a line's first chain has none before it$"):
        attempt(a, lie.core, lie.head)


def test_a_chain_shorter_than_was_read_of_it() -> None:
    a, b = settled()
    b, one = send(b)
    b, two = send(b, salt=1)
    a, sent = send(read(read(a, one), two))
    b = read(b, sent)
    _, lie = send(replace(b, previous=1))
    with pytest.raises(ReplayError):
        attempt(a, lie.core, lie.head)
    assert read(a, send(b, salt=2)[1]) != a


def test_an_initiator_that_does_not_wait_is_refused() -> None:
    a, b = cast.pair()
    eager = replace(a, answered=True, peer=cast.bundle("bela").prekey)
    _, sent = send(eager)
    with pytest.raises(RefusedError, match=r"^a line's peer moved before it was answered$"):
        attempt(b, sent.core, sent.head)


# --- Skipped keys ---------------------------------------------------------------------------------


@cache
def run(count: int) -> tuple[Line, list[Sent]]:
    """Many blocks of Bela's in one chain, after the first of it."""
    own, many = send(settled().b)[0], []
    for number in range(count):
        own, sent = send(own, b"%d" % number, number)
        many.append(sent)
    return own, many


@cache
def before_run() -> Line:
    return read(settled().a, send(settled().b)[1])


def skipped(own: Line) -> list[int]:
    return [len(chain.chain.skipped) for chain in own.receiving]


def test_attack_16_a_jump_over_512_keys_and_one_more() -> None:
    _, many = run(limits.SKIPPED + 2)
    own = before_run()
    with pytest.raises(GapTooLargeError):
        attempt(own, many[limits.SKIPPED + 1].core, many[limits.SKIPPED + 1].head)
    own = read(own, many[limits.SKIPPED])
    assert skipped(own)[-1] == limits.SKIPPED
    own = read(own, many[limits.SKIPPED + 1])
    for sent in (many[0], many[limits.SKIPPED - 1]):
        own = read(own, sent)
    assert skipped(own)[-1] == limits.SKIPPED - 2


def test_attack_17_skipped_keys_are_bounded_over_all_chains() -> None:
    """400 lost in one chain and 400 in the next: the newest 512 keys stay, and their own keys."""
    b, many = run(limits.SKIPPED + 2)
    own = read(before_run(), many[400])
    own, sent = send(own)
    b = read(b, sent)
    more = []
    for number in range(401):
        b, each = send(b, b"", number)
        more.append(each)
    own = read(own, more[400])
    assert sum(skipped(own)) == limits.SKIPPED
    assert skipped(own)[-1] == 400
    own = read(own, more[0])
    assert read(own, many[513]) != own
    with pytest.raises(ReplayError):
        attempt(own, many[0].core, many[0].head)


def test_a_chain_with_nothing_left_goes_with_its_keys() -> None:
    a, b = settled()
    a, sent = send(a)
    b, after = send(read(b, sent))
    a = read(a, after)
    assert len(a.receiving) == 1
    assert a.receiving[0].chain.key is not None


def test_blocks_of_every_closed_chain_still_come() -> None:
    """However many chains were begun since."""
    a, b = settled()
    late = []
    for salt in range(0, 6, 2):
        b, lost = send(b, salt=salt)
        b, last = send(b, salt=salt + 1)
        late.append(lost)
        a, sent = send(read(a, last))
        b = read(b, sent)
    a = read(a, send(b)[1])
    assert [len(chain.chain.skipped) for chain in a.receiving] == [1, 1, 1, 0]
    for each in late:
        a = read(a, each)


def test_a_chain_whose_room_is_taken_goes() -> None:
    """As many keys as there is room for were put aside on the newest chain: no other has any."""
    a, b = settled()
    b, lost = send(b)
    b, last = send(b, salt=1)
    a, sent = send(read(a, last))
    b = read(b, sent)
    for number in range(limits.SKIPPED + 1):
        b, newest = send(b, b"", number)
    a = read(a, newest)
    assert [len(chain.chain.skipped) for chain in a.receiving] == [limits.SKIPPED]
    assert attempt(a, lost.core, lost.head) is None


@pytest.mark.parametrize("initiator", [True, False])
def test_steps_that_were_jumped_over_are_known_by_their_numbers(*, initiator: bool) -> None:
    """On every chain, counted as their sender counts, whoever began."""
    own, peer = settled() if initiator else reversed(settled())
    sent = []
    for salt in range(4):
        peer, each = send(peer, salt=salt)
        sent.append(each)
    assert line.lacking(own) == set()
    own = read(own, sent[1])
    assert line.lacking(own) == {sent[0].step}
    own = read(own, sent[3])
    assert line.lacking(own) == {sent[0].step, sent[2].step}
    assert line.lacking(read(own, sent[0])) == {sent[2].step}


def test_blocks_of_a_closed_chain_still_come() -> None:
    a, b = settled()
    b, late = send(b)
    b, last = send(b, salt=1)
    a, sent = send(read(a, last))
    b, after = send(read(b, sent))
    a = read(a, after)
    assert len(a.receiving) == 2
    a = read(a, late)
    assert len(a.receiving) == 1


# --- Time -----------------------------------------------------------------------------------------


def closed_with_one_missing(closing: int) -> tuple[Line, Sent]:
    """Anna misses the last of a chain of Bela's that began early and ended late."""
    a, b = settled()
    b, early = send(b)
    b, late = send(b, salt=1, hour=cast.HOUR + 100)
    a, sent = send(read(a, early), hour=cast.HOUR + 100)
    b, after = send(read(b, sent), hour=closing)
    return read(a, after), late


def test_a_closed_chain_is_kept_while_its_last_block_may_come() -> None:
    a, late = closed_with_one_missing(cast.HOUR + 101)
    assert line.forget(a, Hour(cast.HOUR + 101)).receiving == a.receiving
    assert read(line.forget(a, Hour(cast.HOUR + 100)), late) != a
    gone = line.forget(a, Hour(cast.HOUR + 102))
    assert len(gone.receiving) == 1
    assert attempt(gone, late.core, late.head) is None


def test_a_chain_is_of_the_hour_of_the_latest_block_read() -> None:
    """Whichever came last; so is a closed one, of which a late block may be the latest."""
    a, b = settled()
    b, later = send(b, hour=cast.HOUR + 9)
    b, sooner = send(b, salt=1)
    a = read(read(a, later), sooner)
    assert a.receiving[-1].hour == cast.HOUR + 9


def test_the_open_chain_is_never_forgotten() -> None:
    a, b = settled()
    a = line.forget(a, Hour(2**32 - 1))
    assert read(a, send(b)[1]) != a


def test_the_newest_step_is_kept_whatever_came_last() -> None:
    """The peer's next key block will name it, however long the peer was silent."""
    a, b = settled()
    b, late = send(b)
    b, newest = send(b, salt=1)
    a = read(read(a, newest), late)
    a = line.forget(a, Hour(cast.HOUR + 1000))
    assert [export.step for export in a.exports_in] == [newest.step]
    assert exports_at(a, newest.step) == [b.export_out.chain]
    assert not line.knows(a, late.step)


OTHER = Export.fresh(Step(0), ExportKey(b"export of the other intro".ljust(32)), cast.HOUR)


def crossed() -> Line:
    """Anna's line, with what the intro of Bela's that gave way exports."""
    a, _ = cast.pair()
    return replace(a, exports_in=(OTHER, *a.exports_in))


def test_of_crossing_intros_both_first_exports_are_kept() -> None:
    a = line.forget(crossed(), Hour(cast.HOUR + 1000))
    assert exports_at(a, Step(0)) == [OTHER.chain, cast.pair().b.export_out.chain]


def test_the_newest_64_exports_are_kept() -> None:
    own, many = before_run(), run(limits.SKIPPED + 2)[1]
    first = own.exports_in[-1].step
    for sent in many[1:70]:
        own = read(own, sent)
    own = read(own, many[0])
    kept = [export.step for export in own.exports_in]
    assert kept == list(range(first + 70 - 63, first + 71))


def test_forgetting_nothing_is_the_same_line() -> None:
    a, _ = settled()
    assert line.forget(a, cast.HOUR) is a


# --- Uses of an export ----------------------------------------------------------------------------


def test_a_use_as_written() -> None:
    """An export is the first key of a chain, whose message key number u is its use u."""
    a, b = settled()
    b, sent = send(b)
    a = read(a, sent)
    chain = sent.whole.chain.key
    assert chain is not None
    for use in range(3):
        chain, secret = step(chain)
        b, wrap = line.spend(b)
        assert wrap == (sent.step, use, secret, *a.masks)
        assert redeemed(a, wrap)[1] == secret
    assert b.export_out.chain.key == chain


@given(st.permutations(range(20)))
def test_attack_09_uses_in_any_order_and_none_twice(order: list[int]) -> None:
    a, b = settled()
    _, wraps = spent(b, 20)
    for use in order:
        a, secret = redeemed(a, wraps[use])
        assert secret == wraps[use].secret
        assert list(line.redeem(a, *wraps[use][:2])) == []
    assert a.exports_in[-1].chain.skipped == {}


def test_attack_09_a_use_taken_twice_is_refused_and_the_next_is_not() -> None:
    a, b = settled()
    _, (first, second) = spent(b, 2)
    a, _ = redeemed(a, first)
    assert list(line.redeem(a, first.step, first.use)) == []
    assert redeemed(a, second)[1] == second.secret


def test_attack_16_a_jump_over_64_uses_and_one_more() -> None:
    a, b = settled()
    _, wraps = spent(b, limits.USES_SKIPPED + 2)
    assert list(line.redeem(a, *wraps[limits.USES_SKIPPED + 1][:2])) == []
    a, secret = redeemed(a, wraps[limits.USES_SKIPPED])
    assert secret == wraps[limits.USES_SKIPPED].secret
    for use in (0, limits.USES_SKIPPED - 1, limits.USES_SKIPPED + 1):
        a, secret = redeemed(a, wraps[use])
        assert secret == wraps[use].secret


def test_attack_17_of_uses_jumped_over_the_newest_64_are_kept() -> None:
    a, b = settled()
    _, wraps = spent(b, limits.USES)
    for use in (40, 80, 140):
        a, _ = redeemed(a, wraps[use])
        assert len(a.exports_in[-1].chain.skipped) <= limits.USES_SKIPPED
    assert list(a.exports_in[-1].chain.skipped) == [*range(75, 80), *range(81, 140)]
    assert list(line.redeem(a, *wraps[74][:2])) == []
    assert redeemed(a, wraps[75])[1] == wraps[75].secret


def test_an_export_is_used_up_at_256() -> None:
    a, b = settled()
    b, wraps = spent(b, limits.USES)
    assert [wrap.use for wrap in wraps] == list(range(256))
    assert len({wrap.secret.expose() for wrap in wraps}) == 256
    with pytest.raises(LocalProtocolError, match=r"^an export is used up$"):
        line.spend(b)
    for wrap in wraps:
        a, secret = redeemed(a, wrap)
        assert secret == wrap.secret
    b, sent = send(b)
    _, wrap = line.spend(b)
    assert (wrap.step, wrap.use) == (sent.step, 0)
    assert redeemed(read(a, sent), wrap)[1] == wrap.secret


def test_a_step_that_has_not_come_gives_nothing() -> None:
    a, b = settled()
    b, sent = send(b)
    _, wrap = line.spend(b)
    assert not line.knows(a, wrap.step)
    assert list(line.redeem(a, wrap.step, wrap.use)) == []
    a = read(a, sent)
    assert line.knows(a, wrap.step)
    assert redeemed(a, wrap)[1] == wrap.secret


def test_a_use_of_an_earlier_step_still_comes() -> None:
    a, b = settled()
    b, earlier = line.spend(b)
    b, sent = send(b)
    _, later = line.spend(b)
    a, secret = redeemed(read(a, sent), later)
    assert secret == later.secret
    assert redeemed(a, earlier)[1] == earlier.secret


def test_the_step_that_the_reply_confirms_is_right_although_step_0_was_used() -> None:
    """Both sides used some of AB0, not equally many: step 1 is of AB0 as the intro gave it."""
    a, b = cast.pair()
    ab0 = a.export_out.chain.key
    a, of_a = spent(a, 3)
    b, _ = redeemed(b, of_a[1])
    b, reply = send(b)
    a = read(a, reply)
    assert ab0 is not None
    assert a.reply_secret is not None
    beside = kdf(ab0.expose(), b"", Label.ANSWERED)
    mixed = kdf(beside + a.reply_secret.expose(), b"", Label.ANSWERED)
    assert a.export_out == Export.fresh(Step(1), ExportKey(mixed), cast.HOUR)
    assert exports_at(b, Step(1)) == [a.export_out.chain]
    for late in (of_a[2], of_a[0]):
        b, secret = redeemed(b, late)
        assert secret == late.secret


def test_after_crossing_intros_a_use_of_step_0_is_tried_with_both() -> None:
    a = crossed()
    _, wrap = line.spend(cast.pair().b)
    _, old = OTHER.chain.take(0, 0)
    first, second = line.redeem(a, Step(0), 0)
    assert (first[1], second[1]) == (old, wrap.secret)
    ((_, left),) = line.redeem(second[0], Step(0), 0)
    assert left == old
    ((_, left),) = line.redeem(first[0], Step(0), 0)
    assert left == wrap.secret


def derivable(own: Line) -> set[bytes]:
    """Every key of a use that whoever copies this state can come to, from whatever is in it."""
    found = set()
    for held in secrets_of(own):
        found.add(held.expose())
        chain = ChainKey(held.expose()[:32])
        for _ in range(limits.USES):
            chain, secret = step(chain)
            found.add(secret.expose())
    return found


def test_forward_secrecy_while_nobody_answers_no_used_key_can_be_derived() -> None:
    a, b = cast.pair()
    a, of_a = spent(a, 3)
    for wrap in of_a:
        b, _ = redeemed(b, wrap)
    used = {wrap.secret.expose() for wrap in of_a}
    assert not used & derivable(a)
    assert not used & derivable(b)
    assert line.spend(a)[1].secret.expose() in derivable(a)


@pytest.mark.parametrize("place", range(3))
def test_forward_secrecy_a_use_is_gone_from_both_sides(place: int) -> None:
    """Neither the line nor anything that follows from it gives a use again; the next it does."""
    a, b = (answered, settled, spoken)[place]()
    b, wraps = spent(b, 5)
    for wrap in (wraps[3], wraps[0], wraps[1]):
        a, _ = redeemed(a, wrap)
    left = {use for use in range(5) if wraps[use].secret.expose() in derivable(a)}
    assert left == {2, 4}
    own = derivable(b)
    assert own.isdisjoint(wrap.secret.expose() for wrap in wraps)
    assert line.spend(b)[1].secret.expose() in own


@cache
def spoken() -> cast.Pair:
    """After two chains more, with a block lost."""
    a, b = settled()
    b, _ = send(b)
    b, second = send(b, salt=1)
    a, sent = send(read(a, second))
    b, last = send(read(b, sent))
    return cast.Pair(read(a, last), b)


def test_forward_secrecy_uses_of_step_0_are_gone_with_the_reply() -> None:
    a, b = cast.pair()
    a, (wrap,) = spent(a, 1)
    b, _ = redeemed(b, wrap)
    b, reply = send(b)
    a = read(a, reply)
    for own in (a, b):
        assert own.first is None
        assert wrap.secret.expose() not in derivable(own)


# --- Compromise -----------------------------------------------------------------------------------


def test_the_next_block_heals_its_senders_direction() -> None:
    """A thief with all of Anna's line reads the next header, and not the body: fresh secrets."""
    a, _ = settled()
    a, _ = send(a)
    stolen = a
    a, sent = send(a, b"after", salt=1)
    assert stolen.sending is not None
    assert stolen.own is not None
    header_key = CoreKey(stolen.sending.header, cast.clock, sent.head, b"header")
    header = Header.parse(header_key.open(sent.core[53:2413], sent.core[:53]))
    assert header.ratchet == stolen.own.public()
    _, message = step(stolen.sending.chain)
    secret, _ = body_keys(message, header.shared(stolen.own), None)
    key = CoreKey(secret, cast.clock, sent.head, b"body")
    assert not key.matches(sent.core[2413:2445])
    with pytest.raises(AuthenticationError):
        unpad(key.open(sent.core[2445:], sent.core[:2445]))
    assert attempt(stolen, sent.core, sent.head) is None


def test_a_round_heals_the_other_direction() -> None:
    """A thief with all of Bela's line reads what Anna sends, until Bela has spoken once."""
    a, b = settled()
    stolen = b
    a, before = send(a)
    assert open_(stolen, before).content == before.content
    b, spoken = send(read(b, before), salt=1)
    a, after = send(read(a, spoken), salt=2)
    with pytest.raises(AuthenticationError, match="commitment"):
        attempt(open_(stolen, before).line, after.core, after.head)
    assert attempt(stolen, after.core, after.head) is None
    assert read(b, after) != b


def test_a_thief_of_the_line_cannot_go_on_after_healing() -> None:
    """Nor does it know the exports that sender keys rest on."""
    a, b = settled()
    stolen = a
    a, sent = send(a)
    assert sent.export.expose() not in {secret.expose() for secret in secrets_of(stolen)}
    _, forged = send(stolen, salt=9)
    assert forged.export != sent.export
    assert read(b, sent).exports_in[-1] == sent.whole


def test_claim_4_either_half_of_a_blocks_own_secrets_is_enough() -> None:
    """A thief who holds the chain, and broke X25519 or ML-KEM: the other one closes the body."""
    a, b = settled()
    a, first = send(a)
    chain = read(b, first).receiving[-1]
    _, sent = send(a, salt=1)
    header_key = CoreKey(chain.header, cast.clock, sent.head, b"header")
    header = Header.parse(header_key.open(sent.core[53:2413], sent.core[:53]))
    _, message = chain.chain.take(1, 0)

    def opens(shared: bytes) -> bool:
        secret, _ = body_keys(message, shared, None)
        return CoreKey(secret, cast.clock, sent.head, b"body").matches(sent.core[2413:2445])

    whole = header.shared(chain.own)
    assert opens(whole)
    assert not opens(whole[:32] + bytes(32))
    assert not opens(bytes(32) + whole[32:])


@pytest.mark.parametrize("initiator", [True, False])
def test_claim_4_no_root_follows_without_the_key_that_was_just_drawn(*, initiator: bool) -> None:
    """A thief who holds all of a line makes its next steps with keys of its own: not the same."""
    a, b = settled()
    if initiator:
        own = a
    else:
        a, sent = send(a)
        own = read(b, sent)
    assert own.sending is None
    assert own.peer is not None
    after, _ = send(own)
    guessed = root_step(own.root, IDENTITY[initiator].x, own.peer.x, None)
    assert after.own is not None
    assert after.root == root_step(own.root, after.own.x, own.peer.x, None)[0]
    assert after.root != guessed[0]
    assert after.next_sending != guessed[2]


def test_forward_secrecy_what_was_read_is_in_no_key_left() -> None:
    a, b = settled()
    _, sent = send(b)
    after = read(a, sent)
    for chain in after.receiving:
        assert sent.step - 1 - chain.base not in chain.chain.skipped
    with pytest.raises(ReplayError):
        attempt(after, sent.core, sent.head)


def test_secrets_of_a_line_do_not_print() -> None:
    a, _ = settled()
    shown = repr(a)
    for key in secrets_of(a):
        assert key.expose().hex() not in shown
        assert repr(key.expose()) not in shown


# --- Deniability ----------------------------------------------------------------------------------


def mirrored(b: Line, previous: int, sent: int) -> Line:
    """What Bela knows of Anna's next sending step, as a line to send on."""
    assert b.own is not None
    return replace(
        b,
        initiator=True,
        answered=True,
        own=None,
        peer=b.own.public(),
        sending=None,
        next_sending=b.next_receiving,
        next_receiving=HeaderKey(bytes(32)),
        previous=previous,
        sent=sent,
    )


@given(st.binary(max_size=line.CONTENT))
def test_deniability_bela_alone_makes_annas_block_byte_for_byte(content: bytes) -> None:
    a, b = answered()
    kem, head = cast.bundle("bela").identity.kem, cast.head(Kind.LINE)
    coins = ScriptedEntropy("coins")
    real = line.send(a, content, kem, cast.clock, head, coins)
    forged = line.send(mirrored(b, 0, 0), content, kem, cast.clock, head, Replay(coins))
    assert forged[1:] == real[1:]
    opened = attempt(b, forged.core, head)
    assert opened is not None
    assert opened.content == content


class Replay(ScriptedEntropy):
    """The same coins, encapsulations too."""

    def __init__(self, first: ScriptedEntropy) -> None:
        super().__init__("coins")
        self._once = iter(first.encapsulations)

    def encapsulate(self, public, /):  # type: ignore[no-untyped-def]
        once = next(self._once)
        assert once.public == public
        return once.shared, once.ciphertext
