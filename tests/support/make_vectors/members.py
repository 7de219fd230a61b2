"""Vectors of sections 9 and 11: who is in a channel, and how somebody comes in."""

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from backchannel.protocol import invite
from backchannel.protocol.codec import encode
from backchannel.protocol.core import Head, Kind
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.epoch import roster_secret
from backchannel.protocol.roster import (
    Package,
    Policy,
    Roster,
    charter_hash,
    seal_package,
    seal_piece,
)
from backchannel.protocol.types import (
    Core,
)
from tests.support import cast
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
from tests.support.make_vectors.lines import INVITE, ONCE
from tests.support.vectors import Case


def roster() -> Cases:
    yield case("version 1", "roster", encoded=FIRST.pack())
    yield case("version 2", "roster", encoded=SECOND.pack())
    yield case("of all there is", "roster", encoded=_full().pack())
    yield from _rosters_refused()
    package = cast.package(SECOND)
    good = case("a package", "package", package=package.pack())
    yield good
    yield damaged(
        good, "a package, an identity changed", "rules", "package", 8 * (4 + len(SECOND.pack()))
    )
    alone = Package(SECOND, {}).pack()
    yield case("a package without bundles", "package", package=alone)
    yield changed(good, "a package, cut", "size", package=package.pack()[:-1])
    yield changed(good, "a package, longer", "size", package=package.pack() + b"\0")
    cores = seal_package(
        package, roster_secret(SECRET), lambda _: CLOCK, HOUR, ScriptedEntropy("p")
    )
    for number, core in enumerate(cores):
        yield _piece(f"piece {number}", core)
    good = _piece("piece", cores[0])
    yield damaged(good, "piece, commitment changed", "commitment", "core", of_byte(21))
    yield damaged(good, "piece, ciphertext changed", "ciphertext", "core", of_byte(53))
    yield damaged(good, "piece, hour changed", "commitment", "core", of_byte(4))
    yield from _successors()
    texts = {"charter": "We speak freely.", "disclosure": encode(cast.DISCLOSURE)}
    yield case("hashes of charter and disclosure", "texts", **texts)


def _full() -> Roster:
    policy = Policy(2160, "workshop", 64, 8)
    merged, heads = (fixed("rival"),) * 4, (fixed("head"),) * 64
    return msgspec.structs.replace(SECOND, policy=policy, merged=merged, heads=heads, epoch=7)


def _piece(name: str, core: Core) -> Case:
    secret = roster_secret(SECRET).expose()
    return case(name, "roster piece", core=core, clock=CLOCK.expose(), roster_secret=secret)


