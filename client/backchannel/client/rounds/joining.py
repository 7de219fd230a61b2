"""A newcomer's side in the vault: an invitation read, answered, and turned into a channel when
admitted.

Knows no screen, and no network beyond reading a lobby once before anything is decided.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from backchannel.client.app import App
from backchannel.client.errors import (
    Gone,
    InviteOver,
    InviteUnknown,
    Refused,
    RelayGarbage,
    UnknownDrop,
    UsageMistake,
    WordsMistyped,
)
from backchannel.client.rounds import outbox, session
from backchannel.client.rounds.relays import forget_strangers
from backchannel.client.telling import phrases
from backchannel.client.vault.channels import JoinRow, Summary
from backchannel.client.vault.cursors import Cursor
from backchannel.client.vault.vault import Vault
from backchannel.client.wire.address import Address
from backchannel.client.wire.relay import Description, Relay
from backchannel.protocol.alias import alike
from backchannel.protocol.candidate import Candidate
from backchannel.protocol.channel import Channel
from backchannel.protocol.drop import Operation, Page
from backchannel.protocol.errors import DecodeError, LocalProtocolError, RemoteProtocolError
from backchannel.protocol.invite import Card
from backchannel.protocol.outcome import EVERY_HOUR, Arrival, Poll, Repost
from backchannel.protocol.types import Hour, Timestamp, hour_of
from backchannel.protocol.words import invite_entropy, spoken

MOST_PAGES = 4096  # of a drop in one round: a quarter of a million blocks
SHOWN = 24  # hours that an ended join is shown in `status`


class Read(NamedTuple):
    """A lobby as far as it was read."""

    candidate: Candidate
    cursor: Cursor


def check_words(words: str) -> None:
    """`WordsMistyped` unless they could be an invite's. Asks nobody."""
    try:
        invite_entropy(words)
    except DecodeError as error:
        raise WordsMistyped(f"{phrases.sentence(str(error))} Nothing was sent.") from None


def over(reason: str) -> InviteOver:
    """The error for a lobby that waits for nobody."""
    return InviteOver(f"{phrases.ended(reason)} Nothing was sent.")


def read(
    words: str, url: str, found: Description, connect: Callable[[], Relay], now: Timestamp
) -> Read:
    """The invitation behind the words; `InviteOver` or `InviteUnknown` where there is none."""
    candidate = Candidate.begin(words, url, found.key.value)
    with connect() as relay:
        cursor = _read_lobby(candidate, relay, now)
    if candidate.state.marker is not None:
        raise over(candidate.state.marker)
    if candidate.phase != "deciding" or hour_of(now) > candidate.card.last:
        raise over("expired")
    for each in candidate.card.relays:
        _refuse_unless_address(each.url)
    return Read(candidate, cursor)


def _refuse_unless_address(url: str) -> None:
    """`Refused` for anything but the one spelling: a second one would escape the pinned key."""
    with suppress(UsageMistake):
        if str(Address.parse(url, allow_http=True)) == url:
            return
    msg = "The invitation names a relay by what is no relay's address. Nothing was sent."
    raise Refused(msg, "tell the facilitator")


def _read_lobby(candidate: Candidate, relay: Relay, now: Timestamp) -> Cursor:
    (poll,) = candidate.polls()
    cursor = Cursor(0, EVERY_HOUR)
    for _ in range(MOST_PAGES):
        try:
            page = relay.read(poll.drop, cursor.position, EVERY_HOUR)
        except UnknownDrop:
            msg = "The relay knows no such invite: it expired, or is another relay's."
            raise InviteUnknown(msg) from None
        _receive(candidate, poll, page, now)
        before, cursor = cursor, after(cursor, page)
        if not page.more or cursor.position <= before.position:
            return cursor
    msg = "The relay says that this lobby holds more than any does."
    raise RelayGarbage(msg)


def after(cursor: Cursor, page: Page) -> Cursor:
    """Where to read on behind a page; from the beginning where the drop ends before the cursor: a
    relay came back from a backup, and has given positions a second time.
    """
    return Cursor(page.following if page.following >= cursor.position else 0, EVERY_HOUR)


def _receive(candidate: Candidate, poll: Poll, page: Page, now: Timestamp) -> None:
    for row in page.rows:
        try:
            candidate.receive(Arrival(poll.drop.id, row.hour, row.block), now)
        except RemoteProtocolError:
            continue  # noise in a lobby: whoever holds the words may write there


