"""Vectors of sections 12 and 13: intros, and conversations event by event."""

from typing import Any, NamedTuple

import msgspec

from backchannel.protocol import intro, invite, sender_key, whisper
from backchannel.protocol import line as lines
from backchannel.protocol import primitives as prim
from backchannel.protocol.chain import step
from backchannel.protocol.codec import encode
from backchannel.protocol.core import Head, Kind, head_of
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.roster import ROLES
from backchannel.protocol.secret import (
    ChainKey,
    ClockValue,
    ExportKey,
    IntroKey,
    OnceSecret,
)
from backchannel.protocol.types import (
    Core,
    GenerationId,
    Hour,
    RosterHash,
    Slot,
)
from tests.support import cast, open_main, vectors
from tests.support.bits import flip
from tests.support.entropy import ScriptedEntropy
from tests.support.make_vectors.cases import (
    CLOCK,
    FIRST,
    HOUR,
    SECOND,
    SECRET,
    Cases,
    case,
    changed,
    damaged,
    fixed,
    of_byte,
    private_keys,
)
from tests.support.vectors import Case, plain


class Met(NamedTuple):
    """An intro, and what B reads."""

    case: Case
    started: intro.Started


def _meet(
    name: str,
    admission: intro.Admission | None,
    key: IntroKey | None = None,
    clock: ClockValue = CLOCK,
) -> Met:
    setting = intro.Setting(
        cast.CHANNEL,
        RosterHash(SECOND.hash),
        intro.Side(Slot(0), ROLES.index("facilitator")),
        intro.Side(Slot(2), ROLES.index("participant")),
    )
    seeds = intro.Seeds(GenerationId(fixed("generation", 16)), 3, ChainKey(fixed("chain")))
    key, head = key or IntroKey(fixed("intro key")), Head(Kind.INTRO, HOUR, fixed("salt", 16))
    a, b = cast.keys("anna"), cast.keys("cleo")
    started = intro.start(
        setting, a, b.public(), key, seeds, admission, lambda _: clock, head, ScriptedEntropy(name)
    )
    found = case(
        name,
        "intro",
        core=started.core,
        clock=clock.expose(),
        intro_key=key.expose(),
        channel_id=cast.CHANNEL,
        role_a="facilitator",
        role_b="participant",
        identity_a=a.public().identity.pack(),
        bundle_b=b.public().pack(),
        lobby=admission is not None,
        **private_keys(b),
    )
    return Met(found, started)


INVITE = fixed("invite", 16)
ONCE = fixed("once")


def _admitted() -> Case:
    """An admitting intro, as the newcomer opens it with the words and its own `once`."""
    secret = invite.invite_secret(INVITE)
    made = invite.Lobby.of(secret, FIRST.relays[0].public)
    key = invite.admission_key(secret, OnceSecret(ONCE))
    admission = intro.Admission(0, SECRET, CLOCK)
    met = _meet("admission", admission, key, made.clock).case
    given = {
        name: each
        for name, each in met["given"].items()
        if name not in {"clock", "intro_key", "lobby"}
    }
    return case("admission", "admission", entropy=INVITE, once=ONCE, **given)


def the_intro() -> Cases:
    met = _meet("intro", None)
    good, core = met.case, met.started.core
    yield good
    admitted = _meet("intro with admission", intro.Admission(0, SECRET, CLOCK)).case
    yield admitted
    yield changed(good, "no admission in a lobby", "size", lobby=True)
    yield changed(admitted, "an admission outside a lobby", "size", lobby=False)
    for why, reason, at in (
        ("slot of B", "commitment", 22),
        ("roster hash", "commitment", 23),
        ("prekey id", "rules", 55),
        ("ephemeral key", "commitment", 71),
        ("ciphertext to the identity", "commitment", 103),
        ("ciphertext to the prekey", "commitment", 1191),
        ("commitment", "commitment", 2279),
        ("ciphertext", "ciphertext", 2311),
        ("salt", "commitment", 5),
    ):
        yield damaged(good, f"{why} changed", reason, "core", 8 * at)
    yield changed(good, "A speaks to itself", "rules", core=(core[:22] + b"\0" + core[23:]).hex())
    yield changed(good, "slot 64", "rules", core=(core[:21] + b"\x40" + core[22:]).hex())
    low = core[:71] + cast.LOW_ORDER[0] + core[103:]
    yield changed(good, "ephemeral key of low order", "rules", core=low.hex())
    yield changed(good, "another role", "commitment", role_b="observer")
    yield changed(good, "another channel", "commitment", channel_id=bytes(16).hex())
    yield changed(good, "another intro key", "commitment", intro_key=bytes(32).hex())
    good = _admitted()
    yield good
    yield changed(good, "admission, another once", "commitment", once=fixed("another").hex())
    yield changed(good, "admission, other words", "commitment", entropy=fixed("other", 16).hex())
    yield damaged(good, "admission, ciphertext changed", "ciphertext", "core", 8 * 2311)


