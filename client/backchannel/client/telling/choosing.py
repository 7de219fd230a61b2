"""Which channel, thread or message a person means, by what they typed and what there is."""

from typing import TYPE_CHECKING, NamedTuple

from backchannel.client.errors import NotFound, UsageMistake
from backchannel.client.telling.overview import lost_line, of_lost
from backchannel.client.telling.terms import MAIN
from backchannel.client.vault.channels import ChannelRow
from backchannel.protocol.types import MAIN_THREAD, ThreadId, Timestamp

if TYPE_CHECKING:
    from backchannel.client.telling.shown import Opened
    from backchannel.client.vault.vault import Vault
    from backchannel.protocol.state import ChannelState

_SHORTEST_ID = 4


class Chosen(NamedTuple):
    """A thread."""

    id: ThreadId
    topic: str


def pick_channel(vault: "Vault", name: str | None) -> ChannelRow:
    """The channel of that name, or by the start of it; without a name, the only one, or the only
    one that is not over.
    """
    rows = vault.channels.list()
    if name is None:
        return _only(vault, rows)
    found = [row for row in rows if row.name == name] or [
        row for row in rows if row.name.casefold().startswith(name.casefold())
    ]
    if not found:
        msg = f"There is no channel named {name}."
        raise NotFound(msg, "backchannel channel list")
    if len(found) > 1:
        raise _several("--channel", [row.name for row in found])
    return found[0]


def _only(vault: "Vault", rows: list[ChannelRow]) -> ChannelRow:
    meant = [row for row in rows if not row.summary["ended"]] or rows
    if len(meant) > 1:
        raise _several("--channel", [row.name for row in rows])
    if meant:
        return meant[0]
    waiting = [row.summary["channel"] for row in vault.joins.list() if not row.summary["over"]]
    if waiting:
        msg = f"Nobody has admitted you to {waiting[0]} yet."
        raise NotFound(msg, "ask the facilitator to admit you, then: backchannel sync")
    for row in vault.lost.list():
        about = of_lost(row)
        raise NotFound(lost_line(about), about["next"])
    msg = "There is no channel here yet."
    raise NotFound(msg, "backchannel join URL, or: backchannel channel new NAME")


def _several(option: str, names: list[str]) -> UsageMistake:
    listed = ", ".join(names)
    return UsageMistake(f"Several could be meant: {listed}.", f"add {option} and one of them")


def pick_thread(state: "ChannelState", text: str | None) -> Chosen:
    """A thread by its topic, the start of its topic, or its id; without any, the channel's own."""
    if text is None or text.casefold() == MAIN:
        return Chosen(MAIN_THREAD, MAIN)
    wanted, known = text.casefold(), [Chosen(i, t.topic) for i, t in state.threads.items()]
    long_enough = len(wanted) >= _SHORTEST_ID
    for found in (
        [each for each in known if each.topic.casefold() == wanted],
        [each for each in known if each.topic.casefold().startswith(wanted)],
        [each for each in known if long_enough and each.id.hex().startswith(wanted)],
    ):
        if len(found) > 1:
            listed = [f"{each.topic} ({each.id.hex()[:8]})" for each in found]
            raise _several("--thread", listed)
        if found:
            return found[0]
    msg = f"There is no thread {text!r}; it may have ended."
    raise NotFound(msg, "backchannel thread list")


def pick_message(vault: "Vault", row: ChannelRow, text: str, now: Timestamp) -> "Opened":
    """A message by the number that `read` shows, or by the start of its id."""
    from backchannel.client.telling.shown import opened

    every = opened(vault.messages.list(row.id, now))
    found = [each for each in every if text.isdecimal() and each.number == int(text)]
    if not found and len(text) >= _SHORTEST_ID:
        found = [each for each in every if each.message.id.hex().startswith(text.casefold())]
    if len(found) == 1:
        return found[0]
    msg = f"There is no message {text} here; it may have expired."
    raise NotFound(msg, "backchannel read")
