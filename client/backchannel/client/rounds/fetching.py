"""Reading drops, each to its end and all relays side by side: asks for page after page, and hands
on what comes.

Knows neither what stands in a page nor what becomes of it.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, NamedTuple, final

from backchannel.client.errors import (
    ClientError,
    NotYet,
    RateLimited,
    RelaySlow,
)
from backchannel.client.machine.clock import elapsed
from backchannel.client.rounds.joining import MOST_PAGES
from backchannel.client.rounds.relays import Relays
from backchannel.client.vault.cursors import Cursor
from backchannel.client.vault.vault import Vault
from backchannel.client.wire.lanes import Heard, Reading
from backchannel.client.wire.respite import refuse_before
from backchannel.protocol.drop import NEWEST, Page
from backchannel.protocol.outcome import Poll
from backchannel.protocol.types import DropId, Timestamp

Take = Callable[[Poll, Cursor, Page], object]
"""What to do with a page that was read from there."""
Ended = Callable[[Poll], object]
"""What to do when there is no more."""

_AGAIN: Final = 2.0
"""Seconds after which a relay is asked again that did not wait: it may have too many who do."""
_BREATH: Final = 0.25
"""Seconds between two questions that wait: a relay can always answer with something."""
_NEARLY: Final = 0.9  # of the time that a relay was to wait: its clock is another


class _Open(NamedTuple):
    """A drop that is being read."""

    poll: Poll
    cursor: Cursor
    pages: int
    """That came before."""
    whole: bool = False
    """Whether it is asked for the newest page, wherever one was."""
    wait: int = 0
    """Seconds that the relay was to wait."""
    asked: float = 0.0
    """When that was, as `elapsed` counts."""

    @property
    def position(self) -> int:
        """To ask for."""
        return NEWEST if self.whole else self.cursor.position


@final
class Fetch:
    """The drops of one channel or join."""

    def __init__(
        self,
        vault: Vault,
        relays: Relays,
        now: Callable[[], Timestamp],
        take: Take,
        *,
        ended: Ended = lambda _: None,
        whole: bool = False,
    ) -> None:
        """`whole`: the newest page is asked for each time, however little of it is new."""
        self._whole = whole
        self._vault = vault
        self._relays = relays
        self._now = now
        self._take = take
        self._ended = ended
        self._open: dict[DropId, _Open] = {}
        """Under way, also from a time before."""
        self._woken = self._early = False
        self._waited = 0.0
        """When somebody was last asked to wait, as `elapsed` counts."""
        self._errors: dict[DropId, ClientError] = {}
        """The first of each: at one address there may be another relay by now."""
        self.answered = set[str]()
        """Relays from which a page came in this round."""

    def begin(self) -> None:
        """A new round: what went wrong in the last one is forgotten."""
        self._errors.clear()
        self.answered.clear()

    def unfinished(self, own: Mapping[DropId, str]) -> dict[str, ClientError]:
        """Of whose drops there is more, as problems of these relays."""
        urls = {own[drop] for drop in own.keys() & self._open.keys()}
        return {url: RelaySlow(f"{url} is slow; there is more to fetch from it.") for url in urls}

    def problems(self, own: Mapping[DropId, str]) -> dict[str, ClientError]:
        """What went wrong with each relay of these drops; of others nobody is told, whose time may
        be over, or in whose relay's place there is another.
        """
        found = {own[drop]: self._errors[drop] for drop in own.keys() & self._errors.keys()}
        for url in {own[drop] for drop in own.keys() & self._open.keys()}:
            out = self._relays.out(url)
            if out is not None:  # given up meanwhile
                found.setdefault(url, out)
        return found

    def run(
        self,
        polls: Iterable[Poll],
        enough: Callable[[], bool],
        waited: Collection[DropId] = (),
        wait: int = 0,
        most: float | None = None,
    ) -> None:
        """Read them to their ends, or until it is `enough` and slow relays are left behind; with
        `wait` until one of `waited` has something new, or so many seconds. After `most` seconds of
        that it ends, and what is asked already is heard another time: how long somebody asks a
        relay to wait is not to tell it when there is something else to do.
        """
        self._woken = self._early = False
        for turn in self._turns(list(polls)):
            self._run(turn, enough, waited, wait, most if wait else None)

    def _turns(self, polls: list[Poll]) -> list[list[Poll]]:
        """All relays side by side; where bytes are counted one after another, since each has the
        same: first the one of which most has been read, where least is left to read.
        """
        if not self._relays.frugal:
            return [polls]
        read: dict[str, int] = {}
        for poll in polls:
            read[poll.relay] = read.get(poll.relay, 0) + self._place(poll).position
        furthest = sorted(read, key=lambda url: -read[url])
        return [[poll for poll in polls if poll.relay == url] for url in furthest]

    def _run(
        self,
        polls: list[Poll],
        enough: Callable[[], bool],
        waited: Collection[DropId],
        wait: int,
        most: float | None,
    ) -> None:
        if wait:
            _rest(self._waited + _BREATH)
            self._waited = elapsed()
            most = wait + _AGAIN if most is None else most  # an answer is on its way for a moment
        for poll in polls:
            if poll.drop.id not in self._open or poll.relay not in self._relays.reads.busy:
                until_then = wait * (poll.drop.id in waited)
                self._ask(_Open(poll, self._place(poll), 0, self._whole, until_then, elapsed()))
        grace, until = (0.0, lambda: self._woken) if wait else (None, enough)
        for heard in self._relays.hear(self._relays.reads, until, grace=grace, most=most):
            self._heard(heard)
        if self._early and not self._woken and most is not None:
            _rest(self._waited + min(most, _AGAIN))

    def _place(self, poll: Poll) -> Cursor:
        return self._vault.cursors.get(poll.relay, poll.drop.id)

    def _ask(self, opened: _Open) -> None:
        poll = opened.poll
        out = self._relays.out(poll.relay) or self._too_soon(poll)
        if out is not None:
            self._errors.setdefault(poll.drop.id, out)
            return
        self._open[poll.drop.id] = opened
        key = poll.drop.relay
        self._relays.reads.ask(Reading(poll.relay, key, poll.drop, opened.position, opened.wait))

    def _too_soon(self, poll: Poll) -> NotYet | None:
        try:
            refuse_before(self._vault.cursors.after(poll.relay, poll.drop.id), self._now())
        except NotYet as error:
            return error
        return None

    def _heard(self, heard: Heard) -> None:
        assert isinstance(heard.ask, Reading)  # noqa: S101 - nothing else is asked in these lanes
        opened = self._open.get(heard.ask.drop.id)
        if opened is None or opened.position != heard.ask.position:
            return  # somebody else's, who did not wait for it
        del self._open[heard.ask.drop.id]
        if isinstance(heard.said, Page):
            self.answered.add(opened.poll.relay)
            self._note(opened, heard.said)
            self._turn(opened, heard.said)
        elif isinstance(heard.said, ClientError):
            self._fail(opened.poll, heard.said)

    def _note(self, opened: _Open, page: Page) -> None:
        """Whether whoever waits goes on. A relay that answers too soon, with nothing, wakes nobody:
        whoever is alone there asks again after a moment, and with others there it is left out.
        """
        early = elapsed() - opened.asked < opened.wait * _NEARLY
        if early and not page.rows and page.following == opened.cursor.position:
            self._early = True
        elif opened.wait:
            self._woken = True

    def _turn(self, opened: _Open, page: Page) -> None:
        poll, cursor, pages, whole, *_ = opened
        if whole:
            if _leaves_out(page, cursor):
                self._ask(_Open(poll, cursor, 1))
                return
            page = _news(page, cursor)
        if page.rows or page.following != cursor.position:
            self._take(poll, cursor, page)
        if page.more and page.following > cursor.position and pages + 1 < MOST_PAGES:
            self._ask(_Open(poll, self._place(poll), pages + 1))
        elif not page.more:
            self._ended(poll)

    def _fail(self, poll: Poll, error: ClientError) -> None:
        self._errors.setdefault(poll.drop.id, error)
        if isinstance(error, RateLimited):
            now = self._now()
            with self._vault.exclusive(now), self._vault.transaction():
                self._vault.cursors.wait(poll.relay, poll.drop.id, now + error.retry_after)


def _rest(until: float) -> None:
    time.sleep(max(0.0, until - elapsed()))


def _leaves_out(page: Page, cursor: Cursor) -> bool:
    """Whether more came since than the newest page has."""
    return bool(page.rows) and page.rows[0].position > max(1, cursor.position)


def _news(page: Page, cursor: Cursor) -> Page:
    return page._replace(rows=tuple(row for row in page.rows if row.position >= cursor.position))
