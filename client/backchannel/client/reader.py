"""What `read` shows: messages that still open, grouped by hour, each once. Fetches nothing."""

import json
from typing import final

from backchannel.client import phrases
from backchannel.client.app import App
from backchannel.client.choosing import pick_thread, topic_of
from backchannel.client.filter import one_line
from backchannel.client.session import look, mark_read, name_of
from backchannel.client.ui import width
from backchannel.client.vault.sealed import Message
from backchannel.client.vault.vault import Vault
from backchannel.protocol.roster import Roster
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import Hour


@final
class Reader:
    """One run of `read` over one channel: remembers what it has shown."""

    def __init__(self, app: App, vault: Vault, name: str, thread: str | None) -> None:
        self._app = app
        self._vault = vault
        self._name = name
        self._thread = thread
        self._shown: set[bytes] = set()
        self._hour: Hour | None = None

    def show(self, *, only_unread: bool = False) -> int:
        """Print what came since the last time, and count it as read; how many."""
        now = self._app.now()
        row = self._vault.channels.get(self._name)
        state = look(self._vault, self._name, now, self._app.entropy).state
        thread = pick_thread(state, self._thread).id if self._thread else None
        new = [
            each
            for each in self._vault.messages.list(row.id, now, thread)
            if each.content not in self._shown
        ]
        unread = row.summary["unread"]
        found = [each for each in new if not only_unread or name_of(each.content) in unread]
        looked = mark_read(self._vault, self._name, [name_of(each.content) for each in found], now)
        self._tell(looked.expired, looked.missed)
        for each in found:
            self._print(each, state, self._vault.hour(now))
        self._shown |= {each.content for each in new}
        return len(found)

    def _tell(self, expired: int, missed: int) -> None:
        if expired:
            self._app.ui.note(f"{phrases.count(expired, 'item')} expired unread.")
        if missed:
            blocks = phrases.count(missed, "block")
            self._app.ui.note(f"{blocks} expired at the relay before this machine fetched them.")

    def _print(self, message: Message, state: ChannelState, now: Hour) -> None:
        plain = json.loads(message.plain)
        author = _alias(state.roster, message.author)
        topic = topic_of(state, message.thread)
        document = {
            "id": message.id.hex(),
            "channel": self._name,
            "thread": topic,
            "thread_id": message.thread.hex(),
            "from": author,
            "you": message.author == state.me,
            "kind": plain["kind"],
            "text": plain["text"],
            "sent_at": phrases.stamp(message.hour),
            "expires_at": phrases.stamp(message.expires),
        }
        self._app.ui.show(document)
        if not self._app.ui.json:
            self._print_plainly(message, f"{author} in {topic}", plain["text"], now)

    def _print_plainly(self, message: Message, who: str, text: str, now: Hour) -> None:
        ui = self._app.ui
        if message.hour != self._hour:
            if self._hour is not None:
                ui.say()
            ui.title(phrases.hour_of_day(message.hour))
            self._hour = message.hour
        left = phrases.left(message.expires, now)
        ui.say(f"  {one_line(who):<{width() - 3 - len(left)}} {left}")
        ui.quote(text)


def _alias(roster: Roster | None, slot: int) -> str:
    entry = next((each for each in roster.entries if each.slot == slot), None) if roster else None
    return entry.alias if entry else f"member {slot}"
