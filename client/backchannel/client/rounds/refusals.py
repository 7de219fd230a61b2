"""What becomes of requests that a drop takes no more: its epoch ended meanwhile, or it is full, or
somebody sends more than it takes in a while.

What oneself said is said again where the epoch goes on; a change of one's own goes with the seal of
the drop that it ends. All else was of the old epoch alone, and is let go.
"""

import json
from collections.abc import Iterable
from typing import Final

from backchannel.client.errors import ClientError, DropFull, DropSealed, TooFast
from backchannel.client.rounds import outbox
from backchannel.client.rounds.outbox import Refusal
from backchannel.client.rounds.session import Session
from backchannel.client.telling import summary
from backchannel.client.vault.messages import Message
from backchannel.client.vault.outbox import Owed
from backchannel.client.vault.vault import Vault
from backchannel.protocol import command as commands
from backchannel.protocol import limits
from backchannel.protocol.content import AUTHORITY, RELEASE
from backchannel.protocol.drop import Operation
from backchannel.protocol.epochs import Epoch
from backchannel.protocol.roster import Package
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import ContentHash, DropId, Hour, MessageId

FORMER_HOURS: Final = 24  # that a relay which the channel has left is still sent what is owed to it


def settle(vault: Vault, session: Session, refused: Iterable[Refusal]) -> None:
    """Deal with each, in the caller's transaction; what may still go in as it is stays owed."""
    for each in refused:
        over = _epoch(session.state, each.drop)
        rows = vault.outbox.of_drop(session.row.id, each.relay, each.drop, Operation.APPEND)
        owed = len(rows)
        if isinstance(each.error, DropFull | TooFast) and over is not None:
            rows = _seal(vault, session, over, rows)
        if isinstance(each.error, TooFast) and len(rows) == owed:
            continue  # it is taken a little later
        if over is session.state.epoch and not session.state.ended:
            continue  # others may make room; or what comes next is not known here yet
        if isinstance(each.error, DropSealed):
            session.act(commands.Sealed(each.drop))
        vault.outbox.done(*(row.id for row in rows))
        if _was_left(session.state, each.drop):
            continue  # the relays that the channel is on are owed it, too
        for message in _own(vault, session, rows):
            _say_again(vault, session, message)
        if any(row.label == outbox.ALONE for row in rows):
            summary.notice(session.summary, "unsent", session.hour, detail="unattributed")


def follow(vault: Vault, session: Session) -> None:
    """Where the channel is on other relays now: what is for one that moved goes to where it is, and
    what is for one whose address is another's now, nowhere. Of what is for one that was left, all
    is let go that it did not take for a while: it tells those who still look there where the others
    went.
    """
    if not session.state.rivals:
        _say_unsaid(vault, session)
    for relay in session.state.relays:
        vault.outbox.readdress(session.row.id, relay.key, relay.url)
    coming = _coming(session.state)
    for relay in session.state.relays:
        if coming.get(relay.url, relay.key) == relay.key:
            rows = vault.outbox.replaced(session.row.id, relay.key, relay.url)
            ended = [row for row in rows if _epoch(session.state, row.drop) is not None]
            for message in _own(vault, session, ended):  # nobody brings to it what was said before
                _say_again(vault, session, message)
    for over in session.state.epochs:
        for _, drop in over.left():
            vault.outbox.leave(session.row.id, drop.id, Hour(session.hour - FORMER_HOURS))
        late = over.ending is not None and session.hour - over.ending.hour >= limits.SEAL_HOURS
        if late and not session.state.untold(over):
            _say_anew(vault, session, over)


def _say_unsaid(vault: Vault, session: Session) -> None:
    """What waited for rivals to end; what expired meanwhile is counted."""
    names = dict.fromkeys(session.summary.pop("unsaid", ()))
    own = _mine(vault, session, names)
    session.summary["unsent"] += len(names) - len(own)
    for message in own:
        _say_again(vault, session, message)


def _say_anew(vault: Vault, session: Session, over: Epoch) -> None:
    """Drops of an epoch that ended so long ago are sealed: what none of its relays has taken is
    said where the channel goes on, though nobody answers there to refuse it.
    """
    rows = [
        row
        for relay, drop in over.drops()
        for row in vault.outbox.of_drop(session.row.id, relay.url, drop.id, Operation.APPEND)
        if row.message and not row.taken
    ]
    vault.outbox.done(*(row.id for row in rows))
    for message in _own(vault, session, rows):
        _say_again(vault, session, message)


