"""A facilitator between two legs that must not learn of each other, over a real relay: A013, A047,
A058, A108.
"""

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backchannel.client.app import App
from backchannel.client.rounds.session import look
from backchannel.client.rounds.sync import Sync
from backchannel.client.wire.relay import Relay
from backchannel.protocol.drop import Drop, Page, show_voucher
from backchannel.protocol.snapshot import save
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import Slot, Timestamp
from tests.support import relay as relays
from tests.support.member import Member
from tests.support.people import ENTROPY
from tests.support.relay import RelayProcess

NORTH, SOUTH = "Leg North", "Leg South"
OFFER = "We could live with a line drawn in June."
SOFTER = "A later date is not excluded."


@dataclass
class Shuttle:
    """Fox between Heron, of one leg, and Wren, of the other."""

    relay: RelayProcess
    folder: Path
    fox: Member
    heron: Member
    wren: Member

    def number(self, person: Member, text: str, channel: str) -> str:
        """What that person calls a message."""
        found = person.lines("read", "--offline", "--channel", channel)
        (number,) = [each["number"] for each in found if each.get("text") == text]
        return str(number)

    def say(self, text: str, *more: str) -> str:
        """Heron says it; its number at Fox's."""
        self.heron.json("say", text, "--channel", NORTH, *more)
        self.fox.do("sync", "--channel", NORTH)
        return self.number(self.fox, text, NORTH)

    def carry(self, number: str, *more: str) -> dict[str, Any]:
        """From leg to leg."""
        return self.fox.json("carry", number, "--from", NORTH, "--to", SOUTH, *more)

    def refused(self, number: str, *more: str) -> str:
        """Why it is not carried."""
        code, error = self.fox.fails("carry", number, "--from", NORTH, "--to", SOUTH, *more)
        assert code == 6
        return str(error["message"])


def open_leg(fox: Member, relay: RelayProcess, name: str, vouchers: str) -> None:
    more = ("--relay", relay.url, "--vouchers", "-", "--kind", "shuttle", "--alias", "Fox")
    fox.do("channel", "new", name, *more, give=vouchers)


def admit(fox: Member, relay: RelayProcess, guest: Member, leg: str, party: str) -> None:
    more = ("--party", party, "--channel", leg)
    words = fox.json("invite", guest.name, *more)["words"]
    guest.do("join", relay.url, "--yes", give=words + "\n")
    fox.do("admit", guest.name, "--channel", leg)
    for _ in range(2):
        guest.do("sync")
        fox.do("sync", "--channel", leg)


@contextlib.contextmanager
def shuttle() -> Iterator[Shuttle]:
    with tempfile.TemporaryDirectory(prefix="shuttle-") as name, relays.running_relay() as relay:
        folder = Path(name)
        fox, heron, wren = (Member.make(who, folder) for who in ("Fox", "Heron", "Wren"))
        vouchers = [show_voucher(each) for each in relay.mint(12)]
        open_leg(fox, relay, NORTH, "\n".join(vouchers[:6]))
        open_leg(fox, relay, SOUTH, "\n".join(vouchers[6:]))
        admit(fox, relay, heron, NORTH, "North")
        admit(fox, relay, wren, SOUTH, "South")
        yield Shuttle(relay, folder, fox, heron, wren)


@pytest.fixture(scope="module")
def legs() -> Iterator[Shuttle]:
    with shuttle() as running:
        yield running


# --- What is carried ----------------------------------------------------------------------------


def test_what_its_author_released_reaches_the_other_leg_under_its_label(legs: Shuttle) -> None:
    number = legs.say(OFFER, "--release", "exact", "--authority", "sounding")
    done = legs.carry(number)
    assert (done["text"], done["authority"]) == (OFFER, "sounding")
    (there,) = [each for each in legs.wren.lines("read") if each.get("text") == OFFER]
    assert there["carried"]
    assert (there["authority"], there["from"], there["quote"]) == ("sounding", "Fox", "")
    assert (there["answers"], there["thread"]) == (None, "main")
    (here,) = [each for each in legs.heron.lines("read") if each.get("text") == OFFER]
    assert there["id"] != here["id"]
    assert "there already" in legs.refused(number)


def test_what_was_not_released_stays_until_its_author_says_so(legs: Shuttle) -> None:
    text = "Between us: we have no mandate yet."
    number = legs.say(text, "--authority", "checked")
    assert "Heron has not released" in legs.refused(number)
    code, _ = legs.fox.fails("release", number, "--channel", NORTH, "--yes")
    assert code == 6
    legs.heron.do("release", legs.number(legs.heron, text, NORTH), "--yes")
    assert legs.carry(number)["authority"] == "checked"
    assert text in legs.wren.texts()


