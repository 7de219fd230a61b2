"""Several workers behind one set of sockets: begun one after the other, replaced one after the
other, ended together.

Holds the sockets open all the while, so that nobody is refused. Serves nothing itself, and opens
neither keys nor store.
"""

import asyncio
import signal
import sys
from collections import deque
from typing import Any, final

from backchannel.server import exits
from backchannel.server.errors import OperatorError
from backchannel.server.process import notify
from backchannel.server.process.sockets import Listeners
from backchannel.server.process.start import Start
from backchannel.server.process.worker import Worker
from backchannel.server.settings import Settings

_ENDING = (signal.SIGTERM, signal.SIGINT)


def run(start: Start, settings: Settings, listeners: Listeners, *, accept_clock: bool) -> None:
    """Until a signal ends it; `OperatorError` where no worker can begin."""
    how = asyncio.run(_run(start, settings, listeners, accept_clock=accept_clock))
    sys.exit(exits.INTERRUPTED if how == signal.SIGINT else 0)


async def _run(
    start: Start, settings: Settings, listeners: Listeners, *, accept_clock: bool
) -> signal.Signals:
    return await _Supervisor(start, settings, listeners).run(accept_clock=accept_clock)


@final
class _Supervisor:
    """The workers, and what signals do to them."""

    def __init__(self, start: Start, settings: Settings, listeners: Listeners) -> None:
        self._start = start
        self._settings = settings
        self._listeners = listeners
        self._workers: deque[Worker] = deque()
        """The oldest first."""
        self._anew = asyncio.Event()
        self._told: asyncio.Future[signal.Signals] = asyncio.get_running_loop().create_future()

    async def run(self, *, accept_clock: bool) -> signal.Signals:
        """The signal that ended it."""
        self._heed()
        work = asyncio.create_task(self._work(accept_clock=accept_clock))
        try:
            ends: set[asyncio.Future[Any]] = {work, self._told}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
            return self._told.result()
        finally:
            work.cancel()
            await self._end()

    def _heed(self) -> None:
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self._tell, each)
        loop.add_signal_handler(signal.SIGHUP, self._anew.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        notify.keep_awake(loop)

    def _tell(self, how: signal.Signals) -> None:
        if not self._told.done():
            self._told.set_result(how)

    async def _work(self, *, accept_clock: bool) -> None:
        await self._begin(accept_clock=accept_clock)
        while await self._anew.wait():
            self._anew.clear()
            if self._start.abandoned():
                self._tell(signal.SIGHUP)
            elif found := self._start.again(self._settings, self._listeners):
                await self._begin_anew(*found)

    async def _begin(self, *, accept_clock: bool) -> None:
        """The first by itself: it brings the store up to date, and confirms the clock."""
        first = self._worker(self._listeners)
        code = await first.begin(*(["--accept-clock"] if accept_clock else []))
        if code:
            message = "the first worker could not begin"
            next_ = "do what it said above, then serve again"
            raise OperatorError(message, next_=next_, code=max(code, exits.FAILED))
        first.tend()
        more = [self._worker(self._listeners) for _ in range(1, self._settings.workers)]
        await asyncio.gather(*(worker.begin() for worker in more))
        for worker in more:
            worker.tend()
        self._announce()

    async def _begin_anew(self, settings: Settings, listeners: Listeners) -> None:
        """A new one serves before an old one leaves. If the first cannot, the old ones stay."""
        old = list(self._workers)
        for number in range(settings.workers):
            worker = self._worker(listeners)
            if await worker.begin() and not number:
                self._workers.remove(worker)
                self._start.stay("no worker could begin with it; next: do what it said above")
                self._drop(listeners)
                return
            worker.tend()
            await self._leave(old[number : number + 1], signal.SIGHUP)
        await self._leave(old[settings.workers :], signal.SIGHUP)
        self._settings, self._listeners, before = settings, listeners, self._listeners
        self._drop(before)
        self._announce()

    def _worker(self, listeners: Listeners) -> Worker:
        """One that is not begun yet, which the end finds whatever becomes of it."""
        worker = Worker(self._start.command(), listeners)
        self._workers.append(worker)
        return worker

    async def _leave(self, workers: list[Worker], how: signal.Signals) -> None:
        for worker in workers:
            self._workers.remove(worker)
        await asyncio.gather(*(worker.leave(how) for worker in workers))

    def _drop(self, listeners: Listeners) -> None:
        """Unless we go on listening there."""
        if listeners is not self._listeners:
            listeners.close()

    def _announce(self) -> None:
        self._start.announce(self._listeners.urls(self._settings.scheme))

    async def _end(self) -> None:
        notify.stopping()
        self._listeners.close()
        await self._leave(list(self._workers), signal.SIGTERM)
        self._start.home.address.unlink(missing_ok=True)
