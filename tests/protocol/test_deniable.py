"""Byte-exact deniability: whoever was shown something can have made every byte of it.

Each test makes the real thing a thousand times, and makes it again from the *other* party's secrets
with the same coins: what the maker drew and put into it. All are equal. The controls show that the
comparison can tell: a stranger's are all different, and so is everything once somebody signs.
"""

import hashlib
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from backchannel.protocol import command as commands
from backchannel.protocol import forge, intro, invite, line, sender_key
from backchannel.protocol.channel import Channel
from backchannel.protocol.codec import encode
from backchannel.protocol.core import GROUP_HASHED, Head, Kind
from backchannel.protocol.drop import MAC, Create, Drop, DropKeys, Operation, Read, Request
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.identity import BundleKeys, HybridPrivate, prekey_id
from backchannel.protocol.intro import Admission, Envelope, Payload
from backchannel.protocol.invite import Card, Join, Lobby, Person
from backchannel.protocol.line import Line, Wrap
from backchannel.protocol.outcome import Append, Arrival, Outcome
from backchannel.protocol.peer import Peer
from backchannel.protocol.primitives import KemPublic, decapsulate, dh, pad, x25519_public
from backchannel.protocol.roster import charter_hash
from backchannel.protocol.secret import (
    ClockValue,
    EpochSecret,
    KemShared,
    MaskKey,
    MessageKey,
    X25519Private,
)
from backchannel.protocol.sender_key import OwnGeneration, PeerGeneration
from backchannel.protocol.types import MAIN_THREAD, Core, Hour, Slot, Step, hour_of
from tests.support import cast
from tests.support.entropy import ScriptedEntropy
from tests.support.insider import core_in
from tests.support.world import DISCLOSURE, RELAY_PRIVATE, Member, World

pytestmark = pytest.mark.slow
TIMES = 1000
ANNA, BELA, CLEO = cast.keys("anna"), cast.keys("bela"), cast.keys("cleo")
Make = Callable[[Entropy], bytes]


class Coins:
    """The same coins once more: the bytes by script, the encapsulations as they fell."""

    def __init__(self, seed: int, first: ScriptedEntropy) -> None:
        self._bytes, self._fell = ScriptedEntropy(seed), iter(first.encapsulations)

    def draw(self, count: int, /) -> bytes:
        return self._bytes.draw(count)

    def encapsulate(self, public: KemPublic, /) -> tuple[KemShared, bytes]:
        once = next(self._fell)
        assert once.public == public  # whoever simulates has the same public keys before it
        return once.shared, once.ciphertext


def equal(make: Make, again: Make) -> int:
    """How often, of a thousand, the simulated is the real, byte for byte."""
    count = 0
    for seed in range(TIMES):
        first = ScriptedEntropy(seed)
        real = make(first)
        assert len(real) > MAC
        count += real == again(Coins(seed, first))
    return count


# Intro: Anna's, by Bela.


def anna_greets(coins: Entropy, admission: Admission | None = None) -> bytes:
    return intro.start(
        *(cast.SETTING, ANNA, cast.bundle("bela"), cast.KEY, cast.SEEDS, admission),
        *(cast.clock, cast.head(Kind.INTRO), coins),
    ).core


def greeted(coins: Entropy, keys: BundleKeys = BELA, admission: Admission | None = None) -> bytes:
    """Bela's own secrets and Anna's public identity: not one secret of Anna's."""
    bundle = cast.bundle("bela")
    ephemeral = X25519Private(coins.draw(32))
    _, to_identity = coins.encapsulate(bundle.identity.kem)
    _, to_prekey = coins.encapsulate(bundle.prekey.kem)
    envelope = Envelope(
        *(Slot(0), Slot(1), cast.ROSTER, prekey_id(bundle.prekey)),
        *(x25519_public(ephemeral).value, to_identity, to_prekey),
    )
    agreed = intro.answering_keys(
        envelope, cast.SETTING, keys, cast.bundle("anna").identity, cast.KEY
    )
    payload = Payload(HybridPrivate.draw(coins).public(), cast.SEEDS, admission)
    return intro.seal(payload, envelope, agreed, cast.clock, cast.head(Kind.INTRO))


def test_an_intro_by_the_one_who_was_greeted() -> None:
    assert equal(anna_greets, greeted) == TIMES


def test_control_an_intro_by_a_stranger_is_never_the_same() -> None:
    assert equal(anna_greets, lambda coins: greeted(coins, CLEO)) == 0


# Line, key block, group block: whole blocks of 4,096 bytes, from another client's saved state.


