"""Reading the drops of a channel: what relays hold goes through `receive` into the vault, with the
place to read on from; what one of them lacks is brought to it.

Knows pages and places, and neither what time asks for nor what is said.
"""

from collections.abc import Collection
from typing import final

from backchannel.client.errors import ClientError
from backchannel.client.rounds.fetching import Fetch
from backchannel.client.rounds.joining import after
from backchannel.client.rounds.network import Network
from backchannel.client.rounds.session import Session
from backchannel.client.vault.cursors import Cursor
from backchannel.protocol import limits
from backchannel.protocol.command import Level
from backchannel.protocol.drop import Page
from backchannel.protocol.outcome import Arrival, Offered, Poll, Said
from backchannel.protocol.types import DropId


@final
class Drops:
    """Of all channels, as one command reads them."""

    def __init__(self, network: Network, *, whole: bool) -> None:
        """`whole`: whatever is asked for is a whole page, so that all reads are alike."""
        self._net = network
        self._vault = network.vault
        self._whole = whole
        self._fetches: dict[str, Fetch] = {}
        self._ended: list[Poll] = []
        """Drops that were read to their ends just now."""
        self.new = 0
        """Messages of others that came so far."""

    def read(self, name: str, wait: int = 0, most: float | None = None) -> dict[str, ClientError]:
        """Read all drops, also of an epoch that is learned of on the way; why relays could not be
        read. Only the current epoch's drops are waited for; see `Fetch.run`.
        """
        fetch = self._fetches.setdefault(name, self._reader(name))
        fetch.begin()
        seen, own = set[DropId](), dict[DropId, str]()

        def enough() -> bool:
            return self._net.free(self._net.relays.reads, own.values())

        while True:
            session = self._net.look(name)
            own.clear()
            own.update((drop.id, relay.url) for relay, drop in session.state.epoch.drops())
            polls = [each for each in session.channel.polls() if each.drop.id not in seen]
            if not polls:
                late = fetch.unfinished(own) if self._net.late else {}
                return late | fetch.problems(own)
            seen |= {each.drop.id for each in polls}
            fetch.run(polls, enough, own, wait, most)
            self._level(name)
            wait = 0

    def answered(self, name: str) -> Collection[str]:
        """Relays that gave a page in the last round with a channel: a question that still stands
        says nothing yet.
        """
        return self._fetches[name].answered

    def _level(self, name: str) -> None:
        """Bring to each drop that was read to its end what others had and it had not."""
        ended, self._ended = self._ended, []
        epochs = self._net.look(name).state.epochs if ended else ()
        if any(each.lacking for each in epochs):
            with self._net.change(name) as session:
                for poll in ended:
                    session.act(Level(poll.drop.id))

    def _reader(self, name: str) -> Fetch:
        def take(poll: Poll, cursor: Cursor, page: Page) -> None:
            self.new += self._take(name, poll, cursor, page)

        net = self._net
        ended, whole = self._ended_at, self._whole
        return Fetch(net.vault, net.relays, net.app.now, take, ended=ended, whole=whole)

    def _ended_at(self, poll: Poll) -> None:
        self._ended.append(poll)

    def _take(self, name: str, poll: Poll, cursor: Cursor, page: Page) -> int:
        """A page and its cursor in one transaction; nothing where another process was faster."""
        with self._net.change(name) as session:
            if self._vault.cursors.get(poll.relay, poll.drop.id) != cursor:
                return 0
            new = sum(_receive(session, poll, page))
            session.summary["missed"] += _missed(cursor, page)
            self._vault.cursors.put(poll.relay, poll.drop.id, after(cursor, page))
        return new


def _receive(session: Session, poll: Poll, page: Page) -> list[int]:
    """For each block, how many messages of others it gave."""
    me = session.state.me
    return [
        sum(
            isinstance(event, Said | Offered) and event.author != me
            for event in session.receive(arrival)
        )
        for arrival in (Arrival(poll.drop.id, row.hour, row.block) for row in page.rows)
    ]


def _missed(cursor: Cursor, page: Page) -> int:
    """How many blocks went before they were read. What a relay passes over when it comes back from
    a backup is no count of them.
    """
    passed = page.following - cursor.position
    counted = cursor.position and passed < limits.RESTORED // 2
    return max(0, passed - len(page.rows)) if counted else 0
