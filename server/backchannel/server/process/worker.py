"""One of a relay's workers, as its supervisor sees it: begun again whenever it ends by itself.

Owns the process and the pause before the next. Knows neither settings nor signals.
"""

import asyncio
import os
import signal
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, final

from backchannel.server import exits
from backchannel.server.limits import BACK_OFF, SHUTDOWN, STARTING, STEADY
from backchannel.server.logs import LOG
from backchannel.server.process.sockets import Listeners
from backchannel.server.process.tether import TOLD, Leash

_MANAGERS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")  # it is the supervisor who answers
_SPARE = 5  # seconds: what a worker does after its patience with clients is over


@final
class Worker:
    """Not there until `begin`, and begun again only after `tend`."""

    def __init__(self, command: Sequence[str], listeners: Listeners) -> None:
        self._command: Final = command
        self._listeners: Final = listeners
        self._process: Process | None = None
        self._leash: Leash | None = None
        self._task: asyncio.Task[None] | None = None

    async def begin(self, *more: str) -> int:
        """0 once it serves, else the code with which it ended; `more` is said to it."""
        self._leash = leash = Leash()
        inherited = leash.descriptors(self._listeners)
        told = {key: value for key, value in os.environ.items() if key not in _MANAGERS}
        told[TOLD] = ",".join(map(str, inherited))
        self._process = process = await asyncio.create_subprocess_exec(
            *(*self._command, *more),
            stdin=DEVNULL,
            env=told,
            pass_fds=inherited,
            process_group=0,  # what is typed at a terminal is for the supervisor
        )
        leash.tied()
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(STARTING):
                if await leash.ready():
                    return 0
        return await self._end(process, _SPARE) or exits.FAILED

    def tend(self) -> None:
        """From now on it is begun again whenever it ends."""
        self._task = asyncio.create_task(self._tend())

    async def leave(self, how: signal.Signals) -> None:
        """Tell it, and wait until it is gone; kill it where that takes too long."""
        if self._task is not None:
            self._task.cancel()
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(how)
            await self._end(self._process, SHUTDOWN + _SPARE)

    async def _end(self, process: Process, seconds: float) -> int:
        """The code with which it ends, or is made to."""
        try:
            async with asyncio.timeout(seconds):
                return await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            return await process.wait()
        finally:
            if self._leash is not None:
                self._leash.close()

    async def _tend(self) -> None:
        """Never a hot loop: whoever does not last is awaited longer each time."""
        pause = 0.0
        began = time.monotonic()
        while self._process is not None:
            code = await self._process.wait()
            pause = next_pause(pause, time.monotonic() - began)
            LOG.warning("a worker ended (%s); the next begins in %d seconds", code, pause)
            await asyncio.sleep(pause)
            began = time.monotonic()
            await self.begin()


def next_pause(before: float, lived: float) -> float:
    """Seconds before the next worker, after one that came `before` late and lived so long."""
    first, most = BACK_OFF
    return first if lived >= STEADY or not before else min(2 * before, most)
