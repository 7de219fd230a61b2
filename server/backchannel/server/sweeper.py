"""The sweep: at each turn of the hour the keys of what died are destroyed first, then its rows,
then the log of them.

Owns when that happens. What a key is, and what a row, others know.
"""

import asyncio
from collections.abc import Callable
from typing import final

from sqlalchemy import Engine

from backchannel.protocol.types import Hour
from backchannel.server import database
from backchannel.server.clock import Clock
from backchannel.server.errors import BusyError
from backchannel.server.limits import SWEEP_EVERY, SWEPT, SWEPT_AT_START, SWEPT_WHEN_FULL
from backchannel.server.logs import LOG, store_trouble, warn_seldom
from backchannel.server.metrics import Metrics
from backchannel.server.repository import Swept
from backchannel.server.retention import Retention
from backchannel.server.store import Store
from backchannel.server.writer import Job, Writer


def sweep_now(store: Store, engine: Engine, hour: Hour) -> None:
    """Before a relay serves: all expired rows, whose keys are gone already."""
    after: int | None = 0
    while after is not None:
        with engine.begin() as connection:
            after = database.repository(connection).sweep(hour, SWEPT_AT_START, after).after
    store.tidy(engine, hour)


def _step(most: int, after: int) -> Job[Swept]:
    return lambda store, hour: store.sweep(hour, most, after)


@final
class Sweeper:
    """Looks at the clock at least once a minute, and whenever somebody pokes it."""

    def __init__(
        self,
        writer: Writer,
        store: Store,
        engine: Engine,
        clock: Clock,
        retention: Retention,
        metrics: Metrics,
        turned: Callable[[Hour], None],
    ) -> None:
        """`turned` is told the hour at each look: what is in memory ends by it too."""
        self._writer = writer
        self._store = store
        self._engine = engine
        self._clock = clock
        self._retention = retention
        self._metrics = metrics
        self._turned = turned
        self._poked = asyncio.Event()
        self._unclean = True
        self._swept: Hour | None = None
        """The hour by which all that is expired is deleted."""
        self._emptied: Hour | None = None
        """The hour at which the log was last emptied."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def poke(self) -> None:
        """The hour may have turned."""
        self._poked.set()

    def soil(self) -> None:
        """Rows were deleted between two turns of the hour: their remains leave the log at the next
        look.
        """
        self._unclean = True

    async def sweep(self) -> None:
        """Turn the hour, which destroys keys; delete the rows; empty the log."""
        try:
            await self._delete(SWEPT)
        except BusyError:  # a full disk may have room for less, once the log is empty
            await self.empty()
            await self._delete(SWEPT_WHEN_FULL)
        if self._unclean or self._retention.highest != self._emptied:
            await self.empty()
        self._metrics.swept(self._retention.highest)

    async def _delete(self, most: int) -> None:
        """What the hour took, step by step; nothing where it did not turn since the last time."""
        hour = await self._writer.do(lambda _, hour: hour)
        self._turned(hour)
        after: int | None = 0 if hour != self._swept else None
        while after is not None:
            swept = await self._writer.do(_step(most, after))
            self._unclean = self._unclean or swept.rows > 0
            self._metrics.expired(swept.rows)
            after = swept.after
        self._swept = hour

    async def empty(self) -> None:
        """What is deleted meanwhile, or could not be emptied, is left for the next look."""
        hour = self._retention.highest
        self._unclean, emptied = False, False
        try:
            emptied = await asyncio.to_thread(self._store.tidy, self._engine, hour)
        finally:
            self._unclean = self._unclean or not emptied
            self._emptied = hour

    async def _run(self) -> None:
        while True:
            try:
                await self.sweep()
            except BusyError:
                self._complain()
            except Exception as error:  # noqa: BLE001 - the next look may do better
                self._report(error)
            await self._wait()

    async def _wait(self) -> None:
        """Until the hour turns, a minute at most."""
        now = self._clock.now()
        try:
            async with asyncio.timeout(min(SWEEP_EVERY, 3600 - now % 3600)):
                await self._poked.wait()
        except TimeoutError:
            return
        self._poked.clear()

    def _report(self, error: Exception) -> None:
        if database.is_trouble(error):
            store_trouble(error)
        else:
            self._metrics.bug()
            message = "a sweep failed; no expired block is given out, but remains may stay"
            LOG.error(message, exc_info=error)

    def _complain(self) -> None:
        if self._retention.leaps(self._clock.now()):
            warn_seldom(
                "the clock is more than a day ahead of the last hour seen, so nothing is served; "
                "next: set the clock right, or restart with --accept-clock if it is right"
            )
        else:
            warn_seldom("a sweep found the store busy and is tried again within a minute")
