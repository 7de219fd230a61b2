"""Entries who do not exist: their keys, their roster, an intro and a line between them."""

import hashlib
from functools import cache
from typing import NamedTuple

from backchannel.protocol import intro, line, primitives
from backchannel.protocol.core import Head, Kind
from backchannel.protocol.identity import Bundle, BundleKeys, identity_hash
from backchannel.protocol.intro import Seeds, Setting, Side, Started
from backchannel.protocol.line import Line
from backchannel.protocol.roster import Disclosure, Entry, Package, Policy, Relay, Roster
from backchannel.protocol.secret import ChainKey, ClockValue, IntroKey, X25519Private
from backchannel.protocol.types import ChannelId, GenerationId, Hour, RosterHash, Slot
from tests.support.entropy import ScriptedEntropy

HOUR = Hour(489_937)
CHANNEL = ChannelId(b"channel".ljust(16, b"."))
ROSTER = RosterHash(b"roster".ljust(32, b"."))
KEY = IntroKey(b"intro key".ljust(32, b"."))
SEEDS = Seeds(GenerationId(b"generation".ljust(16, b".")), 7, ChainKey(b"chain".ljust(32, b".")))
NAMES = ("anna", "bela", "cleo", "dora")
DISCLOSURE = Disclosure("two institutes", "a foundation", "a friend")

LOW_ORDER = tuple(
    value.to_bytes(32, "little")
    for value in (
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        2**255 - 20,
    )
)
"""The points of low order that have a canonical encoding: 0, 1, two of order 8, and -1."""


def clock(hour: Hour) -> ClockValue:
    """E at any hour, in no relation to its neighbours."""
    return ClockValue(hashlib.sha256(b"clock" + hour.to_bytes(4)).digest())


def head(kind: Kind, salt: int = 0, hour: Hour = HOUR) -> Head:
    """A head whose salt is told apart by a number."""
    return Head(kind, hour, salt.to_bytes(16))


@cache
def keys(name: str) -> BundleKeys:
    """The private keys of somebody."""
    return BundleKeys.draw(ScriptedEntropy(name))


@cache
def bundle(name: str) -> Bundle:
    """The public keys of somebody."""
    return keys(name).public()


def entry(slot: int, name: str, role: str = "participant") -> Entry:
    """Somebody's place in a roster."""
    known = identity_hash(bundle(name).identity)
    return Entry(slot, name, "party", role, known)  # type: ignore[arg-type]  # any role, for tests


def relay(name: str = "relay") -> Relay:
    """A relay with a static key that parses."""
    private = X25519Private(hashlib.sha256(name.encode()).digest())
    return Relay(f"https://{name}.example", primitives.x25519_public(private).value)


def roster(*names: str) -> Roster:
    """Version 1, of these people; the first is the facilitator."""
    entries = tuple(
        entry(slot, name, "participant" if slot else "facilitator")
        for slot, name in enumerate(names)
    )
    return Roster(
        channel=CHANNEL,
        version=1,
        previous=bytes(32),
        merged=(),
        issuer=0,
        hour=HOUR,
        epoch=0,
        commitment=bytes(32),
        relays=(relay(),),
        policy=Policy(720),
        charter=bytes(32),
        disclosure=DISCLOSURE.hash,
        heads=(),
        entries=entries,
    )


def package(of: Roster) -> Package:
    """A roster with everybody's bundle."""
    return Package(of, {Slot(each.slot): bundle(each.alias) for each in of.entries})


SETTING = Setting(CHANNEL, ROSTER, Side(Slot(0), 0), Side(Slot(1), 1))


def started(setting: Setting = SETTING, seed: object = "intro") -> Started:
    """Anna's intro to Bela."""
    return intro.start(
        setting,
        keys("anna"),
        bundle("bela"),
        KEY,
        SEEDS,
        None,
        clock,
        head(Kind.INTRO),
        ScriptedEntropy(str(seed)),
    )


class Pair(NamedTuple):
    """Both ends of one line."""

    a: Line
    b: Line


@cache
def pair() -> Pair:
    """Anna's and Bela's line right after the intro."""
    first = started()
    read = intro.accept(
        first.core,
        head(Kind.INTRO),
        SETTING,
        keys("bela"),
        bundle("anna").identity,
        KEY,
        clock,
    )
    return Pair(
        line.begin(first.keys, first.ratchet, HOUR), line.answer(read.keys, read.ratchet, HOUR)
    )


@cache
def answered() -> Pair:
    """The same after the reply."""
    a, b = pair()
    sealed, to = head(Kind.LINE), bundle("anna").identity.kem
    sent = line.send(b, b"reply", to, clock, sealed, ScriptedEntropy("reply"))
    opened = line.open_(a, sent.core, clock, sealed, keys("anna").identity.kem)
    assert opened is not None
    return Pair(opened.line, sent.line)