class Recorder:
    """An `Entropy` whose draws and encapsulations are kept for the vector."""

    def __init__(self, seed: str) -> None:
        self._inner = ScriptedEntropy(seed)
        self.draws: list[bytes] = []
        self.encapsulations: list[bytes] = []

    def draw(self, count: int, /) -> bytes:
        self.draws.append(self._inner.draw(count))
        return self.draws[-1]

    def encapsulate(self, public: prim.KemPublic, /) -> tuple[Any, bytes]:
        shared, ciphertext = self._inner.encapsulate(public)
        self.encapsulations += [shared.expose(), ciphertext]
        return shared, ciphertext


SEEDS = encode(whisper.GivenSeeds(fixed("generation", 16), 5, fixed("chain")))


NOTHING = encode(whisper.Nothing())


class Talk:
    """Both ends of a line as they speak, and what each is told, as events of its vector."""

    def __init__(self) -> None:
        self.clock = EpochClock(HOUR, CLOCK)
        self.started = _meet("intro", None).started
        self.a, self.b = cast.keys("anna"), cast.keys("cleo")
        keys = self.started.keys
        peer = self.started.ratchet.public()
        self.lines = {
            "A": lines.begin(keys, self.started.ratchet, HOUR),
            "B": lines.answer(keys, peer, HOUR),
        }
        self.events: dict[str, list[dict[str, Any]]] = {"A": [], "B": []}
        self.expected: dict[str, list[str]] = {"A": [], "B": []}
        self._sent = 0

    def send(self, side: str, said: bytes = NOTHING, hours: int = 0) -> Core:
        self._sent += 1
        recorder = Recorder(f"{side} {self._sent}")
        hour, salt = Hour(HOUR + hours), fixed(f"salt {self._sent}", 16)
        head, peer = Head(Kind.LINE, hour, salt), (self.b if side == "A" else self.a).identity
        turned = self.lines[side].sending is None
        public = prim.kem_public(peer.kem)
        self.lines[side], core, _ = lines.send(
            self.lines[side], said, public, self.clock, head, recorder
        )
        names = ("ratchet_x25519", "ratchet_kem", "fresh") if turned else ("fresh",)
        event: dict[str, Any] = dict(zip(names, recorder.draws, strict=True))
        event |= {"does": "send", "hour": hour, "salt": salt, "content": said}
        event |= {"encapsulations": recorder.encapsulations, "core": core}
        self._tell(side, event, "ok")
        return core

    def receive(self, side: str, core: bytes, expect: str = "ok") -> None:
        self._tell(side, {"does": "receive", "core": core}, expect)
        if expect == "ok":
            own = (self.a if side == "A" else self.b).identity.kem
            head = head_of(core)
            found = lines.open_(self.lines[side], Core(core), self.clock, head, own)
            assert found is not None
            self.lines[side] = found.line

    def gave_way(self, side: str, export: ExportKey) -> None:
        """The other's intro crossed one's own, and gave way."""
        self.lines[side] = lines.beside(self.lines[side], export, HOUR)
        self._tell(side, {"does": "gave way", "export_ab": export.expose()}, "ok")

    def spend(self, side: str, hours: int = 0) -> Core:
        """A key block of one entry."""
        self._sent += 1
        self.lines[side], wrap = lines.spend(self.lines[side])
        self._tell(side, {"does": "spend"}, "ok")
        return self.key_block(side, wrap, hours)

    def key_block(self, side: str, wrap: lines.Wrap, hours: int = 0) -> Core:
        """Of any use."""
        head = Head(Kind.KEY, Hour(HOUR + hours), fixed(f"salt {self._sent}", 16))
        own, other = (Slot(0), Slot(2)) if side == "A" else (Slot(2), Slot(0))
        roster, entropy = RosterHash(SECOND.hash), ScriptedEntropy(f"{side} {self._sent}")
        return sender_key.seal_key_block(own, roster, {other: wrap}, self.clock, head, entropy)[1]

    def redeem(self, side: str, core: bytes, expect: str = "ok") -> None:
        reader = Slot(0) if side == "A" else Slot(2)
        self._tell(side, {"does": "key block", "core": core, "reader": reader}, expect)

    def _tell(self, side: str, event: dict[str, Any], expect: str) -> None:
        self.events[side].append(plain(event))
        self.expected[side].append(expect)

    def jump(self, side: str, numbers: int) -> None:
        """Let a side write blocks that nobody will ever see; its own vector ends here."""
        line = self.lines[side]
        assert line.sending is not None
        chain = line.sending.chain
        for _ in range(numbers):
            chain, _ = step(chain)
        sending = msgspec.structs.replace(
            line.sending, chain=chain, number=line.sending.number + numbers
        )
        self.lines[side] = msgspec.structs.replace(line, sending=sending)

    def case(self, name: str, side: str) -> Case:
        keys, own = self.started.keys, self.started.ratchet
        a, b = self.a.identity.kem, self.b.identity.kem
        mine, peer = (a, b) if side == "A" else (b, a)
        ends: dict[str, Any] = {
            "is": side,
            "identity_kem": mine.expose(),
            "peer_identity_kem": prim.kem_public(peer).value,
        }
        if side == "A":
            ends |= {"ratchet_x25519": own.x.expose(), "ratchet_kem": own.kem.expose()}
        else:
            public = own.public()
            ends |= {"peer_x25519": public.x.value, "peer_kem": public.kem.value}
        session = open_main._session(keys)
        given = plain(session | {"side": ends, "clock": CLOCK.expose(), "hour": HOUR})
        given |= {"events": self.events[side]}
        found = vectors.answer(open_main.OPERATIONS["line"], given)
        return {
            "name": name,
            "does": "line",
            "given": given,
            "expect": "ok",
            "gives": _told(name, self.expected[side], found),
        }


