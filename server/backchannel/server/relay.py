"""One relay at work: opens the store in the order that expiry demands, and carries out
authenticated requests.

Owns the parts and their life. Knows no HTTP and no command line.
"""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, NamedTuple, Self, final

from sqlalchemy import Engine

from backchannel.protocol.drop import Create, DropKeys, Operation, Page, Read, Request, Stored
from backchannel.protocol.errors import StateError
from backchannel.protocol.types import Block, DropId, Hour, hour_of
from backchannel.server import database, exits, service
from backchannel.server.authorize import Authorizer, Floor, check_hour
from backchannel.server.clock import Clock
from backchannel.server.entropy import SystemEntropy
from backchannel.server.errors import BusyError, OperatorError
from backchannel.server.gate import Gate
from backchannel.server.home import Home
from backchannel.server.limits import RESERVED
from backchannel.server.logs import warn_seldom
from backchannel.server.migrate import migrate
from backchannel.server.places import PlacesFile
from backchannel.server.readers import Readers
from backchannel.server.repository import Repository
from backchannel.server.retention import Retention
from backchannel.server.settings import Settings
from backchannel.server.sweeper import Sweeper, sweep_now
from backchannel.server.wakeup import Bell, Wakeup
from backchannel.server.writer import Writer

Payload = Create | Read | tuple[Block, ...] | None


class Call(NamedTuple):
    """A request that may be what it says, with its payload read."""

    request: Request
    payload: Payload


@final
class Relay:
    """Everything that one data directory needs, open."""

    def __init__(self, home: Home, settings: Settings, retention: Retention, lock: int) -> None:
        self.settings: Final = settings
        self.clock: Final = Clock(home.demo_hours)
        self.floor = Floor()
        self.gate: Final = Gate(settings.most_requests)
        self.retention: Final = retention
        self.wakeup: Final = Wakeup(settings.most_waiting)
        self.authorizer: Final = Authorizer(home.static_key(), SystemEntropy())
        self._lock = lock
        self._folder = home.path
        self._write_engine: Engine = database.open_writer(home.database)
        self._read_engine: Engine = database.open_readers(home.database)
        self.readers: Final = Readers(self._read_engine)
        self.writer: Final = Writer(self._write_engine, lambda: retention.turn(self.clock.now()))
        self.sweeper: Final = Sweeper(self.writer, self._write_engine, self.clock, retention)

    @classmethod
    def open(cls, home: Home, settings: Settings, *, accept_clock: bool = False) -> Self:
        """Take the directory, destroy what died while the relay was off, and only then open the
        store for use.

        `OperatorError` where the directory, its keys, its database or the clock are not fit.
        """
        home.check()
        lock = home.take_lock()
        try:
            retention = open_retention(home)
            _turn(home, retention, Clock(home.demo_hours), accept_clock=accept_clock)
            relay = cls(home, settings, retention, lock)
            with database.usable(home.database):
                migrate(relay._write_engine)
                sweep_now(relay._write_engine, retention.highest)
        except BaseException:
            os.close(lock)
            raise
        return relay

    def start(self) -> None:
        """Begin to work, on the running loop."""
        self.writer.start()
        self.sweeper.start()

    async def stop(self) -> None:
        """Do what is queued and close."""
        self.wakeup.close()
        await self.sweeper.stop()
        await self.writer.stop()
        self.close()

    def close(self) -> None:
        """Give the directory back."""
        self.readers.close()
        self._read_engine.dispose()
        self._write_engine.dispose()
        self.retention.close()
        os.close(self._lock)

    def hour(self) -> Hour:
        """The relay's hour; `ClockLeapError` while its clock is not believed. On the loop only."""
        hour = self.retention.hour(self.clock.now())
        if hour > self.retention.highest:
            self.sweeper.poke()
        return hour

    async def authorize(self, call: Call) -> DropKeys:
        """The keys of whoever made this request; `UnknownDropError` unless it may be made."""
        if isinstance(call.payload, Create):
            return self.authorizer.of_key(call.request, call.payload.access)
        return await self.readers.ask(partial(self.authorizer.of_drop, request=call.request))

    async def perform(self, call: Call, leaving: Callable[[], Awaitable[None]]) -> bytes:
        """The payload of the answer to an authorized request; `leaving` returns when nobody waits
        for it any more.
        """
        check_hour(call.request, self.hour())
        drop = call.request.drop
        match call.request.operation, call.payload:
            case Operation.APPEND, tuple() as blocks:
                return _packed(await self._append(drop, blocks))
            case Operation.READ, Read() as asked:
                return (await self._read(drop, asked, leaving)).pack()
            case Operation.CREATE, Create() as asked:
                await self._create(drop, asked)
            case Operation.SEAL, tuple() as blocks:
                return _packed(await self._seal(drop, blocks))
            case Operation.DELETE, _:
                await self._delete(drop)
        return b""

    async def _create(self, drop: DropId, asked: Create) -> None:
        await self.writer.do(lambda store, _: service.create(store, drop, asked))
        self.sweeper.soil()  # the log holds voucher and drop side by side

    async def _append(self, drop: DropId, blocks: tuple[Block, ...]) -> list[Stored]:
        self._check_room()

        def job(store: Repository, hour: Hour) -> list[Stored]:
            return service.append(store, self.retention, drop, blocks, self.settings.quota, hour)

        return await self.writer.do(job, after=partial(self.wakeup.ring, drop))

    async def _seal(self, drop: DropId, blocks: tuple[Block, ...]) -> list[Stored]:
        if blocks:
            self._check_room()

        def job(store: Repository, hour: Hour) -> list[Stored]:
            return service.seal(store, self.retention, drop, blocks, hour)

        return await self.writer.do(job, after=partial(self.wakeup.ring, drop))

    def _check_room(self) -> None:
        """`BusyError` where blocks would take what forgetting needs: a row goes by being written
        to the log first.
        """
        if shutil.disk_usage(self._folder).free < RESERVED:
            warn_seldom("the disk is nearly full, so no block is taken; next: make room on it")
            raise BusyError

    async def _read(
        self, drop: DropId, asked: Read, leaving: Callable[[], Awaitable[None]]
    ) -> Page:
        def question(store: Repository) -> Page:
            hour = self.retention.hour(self.clock.now())
            return service.page(store, self.retention, drop, asked, hour)

        if not asked.wait:
            return await self.readers.ask(question)
        with self.wakeup.listen(drop) as bell:
            async with _rung_when(leaving, bell):
                return await self._wait(question, bell, time.monotonic() + asked.wait)

    async def _wait(self, question: Callable[[Repository], Page], bell: Bell, end: float) -> Page:
        while True:
            page = await self.readers.ask(question)
            if page.rows or page.more:
                return page
            with self.gate.outside():
                rung = await bell.rung(end - time.monotonic())
            if not rung:
                return page

    async def _delete(self, drop: DropId) -> None:
        await self.writer.do(
            lambda store, _: service.delete(store, drop), after=partial(self.wakeup.ring, drop)
        )
        self.sweeper.soil()


