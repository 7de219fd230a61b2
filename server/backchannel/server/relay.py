"""One relay at work: opens the store in the order that expiry demands, and carries out
authenticated requests.

Owns the parts and their life. Knows no HTTP and no command line.
"""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, Self, final

from sqlalchemy import Engine

from backchannel.protocol.drop import Create, Operation, Page, Read, Request, Stored
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import StateError
from backchannel.protocol.types import Block, DropId, Hour, hour_of
from backchannel.server import exits, service, stores
from backchannel.server.authorize import Authorizer, Door, Floor, check_hour
from backchannel.server.clock import Clock
from backchannel.server.entropy import SystemEntropy
from backchannel.server.errors import BusyError, OperatorError, QuotaError
from backchannel.server.gate import Gate
from backchannel.server.home import Home
from backchannel.server.limits import NEWEST, SWEPT_WHEN_FULL, THINNED
from backchannel.server.metrics import Metrics, Sums
from backchannel.server.migrate import migrate
from backchannel.server.newest import Newest, Written
from backchannel.server.places import PlacesFile
from backchannel.server.rates import Rate
from backchannel.server.readers import Readers
from backchannel.server.repository import DropRow, Repository, Size, Wanted
from backchannel.server.retention import Retention
from backchannel.server.room import Room, Space, free_disk, free_memory
from backchannel.server.service import Brought
from backchannel.server.settings import Settings
from backchannel.server.sweeper import Sweeper, sweep_now
from backchannel.server.wakeup import Bell, Wakeup
from backchannel.server.writer import Job, Writer

