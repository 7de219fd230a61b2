"""The one thread that writes. It takes what has queued up, does it in one transaction, and answers
after the commit.

So an answer means that the disk has it, and a hundred clients share one sync. Knows nothing of what
a job does.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, NamedTuple, TypeVar, final

from sqlalchemy import Connection, Engine

from backchannel.protocol.types import Hour
from backchannel.server import database
from backchannel.server.database import is_trouble
from backchannel.server.errors import BusyError, HourTurnedError, Refusal
from backchannel.server.limits import GROUP, QUEUED, TRIES
from backchannel.server.logs import store_trouble
from backchannel.server.metrics import Metrics
from backchannel.server.repository import Repository, Wanted

T = TypeVar("T")
_NOTHING: Final = Wanted()
Job = Callable[[Repository, Hour], T]
"""Decides before it writes: a job that raises a `Refusal` has changed nothing."""


class Order(NamedTuple):
    """A job, and what it will ask the store for, so that it is fetched for a whole group at once.

    A job may ask for more, which costs it a statement of its own.
    """

    job: Job[Any]
    wanted: Wanted = _NOTHING


class _Given(NamedTuple):
    order: Order
    future: "asyncio.Future[Any]"
    after: Callable[[Any], object]


class Done(NamedTuple, Generic[T]):
    """How a job ended: with a value, or with the reason why not."""

    value: T | None
    error: Exception | None = None


def commit(
    connection: Connection, turn: Callable[[], Hour], orders: Sequence[Order], tries: int = TRIES
) -> list[Done[Any]]:
    """All jobs in one transaction; where that fails, each in its own, so that one cannot spoil the
    others. Where the store was at fault and is well again, all once more: what a lost answer to a
    commit left in doubt is found where it stands.
    """
    begun = False
    done = []
    try:
        with connection.begin():
            hour = turn()
            begun = True
            repository = database.repository(connection)
            repository.fetch(*_together(orders))
            done = [_attempt(order.job, repository, hour) for order in orders]
            repository.finish()
    except Exception as error:  # noqa: BLE001 - whatever it was, somebody waits for the answer
        if begun and tries and _passing(connection, error):
            return commit(connection, turn, orders, tries - 1)
        if begun and len(orders) > 1:
            return [commit(connection, turn, [order])[0] for order in orders]
        return [Done(None, _told(error))] * len(orders)
    return done


def _passing(connection: Connection, error: Exception) -> bool:
    return isinstance(error, HourTurnedError) or database.recover(connection, error)


def _together(orders: Sequence[Order]) -> Wanted:
    """Each once, in order: two workers that lock the same rows never wait for one another."""
    drops = {drop for order in orders for drop in order.wanted.drops}
    digests = {digest for order in orders for digest in order.wanted.digests}
    return Wanted(sorted(drops), sorted(digests))


def _attempt(job: Job[T], repository: Repository, hour: Hour) -> Done[T]:
    try:
        return Done(job(repository, hour))
    except Refusal as refusal:
        return Done(None, refusal)


def _told(error: Exception) -> Exception:
    if is_trouble(error):
        store_trouble(error)
        return BusyError()
    return error


def _nothing(_value: object) -> None: ...


@final
class Writer:
    """Takes jobs from the event loop and gives their outcomes back to it."""

    def __init__(self, engine: Engine, turn: Callable[[], Hour], metrics: Metrics) -> None:
        self._engine = engine
        self._turn = turn
        self._metrics = metrics
        self._queue: SimpleQueue[list[_Given]] = SimpleQueue()
        self._given: list[_Given] = []
        """Since the loop last went round."""
        self._count = 0
        """Of jobs in hand."""
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write; the outcomes go to the running loop."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="writer")
        self._thread.start()

    async def stop(self) -> None:
        """Do what is queued, then end."""
        if self._thread is not None:
            self._pass_on()
            self._queue.put([])
            await asyncio.to_thread(self._thread.join)

    async def do(
        self, job: Job[T], wanted: Wanted = _NOTHING, after: Callable[[T], object] = _nothing
    ) -> T:
        """The job's value once it is on the disk; then `after` is called with it, in the order of
        the commits, whoever still waits.

        Raises what the job raised; `BusyError` where the store cannot take it.
        """
        if self._count >= QUEUED:
            raise BusyError
        loop = asyncio.get_running_loop()
        given = _Given(Order(job, wanted), loop.create_future(), after)
        if not self._given:  # what comes until the loop has gone round is passed on in one go
            loop.call_soon(self._pass_on)
        self._given.append(given)
        self._count += 1
        value: T = await given.future
        return value

    def _pass_on(self) -> None:
        given, self._given = self._given, []
        for start in range(0, len(given), GROUP):
            self._queue.put(given[start : start + GROUP])

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._engine.connect() as connection:
            while given := self._take():
                done = commit(connection, self._turn, [each.order for each in given])
                self._metrics.committed()
                loop.call_soon_threadsafe(self._answer, given, done)

    def _take(self) -> list[_Given]:
        """What has queued up, at least one; none when it is time to end."""
        given = list(self._queue.get())
        while given and len(given) < GROUP:
            try:
                more = self._queue.get_nowait()
            except Empty:
                break
            if not more:
                self._queue.put(more)
                break
            given += more
        return given

    def _answer(self, given: list[_Given], done: list[Done[Any]]) -> None:
        self._count -= len(given)
        for each, outcome in zip(given, done, strict=True):
            if outcome.error is None:
                each.after(outcome.value)
            if each.future.done():  # its client went away
                continue
            if outcome.error is None:
                each.future.set_result(outcome.value)
            else:
                each.future.set_exception(outcome.error)