class Two:
    """A channel of two, seen from both sides: what the one's program sends, and what the other's
    forger makes in its name.
    """

    def __init__(self, author: int, hours: int) -> None:
        self.world = World.of(2)
        self.author, self.forger = self.world[author], self.world[1 - author]
        self.alias = self.author.state.alias
        self.author.say("We were here.")
        self.world.settle()
        self.forger.act(commands.Whisper(self.alias, "And so was I."))
        self.world.settle()
        self.world.pass_time(hours)

    def opened(self, member: Member) -> Channel:
        saved = member.disk.clocks.items()
        clocks = {name: (hour, ClockValue(value)) for name, (hour, value) in saved}
        return Channel.open(member.disk.state, clocks)

    def sends(self, command: commands.Command) -> Make:
        def make(coins: Entropy) -> bytes:
            return blocks(self.opened(self.author).act(command, self.world.now, coins))

        return make

    def forges(self, command: commands.Command) -> Make:
        def again(coins: Entropy) -> bytes:
            mirror = self.opened(self.forger)
            forge._turn_round(mirror.state, self.author.state.me)
            return blocks(mirror.act(command, self.world.now, coins))

        return again

    def kinds(self, command: commands.Command) -> list[int]:
        """Of what is compared."""
        outcome = self.opened(self.author).act(command, self.world.now, ScriptedEntropy(0))
        hour, sent = hour_of(self.world.now), outcome.effects
        arrivals = [Arrival(e.drop.id, hour, e.block) for e in sent if isinstance(e, Append)]
        return [core_in(self.forger, each)[0] for each in arrivals]


def blocks(outcome: Outcome) -> bytes:
    return b"".join(each.block for each in outcome.effects if isinstance(each, Append))


SAY = commands.Say(MAIN_THREAD, "I never said so.")


@pytest.mark.parametrize("author", [0, 1])
def test_a_group_block_by_its_reader(author: int) -> None:
    two = Two(author, 0)
    assert two.kinds(SAY) == [Kind.GROUP]
    assert equal(two.sends(SAY), two.forges(SAY)) == TIMES


@pytest.mark.parametrize("author", [0, 1])
def test_a_line_block_a_key_block_and_a_post_under_it_by_their_reader(author: int) -> None:
    two = Two(author, 30)
    assert two.kinds(SAY) == [Kind.LINE, Kind.KEY, Kind.GROUP]
    assert equal(two.sends(SAY), two.forges(SAY)) == TIMES


@pytest.mark.parametrize("author", [0, 1])
def test_a_key_block_that_rests_on_the_newest_of_several_notes(author: int) -> None:
    two = Two(author, 23)
    two.author.act(commands.Whisper(two.forger.state.alias, "Soon."))
    two.world.settle()
    two.world.pass_time(2)
    assert two.kinds(SAY) == [Kind.KEY, Kind.GROUP]
    assert equal(two.sends(SAY), two.forges(SAY)) == TIMES


@pytest.mark.parametrize("author", [0, 1])
def test_a_private_note_by_its_reader(author: int) -> None:
    two = Two(author, 0)
    note = commands.Whisper(two.forger.state.alias, "Between us.")
    assert two.kinds(note) == [Kind.LINE]
    assert equal(two.sends(note), two.forges(note)) == TIMES


def test_the_reply_by_the_one_who_had_greeted() -> None:
    """A reply is sealed to Anna's identity: with its private half she reads it, and makes it."""
    a, b = cast.pair()
    identity, head = cast.bundle("anna").identity.kem, cast.head(Kind.LINE)

    def sealed(by: Line) -> Callable[[Entropy], bytes]:
        return lambda coins: line.send(by, b"reply", identity, cast.clock, head, coins).core

    assert equal(sealed(b), sealed(forge._other_end(a))) == TIMES


# A room: what one reader holds, and the noise that everybody else's part is to them.


def room(member: int) -> tuple[OwnGeneration, PeerGeneration, Core]:
    """Anna's generation, and what the reader of one slot took from its key block."""
    wraps = {Slot(slot): uses(slot) for slot in (1, 2, 3)}
    head, coins = cast.head(Kind.KEY), ScriptedEntropy("key block")
    own, core = sender_key.seal_key_block(Slot(0), cast.ROSTER, wraps, cast.clock, head, coins)
    header, secret = sender_key.KeyHeader.read(core), wraps[Slot(member)].secret
    held = sender_key.open_key_block(core, header, Slot(member), secret, cast.clock, head)
    return own, held, core


def uses(slot: int) -> Wrap:
    """A use of Anna's export to somebody: those two alone have it."""
    key = hashlib.sha256(bytes([slot])).digest()
    return Wrap(Step(1), 0, MessageKey(key), MaskKey(key[::-1]))


