"""The key schedule as rules over one real scene, and the names of the secrets that somebody holds.

In the scene A greets B, B replies, A writes a line block, then a key block with the export of that
block, all at the hour *then*; *later*, in another hour, A writes a post that offers a file, and the
other cores of the epoch are written. A facilitator F admits a newcomer N in a lobby. Public keys
are everybody's; what stands in a core is had only by opening it.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from backchannel.protocol import block, epoch, intro, invite, line, roster, sender_key, unattributed
from backchannel.protocol.chain import Chain, step
from backchannel.protocol.codec import decode
from backchannel.protocol.core import GROUP_HASHED, CoreKey, Head, Kind, head_of, leaf_key
from backchannel.protocol.drop import Drop, DropKeys, Operation, Request
from backchannel.protocol.expiry import item_key, open_item, seal_item
from backchannel.protocol.identity import BundleKeys, HybridPrivate
from backchannel.protocol.intro import Envelope, SessionKeys, Setting, Side
from backchannel.protocol.line import Line
from backchannel.protocol.primitives import decapsulate, dh, unpad, x25519_public
from backchannel.protocol.ratchet import Header, body_keys, root_step
from backchannel.protocol.secret import (
    ChainKey,
    ChainSeed,
    ClockValue,
    CoreSecret,
    EpochSeed,
    ExpiryKey,
    ExportKey,
    KemShared,
    LeafKey,
    OnceSecret,
    Secret,
    StoreKey,
    ThreadKey,
    X25519Private,
)
from backchannel.protocol.types import Core, Hour, Slot, ThreadId
from tests.support import cast
from tests.support.entropy import ScriptedEntropy
from tests.support.leaks import Rule

THEN = Hour(cast.HOUR + 2)
LATER = Hour(cast.HOUR + 5)
WINDOW = (cast.HOUR, Hour(LATER + 1))
RELAY = X25519Private(hashlib.sha256(b"relay").digest())
RELAY_PUBLIC = x25519_public(RELAY)
NONCE = bytes(16)


class Coins(NamedTuple):
    """What an author drew for one core and erased at once: X25519 key and KEM secrets, in order."""

    x: X25519Private
    kems: tuple[KemShared, ...]


class _Entropy(ScriptedEntropy):
    """Remembers what it drew."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.drawn: list[bytes] = []

    def draw(self, count: int, /) -> bytes:
        self.drawn.append(super().draw(count))
        return self.drawn[-1]

    def coins(self, place: int) -> Coins:
        """Those of the core that was made with this entropy, whose X25519 key is a draw."""
        kems = tuple(each.shared for each in self.encapsulations)
        return Coins(X25519Private(self.drawn[place]), kems)


class Scene(NamedTuple):
    """What an adversary has anyway, and what it would like to have."""

    blocks: dict[str, bytes]
    secrets: dict[str, Any]
    """By name: each that a device holds, or held until it was erased."""
    contents: dict[str, bytes]
    """By the name of the goal: what a core says."""
    item: bytes


SETTING = Setting(cast.CHANNEL, cast.ROSTER, Side(Slot(0), 0), Side(Slot(1), 1))
_ADMITTED = Setting(cast.CHANNEL, cast.ROSTER, Side(Slot(0), 0), Side(Slot(2), 1))
_A, _B, _N = cast.keys("anna"), cast.keys("bela"), cast.keys("cleo")
_LOBBY_KEYS = BundleKeys(_A.identity, cast.keys("dora").prekey)
_JOIN = invite.Join("Cleo", _N.public().pack(), bytes(32), bytes(32), hashlib.sha256(b"1").digest())


def _of(kind: Kind, hour: Hour) -> Head:
    return Head(kind, hour, hashlib.sha256(bytes([kind])).digest()[:16])


