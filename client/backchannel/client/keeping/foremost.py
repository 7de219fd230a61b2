"""What comes before all else on a hotline's screen: calls to convene, incidents, a line that may be
dead. Each is shown once, and again when something about it changes.
"""

from typing import Any, NamedTuple, final

from backchannel.client.app import App
from backchannel.client.hotline import board, urgent
from backchannel.client.hotline.board import Board, is_hotline
from backchannel.client.hotline.incidents import Ticket
from backchannel.client.rounds.session import look
from backchannel.client.vault.channels import ChannelRow
from backchannel.client.vault.vault import Vault

Document = dict[str, Any]


class _Item(NamedTuple):
    """One thing to show; with another key it is news."""

    key: tuple[object, ...]
    document: Document
    lines: list[str]


@final
class Foremost:
    """One run of a command over one channel: remembers what it has shown."""

    def __init__(self, app: App, vault: Vault, name: str) -> None:
        self._app = app
        self._vault = vault
        self._name = name
        self._shown: set[tuple[object, ...]] = set()

    def show(self) -> int:
        """Print what is new; how many."""
        row = self._vault.channels.get(self._name)
        if not is_hotline(row.summary):
            return 0
        items = self._items(_read(self._app, self._vault, row))
        new = [each for each in items if each.key not in self._shown]
        for each in new:
            self._app.ui.show(each.document, *each.lines)
        self._shown |= {each.key for each in items}
        return len(new)

    def _items(self, seen: Board) -> list[_Item]:
        calls = [
            _Item((each.name,), urgent.of_call(seen, each), urgent.call_lines(each))
            for each in seen.calls
            if each.mine is None
        ]
        tickets = [_ticket(seen, each) for each in seen.tickets if self._concerns(each)]
        alarms = [
            _Item((text,), {"kind": "alarm", "channel": seen.channel, "text": text}, [text])
            for text in urgent.line_alarms(seen)
        ]
        return [*calls, *tickets, *alarms]

    def _concerns(self, ticket: Ticket) -> bool:
        """What is closed is told only to whom it was shown before."""
        return not ticket.closed or any(key[0] == ticket.name for key in self._shown)


def _ticket(seen: Board, ticket: Ticket) -> _Item:
    due = seen.due(ticket)
    key = ticket.name, ticket.state, due, ticket.newest, len(ticket.said)
    return _Item(key, urgent.of_ticket(seen, ticket), urgent.ticket_lines(seen, ticket))


def document(app: App, vault: Vault, row: ChannelRow) -> Document | None:
    """For `status`: all of it, and how it is said; None where there is no hotline."""
    if not is_hotline(row.summary):
        return None
    seen = _read(app, vault, row)
    return urgent.document(seen) | {"said": [line for each in urgent.first(seen) for line in each]}


def _read(app: App, vault: Vault, row: ChannelRow) -> Board:
    session = look(vault, row.name, app.now(), app.entropy)
    return board.read(vault, row, session.state, session.now)