def post(own: OwnGeneration) -> Make:
    def make(coins: Entropy) -> bytes:
        head = Head(Kind.GROUP, cast.HOUR, coins.draw(16))
        return sender_key.seal_post(
            own, Slot(0), cast.ROSTER, (), b"words", cast.clock, head, coins
        ).core

    return make


def seen_by(member: int, make: Make, shape: Callable[[int], slice]) -> Make:
    """A core as far as one reader's keys reach: what it can show; the rest is noise to it."""

    def shown(coins: Entropy) -> bytes:
        core = make(coins)
        return core[: shape(0).start] + core[shape(member)]

    return shown


def slot_at(slot: int) -> slice:
    return slice(GROUP_HASHED + 16 * slot, GROUP_HASHED + 16 * slot + 16)


def wrap_at(slot: int) -> slice:
    return slice(70 + 52 * slot, 70 + 52 * slot + 52)


def test_a_post_to_many_by_any_of_its_readers() -> None:
    for member in (1, 2, 3):
        own, held, _ = room(member)
        mine = forge._own(Peer(cast.bundle("anna"), generations={held.id: held}), Slot(member))
        assert mine is not None
        real, again = (seen_by(member, post(each), slot_at) for each in (own, mine))
        assert equal(real, again) == TIMES


def test_control_another_readers_slot_is_never_the_same() -> None:
    """No insider speaks as another: of slot 2 the reader of slot 1 makes nothing."""
    own, held, _ = room(1)
    mine = forge._own(Peer(cast.bundle("anna"), generations={held.id: held}), Slot(1))
    assert mine is not None
    guessed = replace(mine, readers={Slot(2): held.mac})
    real, again = (seen_by(2, post(each), slot_at) for each in (own, guessed))
    assert equal(real, again) == 0


def key_block(*readers: int) -> Make:
    def make(coins: Entropy) -> bytes:
        wraps = {Slot(slot): uses(slot) for slot in readers}
        head = Head(Kind.KEY, cast.HOUR, bytes(16))
        return sender_key.seal_key_block(Slot(0), cast.ROSTER, wraps, cast.clock, head, coins)[1]

    return make


def test_a_key_block_to_many_by_any_of_its_readers() -> None:
    for member in (1, 2, 3):
        real, again = key_block(1, 2, 3), key_block(member)
        shown = [seen_by(member, each, wrap_at) for each in (real, again)]
        assert equal(*shown) == TIMES


# Lobby.

WORDS = invite.invite_secret(b"sixteen bytes of")
RELAY_KEY = x25519_public(RELAY_PRIVATE)


def lobby() -> Lobby:
    """What twelve words open, for the facilitator, the newcomer, and whoever overheard them."""
    return Lobby.of(WORDS, RELAY_KEY)


def test_a_card_by_whoever_has_the_words() -> None:
    card = Card(
        *(cast.CHANNEL, "North", "We talk.", DISCLOSURE, (cast.relay(),), 24, 0),
        *(Person("Fox", "Bridge", "facilitator"), cast.bundle("bela").pack()),
        *(Person("Heron", "North", "participant"), cast.HOUR + 24),
    )

    def sealed(coins: Entropy) -> bytes:
        return b"".join(invite.seal_card(card, lobby(), cast.HOUR, coins))

    assert equal(sealed, sealed) == TIMES


def join(coins: Entropy) -> bytes:
    answer = answer_of(coins)
    return invite.seal_join(answer, cast.bundle("bela"), lobby(), cast.HOUR, coins)


def answer_of(coins: Entropy) -> Join:
    """Public keys, hashes of what was shown, and a random number: nothing that only one has."""
    agreed = charter_hash("We talk."), DISCLOSURE.hash
    return Join("Heron", cast.bundle("anna").pack(), *agreed, coins.draw(32))


def joined(coins: Entropy, keys: BundleKeys = BELA) -> bytes:
    """A newcomer's answer, by the facilitator's own secrets: without the ephemeral's private half
    in any key.
    """
    answer = answer_of(coins)
    head = Head(Kind.JOIN, cast.HOUR, coins.draw(16))
    public = x25519_public(X25519Private(coins.draw(32)))
    _, ciphertext = coins.encapsulate(cast.bundle("bela").prekey.kem)
    kem = decapsulate(keys.prekey.kem, ciphertext).expose()
    shared = dh(keys.identity.x, public), dh(keys.prekey.x, public), kem
    key = invite._join_key(shared, lobby(), cast.bundle("bela"), head)
    front = head.pack() + public.value + ciphertext + key.commitment
    return front + key.seal(pad(encode(answer), invite._JOIN), front)