@cache
def scene() -> Scene:
    """One of each."""
    secrets: dict[str, Any] = {}
    cores: dict[str, Core] = {}
    contents: dict[str, bytes] = {}
    seed = EpochSeed(hashlib.sha256(b"epoch").digest())
    secret, first = epoch.begin(seed)
    clock = epoch.EpochClock(cast.HOUR, first)
    drop = Drop.of_epoch(secret, RELAY_PUBLIC)
    secrets |= {"epoch seed": seed, "epoch secret": secret}
    secrets |= {"clock then": clock(THEN), "clock later": clock(LATER)}
    secrets["clock after that"] = clock(Hour(LATER + 1))
    _talk(secrets, cores, contents, clock, epoch.intro_key(secret))
    _rest(secrets, cores, contents, clock)
    blocks: dict[str, bytes] = {
        name: block.wrap(core, drop.outer, clock, ScriptedEntropy(name))
        for name, core in cores.items()
    }
    _knock(secrets, blocks, contents, secret, clock)
    item = _stored(secrets, contents)
    secrets["relay's key"] = RELAY
    keys = DropKeys.of_client(drop.id, drop.access, RELAY_PUBLIC)
    contents["relay request"] = Request.write(
        Operation.READ, drop.id, LATER, NONCE, b"", keys
    ).pack()
    return Scene(blocks, secrets, contents, item)


def _talk(
    secrets: dict[str, Any],
    cores: dict[str, Core],
    contents: dict[str, bytes],
    clock: epoch.EpochClock,
    key: Any,
) -> None:
    """Intro, reply, line block, key block and post, and what both sides hold between them."""
    drawn = _Entropy("intro")
    head = _of(Kind.INTRO, THEN)
    begun = intro.start(SETTING, _A, _B.public(), key, cast.SEEDS, None, clock, head, drawn)
    accepted = intro.accept(begun.core, head, SETTING, _B, _A.identity.public(), key, clock)
    cores["intro"] = begun.core
    contents["intro"] = intro.Payload(begun.ratchet.public(), cast.SEEDS, None).pack()
    secrets |= {"A's identity": _A.identity, "B's identity": _B.identity, "B's prekey": _B.prekey}
    secrets |= {"intro's coins": drawn.coins(0), "first root": begun.keys.root}
    secrets |= {"B's header key": begun.keys.header_ba, "A's header key": begun.keys.header_ab}
    secrets["A's first ratchet key"] = begun.ratchet
    a, b = (
        line.begin(begun.keys, begun.ratchet, THEN),
        line.answer(accepted.keys, accepted.ratchet, THEN),
    )
    head, drawn = _of(Kind.LINE, THEN), _Entropy("reply")
    to_a, to_b = _A.identity.public().kem, _B.identity.public().kem
    reply = line.send(b, b"a reply", to_a, clock, head, drawn)
    heard = line.open_(a, reply.core, clock, head, _A.identity.kem)
    assert heard is not None
    cores["reply"], contents["reply"] = reply.core, b"a reply"
    assert reply.line.own is not None
    secrets |= {"B's ratchet key": reply.line.own, "reply's coins": drawn.coins(2)}
    secrets |= {"second root": heard.line.root, "reply secret": heard.line.reply_secret}
    secrets["B's chain key"] = _first_chain(begun.keys, begun.ratchet, reply.line.own)
    _write(secrets, cores, contents, clock, heard.line, to_b)


def _first_chain(keys: SessionKeys, own: HybridPrivate, peer: HybridPrivate) -> ChainKey:
    return root_step(keys.root, own.x, x25519_public(peer.x), None)[1]


def _write(
    secrets: dict[str, Any],
    cores: dict[str, Core],
    contents: dict[str, bytes],
    clock: epoch.EpochClock,
    before: Line,
    to: Any,
) -> None:
    """A's line block after the reply, the key block that rests on it, and a post."""
    head, drawn = Head(Kind.LINE, THEN, b"another line's s"), _Entropy("line")
    assert before.peer is not None
    sent = line.send(before, b"a note", to, clock, head, drawn)
    assert sent.line.own is not None
    cores["line block"], contents["line block"] = sent.core, b"a note"
    secrets |= {"A's ratchet key": sent.line.own, "line block's coins": drawn.coins(2)}
    chain = root_step(before.root, sent.line.own.x, before.peer.x, secrets["reply secret"])[1]
    secrets |= {"A's chain key": chain, "export": sent.export}
    spent, wrap = line.spend(sent.line)
    drawn = _Entropy("key")
    own, core = sender_key.seal_key_block(
        Slot(0), cast.ROSTER, {Slot(1): wrap}, clock, _of(Kind.KEY, THEN), drawn
    )
    cores["key block"], contents["key block"] = core, drawn.drawn[0]
    secrets["sender's chain key"] = own.chain
    header = sender_key.KeyHeader(Slot(0), own.id, cast.ROSTER)
    following, (_, wrap) = EpochSeed(hashlib.sha256(b"next").digest()), line.spend(spent)
    cores["epoch core"] = sender_key.seal_wraps(
        header, following, {Slot(1): wrap}, clock, _of(Kind.EPOCH, LATER), ScriptedEntropy()
    )
    contents["epoch core"] = following.expose()
    file_key = hashlib.sha256(b"file").digest()
    _, post, leaf = sender_key.seal_post(
        own, Slot(0), cast.ROSTER, (), file_key, clock, _of(Kind.GROUP, LATER), ScriptedEntropy()
    )
    cores["post"], contents["post"] = post, file_key
    secrets["post's leaf key"] = leaf