def _rosters_refused() -> Cases:
    replace = msgspec.structs.replace
    one, two = FIRST.entries
    relay = FIRST.relays[0]
    refused: dict[str, tuple[str, Roster]] = {
        "version 0": ("rules", replace(FIRST, version=0)),
        "version 1 with one before": ("rules", replace(FIRST, previous=b"p" * 32)),
        "version 2 with none before": ("rules", replace(SECOND, previous=bytes(32))),
        "slots that fall": ("rules", replace(FIRST, entries=(two, one))),
        "one slot twice": ("rules", replace(FIRST, entries=(one, replace(two, slot=0)))),
        "slot 64": ("rules", replace(FIRST, entries=(one, replace(two, slot=64)))),
        "names alike": ("rules", replace(FIRST, entries=(one, replace(two, alias="ANNA")))),
        "one identity twice": (
            "rules",
            replace(FIRST, entries=(one, replace(two, identity=one.identity))),
        ),
        "an unknown role": ("rules", replace(FIRST, entries=(replace(one, role="guest"), two))),
        "nobody": ("rules", replace(FIRST, entries=())),
        "no relay": ("rules", replace(FIRST, relays=())),
        "nine relays": ("rules", replace(FIRST, relays=(relay,) * 9)),
        "the key of courier files": (
            "rules",
            replace(FIRST, relays=(replace(relay, key=bytes(32)),)),
        ),
        "one relay twice": ("rules", replace(FIRST, relays=(relay, relay))),
        "an address of nothing": ("rules", replace(FIRST, relays=(replace(relay, url=""),))),
        "an address not NFC": ("rules", replace(FIRST, relays=(replace(relay, url="e\u0301"),))),
        "a relay key not canonical": (
            "encoding",
            replace(FIRST, relays=(replace(relay, key=b"\xff" * 32),)),
        ),
        "lifetime 0": ("rules", replace(FIRST, policy=replace(FIRST.policy, lifetime=0))),
        "lifetime 2161": ("rules", replace(FIRST, policy=replace(FIRST.policy, lifetime=2161))),
        "65 heads": ("rules", replace(FIRST, heads=(bytes(32),) * 65)),
        "five rivals": ("rules", replace(FIRST, merged=(bytes(32),) * 5)),
        "an unknown format": ("rules", replace(FIRST, policy=replace(FIRST.policy, format="ball"))),
        "three people for an unattributed post": (
            "rules",
            replace(FIRST, policy=replace(FIRST.policy, unattributed=3)),
        ),
        "nine vouches": ("rules", replace(FIRST, policy=replace(FIRST.policy, vouches=9))),
        "an id of 15": ("rules", replace(FIRST, channel=bytes(15))),
        "a hash of 33": ("rules", replace(FIRST, charter=bytes(33))),
    }
    for why, (reason, bad) in refused.items():
        yield case(f"refused: {why}", "roster", reason, encoded=encode(bad))
    packed = FIRST.pack()
    yield case("refused: bytes after it", "roster", "encoding", encoded=packed + b"\0")
    yield case("refused: cut", "roster", "encoding", encoded=packed[:-1])
    longer = packed.replace(bytes([0x9E, 0xC4, 0x10]), bytes([0x9E, 0xC5, 0x00, 0x10]), 1)
    yield case("refused: not the shortest form", "roster", "encoding", encoded=longer)


def _successors() -> Cases:
    def follows(name: str, new: Roster, expect: str = "ok", /, **given: Any) -> Case:
        known: dict[str, Any] = {"epoch_core": False, "gone": [], "agreed": False, "now": HOUR}
        keys = {"epoch_secret": SECRET.expose(), "clock": CLOCK.expose()}
        both = {"current": FIRST.pack(), "new": new.pack()}
        return case(name, "successor", expect, **both | keys | known | given)

    replace = msgspec.structs.replace
    yield follows("a successor", SECOND)
    one, two, three = SECOND.entries
    rules = SECOND.policy
    yield follows("nobody new", replace(SECOND, entries=FIRST.entries))
    more = (one, replace(two, role="facilitator"), three)
    yield follows("a role with more", replace(SECOND, entries=more))
    yield follows("a shorter life", replace(SECOND, policy=replace(rules, lifetime=24)))
    for how in ("suspended", "dormant", "closed"):
        put = replace(SECOND, policy=replace(rules, standing=how))
        yield follows(f"one that is {how}", put)
    mixed = replace(SECOND, policy=replace(rules, standing="closed", vouches=1))
    yield follows("no successor: closed, and another rule with it", mixed, "rules")
    over = replace(FIRST, policy=replace(rules, standing="closed"))
    after = replace(SECOND, previous=over.hash)
    yield follows("no successor: of one that is closed", after, "rules", current=over.pack())
    changes: dict[str, dict[str, Any]] = {
        "another channel": {"channel": bytes(16)},
        "another epoch without its core": {"epoch": 1},
        "a longer life": {"policy": replace(rules, lifetime=721)},
        "another format": {"policy": replace(rules, format="workshop")},
        "another charter": {"charter": b"c" * 32},
        "another disclosure": {"disclosure": b"d" * 32},
        "two versions on": {"version": 3},
        "another one before": {"previous": b"p" * 32},
        "issued by a participant": {"issuer": 1},
        "issued by nobody": {"issuer": 9},
        "heads while the epoch stays": {"heads": (b"h" * 32,)},
        "somebody left": {"entries": (one, three)},
        "a lighter role while the epoch stays": {
            "entries": (one, replace(two, role="observer"), three)
        },
        "somebody renamed": {"entries": (one, replace(two, alias="b"), three)},
        "nobody who facilitates": {"entries": (replace(one, role="participant"), two, three)},
    }
    for why, fields in changes.items():
        yield follows(f"no successor: {why}", replace(SECOND, **fields), "rules")
    yield from _next_epochs(follows)


