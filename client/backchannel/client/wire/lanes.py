"""The network beside the main thread: each relay has a lane of its own, so that one which is dead,
silent or slow delays no other.

A lane is a thread that exchanges requests, given as values, for answers, in order, over one
connection. It knows neither vault nor channel, and keeps no request once that is answered. It is a
daemon: whoever ends does not wait for a relay.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Final, NamedTuple, final

from backchannel.client.errors import ClientError
from backchannel.client.machine.clock import elapsed
from backchannel.client.wire.silence import Silence
from backchannel.protocol.drop import Drop, Operation, Page
from backchannel.protocol.outcome import EVERY_HOUR
from backchannel.protocol.primitives import X25519Public
from backchannel.protocol.secret import X25519Private
from backchannel.protocol.types import DropId

if TYPE_CHECKING:
    from backchannel.client.wire.relay import Relay

GRACE: Final = 0.4
"""Seconds that the others have at least once one relay is done. Longer than healthy ones differ,
and too short for a person to mind.
"""
_MORE: Final = 0.5  # of the time it took so far: by Tor, all is slow
_HASTE: Final = 1.0  # seconds that an idle lane has to hang up

Connect = Callable[[str, X25519Public], AbstractContextManager["Relay"]]
"""Makes a pinned relay."""


class Sending(NamedTuple):
    """A request that changes a drop."""

    url: str
    key: X25519Public
    operation: Operation
    drop: DropId
    access: X25519Private
    """For a seal or a deletion, the close key."""
    payload: bytes
    alone: bool = False
    """Over a connection of its own: by that the relay cannot say who asked."""


class Reading(NamedTuple):
    """A page of a drop."""

    url: str
    key: X25519Public
    drop: Drop
    position: int
    wait: int = 0
    """Seconds that the relay may wait for a block."""


Ask = Sending | Reading


class Heard(NamedTuple):
    """What became of one."""

    ask: Ask
    said: bytes | Page | ClientError


_Asks = SimpleQueue[Ask | None]
_Answers = SimpleQueue[tuple[Ask, bytes | Page | BaseException]]


@final
class Lanes:
    """One lane for each relay, in one direction, for one owner. Only the main thread is in here."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._lanes: dict[tuple[str, bytes], tuple[_Asks, Thread]] = {}
        self._heard: _Answers = SimpleQueue()
        self._asked: Counter[str] = Counter()
        self.slow: set[str] = set()
        """Relays that others left behind, and that have not answered since."""

    @property
    def busy(self) -> set[str]:
        """Relays that owe an answer."""
        return set(self._asked)

    def ask(self, ask: Ask) -> None:
        """Put a request into its relay's lane; returns at once."""
        name = (ask.url, ask.key.value)
        if name not in self._lanes:
            asks: _Asks = SimpleQueue()
            thread = Thread(target=_serve, args=(self._connect, asks, self._heard), daemon=True)
            self._lanes[name] = (asks, thread)
            thread.start()
        self._asked[ask.url] += 1
        self._lanes[name][0].put(ask)

    def answers(
        self,
        enough: Callable[[], bool],
        *,
        grace: float = GRACE,
        most: float | None = None,
        silence: Silence | None = None,
    ) -> Iterator[Heard]:
        """Answers as they come, while any is owed, also to what is asked meanwhile. Once it is
        `enough`, the others have a little time still; who needs longer is slow, and what it answers
        then comes another time. Without `grace` it ends at once, or after `most` seconds, and
        blames nobody. It ends, too, when there was `silence` for long enough.
        """
        began, end = elapsed(), None
        while self._asked:
            seconds = None if most is None else max(0.0, began + most - elapsed())
            if enough():
                now = elapsed()
                late = grace and max(grace, (now - began) * _MORE)
                end = now + late if end is None else end
                seconds = max(0.0, end - now) if self.busy - self.slow else 0.0
            heard = self._next(seconds) if silence is None else self._listen(seconds, silence)
            if heard is None:
                self.slow |= self.busy if grace else set()
                return
            yield heard

    def _listen(self, seconds: float | None, silence: Silence) -> Heard | None:
        """The next, as long as anything moves."""
        began = now = elapsed()
        end = None if seconds is None else began + seconds
        while True:
            heard = self._next(silence.left if end is None else min(silence.left, end - now))
            began, now = now, elapsed()
            silence.waited(now - began)
            if heard or not silence.left or (end is not None and now >= end):
                return heard

    def _next(self, seconds: float | None) -> Heard | None:
        try:
            ask, said = self._heard.get(seconds != 0, seconds)
        except Empty:
            return None
        self._asked -= Counter([ask.url])
        self.slow.discard(ask.url)
        if isinstance(said, BaseException) and not isinstance(said, ClientError):
            raise said
        return Heard(ask, said)

    def close(self) -> None:
        """Hang up: at once where nothing is under way, else when the relay has answered, which
        nobody hears then.
        """
        for (url, _), (asks, thread) in self._lanes.items():
            asks.put(None)
            if url not in self._asked:
                thread.join(_HASTE)


def _serve(connect: Connect, asks: _Asks, heard: _Answers) -> None:
    """A lane's life."""
    with ExitStack() as connected:
        relays: list[Relay] = []
        while (ask := asks.get()) is not None:
            said: bytes | Page | BaseException
            try:
                if not relays:
                    relays.append(connected.enter_context(connect(ask.url, ask.key)))
                said = _exchanged(relays[0], ask, connect)
            except BaseException as error:  # noqa: BLE001 - the main thread raises it
                said = error.with_traceback(None)  # its frames have the request
            heard.put((ask, said))
            del ask, said


def _exchanged(relay: "Relay", ask: Ask, connect: Connect) -> bytes | Page:
    if isinstance(ask, Reading):
        return relay.read(ask.drop, ask.position, EVERY_HOUR, wait=ask.wait)
    given = (ask.operation, ask.drop, ask.access, ask.payload)
    if not ask.alone:
        return relay.exchange(*given)
    with connect(ask.url, ask.key) as apart:
        return apart.exchange(*given)