def _rest(
    secrets: dict[str, Any],
    cores: dict[str, Core],
    contents: dict[str, bytes],
    clock: epoch.EpochClock,
) -> None:
    """The cores of the epoch alone, and a file's."""
    secret = secrets["epoch secret"]
    said = unattributed.Unattributed(ThreadId(bytes(16)), 24, "who knows")
    head = _of(Kind.UNATTRIBUTED, LATER)
    cores["unattributed"] = unattributed.seal_unattributed(said, secret, clock, head)
    contents["unattributed"] = said.text.encode()
    piece = roster.seal_piece(
        b"entries", epoch.roster_secret(secret), clock, _of(Kind.ROSTER, LATER)
    )
    cores["roster piece"], contents["roster piece"] = piece, b"entries"
    key = CoreSecret(contents["post"])
    secrets["file key"] = key
    cores["file chunk"] = roster.seal_piece(b"a file", key, clock, _of(Kind.CHUNK, LATER))
    contents["file chunk"] = b"a file"


def _knock(
    secrets: dict[str, Any],
    blocks: dict[str, bytes],
    contents: dict[str, bytes],
    secret: Any,
    clock: epoch.EpochClock,
) -> None:
    """A lobby: a card, a join, and the intro that admits."""
    words = invite.invite_secret(b"twelve words 16b")
    lobby, drawn = invite.Lobby.of(words, RELAY_PUBLIC), _Entropy("join")
    card = roster.seal_piece(b"a card", lobby.card, lobby.at, _of(Kind.CARD, THEN))
    join = invite.seal_join(_JOIN, _LOBBY_KEYS.public(), lobby, THEN, drawn)
    once, greeted = OnceSecret(_JOIN.once), _Entropy("admission")
    given = intro.Admission(1, secret, clock(THEN))
    admitting = intro.start(
        _ADMITTED, _LOBBY_KEYS, _N.public(), invite.admission_key(words, once), cast.SEEDS, given,
        lobby.at, _of(Kind.INTRO, THEN), greeted,
    )  # fmt: skip
    for name, core in (("card", card), ("join", join), ("admission", admitting.core)):
        blocks[name] = block.wrap(core, lobby.drop.outer, lobby.at, ScriptedEntropy(name))
    contents |= {"card": b"a card", "join": _JOIN.once, "admission": given.pack()}
    secrets |= {"invite's words": words, "once": once, "join's coins": drawn.coins(1)}
    secrets |= {"F's identity": _A.identity, "lobby's prekey": _LOBBY_KEYS.prekey}
    secrets |= {"N's identity": _N.identity, "N's prekey": _N.prekey}
    secrets["admission's coins"] = greeted.coins(0)


def _stored(secrets: dict[str, Any], contents: dict[str, bytes]) -> bytes:
    """An item in a vault."""
    store, expiry, thread = (hashlib.sha256(each).digest() for each in (b"s", b"e", b"t"))
    held = StoreKey(store), ExpiryKey(expiry), ThreadKey(thread)
    secrets |= dict(zip(("store key", "expiry key", "thread key"), held, strict=True))
    contents["vault item"] = b"kept"
    return seal_item(item_key(*held), b"kept", b"here", ScriptedEntropy("item"))