def _next_epochs(follows: Callable[..., Case]) -> Cases:
    """With a core that begins an epoch; it is of the same secret here."""
    replace = msgspec.structs.replace
    one, two, three = SECOND.entries
    turned = replace(SECOND, epoch=1, heads=(fixed("head"),))
    yield follows("a new epoch", turned, epoch_core=True)
    yield follows("a core for no epoch", SECOND, "rules", epoch_core=True)
    without = replace(turned, entries=(one, three))
    yield follows("a new epoch without somebody", without, epoch_core=True, gone=[1])
    yield follows("somebody gone unsaid", without, "rules", epoch_core=True)
    yield follows("somebody said to go who stays", turned, "rules", epoch_core=True, gone=[1])
    by_name = replace(without, previous=b"p" * 32, merged=(FIRST.hash,))
    yield follows("over a rival, whoever went there", by_name, epoch_core=True)
    yield follows("a new epoch above all", replace(turned, epoch=2), epoch_core=True)
    high = replace(turned, epoch=3)
    yield follows("no successor: an epoch that no branch has", high, "rules", epoch_core=True)
    among = replace(turned, previous=b"p" * 32, merged=(b"m" * 32, FIRST.hash))
    yield follows("by name among rivals", among, epoch_core=True)
    stays = replace(among, epoch=0, heads=())
    yield follows("no successor: a rival ended in its own epoch", stays, "rules")
    longest = replace(among, version=65)
    yield follows("by name, of a longer branch", longest, epoch_core=True)
    further = replace(among, version=66)
    yield follows("no successor: of a branch too long", further, "rules", epoch_core=True)
    lighter = replace(turned, entries=(one, replace(two, role="observer"), three))
    yield follows("a lighter role with a new epoch", lighter, epoch_core=True)
    longer = replace(turned, policy=replace(turned.policy, lifetime=721))
    yield follows("a longer life, agreed", longer, epoch_core=True, agreed=True)
    yield follows("a longer life, not agreed", longer, "rules", epoch_core=True)
    sides = tuple(replace(each, party=f"side {each.slot}") for each in SECOND.entries)
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "bilateral": ("ok", {}),
        "shuttle": ("rules", {}),
        "hotline": ("rules", {}),
        "workshop": ("ok", {}),
    }
    for kind, (expect, fields) in kinds.items():
        policy = replace(turned.policy, format=kind, **fields)
        new = replace(turned, policy=policy, entries=(one, two, sides[2]))
        yield follows(f"a {kind} of two parties", new, expect, epoch_core=True, agreed=True)
    hot = replace(turned.policy, format="hotline", lifetime=72)
    given = {"epoch_core": True, "agreed": True}
    yield follows("a hotline of 72 hours", replace(turned, policy=hot), **given)
    nobody = replace(hot, unattributed=4)
    yield follows("a hotline of nobody", replace(turned, policy=nobody), "rules", **given)


@cache
def the_card() -> invite.Card:
    person = invite.Person("anna", "party", "facilitator")
    return invite.Card(
        channel=FIRST.channel,
        name="North",
        charter="We speak freely. " * 400,
        disclosure=cast.DISCLOSURE,
        relays=FIRST.relays,
        lifetime=720,
        slot=0,
        facilitator=person,
        bundle=cast.bundle("anna").pack(),
        invited=invite.Person("cleo", "party", "observer"),
        last=HOUR + 72,
    )


