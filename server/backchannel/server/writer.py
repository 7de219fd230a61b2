"""The one thread that writes. It takes what has queued up, does it in one transaction, and answers
after the commit.

So an answer means that the disk has it, and a hundred clients share one sync. Knows nothing of what
a job does.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar, final

from sqlalchemy import Connection, Engine

from backchannel.protocol.types import Hour
from backchannel.server.database import is_trouble
from backchannel.server.errors import BusyError, Refusal
from backchannel.server.limits import GROUP, QUEUED
from backchannel.server.logs import store_trouble
from backchannel.server.repository import Repository

T = TypeVar("T")
Job = Callable[[Repository, Hour], T]
"""Decides before it writes: a job that raises a `Refusal` has changed nothing."""


class _Order(NamedTuple):
    job: Job[Any]
    future: "asyncio.Future[Any]"
    after: Callable[[], None]


class Done(NamedTuple, Generic[T]):
    """How a job ended: with a value, or with the reason why not."""

    value: T | None
    error: Exception | None = None


def commit(
    connection: Connection, turn: Callable[[], Hour], jobs: list[Job[Any]]
) -> list[Done[Any]]:
    """All jobs in one transaction; where that fails, each in its own, so that one cannot spoil the
    others.
    """
    begun = False
    done = []
    try:
        with connection.begin():
            hour = turn()
            begun = True
            repository = Repository(connection)
            done = [_attempt(job, repository, hour) for job in jobs]
    except Exception as error:  # noqa: BLE001 - whatever it was, somebody waits for the answer
        if begun and len(jobs) > 1:
            return [commit(connection, turn, [job])[0] for job in jobs]
        return [Done(None, _told(error))] * len(jobs)
    return done


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


@final
class Writer:
    """Takes jobs from the event loop and gives their outcomes back to it."""

    def __init__(self, engine: Engine, turn: Callable[[], Hour]) -> None:
        self._engine = engine
        self._turn = turn
        self._queue: SimpleQueue[_Order | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write; the outcomes go to the running loop."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="writer")
        self._thread.start()

    async def stop(self) -> None:
        """Do what is queued, then end."""
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)

    async def do(self, job: Job[T], after: Callable[[], None] = lambda: None) -> T:
        """The job's value once it is on the disk; then `after` is called, whoever still waits.

        Raises what the job raised; `BusyError` where the store cannot take it.
        """
        if self._queue.qsize() >= QUEUED:
            raise BusyError
        order = _Order(job, asyncio.get_running_loop().create_future(), after)
        self._queue.put(order)
        value: T = await order.future
        return value

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._engine.connect() as connection:
            while orders := self._take():
                done = commit(connection, self._turn, [order.job for order in orders])
                loop.call_soon_threadsafe(_answer, orders, done)

    def _take(self) -> list[_Order]:
        """What has queued up, at least one; none when it is time to end."""
        first = self._queue.get()
        orders = [first] if first else []
        while orders and len(orders) < GROUP:
            try:
                order = self._queue.get_nowait()
            except Empty:
                break
            if order is None:
                self._queue.put(None)
                break
            orders.append(order)
        return orders


def _answer(orders: list[_Order], done: list[Done[Any]]) -> None:
    for order, outcome in zip(orders, done, strict=True):
        if outcome.error is None:
            order.after()
        if order.future.done():  # its client went away
            continue
        if outcome.error is None:
            order.future.set_result(outcome.value)
        else:
            order.future.set_exception(outcome.error)