def answer(app: App, vault: Vault, found: Read, alias: str) -> JoinRow:
    """Accept under `alias`; saved with the answer owed, and not sent yet."""
    candidate, now = found.candidate, app.now()
    _refuse_second(vault, candidate.card)
    if alike(alias, candidate.card.facilitator.alias):
        msg = f"The facilitator is called {candidate.card.facilitator.alias} already."
        raise UsageMistake(msg, "choose another --alias")
    try:
        outcome = candidate.accept(alias, now, app.entropy)
    except DecodeError as error:
        raise UsageMistake(phrases.sentence(str(error)), "choose another --alias") from None
    except LocalProtocolError as error:
        raise Gone(phrases.sentence(str(error)), "ask for a new invite") from None
    (poll,) = candidate.polls()
    ident = app.entropy.draw(16)
    about = _summary(candidate) | {"check_words": check_spoken(candidate)}
    with vault.exclusive(now), vault.transaction():
        _refuse_second(vault, candidate.card)  # another process may have been faster
        vault.joins.add(ident, poll.relay, alias, candidate.snapshot(), about)
        vault.cursors.put(poll.relay, poll.drop.id, found.cursor)
        for effect in outcome.effects:
            assert not isinstance(effect, Repost)  # noqa: S101 - a newcomer keeps no cores
            # Anybody on the way can say that a lobby is gone: the answer is owed until its time is.
            outbox.owe(vault, ident, effect, outbox.LASTING, hour_of(now))
    return next(row for row in vault.joins.list() if row.id == ident)


def _refuse_second(vault: Vault, card: Card) -> None:
    """A vault holds one entry of a channel."""
    waiting = [row for row in vault.joins.list() if not row.summary["over"]]
    if any(row.summary["id"] == card.channel.hex() for row in waiting):
        msg = f"You wait to be admitted to {card.name} already. Nothing was sent."
        raise Refused(msg, "ask the facilitator to admit you, then: backchannel sync")
    if any(row.id == card.channel for row in vault.channels.list()):
        msg = f"You are in {card.name} already. Nothing was sent."
        raise Refused(msg, "to join a second time, as somebody else, use another --home")


def poll(row: JoinRow) -> Poll:
    """The lobby of a pending join."""
    return Candidate.open(row.state).polls()[0]


def check_spoken(candidate: Candidate) -> str:
    """Six words, slow on purpose."""
    return " ".join(spoken(candidate.check(), 6))


def take(app: App, vault: Vault, ident: bytes, poll: Poll, cursor: Cursor, page: Page) -> int:
    """A page of the lobby and its cursor in one transaction; 1 where it opened the door."""
    now = app.now()
    with vault.exclusive(now), vault.transaction():
        row = _find(vault, ident)
        if row is None or vault.cursors.get(poll.relay, poll.drop.id) != cursor:
            return 0
        candidate = Candidate.open(row.state)
        _receive(candidate, poll, page, session.steady(vault, now))
        if candidate.phase == "admitted":
            _enter(app, vault, row, candidate, poll, now)
            return 1
        vault.cursors.put(poll.relay, poll.drop.id, after(cursor, page))
        vault.joins.put_state(ident, candidate.snapshot(), row.summary | _summary(candidate))
    return 0


def _enter(
    app: App, vault: Vault, row: JoinRow, candidate: Candidate, poll: Poll, now: Timestamp
) -> None:
    channel = Channel(*candidate.channel())
    session.begin(vault, channel, founded=False, now=now, entropy=app.entropy)
    vault.joins.remove(row.id)
    vault.cursors.remove(poll.relay, poll.drop.id)


def tidy(app: App, vault: Vault, ident: bytes) -> None:
    """Say of a join that its time is over; let go of it a day later."""
    now = app.now()
    with vault.exclusive(now), vault.transaction():
        row, hour = _find(vault, ident), vault.hour(now)
        if row is None or hour <= row.summary["last"]:
            return
        vault.outbox.let_go(ident, Operation.APPEND, Hour(hour + 1))
        if hour > row.summary["last"] + SHOWN:
            vault.joins.remove(ident)
        elif not row.summary["over"]:
            vault.joins.put_state(ident, row.state, row.summary | {"over": "expired"})


def withdraw(app: App, vault: Vault, row: JoinRow) -> None:
    """Wait no more: erase the join with its keys, and what of it was not sent."""
    place = poll(row)
    with vault.exclusive(app.now()):
        with vault.transaction():
            vault.cursors.remove(place.relay, place.drop.id)
            vault.outbox.forget(row.id)
            vault.joins.remove(row.id)
            forget_strangers(vault)
        vault.fold()


def _find(vault: Vault, ident: bytes) -> JoinRow | None:
    return next((row for row in vault.joins.list() if row.id == ident), None)


def _summary(candidate: Candidate) -> Summary:
    card = candidate.card
    return {
        "channel": card.name,
        "id": card.channel.hex(),
        "last": Hour(card.last),
        "over": candidate.state.marker or "",
        "relays": [[candidate.state.relay.url, candidate.state.relay.key.hex()]],
    }