def _packed(rows: list[Stored]) -> bytes:
    return b"".join(row.pack() for row in rows)


@asynccontextmanager
async def _rung_when(leaving: Callable[[], Awaitable[None]], bell: Bell) -> AsyncIterator[None]:
    async def watch() -> None:
        await leaving()
        bell.ring(last=True)

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()


def open_retention(home: Home) -> Retention:
    """The expiry keys as they stand; `OperatorError` for a file that is none."""
    try:
        return Retention(PlacesFile(home.places), home.store_secret(), SystemEntropy())
    except StateError as error:
        message = f"{home.places}: {error}"
        next_ = "what it kept cannot be opened any more: begin anew with init in another directory"
        raise OperatorError(message, next_=next_) from None


def _turn(home: Home, retention: Retention, clock: Clock, *, accept_clock: bool) -> None:
    now = clock.now()
    if retention.leaps(now) and not accept_clock:
        hours = hour_of(now) - retention.highest
        message = (
            f"the clock is {hours} hours ahead of the last hour this relay saw: it was off for so "
            "long, or the clock is wrong; what expired by this clock is destroyed at the start"
        )
        command = f"backchannel-relay serve --data {home.path} --accept-clock"
        next_ = f"compare the clock; if it is right: {command}"
        raise OperatorError(message, next_=next_, code=exits.REFUSED)
    try:
        retention.advance(now)
    except StateError as error:
        raise OperatorError(str(error), next_="set the clock right", code=exits.REFUSED) from None