def _told(name: str, expected: list[str], found: list[Any]) -> list[dict[str, Any]]:
    """What each event gives: `{"expect": …, "gives": …}`."""
    told: list[dict[str, Any]] = []
    for number, (expect, each) in enumerate(zip(expected, found, strict=True)):
        if not vectors.agrees(expect, each):
            message = f"{name}, event {number}: {expect} expected, found {each!r}"
            raise AssertionError(message)
        told.append({"expect": expect} | ({"gives": each} if expect == "ok" else {}))
    return told


def line() -> Cases:
    talk = _conversation()
    yield talk.case("a conversation as A hears it", "A")
    yield talk.case("a conversation as B hears it", "B")
    talk = Talk()
    reply = talk.send("B")
    talk.jump("B", 512)
    far = talk.send("B")
    talk.receive("A", reply)
    talk.receive("A", far)
    yield talk.case("a jump over 512 numbers", "A")
    talk = Talk()
    reply = talk.send("B")
    talk.jump("B", 513)
    far = talk.send("B")
    talk.receive("A", reply)
    talk.receive("A", far, "stale")
    talk.send("A")
    yield talk.case("a jump over 513 numbers", "A")
    talk = Talk()
    early = talk.send("B")
    talk.receive("A", early)
    talk.receive("B", talk.send("A"))
    yield talk.case("the shortest", "B")
    yield from _uses()


