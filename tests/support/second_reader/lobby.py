"""Owns SPEC 11: what an invite derives, cards and markers, and joins."""

from typing import Any

from tests.support.second_reader import shapes
from tests.support.second_reader.drops import drop_keys
from tests.support.second_reader.epoch import check_core, open_part
from tests.support.second_reader.identity import BUNDLE, check_name, read_bundle
from tests.support.second_reader.messagepack import read
from tests.support.second_reader.primitives import (
    check_x25519,
    dh,
    kdf,
    kem_open,
    label_hash,
    unpad,
)
from tests.support.second_reader.refused import Refused, need
from tests.support.second_reader.roster import HASH, LIFETIME, RELAYS, ROLE, SLOT, check_relays

MOST_CHARTER = 20000
MOST_PIECES = 8
PIECE = 3984

SAID = shapes.text(most_characters=500, least=1)
PERSON = shapes.record(alias=shapes.text(), party=shapes.text(), role=ROLE)
CARD = shapes.union(
    card=shapes.record(
        channel_id=shapes.binary(16),
        channel_name=shapes.text(),
        charter=shapes.text(MOST_CHARTER, least=1),
        disclosure=shapes.record(convened_by=SAID, funded_by=SAID, relay_run_by=SAID),
        relays=RELAYS,
        lifetime=LIFETIME,
        slot=SLOT,
        facilitator=PERSON,
        bundle=shapes.binary(BUNDLE),
        invited=PERSON,
        last_hour=shapes.uint(),
    ),
    marker=shapes.record(reason=shapes.one_of("used", "refused", "burnt", "withdrawn")),
)
JOIN = shapes.record(
    alias=shapes.text(),
    bundle=shapes.binary(BUNDLE),
    charter_hash=HASH,
    disclosure_hash=HASH,
    once=shapes.binary(32),
)


def invite_keys(entropy: bytes, relay_key: bytes) -> dict[str, bytes]:
    """SPEC 11: invite_secret, lobby_clock, card_secret, drop_secret and its keys."""
    need(len(entropy) == 16, "size", "entropy")
    invite = kdf(entropy, b"", "invite", b"", 32)
    drop_secret = kdf(invite, relay_key, "lobby drop", b"", 32)
    return {
        "invite_secret": invite,
        "lobby_clock": kdf(invite, b"", "lobby clock", b"", 32),
        "card_secret": kdf(invite, b"", "lobby card", b"", 32),
        "drop_secret": drop_secret,
    } | drop_keys(drop_secret)


def admission_key(invite_secret: bytes, once: bytes) -> bytes:
    """SPEC 11: the intro key of the admitting intro; once: of the newcomer's join."""
    return kdf(invite_secret + once, b"", "lobby intro", b"", 32)


def open_card_piece(core: bytes, lobby_clock: bytes, card_secret: bytes) -> tuple[int, int, bytes]:
    """SPEC 11: (index, count, piece) of a core of kind 9."""
    check_core(core, 9)
    body = unpad(open_part(core, card_secret, lobby_clock, (21, 53, 4056)), 3987)
    need(len(body) > 2, "size", "piece of a card")
    index, count = body[0], body[1]
    need(1 <= count <= MOST_PIECES and index < count, "rules", "number of a piece")
    return index, count, body[2:]


def join_card(pieces: list[tuple[int, int, bytes]]) -> dict[str, Any]:
    """SPEC 11: one card or marker from its pieces in any order; the first of an index counts."""
    count = pieces[0][1] if pieces else 0
    need(all(piece[1] == count for piece in pieces), "rules", "pieces of different cards")
    by_index: dict[int, bytes] = {}
    for index, _, piece in pieces:
        by_index.setdefault(index, piece)
    need(sorted(by_index) == list(range(count)) and count > 0, "rules", "a piece is missing")
    return decode_card(b"".join(by_index[index] for index in range(count)))


def read_lobby(pieces: list[tuple[int, int, bytes]]) -> dict[str, dict[str, Any]]:
    """SPEC 11: `card` and `marker` of a lobby, if they have come; pieces: as they came."""
    found: dict[str, dict[str, Any]] = {}
    groups: dict[int, list[tuple[int, int, bytes]]] = {}
    for piece in pieces:
        group = [piece] if piece[1] == 1 else [*groups.get(piece[1], []), piece]
        groups[piece[1]] = group
        if len({each[0] for each in group}) == piece[1]:
            try:
                whole = join_card(group)
            except Refused:
                continue
            found.setdefault(whole["tag"], whole)
    return found


def decode_card(encoded: bytes) -> dict[str, Any]:
    """SPEC 11: the fields of `CARD` above, with `tag` card or marker."""
    need(len(encoded) <= MOST_PIECES * PIECE, "size", "card")
    card: dict[str, Any] = CARD(read(encoded))
    if card["tag"] == "card":
        read_bundle(card["bundle"])
        check_relays(card["relays"])
        check_name(card["channel_name"])
        for person in (card["facilitator"], card["invited"]):
            check_name(person["alias"])
            check_name(person["party"])
        need(card["facilitator"]["role"] == "facilitator", "rules", "role of the facilitator")
    return card


def open_join(
    core: bytes,
    lobby_clock: bytes,
    card_secret: bytes,
    bundle: bytes,
    private: dict[str, bytes],
) -> dict[str, Any]:
    """SPEC 11: alias, bundle, charter_hash, disclosure_hash, once of a core of kind 10.

    bundle: the facilitator's, as in the card; private: its identity_x25519, prekey_x25519 and
    prekey_kem (seed 64).
    """
    check_core(core, 10)
    ephemeral = core[21:53]
    check_x25519(ephemeral)
    secrets = dh(private["identity_x25519"], ephemeral) + dh(private["prekey_x25519"], ephemeral)
    secrets += kem_open(private["prekey_kem"], core[53:1141])
    secret = kdf(secrets, card_secret, "join", label_hash("bundle", bundle), 32)
    return decode_join(unpad(open_part(core, secret, lobby_clock, (1141, 1173, 4056)), 2867))


def decode_join(encoded: bytes) -> dict[str, Any]:
    """SPEC 11: the fields of `JOIN` above."""
    join: dict[str, Any] = JOIN(read(encoded))
    check_name(join["alias"])
    read_bundle(join["bundle"])
    return join


def check_lobby_hour(hour: int, made: int, last: int) -> None:
    """SPEC 11: from the hour before the invite was made to its last hour (for who made it)."""
    if not made - 1 <= hour <= last:
        raise Refused("stale", "hour of a lobby")
