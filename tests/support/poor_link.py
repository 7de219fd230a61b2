"""A poor link between client and relay: slow, far, and it loses much. A model of one, and a proxy
that makes real bytes keep to it.

What an application sees of loss is not loss. TCP sends a segment that was lost once more after its
retransmission time-out, and after twice as long each time that it is lost again; what came behind
it, or overtook it, waits until it is there: so losing and reordering are both seen as stalls. After
a loss its window is one segment, and grows by one with each that arrives. Where a segment is lost
`dies` times in a row, the connection is taken for dead, by TCP or by some box on the way.

So here: each segment of up to 1,460 bytes, with 40 of its own, goes over a line of `rate` bytes a
second, which both connections of a client share and each direction has to itself; it is lost by
chance, seeded; it arrives `delay` seconds after it left, and never before the one ahead of it. The
time-out is one and a half times the way there and back. Left out: acknowledgements that are lost,
since later ones do their work, and fast retransmission, which a window so small hardly ever does.

Beside it stands `bench/poor_wire.py`, a real TCP (Linux 6.18) over a real line with these
properties: there ten blocks took 114 to 443 seconds one way and 151 to 478 the other (five seeds),
with 1.04 to 1.26 and 1.04 to 1.14 bytes at the socket for each of a block, and 1.4 to 2.1 on the
line; here it is some 200 seconds, and 1.06 to 1.10. Bytes are counted as the
two ends wrote them: without what TCP sends again, and its headers.
"""

import asyncio
import random  # noqa: TID251 - chance that is the same each time, and no secret
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, Self, final
from urllib.parse import urlsplit

SEGMENT = 1460
_HEADERS = 40
_WINDOW = 10


class DiedError(Exception):
    """The connection, at some moment."""

    def __init__(self, moment: float) -> None:
        super().__init__("the connection is dead")
        self.moment = moment


class Link(NamedTuple):
    """What it is like: seconds one way, bytes a second each way, the share that is lost."""

    delay: float = 2.0
    rate: float = 2000.0
    loss: float = 0.3
    dies: int = 4

    @property
    def timeout(self) -> float:
        """Seconds until a segment is sent again for the first time."""
        return 3 * self.delay


@dataclass
class Line:
    """One direction: what is sent waits for what was sent before."""

    free: float = 0.0
    segments: int = 0
    lost: int = 0

    def send(self, now: float, moment: float, size: int, rate: float) -> float:
        """When the last bit has left of a segment that goes out at some moment, maybe long after
        `now`: until then others have the line.
        """
        takes = (size + _HEADERS) / rate
        self.free = max(self.free, now) + takes
        self.segments += 1
        return max(self.free, moment + takes)


@final
class Way:
    """One direction of one connection."""

    def __init__(self, link: Link, line: Line, chance: random.Random) -> None:
        self._link = link
        self._line = line
        self._chance = chance
        self._window = _WINDOW
        self._acknowledged: deque[float] = deque(maxlen=_WINDOW)
        self._last = 0.0

    def carry(self, now: float, size: int) -> Iterator[tuple[float, int]]:
        """Segments of what is written at `now`: when each can be read, and how long it is."""
        while size > 0:
            piece = min(size, SEGMENT)
            yield self._segment(now, piece), piece
            size -= piece

    def _segment(self, now: float, size: int) -> float:
        link, moment = self._link, now
        if len(self._acknowledged) >= self._window:
            moment = max(moment, self._acknowledged[-self._window])
        left = self._line.send(now, moment, size, link.rate)
        for again in range(link.dies):
            if self._chance.random() >= link.loss:
                break
            self._line.lost += 1
            self._window, moment = 1, left + link.timeout * 2**again
            if again + 1 == link.dies:
                raise DiedError(moment)
            left = self._line.send(now, moment, size, link.rate)
        self._last = max(self._last, left + link.delay)
        self._acknowledged.append(self._last + link.delay)
        self._window = min(self._window + 1, _WINDOW)
        return self._last


@final
class PoorLink:
    """A proxy before a relay, in a thread of its own. `faster` makes all of the link's time go by
    that much faster, so that a test need not wait for it.
    """

    def __init__(
        self, relay: str, link: Link, seed: int, faster: float = 1.0, port: int = 0
    ) -> None:
        """At `port`, or any that is free."""
        self._port = port
        self._target = (urlsplit(relay).hostname or "", urlsplit(relay).port or 0)
        self._link = link
        self._chance = random.Random(seed)  # noqa: S311 - a model's
        self._faster = faster
        self._lines = (Line(), Line())
        self.moved = [0, 0]
        """Bytes there, and back."""
        self.connections = 0
        self.url = ""
        self.watch: Callable[[], None] = lambda: None
        """Called for each piece that comes back."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def now(self) -> float:
        """Seconds of the link's time."""
        return time.monotonic() * self._faster

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _end(self) -> None:
        self._server.close()
        others = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await asyncio.sleep(2 * self._link.delay / self._faster)
        with suppress(OSError):
            theirs, out = await asyncio.open_connection(*self._target)
            ends = (writer, out)
            pumps = self._pump(reader, out, 0, ends), self._pump(theirs, writer, 1, ends)
            try:
                await asyncio.gather(*pumps)
            except asyncio.CancelledError:  # this ends before they do
                _abort(ends)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        way: int,
        ends: tuple[asyncio.StreamWriter, ...],
    ) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_WINDOW)
        handing = asyncio.create_task(self._hand_on(queue, writer, way))
        carrying = Way(self._link, self._lines[way], self._chance)
        try:
            while data := await reader.read(SEGMENT):
                self.moved[way] += len(data)
                for arrival, _ in carrying.carry(self.now(), len(data)):
                    await queue.put((arrival, data))
            if way:
                await queue.put((self.now() + self._link.delay, b""))
                await handing
            else:  # the client is gone, and nobody waits for what comes back
                _abort(ends)
        except (DiedError, OSError):
            _abort(ends)
        finally:
            handing.cancel()

    async def _hand_on(
        self, queue: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter, way: int
    ) -> None:
        with suppress(OSError):
            while True:
                arrival, data = await queue.get()
                await asyncio.sleep(max(0.0, arrival - self.now()) / self._faster)
                if not data or writer.transport.is_closing():
                    writer.close()
                    return
                writer.write(data)
                if way:
                    self.watch()


def _abort(ends: tuple[asyncio.StreamWriter, ...]) -> None:
    for each in ends:
        each.transport.abort()