def _uses() -> Cases:
    """Key blocks before the reply and after it, out of order, again, lost, and damaged."""
    talk = Talk()
    early = [talk.spend("A") for _ in range(3)]
    for number, expect in ((1, "ok"), (1, "stale"), (0, "ok"), (0, "stale")):
        talk.redeem("B", early[number], expect)
    talk.redeem("A", talk.spend("B"))
    reply = talk.send("B", SEEDS)
    of_reply = talk.spend("B")
    talk.redeem("A", of_reply, "stale")
    talk.receive("A", reply)
    talk.redeem("A", of_reply)
    talk.redeem("A", talk.spend("B"))
    confirmed = [talk.spend("A") for _ in range(2)]
    talk.redeem("B", confirmed[1])
    talk.redeem("B", early[2])
    talk.redeem("B", flip(confirmed[0], of_byte(70 + 52 * 2 + 4)), "ciphertext")
    talk.redeem("B", confirmed[0])
    talk.redeem("B", confirmed[0], "stale")
    block = talk.send("A", hours=1)
    newest = talk.spend("A", hours=1)
    talk.redeem("B", newest, "stale")
    talk.receive("B", block)
    talk.redeem("B", newest)
    talk.redeem("A", talk.spend("B", hours=1))
    yield talk.case("key blocks as A reads them", "A")
    yield talk.case("key blocks as B reads them", "B")
    talk = Talk()
    lost = [talk.spend("A") for _ in range(66)]
    talk.redeem("B", lost[65], "stale")
    talk.redeem("B", lost[64])
    talk.redeem("B", lost[65])
    talk.redeem("B", lost[63])
    yield talk.case("a jump over 65 uses, and over 64", "B")
    yield _crossed()


def _crossed() -> Case:
    """B's own intro gave way to A's: step 0 has two exports and two masks, both of which count."""
    talk, other = Talk(), _meet("an intro that gives way", None).started
    crossing, early = lines.begin(other.keys, other.ratchet, HOUR), []
    for _ in range(3):
        crossing, wrap = lines.spend(crossing)
        talk._sent += 1
        early.append(talk.key_block("B", wrap))
    late = [talk.spend("B") for _ in range(2)]
    talk.redeem("A", late[0])
    talk.redeem("A", early[0], "stale")
    talk.gave_way("A", other.keys.export_ab)
    talk.redeem("A", early[1])
    talk.redeem("A", early[0])
    talk.redeem("A", early[0], "stale")
    talk.redeem("A", late[1])
    talk.redeem("A", flip(early[2], of_byte(70 + 4)), "ciphertext")
    talk.redeem("A", early[2])
    return talk.case("key blocks of intros that crossed", "A")


def _conversation() -> Talk:
    """Reply late, blocks lost and late, two turns of the ratchet each way, and damage."""
    talk = Talk()
    reply, second, late = talk.send("B", SEEDS), talk.send("B"), talk.send("B", hours=1)
    talk.receive("A", second)
    for at, reason in ((21, "commitment"), (53, "ciphertext"), (2413, "commitment")):
        talk.receive("A", flip(reply, of_byte(at)), reason)
    talk.receive("A", flip(reply, of_byte(2445)), "commitment")
    talk.receive("A", flip(reply, of_byte(3533)), "ciphertext")
    talk.receive("A", reply)
    talk.receive("A", reply, "stale")
    first, skipped, third = talk.send("A", SEEDS), talk.send("A"), talk.send("A", hours=2)
    talk.receive("B", third)
    talk.receive("B", first)
    talk.receive("B", first, "stale")
    turned = talk.send("B")
    talk.receive("A", turned)
    talk.receive("A", late)
    for bit, reason in ((0, "rules"), (33, "commitment"), (8 * 2445, "ciphertext")):
        talk.receive("A", flip(talk.send("B"), bit), reason)
    again = talk.send("A", hours=3)
    talk.receive("B", again)
    talk.receive("B", third, "stale")
    talk.receive("B", skipped)
    talk.receive("A", talk.send("B", hours=4))
    return talk
