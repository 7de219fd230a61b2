"""Tells other workers which drops changed, and hears it of theirs: LISTEN and NOTIFY.

What goes through the database, and perhaps into its logs, is a keyed hash of a drop's id, which
without the store key means nothing. A notice is sent after its commit, by a session of its own:
sent within, all commits of all workers would stand in one queue. So one may be lost when a worker
dies; therefore, and where the database knows no notices, a lookout looks too.

Each worker says now and then that it is there. One that hears of no other tells nothing, which
saves it a tenth of its work; when it hears of one, it has all look that wait there.
"""

import asyncio
import base64
import hmac
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, Final, final

import psycopg

from backchannel.protocol.entropy import Entropy
from backchannel.protocol.secret import StoreKey
from backchannel.protocol.types import DropId
from backchannel.server.logs import warn_seldom
from backchannel.server.postgres.sessions import Remote
from backchannel.server.postgres.troubles import words
from backchannel.server.wakeup import Wakeup

Session = psycopg.AsyncConnection[Any]
_CHANNEL: Final = "backchannel"
_LISTEN: Final = f"LISTEN {_CHANNEL}"
_HERE: Final = 10.0  # seconds after which a worker says that it is there, if it had nothing to say
_SPACE: Final = 0.05
"""Seconds between two of its notices: one after each commit took a third of a busy loop's time. The
first goes at once, so this is what a reader elsewhere waits longer while much is written.
"""
_ALONE: Final = 3 * _HERE  # seconds without a word of others
_LAST: Final = 1.0  # seconds that its last notice may take when it ends
_NAME: Final = 8  # bytes: two drops of one name wake a reader in vain, once in a long time
_SHOWN: Final = 12  # letters of that
_MOST: Final = 600  # names in one payload, of which PostgreSQL takes less than 8,000 bytes
_ALL: Final = "*"
_BACK_OFF: Final = (0.1, 5.0)  # seconds before another try: the first, the most
_UNKNOWN: Final = (psycopg.errors.ProgrammingError, psycopg.errors.NotSupportedError)
"""What a database says that has no notices."""
_NOTIFY = "SELECT pg_notify(%s, payload) FROM unnest(%s::text[]) AS p(payload)"


def naming(store: StoreKey) -> Callable[[DropId], bytes]:
    """What a drop is called in notices: 8 bytes; without the store key nobody can check a guess."""
    key = store.expose()
    return lambda drop: hmac.digest(key, b"notice" + drop, "sha256")[:_NAME]


@final
class Notices:
    """Of one worker. On the loop only."""

    def __init__(self, remote: Remote, wakeup: Wakeup, entropy: Entropy) -> None:
        self._remote = remote
        self._wakeup = wakeup
        self._origin = base64.b64encode(entropy.draw(9)).decode()
        """This worker's, so that it does not hear itself."""
        self._changed: set[bytes] = set()
        self._missed = False
        """A notice was not sent, or lost perhaps: all who wait elsewhere should look."""
        self._others: float | None = None
        """When one of them was last heard."""
        self._pending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.hears = False
        """Whether notices of others come in."""

    def start(self) -> None:
        if not self._remote.plain:
            self._tasks = [
                asyncio.create_task(self._steadily(each)) for each in (self._hear, self._send)
            ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def tell(self, name: bytes) -> None:
        """This drop changed, and the change is committed."""
        if self.alone:
            self._missed = True
        else:
            self._changed.add(name)
            self._pending.set()

    @property
    def alone(self) -> bool:
        """Whether no other worker was heard lately."""
        return self._others is None or time.monotonic() - self._others > _ALONE

    async def _hear(self, session: Session) -> None:
        await session.execute(_LISTEN)
        self._wakeup.ring_all()  # what came while nobody heard it
        self._pending.set()  # one to hear oneself: through some poolers none comes
        async for notice in session.notifies():
            self._heard(notice.payload)

    def _heard(self, payload: str) -> None:
        self.hears = True
        origin, _, names = payload.partition(" ")
        if origin == self._origin:
            return
        if self.alone:
            self._pending.set()  # what was not told while we thought so
        self._others = time.monotonic()
        if names == _ALL:
            self._wakeup.ring_all()
            return
        for at in range(0, len(names), _SHOWN):
            with suppress(ValueError):  # another program's, on a channel of that name
                self._wakeup.ring_named(base64.b64decode(names[at : at + _SHOWN]))

    async def _send(self, session: Session) -> None:
        await session.execute("SET synchronous_commit = off")  # a notice need not reach the disk
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_HERE):
                    await self._pending.wait()
            await self._say(session)
            try:
                await asyncio.sleep(_SPACE)
            except asyncio.CancelledError:  # the worker ends, and others may wait for its last
                if self._pending.is_set():
                    with suppress(TimeoutError, psycopg.Error):
                        async with asyncio.timeout(_LAST):
                            await self._say(session)
                raise

    async def _say(self, session: Session) -> None:
        """What changed since the last time, or that it is there."""
        self._pending.clear()
        names, self._changed = self._changed, set()
        missed, self._missed = self._missed, False
        payloads = [_ALL] if missed else list(_payloads(names)) or [""]
        whole = [f"{self._origin} {payload}" for payload in payloads]
        try:
            await session.execute(_NOTIFY, [_CHANNEL, whole])
        except BaseException:
            self._missed = True
            raise

    async def _steadily(self, work: Callable[[Session], Awaitable[None]]) -> None:
        """Over one session after another, for ever; never, where there are no notices."""
        wait, most = _BACK_OFF
        while True:
            try:
                async with await self._remote.session() as session:
                    await work(session)
            except _UNKNOWN as error:
                warn_seldom(f"the database has no notices ({words(error)}); readers are woken late")
                return
            except psycopg.Error as error:
                warn_seldom(f"notices of other workers do not come: {words(error)}")
            finally:
                self.hears = self.hears and work != self._hear
            await asyncio.sleep(wait)
            wait = min(2 * wait, most)


def _payloads(names: set[bytes]) -> Iterator[str]:
    shown = [base64.b64encode(name).decode() for name in names]
    for at in range(0, len(shown), _MOST):
        yield "".join(shown[at : at + _MOST])
