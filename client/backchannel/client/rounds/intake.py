"""What becomes of what came through a channel's doors: messages and cores go into the vault, what
people should know goes into the summary.

All of it in the caller's transaction. Knows no block and no relay.
"""

from contextlib import suppress
from typing import final

from backchannel.client.telling import summary
from backchannel.client.telling.documents import Readable, alias_at, cores_of, of_event
from backchannel.client.telling.phrases import life
from backchannel.client.vault.channels import ChannelRow
from backchannel.client.vault.vault import Vault
from backchannel.protocol.channel import Channel
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.epoch import KEPT_BEHIND
from backchannel.protocol.errors import StaleError
from backchannel.protocol.outcome import (
    Acted,
    Alarm,
    Ended,
    Event,
    Expired,
    Hushed,
    Keep,
    Lost,
    Offered,
    Rang,
    Released,
    Rephrased,
    Replaced,
    Said,
    Shortened,
)
from backchannel.protocol.types import Hour, ThreadId, Timestamp, hour_of

SAID = (Said, Offered)


@final
class Intake:
    """Of one channel between load and save; `row.summary` is what it notes things in."""

    def __init__(
        self, vault: Vault, row: ChannelRow, channel: Channel, now: Timestamp, entropy: Entropy
    ) -> None:
        self._vault = vault
        self._ident = row.id
        self._summary = row.summary
        self._channel = channel
        self._now = now
        self._hour = hour_of(now)
        self._entropy = entropy
        self._kept: list[Keep] = []
        """Cores for the vault, which takes many for the price of a few."""

    def take(self, events: list[Event]) -> None:
        """Keep what people read, and note in the summary what they should know."""
        for event in events:
            match event:
                case Keep():
                    self._kept.append(event)
                case Said() | Offered() | Rephrased() | Released() | Acted():
                    self._hear(event)
                case Rang():
                    self._ring(event)
                case Expired():
                    self._summary["expired_unread"] += event.author != self._channel.state.me
                case Hushed():
                    self._summary["hushed"] += 1
                case Shortened():
                    self._shorten(event)
                case _:
                    self._note(event)

    def settle(self) -> None:
        """Put cores into the vault: before anything asks which are there."""
        if self._kept:
            self._vault.cores.add(self._ident, self._kept, self._now, self._entropy)
            self._kept = []

    def _hear(self, event: Readable) -> None:
        number = self._summary["numbered"] + 1
        message = of_event(self._channel.state, event, self._hour, number)
        own = message.author == self._channel.state.me
        if own and isinstance(event, SAID) and event.burn:  # nobody shows it to its author first
            burnt = Hour(message.hour + event.burn)
            message = message._replace(expires=min(message.expires, burnt))
        if own and isinstance(event, Said):  # it is said again in place of what nobody could have
            self._vault.messages.remove(self._ident, message.author, message.id)
        try:
            new = self._vault.messages.add(message, self._now, self._entropy)
        except StaleError:
            self._summary["expired_unread"] += not own
            return
        if new and isinstance(event, SAID):
            self._summary["numbered"] += 1
            self._summary["news"] = max(self._summary["news"], message.hour)
        if new and not own and isinstance(event, SAID):
            self._summary["unread"][summary.name_of(message.content)] = message.expires
        self._ask_or_answer(event)
        if isinstance(event, Acted):
            self._follow(event)

    def _follow(self, acted: Acted) -> None:
        """Others learn where the channel is now; who moved it knows."""
        for each in acted.changes:
            if each.what == "relays" and acted.by != self._channel.state.alias:
                summary.notice(self._summary, "relays", self._hour, detail=each.detail)

    def _ring(self, rang: Rang) -> None:
        """What was said on a hotline; when a test went and came is all that a summary has of it."""
        from backchannel.client.hotline import ringing, testing

        about = self._summary.get("hotline") or testing.fresh(self._now)
        self._summary["hotline"] = ringing.noted(about, self._channel.state, rang, self._now)
        message = ringing.message(self._channel.state, rang, self._now)
        if message is not None:
            with suppress(StaleError):  # it died on the way
                self._vault.messages.add(message, self._now, self._entropy)

    def _ask_or_answer(self, event: Readable) -> None:
        """Note which messages of one's own wait for their release."""
        me = self._channel.state.me
        if isinstance(event, Rephrased) and event.author != me:
            found = self._vault.messages.find(self._ident, event.about, self._now)
            if any(each.author == me for each in found):
                self._summary["asked"][event.about.hex()] = event.expires
        elif isinstance(event, Released) and event.author == me:
            self._summary["asked"].pop(event.about.hex(), None)

    def _shorten(self, event: Shortened) -> None:
        """What is kept dies sooner, and so does what could open it."""
        ident, thread, hours = self._ident, event.thread, event.lifetime
        said = self._vault.messages.list(ident, self._now, thread) if thread else []
        ends = self._vault.messages.shorten(ident, thread, hours, self._now, self._entropy)
        only = None if thread is None else cores_of(said) | ends.keys()
        self.settle()
        self._vault.cores.shorten(ident, only, hours, self._now, self._entropy)
        sooner = {summary.name_of(content): end for content, end in ends.items()}
        unread = self._summary["unread"]
        self._summary["unread"] = {name: sooner.get(name, end) for name, end in unread.items()}
        if thread is not None and event.burn:
            self._burn(thread, event.burn)
        if thread is None:
            kept = Hour(self._channel.state.oldest(self._hour) - KEPT_BEHIND)
            for clock in self._channel.clocks.values():
                clock.forget_before(kept)
        known = self._channel.state.threads.get(thread) if thread else None
        about = f"{known.topic}: " if known and not event.off else ""
        detail = f"{about}{life(hours, event.burn)}"
        summary.notice(
            self._summary, "off-record" if event.off else "shortened", self._hour, detail=detail
        )

    def _burn(self, thread: ThreadId, hours: int) -> None:
        """A read timer that is new to a thread holds from now on for what was shown before."""
        ident, end = self._ident, Hour(self._hour + hours)
        rows = self._vault.messages.list(ident, self._now, thread)
        shown = [
            row.content
            for row in rows
            if summary.name_of(row.content) not in self._summary["unread"]
        ]
        ends = dict.fromkeys(shown, end)
        self._vault.messages.hasten(ident, ends, self._now, self._entropy)

    def _note(self, event: Event) -> None:
        about, hour, state = self._summary, self._hour, self._channel.state
        match event:
            case Alarm():
                summary.alarm(about, event.kind, alias_at(state, event.slot), event.name, hour)
            case Lost():
                summary.notice(about, "lost", hour, detail=str(event.version))
            case Ended():
                summary.notice(about, "ended", hour, alias_at(state, event.by), event.reason)
            case Replaced():
                summary.notice(about, "replaced", hour, alias_at(state, event.slot))
            case _:
                pass  # whoever asked has it from `act`