def test_other_words_go_once_their_author_has_approved_these(legs: Shuttle) -> None:
    text = "June, if they stop the boats; July, if they do not."
    number = legs.say(text)
    assert "has not approved other words" in legs.refused(number, "--paraphrase")
    legs.fox.json("paraphrase", number, SOFTER, "--channel", NORTH)
    assert "has not approved other words" in legs.refused(number, "--paraphrase")
    (asked,) = legs.heron.json("release")["asked"]
    assert asked["text"] == SOFTER
    mine = str(asked["number"])
    code, error = legs.heron.fails("release", mine, "--yes")  # which of the two is not said
    assert (code, "--as paraphrase" in error["next"]) == (2, True)
    legs.heron.do("release", mine, "--as", "paraphrase", "--yes")
    assert legs.heron.json("release")["asked"] == []
    legs.fox.json("paraphrase", number, "They accept everything.", "--channel", NORTH)
    assert legs.carry(number, "--paraphrase")["text"] == SOFTER
    assert "has not released" in legs.refused(number)
    assert SOFTER in legs.wren.texts()
    assert text not in legs.wren.texts()


def test_attack_words_that_name_the_other_leg_are_not_carried(legs: Shuttle) -> None:
    number = legs.say("Heron will wait.", "--release", "exact")
    assert "name Heron" in legs.refused(number)


def test_attack_a_private_note_is_not_carried(legs: Shuttle) -> None:
    text = "For you alone."
    legs.heron.json("say", text, "--to", "Fox", "--channel", NORTH)
    legs.fox.do("sync", "--channel", NORTH)
    assert "private note" in legs.refused(legs.number(legs.fox, text, NORTH))


def test_attack_a_member_of_a_leg_carries(legs: Shuttle) -> None:
    legs.fox.json("say", "Where do you stand?", "--channel", NORTH)
    legs.heron.do("sync")
    number = legs.number(legs.heron, "Where do you stand?", NORTH)
    code, _ = legs.heron.fails("carry", number, "--to", NORTH)
    assert code in {2, 6}


def test_a_third_party_is_not_let_into_a_leg(legs: Shuttle) -> None:
    code, error = legs.fox.fails("invite", "Ibis", "--party", "East", "--channel", NORTH)
    assert (code, "one party" in error["message"]) == (6, True)


def test_with_several_channels_each_verb_wants_to_know_which(legs: Shuttle) -> None:
    for verb in (
        ["say", "Hello."], ["read"], ["members"], ["invite", "Ibis"], ["lobby"], ["admit", "Ibis"],
        ["thread", "list"], ["thread", "new", "Dates"], ["channel", "show"], ["release", "1"],
        ["paraphrase", "1", "words"], ["policy"], ["log"], ["role", "Heron", "observer"],
    ):  # fmt: skip
        code, error = legs.fox.fails(*verb)
        assert (code, "--channel" in error["next"]) == (2, True), verb


# --- What the legs share: nothing -----------------------------------------------------------------


def state(person: Member, channel: str) -> ChannelState:
    with person.vault() as vault:
        return look(vault, channel, now(person), ENTROPY).state


def now(person: Member) -> Timestamp:
    import time

    return Timestamp(int(time.time()) + 3600 * person.ahead)  # noqa: TID251 - beside programs


def values(held: object) -> set[bytes]:
    """Every key, id and hash in a state, however deep: all that is as long as an id."""
    found: set[bytes] = set()
    pending = [held]
    while pending:
        each = pending.pop()
        if isinstance(each, bytes):
            found |= {each} if len(each) >= 16 else set()
        elif isinstance(each, dict):
            pending += [*each.keys(), *each.values()]
        elif isinstance(each, list | tuple | set):
            pending += list(each)
    return found


def keys(of: ChannelState) -> set[bytes]:
    """All of a channel, but the key of the relay that both stand on; charter and disclosure are the
    same text in both, and tables of roles and fields of nothing are no keys.
    """
    known = values(msgspec.msgpack.decode(save(of)))
    roster = of.current()
    shared = {
        *(relay.key for relay in of.relays),
        roster.charter,
        roster.disclosure,
        *of.roles.values(),
    }
    return {each for each in known if any(each)} - shared


