"""What `read` shows: messages that still open, grouped by hour, each once, and where something is
missing. Fetches nothing.
"""

from typing import NamedTuple, final

from backchannel.client.aim import aimed
from backchannel.client.app import App
from backchannel.client.keeping.foremost import Foremost
from backchannel.client.keeping.seen import Looked, mark_read
from backchannel.client.rounds.session import look
from backchannel.client.telling import phrases, shown
from backchannel.client.telling.choosing import pick_thread
from backchannel.client.telling.reached import Reached, Ways
from backchannel.client.telling.shown import Opened
from backchannel.client.telling.summary import name_of
from backchannel.client.ui import width
from backchannel.client.vault.vault import Vault
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import ContentHash, Hour

_INDENT = " " * 5
_GAP = "     ~ Something is missing here: others saw a post that has not arrived."


class _Gap(NamedTuple):
    """A place where a post is missing."""

    hour: Hour
    order: int
    name: ContentHash


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
        self._foremost = Foremost(app, vault, name)

    def show(self, *, only_unread: bool = False) -> int:
        """Print what came since the last time, and count it as read; how many."""
        now, foremost = self._app.now(), self._foremost.show()
        row = self._vault.channels.get(self._name)
        state = look(self._vault, self._name, now, self._app.entropy).state
        thread = pick_thread(state, self._thread).id if self._thread else None
        rows = self._vault.messages.list(row.id, now)
        every = shown.opened(rows)
        new = [
            each
            for each in every
            if thread in (None, each.message.thread) and each.message.content not in self._shown
        ]
        unread = row.summary["unread"]
        found = [e for e in new if not only_unread or name_of(e.message.content) in unread]
        closed = [e.content for e in shown.closed(rows) if name_of(e.content) in unread]
        timers = {each.message.content: shown.timer(each, state) for each in found}
        none = dict.fromkeys(closed, 0)
        looked = mark_read(self._vault, self._name, timers | none, now, self._app.entropy)
        self._tell(looked, len(closed))
        gaps = _gaps(state) if not (only_unread or thread or self._shown) else []
        self._print_all([_ending(each, looked.ends) for each in found], gaps, every, state)
        self._warn(found)
        self._shown |= {each.message.content for each in new}
        return foremost + len(found)

    def _warn(self, found: list[Opened]) -> None:
        if any(each.message.off for each in found) and not self._app.outlives:
            self._app.ui.note(
                "The vault is not unlocked: no later command shows again what is off the record.",
                next="backchannel unlock",
            )

    def _tell(self, looked: Looked, closed: int) -> None:
        """What cannot be shown, why, and what to do."""
        counts = {"expired-unread": looked.expired, "missed": looked.missed, "off-record": closed}
        for reason, count in counts.items():
            if count:
                text, step = phrases.not_shown(reason, count)
                more = {"reason": reason, "count": count, "next": step}
                self._app.ui.note(text, channel=self._name, **more)

    def _print_all(
        self, found: list[Opened], gaps: list[_Gap], every: list[Opened], state: ChannelState
    ) -> None:
        now, left = self._vault.hour(self._app.now()), list(gaps)
        ways = Ways(self._vault, state)
        known = {each.message.id.hex(): each for each in every}
        for each in found:
            place = (each.message.hour, each.message.order)
            while left and left[0][:2] <= place:
                self._print_gap(left.pop(0))
            answered = known.get(each.plain.get("about", ""))
            reached = ways.of(each.message)
            self._app.ui.show(shown.document(each, state, self._name, answered, reached))
            if not self._app.ui.json:
                self._print(each, answered, state, now, reached)
        for gap in left:
            self._print_gap(gap)

    def _print_gap(self, gap: _Gap) -> None:
        hour, name = phrases.stamp(gap.hour), gap.name.hex()[:16]
        self._app.ui.show(
            {"channel": self._name, "kind": "gap", "text": "", "missing": name, "before": hour}
        )
        if not self._app.ui.json:
            self._begin_hour(gap.hour)
            self._app.ui.say(_GAP)

    def _begin_hour(self, hour: Hour) -> None:
        if hour == self._hour:
            return
        if self._hour is not None:
            self._app.ui.say()
        self._app.ui.title(phrases.hour_of_day(hour))
        self._hour = hour

    def _print(
        self,
        found: Opened,
        answered: Opened | None,
        state: ChannelState,
        now: Hour,
        reached: Reached,
    ) -> None:
        ui = self._app.ui
        self._begin_hour(found.message.hour)
        left = phrases.left(found.message.expires, now)
        for line in _spread(shown.heading(found, state, reached), left):
            ui.say(line)
        for reference in shown.refers(state, found.plain, answered):
            ui.quote(reference, _INDENT + "> ")
        ui.quote(shown.body(found), _INDENT)
        if found.plain["kind"] == "file":
            save = f"{_INDENT}next: backchannel file save {found.number}"
            ui.say(aimed(save, self._app.channel))


def _ending(found: Opened, ends: dict[ContentHash, Hour]) -> Opened:
    """With the hour that its read timer has given it."""
    message = found.message
    end = ends.get(message.content, message.expires)
    return found._replace(message=message._replace(expires=end))


def _spread(head: str, left: str) -> list[str]:
    """Both in one line, or in two where the line is too short."""
    room = width() - len(left) - 1
    if len(head) <= room:
        return [f"{head:<{room}} {left}"]
    return [head, f"{_INDENT}{left}"]


def _gaps(state: ChannelState) -> list[_Gap]:
    """Each missing post before the first that names it; once it was asked for, since most are only
    late.
    """
    gaps: dict[ContentHash, _Gap] = {}
    unasked = {each.name for each in state.wants if each.kind == "core" and not each.times}
    missing = state.transcript.missing.keys() - unasked
    for post in state.transcript.posts.values():
        for parent in missing.intersection(post.parents):
            gap = _Gap(post.hour, post.order, parent)
            gaps[parent] = min(gap, gaps.get(parent, gap))
    return sorted(gaps.values())