_HOUR = 3600  # seconds
WhenGone = Callable[[Callable[[], None]], None]
"""Has something called once a client is gone."""
_SPENDING = {Operation.APPEND, Operation.READ}
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
        self.metrics: Final = Sums() if settings.metrics_port else Metrics()
        self._entropy = SystemEntropy()
        self.clock: Final = Clock(home.demo_hours)
        self.floor = Floor()
        self.gate: Final = Gate(settings.most_requests)
        self.retention: Final = retention
        self.wakeup: Final = Wakeup(settings.most_waiting)
        self.authorizer: Final = Authorizer(home.static_key(), self._entropy)
        self._lock = lock
        self._seen: Hour | None = None
        """The hour, until the loop has gone round: all who come at once ask for it once."""
        self._folder = home.path
        self._log = home.database.with_name(home.database.name + "-wal")
        self._room: Final = Room(settings.most_bytes, self._look, time.monotonic)
        self._blocks: Final = Rate(settings.rate_blocks)
        self._requests: Final = Rate(settings.rate_requests)
        self._store: Final = stores.of(home, settings)
        self._write_engine: Engine = self._store.writer()
        self._read_engine: Engine = self._store.readers()
        self.readers: Final = Readers(self._read_engine)
        self.writer: Final = Writer(
            self._write_engine, lambda: retention.turn(self.clock.now()), self.metrics
        )
        self._newest: Final = Newest(0 if self._store.shared else NEWEST)
        self.sweeper: Final = Sweeper(
            self.writer,
            self._store,
            self._write_engine,
            self.clock,
            retention,
            self.metrics,
            self._newest.turn,
        )
        self._watch: Final = self._store.watch(self.wakeup, self.readers, home.store_secret())

    @classmethod
    def open(cls, home: Home, settings: Settings, *, accept_clock: bool = False) -> Self:
        """Take the directory, destroy what died while the relay was off, and only then open the
        store for use.

        `OperatorError` where the directory, its keys, its database or the clock are not fit.
        """
        home.check()
        kept = stores.of(home, settings)
        lock = home.take_lock(shared=kept.shared)
        try:
            retention = open_retention(home, shared=kept.shared)
            _turn(home, retention, Clock(home.demo_hours), accept_clock=accept_clock)
            relay = cls(home, settings, retention, lock)
            with kept.usable():
                migrate(relay._write_engine, plain=kept.plain)
                sweep_now(kept, relay._write_engine, retention.highest)
        except BaseException:
            os.close(lock)
            raise
        return relay

    def start(self) -> None:
        """Begin to work, on the running loop."""
        self.writer.start()
        self.sweeper.start()
        if self._watch is not None:
            self._watch.start()

    async def stop(self) -> None:
        """Do what is queued and close."""
        self.wakeup.close()
        if self._watch is not None:
            await self._watch.stop()
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
        if self._seen is None:
            self._seen = self.retention.hour(self.clock.now())
            asyncio.get_running_loop().call_soon(self._look_again)
            if self._seen > self.retention.highest:
                self.sweeper.poke()
        return self._seen

    def _look_again(self) -> None:
        self._seen = None

    async def authorize(self, call: Call) -> Door:
        """What opens this request and its answer; `UnknownDropError` unless it may be made."""
        if isinstance(call.payload, Create):
            return self.authorizer.of_key(call.request, call.payload.access)
        door = self.authorizer.known(call.request)
        if door is None:
            door = await self.readers.ask(partial(self.authorizer.of_drop, request=call.request))
            self.authorizer.keep(door)
        return door

    async def perform(self, call: Call, door: Door, when_gone: WhenGone) -> bytes:
        """The payload of the answer to an authorized request; `when_gone` has something called when
        nobody waits for it any more.
        """
        check_hour(call.request, self.hour())
        self._spend(call)
        match call.request.operation, call.payload:
            case Operation.APPEND, tuple() as blocks:
                return _packed(await self._append(door, blocks))
            case Operation.READ, Read() as asked:
                return (await self._read(door, asked, when_gone)).pack()
            case Operation.CREATE, Create() as asked:
                await self._create(door, asked)
            case Operation.SEAL, tuple() as blocks:
                return _packed(await self._seal(door, blocks))
            case Operation.DELETE, _:
                await self._delete(door)
        return b""

    def _spend(self, call: Call) -> None:
        """`TooFastError` for more than a drop may have in a while. Only now, when the request is
        known to be a member's; and nobody is kept from ending a drop.
        """
        drop, now = call.request.drop, time.monotonic()
        if call.request.operation in _SPENDING:
            self._requests.spend(drop, 1, now)
        if call.request.operation is Operation.APPEND and isinstance(call.payload, tuple):
            self._blocks.spend(drop, len(call.payload), now)

    async def _look(self) -> Space:
        """At the disk, the memory and the store. How large a shared one is takes a while to say,
        and is asked only where that is bounded.
        """
        unbounded = self._store.shared and not self.settings.most_bytes
        size = Size(0, 0) if unbounded else await self.readers.ask(lambda store: store.size())
        disk = await asyncio.to_thread(free_disk, self._folder, self._log)
        return Space(disk, size.spare, size.used, free_memory())

    async def _create(self, door: Door, asked: Create) -> None:
        if not self.authorizer.knows(door):  # who asks again after a lost answer is not new
            await self._room.for_drop()
        new = self.settings.new_drops
        wanted = Wanted([door.drop])  # together with the others': locks are taken in one order
        await self.writer.do(partial(_created, door.drop, asked, self._entropy, new), wanted)
        self.authorizer.keep(door)
        self.sweeper.soil()  # the log holds voucher and drop side by side

    async def _append(self, door: Door, blocks: tuple[Block, ...]) -> Sequence[Stored]:
        await self._room.for_blocks()
        brought = self._brought(door, blocks)

        def job(store: Repository, hour: Hour) -> list[Stored]:
            return service.append(store, self.retention, door, brought, self.settings.quota, hour)

        try:
            return await self._put(door, job, brought)
        except QuotaError as error:
            error.retry_after = _HOUR - self.clock.now() % _HOUR
            raise

    async def _seal(self, door: Door, blocks: tuple[Block, ...]) -> Sequence[Stored]:
        brought = self._brought(door, blocks)

        def job(store: Repository, hour: Hour) -> list[Stored]:
            return service.seal(store, self.retention, door, brought, hour)

        return await self._put(door, job, brought)

    def _brought(self, door: Door, blocks: tuple[Block, ...]) -> list[Brought]:
        return [Brought(self.retention.digest(door.drop, block), block) for block in blocks]

    async def _put(
        self, door: Door, job: Job[list[Stored]], brought: Sequence[Brought]
    ) -> Sequence[Stored]:
        """Where the blocks stand once the writer did it; whoever waits for them is woken."""
        wanted = Wanted([door.drop], [each.digest for each in brought])

        def done(store: Repository, hour: Hour) -> Written:
            before = store.drop(door.drop)
            return _written(brought, job(store, hour), before, store.drop(door.drop))

        written: Written = await self.writer.do(done, wanted, after=partial(self._tell, door))
        return written.rows

    def _deleted(self, door: Door, _gone: bool) -> None:
        self._newest.forget(door.drop)
        self.wakeup.ring(door.drop)

    def _tell(self, door: Door, written: Written) -> None:
        self._newest.put(door, written)
        if written.grown:
            self.wakeup.ring(door.drop)
        else:  # one member could have all others look again and again
            self.wakeup.compare({door.drop: written.following})

    async def _read(self, door: Door, asked: Read, when_gone: WhenGone) -> Page:
        if not asked.wait:
            return await self._page(door, asked)
        with self.wakeup.listen(door.drop) as bell, self.metrics.waiting():
            when_gone(partial(bell.ring, last=True))
            return await self._wait(door, asked, bell)

    async def _wait(self, door: Door, asked: Read, bell: Bell) -> Page:
        end = time.monotonic() + asked.wait
        while True:
            page = await self._page(door, asked)
            if page.rows or page.more:
                return page
            bell.following = page.following
            with self.gate.outside():
                rung = await bell.rung(end - time.monotonic())
            if not rung:
                return page

    async def _page(self, door: Door, asked: Read) -> Page:
        """From memory where that is all that there is, else from the store."""
        page = self._newest.page(door, asked, self.hour())
        if page is not None:
            return page
        return await self.readers.ask(partial(self._look_up, door, asked))

    def _look_up(self, door: Door, asked: Read, store: Repository) -> Page:
        hour = self.retention.hour(self.clock.now())
        return service.page(store, self.retention, door, asked, hour)

    async def _delete(self, door: Door) -> None:
        """In steps, which on a full disk are smaller: what goes is written to the log first."""
        gone, most = False, THINNED
        while not gone:
            try:
                job = partial(_deleted, door, most)
                wanted = Wanted([door.drop])
                gone = await self.writer.do(job, wanted, after=partial(self._deleted, door))
            except BusyError:
                if most == SWEPT_WHEN_FULL:
                    raise
                most = SWEPT_WHEN_FULL
                await self.sweeper.empty()
        self.authorizer.forget(door.drop)
        self.sweeper.soil()


def _created(
    drop: DropId, asked: Create, entropy: Entropy, new: bool, store: Repository, _hour: Hour
) -> None:
    service.create(store, drop, asked, entropy, new=new)


def _deleted(door: Door, most: int, store: Repository, _hour: Hour) -> bool:
    return service.delete(store, door, most)


def _written(
    brought: Sequence[Brought],
    stored: Sequence[Stored],
    before: DropRow | None,
    row: DropRow | None,
) -> Written:
    rows = [
        Stored(place.position, place.hour, each.block)
        for place, each in zip(stored, brought, strict=True)
    ]
    if row is None:
        return Written(rows, 0, 0)
    grown = before is None or row.following > before.following
    return Written(rows, row.following, row.keep, grown)


def _packed(rows: Sequence[Stored]) -> bytes:
    return b"".join(row.place() for row in rows)


def open_retention(home: Home, *, shared: bool = False) -> Retention:
    """The expiry keys as they stand, which other processes may change if `shared`; `OperatorError`
    for a file that is none.
    """
    try:
        file = PlacesFile(home.places, shared=shared)
        return Retention(file, home.store_secret(), SystemEntropy())
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