# What follows from what. A name in capitals is a value on the way, which no device keeps.


def rules() -> list[Rule]:
    """Of the whole scene."""
    return [
        *_halves(), *_epoch(), *_outer(), *_intro(), *_reply(), *_line(), *_group(), *_lobby(),
        *_doors(),
    ]  # fmt: skip


def _clock(value: ClockValue) -> Callable[[Hour], ClockValue]:
    return lambda _hour: value


def _halves() -> list[Rule]:
    """A stolen key is stolen in both halves; the rules below take the half that they need."""
    pairs = (
        "A's identity", "B's identity", "B's prekey", "N's identity", "N's prekey",
        "F's identity", "lobby's prekey",
        "A's first ratchet key", "B's ratchet key", "A's ratchet key",
    )  # fmt: skip
    coins = (
        "intro's coins", "admission's coins", "reply's coins", "line block's coins", "join's coins"
    )  # fmt: skip
    return [
        *(Rule(f"{each} (X25519)", (each,), lambda key: key.x) for each in (*pairs, *coins)),
        *(Rule(f"{each} (ML-KEM)", (each,), lambda key: key.kem) for each in pairs),
        *(Rule(f"{each} (ML-KEM)", (each,), lambda key: key.kems) for each in coins),
    ]


def _epoch() -> list[Rule]:
    after = LATER - THEN
    return [
        Rule("epoch secret", ("epoch seed",), lambda seed: epoch.begin(seed)[0]),
        Rule(
            "clock then",
            ("epoch seed",),
            lambda seed: epoch.advance(epoch.begin(seed)[1], THEN - cast.HOUR),
        ),
        Rule("clock later", ("clock then",), lambda value: epoch.advance(value, after)),
        Rule("clock after that", ("clock later",), epoch.next_hour),
        Rule("INTRO KEY", ("epoch secret",), epoch.intro_key),
    ]


HOURS = {
    "intro": "then", "reply": "then", "line block": "then", "key block": "then", "post": "later",
    "epoch core": "later", "unattributed": "later", "roster piece": "later", "file chunk": "later",
}  # fmt: skip


def _outer() -> list[Rule]:
    """The outer layer, of each block."""

    def core_in(name: str, hour: Hour) -> Callable[..., Core]:
        def opened(secret: Any, value: ClockValue) -> Core:
            outer = Drop.of_epoch(secret, RELAY_PUBLIC).outer
            return block.unwrap(scene().blocks[name], outer, _clock(value), hour, (hour, hour))

        return opened

    hours = {"then": THEN, "later": LATER}
    return [
        Rule(f"CORE of {name}", ("epoch secret", f"clock {when}"), core_in(name, hours[when]))
        for name, when in HOURS.items()
    ]


def _agreed(whose: str, core: str, target: BundleKeys, names: tuple[str, str, str]) -> list[Rule]:
    """The five secrets of an intro, each from either end. `names`: A's identity, B's identity,
    B's prekey.
    """
    author, identity, prekey = names
    coins = f"{whose}'s coins"
    ends = target.public()
    ax = scene().secrets[author].public().x

    def at(core: Core) -> Any:
        return Envelope.read(core)

    def ephemeral(core: Core) -> Any:
        return type(ends.identity.x)(at(core).ephemeral)

    return [
        Rule(f"DH 1 of {whose}", (f"{author} (X25519)",), lambda key: dh(key, ends.prekey.x)),
        Rule(f"DH 1 of {whose}", (f"{prekey} (X25519)",), lambda key: dh(key, ax)),
        Rule(f"DH 2 of {whose}", (f"{coins} (X25519)",), lambda key: dh(key, ends.identity.x)),
        Rule(f"DH 2 of {whose}", (f"{identity} (X25519)", core), lambda k, c: dh(k, ephemeral(c))),
        Rule(f"DH 3 of {whose}", (f"{coins} (X25519)",), lambda key: dh(key, ends.prekey.x)),
        Rule(f"DH 3 of {whose}", (f"{prekey} (X25519)", core), lambda k, c: dh(k, ephemeral(c))),
        Rule(f"KEM 1 of {whose}", (f"{coins} (ML-KEM)",), lambda kems: kems[0]),
        Rule(
            f"KEM 1 of {whose}",
            (f"{identity} (ML-KEM)", core),
            lambda key, c: decapsulate(key, at(c).to_identity),
        ),
        Rule(f"KEM 2 of {whose}", (f"{coins} (ML-KEM)",), lambda kems: kems[1]),
        Rule(
            f"KEM 2 of {whose}",
            (f"{prekey} (ML-KEM)", core),
            lambda key, c: decapsulate(key, at(c).to_prekey),
        ),
    ]