def test_a_newcomers_answer_by_the_facilitator() -> None:
    assert equal(join, joined) == TIMES


def test_control_a_newcomers_answer_by_a_stranger_is_never_the_same() -> None:
    assert equal(join, lambda coins: joined(coins, CLEO)) == 0


def test_an_admission_by_the_newcomer() -> None:
    """All that it gives is what the newcomer was given."""
    given = Admission(3, EpochSecret(b"s" * 32), cast.clock(cast.HOUR))
    assert (
        equal(lambda coins: anna_greets(coins, given), lambda coins: greeted(coins, BELA, given))
        == TIMES
    )


# Relay.

DROP = Drop.of_lobby(WORDS, RELAY_KEY)
PUBLIC = x25519_public(DROP.access)
OF_CLIENT = DropKeys.of_client(DROP.id, DROP.access, RELAY_KEY)
OF_RELAY = DropKeys.of_relay(DROP.id, PUBLIC, RELAY_PRIVATE, RELAY_KEY)
ASKED = {
    Operation.CREATE: Create(b"v" * 16, PUBLIC, PUBLIC, 3).pack(),
    Operation.APPEND: b"b" * 4096,
    Operation.READ: Read(0, Hour(0), 64, 0).pack(),
    Operation.SEAL: b"",
    Operation.DELETE: b"",
}


def request(operation: Operation, keys: DropKeys, coins: Entropy) -> Request:
    nonce = coins.draw(16)
    return Request.write(operation, DROP.id, cast.HOUR, nonce, ASKED[operation], keys)


@pytest.mark.parametrize("operation", Operation)
def test_a_request_by_the_relay_and_an_answer_by_the_client(operation: Operation) -> None:
    """So neither's log shows anybody what the other asked or said."""

    def asked(keys: DropKeys) -> Make:
        return lambda coins: request(operation, keys, coins).pack()

    def answered(keys: DropKeys) -> Make:
        return lambda coins: request(operation, keys, coins).answer(200, coins.draw(12), keys)

    for each in (asked, answered):
        assert equal(each(OF_CLIENT), each(OF_RELAY)) == TIMES


def test_control_a_request_without_either_key_is_never_the_same() -> None:
    other = X25519Private(hashlib.sha256(b"another relay").digest())
    keys = DropKeys.of_client(DROP.id, other, RELAY_KEY)
    for operation in Operation:
        assert (
            equal(
                lambda coins: request(operation, OF_CLIENT, coins).pack(),  # noqa: B023 - used at once
                lambda coins: request(operation, keys, coins).pack(),  # noqa: B023
            )
            == 0
        )


# What a signature would do.


class OneTime:
    """Lamport's signature, of hashes alone: one shows half of 512 secrets, chosen by the text."""

    def __init__(self, seed: bytes) -> None:
        drawn = hashlib.shake_256(seed).digest(512 * 32)
        self._secrets = [drawn[at : at + 32] for at in range(0, len(drawn), 32)]
        self.public = [hashlib.sha256(each).digest() for each in self._secrets]

    def sign(self, text: bytes) -> bytes:
        return b"".join(self._secrets[at] for at in _chosen(text))


def _chosen(text: bytes) -> list[int]:
    bits = int.from_bytes(hashlib.sha256(text).digest())
    return [2 * place + (bits >> place & 1) for place in range(256)]


def verifies(public: list[bytes], signed: bytes) -> bool:
    text, shown = signed[:-8192], signed[-8192:]
    pieces = [shown[at : at + 32] for at in range(0, 8192, 32)]
    return all(
        hashlib.sha256(piece).digest() == public[at]
        for piece, at in zip(pieces, _chosen(text), strict=True)
    )


def test_control_once_something_is_signed_a_judge_tells_every_one_apart() -> None:
    """The same cores, and beside each a signature of its author. Whoever was shown it cannot make
    that: the judge, who has the author's public key, accepts each real one and no simulated one.
    """
    own, held, _ = room(1)
    mine = forge._own(Peer(cast.bundle("anna"), generations={held.id: held}), Slot(1))
    assert mine is not None
    real, again = (seen_by(1, post(each), slot_at) for each in (own, mine))
    accepted = refused = same = 0
    for seed in range(TIMES):
        first = ScriptedEntropy(seed)
        core, simulated = real(first), again(Coins(seed, first))
        author, forger = (OneTime(bytes([who]) + seed.to_bytes(4)) for who in (0, 1))
        signed, pretended = core + author.sign(core), simulated + forger.sign(simulated)
        accepted += verifies(author.public, signed)
        refused += not verifies(author.public, pretended)
        same += signed == pretended
        assert core == simulated
    assert (accepted, refused, same) == (TIMES, TIMES, 0)
