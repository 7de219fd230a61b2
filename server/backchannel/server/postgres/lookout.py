"""Looks now and then whether a drop changed for which somebody waits here: one statement for all of
them. Often where no notices of other workers come, seldom where they do.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, final

from backchannel.protocol.types import DropId
from backchannel.server.errors import BusyError
from backchannel.server.logs import LOG
from backchannel.server.readers import Readers
from backchannel.server.repository import Repository
from backchannel.server.wakeup import Wakeup

OFTEN: Final = 0.5  # seconds: what a reader waits longer where there are no notices
SELDOM: Final = 10.0  # seconds: what it waits longer when a worker died before it sent one


@final
class Lookout:
    """Of one worker. On the loop only."""

    def __init__(self, wakeup: Wakeup, readers: Readers, hears: Callable[[], bool]) -> None:
        self._wakeup = wakeup
        self._readers = readers
        self._hears = hears
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Ring for each drop that is not as its reader saw it."""
        waiting = self._wakeup.waiting()
        if waiting:
            self._wakeup.compare(await self._readers.ask(lambda store: _found(store, waiting)))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(SELDOM if self._hears() else OFTEN)
            try:
                await self.look()
            except BusyError:
                continue  # it was said by whoever found it so
            except Exception as error:  # noqa: BLE001 - the next look may do better
                LOG.error("a look for changed drops failed", exc_info=error)


def _found(store: Repository, drops: Sequence[DropId]) -> Mapping[DropId, int | None]:
    """The next position of each; none of one that is gone."""
    store.fetch(drops)
    rows = {drop: store.drop(drop) for drop in drops}
    return {drop: row and row.following for drop, row in rows.items()}