def _session(whose: str, core: str, key: str, setting: Setting, ends: BundleKeys) -> Rule:
    """The keys of an intro, from its five secrets and its pre-shared key."""
    five = tuple(f"{each} of {whose}" for each in ("DH 1", "DH 2", "DH 3", "KEM 1", "KEM 2"))
    author = _A.identity.public()

    def find(
        one: bytes, two: bytes, three: bytes, a: KemShared, b: KemShared, given: Any, core: Core
    ) -> SessionKeys:
        bound = intro.transcript(setting, author, ends.public(), Envelope.read(core))
        return intro.session(one + two + three, (a, b), given, bound)

    return Rule(f"KEYS of {whose}", (*five, key, core), find)


def _payload(core: Core, keys: SessionKeys, value: ClockValue) -> bytes:
    return intro._open(core, keys, _clock(value), head_of(core)).pack()


def _intro() -> list[Rule]:
    core = "CORE of intro"
    names = ("A's identity", "B's identity", "B's prekey")
    return [
        *_agreed("intro", core, _B, names),
        _session("intro", core, "INTRO KEY", SETTING, _B),
        Rule("intro", (core, "KEYS of intro", "clock then"), _payload),
        Rule("first root", ("KEYS of intro",), lambda keys: keys.root),
        Rule("B's header key", ("KEYS of intro",), lambda keys: keys.header_ba),
        Rule("A's header key", ("KEYS of intro",), lambda keys: keys.header_ab),
    ]


def _header(core: Core, key: Any, value: ClockValue) -> Header:
    sealed = line._Sealed(core, _clock(value), head_of(core), _A.identity.kem)
    header = sealed.header(key)
    if header is None:
        msg = "another header key"
        raise ValueError(msg)
    return header


def _body(at: int) -> Callable[..., bytes]:
    def find(core: Core, keys: tuple[CoreSecret, ExportKey], value: ClockValue) -> bytes:
        sealed = line._Sealed(core, _clock(value), head_of(core), _A.identity.kem)
        return sealed.body(keys[0], at)

    return find


def _reply() -> list[Rule]:
    core, header = "CORE of reply", "HEADER of reply"
    a0 = scene().secrets["A's first ratchet key"].public()
    return [
        Rule(header, (core, "B's header key", "clock then"), _header),
        Rule(
            "STEP of reply",
            ("first root", "A's first ratchet key (X25519)", header),
            lambda root, own, said: root_step(root, own, said.ratchet.x, None),
        ),
        Rule(
            "STEP of reply",
            ("first root", "B's ratchet key (X25519)"),
            lambda root, own: root_step(root, own, a0.x, None),
        ),
        Rule("B's chain key", ("STEP of reply",), lambda step: step[1]),
        Rule("second root", ("STEP of reply",), lambda step: step[0]),
        *_own_secrets("reply", header, "A's first ratchet key", a0),
        Rule(
            "reply secret",
            (core, "A's identity (ML-KEM)"),
            lambda core, key: decapsulate(key, core[line._BODY_AT : line._REPLY_AT]),
        ),
        Rule("reply secret", ("reply's coins (ML-KEM)",), lambda kems: kems[1]),
        Rule(
            "BODY of reply",
            ("B's chain key", "DH of reply", "KEM of reply", "reply secret"),
            lambda chain, x, kem, reply: body_keys(step(chain)[1], x + kem.expose(), reply),
        ),
        Rule("reply", (core, "BODY of reply", "clock then"), _body(line._REPLY_AT)),
    ]