def _coming(state: ChannelState) -> dict[str, bytes]:
    """By address, the relays of a change of one's own that was not read back: it needs them."""
    if state.draft is None:
        return {}
    relays = Package.parse(state.draft.package).roster.relays
    return {relay.url: relay.key for relay in relays}


def leads_nowhere(state: ChannelState, refused: Iterable[Refusal]) -> bool:
    """Whether the current epoch's drop was sealed and nothing there tells of another: for whoever
    was away too long there is no way on.
    """
    here = any(
        isinstance(each.error, DropSealed) and _epoch(state, each.drop) is state.epoch
        for each in refused
    )
    return here and not state.announced and state.draft is None


def _epoch(state: ChannelState, drop: DropId) -> Epoch | None:
    for each in state.epochs:
        if any(own.id == drop for _, own in each.drops()):
            return each
    return None


def _was_left(state: ChannelState, drop: DropId) -> bool:
    return any(left.id == drop for over in state.epochs for _, left in over.left())


def _seal(vault: Vault, session: Session, over: Epoch, rows: list[Owed]) -> list[Owed]:
    """Where one's own change ends the epoch, seal the drop with it: who filled it, or keeps it
    busy, cannot prevent its own removal. What is left.
    """
    names = dict.fromkeys(ContentHash(row.content) for row in rows if not row.message)
    held = vault.cores.many(session.row.id, names, session.now)
    cores = tuple(held[name] for name in names if name in held)
    if not cores or not _is_mine_to_end(session.state, over):
        return rows
    try:
        session.act(commands.LastBlocks(cores[: limits.MOST_BLOCKS]))
    except ClientError:
        return rows
    vault.outbox.done(*(row.id for row in rows if not row.message))
    return [row for row in rows if row.message]


def _is_mine_to_end(state: ChannelState, over: Epoch) -> bool:
    """Whether the epoch ended, or is about to end, by what one announced oneself."""
    if over.ending is not None:
        return over.ending.issuer
    return over is state.epoch and state.draft is not None


def _own(vault: Vault, session: Session, rows: list[Owed]) -> list[Message]:
    """What oneself said in these requests, as far as it has not expired; what another relay has
    only where that does no harm.
    """
    taken = {row.message for row in rows if row.taken}
    own = _mine(vault, session, dict.fromkeys(row.message.hex() for row in rows if row.message))
    return [each for each in own if each.id not in taken or _heard_once(each)]


def _mine(vault: Vault, session: Session, names: Iterable[str]) -> list[Message]:
    """What oneself said under these message ids."""
    ids = (MessageId(bytes.fromhex(name)) for name in names)
    found = [vault.messages.find(session.row.id, name, session.now) for name in ids]
    return [each for several in found for each in several if each.author == session.state.me]


def _heard_once(message: Message) -> bool:
    """Whether it may be said again though a relay has it: with its id, others know it again."""
    return bool(json.loads(message.plain)["kind"] == "text")


def _say_again(vault: Vault, session: Session, message: Message) -> None:
    if session.state.rivals:  # nobody speaks while they stand: it is said once they are ended
        name = message.id.hex()
        session.summary["unsaid"] = [*session.summary.get("unsaid", ()), name]
        return
    plain = json.loads(message.plain)
    try:
        session.act(_command(message))
    except ClientError as error:
        summary.notice(session.summary, "unsent", session.hour, detail=error.message)
        return
    if plain["kind"] == "note":  # it has a new id: only what everybody hears is heard once
        vault.messages.remove(session.row.id, message.author, message.id)


def _command(message: Message) -> commands.Command:
    """`ClientError` for what cannot be said again."""
    plain = json.loads(message.plain)
    about = bytes.fromhex(plain.get("about", ""))
    match plain["kind"]:
        case "text":
            authority, release = (
                AUTHORITY.index(plain["authority"]),
                RELEASE.index(plain["release"]),
            )
            return commands.Say(
                *(message.thread, plain["text"], authority, release, about, plain["quote"]),
                *(plain["carried"], MessageId(message.id)),
            )
        case "note":
            authority = AUTHORITY.index(plain["authority"])
            return commands.Whisper(plain["to"], plain["text"], authority, about)
        case "closed":
            msg = "Something that you said off the record was not sent: the epoch had ended."
            raise ClientError(msg)
        case _:
            raise ClientError(f"{plain.get('name', 'A file')} was not sent: the epoch had ended.")