def drops(of: ChannelState) -> set[bytes]:
    found = set[bytes]()
    for epoch in of.epochs:
        for relay in epoch.relays:
            drop = Drop.of_epoch(epoch.secret, relay.public)
            found |= {drop.id, drop.access.expose(), drop.outer.expose()}
    return found


def test_two_channels_of_one_vault_share_no_key_no_id_and_no_drop(legs: Shuttle) -> None:
    north, south = state(legs.fox, NORTH), state(legs.fox, SOUTH)
    assert len(keys(north)) > 30
    assert keys(north) & keys(south) == set()
    assert drops(north) & drops(south) == set()


def test_attack_nothing_of_one_leg_stands_in_what_the_other_keeps(legs: Shuttle) -> None:
    north = keys(state(legs.fox, NORTH)) | keys(state(legs.heron, NORTH))
    names = {b"Heron", b"Leg North"}
    with legs.wren.vault() as vault:
        (row,) = vault.channels.list()
        kept = vault.channels.get(row.name).state
        rows = [
            (each.plain, each.id, each.content)
            for each in vault.messages.list(row.id, now(legs.wren))
        ]
    everything = [kept, *(part for each in rows for part in each)]
    assert len(rows) >= 3
    for part in everything:
        assert not [each for each in north | names if each in part]


def test_attack_a_leg_counts_the_other(legs: Shuttle) -> None:
    before = state(legs.wren, SOUTH)
    legs.say("A word that stays here.")
    legs.wren.do("sync")
    after = state(legs.wren, SOUTH)
    assert set(after.transcript.posts) == set(before.transcript.posts)
    assert [each.alias for each in after.current().entries] == ["Fox", "Wren"]


def test_the_relay_holds_two_drops_that_nothing_joins(legs: Shuttle) -> None:
    north, south = (drops(state(legs.fox, leg)) for leg in (NORTH, SOUTH))
    database = f"{(legs.relay.data / 'relay.db').as_uri()}?mode=ro"
    with closing(sqlite3.connect(database, uri=True)) as connection:
        columns = [r[1] for r in connection.execute("PRAGMA table_info(drops)")]
        rows = connection.execute("SELECT * FROM drops").fetchall()
    mine = [
        [dict(zip(columns, row, strict=True)) for row in rows if bytes_of(row) & leg]
        for leg in (north, south)
    ]
    assert [len(each) for each in mine] == [1, 1]
    assert bytes_of(tuple(mine[0][0].values())) & bytes_of(tuple(mine[1][0].values())) == set()


def bytes_of(row: tuple[object, ...]) -> set[bytes]:
    return {each for each in row if isinstance(each, bytes) and len(each) >= 16}


def test_one_command_speaks_for_two_channels_over_two_connections(
    legs: Shuttle, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App()
    app.flags |= {"home": str(legs.fox.home)}
    spoken: dict[Relay, set[bytes]] = {}
    exchange, read = Relay.exchange, Relay.read

    def heard(self: Relay, operation: Any, drop: Any, *more: Any) -> bytes:
        spoken.setdefault(self, set()).add(bytes(drop))
        return exchange(self, operation, drop, *more)

    def heard_reading(self: Relay, drop: Drop, *more: Any, **named: Any) -> Page:
        spoken.setdefault(self, set()).add(bytes(drop.id))
        return read(self, drop, *more, **named)

    monkeypatch.setattr(Relay, "exchange", heard)
    monkeypatch.setattr(Relay, "read", heard_reading)
    with legs.fox.vault() as vault, Sync(app, vault) as sync:
        for leg in (NORTH, SOUTH, NORTH):
            sync.channel(leg)
    north, south = (drops(state(legs.fox, leg)) for leg in (NORTH, SOUTH))
    assert any(each & north for each in spoken.values())
    assert any(each & south for each in spoken.values())
    assert not any(each & north and each & south for each in spoken.values())


def test_one_person_in_two_channels_is_two_people_to_everybody(legs: Shuttle) -> None:
    def identity(person: Member, leg: str) -> set[bytes]:
        known = state(person, leg)
        (fox,) = [each for each in known.current().entries if each.alias == "Fox"]
        public = known.peers[Slot(fox.slot)].bundle
        halves = (public.identity, public.prekey)
        return {fox.identity, *(key for each in halves for key in (each.x.value, each.kem.value))}

    assert identity(legs.heron, NORTH) & identity(legs.wren, SOUTH) == set()