def lobby() -> Cases:
    relay = FIRST.relays[0].key
    opened: dict[str, Any] = {"entropy": INVITE, "relay_key": relay}
    made = invite.Lobby.of(invite.invite_secret(INVITE), FIRST.relays[0].public)
    entropy = ScriptedEntropy("lobby")
    yield case("what an invite opens", "invite", **opened)
    for once in (ONCE, bytes(32)):
        name = f"the key of an admission, once {once[:2].hex()}"
        yield case(name, "admission key", entropy=INVITE, once=once)
    for name, card in (("card", the_card()), ("marker", invite.Marker("burnt"))):
        for number, core in enumerate(invite.seal_card(card, made, HOUR, entropy)):
            yield case(f"piece {number} of a {name}", "card piece", core=core, **opened)
    head = Head(Kind.CARD, HOUR, fixed("salt", 16))
    bad = {
        "index 1 of 1": b"\1\1x",
        "count 0": b"\0\0x",
        "count 9": b"\0\x09x",
        "no piece": b"\0\1",
    }
    for why, piece in bad.items():
        core = seal_piece(piece, made.card, made.at, head)
        reason = "size" if why == "no piece" else "rules"
        yield case(f"piece of a card, {why}", "card piece", reason, core=core, **opened)
    yield from _cards()
    yield from _joins(made, opened, entropy)


def _cards() -> Cases:
    replace = msgspec.structs.replace
    good = the_card()
    yield case("card", "card", encoded=encode(good))
    for reason in ("used", "refused", "burnt", "withdrawn"):
        yield case(f"marker {reason}", "card", encoded=encode(invite.Marker(reason)))
    refused: dict[str, tuple[str, invite.Card | invite.Marker]] = {
        "an unknown reason": ("rules", invite.Marker("lost")),
        "no facilitator": (
            "rules",
            replace(good, facilitator=replace(good.facilitator, role="observer")),
        ),
        "a name of nothing": ("rules", replace(good, name="")),
        "a charter of nothing": ("rules", replace(good, charter="")),
        "a charter too long": ("rules", replace(good, charter="c" * 20_001)),
        "a text not NFC": ("rules", replace(good, charter="e\u0301")),
        "a key not canonical": ("encoding", replace(good, bundle=b"\xff" * 2432)),
        "no relay": ("rules", replace(good, relays=())),
    }
    for why, (reason, card) in refused.items():
        yield case(f"card, {why}", "card", reason, encoded=encode(card))
    yield case("card, another tag", "card", "encoding", encoded=b"\x92\xa4curd\xa4used")


def _joins(made: invite.Lobby, opened: dict[str, Any], entropy: Entropy) -> Cases:
    own, card = cast.keys("anna"), the_card()
    join = invite.Join(
        "cleo", cast.bundle("cleo").pack(), charter_hash(card.charter), card.disclosure.hash, ONCE
    )
    yield case("what is in a join", "joined", encoded=encode(join))
    replace = msgspec.structs.replace
    for size in (0, 31, 33):
        short = encode(replace(join, once=bytes(size)))
        yield case(f"a join with {size} bytes once", "joined", "rules", encoded=short)
    four = encode(join)[:-34].replace(b"\x95", b"\x94", 1)
    yield case("a join without once", "joined", "encoding", encoded=four)
    core = invite.seal_join(join, own.public(), made, HOUR, entropy)
    given = {"core": core, "bundle": card.bundle} | private_keys(own) | opened
    good = case("join", "join", **given)
    yield good
    for why, reason, at in (
        ("ephemeral key", "commitment", 21),
        ("KEM ciphertext", "commitment", 53),
        ("commitment", "commitment", 1141),
        ("ciphertext", "ciphertext", 1173),
        ("hour", "commitment", 4),
        ("highest bit of the ephemeral key", "encoding", 52),
    ):
        yield damaged(good, f"join, {why} changed", reason, "core", of_byte(at))
    low = core[:21] + cast.LOW_ORDER[0] + core[53:]
    yield changed(good, "join, ephemeral key of low order", "rules", core=low.hex())
    bad = replace(join, alias=" cleo")
    sealed = invite.seal_join(bad, own.public(), made, HOUR, entropy)
    yield changed(good, "join, a name with a space before it", "rules", core=sealed.hex())