def _own_secrets(whose: str, header: str, reader: str, public: Any) -> list[Rule]:
    """What a line block brings of its own, from either end."""
    coins = f"{whose}'s coins"
    return [
        Rule(f"DH of {whose}", (f"{coins} (X25519)",), lambda key: dh(key, public.x)),
        Rule(
            f"DH of {whose}", (f"{reader} (X25519)", header), lambda key, said: dh(key, said.fresh)
        ),
        Rule(f"KEM of {whose}", (f"{coins} (ML-KEM)",), lambda kems: kems[0]),
        Rule(
            f"KEM of {whose}",
            (f"{reader} (ML-KEM)", header),
            lambda key, said: decapsulate(key, said.ciphertext),
        ),
    ]


def _line() -> list[Rule]:
    core, header = "CORE of line block", "HEADER of line block"
    b1 = scene().secrets["B's ratchet key"].public()
    return [
        Rule(header, (core, "A's header key", "clock then"), _header),
        Rule(
            "STEP of line block",
            ("second root", "B's ratchet key (X25519)", header, "reply secret"),
            lambda root, own, said, reply: root_step(root, own, said.ratchet.x, reply),
        ),
        Rule(
            "STEP of line block",
            ("second root", "A's ratchet key (X25519)", "reply secret"),
            lambda root, own, reply: root_step(root, own, b1.x, reply),
        ),
        Rule("A's chain key", ("STEP of line block",), lambda step: step[1]),
        *_own_secrets("line block", header, "B's ratchet key", b1),
        Rule(
            "BODY of line block",
            ("A's chain key", "DH of line block", "KEM of line block"),
            lambda chain, x, kem: body_keys(step(chain)[1], x + kem.expose(), None),
        ),
        Rule("line block", (core, "BODY of line block", "clock then"), _body(line._BODY_AT)),
        Rule("export", ("BODY of line block",), lambda keys: keys[1]),
    ]


def _wrapped(use: int) -> Callable[..., bytes]:
    def find(core: Core, export: ExportKey, value: ClockValue) -> bytes:
        _, key = Chain(ChainKey(export.expose())).take(use, use)
        header = sender_key.KeyHeader.read(core)
        return sender_key.open_wrap(core, header, Slot(1), key, _clock(value), head_of(core))

    return find


def _leaf(core: Core, chain: ChainKey, value: ClockValue) -> LeafKey:
    return leaf_key(step(chain)[1], _clock(value), head_of(core))


def _post(core: Core, leaf: LeafKey) -> bytes:
    """Whoever reads need have no slot."""
    key = CoreKey.of_leaf(leaf, head_of(core))
    key.check(core[sender_key._COMMITMENT_AT : sender_key._BODY_AT])
    hashed = core[sender_key._BODY_AT : GROUP_HASHED]
    return unpad(key.open(hashed, core[: sender_key._BODY_AT]))


def _group() -> list[Rule]:
    def piece(core: Core, secret: CoreSecret, value: ClockValue) -> bytes:
        return roster.open_piece(core, secret, _clock(value), head_of(core))

    def unsigned(core: Core, secret: Any, value: ClockValue) -> bytes:
        head = head_of(core)
        return unattributed.open_unattributed(core, secret, _clock(value), head).text.encode()

    return [
        Rule("key block", ("CORE of key block", "export", "clock then"), _wrapped(0)),
        Rule("epoch core", ("CORE of epoch core", "export", "clock later"), _wrapped(1)),
        Rule(
            "sender's chain key", ("key block",), lambda seed: sender_key.first_key(ChainSeed(seed))
        ),
        Rule("post's leaf key", ("CORE of post", "sender's chain key", "clock later"), _leaf),
        Rule("post", ("CORE of post", "post's leaf key"), _post),
        Rule("file key", ("post",), CoreSecret),
        Rule("file chunk", ("CORE of file chunk", "file key", "clock later"), piece),
        Rule("unattributed", ("CORE of unattributed", "epoch secret", "clock later"), unsigned),
        Rule("ROSTER SECRET", ("epoch secret",), epoch.roster_secret),
        Rule("roster piece", ("CORE of roster piece", "ROSTER SECRET", "clock later"), piece),
    ]


