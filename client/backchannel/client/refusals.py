"""What becomes of requests that a drop takes no more: its epoch ended meanwhile, or it is full.

What oneself said is said again where the epoch goes on; a change of one's own goes with the seal of
the drop that it ends. All else was of the old epoch alone, and is let go.
"""

import json
from collections.abc import Iterable

from backchannel.client import outbox, summary
from backchannel.client.errors import ClientError, DropFull
from backchannel.client.outbox import Refusal
from backchannel.client.session import Session
from backchannel.client.vault.messages import Message
from backchannel.client.vault.outbox import Owed
from backchannel.client.vault.vault import Vault
from backchannel.protocol import command as commands
from backchannel.protocol import limits
from backchannel.protocol.content import AUTHORITY, RELEASE
from backchannel.protocol.drop import Operation
from backchannel.protocol.state import ChannelState, Epoch
from backchannel.protocol.types import ContentHash, DropId, MessageId


def settle(vault: Vault, session: Session, refused: Iterable[Refusal]) -> None:
    """Deal with each, in the caller's transaction; what may still go in as it is stays owed."""
    for each in refused:
        over = _epoch(session.state, each.drop)
        rows = vault.outbox.of_drop(session.row.id, each.relay, each.drop, Operation.APPEND)
        if isinstance(each.error, DropFull) and over is not None:
            rows = _seal(vault, session, over, rows)
        if over is session.state.epoch and not session.state.ended:
            continue  # others may make room; or what comes next is not known here yet
        vault.outbox.done(*(row.id for row in rows))
        for message in _own(vault, session, rows):
            _say_again(vault, session, message)
        if any(row.label == outbox.ALONE for row in rows):
            summary.notice(session.summary, "unsent", session.hour, detail="unattributed")


def _epoch(state: ChannelState, drop: DropId) -> Epoch | None:
    for each in state.epochs:
        if any(own.id == drop for _, own in each.drops()):
            return each
    return None


def _seal(vault: Vault, session: Session, over: Epoch, rows: list[Owed]) -> list[Owed]:
    """Where one's own change ends the epoch, seal the drop with it: who filled it cannot prevent
    its own removal. What is left.
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
    """What oneself said in these requests, as far as it has not expired."""
    names = dict.fromkeys(row.message for row in rows if row.message)
    found = [vault.messages.find(session.row.id, name, session.now) for name in names]
    return [each for several in found for each in several if each.author == session.state.me]


def _say_again(vault: Vault, session: Session, message: Message) -> None:
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