def _lobby() -> list[Rule]:
    public = _LOBBY_KEYS.public()

    def core_in(name: str) -> Callable[[Any], Core]:
        def opened(words: Any) -> Core:
            lobby = invite.Lobby.of(words, RELAY_PUBLIC)
            return block.unwrap(
                scene().blocks[name], lobby.drop.outer, lobby.at, THEN, (THEN, THEN)
            )

        return opened

    def by_coins(core: Core, words: Any, x: X25519Private, kems: tuple[KemShared, ...]) -> bytes:
        shared = dh(x, public.identity.x), dh(x, public.prekey.x), kems[0].expose()
        lobby = invite.Lobby.of(words, RELAY_PUBLIC)
        key = invite._join_key(shared, lobby, public, head_of(core))
        start, end = invite._CIPHERTEXT_END, invite._COMMITMENT_END
        key.check(core[start:end])
        plain = unpad(key.open(core[end:], core[:end]))
        return decode(plain, invite.Join, invite._JOIN).once

    def by_keys(core: Core, words: Any, identity: HybridPrivate, prekey: HybridPrivate) -> bytes:
        lobby = invite.Lobby.of(words, RELAY_PUBLIC)
        return invite.open_join(core, head_of(core), BundleKeys(identity, prekey), lobby).once

    def admitted(core: Core, keys: SessionKeys, words: Any) -> bytes:
        lobby = invite.Lobby.of(words, RELAY_PUBLIC)
        opened = intro._open(core, keys, lobby.at, head_of(core)).admission
        assert opened is not None
        return opened.pack()

    def card(core: Core, words: Any) -> bytes:
        lobby = invite.Lobby.of(words, RELAY_PUBLIC)
        return roster.open_piece(core, lobby.card, lobby.at, head_of(core))

    words, core = "invite's words", "CORE of admission"
    names = ("F's identity", "N's identity", "N's prekey")
    return [
        *(Rule(f"CORE of {n}", (words,), core_in(n)) for n in ("card", "join", "admission")),
        Rule("card", ("CORE of card", words), card),
        Rule(
            "join",
            ("CORE of join", words, "join's coins (X25519)", "join's coins (ML-KEM)"),
            by_coins,
        ),
        Rule("join", ("CORE of join", words, "F's identity", "lobby's prekey"), by_keys),
        Rule("once", ("join",), OnceSecret),
        Rule("ADMISSION KEY", (words, "once"), invite.admission_key),
        *_agreed("admission", core, _N, names),
        _session("admission", core, "ADMISSION KEY", _ADMITTED, _N),
        Rule("admission", (core, "KEYS of admission", words), admitted),
    ]


def _doors() -> list[Rule]:
    """A relay's door, and the vault."""

    def request(keys: DropKeys, drop: Any) -> bytes:
        return Request.write(Operation.READ, drop, LATER, NONCE, b"", keys).pack()

    def as_member(secret: Any) -> bytes:
        drop = Drop.of_epoch(secret, RELAY_PUBLIC)
        return request(DropKeys.of_client(drop.id, drop.access, RELAY_PUBLIC), drop.id)

    def as_relay(private: X25519Private) -> bytes:
        known = Drop.of_epoch(scene().secrets["epoch secret"], RELAY_PUBLIC)
        public = x25519_public(known.access)  # a relay keeps both, and needs no secret of members
        return request(DropKeys.of_relay(known.id, public, private, RELAY_PUBLIC), known.id)

    def item(store: StoreKey, expiry: ExpiryKey, thread: ThreadKey) -> bytes:
        return open_item(item_key(store, expiry, thread), scene().item, b"here")

    return [
        Rule("relay request", ("epoch secret",), as_member),
        Rule("relay request", ("relay's key",), as_relay),
        Rule("vault item", ("store key", "expiry key", "thread key"), item),
    ]


def another(value: Any) -> Any:
    """Of the same kind as a secret, and not it."""
    if isinstance(value, Coins):
        return Coins(another(value.x), tuple(another(each) for each in value.kems))
    if isinstance(value, HybridPrivate):
        return HybridPrivate(another(value.x), another(value.kem))
    if isinstance(value, tuple):
        return tuple(another(each) for each in value)
    assert isinstance(value, Secret)
    return type(value)(hashlib.shake_256(b"another" + value.expose()).digest(value.LENGTH))
